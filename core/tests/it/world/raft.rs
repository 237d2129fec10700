//! A rude model of the replicated log: terms, elections, commits by majority, reads that ask a
//! majority, proposals whose fate may stay unknown. Messages carry the whole log.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::id::{Index, NodeId, Term};
use stead_core::lease::{Event as GuardEvent, LogTail, Order, VoterSets};
use stead_core::node::{Event, Fate, LogView};

use super::daemon::DaemonIn;
use super::log::{Entry, Payload, Rpc};
use super::{Shared, What, World, index};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Follower,
    Candidate,
    Leader,
}

/// What a member forgets in a crash.
pub struct Raft {
    role: Role,
    leader: Option<NodeId>,
    votes: BTreeSet<NodeId>,
    commit: usize,
    applied: usize,
    matched: BTreeMap<NodeId, usize>,
    read: u64,
    read_acked: BTreeMap<NodeId, u64>,
    reads: Vec<(NodeId, u64, u64, usize)>,
    /// Since when no leader was heard. Votes are refused for a while after one was.
    contact: u64,
    patience: u64,
    beaten: u64,
    /// The first entry of this leader's own term.
    first: usize,
    proposals: Vec<(usize, NodeId, u64, u64)>,
    view: LogView,
}

impl Raft {
    pub fn new(applied: usize, now: u64) -> Self {
        Self {
            role: Role::Follower,
            leader: None,
            votes: BTreeSet::new(),
            commit: applied,
            applied,
            matched: BTreeMap::new(),
            read: 0,
            read_acked: BTreeMap::new(),
            reads: Vec::new(),
            contact: now,
            patience: 0,
            beaten: 0,
            first: usize::MAX,
            proposals: Vec::new(),
            view: LogView::default(),
        }
    }

    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }
}

/// A leader that was heard so recently is not voted against.
const LEADER_LEASE: u64 = 150_000;
const BEAT: u64 = 40_000;

fn majority(voters: &VoterSets, has: impl Fn(NodeId) -> bool) -> bool {
    let enough =
        |set: &BTreeSet<NodeId>| set.iter().filter(|node| has(**node)).count() * 2 > set.len();
    !voters.is_empty() && voters.iter().all(enough)
}

impl World {
    fn raft(&mut self, host: usize) -> Option<&mut Raft> {
        self.hosts[host].daemon.as_mut().map(|daemon| &mut daemon.raft)
    }

    /// Makes a newer term durable; the guard learns it first. Without it nothing happens.
    fn learn(&mut self, host: usize, term: Term) -> bool {
        if term < self.hosts[host].disk.term {
            return false;
        }
        if term == self.hosts[host].disk.term {
            return true;
        }
        let (run, paused) = (self.hosts[host].daemon_run, self.hosts[host].guard_paused > self.now);
        let now = self.local(host);
        let connected = self.hosts[host].guard.as_mut().filter(|it| it.daemon == Some(run));
        let Some(guard) = connected.filter(|guard| !paused && guard.is_idle()) else {
            return false;
        };
        guard.lease.handle(now, GuardEvent::Order(Order::Vote(term)));
        self.guard_after(host);
        let disk = &mut self.hosts[host].disk;
        disk.term = term;
        disk.voted = None;
        if let Some(raft) = self.raft(host) {
            raft.role = Role::Follower;
            raft.leader = None;
            raft.reads.clear();
            raft.proposals.clear();
        }
        true
    }

    pub fn raft_tick(&mut self, host: usize) {
        let (now, me) = (self.now, self.hosts[host].id);
        let again = 15_000 + self.rng.below(5_000);
        let run = self.hosts[host].daemon_run;
        self.after(again, What::Daemon(host, run, Box::new(DaemonIn::RaftTick)));
        let fresh = 600_000 + self.rng.below(900_000);
        let Some(raft) = self.raft(host) else { return };
        if raft.patience == 0 {
            // At the very beginning somebody has to be first.
            raft.patience = if now < 1_000 { 10_000 * me.0 } else { fresh };
        }
        if raft.role == Role::Leader {
            if now - raft.beaten >= BEAT {
                self.broadcast(host);
            }
        } else if now - raft.contact > raft.patience {
            raft.patience = fresh;
            self.campaign(host);
        }
        self.show_log(host);
    }

    fn campaign(&mut self, host: usize) {
        let me = self.hosts[host].id;
        let voters = self.hosts[host].disk.voters();
        let term = Term(self.hosts[host].disk.term.0 + 1);
        if !voters.iter().any(|set| set.contains(&me)) || !self.learn(host, term) {
            return;
        }
        self.hosts[host].disk.voted = Some(me);
        let (now, tail) = (self.now, self.hosts[host].disk.tail());
        let Some(raft) = self.raft(host) else { return };
        raft.role = Role::Candidate;
        raft.contact = now;
        raft.votes = BTreeSet::from([me]);
        for to in voters.iter().flatten().filter(|node| **node != me) {
            self.send_rpc(host, index(*to), Rpc::Vote { term, tail });
        }
        self.count_votes(host);
    }

