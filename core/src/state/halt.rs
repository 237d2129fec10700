//! Nodes that an operator stopped: a site, or all.
//!
//! A node on standby keeps what nobody else could take. A halted one keeps nothing: what has
//! another place moves there, the rest stops and stays stopped, over every restart of every
//! machine, until an operator says otherwise. That is what a whole site, or the whole cluster, is
//! switched off and started cold by: machines come up in any order, find each other, have quorum,
//! and serve when they are told to.

use alloc::collections::BTreeSet;

use super::apply::Applied;
use super::{Outcome, Refusal, State};
use crate::id::NodeId;

impl State {
    /// These nodes shall hold nothing, or may again. All of them, or none.
    pub(super) fn halt(&mut self, nodes: &BTreeSet<NodeId>, on: bool) -> Applied {
        if nodes.iter().any(|node| !self.members.contains_key(node)) {
            return Err(Refusal::NoSuchNode);
        }
        let before = self.later.halted.len();
        if on {
            self.later.halted.extend(nodes);
        } else {
            self.later.halted.retain(|node| !nodes.contains(node));
        }
        if self.later.halted.len() == before {
            return Err(Refusal::AlreadyThere);
        }
        Ok(Outcome::Done)
    }

    /// Whether that node shall hold nothing, not even as a last resort.
    #[must_use]
    pub fn is_halted(&self, node: NodeId) -> bool {
        self.later.halted.contains(&node)
    }
}
