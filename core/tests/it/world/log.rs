//! What the model of the log keeps and sends.

use std::collections::BTreeSet;

use stead_core::id::{Index, NodeId, Term};
use stead_core::lease::{LogTail, VoterSets};
use stead_core::node::{Event, Fate};
use stead_core::state::{Change, Outcome, State};

use super::Shared;

/// What a member keeps through a crash.
#[derive(Default)]
pub struct Disk {
    pub term: Term,
    pub voted: Option<NodeId>,
    pub log: Shared<Vec<Entry>>,
    pub committed: usize,
}

impl Disk {
    pub fn new(log: Vec<Entry>) -> Self {
        let committed = log.len();
        Self { term: Term(1), voted: None, log: Shared::new(log), committed }
    }

    pub fn tail(&self) -> LogTail {
        let term = self.log.last().map(|entry| entry.term).unwrap_or_default();
        LogTail { term, index: Index(self.log.len() as u64) }
    }

    /// The voters by the newest membership in the log, committed or not.
    pub fn voters(&self) -> VoterSets {
        let newest = self.log.iter().rev().find_map(|entry| match &*entry.payload {
            Payload::Voters(voters) => Some(vec![voters.clone()]),
            Payload::Blank | Payload::Change(_) => None,
        });
        newest.unwrap_or_default()
    }
}

#[derive(Clone)]
pub struct Entry {
    pub term: Term,
    payload: Shared<Payload>,
}

pub enum Payload {
    Blank,
    Change(Change),
    Voters(BTreeSet<NodeId>),
}

impl Entry {
    pub fn new(term: Term, payload: Payload) -> Self {
        Self { term, payload: Shared::new(payload) }
    }

    pub fn voters(term: Term, voters: BTreeSet<NodeId>) -> Self {
        Self::new(term, Payload::Voters(voters))
    }

    pub fn change(term: Term, change: Change) -> Self {
        Self::new(term, Payload::Change(change))
    }

    /// Applies it to a state.
    pub fn apply(&self, state: &mut State, index: Index) -> Outcome {
        match &*self.payload {
            Payload::Change(change) => state.apply(index, change.clone()),
            Payload::Blank | Payload::Voters(_) => {
                state.applied = index;
                Outcome::Done
            }
        }
    }

    pub fn event(&self, index: Index) -> Event {
        let change = match &*self.payload {
            Payload::Change(change) => Some(change.clone()),
            Payload::Blank | Payload::Voters(_) => None,
        };
        Event::Applied { index, term: self.term, change }
    }
}

/// What members say to each other.
#[derive(Clone)]
pub enum Rpc {
    Vote { term: Term, tail: LogTail },
    Granted { term: Term },
    Append { term: Term, log: Shared<Vec<Entry>>, commit: usize, read: u64 },
    Acked { term: Term, length: usize, read: u64 },
    Behind { term: Term },
    Propose { ticket: u64, run: u64, change: Change },
    Fate { ticket: u64, run: u64, fate: Fate },
    Read { run: u64 },
    ReadAt { run: u64, index: usize },
    Campaign(NodeId),
    Voter { node: NodeId, on: bool },
}
