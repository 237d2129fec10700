//! What runs on clients' machines: it learns where services are, and tells the programs there.
//!
//! # What it is for
//! Programs that find a service by a file (a proxy's upstream, a pool's list of hosts, an entry of
//! `/etc/hosts`) follow its moves: the agent watches several servers at once, keeps the newest
//! document that it believes, writes files out of templates and has the programs read them anew. A
//! program that reads its file only when it starts gets a `reload` that restarts it.
//!
//! # Happy path
//! ```text
//! node1 ──stream──▶ ┐                                     ┌─▶ file: render, check, replace, reload
//! node2 ──stream──▶ ├─▶ believed? newer? ─▶ kept on disk ─┼─▶ file: ...
//! files ──polled──▶ ┘     (knowledge::Trust)              └─▶ notify, status.json
//! ```
//! [`run`](run()) does all of that until it is told to end; [`check`] looks at a configuration and
//! does nothing; [`status`] reads what a running agent says of itself.
//!
//! # Failures
//! - A server that is away is tried again with growing pauses; one that says something old, forged
//!   or foreign is refused, told as an event, and listened to further.
//! - A template that doesn't render, or a check that fails: the old file stays. A reload that fails
//!   or hangs: the old file comes back and is reloaded. Each is told, and tried again with growing
//!   pauses (a template may be repaired), and at once with the next document.
//! - The agent dies between replacing and reloading: the next one sees that what it finds was never
//!   reloaded, and reloads.
//! - A restart with old servers only: what was known is on the disk, and nothing older is believed.
//! - All servers are away: files stay as they are; what expires is told.
//!
//! # Deliberately absent
//! A user of its own for each command: what a service of the operator's should run as, its unit or
//! its command says. A document for a cluster that is not configured.

mod agent;
mod apply;
mod config;
mod events;
mod file;
#[cfg(test)]
mod fuzz;
mod known;
mod run;
mod status;
mod template;
#[cfg(test)]
mod tests;
mod watch;

pub use apply::ApplyError;
pub use config::{Config, ConfigError, FileSettings, Owner};
pub use known::KnownError;
pub use run::{RunError, check, run};
pub use status::{
    FileState, FileStatus, ServiceStatus, SourceState, SourceStatus, Status, StatusError, status,
};
