//! Terms, votes and leaders.

use std::collections::BTreeSet;

use stead_core::id::{NodeId, Term};
use stead_core::lease::LogTail;

use super::entry::{Entry, Payload, Rpc};
use super::tie::majority;
use super::{Role, Waiting};
use crate::world::World;

/// A leader that was heard so recently is not voted against (P14). Microseconds.
const LEADER_LEASE: u64 = 250_000;
/// The time between two words of a leader that has nothing to say.
pub(super) const BEAT: u64 = 80_000;

impl World {
    /// Takes up a newer term; the guard learns it first (P02). Without it nothing happens.
    pub(super) fn learn(&mut self, host: usize, term: Term) -> bool {
        self.take_term(host, term, None, Vec::new())
    }

    /// Takes up a term and perhaps a vote in it, in one write.
    fn take_term(
        &mut self,
        host: usize,
        term: Term,
        vote: Option<NodeId>,
        then: Vec<Waiting>,
    ) -> bool {
        let disk = &self.hosts[host].disk;
        if term < disk.term() {
            return false;
        }
        let newer = term > disk.term();
        if !newer && vote.is_none() {
            return true;
        }
        if newer && !self.tell_guard_vote(host, term) {
            return false;
        }
        let write = |at: &mut Term, voted: &mut Option<NodeId>, _: &mut _| {
            *at = term;
            *voted = vote;
        };
        if !self.write(host, write, then) {
            return false;
        }
        if let Some(raft) = self.raft(host).filter(|_| newer) {
            raft.role = Role::Follower;
            raft.leader = None;
            raft.reads.clear();
            raft.asked.clear();
        }
        true
    }

    /// That node shall stand at once, whatever leases the voters gave (P13).
    pub(super) fn on_campaign(&mut self, host: usize, node: NodeId) {
        let me = self.hosts[host].id;
        let Some(raft) = self.raft(host) else { return };
        raft.contact = raft.contact.saturating_sub(LEADER_LEASE);
        if node == me {
            self.campaign(host);
        }
    }

    /// A leader has another one stand: every voter is told to let go of it (P21).
    pub(crate) fn hand_over(&mut self, host: usize, node: NodeId) {
        let voters: BTreeSet<_> = self.hosts[host].disk.voters().into_iter().flatten().collect();
        for voter in voters {
            self.send_to_node(host, voter, Rpc::Campaign(node));
        }
    }

    pub(super) fn campaign(&mut self, host: usize) {
        let me = self.hosts[host].id;
        let voters = self.hosts[host].disk.voters();
        let term = Term(self.hosts[host].disk.term().0 + 1);
        if !voters.iter().any(|set| set.contains(&me)) {
            return;
        }
        let tail = self.hosts[host].disk.tail();
        let others = voters.iter().flatten().filter(|node| **node != me);
        let mut then: Vec<_> = others
            .filter_map(|node| self.host_of(*node))
            .map(|to| Waiting::Send(to, Box::new(Rpc::Vote { term, tail })))
            .collect();
        then.push(Waiting::OwnVote(term));
        if !self.take_term(host, term, Some(me), then) {
            return;
        }
        let now = self.now;
        let Some(raft) = self.raft(host) else { return };
        raft.role = Role::Candidate;
        raft.contact = now;
        raft.votes = BTreeSet::new();
    }

    pub(super) fn on_vote(&mut self, host: usize, from: NodeId, term: Term, tail: LogTail) {
        let now = self.now;
        let Some(raft) = self.raft(host) else { return };
        let loyal = raft.role == Role::Follower
            && raft.leader.is_some()
            && now.saturating_sub(raft.contact) < LEADER_LEASE;
        if loyal {
            return;
        }
        let disk = &self.hosts[host].disk;
        let own = disk.term();
        if term < own {
            self.send_to_node(host, from, Rpc::Behind { term: own });
            return;
        }
        let free = term > own || disk.voted().is_none_or(|voted| voted == from);
        let leads = term == own && self.raft(host).is_some_and(|it| it.role != Role::Follower);
        if !free || leads || tail < self.hosts[host].disk.tail() {
            self.learn(host, term);
            return;
        }
        let granted =
            self.host_of(from).map(|to| Waiting::Send(to, Box::new(Rpc::Granted { term })));
        if self.take_term(host, term, Some(from), granted.into_iter().collect())
            && let Some(raft) = self.raft(host)
        {
            raft.contact = now;
        }
    }

    pub(super) fn on_granted(&mut self, host: usize, from: NodeId, term: Term) {
        if term != self.hosts[host].disk.term() {
            return;
        }
        if let Some(raft) = self.raft(host) {
            raft.votes.insert(from);
            self.count_votes(host);
        }
    }

    pub(super) fn count_votes(&mut self, host: usize) {
        let me = self.hosts[host].id;
        let disk = &self.hosts[host].disk;
        let (term, voters, length) = (disk.term(), disk.voters(), disk.log().len());
        let tie = self.tie_vote(host);
        let Some(raft) = self.raft(host) else { return };
        let voted = |node| raft.votes.contains(&node);
        if raft.role != Role::Candidate || !majority(&voters, tie.as_ref(), voted) {
            return;
        }
        raft.role = Role::Leader;
        raft.leader = Some(me);
        raft.matched.clear();
        raft.rounds_seen.clear();
        raft.first = length + 1;
        self.judge_leader(host, term);
        self.append(host, Entry::new(term, Payload::Blank));
    }
}
