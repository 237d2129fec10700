//! Ties: what is used up, and who lost its vote by it (`docs/protocol.md`, section 7).

use alloc::collections::BTreeSet;

use super::apply::Applied;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{Outcome, QuorumServer, Refusal, State};
use crate::id::{Grant, NodeId};

/// How many overrides are remembered.
pub const OVERRIDES_KEPT: usize = 8;

/// An operator's word that the absent half of the voters is off, and what was made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The number that is used up with it, like a grant's.
    pub number: Grant,
    /// The voter that loses its vote.
    pub out: NodeId,
    /// All that the operator says are off.
    pub absent: BTreeSet<NodeId>,
    /// It was said twice: that half may have decided what this one never heard of. It is never
    /// let in again as it was.
    pub forced: bool,
    /// Why.
    pub reason: String,
    /// On which node it was said.
    pub by: String,
    /// When, by that node's wall clock, in seconds since 1970. For people.
    pub wall: u64,
}

impl State {
    /// A grant is used up. A number that is not newer is a proposal that came late.
    pub(super) fn use_up(&mut self, number: Grant, out: BTreeSet<NodeId>) -> Applied {
        if number <= self.later.grant {
            return Err(Refusal::Stale);
        }
        self.later.grant = number;
        self.later.out.extend(out.into_iter().filter(|node| self.members.contains_key(node)));
        Ok(Outcome::Done)
    }

    /// A half goes on by an operator's word.
    pub(super) fn override_by(&mut self, word: Override) -> Applied {
        let done = self.use_up(word.number, BTreeSet::from([word.out]))?;
        self.later.overrides.push(word);
        let surplus = self.later.overrides.len().saturating_sub(OVERRIDES_KEPT);
        self.later.overrides.drain(..surplus);
        Ok(done)
    }

    /// Whether that member is never let in again as it was: another half went on by a forced word.
    #[must_use]
    pub fn is_shut_out(&self, node: NodeId) -> bool {
        let forced = |word: &Override| word.forced && word.absent.contains(&node);
        self.members.contains_key(&node) && self.later.overrides.iter().any(forced)
    }

    pub(super) fn vote_again(&mut self, node: NodeId) -> Applied {
        if self.later.out.remove(&node) { Ok(Outcome::Done) } else { Err(Refusal::AlreadyThere) }
    }

    pub(super) fn enrol(&mut self, server: Option<QuorumServer>) -> Applied {
        self.later.server = server;
        Ok(Outcome::Done)
    }
}
