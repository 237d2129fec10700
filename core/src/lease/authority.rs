//! The coordinator's side: until when it may act, and to whom it gives leases.
//!
//! The coordinator of a term is *quorate* until `Q`: the send time of its newest heartbeat that a
//! majority of the voters has echoed in that term, plus `L`. It echoes nothing to anyone but the
//! nodes that its daemon admitted for this term (default deny), and nothing to a revoked one.
//! While the cluster is disarmed `L` is long, and Q with it; but to act for the cluster the
//! authority is worth no more than an ordinary lease (rule M2).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::sent::Sent;
use crate::id::{Incarnation, Index, NodeId, Sequence, Term};
use crate::table::Table;
use crate::time::Instant;
use crate::timers::Timers;

/// The right of one start of a node's guard to hold a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Admission {
    /// The admitted start.
    pub incarnation: Incarnation,
    /// Where in the log it was admitted.
    pub index: Index,
}

/// The voters, as the log counts them: one set, or two while they change.
pub type VoterSets = Vec<BTreeSet<NodeId>>;

/// What a coordinator's guard keeps for one term.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) term: Term,
    pub(super) voters: VoterSets,
    admitted: BTreeMap<NodeId, Admission>,
    /// Nodes that get no echo, with the time at which they had last been heard when that began.
    revoked: BTreeMap<NodeId, Instant>,
    /// Own datagrams before this one belong to an earlier role.
    first: Sequence,
    /// Own datagrams before this one were sent while other voters counted.
    changed: Sequence,
    /// The newest own datagram that majorities of all sets have echoed.
    majority: Sequence,
    /// The newest own datagram that each voter has echoed in this term.
    echoed: Table<NodeId, Sequence>,
    /// When each voter had last heard of an earlier coordinator.
    earlier: Table<NodeId, Instant>,
    /// What the voters of before had said of that (rule C8).
    kept: Option<Instant>,
    /// When the newest datagram was sent that a majority has echoed.
    proven: Option<Instant>,
    /// Q.
    pub(super) until: Instant,
    /// Until when the coordinator may decide: Q by the ordinary lease (rule M2).
    pub(super) acting: Instant,
    /// Room to count in, as that is done at every heartbeat.
    counting: Vec<Sequence>,
}

impl Authority {
    pub(super) fn new(term: Term, first: Sequence) -> Self {
        Self {
            term,
            voters: Vec::new(),
            admitted: BTreeMap::new(),
            revoked: BTreeMap::new(),
            first,
            changed: first,
            majority: Sequence::default(),
            echoed: Table::new(),
            earlier: Table::new(),
            kept: None,
            proven: None,
            until: Instant::START,
            acting: Instant::START,
            counting: Vec::new(),
        }
    }

    /// Takes what the log says. `next` is the number of the next own datagram, `mine` the node
    /// that asks and when that had last heard of an earlier coordinator.
    pub(super) fn set(
        &mut self,
        voters: VoterSets,
        admitted: BTreeMap<NodeId, Admission>,
        next: Sequence,
        mine: (NodeId, Instant),
    ) {
        if self.voters != voters {
            self.changed = next;
            self.kept = self.earlier_coordinator(mine.0, mine.1).max(self.kept);
        }
        self.voters = voters;
        self.admitted = admitted;
    }

    /// The voters, once a majority of them has echoed what was sent since they count; before that,
    /// none. Q may rest on the former ones until then, and any later majority has to share a voter
    /// with one that knows of it (rule G10).
    pub(super) fn settled_voters(&self) -> &[BTreeSet<NodeId>] {
        if self.majority >= self.changed { &self.voters } else { &[] }
    }

    /// From which own datagram on the present voters count, once they are settled.
    pub(super) fn settled(&self) -> Option<Sequence> {
        (self.majority >= self.changed).then_some(self.changed)
    }

