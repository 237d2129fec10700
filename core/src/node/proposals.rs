//! What this node has proposed to the log and does not know the end of.
//!
//! One at a time for each purpose. What is committed is over once it is applied here; what is lost,
//! or may be, is proposed again by whoever still wants it, and the state refuses one of both.

use super::{Command, Fate, Node};
use crate::id::{Grant, Index, ServiceId};
use crate::notice::Notice;
use crate::quorum::register::Challenge;
use crate::state::{Change, Outcome, Refusal};

/// What a proposal is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The coordinator's decision.
    Decision,
    /// The coordinator's word that grants are used up; on that challenge, if the register has to be
    /// trusted again.
    Grant {
        /// The number.
        number: Grant,
        /// The challenge.
        challenge: Option<Challenge>,
    },
    /// The beginning of this coordinator's term.
    Beginning,
    /// This node's record that it stopped a service.
    Stopped(ServiceId),
    /// This node's word that a service works that others wait for.
    Works(ServiceId),
    /// What this node says of its copy of a service.
    Copy(ServiceId),
    /// What may be relied on of this node's watchdog.
    Watch,
    /// That clients may be told where a service is.
    Told(ServiceId),
    /// That what name servers say of a service may be kept as usual again.
    Lowered(ServiceId),
    /// This node's stages of an incident.
    Observation,
}

/// A proposal under way.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    pub purpose: Purpose,
    /// Where it was committed. It is over once that is applied here.
    pub committed: Option<Index>,
}

impl Node {
    pub(super) fn on_proposed(&mut self, ticket: u64, fate: Fate) {
        let Some(proposal) = self.proposals.get_mut(&ticket) else { return };
        match fate {
            Fate::Committed(index, outcome) => {
                proposal.committed = Some(index);
                if let (Purpose::Grant { number, challenge }, Outcome::Done) =
                    (&proposal.purpose, &outcome)
                {
                    self.tie.trust(*challenge, *number);
                }
                let observation = proposal.purpose == Purpose::Observation;
                if let Outcome::Refused(refusal) = outcome
                    && refusal != Refusal::Stale
                    && !observation
                {
                    self.notice(Notice::Refused(alloc::format!("{refusal}")));
                }
            }
            // It may still come; whoever wants it proposes it again, and one of both is refused.
            Fate::Unknown | Fate::Lost => {
                self.proposals.remove(&ticket);
            }
        }
    }

    /// Somebody else leads, or the same anew: what the one before did not answer is proposed again
    /// by whoever still wants it, not when it would have been given up.
    pub(super) fn forget_unanswered(&mut self) {
        self.proposals.retain(|_, it| it.committed.is_some());
    }

    /// Whether a decision is under way.
    pub(super) fn deciding(&self) -> bool {
        self.is_proposed(&Purpose::Decision)
    }

    pub(super) fn propose(&mut self, purpose: Purpose, change: Change) {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.proposals.insert(ticket, Proposal { purpose, committed: None });
        self.command(Command::Propose { ticket, change });
    }

    /// Whether a proposal for that purpose is under way.
    pub(super) fn is_proposed(&self, purpose: &Purpose) -> bool {
        self.proposals.values().any(|it| it.purpose == *purpose)
    }

    pub(super) fn send_observation(&mut self) {
        if !self.is_proposed(&Purpose::Observation)
            && let Some(change) = self.observations.pop_front()
        {
            self.propose(Purpose::Observation, change);
        }
    }
}
