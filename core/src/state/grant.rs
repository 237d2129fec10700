//! Ties: what is used up, and who lost its vote by it (`docs/protocol.md`, section 7).

use alloc::collections::BTreeSet;

use super::apply::Applied;
use super::{Outcome, QuorumServer, Refusal, State};
use crate::id::{Grant, NodeId};

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

    pub(super) fn vote_again(&mut self, node: NodeId) -> Applied {
        if self.later.out.remove(&node) { Ok(Outcome::Done) } else { Err(Refusal::AlreadyThere) }
    }

    pub(super) fn enrol(&mut self, server: Option<QuorumServer>) -> Applied {
        self.later.server = server;
        Ok(Outcome::Done)
    }
}
