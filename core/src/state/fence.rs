//! What stays with its node until that is proven to be off.
//!
//! The end of a lease ends programs, and shuts the gate before addresses. It does not undo all that
//! agents do: a mount, a volume, a session on a storage may be there for as long as the machine
//! has power. A service with a resource of such a class ([`Safety::Fence`]) is *bound*: when its
//! holder is lost, nobody else gets it for the end of the lease alone. It goes on belonging to that
//! node until there is a stronger proof: the node is back and has stopped it itself, it was said in
//! its last word to be stopped, or an operator says that the machine is off.
//!
//! What binds is what may have been started, not what stands in the configuration now: an operator
//! who takes a resource out of a service while its node is away has not unmounted anything there.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::apply::Applied;
use super::{Holder, Outcome, ProofRecord, Refusal, State};
use crate::id::{NodeId, ServiceId};
use crate::state::config::Safety;
use crate::time::Span;

/// How many words of operators are remembered.
pub const CONFIRMATIONS_KEPT: usize = 8;

/// An operator's word that a machine is off, or cut from all that its services could write to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The machine.
    pub node: NodeId,
    /// What was looked at.
    pub reason: String,
    /// On which node it was said.
    pub by: String,
    /// When, by that node's wall clock, in seconds since 1970. For people.
    pub wall: u64,
}

impl State {
    /// Whether a service's holder may have something of it that only proof of its being off makes
    /// safe elsewhere.
    #[must_use]
    pub fn is_bound(&self, service: &ServiceId) -> bool {
        self.later.next.bound.contains(service)
    }

    /// The bound services that wait for a node which is out of the view.
    pub fn waiting_for(&self, node: NodeId) -> impl Iterator<Item = &ServiceId> {
        let held = self.held_by(node).map(|(service, _)| service);
        held.filter(move |service| self.waits_for(service, node))
    }

    /// Whether a service of that holder waits for it to be back, or off.
    #[must_use]
    pub fn waits_for(&self, service: &ServiceId, holder: NodeId) -> bool {
        self.is_bound(service) && !self.view.contains_key(&holder)
    }

    /// Somebody is about to start it: what it is now binds it.
    pub(super) fn bind(&mut self, service: &ServiceId) {
        let config = self.config.as_ref();
        let class = config.map(|config| config.safety(service)).unwrap_or_default();
        match class {
            Safety::Fence => drop(self.later.next.bound.insert(service.clone())),
            Safety::Lease => drop(self.later.next.bound.remove(service)),
        }
    }

    /// Nobody has anything of it.
    pub(super) fn unbind(&mut self, service: &ServiceId) {
        self.later.next.bound.remove(service);
    }

    /// Whether a service stays with the node that was lost, under that proof.
    #[must_use]
    pub fn stays(&self, service: &ServiceId, proof: ProofRecord) -> bool {
        let stopped = match proof {
            // A node's last word is said once all that it had has stopped.
            ProofRecord::Stopped | ProofRecord::NeverHeld | ProofRecord::Released => true,
            // What a machine had mounted is mounted there no more.
            ProofRecord::Fenced | ProofRecord::WatchdogElapsed => true,
            ProofRecord::LeaseExpired => false,
        };
        self.is_bound(service) && !stopped
    }

    /// A machine is off, by an operator's word: what is bound to it may go elsewhere.
    pub(super) fn confirm_off(&mut self, word: Confirmation) -> Applied {
        let node = word.node;
        if !self.members.contains_key(&node) {
            return Err(Refusal::NoSuchNode);
        }
        if self.view.contains_key(&node) {
            return Err(Refusal::StillHere);
        }
        if self.waiting_for(node).next().is_none() {
            return Err(Refusal::NothingWaits);
        }
        self.free_bound(node);
        remember(&mut self.later.next.confirmations, word);
        Ok(Outcome::Done)
    }

    /// A node that is out of the view is certain to have nothing any more: what waits for it may go
    /// elsewhere, all at once.
    pub(super) fn free_bound(&mut self, node: NodeId) {
        let waiting: BTreeSet<_> = self.waiting_for(node).cloned().collect();
        for service in waiting {
            self.epoch = self.epoch.next();
            let epoch = self.epoch;
            self.unbind(&service);
            let Some(assignment) = self.assignments.get_mut(&service) else { continue };
            if let Holder::Node(_) | Holder::Stopping { .. } = assignment.holder {
                let cause = assignment.holder.cause();
                assignment.holder = Holder::Stopped { node, cause, took: Span::ZERO };
                assignment.epoch = epoch;
            }
        }
        self.forget_unwanted();
    }
}

fn remember(all: &mut Vec<Confirmation>, word: Confirmation) {
    all.push(word);
    let surplus = all.len().saturating_sub(CONFIRMATIONS_KEPT);
    all.drain(..surplus);
}
