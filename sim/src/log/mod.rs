//! A rude model of the replicated log.
//!
//! It keeps the promises that the real log keeps (`docs/reference/log-promises.md`, P01 to P21;
//! each is tested there against openraft) and no others: proposals are lost, doubled and of unknown
//! fate, leaders are deposed in the middle of anything, elections need several rounds, whoever fell
//! behind gets a snapshot, and a disk loses what it had not yet written.
//!
//! ```text
//!   propose ──▶ leader: append ──▶ replicate ──▶ majority has it on disk ──▶ commit ──▶ apply
//!   silence ──▶ election: the guard learns the term, the vote is on disk, then it leaves
//! ```
//!
//! Messages carry the whole log (shared, so that costs nothing): what openraft does to find the
//! last common entry is its own matter.
//!
//! Failures: a disk that refuses a write ends this member's part ([`Disk`]), as in the daemon.
//!
//! Absent on purpose: batching, flow control, joint membership (the daemon changes one voter at a
//! time).

mod disk;
mod election;
mod entry;
mod replicate;
mod tie;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use disk::{Disk, Mode};
pub use entry::{Entry, Payload, Rpc};
use stead_core::id::{Index, NodeId, Term};
use stead_core::node::{Event, LogView};
use stead_core::quorum::vote::TieVote;
use stead_core::state::{Change, State};

use crate::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Follower,
    Candidate,
    Leader,
}

/// A read that waits for a majority's word.
#[derive(Debug)]
struct Read {
    from: NodeId,
    run: u64,
    round: u64,
    index: usize,
}

/// A proposal in the leader's log.
#[derive(Debug)]
struct Asked {
    length: usize,
    from: NodeId,
    ticket: u64,
    run: u64,
}

/// What waits for a write of the disk.
#[derive(Debug)]
enum Waiting {
    Send(usize, Box<Rpc>),
    /// The own vote of that term counts.
    OwnVote(Term),
    /// The own log of that term counts up to that length.
    OwnLog(Term, usize),
}

/// What a member forgets in a crash.
#[derive(Debug)]
pub struct Raft {
    role: Role,
    leader: Option<NodeId>,
    votes: BTreeSet<NodeId>,
    commit: usize,
    applied: usize,
    matched: BTreeMap<NodeId, usize>,
    round: u64,
    rounds_seen: BTreeMap<NodeId, u64>,
    reads: Vec<Read>,
    /// Since when no leader was heard. Votes are refused for a while after one was.
    contact: u64,
    patience: u64,
    beaten: u64,
    /// The first entry of this leader's own term.
    first: usize,
    asked: Vec<Asked>,
    /// Who is to vote as soon as it has caught up, in that term, and what is committed with it.
    joining: Option<(Term, NodeId, Option<Change>)>,
    /// The vote that counts beside the real ones.
    tie: Option<TieVote>,
    view: LogView,
    waiting: VecDeque<(u64, Waiting)>,
    /// Its disk refused a write: it takes no part any more.
    dead: bool,
}

impl Raft {
    /// A member that just started, having applied that many entries.
    #[must_use]
    pub fn new(applied: usize, now: u64) -> Self {
        Self {
            role: Role::Follower,
            leader: None,
            votes: BTreeSet::new(),
            commit: applied,
            applied,
            matched: BTreeMap::new(),
            round: 0,
            rounds_seen: BTreeMap::new(),
            reads: Vec::new(),
            contact: now,
            patience: 0,
            beaten: 0,
            first: usize::MAX,
            asked: Vec::new(),
            joining: None,
            tie: None,
            view: LogView::default(),
            waiting: VecDeque::new(),
            dead: false,
        }
    }

    /// Whom it takes for the leader.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Whether its disk refused a write.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead
    }
}

impl World {
    fn raft(&mut self, host: usize) -> Option<&mut Raft> {
        self.hosts[host].daemon.as_mut().map(|daemon| &mut daemon.raft)
    }

    /// The machine of whom that daemon takes for the leader.
    pub(crate) fn leader_of(&self, host: usize) -> Option<usize> {
        let leader = self.hosts[host].daemon.as_ref()?.raft.leader()?;
        self.host_of(leader)
    }

