//! The stages of a takeover, as this node reached them: what `status` and incidents show.

use alloc::string::String;

use super::Node;
use crate::id::{Epoch, ServiceId};
use crate::state::{Cause, Change, Reached, Stage};
use crate::time::Instant;

impl Node {
    /// What a service's stages count from: the last sign of life of the node that lost it.
    pub(super) fn origin(&self, now: Instant, service: &ServiceId, epoch: Epoch) -> Instant {
        let about = |it: &crate::state::Moved| it.service == *service && it.epoch == epoch;
        let incident = self.state.incidents.iter().rev().find(|it| it.moved.iter().any(about));
        let lost = incident.filter(|it| matches!(it.cause, Cause::Silent | Cause::DaemonAway));
        let report = self.report.as_ref();
        lost.and_then(|it| report?.peers.get(&it.node)?.heard).unwrap_or(now)
    }

    pub(super) fn reached(
        &mut self,
        now: Instant,
        service: &ServiceId,
        epoch: Epoch,
        reached: Reached,
    ) {
        let node = self.me;
        let Some(local) = self.local.get_mut(service).filter(|it| it.epoch == epoch) else {
            return;
        };
        local.stages.push(Stage {
            node,
            service: Some(service.clone()),
            reached,
            after: now.since(local.origin),
            detail: String::new(),
        });
    }

    /// Has the stages so far committed.
    pub(super) fn tell_stages(&mut self, service: &ServiceId) {
        let Some(local) = self.local.get_mut(service) else { return };
        let stages = core::mem::take(&mut local.stages);
        let (service, epoch) = (service.clone(), local.epoch);
        if !stages.is_empty() {
            self.observations.push_back(Change::Observe { service, epoch, stages });
        }
    }
}
