//! The local API: what the command line asks the daemon, over a Unix socket.
//!
//! A client writes one request a line, `{"v":1,"do":"status"}`, and gets one answer a line,
//! `{"v":1,"ok":…}` or `{"v":1,"error":{"message":…,"changed":…,"next":…}}`. `events` and a watched
//! `status` answer with many lines: `{"v":1,"item":…}`, and at the end `{"v":1,"end":true}`.
//!
//! The happy path: [`serve`] makes the socket, `server` reads lines, `requests` turns each into a
//! look at the picture or a change that the driver submits, and `report` says in which form the
//! picture is shown. [`client`] is the other end. [`join`] is the door for new members, and
//! [`token`] what opens it.
//!
//! Failures: who may not use the socket can't open it (mode 0660 for the group `stead`, else 0600).
//! A client that sends garbage gets an answer and keeps its connection; one that sends too much, or
//! reads too slowly, loses it, and no other client notices. Of a change whose fate is not known the
//! answer says so (`"changed":"unknown"`).
//!
//! Deliberately absent: TCP, HTTP and roles (they come later), any state of its own, and the
//! operator's file: `cluster.toml` is read by the command line, and the truth is in the log.

pub mod client;
mod disarm;
mod enrol;
pub(crate) mod expected;
mod features;
pub mod fence;
pub mod halt;
pub mod join;
mod links;
pub mod lower;
pub mod message;
mod moves;
mod outage;
mod overrule;
mod placed;
mod plans;
pub mod redirect;
pub mod register;
pub mod rehearse;
pub mod report;
mod requests;
mod revised;
mod server;
mod services;
pub(crate) mod socket;
#[cfg(test)]
pub(crate) mod tests;
pub mod token;

use std::sync::Arc;

use stead_log::transport::Identity;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::driver::handle::Handle;
use crate::driver::rehearse::Rehearsals;
use crate::journal::Journal;
use crate::layers::observe::{Eyes, Observers};
use crate::metrics::Metrics;
use crate::paths::Paths;
use crate::revisions::Revisions;

pub use socket::ServeError;

/// What every connection works with.
struct Desk {
    handle: Handle,
    journal: Journal,
    metrics: Metrics,
    key: Identity,
    rehearsals: Rehearsals,
    revisions: Revisions,
    /// What this node sees, and the way to ask others.
    eyes: Eyes,
    observers: Observers,
}

impl Desk {
    /// The digest of this node's public key.
    fn own_key(&self) -> [u8; 32] {
        self.key.key().0
    }
}

/// Serves the API until `shutdown` is true or its sender is gone; the task that is returned ends
/// then. `key` is this node's own, `rehearsals` those that the whole daemon makes. Must be called
/// inside a tokio runtime.
///
/// # Errors
/// The socket can't be made; nothing is served then.
pub fn serve(
    paths: &Paths,
    key: Identity,
    (handle, journal, metrics): (Handle, Journal, Metrics),
    rehearsals: Rehearsals,
    (eyes, observers): (Eyes, Observers),
    shutdown: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, ServeError> {
    let listener = socket::listen(&paths.api_socket(), socket::Access::Group)?;
    let revisions = Revisions::new(paths.revisions());
    revisions.follow(handle.clone());
    let desk = Desk { handle, journal, metrics, key, rehearsals, revisions, eyes, observers };
    let desk = Arc::new(desk);
    Ok(tokio::spawn(async move { server::run(listener, &desk, shutdown).await }))
}
