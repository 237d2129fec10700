//! What the server keeps: of each cluster, and of each token.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::quorum::register::Register;

use super::wire::Members;
use crate::journal::{stamp_of, wall};

/// A time of the wall clock, in whole seconds since 1970. Nothing that is granted depends on it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Moment(pub u64);

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(wall())
    }

    /// That much later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// As people read it, RFC 3339 in UTC.
    #[must_use]
    pub fn stamp(self) -> String {
        stamp_of(self.0)
    }
}

/// Why a register does not know what was granted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The cluster was enrolled, and no coordinator has said since where its state stands.
    Enrolled,
    /// It was enrolled once more.
    EnrolledAgain,
    /// The register came back from a backup.
    Restored,
    /// A node knew of a later grant than the register: it is an old copy.
    Behind,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name, for people.
    pub name: String,
    /// Who may ask.
    pub members: Members,
    /// Its register.
    pub register: Register,
    /// Nothing is answered any more.
    pub revoked: bool,
    /// When it was enrolled last.
    pub enrolled: Moment,
    /// Why the register was distrusted last.
    pub cause: Cause,
}

/// What may be lost in a crash: for people only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// When a member was last heard, if one was.
    pub last: Option<Moment>,
    /// Questions for a grant that were answered with one.
    pub granted: u64,
    /// Questions for a grant that were answered with none.
    pub refused: u64,
}

/// What became of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenState {
    /// It can be used.
    Open,
    /// It was used.
    Used,
    /// The operator took it back.
    Revoked,
}

/// One token, known by the digest of its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// The name that the operator gave it, if any: the cluster's in lists.
    pub name: Option<String>,
    /// When it ends.
    pub expires: Moment,
    /// What became of it.
    pub state: TokenState,
}
