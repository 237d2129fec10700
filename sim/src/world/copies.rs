//! Copies of services on the machines: each runs under a keeper that goes by the copy's epoch, says
//! by its score that it is fit, and is promoted where the daemon is told to start the service.
//!
//! A promoted copy stands in `programs`, under the epoch of its assignment, so whoever judges
//! programs judges it too. Nothing ends it but its copy's keeper, the daemon, or itself.

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::state::{AttributeScope, Change, State, score_of};

use super::keeper::LATE;
use super::{DaemonIn, What, World};
use crate::plan::COPIED;

/// How late a keeper looks where nothing is left to chance, in microseconds.
const USUALLY_LATE: u64 = 200;
/// The time between two looks of a copy's monitor, in microseconds.
const LOOKS: u64 = 500_000;

/// A copy that runs, and what keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Under which epoch it was started.
    pub epoch: Epoch,
    /// The run of the guard whose page its keeper watches.
    pub guard: u64,
}

/// What stands for a service's copy where commands about a service overtake each other.
pub(super) fn copy_of(service: &ServiceId) -> ServiceId {
    ServiceId(format!("copy of {service}"))
}

impl World {
    pub(super) fn begin_copy(&mut self, host: usize, service: ServiceId, epoch: Epoch) {
        let key = copy_of(&service);
        self.in_order(host, &key, Event::CopyStarted { service, epoch, failed: None });
    }

    pub(super) fn end_copy(&mut self, host: usize, service: ServiceId, epoch: Epoch) {
        let key = copy_of(&service);
        self.in_order(host, &key, Event::CopyEnded { service, epoch });
    }

    /// The effect of what was commanded about a copy.
    pub(super) fn copy_performed(&mut self, host: usize, event: &mut Event) {
        if let Event::CopyStarted { service, epoch, failed } = event {
            *failed = self.start_copy(host, service, *epoch).err();
        } else if let Event::CopyEnded { service, .. } = event {
            self.stop_copy(host, service);
        }
    }

    /// The copy starts, if it does not run yet.
    fn start_copy(&mut self, host: usize, service: &ServiceId, epoch: Epoch) -> Result<(), String> {
        let it = &self.hosts[host];
        match it.copies.get(service) {
            Some(copy) if copy.epoch == epoch => return Ok(()),
            Some(copy) => return Err(format!("one of epoch {} runs", copy.epoch)),
            None => {}
        }
        let guard = it.daemon.as_ref().map(|daemon| daemon.page).unwrap_or_default();
        let until = self.permitted(host, guard, epoch);
        if self.local(host) >= until {
            return Err("this node's lease ended before it began".to_string());
        }
        self.hosts[host].copies.insert(service.clone(), Kept { epoch, guard });
        self.note(Some(host), || format!("> a copy of {service} runs (epoch {epoch})"));
        let late = self.keeper_is_late();
        let at = self.hosts[host].clock.global(until).max(self.now);
        self.at(at + late, What::CopyKeeper(host, service.clone(), epoch));
        self.after(LOOKS / 10, What::CopyMonitor(host, service.clone(), epoch));
        Ok(())
    }

    /// Nothing is left of the copy, promoted or not.
    fn stop_copy(&mut self, host: usize, service: &ServiceId) {
        if self.hosts[host].programs.remove(service).is_some() {
            self.fail("I1", &format!("the copy of {service} ends, and is promoted"));
        }
        if self.hosts[host].copies.remove(service).is_some() {
            self.note(Some(host), || format!("> no copy of {service} runs any more"));
        }
    }

    /// What the promotion of a service finds: nothing if the service has no copies, else whether
    /// there is one that can be promoted.
    pub(super) fn copy_for(
        &self,
        host: usize,
        service: &ServiceId,
        epoch: Epoch,
    ) -> Option<Result<(), String>> {
        let it = &self.hosts[host];
        if !it.daemon.as_ref()?.node.state().has_copies(service) {
            return None;
        }
        // The executor itself takes no other (rule K2), so nothing here asks for it.
        let found = it.copies.get(service).map(|_| ());
        Some(found.ok_or_else(|| format!("no copy runs that epoch {epoch} could promote")))
    }

