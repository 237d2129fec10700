//! Keys: a node's own, which signs, and what of it the readers trust.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PSS_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::SignatureScheme;
use rustls::sign::SigningKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What stands before the digits of a [`KeyDigest`].
const SHA256_PREFIX: &str = "sha256:";

/// The SHA-256 of a public key (its SubjectPublicKeyInfo, RFC 5280 section 4.1.2.7, in DER),
/// written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    /// The digest of a public key.
    #[must_use]
    pub fn of(public: &[u8]) -> Self {
        let mut bytes = [0; 32];
        // SHA-256 has 32 bytes: the two are of one length.
        bytes.iter_mut().zip(digest(&SHA256, public).as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHA256_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<KeyDigest> for String {
    fn from(digest: KeyDigest) -> Self {
        digest.to_string()
    }
}

/// A text that is no [`KeyDigest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a key's digest: `sha256:` and 64 hexadecimal digits are expected")]
pub struct NotADigest;

impl FromStr for KeyDigest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let digits = text.strip_prefix(SHA256_PREFIX).ok_or(NotADigest)?;
        let bytes = from_hex(digits).ok_or(NotADigest)?;
        bytes.try_into().map(Self).map_err(|_| NotADigest)
    }
}

impl TryFrom<String> for KeyDigest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

/// How a document is signed: whatever a node's key for TLS may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Ed25519,
    P256,
    P384,
    RsaPss,
}

/// All of them, the usual one first.
const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::Ed25519, Algorithm::P256, Algorithm::P384, Algorithm::RsaPss];

impl Algorithm {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "ecdsa-p256-sha256",
            Self::P384 => "ecdsa-p384-sha384",
            Self::RsaPss => "rsa-pss-sha256",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        ALGORITHMS.into_iter().find(|it| it.name() == name)
    }

    fn scheme(self) -> SignatureScheme {
        match self {
            Self::Ed25519 => SignatureScheme::ED25519,
            Self::P256 => SignatureScheme::ECDSA_NISTP256_SHA256,
            Self::P384 => SignatureScheme::ECDSA_NISTP384_SHA384,
            Self::RsaPss => SignatureScheme::RSA_PSS_SHA256,
        }
    }

    fn of(scheme: SignatureScheme) -> Option<Self> {
        ALGORITHMS.into_iter().find(|it| it.scheme() == scheme)
    }

    /// Whether that key made this signature. The library reads the key, of this algorithm alone.
    pub(super) fn verifies(self, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self {
            Self::Ed25519 => &ED25519,
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA384_ASN1,
            Self::RsaPss => &RSA_PSS_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(algorithm, public).verify(message, signature).is_ok()
    }
}

/// A document was not signed; nothing was changed.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The key does not say what its public half is.
    #[error("this kind of key does not tell its public half; make the node a key of its own")]
    NoPublicHalf,
    /// The key is of another kind.
    #[error("this kind of key can't sign documents; Ed25519, ECDSA P-256 and P-384 and RSA can")]
    Kind,
    /// The library refused.
    #[error("the key can't sign")]
    Refused(#[source] rustls::Error),
}

/// A node's own key, the one that it has for TLS.
#[derive(Clone)]
pub struct Key {
    private: Arc<dyn SigningKey>,
    public: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.digest())
    }
}

impl Key {
    /// A key as rustls has it (`CertifiedKey::key`).
    ///
    /// # Errors
    /// [`KeyError::NoPublicHalf`], [`KeyError::Kind`].
    pub fn new(private: Arc<dyn SigningKey>) -> Result<Self, KeyError> {
        let public = private.public_key().ok_or(KeyError::NoPublicHalf)?.as_ref().to_vec();
        if private.choose_scheme(&ALGORITHMS.map(Algorithm::scheme)).is_none() {
            return Err(KeyError::Kind);
        }
        Ok(Self { private, public })
    }

    /// What readers know it by.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(&self.public)
    }

    /// Its public half, in DER.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<(Algorithm, Vec<u8>), KeyError> {
        let offered = ALGORITHMS.map(Algorithm::scheme);
        let signer = self.private.choose_scheme(&offered).ok_or(KeyError::Kind)?;
        let algorithm = Algorithm::of(signer.scheme()).ok_or(KeyError::Kind)?;
        Ok((algorithm, signer.sign(message).map_err(KeyError::Refused)?))
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A string takes whatever is written.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Bytes from hexadecimal digits, if they are that.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        // Only upper case is left.
        other => other.wrapping_sub(b'A').wrapping_add(10),
    };
    let byte = |pair: &[u8]| pair.iter().fold(0_u8, |byte, digit| (byte << 4) | value(*digit));
    Some(digits.chunks(2).map(byte).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_bytes_are_each_others() {
        for bytes in [&b""[..], b"\x00\xff\x1a", b"abc"] {
            assert_eq!(from_hex(&hex(bytes)).as_deref(), Some(bytes));
            assert_eq!(from_hex(&hex(bytes).to_uppercase()).as_deref(), Some(bytes));
        }
        for bad in ["a", "0g", "\u{e9}", "+1", "0x00"] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = KeyDigest::of(b"a key");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        let digits = digest.to_string().replace(SHA256_PREFIX, "");
        for bad in [digits.as_str(), "sha256:", "sha256:00", "sha1:00", "", "SHA256:00"] {
            assert_eq!(bad.parse::<KeyDigest>(), Err(NotADigest), "{bad}");
        }
    }
}
