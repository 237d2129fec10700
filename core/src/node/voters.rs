//! Who votes: every member, but satellites, and those that a tie was broken without (rule G8).
//!
//! Satellites are learners: they are sent the log and nothing of theirs counts (rule C4).
//!
//! One voter more or less at a time, so that the majorities of two sets in a row share a voter
//! (rule C4). An odd set of voters changes just so. Half of an even one may be granted without
//! having heard of a change that the others make: so the coordinator takes the next number from the
//! register first, and it is committed in the same entry (rule G14). From the taking on no half of
//! the former voters is granted anything.
//!
//! ```text
//!   odd:        member here ─▶ voter
//!   even:       member here ─▶ learner ─▶ caught up ─▶ number taken ─▶ voter
//!   satellite:  member here ─▶ learner; promoted it goes on as above, made one it stays learner
//! ```
//!
//! A coordinator never takes its own vote away: it has another one coordinate first.
//!
//! **Failures.** A number that was taken and not committed, because its answer was lost or the log
//! had something else to do, is used up for nothing (rule G12), and the next one is taken. Whoever
//! loses its majority between the taking and the commit is granted nothing until it meets the
//! others: so a node catches up *before* the number is taken, and that time is a round trip and a
//! commit.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::tie::Tie;
use super::{Command, Node};
use crate::id::{Grant, NodeId};
use crate::lease::Report;
use crate::notice::Notice;
use crate::quorum::ask::Question;
use crate::state::Change;
use crate::time::{Instant, Span};

/// The time between two changes of the voters.
const VOTER_PAUSE: Span = Span::from_millis(1_000);
/// The time between two questions for a number.
const TAKE_AGAIN: Span = Span::from_millis(500);
/// How many entries a member may be behind when a number is taken for its vote.
const NEARLY_THERE: u64 = 64;

/// One voter or learner more or less.
#[derive(Clone, Copy)]
enum Step {
    /// Another voter coordinates: this node's own vote is to go.
    HandOver(NodeId),
    More(NodeId),
    Less {
        node: NodeId,
        /// It stays a member.
        stays: bool,
    },
    /// A satellite is to be sent the log.
    Learn(NodeId),
    /// What is no member any more is sent nothing.
    Forget(NodeId),
}

impl Tie {
    /// A number for a change of the voters, once: the one after that of the own applied state.
    /// *With any newer one* a coordinator of before, which stands behind, could use what was taken
    /// for others, and change voters that are no more.
    fn take_number(&mut self, known: Grant) -> Option<Grant> {
        self.taken.take().map(|(number, _)| number).filter(|number| *number == known.next())
    }
}

impl Node {
    /// Lets one member more vote, or one node less. Only with a majority that answers in this term
    /// (rule G10): the caller is quorate.
    pub(super) fn adjust_voters(&mut self, now: Instant, report: &Report) {
        if self.voter_change.is_some_and(|since| now.since(since) < VOTER_PAUSE) {
            return;
        }
        // The guard has to count by the present voters before there are others (rule C4).
        if report.voters != self.log.voters {
            return;
        }
        let [voters] = &self.log.voters[..] else { return };
        let even = voters.len().is_multiple_of(2);
        let Some(step) = self.next_step(now, report, voters) else { return };
        let votes = matches!(step, Step::More(_) | Step::Less { .. });
        let command = if votes && even && self.has_register() {
            let Some(command) = self.step_by_number(now, report, step) else { return };
            command
        } else {
            step.command(None)
        };
        self.voter_change = Some(now);
        if let Step::HandOver(next) = step {
            self.notice(Notice::Campaign(self.state.name(next)));
        }
        self.command(command);
    }

    /// Whether a number was taken so lately that it may be about to be committed. One for which
    /// there is no step any more is forgotten.
    pub(super) fn is_using_number(&mut self, now: Instant) -> bool {
        let fresh = |at: Instant| now.since(at) < VOTER_PAUSE;
        self.tie.taken = self.tie.taken.filter(|(_, at)| fresh(*at));
        self.tie.taken.is_some() || self.tie.used.is_some_and(fresh)
    }