    /// A copy ended by itself, promoted or not.
    pub(super) fn copy_is_gone(&mut self, host: usize, service: &ServiceId) {
        let Some(copy) = self.hosts[host].copies.remove(service) else { return };
        let (service, epoch) = (service.clone(), copy.epoch);
        let event = Event::CopyFailed { service, epoch, detail: "it ended".to_string() };
        self.after(0, What::Daemon(host, 0, Box::new(DaemonIn::Event(Box::new(event)))));
    }

    /// A daemon that starts finds the copies of the one before.
    pub(super) fn find_copies(&mut self, host: usize, run: u64) {
        let copies = self.hosts[host].copies.iter();
        let found: Vec<_> = copies.map(|(name, copy)| (name.clone(), copy.epoch)).collect();
        for (service, epoch) in found {
            let found = Event::CopyFound { service, epoch };
            self.after(0, What::Daemon(host, run, Box::new(DaemonIn::Event(Box::new(found)))));
        }
    }

    /// A member that should have a copy of a service and has none.
    pub(super) fn copy_missing(&self, state: &State, number: usize) -> Option<String> {
        let service = self.plan.service(number);
        if !state.has_copies(&service) {
            return None;
        }
        let should = |it: &&super::Host| {
            let rests = state.standby.contains(&it.id) || state.is_halted(it.id);
            state.members.contains_key(&it.id) && !rests
        };
        let copies = state.config.as_ref()?.copies(&service)?;
        let lacks = |it: &&super::Host| copies.is_on(it.name) && !it.copies.contains_key(&service);
        let missing = self.hosts.iter().filter(should).find(lacks)?;
        Some(format!("{} has no copy of {service}", missing.name))
    }

    fn keeper_is_late(&mut self) -> u64 {
        if self.plan.rough { self.chance.keepers.below(LATE) } else { USUALLY_LATE }
    }

    /// A copy's keeper looks at the clock and at the page.
    pub(super) fn copy_keeper_looks(&mut self, host: usize, service: ServiceId, epoch: Epoch) {
        let it = &self.hosts[host];
        let Some(copy) = it.copies.get(&service).filter(|copy| copy.epoch == epoch).copied() else {
            return;
        };
        if let Some((_, until)) = it.halted {
            let late = self.keeper_is_late();
            self.at(until + late, What::CopyKeeper(host, service, epoch));
            return;
        }
        let until = self.permitted(host, copy.guard, epoch);
        if self.local(host) < until {
            let at = self.hosts[host].clock.global(until).max(self.now);
            let late = self.keeper_is_late();
            self.at(at + late, What::CopyKeeper(host, service, epoch));
            return;
        }
        self.note(Some(host), || format!("> the keeper ends the copy of {service} ({epoch})"));
        // What was promoted of it goes with it, and is told first.
        self.end_program(host, &service);
        self.copy_is_gone(host, &service);
    }

    /// A copy's monitor runs: a copy that has said nothing of itself says that it is fit, and more
    /// so than that of another node or less.
    pub(super) fn copy_looks(&mut self, host: usize, service: ServiceId, epoch: Epoch) {
        let it = &self.hosts[host];
        if it.copies.get(&service).is_none_or(|copy| copy.epoch != epoch) {
            return;
        }
        let state = it.daemon.as_ref().map(|daemon| daemon.node.state());
        let silent = state.is_some_and(|state| state.score(&service, it.id).is_none());
        let node = it.id;
        if silent && it.halted.is_none() && it.daemon_waits(self.now).is_none() {
            let name = score_of(&service, COPIED);
            let value = Some((50 + 10 * node.0).to_string());
            self.operate(
                host,
                Change::Attribute { scope: AttributeScope::Transient(node), name, value },
            );
        }
        self.after(LOOKS, What::CopyMonitor(host, service, epoch));
    }
}
