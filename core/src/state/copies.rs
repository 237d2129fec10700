//! Copies of services: which node has one, and under which epoch (`docs/protocol.md`, section 16).

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::apply::Applied;
use super::config::{Config, CopiesConfig};
use super::{Holder, Outcome, Refusal, State};
use crate::id::{Epoch, NodeId, ServiceId};

/// A node's copy of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Under which it runs: one start of a copy for each.
    pub epoch: Epoch,
    /// How far it has come.
    pub stage: CopyStage,
}

/// How far a copy has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CopyStage {
    /// The node may start it.
    Begun,
    /// It runs.
    Runs,
    /// It is promoted.
    Promoted,
}

/// What a node says of its copy of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopyStep {
    /// It is about to start it, and asks for an epoch.
    Begins,
    /// The one of that epoch runs.
    Runs(Epoch),
    /// The one of that epoch is promoted.
    Promoted(Epoch),
    /// Nothing is left of the one of that epoch.
    Over(Epoch),
}

impl Config {
    /// The copies of a service, if it has any.
    #[must_use]
    pub fn copies(&self, service: &ServiceId) -> Option<&CopiesConfig> {
        self.more_of(service)?.copies.as_ref()
    }
}

impl State {
    /// A node's copy of a service, if it has one.
    #[must_use]
    pub fn copy(&self, service: &ServiceId, node: NodeId) -> Option<Copied> {
        self.later.next.copies.get(service)?.get(&node).copied()
    }

    /// The epoch since which a service is described as it is: copies of earlier ones are of
    /// another service, in a way.
    #[must_use]
    pub fn described(&self, service: &ServiceId) -> Epoch {
        self.later.next.described.get(service).copied().unwrap_or_default()
    }

    /// Whether a service has copies, and that node's is one that could be promoted now.
    #[must_use]
    pub fn may_be_promoted(&self, service: &ServiceId, node: NodeId) -> bool {
        let runs = self.copy(service, node).is_some_and(|copy| {
            copy.stage >= CopyStage::Runs && copy.epoch > self.described(service)
        });
        let listed = self.config.as_ref().and_then(|config| config.copies(service));
        let listed = listed.is_some_and(|copies| copies.is_on(&self.name(node)));
        listed && runs && self.score(service, node).is_some_and(|score| score > 0)
    }

    /// Whether a node may be given a service, as far as copies go: it has none, or that one could
    /// be promoted.
    #[must_use]
    pub fn is_fit(&self, service: &ServiceId, node: NodeId) -> bool {
        !self.has_copies(service) || self.may_be_promoted(service, node)
    }

    /// Whether a service has copies.
    #[must_use]
    pub fn has_copies(&self, service: &ServiceId) -> bool {
        self.config.as_ref().is_some_and(|config| config.copies(service).is_some())
    }

    pub(super) fn copy_step(
        &mut self,
        service: &ServiceId,
        node: NodeId,
        step: CopyStep,
    ) -> Applied {
        let known = self.copy(service, node);
        let is = |epoch: Epoch| known.is_some_and(|copy| copy.epoch == epoch);
        let holder = self.assignments.get(service).map(|it| &it.holder);
        let holds = holder.is_some_and(|holder| *holder == Holder::Node(node));
        let copy = match step {
            CopyStep::Begins => {
                let wanted = self.config.as_ref().and_then(|config| config.copies(service));
                if !wanted.is_some_and(|copies| copies.is_on(&self.name(node))) {
                    return Err(Refusal::NoSuchService);
                }
                if !self.view.contains_key(&node) {
                    return Err(Refusal::NotEligible(node));
                }
                if known.is_some() {
                    return Err(Refusal::Stale);
                }
                // What was said of it since an earlier one ended was said of that.
                self.later.next.attributes.forget_scores(service, node);
                self.epoch = self.epoch.next();
                Some(Copied { epoch: self.epoch, stage: CopyStage::Begun })
            }
            CopyStep::Runs(epoch) if is(epoch) => Some(Copied { epoch, stage: CopyStage::Runs }),
            // It may come late: after the demotion, and the promotion of another one.
            CopyStep::Promoted(epoch) if is(epoch) && holds => {
                Some(Copied { epoch, stage: CopyStage::Promoted })
            }
            CopyStep::Over(epoch) if is(epoch) => None,
            CopyStep::Runs(_) | CopyStep::Promoted(_) | CopyStep::Over(_) => {
                return Err(Refusal::Stale);
            }
        };
        match copy {
            Some(copy) => {
                let all = self.later.next.copies.entry(service.clone()).or_default();
                all.insert(node, copy);
            }
            None => self.forget_copy(service, node),
        }
        Ok(Outcome::Done)
    }

    /// A service that is described anew is one of which nothing runs yet. To be called with the
    /// services whose description has just changed.
    pub(super) fn describe_copies(&mut self, changed: &[ServiceId]) {
        for service in changed {
            if self.has_copies(service) {
                self.epoch = self.epoch.next();
                self.later.next.described.insert(service.clone(), self.epoch);
            }
        }
        let copies = |service: &ServiceId, config: &Config| config.copies(service).is_some();
        if let Some(config) = &self.config {
            self.later.next.described.retain(|service, _| copies(service, config));
        }
    }

    /// Nothing that ran on the node runs any more: it is out of the view, or came back anew.
    pub(super) fn forget_copies_of(&mut self, node: NodeId) {
        self.later.next.copies.values_mut().for_each(|all| {
            all.remove(&node);
        });
        self.later.next.copies.retain(|_, all| !all.is_empty());
        self.later.next.attributes.transient.remove(&node);
    }

    fn forget_copy(&mut self, service: &ServiceId, node: NodeId) {
        if let Some(all) = self.later.next.copies.get_mut(service) {
            all.remove(&node);
        }
        self.later.next.copies.retain(|_, all| !all.is_empty());
        self.later.next.attributes.forget_scores(service, node);
    }

    /// The holder has demoted its copy.
    pub(super) fn note_demoted(&mut self, service: &ServiceId, node: NodeId) {
        let all = self.later.next.copies.get_mut(service);
        if let Some(copy) = all.and_then(|all| all.get_mut(&node)) {
            copy.stage = copy.stage.min(CopyStage::Runs);
        }
    }

    /// The nodes whose copies of a service run, and whether each is promoted.
    #[must_use]
    pub fn running_copies(&self, service: &ServiceId) -> Vec<(NodeId, bool)> {
        let all = self.later.next.copies.get(service).into_iter().flatten();
        let runs = all.filter(|(_, copy)| copy.stage >= CopyStage::Runs);
        runs.map(|(node, copy)| (*node, copy.stage == CopyStage::Promoted)).collect()
    }
}
