//! What a coordinator and the register that breaks ties tell each other while all is well.
//!
//! A coordinator with quorum says now and then which grant is used up, and hears where the register
//! stands. If that is ahead, a grant was won and not used: it is used up here, through a majority
//! (rule G12). If the register does not know what it granted before, the coordinator has a new
//! number committed *after* it heard the register's challenge, and says both: whatever was granted
//! before and is not committed by then never can be (`quorum::register`).
//!
//! Members that lost their vote by a grant get it back once they are here (rule G8).

use super::tie::Tie;
use super::{Node, Purpose};
use crate::id::Grant;
use crate::lease::Report;
use crate::notice::Notice;
use crate::quorum::ask::{Answer, Question};
use crate::quorum::chain::Module;
use crate::quorum::register::Challenge;
use crate::state::Change;
use crate::time::{Instant, Span};

/// The time between two words to a register that has nothing to decide.
const KEEP_ALIVE: Span = Span::from_millis(1_000);
/// How long an answer to them is waited for.
const PATIENCE: Span = Span::from_millis(5_000);

impl Tie {
    /// That number was committed, on that challenge.
    pub(super) fn trust(&mut self, challenge: Option<Challenge>, number: Grant) {
        if let Some(challenge) = challenge {
            self.trusting = Some((challenge, number));
        }
    }
}

impl Tie {
    /// What was taken, or asked for, belongs to a coordinator that is none at this moment.
    fn forget_number(&mut self) {
        self.taken = None;
        self.asked.take_if(|asked| matches!(asked.question, Question::Take { .. }));
    }
}

impl Node {
    /// Whether there is a register that breaks ties, and where it is is known.
    pub(super) fn has_register(&self) -> bool {
        let quorum = self.state.config.as_ref().map(|config| &config.later.quorum);
        match quorum.and_then(|quorum| quorum.chain.register()) {
            Some(Module::QuorumServer) => self.state.later.server.is_some(),
            Some(Module::Exec) => quorum.is_some_and(|quorum| quorum.exec.is_some()),
            Some(Module::Majority | Module::Fence) | None => false,
        }
    }

    /// Has the register and the state know of each other. Called after every event.
    pub(super) fn keep_alive(&mut self, now: Instant) {
        if !self.has_register() || !self.is_quorate_coordinator(now) || !self.has_begun() {
            self.tie.trusting = None;
            self.tie.forget_number();
            return;
        }
        // A half asks for itself while its coordinator's authority still lasts: what it is granted
        // is not to be used up for nobody.
        if self.tie.is_halved() {
            self.tie.forget_number();
            return;
        }
        // Nor what is about to be committed with a change of the voters.
        if self.is_using_number(now) {
            return;
        }
        self.use_up_what_was_given();
        let waits = self.tie.asked.as_ref().is_some_and(|it| now.since(it.at) < PATIENCE);
        let since = self.tie.spoken.map(|spoken| now.since(spoken));
        if waits {
            return;
        }
        let question = match self.tie.trusting {
            Some((challenge, known)) => Question::Trust { challenge, known },
            None if since.is_none_or(|since| since >= KEEP_ALIVE) => {
                Question::Hear { known: self.state.later.grant }
            }
            None => return,
        };
        self.ask(now, question);
    }

    fn use_up_what_was_given(&mut self) {
        let Some(standing) = self.tie.standing else { return };
        let known = self.state.later.grant;
        let proposed = |it: &super::Proposal| matches!(it.purpose, Purpose::Grant { .. });
        if self.proposals.values().any(proposed) || self.tie.trusting.is_some() {
            return;
        }
        let (number, challenge) = match standing.distrusted {
            Some(challenge) => (standing.last.max(known).next(), Some(challenge)),
            None if standing.last > known => (standing.last, None),
            None => return,
        };
        let change = Change::Grant { number, out: alloc::collections::BTreeSet::new() };
        self.propose(Purpose::Grant { number, challenge }, change);
    }

    /// The register answered, or did not in time.
    pub(super) fn on_answered(
        &mut self,
        now: Instant,
        number: u64,
        answer: Option<Answer>,
        round_trip: Span,
    ) {
        let Some(asked) = self.tie.asked.take_if(|asked| asked.number == number) else { return };
        let before = self.tie.answers.replace(answer.is_some());
        let Some(answer) = answer else {
            if before != Some(false) {
                self.notice(Notice::RegisterLost);
            }
            return;
        };
        if before == Some(false) {
            self.notice(Notice::RegisterHere);
        }
        let distrusted = self.tie.standing.is_some_and(|it| it.distrusted.is_some());
        match (distrusted, answer.standing.distrusted.is_some()) {
            (false, true) => self.notice(Notice::RegisterDistrusted),
            (true, false) => self.notice(Notice::RegisterTrusted),
            (true, true) | (false, false) => {}
        }
        self.tie.round_trip = Some(round_trip);
        self.tie.standing = Some(answer.standing);
        match (asked.question, answer.grant) {
            (Question::Ask { half, .. }, Some(said)) => self.tie.said(now, &half, said),
            (Question::Trust { .. }, _) => self.tie.trusting = None,
            (Question::Take { .. }, Some(Ok(number))) => self.tie.taken = Some((number, now)),
            (Question::Ask { .. }, None)
            | (Question::Take { .. }, None | Some(Err(_)))
            | (Question::Hear { .. }, _) => {}
        }
    }

    /// Whether the register answered this node's last question; nothing if it never asked.
    #[must_use]
    pub fn register_answers(&self) -> Option<bool> {
        self.tie.answers
    }

    /// Whether the register said that it does not know what was granted before.
    #[must_use]
    pub fn register_is_distrusted(&self) -> bool {
        self.tie.standing.is_some_and(|standing| standing.distrusted.is_some())
    }

    /// A node that lost its vote and is back: in the view, and heard.
    pub(super) fn returned(&self, now: Instant, report: &Report) -> Option<Change> {
        let back = self.state.later.out.iter().find(|node| {
            self.state.view.contains_key(node)
                && (**node == self.me || self.heard_lately(now, report, **node))
        });
        back.map(|node| Change::Back { node: *node })
    }
}
