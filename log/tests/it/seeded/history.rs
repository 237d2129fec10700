//! What was seen from outside, and what of it must never be seen together.
//!
//! Everything that leaves a node, everything a machine applies and every answer a client gets comes
//! by here, and is judged at once. The first contradiction is kept and ends the run. All of it goes
//! into a hash: two runs of one seed must have the same.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use stead_core::id::NodeId;
use tokio::time::Instant;

use super::rng::mix;
use crate::wire::{Entry, Position};

/// What the client of a proposal was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Open,
    /// Committed, at this index.
    Committed(u64),
    /// Nothing was proposed.
    Refused,
    Unknown,
}

pub struct History {
    start: Instant,
    tell: bool,
    hash: u64,
    violation: Option<String>,
    pub counts: BTreeMap<&'static str, u64>,
    /// Whether disks are looked at whenever a node says something: thorough and slow.
    pub audit: bool,
    /// Who led in a term.
    leaders: BTreeMap<u64, NodeId>,
    /// Whom a node voted for in a term.
    votes: BTreeMap<(NodeId, u64), NodeId>,
    /// Every entry that was ever sent, and what stands before it.
    entries: BTreeMap<Position, (u64, Option<Position>)>,
    /// Committed entries by index: term and content.
    chosen: BTreeMap<u64, (u64, u64)>,
    /// The machine's state behind each committed change.
    states: BTreeMap<u64, u64>,
    /// Where a proposed change stands.
    places: BTreeMap<Vec<u8>, u64>,
    fates: BTreeMap<Vec<u8>, Fate>,
    /// The newest term that a node voted in or accepted a leader of, as others know it.
    promised: BTreeMap<NodeId, u64>,
    /// The newest term that a node's guard knows.
    learnt: BTreeMap<NodeId, u64>,
    shown: BTreeMap<NodeId, u64>,
    /// The last index that a life of a node was told of; nothing before its first event.
    told: BTreeMap<(NodeId, u64), u64>,
    failed: BTreeSet<(NodeId, u64)>,
    highest: u64,
    /// The newest grant that each node has applied.
    pub grants: BTreeMap<NodeId, u64>,
}

