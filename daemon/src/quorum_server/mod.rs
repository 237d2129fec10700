//! The quorum server: one small process on a third machine that breaks the ties of many clusters.
//!
//! For each cluster it keeps a [register](stead_core::quorum::register), and puts its nodes'
//! questions to it. It knows clusters by their random ids and the keys of their members; it has no
//! configuration for any of them.
//!
//! ```text
//!  node ── TLS 1.3, keys pinned ──▶ server ─▶ table ─▶ ledger ── one commit for many ──▶ disk
//!                                   │   ▲      (rules)     │
//!        admission: so many, so fast┘   └── the answer ◀───┘ when it is written
//!  operator ── Unix socket ──▶ admin
//! ```
//!
//! **Happy path.** The operator makes a one-time [token]; a node shows it and the cluster is
//! enrolled. Its nodes keep a connection and say once a second that they are there. A coordinator
//! tells where the cluster's state stands and who the members are; after a split, each half asks,
//! and one is granted. Every answer waits until what it rests on is on the disk (`ledger`).
//!
//! **Failures.** A crash forgets nothing that was answered. A disk that fails ends the process, and
//! nothing is answered any more. A register that is new, came [back from a copy](backup) or is
//! behind what a node knows grants nothing until a coordinator has answered its challenge. A client
//! that is slow, silent, too fast or writes nonsense loses its own connection (`server`,
//! `admission`); what one may cost is bounded by name in [`limits`]. Who was revoked or removed is
//! cut off at once.
//!
//! **Absent on purpose:** any decision (the register makes it), clocks (a token's end apart, which
//! grants nothing), names of machines, certificates and their dates, a configuration file, and a
//! way to break a tie by hand: that is for the cluster's operator, not for the server's.

mod admin;
mod admission;
pub mod backup;
pub mod ledger;
pub mod limits;
pub mod numbers;
mod record;
mod registry;
pub mod report;
mod run;
mod server;
pub mod store;
pub mod table;
#[cfg(test)]
mod tests;
pub mod token;
mod turns;
pub mod wire;

use std::path::{Path, PathBuf};

pub use admin::{AdminRequest, BackupAnswer, DoneAnswer, EnrolAnswer, LONGEST_TTL};
pub use record::{Cause, Moment};
pub use run::{RunError, RunOptions, run};

/// The port of a quorum server that names none: the one after a link's.
pub const DEFAULT_PORT: u16 = crate::config::DEFAULT_PORT + 1;
/// Where a server keeps everything, unless the operator says otherwise.
pub const DEFAULT_FOLDER: &str = "/var/lib/stead-quorum";

/// The folder of the server's key.
const KEYS: &str = "keys";
/// The lock that two servers, or a server and a restore, can't both hold.
const LOCK: &str = "lock";

/// The socket of the operator's questions.
#[must_use]
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("admin.sock")
}