    fn next_step(&self, now: Instant, report: &Report, voters: &BTreeSet<NodeId>) -> Option<Step> {
        let wanted = |node: &NodeId| self.state.shall_vote(*node);
        let mut others = voters.iter().copied().filter(|node| *node != self.me);
        if let Some(gone) = others.find(|node| !wanted(node)) {
            let stays = self.state.is_satellite(gone);
            return Some(Step::Less { node: gone, stays });
        }
        // Without another that shall vote, one is to be made first.
        if !wanted(&self.me)
            && let Some(next) = self.successor(now, report)
        {
            return Some(Step::HandOver(next));
        }
        let members = || self.state.members.keys().copied();
        let mut learners = self.log.learners.iter().copied();
        if let Some(gone) = learners.find(|node| !self.state.members.contains_key(node)) {
            return Some(Step::Forget(gone));
        }
        let missing: Vec<_> = members()
            .filter(|node| match self.state.is_satellite(*node) {
                true => !self.log.learners.contains(node),
                false => wanted(node) && !voters.contains(node),
            })
            .collect();
        // A node that just joined is not heard yet: it learns from the log whom to talk to. Those
        // that are heard go first; of the others each is tried in turn.
        let heard = missing.iter().copied().find(|node| self.heard_lately(now, report, *node));
        let turn = (now.0 / VOTER_PAUSE.0) as usize % missing.len().max(1);
        let next = heard.or(missing.get(turn).copied())?;
        Some(if self.state.is_satellite(next) { Step::Learn(next) } else { Step::More(next) })
    }

    /// Which voter is to coordinate, and take this node's vote away. *By itself* this node could be
    /// the only one that has the entry: it is no voter by that, so it would not campaign when it is
    /// back, and of two voters the other one lacks its vote, and the entry.
    fn successor(&self, now: Instant, report: &Report) -> Option<NodeId> {
        let fit = |node: &NodeId| {
            let heard = report.peers.get(node).filter(|peer| peer.daemon_alive)?;
            let may = self.state.shall_vote(*node) && self.heard_lately(now, report, *node);
            may.then_some((heard.log_tail, *node))
        };
        let voters = self.log.voters.iter().flatten().filter(|node| **node != self.me);
        voters.filter_map(fit).max().map(|(_, next)| next)
    }

    /// A coordinator that was asked to end decides nothing any more. Mostly all of it stops within
    /// moments, and its last word makes the others elect. If something does not, another one leads
    /// meanwhile: *without that* nobody would decide anything for as long as a stop hangs.
    pub(super) fn leave_the_lead(&mut self, now: Instant) {
        let leads = self.log.leader == Some(self.me) && self.retiring && !self.store_failed;
        let late = self.retiring_since.is_some_and(|at| now.since(at) > self.state.timers.ride_out);
        let again = self.voter_change.is_none_or(|at| now.since(at) >= VOTER_PAUSE);
        let Some(report) = self.report.clone().filter(|_| leads && late && again) else { return };
        if let Some(next) = self.successor(now, &report) {
            self.voter_change = Some(now);
            self.notice(Notice::Campaign(self.state.name(next)));
            self.command(Command::HandOver(next));
        }
    }

    /// The step in one entry with a number, or what comes before it.
    fn step_by_number(&mut self, now: Instant, report: &Report, step: Step) -> Option<Command> {
        // Half of the voters asks for itself.
        if self.tie.is_halved() {
            return None;
        }
        if let Step::More(node) = step
            && !self.is_nearly_there(now, report, node)
        {
            return Some(Command::AddLearner(node));
        }
        let known = self.state.later.grant;
        if let Some(number) = self.tie.take_number(known) {
            self.tie.used = Some(now);
            let change = Change::Grant { number, out: BTreeSet::new() };
            return Some(step.command(Some(change)));
        }
        let lately = self.tie.spoken.is_some_and(|at| now.since(at) < TAKE_AGAIN);
        if !lately && self.tie.trusting.is_none() {
            self.ask(now, Question::Take { known });
        }
        None
    }

    fn is_nearly_there(&self, now: Instant, report: &Report, node: NodeId) -> bool {
        let (tail, heard) = (self.log.tail, self.heard_lately(now, report, node));
        let there = report.peers.get(&node).map(|peer| peer.log_tail);
        heard
            && there
                .is_some_and(|it| it.term == tail.term && it.index.0 + NEARLY_THERE >= tail.index.0)
    }
}

impl Step {
    fn command(self, under: Option<Change>) -> Command {
        match self {
            Self::HandOver(node) => Command::HandOver(node),
            Self::More(node) => Command::AddVoter { node, under },
            Self::Less { node, stays } => Command::RemoveVoter { node, stays, under },
            Self::Learn(node) => Command::AddLearner(node),
            Self::Forget(node) => Command::RemoveVoter { node, stays: false, under },
        }
    }
}