pub fn digest(value: &impl Hash) -> u64 {
    // Without keys, so the same in every process.
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn content(entry: &Entry) -> u64 {
    digest(&(&entry.change, &entry.membership))
}

impl History {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            tell: std::env::var_os("TRACE").is_some(),
            hash: 0,
            violation: None,
            counts: BTreeMap::new(),
            audit: false,
            leaders: BTreeMap::new(),
            votes: BTreeMap::new(),
            entries: BTreeMap::new(),
            chosen: BTreeMap::new(),
            states: BTreeMap::new(),
            places: BTreeMap::new(),
            fates: BTreeMap::new(),
            promised: BTreeMap::new(),
            learnt: BTreeMap::new(),
            shown: BTreeMap::new(),
            told: BTreeMap::new(),
            failed: BTreeSet::new(),
            highest: 0,
            grants: BTreeMap::new(),
        }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn violation(&self) -> Option<&String> {
        self.violation.as_ref()
    }

    pub fn highest(&self) -> u64 {
        self.highest
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// One line of the story.
    pub fn note(&mut self, text: &str) {
        let millis = self.start.elapsed().as_millis();
        self.hash = mix(self.hash ^ digest(&(millis, text)));
        if self.tell {
            println!("{millis:>6} {text}");
        }
    }

    /// Bytes that went over the network, into the hash only.
    pub fn bytes(&mut self, from: NodeId, to: NodeId, bytes: &[u8]) {
        let nanos = self.start.elapsed().as_nanos();
        self.hash = mix(self.hash ^ digest(&(nanos, from, to, bytes)));
    }

    pub fn wrong(&mut self, what: String) {
        self.note(&format!("WRONG: {what}"));
        self.violation.get_or_insert(what);
    }

    fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.wrong(what());
        }
    }

    /// `node` says that it leads, or sends entries.
    pub fn leads(&mut self, node: NodeId, term: u64) {
        let first = !self.leaders.contains_key(&term);
        let leader = *self.leaders.entry(term).or_insert(node);
        self.must(leader == node, || format!("term {term} is led by {leader} and by {node}"));
        if first {
            self.count("terms with a leader");
            self.note(&format!("node {node} leads term {term}"));
        }
    }

    pub fn learnt(&mut self, node: NodeId, term: u64) {
        let learnt = self.learnt.entry(node).or_default();
        *learnt = (*learnt).max(term);
    }

    /// Others know from now on that `node` is in `term`.
    pub fn promises(&mut self, node: NodeId, term: u64) {
        let learnt = self.learnt.get(&node).copied().unwrap_or_default();
        self.must(learnt >= term, || {
            format!("node {node} took part in term {term}, its guard knows {learnt}")
        });
        let promised = self.promised.entry(node).or_default();
        *promised = (*promised).max(term);
    }

    /// The newest term in which `node` promised something to others.
    pub fn promised(&self, node: NodeId) -> u64 {
        self.promised.get(&node).copied().unwrap_or_default()
    }

    pub fn votes(&mut self, node: NodeId, term: u64, candidate: NodeId) {
        let first = *self.votes.entry((node, term)).or_insert(candidate);
        self.must(first == candidate, || {
            format!("node {node} voted in term {term} for {first} and for {candidate}")
        });
        self.promises(node, term);
    }

    /// The same index and term is the same entry behind the same prefix.
    pub fn sends(&mut self, previous: Option<Position>, entries: &[Entry]) {
        let mut before = previous;
        for entry in entries {
            let now = (content(entry), before);
            let first = *self.entries.entry(entry.position).or_insert(now);
            let at = entry.position;
            self.must(first == now, || format!("{at:?} was sent with two contents"));
            before = Some(at);
        }
    }

    /// What `node` shows of its term.
    pub fn shows(&mut self, node: NodeId, term: u64) {
        let before = *self.shown.entry(node).or_insert(term);
        self.must(term >= before, || format!("node {node} went from term {before} to {term}"));
        self.shown.insert(node, term);
    }

    /// A machine applied a change and is in this state.
    pub fn applied(&mut self, node: NodeId, index: u64, change: &[u8], state: u64) {
        let first = *self.states.entry(index).or_insert(state);
        self.must(first == state, || format!("node {node} has another state at {index}"));
        let place = *self.places.entry(change.to_vec()).or_insert(index);
        let text = String::from_utf8_lossy(change).into_owned();
        // Each was handed over once, but for those that nobody is told the fate of.
        let once = self.fates.contains_key(change);
        self.must(!once || place == index, || format!("{text} stands at {place} and at {index}"));
        let fate = self.fates.get(change).copied().unwrap_or(Fate::Unknown);
        self.must(fate != Fate::Refused, || format!("{text} was refused, and is committed"));
        if let Fate::Committed(promised) = fate {
            self.must(promised == index, || format!("{text} was promised at {promised}"));
        }
        self.highest = self.highest.max(index);
    }

    /// A machine was set to a snapshot.
    pub fn restored(&mut self, node: NodeId, index: u64, state: u64) {
        let known = self.states.get(&index).copied();
        self.must(index == 0 || known == Some(state), || {
            format!("node {node} was set to a state at {index} that never was")
        });
    }

    /// The driver of `node`, in this life, was told of a committed entry.
    pub fn told(&mut self, node: NodeId, life: u64, index: u64, term: u64, content: u64) {
        let chosen = *self.chosen.entry(index).or_insert((term, content));
        self.must(chosen == (term, content), || {
            format!("node {node}: another entry is committed at {index}")
        });
        let before = self.told.insert((node, life), index);
        self.must(before.is_none_or(|before| before + 1 == index), || {
            format!("node {node} was told of {index} after {before:?}")
        });
        let later = self.chosen.range(index + 1..).next().map(|(_, (term, _))| *term);
        self.must(later.is_none_or(|later| later >= term), || {
            format!("the term of {index} is newer than that of a later entry")
        });
        self.highest = self.highest.max(index);
    }

    pub fn told_snapshot(&mut self, node: NodeId, life: u64, index: u64) {
        let before = self.told.insert((node, life), index);
        self.must(before.is_none_or(|before| before <= index), || {
            format!("node {node} was set back from {before:?} to {index}")
        });
        let highest = self.highest;
        self.must(index <= highest, || format!("a snapshot reaches to {index}, before {highest}"));
        self.count("snapshots restored");
    }

    pub fn told_failure(&mut self, node: NodeId, life: u64) {
        let first = self.failed.insert((node, life));
        self.must(first, || format!("node {node} failed twice in one life"));
    }

    pub fn hands_over(&mut self, change: &[u8]) {
        self.fates.insert(change.to_vec(), Fate::Open);
        self.count("proposals");
    }

    /// What the client was told; `outcome` with [`Fate::Committed`].
    pub fn answered(&mut self, change: &[u8], fate: Fate, outcome: u64) {
        let text = String::from_utf8_lossy(change).into_owned();
        self.note(&format!("{text}: {fate:?}"));
        self.fates.insert(change.to_vec(), fate);
        let place = self.places.get(change).copied();
        match fate {
            Fate::Open | Fate::Unknown => self.count("fates unknown"),
            Fate::Refused => {
                self.count("proposals refused");
                self.must(place.is_none(), || format!("{text} was refused and stands somewhere"));
            }
            Fate::Committed(index) => {
                self.count("proposals committed");
                self.must(place == Some(index), || format!("{text}: {place:?}, not {index}"));
                let state = self.states.get(&index).copied();
                self.must(state == Some(outcome), || format!("{text} has another outcome"));
            }
        }
    }

    /// A read that began when `floor` was the highest committed index.
    pub fn reads(&mut self, node: NodeId, floor: u64, index: u64) {
        self.count("reads");
        self.must(index >= floor, || format!("a read at {node} from {index}, not {floor}"));
    }

    /// The node is set back to an earlier time, to see what it would be: what was known of it is
    /// not held against it.
    pub fn forget(&mut self, node: NodeId) {
        self.promised.remove(&node);
        self.shown.remove(&node);
    }

    /// What clients were told of their proposals.
    pub fn fates(&self) -> impl Iterator<Item = (&Vec<u8>, Fate)> {
        self.fates.iter().map(|(change, fate)| (change, *fate))
    }

    /// The machine's state behind the change at `index`.
    pub fn state_at(&self, index: u64) -> Option<u64> {
        self.states.get(&index).copied()
    }

    /// Whom `node` voted for in `term`, as far as others know.
    pub fn vote_of(&self, node: NodeId, term: u64) -> Option<NodeId> {
        self.votes.get(&(node, term)).copied()
    }

    pub fn counted(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }
}
