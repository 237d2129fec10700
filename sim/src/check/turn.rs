//! What needs another service begins after it and is stopped before it; what an operator stopped or
//! has in maintenance does not begin.
//!
//! The judge knows what really was there: a service counts as having begun under an assignment when
//! its addresses were announced under that. It asks of each beginning what the state that the
//! machine went by says of the others. A service that has lost what it needs since goes on, and
//! nobody minds.

use std::collections::BTreeSet;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::{LocalView, Phase};
use stead_core::state::{Cause, Change, State};

use crate::world::World;

/// What the judge remembers.
#[derive(Debug, Default)]
pub struct Turn {
    /// Which services have begun, under which assignments.
    begun: BTreeSet<(ServiceId, Epoch)>,
}

impl World {
    /// A service begins on a machine, or is found running there by a new daemon.
    pub(crate) fn judge_begun(&mut self, host: usize, service: &ServiceId, epoch: Epoch) {
        let begun = &mut self.judges.turn.begun;
        if !begun.insert((service.clone(), epoch)) {
            return;
        }
        let Some(daemon) = &self.hosts[host].daemon else { return };
        let found =
            |(name, it): (&ServiceId, LocalView)| name == service && it.phase == Phase::Running;
        if daemon.node.local().any(found) {
            // A former run began it, and had not come so far as to say so.
            return;
        }
        let state = daemon.node.state();
        let why = if state.is_maintained(service) {
            Some("is in maintenance".to_string())
        } else {
            missing(state, service, begun).map(|need| format!("needs {need}, which is nowhere"))
        };
        if let Some(why) = why {
            let name = self.hosts[host].name;
            self.fail("turn", &format!("{service} begins on {name} and {why}"));
        }
    }

    /// The coordinator decides that a service stops: not before what needs it, if that has to go
    /// for good as well.
    pub(crate) fn judge_turn(&mut self, host: usize, change: &Change) {
        let Change::Stop { service, cause: Cause::Planned, .. } = change else { return };
        let Some(daemon) = &self.hosts[host].daemon else { return };
        let state = daemon.node.state();
        let goes = |service: &ServiceId| {
            let holder = state.assignments.get(service)?.holder.node()?;
            let here = state.view.contains_key(&holder);
            let goes = here && (state.is_stopped(service) || state.is_halted(holder));
            (goes && !state.is_maintained(service)).then_some(holder)
        };
        if goes(service).is_none() {
            return;
        }
        let Some(config) = &state.config else { return };
        let other = config.needed_by(service).find(|it| goes(it).is_some()).cloned();
        if let Some(other) = other {
            let what = format!("{service} is to stop before {other}, which needs it");
            self.fail("turn", &what);
        }
    }
}

/// What a service needs and never began under its present assignment.
fn missing(
    state: &State,
    service: &ServiceId,
    begun: &BTreeSet<(ServiceId, Epoch)>,
) -> Option<ServiceId> {
    let config = state.config.as_ref()?;
    let here = |need: &&ServiceId| {
        let epoch = state.assignments.get(*need).map(|it| it.epoch).unwrap_or_default();
        begun.contains(&((*need).clone(), epoch))
    };
    config.needs(service).find(|need| !here(need)).cloned()
}
