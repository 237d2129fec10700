//! Join tokens: what a new node shows once.
//!
//! ```text
//! stead1-KKKK…(64 digits)SSSS…(32 digits)
//!        digest of the    secret of
//!        answering        16 random
//!        node's key       bytes
//! ```
//!
//! The digest lets the new node know whom it talks to before it trusts anything; the secret proves
//! that it was invited. The cluster keeps only the SHA-256 of the secret, and takes it once.
//! Version 1 is in the prefix: another form gets another one.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use stead_core::state::Digest;

const PREFIX: &str = "stead1-";
const DIGITS: usize = 2 * (32 + SECRET);

/// The length of the secret in bytes.
pub const SECRET: usize = 16;

/// A token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The digest of the key of the node that gave it out.
    pub key: [u8; 32],
    /// What proves the invitation.
    pub secret: [u8; SECRET],
}

/// A text is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It begins otherwise.
    #[error("a token begins with {PREFIX}; make one on a member with `stead token NODE`")]
    Prefix,
    /// It has another length.
    #[error("a token has {DIGITS} hexadecimal digits, this one has {0}: copy all of it")]
    Length(usize),
    /// It has other characters.
    #[error("a token has only the digits 0 to 9 and a to f: copy it again")]
    Digits,
}

/// The system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random bytes; nothing was changed")]
pub struct NoRandomness;

impl Token {
    /// A new one, to be given out by the node with that key.
    ///
    /// # Errors
    /// See [`NoRandomness`].
    pub fn new(key: [u8; 32]) -> Result<Self, NoRandomness> {
        let mut secret = [0; SECRET];
        getrandom::fill(&mut secret).map_err(|_| NoRandomness)?;
        Ok(Self { key, secret })
    }

    /// Both parts as digits, as they stand behind the prefix.
    #[must_use]
    pub fn digits(&self) -> String {
        self.key.iter().chain(&self.secret).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`Token::digits`] wrote.
    ///
    /// # Errors
    /// Too many or too few of them, or others than digits.
    pub fn of_digits(digits: &str) -> Result<Self, TokenError> {
        if digits.len() != DIGITS {
            return Err(TokenError::Length(digits.chars().count()));
        }
        let mut bytes = [0; 32 + SECRET];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| TokenError::Digits)?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(TokenError::Digits);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| TokenError::Digits)?;
        }
        let mut token = Self { key: [0; 32], secret: [0; SECRET] };
        token.key.copy_from_slice(&bytes[..32]);
        token.secret.copy_from_slice(&bytes[32..]);
        Ok(token)
    }

    /// What the cluster knows it by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest_of(&self.secret)
    }
}

/// What the cluster knows the token with that secret by.
#[must_use]
pub fn digest_of(secret: &[u8; SECRET]) -> Digest {
    let mut known = [0; 32];
    // SHA-256 has 32 bytes.
    known.copy_from_slice(digest(&SHA256, secret).as_ref());
    known
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.digits())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        Self::of_digits(text.trim().strip_prefix(PREFIX).ok_or(TokenError::Prefix)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_shows_itself_to_nobody() {
        let token = Token::new([0xab; 32]).unwrap();
        let text = token.to_string();
        assert!(text.starts_with("stead1-abab"), "{text}");
        assert_eq!(text.parse(), Ok(token.clone()));
        assert_eq!(format!("{text}\n").parse(), Ok(token.clone()));
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert_ne!(token.digest()[..16], token.secret);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let text = Token::new([1; 32]).unwrap().to_string();
        assert_eq!("node2".parse::<Token>(), Err(TokenError::Prefix));
        assert_eq!(text[..50].parse::<Token>(), Err(TokenError::Length(43)));
        let wrong = format!("stead1-{}", "z".repeat(96));
        assert_eq!(wrong.parse::<Token>(), Err(TokenError::Digits));
        let wrong = format!("stead1-{}", "\u{e9}".repeat(48));
        assert_eq!(wrong.parse::<Token>(), Err(TokenError::Digits));
        let wrong = format!("stead1-{}", "+1".repeat(48));
        assert_eq!(wrong.parse::<Token>(), Err(TokenError::Digits));
    }
}
