//! A disk: what was written, what is safe, and what a cut of the power leaves.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use stead_core::id::{Grant, Index, NodeId, Term};
use stead_core::lease::{LogTail, VoterSets};
use stead_core::node::Event;
use stead_core::state::State;

use super::entry::{Entry, Payload};
use super::{Role, Waiting};
use crate::world::{What, World};

/// What one write leaves. Each is atomic: the real store commits a transaction or nothing of it.
#[derive(Clone, Debug, Default)]
struct Written {
    term: Term,
    voted: Option<NodeId>,
    log: Rc<Vec<Entry>>,
    /// How much of it is known to be committed. It goes along with the next write, so it is never
    /// ahead of the entries that it speaks of.
    committed: usize,
}

/// How a disk behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As it should.
    #[default]
    Good,
    /// Every write takes so much longer, in microseconds.
    Slow(u64),
    /// There is no room: writes are refused.
    Full,
    /// Writes fail.
    Failing,
}

/// The disk under one member's log.
#[derive(Debug, Default)]
pub struct Disk {
    /// As the running daemon sees it.
    written: Written,
    /// What survives a cut of the power for certain.
    synced: Written,
    in_flight: VecDeque<(u64, Written)>,
    /// How it behaves.
    pub mode: Mode,
    lost: bool,
    writes: u64,
    /// The newest write that is safe.
    safe: u64,
    busy_until: u64,
}

impl Disk {
    /// A disk with that log, all of it committed.
    #[must_use]
    pub fn new(log: Vec<Entry>) -> Self {
        let committed = log.len();
        let written = Written { term: Term(1), voted: None, log: Rc::new(log), committed };
        Self { synced: written.clone(), written, ..Self::default() }
    }

    /// The newest term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.written.term
    }

    pub(super) fn voted(&self) -> Option<NodeId> {
        self.written.voted
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Rc<Vec<Entry>> {
        &self.written.log
    }

    pub(super) fn committed_up_to(&mut self, length: usize) {
        self.written.committed = self.written.committed.max(length);
    }

    pub(crate) fn synced_term(&self) -> Term {
        self.synced.term
    }

    pub(super) fn tail(&self) -> LogTail {
        tail(&self.written.log)
    }

    pub(super) fn synced_tail(&self) -> LogTail {
        tail(&self.synced.log)
    }

    /// Whether a write would be taken.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        matches!(self.mode, Mode::Good | Mode::Slow(_))
    }

    /// Whether everything on it is gone.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Everything on it is gone. Its node has to be replaced by a new one.
    pub fn lose(&mut self) {
        *self = Self { lost: true, ..Self::default() };
    }

    /// A new disk for a new node.
    pub fn renew(&mut self) {
        *self = Self::default();
    }

    /// The voters by the newest membership in the log, committed or not.
    #[must_use]
    pub fn voters(&self) -> VoterSets {
        let newest = self.written.log.iter().rev().find_map(|entry| match entry.payload() {
            Payload::Voters(voters, _) => Some(vec![voters.clone()]),
            Payload::Blank | Payload::Change(_) => None,
        });
        newest.unwrap_or_default()
    }

    /// The newest sets of voters in the log, newest first.
    pub fn voters_so_far(&self) -> impl Iterator<Item = &BTreeSet<NodeId>> {
        self.written.log.iter().rev().filter_map(|entry| match entry.payload() {
            Payload::Voters(voters, _) => Some(voters),
            Payload::Blank | Payload::Change(_) => None,
        })
    }

    /// Whether the log has a grant that is as new, committed or not.
    #[must_use]
    pub fn has_grant(&self, number: Grant) -> bool {
        let grants = self.written.log.iter().filter_map(|entry| match entry.payload() {
            Payload::Change(change) | Payload::Voters(_, Some(change)) => change.grant(),
            Payload::Blank | Payload::Voters(_, None) => None,
        });
        grants.into_iter().any(|grant| grant >= number)
    }

    /// The state that a daemon finds when it starts; the hint of what is committed may be behind.
    #[must_use]
    pub fn applied(&self, behind: usize) -> (usize, State) {
        let applied = self.written.committed.saturating_sub(behind);
        let mut state = State::default();
        for (at, entry) in self.written.log.iter().take(applied).enumerate() {
            entry.apply(&mut state, Index(at as u64 + 1));
        }
        (applied, state)
    }

    fn keep(&mut self, in_flight: usize) {
        let kept = in_flight.checked_sub(1).and_then(|last| self.in_flight.get(last));
        if let Some((_, written)) = kept {
            self.synced = written.clone();
        }
        self.written = self.synced.clone();
        self.in_flight.clear();
        self.busy_until = 0;
    }
}

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (written, synced) = (self.tail(), self.synced_tail());
        write!(
            f,
            "disk {:?}, term {}, log to {} of {} (safe: {} of {}), applied {}, voters {:?}",
            self.mode,
            self.term(),
            written.index.0,
            written.term,
            synced.index.0,
            synced.term,
            self.written.committed,
            self.voters_so_far().take(2).collect::<Vec<_>>(),
        )
    }
}

