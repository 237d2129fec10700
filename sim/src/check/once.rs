//! I1: what may run once runs at most once, stopped, frozen and cut-off holders counted.
//!
//! A program whose node has lost its lease is silenced: its address answers nothing, and it counts
//! no more. (That it ends by itself then is the keeper's work, which comes later.)

use std::collections::BTreeMap;

use stead_core::id::{Epoch, ServiceId};

use crate::plan::{address, service};
use crate::world::World;

/// What the judge remembers.
#[derive(Debug, Default)]
pub struct Once {
    /// On which machine a program was started under an epoch.
    started: BTreeMap<(ServiceId, Epoch), usize>,
}

impl World {
    /// A program starts: once for each epoch, on the node that the epoch names.
    pub(crate) fn judge_start(&mut self, host: usize, service: &ServiceId, epoch: Epoch) {
        let key = (service.clone(), epoch);
        if let Some(before) = self.judges.once.started.insert(key, host) {
            let name = self.hosts[before].name;
            let why = format!("{service} of epoch {epoch} had been started on {name} before");
            self.fail("I1", &why);
        }
        self.judge_programs(service);
    }

    /// No program runs on two nodes that both are heard.
    fn judge_programs(&mut self, name: &ServiceId) {
        let number = (0..self.plan.services).find(|number| service(*number) == *name);
        let Some(number) = number else { return };
        let (now, address) = (self.now, address(number));
        let heard = |host: usize| {
            let it = &self.hosts[host];
            let lease = it.guard.as_ref().map(|guard| guard.lease.lease_until());
            it.halted.is_none()
                && it.programs.contains_key(name)
                && (it.open_until(address) > now
                    || lease.is_some_and(|until| until > it.clock.local(now)))
        };
        let heard: Vec<_> = (0..self.hosts.len()).filter(|host| heard(*host)).collect();
        if heard.len() > 1 && self.excused(&heard).is_none() {
            let names: Vec<_> = heard.iter().map(|host| self.hosts[*host].name).collect();
            self.fail("I1", &format!("{name} runs on {} under their leases", names.join(" and ")));
        }
    }
}
