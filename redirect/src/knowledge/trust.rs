//! Whom a reader believes, and what it refuses.
//!
//! What is refused: forms, keys, signatures, other clusters and services, times; in this order, and
//! age at last, so that an error names what is worst. The document is parsed before the signature
//! is looked at, within bounds and by a parser that is fuzzed; nothing in it counts before.
//!
//! Trust rolls on: a document that is believed may name the keys that sign from now on. The list
//! with the highest log index holds, whichever service brought it. A key that left the list signs
//! nothing any more, for those who have seen a list without it; who has not seen one yet believes
//! it still, as nobody told them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::document::{Order, Stamp};
use super::envelope::{Envelope, LONGEST, Malformed};
use super::key::KeyDigest;

/// How far a reader's clock may be off. Two minutes is what a machine without time service may
/// reach in some weeks; a document's life is longer than this by far.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);

/// A document is not believed. What was known before still is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is too long, has another form, or says what no document may say.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Nobody here trusts its key.
    #[error(
        "it is signed with {key}, which is not trusted; if the cluster got new keys while this \
         machine was away, add it to `trust`"
    )]
    Untrusted {
        /// The key.
        key: KeyDigest,
    },
    /// It was changed after it was signed, or never was.
    #[error("its signature is not that of its key: it was changed on its way, or is forged")]
    BadSignature,
    /// It is of another cluster.
    #[error("it is of cluster {found}, not of {expected}; look at the addresses that are watched")]
    OtherCluster {
        /// The one that is meant, as the reader names it.
        expected: String,
        /// The one that it is of: its identity and its name.
        found: String,
    },
    /// It is about another service.
    #[error("it is about service {found}, and {expected} was asked for")]
    OtherService {
        /// The one that was asked for.
        expected: String,
        /// The one it is about.
        found: String,
    },
    /// Its time has not come.
    #[error("it was issued at {issued}, and it is {now} here; look at both clocks")]
    NotYet {
        /// When it was made.
        issued: Stamp,
        /// The time here.
        now: Stamp,
    },
    /// Its time is over.
    #[error("it was valid until {valid_until}, and it is {now} here: its server got nothing newer")]
    Expired {
        /// Until when it was valid.
        valid_until: Stamp,
        /// The time here.
        now: Stamp,
    },
    /// Something newer is known.
    #[error("it is older ({found}) than what is known ({known})")]
    Older {
        /// The order of what is known.
        known: Order,
        /// Its own.
        found: Order,
    },
}

/// What is asked of a document beside its signature.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The service that was asked for.
    pub service: &'a str,
    /// What is known of it.
    pub known: Option<Order>,
    /// The time here.
    pub now: Stamp,
}

/// What a believed document is to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It is newer than what is known.
    New,
    /// It is what is known.
    Same,
}

/// The keys that a reader believes, and the cluster that it believes them about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The cluster: its identity in 32 hexadecimal digits, or its name.
    cluster: String,
    /// What the operator wrote.
    written: BTreeSet<KeyDigest>,
    /// What a document brought since.
    brought: Option<Brought>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Brought {
    /// The log index first: it is the cluster's, while an epoch is of one service's assignment.
    sequence: u64,
    issued: Stamp,
    signers: BTreeSet<KeyDigest>,
}

impl Trust {
    /// As the operator writes it: the cluster's identity or name, and the keys.
    #[must_use]
    pub fn new(cluster: &str, keys: impl IntoIterator<Item = KeyDigest>) -> Self {
        let written = keys.into_iter().collect();
        Self { cluster: cluster.to_owned(), written, brought: None }
    }

    /// Goes on from what was kept, unless the operator wrote something else since: his word is
    /// the last, and trust begins anew with it.
    #[must_use]
    pub fn or_kept(self, kept: Self) -> Self {
        if self.cluster == kept.cluster && self.written == kept.written { kept } else { self }
    }

    /// Whether a document has brought other keys than the operator wrote.
    #[must_use]
    pub fn has_rolled_on(&self) -> bool {
        self.brought.is_some()
    }

    /// The keys that are believed now.
    pub fn keys(&self) -> impl Iterator<Item = KeyDigest> {
        let keys = self.brought.as_ref().map_or(&self.written, |brought| &brought.signers);
        keys.iter().copied()
    }

    /// Whether that key is believed now.
    #[must_use]
    pub fn has(&self, key: KeyDigest) -> bool {
        self.brought.as_ref().map_or(&self.written, |brought| &brought.signers).contains(&key)
    }

    /// Reads what a server said of a service.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn read(
        &self,
        bytes: &[u8],
        expected: Expected<'_>,
    ) -> Result<(Envelope, Novelty), Refusal> {
        if bytes.len() > LONGEST {
            let text = format!("{} bytes, and {LONGEST} is the most", bytes.len());
            return Err(Malformed(text).into());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("it is no text".to_owned()))?;
        let envelope: Envelope = text.parse()?;
        let novelty = self.verify(&envelope, expected)?;
        Ok((envelope, novelty))
    }

    /// Whether a document is believed, and whether it is news.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn verify(&self, envelope: &Envelope, expected: Expected<'_>) -> Result<Novelty, Refusal> {
        let key = envelope.signer();
        if !self.has(key) {
            return Err(Refusal::Untrusted { key });
        }
        if !envelope.is_signed() {
            return Err(Refusal::BadSignature);
        }
        let document = envelope.document();
        let cluster = &document.cluster;
        if self.cluster != cluster.id && self.cluster != cluster.name {
            return Err(Refusal::OtherCluster {
                expected: self.cluster.clone(),
                found: format!("{} ({})", cluster.id, cluster.name),
            });
        }
        if document.service != expected.service {
            return Err(Refusal::OtherService {
                expected: expected.service.to_owned(),
                found: document.service.clone(),
            });
        }
        let (now, issued) = (expected.now, document.order.issued);
        if issued > now.after(CLOCK_TOLERANCE) {
            return Err(Refusal::NotYet { issued, now });
        }
        let valid_until = document.valid_until;
        if valid_until.after(CLOCK_TOLERANCE) < now {
            return Err(Refusal::Expired { valid_until, now });
        }
        match expected.known {
            Some(known) if document.order < known => {
                Err(Refusal::Older { known, found: document.order })
            }
            Some(known) if document.order == known => Ok(Novelty::Same),
            Some(_) | None => Ok(Novelty::New),
        }
    }

    /// Takes over the keys that a believed document names. Whether that changed anything.
    pub fn roll_on(&mut self, envelope: &Envelope) -> bool {
        let document = envelope.document();
        let order = (document.order.sequence, document.order.issued);
        let newest = self.brought.as_ref().map(|it| (it.sequence, it.issued));
        if document.signers.is_empty() || newest.is_some_and(|newest| order <= newest) {
            return false;
        }
        let before: BTreeSet<_> = self.keys().collect();
        let signers: BTreeSet<_> = document.signers.iter().copied().collect();
        let changed = before != signers;
        self.brought = Some(Brought { sequence: order.0, issued: order.1, signers });
        changed
    }
}
