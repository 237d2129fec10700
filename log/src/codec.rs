//! One byte of version, then postcard: the form of what we write to disk or wire.
//!
//! The structures so written are ours (here: `record.rs`); nothing of openraft's own layout gets
//! out.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The version this build writes, and the only one it reads.
pub(crate) const VERSION: u8 = 1;

/// Why bytes from disk or wire could not be read. Nothing was changed.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Not even a version byte.
    #[error("empty record")]
    Empty,
    /// Written by another release.
    #[error("record of version {found}, this build reads version {known}: upgrade this node")]
    Version {
        /// The version byte found.
        found: u8,
        /// The version this build knows.
        known: u8,
    },
    /// The bytes are damaged or were never a record of this kind.
    #[error("damaged record")]
    Malformed(#[source] postcard::Error),
    /// A whole record, and then something else.
    #[error("{0} bytes behind the end of the record")]
    Trailing(usize),
    /// Readable, but the values contradict each other.
    #[error("contradictory record: {0}")]
    Contradiction(String),
}

/// The bytes of `value`, with the version in front. For plain derived structures only.
///
/// # Panics
/// `value` is none: a sequence of unknown length, or an implementation of `Serialize` that refuses.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_as(VERSION, value)
}

/// The same with a version of the caller's own.
///
/// # Panics
/// As [`encode`] does.
#[must_use]
pub fn encode_as<T: Serialize>(version: u8, value: &T) -> Vec<u8> {
    // Postcard can refuse only sequences of unknown length and custom errors of `Serialize`
    // implementations; our records are plain derived structures and have neither.
    postcard::to_extend(value, vec![version]).expect("a plain structure can be encoded")
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode_as(VERSION, bytes)
}

/// Reads what [`encode_as`] wrote with that version.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_as<T: DeserializeOwned>(known: u8, bytes: &[u8]) -> Result<T, DecodeError> {
    let (&found, body) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if found != known {
        return Err(DecodeError::Version { found, known });
    }
    let (value, rest) = postcard::take_from_bytes(body).map_err(DecodeError::Malformed)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::Trailing(rest.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_anything_else_is_refused() {
        let bytes = encode(&(7u64, "seven".to_string()));
        assert_eq!(decode::<(u64, String)>(&bytes).unwrap(), (7, "seven".to_string()));
        assert!(matches!(decode::<u64>(&[]), Err(DecodeError::Empty)));
        assert!(matches!(decode::<u64>(&[9, 1]), Err(DecodeError::Version { found: 9, known: 1 })));
        assert!(matches!(decode::<(u64, String)>(&bytes[..4]), Err(DecodeError::Malformed(_))));
        assert!(matches!(decode::<u64>(&[1, 5, 5]), Err(DecodeError::Trailing(1))));
    }
}