fn tail(log: &[Entry]) -> LogTail {
    let term = log.last().map(|entry| entry.term).unwrap_or_default();
    LogTail { term, index: Index(log.len() as u64) }
}

impl World {
    /// Writes a term and a vote, or a log, or all of it. What waits for it happens when it is safe.
    /// Says whether the disk took it.
    pub(super) fn write(
        &mut self,
        host: usize,
        change: impl FnOnce(&mut Term, &mut Option<NodeId>, &mut Rc<Vec<Entry>>),
        then: Vec<Waiting>,
    ) -> bool {
        if !self.hosts[host].disk.is_writable() {
            self.store_fails(host);
            return false;
        }
        let now = self.now;
        let mut took = 200;
        if self.plan.rough {
            let rng = &mut self.chance.log;
            took = if rng.chance(30) { rng.below(20_000) } else { rng.between(100, 1_500) };
        }
        let disk = &mut self.hosts[host].disk;
        if let Mode::Slow(more) = disk.mode {
            took += more;
        }
        let written = &mut disk.written;
        change(&mut written.term, &mut written.voted, &mut written.log);
        // While one write is under way, what comes is gathered for the next.
        if disk.in_flight.len() > 1
            && let Some((number, gathered)) = disk.in_flight.back_mut()
        {
            *gathered = disk.written.clone();
            let number = *number;
            if let Some(raft) = self.raft(host) {
                raft.waiting.extend(then.into_iter().map(|it| (number, it)));
            }
            return true;
        }
        disk.writes += 1;
        let (number, written) = (disk.writes, disk.written.clone());
        disk.in_flight.push_back((number, written));
        // One write after the other.
        disk.busy_until = disk.busy_until.max(now) + took;
        let at = disk.busy_until;
        if let Some(raft) = self.raft(host) {
            raft.waiting.extend(then.into_iter().map(|it| (number, it)));
        }
        self.at(at, What::Synced(host, number));
        true
    }

    /// Has something happen when all that was written so far is safe.
    pub(super) fn when_safe(&mut self, host: usize, then: Waiting) {
        let newest = self.hosts[host].disk.in_flight.back().map(|(number, _)| *number);
        match (newest, self.raft(host)) {
            (Some(number), Some(raft)) => raft.waiting.push_back((number, then)),
            (None, Some(_)) => self.happen(host, then),
            (_, None) => {}
        }
    }

    /// A write is safe.
    pub(crate) fn synced(&mut self, host: usize, number: u64) {
        let disk = &mut self.hosts[host].disk;
        if let Some(at) = disk.in_flight.iter().position(|(it, _)| *it == number) {
            disk.synced = disk.in_flight[at].1.clone();
            disk.in_flight.drain(..=at);
            disk.safe = number;
        }
        let safe = disk.safe;
        if number > safe {
            // It was under way when the process was killed.
            return;
        }
        // The process learns of it when it runs again.
        if let Some(until) = self.hosts[host].daemon_waits(self.now) {
            self.at(until, What::Synced(host, number));
            return;
        }
        while let Some(raft) = self.raft(host) {
            let due = raft.waiting.front().is_some_and(|(it, _)| *it <= safe);
            let Some((_, then)) = due.then(|| raft.waiting.pop_front()).flatten() else { break };
            self.happen(host, then);
        }
        self.show_log(host);
    }

    fn happen(&mut self, host: usize, then: Waiting) {
        match then {
            Waiting::Send(to, rpc) => self.send_rpc(host, to, *rpc),
            // What belongs to a term that is over counts for nothing in the next.
            Waiting::OwnVote(term) | Waiting::OwnLog(term, _)
                if term != self.hosts[host].disk.term() => {}
            Waiting::OwnVote(_) => {
                let me = self.hosts[host].id;
                if let Some(raft) = self.raft(host).filter(|raft| raft.role == Role::Candidate) {
                    raft.votes.insert(me);
                    self.count_votes(host);
                }
            }
            Waiting::OwnLog(_, length) => {
                let me = self.hosts[host].id;
                if let Some(raft) = self.raft(host).filter(|raft| raft.role == Role::Leader) {
                    let own = raft.matched.entry(me).or_default();
                    *own = length.max(*own);
                    self.advance(host);
                }
            }
        }
    }

    /// The disk refused a write: the member takes no part any more, and its node is told once.
    fn store_fails(&mut self, host: usize) {
        let mode = self.hosts[host].disk.mode;
        let Some(raft) = self.raft(host).filter(|raft| !raft.dead) else { return };
        raft.dead = true;
        raft.role = Role::Follower;
        raft.leader = None;
        let why = if mode == Mode::Full { "no space left on device" } else { "input/output error" };
        self.node_handle(host, Event::StoreFailed(why.to_string()));
    }

    /// The daemon was killed: of the writes under way any number got through, in their order.
    pub(crate) fn crash_disk(&mut self, host: usize) {
        let under_way = self.hosts[host].disk.in_flight.len();
        let through = self.chance.log.index(under_way + 1);
        self.hosts[host].disk.keep(through);
    }

    /// The power is cut: the same, and nothing is there to finish them.
    pub(crate) fn lose_power(&mut self, host: usize) {
        self.crash_disk(host);
    }
}
