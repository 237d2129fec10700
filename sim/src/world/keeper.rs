//! The keepers of a machine's programs: each ends its program when the deadline that its guard
//! wrote has passed, whatever became of guard and daemon.
//!
//! A guard writes to a page of its own, on the machine's clock; what a guard wrote last stays when
//! it is gone. A keeper looks at its deadline, a little late, and not while the machine stands
//! still.

use stead_core::id::{Epoch, ServiceId};
use stead_core::time::Instant;

use super::{What, World};

/// How late a keeper looks at most, after a deadline or after its machine stood still: the time
/// that the protocol states for it (section 4). In microseconds.
pub const LATE: u64 = 1_000;
/// How late it looks where nothing is left to chance.
const USUALLY_LATE: u64 = 200;

/// What a guard wrote.
#[derive(Clone, Copy, Debug, Default)]
pub struct Permit {
    /// Until when programs may run.
    pub until: Instant,
    /// Save those of this epoch and earlier ones.
    pub lapsed: Epoch,
}

impl Permit {
    fn until(&self, epoch: Epoch) -> Instant {
        if epoch <= self.lapsed { Instant::START } else { self.until }
    }
}

impl World {
    /// The guard writes where the deadline is computed for: it is no time span that could be late.
    pub(super) fn permit(&mut self, host: usize, until: Instant) {
        let it = &mut self.hosts[host];
        let Some(guard) = &it.guard else { return };
        let lapsed = guard.lease.lapsed();
        it.permits.insert(it.guard_run, Permit { until, lapsed });
    }

    /// Until when a program may run that is kept by the page of that guard.
    pub(super) fn permitted(&self, host: usize, guard: u64, epoch: Epoch) -> Instant {
        let permit = self.hosts[host].permits.get(&guard).copied().unwrap_or_default();
        permit.until(epoch)
    }

    /// Whether a keeper would start that program now, and begins to watch it if so.
    pub(super) fn keep(&mut self, host: usize, service: &ServiceId, epoch: Epoch) -> bool {
        let it = &self.hosts[host];
        let Some(guard) = it.daemon.as_ref().map(|daemon| daemon.page) else { return false };
        let until = self.permitted(host, guard, epoch);
        if self.local(host) >= until {
            return false;
        }
        self.hosts[host].kept.insert(service.clone(), guard);
        self.look_later(host, service.clone(), epoch, until);
        true
    }

    fn look_later(&mut self, host: usize, service: ServiceId, epoch: Epoch, until: Instant) {
        let at = self.hosts[host].clock.global(until).max(self.now);
        let late = if self.plan.rough { self.chance.keepers.below(LATE) } else { USUALLY_LATE };
        self.at(at + late, What::Keeper(host, service, epoch));
    }

    /// A keeper looks at the clock and at the page.
    pub(super) fn keeper_looks(&mut self, host: usize, service: ServiceId, epoch: Epoch) {
        let it = &self.hosts[host];
        if it.programs.get(&service) != Some(&epoch) {
            return;
        }
        if let Some((_, until)) = it.halted {
            let late = if self.plan.rough { self.chance.keepers.below(LATE) } else { USUALLY_LATE };
            self.at(until + late, What::Keeper(host, service, epoch));
            return;
        }
        let guard = it.kept.get(&service).copied().unwrap_or_default();
        let until = self.permitted(host, guard, epoch);
        if self.local(host) < until {
            self.look_later(host, service, epoch, until);
            return;
        }
        self.note(Some(host), || format!("> the keeper ends {service} (epoch {epoch})"));
        self.end_program(host, &service);
    }
}