    fn count_votes(&mut self, host: usize) {
        let (me, term) = (self.hosts[host].id, self.hosts[host].disk.term);
        let voters = self.hosts[host].disk.voters();
        let length = self.hosts[host].disk.log.len();
        let Some(raft) = self.raft(host) else { return };
        if raft.role != Role::Candidate || !majority(&voters, |node| raft.votes.contains(&node)) {
            return;
        }
        raft.role = Role::Leader;
        raft.leader = Some(me);
        raft.matched.clear();
        raft.read_acked.clear();
        raft.first = length + 1;
        self.append(host, Entry::new(term, Payload::Blank));
    }

    fn append(&mut self, host: usize, entry: Entry) -> usize {
        let log = &mut self.hosts[host].disk.log;
        Shared::make_mut(log).push(entry);
        let length = log.len();
        self.broadcast(host);
        self.advance(host);
        length
    }

    fn broadcast(&mut self, host: usize) {
        let (now, me) = (self.now, self.hosts[host].id);
        let disk = &self.hosts[host].disk;
        let (term, log) = (disk.term, disk.log.clone());
        let mut to: BTreeSet<_> = disk.voters().into_iter().flatten().collect();
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        to.extend(daemon.node.state().members.keys());
        daemon.raft.beaten = now;
        let (commit, read) = (daemon.raft.commit, daemon.raft.read);
        for node in to.into_iter().filter(|node| *node != me) {
            let rpc = Rpc::Append { term, log: log.clone(), commit, read };
            self.send_rpc(host, index(node), rpc);
        }
    }

    /// Commits what a majority has, answers reads, applies.
    fn advance(&mut self, host: usize) {
        let (me, term) = (self.hosts[host].id, self.hosts[host].disk.term);
        let (voters, log) = (self.hosts[host].disk.voters(), self.hosts[host].disk.log.clone());
        let Some(raft) = self.raft(host) else { return };
        if raft.role == Role::Leader {
            let before = raft.commit;
            for length in (before + 1..=log.len()).rev() {
                let has = |node| node == me || raft.matched.get(&node) >= Some(&length);
                if log[length - 1].term == term && majority(&voters, has) {
                    raft.commit = length;
                    break;
                }
            }
            let moved = raft.commit > before;
            let mut answers = Vec::new();
            if raft.commit >= raft.first {
                let acked = &raft.read_acked;
                raft.reads.retain(|(from, run, need, at)| {
                    let has = |node| node == me || acked.get(&node) >= Some(need);
                    let known = majority(&voters, has);
                    if known {
                        answers.push((*from, *run, *at));
                    }
                    !known
                });
            }
            for (from, run, index) in answers {
                self.send_rpc(host, super::index(from), Rpc::ReadAt { run, index });
            }
            if moved {
                self.broadcast(host);
            }
        }
        self.apply(host);
    }

    fn apply(&mut self, host: usize) {
        while let Some(daemon) = &mut self.hosts[host].daemon {
            let raft = &mut daemon.raft;
            if raft.applied >= raft.commit {
                break;
            }
            raft.applied += 1;
            let length = raft.applied;
            let asked = raft.proposals.iter().position(|(at, ..)| *at == length);
            let asked = asked.map(|at| raft.proposals.swap_remove(at));
            let entry = self.hosts[host].disk.log[length - 1].clone();
            let committed = &mut self.hosts[host].disk.committed;
            *committed = length.max(*committed);
            let Some(daemon) = &mut self.hosts[host].daemon else { break };
            let before = daemon.replica.clone();
            let outcome = entry.apply(&mut daemon.replica, Index(length as u64));
            let after = daemon.replica.clone();
            self.judge_epochs(&before, &after);
            self.node_handle(host, entry.event(Index(length as u64)));
            if self.node(host).is_some_and(|node| *node.state() != after) {
                self.fail("the node's state differs from the log's");
            }
            if let Some((_, from, ticket, run)) = asked {
                let fate = Fate::Committed(Index(length as u64), outcome);
                self.send_rpc(host, index(from), Rpc::Fate { ticket, run, fate });
            }
        }
    }

