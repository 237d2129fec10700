//! Clients of a service that moved learn that their TCP connections are gone.
//!
//! # What it is for
//! The address moves, the connections to it do not. Who sends to the new holder gets a reset from
//! its kernel at once; who only waits for data would wait until its own keep-alive. So the holder
//! tells the other nodes who is connected, and whoever claims the address asks each of those
//! clients for a sign of life, to which its own kernel answers with the reset (`stead_linux::tcp`).
//!
//! # Happy path
//! ```text
//! holder:     four times a second   list ─▶ what is new and what is gone ─▶ the other daemons
//! the others: keep the newest list of each service, from the node that the state gives it to
//! new holder: address announced ─▶ ask ─▶ 0.6 s ─▶ ask ─▶ 2 s ─▶ ask ─▶ forget
//! ```
//! The second and third time are for segments that were lost, and for clients that answer such a
//! question at most twice a second (Linux: `tcp_invalid_ratelimit`). Segments leave by the
//! service's address and through the lease gate, so only while this node may answer for it.
//!
//! # Failures
//! A list that was not taken is told as a whole the next time; a daemon before 0.3 is told nothing.
//! Connections younger than the last list are not known: such a client learns when it sends, or by
//! its keep-alive. So does one behind a packet filter that drops what is out of its window.
//!
//! # Bounds
//! [`MOST`] connections of a service; those beyond it are not told. [`BURST`] segments every 10 ms.
//! Listing takes at most a four-hundredth of one processor, however many connections there are.
//!
//! # Safety
//! Nothing here decides anything. Only members' daemons are heard, each only about services that
//! the state gives to it, and only about addresses of those. A connection that this node's own
//! kernel knows is not asked; were it asked, nothing would be reset.
//!
//! # Deliberately absent
//! Resets made by ourselves, with numbers that were guessed. A switch to turn it off: whoever sends
//! learns the same without it.

mod known;
mod reset;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use stead_core::id::{Epoch, ServiceId};
use stead_linux::tcp::Connection;

pub use known::Known;
pub use reset::Resets;
pub use tell::{Others, tell};

/// How many connections of one service are told.
pub const MOST: usize = 10_000;
/// How many clients are asked at once, before a pause of 10 ms.
const BURST: usize = 200;

/// The two ends of a connection: the service's and the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ends(SocketAddr, SocketAddr);

impl From<Connection> for Ends {
    fn from(Connection { local, remote }: Connection) -> Self {
        Self(local, remote)
    }
}

impl From<Ends> for Connection {
    fn from(Ends(local, remote): Ends) -> Self {
        Self { local, remote }
    }
}

/// All connections of a service.
pub type List = BTreeSet<Ends>;

/// What a holder tells of a service's connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The service.
    pub service: ServiceId,
    /// Under which assignment.
    pub epoch: Epoch,
    /// The number of the list that this makes. They count up as long as the holder's daemon runs.
    pub number: u64,
    /// The number of the list that it builds upon; nothing: it is the whole list.
    pub base: Option<u64>,
    /// What is new in it.
    pub added: Vec<Ends>,
    /// What is in it no longer.
    pub gone: Vec<Ends>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taken {
    /// It is known there now.
    Known,
    /// The list that it builds upon is not known there, or not yet that the service is the
    /// teller's: the whole is wanted.
    Behind,
}
