//! When and whom to make campaign after the coordinator fell silent.
//!
//! The log's own timers are slow and only a safety net. Every survivor that no longer hears the
//! coordinator, and knows that a majority of the voters doesn't either, makes the same node
//! campaign: the most up-to-date one, the lowest number among equals. A transfer of leadership
//! overrides even a live leader's lease on the log, hence the majority (`docs/protocol.md`, E1). An
//! election moves no service; only the lease rules do.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{Command, Node};
use crate::id::{NodeId, Term};
use crate::lease::{LogTail, PeerReport};
use crate::notice::Notice;
use crate::time::{Instant, Span};

/// How long the best candidate has before the second best is made to campaign, and so on.
const RANK_PATIENCE: Span = Span::from_millis(30);
/// How long a leader that was just elected is given at least: its first commits need the disks,
/// however short the ride-out is.
const LEADER_PATIENCE: Span = Span::from_millis(150);
/// So many terms in a row may come to nothing while an election is wanted before the next
/// candidates are given more time: a disk that takes longer for a vote than the patience would
/// otherwise never finish one.
const PATIENT_TERMS: u32 = 2;
/// The patience doubles so often at most, which makes about two seconds of it: enough for disks
/// that take one for a write.
const MOST_DOUBLINGS: u32 = 6;
/// How long a guard may know a later term than its log: an election under way ends sooner.
const GUARD_AHEAD_PATIENCE: Span = Span::from_millis(1_000);
/// How many round trips an election takes at most: the vote, and the word of it.
const ELECTION_ROUND_TRIPS: u64 = 2;

/// The election that this node is waiting for.
#[derive(Debug, Default)]
pub(super) struct Election {
    /// Since when the coordinator is not heard by a majority.
    since: Option<Instant>,
    /// How many candidates were tried since.
    tried: u32,
    /// The leader and term that is given time to gather its authority, and since when.
    newest: Option<(Option<NodeId>, Term, Instant)>,
    /// A majority of the voters hears no coordinator, as far as this node knows.
    wanted: bool,
    /// The terms that came while an election was wanted, since a coordinator was last heard. Those
    /// that the log's own timers count up while a node is cut off say nothing about disks.
    fruitless: u32,
    /// Since when the guard knows a later term than the log.
    guard_ahead: Option<Instant>,
}

impl Election {
    /// Whether something is waited for here.
    pub(super) fn is_on(&self) -> bool {
        self.wanted || self.guard_ahead.is_some()
    }
}

impl Node {
    /// Campaigns if it is time to. Called after every event.
    pub(super) fn elect(&mut self, now: Instant) {
        let leader = (self.log.leader, self.log.term);
        if self.election.newest.is_none_or(|(node, term, _)| (node, term) != leader) {
            // Nodes that meet again go through each other's terms at once: those were no elections.
            let vain = self.election.wanted
                && self.election.newest.is_some_and(|(_, term, since)| {
                    term < leader.1 && now.since(since) >= RANK_PATIENCE
                });
            let fruitless = self.election.fruitless.saturating_add(u32::from(vain));
            let newest = Some((leader.0, leader.1, now));
            let guard_ahead = self.election.guard_ahead;
            self.election = Election { newest, fruitless, guard_ahead, ..Election::default() };
        }
        self.catch_up_with_guard(now);
        if self.report.as_ref().is_some_and(|report| report.hears_coordinator) {
            self.election.fruitless = 0;
        }
        self.election.wanted = self.majority_hears_nobody(now);
        let wanted = self.election.wanted.then(|| self.candidates(now)).flatten();
        let Some(candidates) = wanted else {
            self.election.since = None;
            self.election.tried = 0;
            return;
        };
        let since = *self.election.since.get_or_insert(now);
        let due = since + self.rank_patience().times(u64::from(self.election.tried));
        if now < due || candidates.is_empty() {
            return;
        }
        if self.election.tried == 0
            && let Some(silent) = self.log.leader
        {
            self.notice(Notice::CoordinatorSilent(self.state.name(silent)));
        }
        let to = candidates[self.election.tried as usize % candidates.len()];
        self.election.tried += 1;
        self.notice(Notice::Campaign(self.state.name(to)));
        self.command(Command::Campaign(to));
    }

