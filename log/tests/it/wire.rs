//! The messages between nodes as an onlooker reads them: the same layout, written down again.
//!
//! A change of the crate's own layout makes these tests fail, which is meant: it would make two
//! releases misunderstand each other.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stead_core::id::NodeId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    pub term: u64,
    pub candidate: NodeId,
    pub committed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub term: u64,
    pub index: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Membership {
    pub voters: Vec<BTreeSet<NodeId>>,
    pub members: BTreeSet<NodeId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub position: Position,
    pub change: Option<Vec<u8>>,
    pub membership: Option<Membership>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    pub last: Option<Position>,
    pub membership_at: Option<Position>,
    pub membership: Membership,
    pub state: Vec<u8>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    Append {
        vote: Vote,
        previous: Option<Position>,
        entries: Vec<Entry>,
        committed: Option<Position>,
    },
    Vote {
        vote: Vote,
        last: Option<Position>,
        transfer: bool,
    },
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
    ReadIndex {
        within_millis: u64,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    Append(Appended),
    Vote { vote: Vote, granted: bool, last: Option<Position>, reserved: Vec<u8> },
    Snapshot { vote: Vote },
    Transfer(Transferred),
    ReadIndex(Result<u64, NotRead>),
    Failed(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Appended {
    All,
    UpTo(Option<Position>),
    Conflict,
    HigherVote(Vote),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Transferred {
    Done,
    VoteChanged { _expected: Vote, _actual: Vote },
    NotFlushed { _expected: Option<Position>, _actual: Option<Position> },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum NotRead {
    NotLeader { _leader: Option<NodeId> },
    NoQuorum,
    Stopped,
}

/// A message as one node sends it to another.
pub fn write<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_extend(message, vec![1]).expect("a plain structure")
}

/// Reads a message or a record on disk.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> T {
    let (version, body) = bytes.split_first().expect("a version byte");
    assert_eq!(*version, 1, "the layout of version 1 is read here");
    let (value, rest) = postcard::take_from_bytes(body).expect("the layout is the crate's");
    assert!(rest.is_empty(), "{} bytes too many", rest.len());
    value
}
