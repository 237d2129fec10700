//! I1: what may run once runs at most once, stopped, frozen and cut-off holders counted.
//!
//! A program counts as long as it is there, whether it is heard or not: its keeper ends it with the
//! lease. Two exceptions are stated (protocol, section 4): the keeper's own time after its machine
//! stood still, and a clock that left the bound before its guard was told.

use std::collections::BTreeMap;

use stead_core::id::{Epoch, ServiceId};

use super::Why;
use crate::world::{LATE, World};

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
        self.judge_left(host, service);
    }

    /// What no lease's end undoes is nowhere else. A machine that stands still goes on with what it
    /// has; what was cut off from it has nothing more to do with it. The one excuse is a device
    /// that called a machine off when it was not.
    fn judge_left(&mut self, host: usize, name: &ServiceId) {
        let has = |other: &usize| {
            let it = &self.hosts[*other];
            *other != host && !it.cut_off && it.left.contains(name)
        };
        if (0..self.hosts.len()).filter(has).any(|other| self.hosts[other].called_off) {
            self.judges.excused.entry(Why::Lied).or_default().0 += 1;
            return;
        }
        if let Some(other) = (0..self.hosts.len()).find(has) {
            let [here, there] = [host, other].map(|host| self.hosts[host].name);
            self.fail("I1", &format!("{name} starts on {here}, and {there} was not rid of it"));
        }
    }

    /// The same for all of them.
    pub(crate) fn judge_all_programs(&mut self) {
        for number in 0..self.plan.services {
            self.judge_programs(&self.plan.service(number));
        }
    }

    /// No program runs on two nodes.
    fn judge_programs(&mut self, name: &ServiceId) {
        let now = self.now;
        let runs = |host: usize| {
            let it = &self.hosts[host];
            it.halted.is_none()
                && it.programs.contains_key(name)
                && now >= it.woke_at + LATE
                && now >= it.astray_until
        };
        let run: Vec<_> = (0..self.hosts.len()).filter(|host| runs(*host)).collect();
        if run.len() > 1 && self.excused_where(&run, Why::holds_for_programs).is_none() {
            let names: Vec<_> = run.iter().map(|host| self.hosts[*host].name).collect();
            self.fail("I1", &format!("{name} runs on {}", names.join(" and ")));
        }
    }
}
