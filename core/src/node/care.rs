//! How this node looks after its services, beyond starting and stopping them: what it leaves alone
//! while an operator works, what waits for what, and what is run when a service comes and goes.

use super::local::{Local, Phase};
use super::{Command, Hook, Node, Purpose};
use crate::id::ServiceId;
use crate::resource::Care;
use crate::state::{Cause, Change, Moved};
use crate::time::Instant;

impl Node {
    /// What may be done about a service that fails where it is.
    pub(super) fn care(&self, service: &ServiceId) -> Care {
        if self.state.is_maintained(service) {
            Care::Nothing
        } else if self.state.is_disarmed() {
            // What a monitor says is not acted upon, what ended begins again (rule M5).
            Care::Ended
        } else {
            Care::Full
        }
    }

    /// Whether what is assigned here may begin: nothing does in maintenance, nor before all that it
    /// needs works.
    pub(super) fn may_begin(&self, service: &ServiceId) -> bool {
        let Some(config) = &self.state.config else { return false };
        !self.state.is_maintained(service) && config.needs(service).all(|it| self.state.works(it))
    }

    /// Whether a service that has no program to be found had yet to begin when a former run ended:
    /// it lacks what it needs, and nobody said that it worked.
    pub(super) fn waits(&self, service: &ServiceId) -> bool {
        let Some(config) = &self.state.config else { return false };
        !self.state.works(service) && !config.needs(service).all(|it| self.state.works(it))
    }

    /// Whether nothing is to be done about a service that runs here and is its own.
    pub(super) fn is_looked_after(&self, service: &ServiceId, local: &Local) -> bool {
        let care = self.care(service);
        local.care == Some(care)
            && (!local.ended || care == Care::Nothing)
            && (local.worked && local.known_to_work == Some(self.state.revision)
                || !self.works_here(service, local))
    }

    /// Mends what [`Node::is_looked_after`] misses.
    pub(super) fn look_after(&mut self, now: Instant, service: &ServiceId) {
        let care = self.care(service);
        let Some(local) = self.local.get_mut(service) else { return };
        if local.ended && care != Care::Nothing {
            self.begin_stop(now, service, Cause::Maintenance);
            return;
        }
        let epoch = local.epoch;
        if local.may_run() && local.care != Some(care) {
            local.care = Some(care);
            self.command(Command::Care { service: service.clone(), epoch, care });
        }
        let Some(local) = self.local.get(service) else { return };
        if self.works_here(service, local) {
            self.tell_works(service);
        }
    }

    /// Whether it runs here, and whoever looks whether it works has said so.
    fn works_here(&self, service: &ServiceId, local: &Local) -> bool {
        let monitored = || self.state.config.as_ref().is_some_and(|it| it.is_monitored(service));
        local.phase == Phase::Running && !local.ended && (local.verified || !monitored())
    }

    /// Has its hook run, once, and tells those that wait for it.
    fn tell_works(&mut self, service: &ServiceId) {
        let revision = self.state.revision;
        let config = self.state.config.as_ref();
        let needed = config.is_some_and(|config| config.waits_or_is_waited_for(service));
        let told = !needed || self.state.works(service);
        let Some(local) = self.local.get_mut(service) else { return };
        let (epoch, worked) = (local.epoch, core::mem::replace(&mut local.worked, true));
        if told {
            local.known_to_work = Some(revision);
        }
        if !worked && self.has_hook(service, Hook::Takeover) {
            let about = |it: &Moved| it.service == *service && it.epoch == epoch;
            let mut incidents = self.state.incidents.iter().rev();
            let cause = incidents.find(|it| it.moved.iter().any(about)).map(|it| it.cause);
            let (service, hook) = (service.clone(), Hook::Takeover);
            self.command(Command::Hook { service, epoch, hook, cause });
        }
        let purpose = Purpose::Works(service.clone());
        if !told && !self.is_proposed(&purpose) {
            self.propose(purpose, Change::Works { service: service.clone(), epoch });
        }
    }

    fn has_hook(&self, service: &ServiceId, hook: Hook) -> bool {
        let more = self.state.config.as_ref().and_then(|config| config.more_of(service));
        more.is_some_and(|more| match hook {
            Hook::Takeover => more.hooks.takeover.is_some(),
            Hook::Release => more.hooks.release.is_some(),
        })
    }

    /// Whether something is to be run before that service is stopped: it is given up in order, and
    /// there is a lease to do it under.
    pub(super) fn releases(&self, now: Instant, service: &ServiceId) -> bool {
        let Some(local) = self.local.get(service) else { return false };
        let leased = self.has_lease(now) && self.lapsed() < local.epoch && !self.store_failed;
        local.phase == Phase::Running && leased && self.has_hook(service, Hook::Release)
    }

    /// Whether this node ends, and something here that needs that service is to stop before it.
    pub(super) fn waits_for_others(
        &self,
        now: Instant,
        service: &ServiceId,
        local: &Local,
    ) -> bool {
        let in_order = self.retiring && !self.store_failed && self.has_lease(now);
        let Some(config) = self.state.config.as_ref().filter(|_| in_order) else { return false };
        let here = |other: &ServiceId| self.local.get(other).is_some_and(Local::is_here);
        self.lapsed() < local.epoch && config.needed_by(service).any(here)
    }

    /// An operator wants failures forgotten: what waits for its next try gets it now.
    pub(super) fn on_cleared(&mut self, now: Instant, change: &Change) {
        let (which, resource) = if let Change::Clear { service } = change {
            (service.as_ref(), None)
        } else if let Change::ClearResource { service, resource } = change {
            (Some(service), Some(resource))
        } else {
            return;
        };
        let mut told = alloc::vec::Vec::new();
        for (service, local) in &mut self.local {
            if which.is_some_and(|which| which != service) {
                continue;
            }
            if let Phase::Stopped(cause, _) = local.phase {
                local.phase = Phase::Stopped(cause, now);
            }
            if local.may_run() {
                told.push((service.clone(), local.epoch));
            }
        }
        let several = |it: &ServiceId| {
            self.state.config.as_ref().is_some_and(|config| !config.resources(it).is_empty())
        };
        told.retain(|(service, _)| several(service));
        for (service, epoch) in told {
            let resource = resource.cloned();
            self.command(Command::Forget { service, epoch, resource });
        }
    }
}
