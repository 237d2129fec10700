//! A document with its signature, in one text that any web server can hand out as a file.
//!
//! ```text
//! stead-where 1
//! key: 302a300506032b6570032100...          the signer's public key (RFC 5280), hexadecimal
//! algorithm: ed25519
//! signature: 5f0e...                        over the first line and the last
//!
//! {"version":1,"cluster":{"id":"...","name":"shop"},"service":"web",...}
//! ```
//! What is signed is the first line and the document as it stands, byte for byte: nobody has to
//! agree with anybody on how JSON is written. The document is the last line, for people.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use thiserror::Error;

use super::document::Document;
use super::key::{Algorithm, Key, KeyDigest, KeyError, from_hex, hex};

/// The longest envelope, in bytes: a thousand signers and all addresses have room in it.
pub const LONGEST: usize = 128 * 1024;
/// The first line. It is signed as well, so that no other text that a node signs can stand here.
const FIRST: &str = "stead-where 1";
/// How much of the digest tells envelopes apart, in bytes.
const TAG: usize = 16;

/// Why a text is no envelope, in words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("it is not a signed document: {0}")]
pub struct Malformed(pub(super) String);

/// The document was not signed; nothing was changed.
#[derive(Debug, Error)]
pub enum SignError {
    /// It says what no document may say.
    #[error("such a document may not be signed: {0}")]
    Document(String),
    /// It has no form in JSON.
    #[error("the document can't be written")]
    Form(#[source] serde_json::Error),
    /// The key refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It is too long for any reader.
    #[error("the document has {0} bytes, and {LONGEST} is the most that is read")]
    TooLong(usize),
}

/// A signed document as it travels. Whether anybody trusts it is another matter:
/// [`Trust::verify`](super::Trust::verify).
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    text: String,
    public: Vec<u8>,
    algorithm: Algorithm,
    signature: Vec<u8>,
    document: Document,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({}: {})", self.document.service, self.document.order)
    }
}

impl Envelope {
    /// Signs a document.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn sign(document: &Document, key: &Key) -> Result<Self, SignError> {
        document.check().map_err(SignError::Document)?;
        let body = serde_json::to_string(document).map_err(SignError::Form)?;
        let (algorithm, signature) = key.sign(signed(&body).as_bytes())?;
        let public = key.public().to_vec();
        let text = format!(
            "{FIRST}\nkey: {}\nalgorithm: {}\nsignature: {}\n\n{body}\n",
            hex(&public),
            algorithm.name(),
            hex(&signature)
        );
        if text.len() > LONGEST {
            return Err(SignError::TooLong(text.len()));
        }
        Ok(Self { text, public, algorithm, signature, document: document.clone() })
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says, whoever signed it.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The key that it claims to be signed with.
    #[must_use]
    pub fn signer(&self) -> KeyDigest {
        KeyDigest::of(&self.public)
    }

    /// What differs wherever the text differs: an entity tag (RFC 9110 section 8.8.3) without its
    /// quotes.
    #[must_use]
    pub fn tag(&self) -> String {
        let whole = digest(&SHA256, self.text.as_bytes());
        hex(whole.as_ref().get(..TAG).unwrap_or_default())
    }

    /// Whether the key in it made its signature.
    pub(super) fn is_signed(&self) -> bool {
        let Some(body) = body_of(&self.text) else { return false };
        self.algorithm.verifies(&self.public, signed(body).as_bytes(), &self.signature)
    }
}

fn signed(body: &str) -> String {
    format!("{FIRST}\n{body}")
}

fn body_of(text: &str) -> Option<&str> {
    let (_, body) = text.split_once("\n\n")?;
    Some(body.strip_suffix('\n').unwrap_or(body))
}

impl FromStr for Envelope {
    type Err = Malformed;

    /// Reads the form alone; nothing of it is proved yet.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = |what: &str| Malformed(what.to_owned());
        if text.len() > LONGEST {
            return Err(Malformed(format!("{} bytes, and {LONGEST} is the most", text.len())));
        }
        let (head, _) = text.split_once("\n\n").ok_or_else(|| wrong("it has no empty line"))?;
        let body = body_of(text).ok_or_else(|| wrong("it has no document"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST) {
            return Err(Malformed(format!("its first line is not `{FIRST}`")));
        }
        let mut field = |name: &str| {
            let line = lines.next().and_then(|line| line.strip_prefix(name));
            let value = line.and_then(|line| line.strip_prefix(": "));
            value.ok_or_else(|| Malformed(format!("`{name}: ` is missing in its place")))
        };
        let (key, algorithm, signature) = (field("key")?, field("algorithm")?, field("signature")?);
        if lines.next().is_some() {
            return Err(wrong("it has more lines before the document than are known"));
        }
        // A line break would be legal in JSON, and would not be in one line of an event.
        if body.contains(['\n', '\r']) {
            return Err(wrong("the document has several lines"));
        }
        let public = from_hex(key).ok_or_else(|| wrong("its key is not hexadecimal"))?;
        let algorithm = Algorithm::named(algorithm).ok_or_else(|| wrong("its algorithm"))?;
        let signature = from_hex(signature);
        let signature = signature.ok_or_else(|| wrong("its signature is not hexadecimal"))?;
        let document: Document =
            serde_json::from_str(body).map_err(|error| Malformed(error.to_string()))?;
        document.check().map_err(Malformed)?;
        Ok(Self { text: text.to_owned(), public, algorithm, signature, document })
    }
}
