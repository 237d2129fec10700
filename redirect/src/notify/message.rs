//! What is said.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;

use crate::knowledge::{Stamp, hex};

/// How much of a digest tells messages apart, in bytes.
const ID: usize = 16;

/// Something that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is about, as a word for programs: `moved`, `file-failed`.
    pub kind: String,
    /// One line for people.
    pub subject: String,
    /// All of it, for people.
    pub text: String,
    /// The same for programs. Names are of a to z, 0 to 9 and `-`.
    pub fields: BTreeMap<String, String>,
    /// When it happened.
    pub at: Stamp,
}

/// As programs and webhooks get it.
#[derive(Debug, Serialize)]
struct Told<'a> {
    id: String,
    kind: &'a str,
    subject: &'a str,
    text: &'a str,
    fields: &'a BTreeMap<String, String>,
    at: Stamp,
}

impl Message {
    /// A message of the present.
    #[must_use]
    pub fn new(kind: &str, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            subject: subject.into(),
            text: text.into(),
            fields: BTreeMap::new(),
            at: Stamp::now(),
        }
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// The same message has the same, however often it is tried.
    #[must_use]
    pub fn id(&self) -> String {
        let whole = format!("{self:?}");
        hex(digest(&SHA256, whole.as_bytes()).as_ref().get(..ID).unwrap_or_default())
    }

    /// As an object of JSON, on one line.
    #[must_use]
    pub fn json(&self) -> String {
        let told = Told {
            id: self.id(),
            kind: &self.kind,
            subject: &self.subject,
            text: &self.text,
            fields: &self.fields,
            at: self.at,
        };
        // Texts and their maps have a form in JSON.
        serde_json::to_string(&told).unwrap_or_default()
    }

    /// The subject as one line that no header is broken by.
    pub(super) fn line(&self) -> String {
        self.subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}