    /// The guard learns a term before the vote is on disk; a daemon that is killed in between
    /// leaves it with a term that the log never reaches. It echoes nothing to an earlier one
    /// (section 3), so this node would never have a lease again: the log has to come to that term.
    fn catch_up_with_guard(&mut self, now: Instant) {
        let ahead = |report: &crate::lease::Report| {
            report.vote_known && !report.released && report.term > self.log.term
        };
        let votes = self.log.voters.iter().any(|set| set.contains(&self.me));
        if !votes || self.is_leaving() || !self.ready || !self.report.as_deref().is_some_and(ahead)
        {
            self.election.guard_ahead = None;
            return;
        }
        let since = *self.election.guard_ahead.get_or_insert(now);
        if now.since(since) >= GUARD_AHEAD_PATIENCE {
            self.election.guard_ahead = Some(now);
            self.notice(Notice::Campaign(self.state.name(self.me)));
            self.command(Command::Campaign(self.me));
        }
    }

    fn rank_patience(&self) -> Span {
        let patience = RANK_PATIENCE + self.state.timers.round_trip.times(ELECTION_ROUND_TRIPS);
        let doublings = self.election.fruitless.saturating_sub(PATIENT_TERMS).min(MOST_DOUBLINGS);
        patience.times(1 << doublings)
    }

    /// Whether this node is one of a majority of the voters that hear no coordinator, each of which
    /// was heard just now.
    fn majority_hears_nobody(&self, now: Instant) -> bool {
        let Some(report) = &self.report else { return false };
        let leads = self.log.leader == Some(self.me);
        if report.hears_coordinator || leads || !report.vote_known || self.is_leaving() {
            return false;
        }
        let fresh = self.state.timers.suspect_after;
        let heard = |peer: &PeerReport| peer.heard.is_some_and(|heard| now.since(heard) < fresh);
        let silent = report.peers.iter().filter(|(_, it)| heard(it) && !it.hears_coordinator);
        let mut hearing_nobody: BTreeSet<_> = silent.map(|(node, _)| *node).collect();
        hearing_nobody.insert(self.me);
        crate::quorum::decide(&hearing_nobody, &self.log.voters)
            == crate::quorum::Verdict::HaveQuorum
    }

    /// Whom to make campaign, best first; nothing if a leader that was just elected, or nobody in a
    /// term that has just begun, needs a moment to be heard as a coordinator.
    fn candidates(&self, now: Instant) -> Option<Vec<NodeId>> {
        let report = self.report.as_ref()?;
        let (leader, term, since) = self.election.newest?;
        let patience = if leader.is_some() {
            self.state.timers.ride_out.max(LEADER_PATIENCE)
        } else {
            self.rank_patience().times(2)
        };
        if term == Term::default() || now.since(since) < patience {
            return None;
        }
        // Whoever can lead counts, although it may not have noticed yet: so every survivor arrives
        // at the same one. Never the coordinator that fell silent, nor another that seems to be
        // falling silent as well.
        let lively = Span(self.state.timers.elect_after.0 / 2);
        let able = report.peers.iter().filter(|(node, peer)| {
            let heard = peer.heard.is_some_and(|heard| now.since(heard) < lively);
            heard && peer.daemon_alive && Some(**node) != leader
        });
        let mut candidates: Vec<_> = able.map(|(node, peer)| (peer.log_tail, *node)).collect();
        candidates.push((self.log.tail, self.me));
        candidates.retain(|(_, node)| self.log.voters.iter().all(|set| set.contains(node)));
        candidates
            .sort_by_key(|(tail, node): &(LogTail, NodeId)| (core::cmp::Reverse(*tail), *node));
        Some(candidates.into_iter().map(|(_, node)| node).collect())
    }
}
