//! An operator's word in place of a grant (rule G18).
//!
//! Nothing breaks ties, or what breaks them can't be asked: exactly half of the voters is here and
//! stops. Only people can see that the other half is off and stays so. An operator says that on the
//! node that would ask for a grant, with a reason and for a time; from then on all goes as under a
//! grant. The word is kept in this run of the daemon only, and ends with its time, or when one of
//! those that are off is heard.
//!
//! *What it can't know.* If the register granted the other half, or this one has missed what was
//! decided, there is something that this half never heard of. Such a half may go on by a second
//! word (`forced`), and then the others are no members any more: what they hold is not ours. One
//! that runs on by itself would serve beside this half; no rule of ours can keep it from that, so
//! people are told to empty it first.
//!
//! Absent on purpose: going on with fewer than half. These do not have all that was committed.

use alloc::collections::BTreeSet;
use alloc::string::String;

use super::Node;
use crate::id::{Grant, NodeId};
use crate::notice::Notice;
use crate::quorum::register::{Half, Refusal};
use crate::state::{Change, Override};
use crate::time::{Instant, Span};

/// What an operator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// For how long it counts.
    pub span: Span,
    /// It counts although the other half was granted, or this one has missed something.
    pub forced: bool,
    /// Why.
    pub reason: String,
    /// When, by the wall clock, in seconds since 1970. For people.
    pub wall: u64,
}

/// A word that counts.
#[derive(Clone, Debug)]
pub(super) struct Vouch {
    word: Word,
    absent: BTreeSet<NodeId>,
    until: Instant,
}

/// What an operator could override here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overridable {
    /// Not exactly half of the voters is here, or it has quorum.
    Nothing,
    /// Another node of this half has more of the log.
    On(NodeId),
    /// This one, of these.
    Here {
        /// Who would have to be off.
        absent: BTreeSet<NodeId>,
        /// What the register last said of this half: a second word is needed.
        refused: Option<Refusal>,
    },
}

impl Node {
    /// What an operator could override here and now.
    #[must_use]
    pub fn overridable(&self, now: Instant) -> Overridable {
        let Some(half) = self.half_here(now) else { return Overridable::Nothing };
        if self.has_grant(now) || self.is_quorate_coordinator(now) {
            return Overridable::Nothing;
        }
        match self.asker(&half) {
            Some(asker) if asker == self.me => {
                let refused = self
                    .tie
                    .refusal(&half)
                    .filter(|refusal| matches!(refusal, Refusal::Taken(_) | Refusal::Stale));
                Overridable::Here { absent: half.absent().collect(), refused }
            }
            Some(asker) => Overridable::On(asker),
            None => Overridable::Nothing,
        }
    }

    /// An operator says it. Whoever asked first what [could be](Self::overridable) may have asked
    /// too early: then nothing comes of it.
    pub(super) fn on_vouched(&mut self, now: Instant, word: Word) {
        let Overridable::Here { absent, refused } = self.overridable(now) else { return };
        if refused.is_some() && !word.forced {
            return;
        }
        let names = absent.iter().map(|node| self.state.name(*node)).collect();
        self.notice(Notice::Vouched(names, word.reason.clone(), word.span));
        self.tie.vouch = Some(Vouch { until: now + word.span, word, absent });
    }

    /// Whether an operator's word counts at this moment. One that does no more is forgotten.
    pub(super) fn has_vouch(&mut self, now: Instant) -> bool {
        let Some(vouch) = &self.tie.vouch else { return false };
        let heard = |node: &NodeId| {
            let report = self.report.as_deref();
            report.is_some_and(|report| self.heard_lately(now, report, *node))
        };
        let over = now >= vouch.until;
        let ended = over || vouch.absent.iter().any(heard);
        if ended {
            self.withdraw();
            self.tie.vouch = None;
            self.notice(Notice::VouchEnded(over));
        }
        !ended
    }

    /// The number with which that half goes on by an operator's word. Never one that the register
    /// is known to have given.
    pub(super) fn vouched_number(&self, half: &Half) -> Option<Grant> {
        let vouch = self.tie.vouch.as_ref()?;
        let given = self.tie.standing.map(|standing| standing.last).unwrap_or_default();
        half.absent()
            .all(|node| vouch.absent.contains(&node))
            .then(|| self.state.later.grant.max(given).next())
    }

    /// What is committed with the vote that was made of the word.
    pub(super) fn overriding(&self, number: Grant, out: NodeId) -> Option<Change> {
        let vouch = self.tie.vouch.as_ref()?;
        Some(Change::Override(Override {
            number,
            out,
            absent: vouch.absent.clone(),
            forced: vouch.word.forced,
            reason: vouch.word.reason.clone(),
            by: self.state.name(self.me),
            wall: vouch.word.wall,
        }))
    }

    /// A member that another half overruled by a forced word goes, once nothing of the services is
    /// with it any more. What it holds is not what was decided here.
    pub(super) fn shut_out(&self) -> Option<Change> {
        let holds =
            |node: NodeId| self.state.assignments.values().any(|it| it.holder.node() == Some(node));
        let members = self.state.members.keys().copied();
        let mut gone = members.filter(|node| {
            let here = *node == self.me || self.state.view.contains_key(node);
            self.state.is_shut_out(*node) && !here && !holds(*node)
        });
        gone.next().map(|node| Change::Leave { node })
    }

    /// Until when an operator's word counts here.
    #[must_use]
    pub fn vouched_until(&self) -> Option<Instant> {
        self.tie.vouch.as_ref().map(|vouch| vouch.until)
    }
}
