//! The messages of consensus, in our own form, and the two ends that speak it.
//!
//! [`client`] turns what openraft wants to send into a [`Request`] and hands its bytes to the
//! network; [`server`] turns arriving bytes into calls of the local openraft. Every message of
//! openraft to another node goes through one place, `client::Peer::ask`: whoever has to answer in
//! the place of an absent voter does it there.
//!
//! **Failures.** What can't be decoded is answered with [`Response::Failed`] and counts as an
//! unreachable node on the other side; a message of another release is refused in the same way.
//!
//! **Deliberately absent**: retries and ordering. openraft sends again what it still needs, and
//! judges each message by its term.

pub(crate) mod client;
pub(crate) mod server;

use serde::{Deserialize, Serialize};
use stead_core::id::NodeId;

use crate::record::{Entry, Position, Snapshot, Vote};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Append {
        vote: Vote,
        previous: Option<Position>,
        entries: Vec<Entry>,
        committed: Option<Position>,
    },
    /// Asks for a vote. `transfer` lets it override the lease of the present leader.
    Vote {
        vote: Vote,
        last: Option<Position>,
        transfer: bool,
    },
    /// Asks whether a vote would be given.
    PreVote {
        vote: Vote,
        last: Option<Position>,
        transfer: bool,
    },
    Snapshot {
        vote: Vote,
        snapshot: Snapshot,
    },
    Transfer {
        from: Vote,
        to: NodeId,
        last: Option<Position>,
    },
    /// Asks the leader up to where a reader must have applied.
    ReadIndex {
        within_millis: u64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Response {
    Append(Appended),
    /// `reserved` is empty: release 0.1.0 has a field there and could not read a vote without it.
    Vote {
        vote: Vote,
        granted: bool,
        last: Option<Position>,
        reserved: Vec<u8>,
    },
    Snapshot {
        vote: Vote,
    },
    Transfer(Transferred),
    ReadIndex(Result<u64, NotRead>),
    /// The request could not be read or carried out; for people.
    Failed(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Appended {
    All,
    UpTo(Option<Position>),
    Conflict,
    HigherVote(Vote),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Transferred {
    Done,
    VoteChanged { expected: Vote, actual: Vote },
    NotFlushed { expected: Option<Position>, actual: Option<Position> },
}

/// Why the node that was asked for a read index has none to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NotRead {
    NotLeader { leader: Option<NodeId> },
    NoQuorum,
    Stopped,
}
