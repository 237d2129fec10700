//! Enrolment tokens: what a cluster shows a quorum server once.
//!
//! ```text
//! steadq1-KKKK…(64 digits)SSSS…(32 digits)@192.0.2.7:7745,[2001:db8::7]:7745
//!         digest of the    secret of       where the server
//!         server's key     16 random bytes can be reached
//! ```
//!
//! The digest lets the cluster know whom it talks to before it trusts anything; the secret proves
//! that it was invited. The server keeps only the secret's SHA-256. The digits are those of the
//! [join token](crate::api::token).

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::api::token::{Token, TokenError};

const PREFIX: &str = "steadq1-";
/// More addresses than anybody tries.
const ADDRESSES: usize = 8;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolToken {
    /// The digest of the server's key, and what proves the invitation.
    pub token: Token,
    /// Where the server can be reached; at least one.
    pub addresses: Vec<SocketAddr>,
}

/// A text is no token of a quorum server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolTokenError {
    /// It begins otherwise.
    #[error(
        "a quorum server's token begins with {PREFIX}; make one on the server with `stead \
         quorum-server enrol`"
    )]
    Prefix,
    /// Its digits are not right.
    #[error("the token is not whole, or was changed: {0}")]
    Digits(TokenError),
    /// It says nowhere where the server is, or what it says can't be read.
    #[error("the token's end, behind the @, must be addresses with ports: copy all of it")]
    Addresses,
}

impl fmt::Display for EnrolToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}@", self.token.digits())?;
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        f.write_str(&addresses.join(","))
    }
}

impl FromStr for EnrolToken {
    type Err = EnrolTokenError;

    fn from_str(text: &str) -> Result<Self, EnrolTokenError> {
        let text = text.trim().strip_prefix(PREFIX).ok_or(EnrolTokenError::Prefix)?;
        let (digits, addresses) = text.split_once('@').ok_or(EnrolTokenError::Addresses)?;
        let token = Token::of_digits(digits).map_err(EnrolTokenError::Digits)?;
        let addresses: Result<Vec<SocketAddr>, _> =
            addresses.split(',').map(str::parse).take(ADDRESSES + 1).collect();
        match addresses {
            Ok(addresses) if addresses.len() <= ADDRESSES => Ok(Self { token, addresses }),
            Ok(_) | Err(_) => Err(EnrolTokenError::Addresses),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_shows_its_secret_to_nobody() {
        let addresses = ["192.0.2.7:7745", "[2001:db8::7]:7745"];
        let addresses = addresses.map(|it| it.parse().expect("an address")).to_vec();
        let token = EnrolToken { token: Token::new([0xab; 32]).expect("random bytes"), addresses };
        let text = token.to_string();
        assert!(text.starts_with("steadq1-abab"), "{text}");
        assert!(text.ends_with("@192.0.2.7:7745,[2001:db8::7]:7745"), "{text}");
        assert_eq!(text.parse(), Ok(token.clone()));
        assert_eq!(format!(" {text}\n").parse(), Ok(token.clone()));
        assert!(format!("{token:?}").contains("Token(..)"), "{token:?}");
    }

    #[test]
    fn what_is_no_token_is_refused_in_words_that_help() {
        let token = Token::new([1; 32]).expect("random bytes");
        let digits = token.digits();
        let read = |text: &str| text.parse::<EnrolToken>().unwrap_err();
        assert_eq!(read(&token.to_string()), EnrolTokenError::Prefix);
        assert_eq!(read(&format!("steadq1-{digits}")), EnrolTokenError::Addresses);
        for end in ["", "localhost:1", "192.0.2.7", "192.0.2.7:1,", &["1.1.1.1:1"; 9].join(",")] {
            assert_eq!(read(&format!("steadq1-{digits}@{end}")), EnrolTokenError::Addresses);
        }
        let short = read(&format!("steadq1-{}@192.0.2.7:1", &digits[1..]));
        assert_eq!(short, EnrolTokenError::Digits(TokenError::Length(95)));
    }
}