    fn send_to_node(&mut self, from: usize, to: NodeId, rpc: Rpc) {
        if let Some(to) = self.host_of(to) {
            self.send_rpc(from, to, rpc);
        }
    }

    /// A message of the log reaches a daemon.
    pub(crate) fn on_rpc(&mut self, host: usize, from: NodeId, rpc: Rpc) {
        if self.raft(host).is_none_or(|raft| raft.dead) {
            return;
        }
        match rpc {
            Rpc::Vote { term, tail } => self.on_vote(host, from, term, tail),
            Rpc::Granted { term } => self.on_granted(host, from, term),
            Rpc::Append { term, log, commit, round } => {
                self.on_append(host, from, term, log, (commit, round));
            }
            Rpc::Acked { term, length, round } => self.on_acked(host, from, term, length, round),
            Rpc::Behind { term } => {
                self.learn(host, term);
            }
            Rpc::Propose { ticket, run, change } => {
                self.on_propose(host, from, ticket, run, change);
            }
            Rpc::Fate { ticket, run, fate } => {
                if self.hosts[host].daemon_run == run {
                    self.on_answer(host, ticket, fate);
                }
            }
            Rpc::Read { run } => self.on_read(host, from, run),
            Rpc::ReadAt { run, index } => {
                if self.hosts[host].daemon_run == run {
                    self.node_handle(host, Event::Current(Index(index as u64)));
                }
            }
            Rpc::Campaign(node) => self.on_campaign(host, node),
            Rpc::Voter { node, on, under } => self.change_voter(host, node, on, under),
            Rpc::TieVote(vote) => self.on_tie_vote(host, vote),
            Rpc::Shrink { vote, term, change } => self.shrink(host, &vote, term, change),
        }
        self.show_log(host);
    }

    /// The log's own timer: leaders beat, the others lose patience.
    pub(crate) fn raft_tick(&mut self, host: usize) {
        let now = self.now;
        let again = self.chance.log.between(25_000, 35_000);
        let fresh = self.chance.log.between(600_000, 1_500_000);
        let run = self.hosts[host].daemon_run;
        let tick = crate::world::DaemonIn::RaftTick;
        self.after(again, crate::world::What::Daemon(host, run, Box::new(tick)));
        let number = host as u64;
        let Some(raft) = self.raft(host).filter(|raft| !raft.dead) else { return };
        if raft.patience == 0 {
            // At the very beginning somebody has to be first.
            raft.patience = if now < 1_000 { 10_000 * (number + 1) } else { fresh };
        }
        if raft.role == Role::Leader {
            if now - raft.beaten >= election::BEAT {
                self.broadcast(host);
            }
        } else if now - raft.contact > raft.patience {
            raft.patience = fresh;
            self.campaign(host);
        }
        self.show_log(host);
    }

    /// The model's log reaches every member. Who has no vote is a learner from the beginning.
    fn learners(&self, host: usize, state: &State) -> BTreeSet<NodeId> {
        let satellites = state.config.iter().any(|it| !it.later.satellites.is_empty());
        if !satellites {
            return BTreeSet::new();
        }
        let voters = self.hosts[host].disk.voters();
        let votes = |node: &&NodeId| voters.iter().any(|set| set.contains(*node));
        state.members.keys().filter(|node| !votes(node)).copied().collect()
    }

    /// Tells the node what the log looks like, if that changed. Never more than is on disk (P18).
    pub(crate) fn show_log(&mut self, host: usize) {
        let disk = &self.hosts[host].disk;
        let (term, tail) = (disk.synced_term(), disk.synced_tail());
        let current = disk.term() == term;
        let Some(daemon) = &self.hosts[host].daemon else { return };
        let leader = daemon.raft.leader.filter(|_| current);
        let learners = self.learners(host, daemon.node.state());
        let old = &daemon.raft.view;
        let same = old.term == term && old.tail == tail && old.leader == leader;
        if same && old.learners == learners {
            return;
        }
        let voters = self.hosts[host].disk.voters();
        let view = LogView { term, leader, voters, learners, tail };
        if let Some(raft) = self.raft(host) {
            raft.view = view.clone();
        }
        self.node_handle(host, Event::Log(view));
    }
}