    pub fn on_rpc(&mut self, host: usize, from: NodeId, rpc: Rpc) {
        let to = index(from);
        match rpc {
            Rpc::Vote { term, tail } => self.on_vote(host, from, term, tail),
            Rpc::Granted { term } => {
                if term == self.hosts[host].disk.term {
                    self.raft(host).map(|raft| raft.votes.insert(from));
                    self.count_votes(host);
                }
            }
            Rpc::Append { term, log, commit, read } => {
                self.on_append(host, from, term, log, (commit, read));
            }
            Rpc::Acked { term, length, read } => {
                let current = term == self.hosts[host].disk.term;
                let Some(raft) = self.raft(host) else { return };
                if current && raft.role == Role::Leader {
                    let matched = raft.matched.entry(from).or_default();
                    *matched = length.max(*matched);
                    let acked = raft.read_acked.entry(from).or_default();
                    *acked = read.max(*acked);
                    self.advance(host);
                }
            }
            Rpc::Behind { term } => {
                self.learn(host, term);
            }
            Rpc::Propose { ticket, run, change } => {
                let term = self.hosts[host].disk.term;
                if self.raft(host).is_some_and(|raft| raft.role == Role::Leader) {
                    let entry = Entry::change(term, change);
                    let length = self.hosts[host].disk.log.len() + 1;
                    if let Some(raft) = self.raft(host) {
                        raft.proposals.push((length, from, ticket, run));
                    }
                    self.append(host, entry);
                } else {
                    self.send_rpc(host, to, Rpc::Fate { ticket, run, fate: Fate::Lost });
                }
            }
            Rpc::Fate { ticket, run, fate } => {
                if self.hosts[host].daemon_run == run {
                    self.on_fate(host, ticket, fate);
                }
            }
            Rpc::Read { run } => {
                let Some(raft) = self.raft(host) else { return };
                if raft.role == Role::Leader {
                    raft.read += 1;
                    raft.reads.push((from, run, raft.read, raft.commit.max(raft.first)));
                    self.broadcast(host);
                    self.advance(host);
                }
            }
            Rpc::ReadAt { run, index } => {
                if self.hosts[host].daemon_run == run {
                    self.node_handle(host, Event::Current(Index(index as u64)));
                }
            }
            Rpc::Campaign(node) => {
                if let Some(raft) = self.raft(host) {
                    raft.contact = raft.contact.saturating_sub(LEADER_LEASE);
                    if node == self.hosts[host].id {
                        self.campaign(host);
                    }
                }
            }
            Rpc::Voter { node, on } => self.change_voter(host, node, on),
        }
        self.show_log(host);
    }

    fn on_vote(&mut self, host: usize, from: NodeId, term: Term, tail: LogTail) {
        let now = self.now;
        let Some(raft) = self.raft(host) else { return };
        let loyal = raft.role == Role::Follower
            && raft.leader.is_some()
            && now.saturating_sub(raft.contact) < LEADER_LEASE;
        if loyal {
            return;
        }
        if !self.learn(host, term) {
            let term = self.hosts[host].disk.term;
            self.send_rpc(host, index(from), Rpc::Behind { term });
            return;
        }
        let disk = &mut self.hosts[host].disk;
        let free = disk.voted.is_none_or(|voted| voted == from);
        if free && tail >= disk.tail() {
            disk.voted = Some(from);
            if let Some(raft) = self.raft(host) {
                raft.contact = now;
            }
            self.send_rpc(host, index(from), Rpc::Granted { term });
        }
    }

    fn on_append(
        &mut self,
        host: usize,
        from: NodeId,
        term: Term,
        log: Shared<Vec<Entry>>,
        (commit, read): (usize, u64),
    ) {
        if !self.learn(host, term) {
            let newer = self.hosts[host].disk.term;
            if newer > term {
                self.send_rpc(host, index(from), Rpc::Behind { term: newer });
            }
            return;
        }
        let (now, length) = (self.now, log.len());
        let Some(raft) = self.raft(host) else { return };
        raft.role = Role::Follower;
        raft.leader = Some(from);
        raft.contact = now;
        let applied = raft.applied;
        let mine = &mut self.hosts[host].disk.log;
        if !Shared::ptr_eq(mine, &log) {
            let same = |length: &usize| mine[length - 1].term == log[length - 1].term;
            let common = (1..=mine.len().min(length)).rev().find(same).unwrap_or(0);
            if common < length {
                if common < applied {
                    self.fail("a committed entry was overwritten");
                }
                *mine = log;
            }
        }
        if let Some(raft) = self.raft(host) {
            raft.commit = raft.commit.max(commit.min(length));
        }
        self.send_rpc(host, index(from), Rpc::Acked { term, length, read });
        self.apply(host);
    }

    /// One voter more or less, if the last such step is committed and so is an own entry.
    fn change_voter(&mut self, host: usize, node: NodeId, on: bool) {
        let disk = &self.hosts[host].disk;
        let (term, sets, length) = (disk.term, disk.voters(), disk.log.len());
        let Some(raft) = self.raft(host) else { return };
        let Some(mut voters) = sets.into_iter().next() else { return };
        let settled = raft.commit == length && raft.commit >= raft.first;
        if raft.role != Role::Leader || !settled {
            return;
        }
        let changed = if on { voters.insert(node) } else { voters.remove(&node) };
        if changed && !voters.is_empty() {
            self.append(host, Entry::voters(term, voters));
        }
    }

    /// Tells the node what the log looks like, if that changed.
    pub fn show_log(&mut self, host: usize) {
        let (term, tail) = (self.hosts[host].disk.term, self.hosts[host].disk.tail());
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        let old = &daemon.raft.view;
        let unchanged = old.term == term && old.tail == tail && old.leader == daemon.raft.leader;
        if unchanged {
            return;
        }
        let leader = daemon.raft.leader;
        let voters = self.hosts[host].disk.voters();
        let view = LogView { term, leader, voters, tail };
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        daemon.raft.view = view.clone();
        self.node_handle(host, Event::Log(view));
    }

    pub fn leader_of(&self, host: usize) -> Option<NodeId> {
        self.hosts[host].daemon.as_ref().and_then(|daemon| daemon.raft.leader())
    }
}