    /// Of how many voters it is known when they had last heard of an earlier coordinator.
    pub(super) fn earlier_known(&self) -> usize {
        self.earlier.keys().count()
    }

    /// The admission under which that start of a node may get an echo.
    pub(super) fn admission(&self, node: NodeId, incarnation: Incarnation) -> Option<Admission> {
        if self.revoked.contains_key(&node) {
            return None;
        }
        self.admitted.get(&node).copied().filter(|admission| admission.incarnation == incarnation)
    }

    pub(super) fn revoke(&mut self, node: NodeId, heard: Instant) {
        self.revoked.entry(node).or_insert(heard);
    }

    pub(super) fn readmit(&mut self, node: NodeId) {
        self.revoked.remove(&node);
    }

    pub(super) fn revoked(&self, node: NodeId) -> Option<Instant> {
        self.revoked.get(&node).copied()
    }

    /// Takes a voter's echo of the datagram `sequence`.
    pub(super) fn echo(&mut self, from: NodeId, sequence: Sequence, earlier: Instant) {
        if sequence >= self.first {
            let newest = self.echoed.get_or_insert_with(from, Sequence::default);
            *newest = sequence.max(*newest);
        }
        self.earlier.get_or_insert_with(from, || earlier);
    }

    /// Moves Q on after echoes. `me` counts as having echoed all it sent.
    pub(super) fn advance(&mut self, me: NodeId, sent: &Sent, timers: &Timers) {
        if self.voters.is_empty() {
            return;
        }
        let mut sequence = Sequence(u64::MAX);
        let mut counting = core::mem::take(&mut self.counting);
        for set in &self.voters {
            let echoed = self.majority_echoed(set, me, sent.newest(), &mut counting);
            sequence = sequence.min(echoed);
        }
        self.counting = counting;
        self.majority = sequence;
        if let Some(time) = sent.time(sequence) {
            self.proven = self.proven.max(Some(time));
            // Never by timers that were in force before.
            let proven = self.proven.unwrap_or(Instant::START);
            self.until = proven + timers.lease;
            self.acting = self.until.min(proven + timers.ordinary_lease());
        }
    }

    /// Leases are shorter from now on: Q ends then at the latest (rule M3).
    pub(super) fn cap(&mut self, most: Instant) {
        self.until = self.until.min(most);
        self.acting = self.acting.min(most);
    }

    /// The newest datagram that more than half of `set` has echoed; zero if there is none.
    fn majority_echoed(
        &self,
        set: &BTreeSet<NodeId>,
        me: NodeId,
        newest: Sequence,
        counting: &mut Vec<Sequence>,
    ) -> Sequence {
        counting.clear();
        counting.extend(set.iter().map(|voter| {
            if *voter == me { newest } else { self.echoed.get(voter).copied().unwrap_or_default() }
        }));
        counting.sort_unstable();
        let majority = set.len() / 2 + 1;
        counting.len().checked_sub(majority).map_or(Sequence(0), |at| counting[at])
    }

    /// The latest moment at which a majority of the voters can have heard of an earlier
    /// coordinator; nothing while too few have said.
    ///
    /// Every earlier Q rests on a heartbeat that a majority echoed, and any two majorities share a
    /// voter. So every majority that has said gives a bound, and the earliest of these is good.
    /// What the voters of before had said goes on to count: a majority need not share a voter with
    /// one of two changes ago (rule C8).
    pub(super) fn earlier_coordinator(&self, me: NodeId, mine: Instant) -> Option<Instant> {
        let mut bound = None;
        for set in &self.voters {
            let said = set.iter().filter_map(|voter| {
                if *voter == me { Some(mine) } else { self.earlier.get(voter).copied() }
            });
            let mut said: Vec<_> = said.collect();
            said.sort_unstable();
            let of_set = *said.get(set.len() / 2)?;
            bound = bound.max(Some(of_set));
        }
        bound.max(bound.and(self.kept))
    }
}
