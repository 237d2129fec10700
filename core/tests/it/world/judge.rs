//! What must never be, looked at after every step.

use std::collections::BTreeMap;
use std::net::IpAddr;

use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::state::{Holder, State};

use super::boot::{address, service};
use super::{World, name};

/// What the judge remembers.
#[derive(Default)]
pub struct Judge {
    /// Who has ever started a program under an epoch.
    started: BTreeMap<(ServiceId, Epoch), NodeId>,
    /// Up to when each address was open somewhere, and the gaps since.
    covered: BTreeMap<IpAddr, u64>,
    pub gaps: BTreeMap<IpAddr, Vec<(u64, u64)>>,
}

impl Judge {
    pub fn forget(&mut self) {
        self.gaps.clear();
    }

    /// The longest time that a service's address was open nowhere.
    pub fn longest_gap(&self, service: usize) -> u64 {
        let gaps = self.gaps.get(&address(service)).into_iter().flatten();
        gaps.map(|(from, to)| to - from).max().unwrap_or(0)
    }
}

impl World {
    /// Whether a host answers for an address now: its kernel shuts late by its slack.
    pub fn open(&self, host: usize, address: IpAddr) -> bool {
        let it = &self.hosts[host];
        let now = it.clock.local(self.now);
        it.gate.get(&address).is_some_and(|until| *until + it.slack > now && until.0 > 0)
    }

    /// At most one node answers for an address (I3). Called when a gate was changed.
    pub fn judge_gate(&mut self, host: usize, touched: &[IpAddr]) {
        for address in touched {
            let open: Vec<_> =
                (0..self.hosts.len()).filter(|host| self.open(*host, *address)).collect();
            if open.len() > 1 {
                self.fail(&format!("{address} is open on {open:?}"));
            }
            self.count_gap(host, *address);
        }
    }

    fn count_gap(&mut self, host: usize, address: IpAddr) {
        let it = &self.hosts[host];
        let now = it.clock.local(self.now);
        let until = it.gate.get(&address).filter(|until| **until > now);
        let covered = self.judge.covered.get(&address).copied();
        match (until, covered) {
            (Some(until), covered) => {
                let until = it.clock.global(*until);
                if let Some(covered) = covered.filter(|covered| *covered < self.now) {
                    self.judge.gaps.entry(address).or_default().push((covered, self.now));
                    let gap = (self.now - covered) / 100;
                    let (whole, part) = (gap / 10, gap % 10);
                    self.note(Some(host), || {
                        format!("answers for {address} after {whole}.{part} ms")
                    });
                } else if covered.is_none() {
                    self.note(Some(host), || format!("answers for {address}"));
                }
                let covered = self.judge.covered.entry(address).or_default();
                *covered = until.max(self.now);
            }
            // Closed here; somebody else can't have it open, so it is closed.
            (None, Some(covered)) if covered > self.now && !self.open_elsewhere(host, address) => {
                self.judge.covered.insert(address, self.now);
                self.note(Some(host), || format!("is silent for {address}"));
            }
            (None, _) => {}
        }
    }

    fn open_elsewhere(&self, host: usize, address: IpAddr) -> bool {
        (0..self.hosts.len()).any(|other| other != host && self.open(other, address))
    }

    /// A program starts at most once per epoch, and on the node that the epoch names.
    pub fn judge_start(&mut self, host: usize, service: &ServiceId, epoch: Epoch) {
        let id = self.hosts[host].id;
        let key = (service.clone(), epoch);
        if let Some(before) = self.judge.started.insert(key, id)
            && before != id
        {
            self.fail(&format!("{service} of epoch {epoch} started on {} too", name(before)));
        }
    }

    /// No program runs on two nodes whose leases both hold (I1).
    pub fn judge_programs(&mut self) {
        let running: usize = self.hosts.iter().map(|host| host.programs.len()).sum();
        if running < 2 {
            return;
        }
        for number in (1..self.plan.services).step_by(2) {
            let service = service(number);
            let holders = self.hosts.iter().filter(|host| {
                let now = host.clock.local(self.now);
                let lease = host.guard.as_ref().map(|guard| guard.lease.lease_until());
                host.programs.contains_key(&service) && lease.is_some_and(|until| until > now)
            });
            let holders: Vec<_> = holders.map(|host| name(host.id)).collect();
            if holders.len() > 1 {
                self.fail(&format!("{service} runs on {holders:?} under their leases"));
            }
        }
    }

    /// Epochs only grow, on every node and for every service (I5).
    pub fn judge_epochs(&self, before: &State, after: &State) {
        if after.epoch < before.epoch {
            self.fail("the epoch went back");
        }
        for (service, old) in &before.assignments {
            let new = after.assignments.get(service);
            if new.is_some_and(|new| new.epoch < old.epoch) {
                self.fail(&format!("the epoch of {service} went back"));
            }
            if let Some(new) = new.filter(|new| new.epoch == old.epoch)
                && let (Holder::Node(a), Holder::Node(b)) = (&old.holder, &new.holder)
                && a != b
            {
                self.fail(&format!("{service} moved without a new epoch"));
            }
        }
    }

    /// Everything is as it should be when nothing is wrong: all in the view, all served, once.
    pub fn is_healthy(&self) -> bool {
        self.unhealthy().is_none()
    }

    /// What is not as it should be.
    pub fn unhealthy(&self) -> Option<String> {
        let Some(state) = self.state() else { return Some("no daemon".into()) };
        for (at, host) in self.hosts.iter().enumerate() {
            let id = host.id;
            if !state.members.contains_key(&id) {
                continue;
            }
            let current = host.daemon.as_ref().is_some_and(|it| it.node.state() == state);
            let admitted = state.view.get(&id).map(|it| it.incarnation.0);
            if !current || admitted != Some(host.incarnation) {
                return Some(format!("{} is behind or not in the view", name(id)));
            }
            let ready = self.node(at).is_some_and(stead_core::node::Node::is_ready);
            if !ready {
                return Some(format!("{} is not ready", name(id)));
            }
        }
        let Some(config) = &state.config else { return Some("no configuration".into()) };
        for (service, wanted) in &config.services {
            let holder = state.assignments.get(service).map(|it| it.holder.clone());
            let Some(Holder::Node(holder)) = holder else {
                return Some(format!("{service} is at {holder:?}"));
            };
            let host = super::index(holder);
            let open = wanted.addresses.iter().all(|address| self.open(host, address.ip));
            let runs = self.hosts[host].programs.contains_key(service) == wanted.program.is_some();
            let running = self.node(host).is_some_and(|node| {
                let phase = stead_core::node::Phase::Running;
                node.local().any(|(name, local)| name == service && local.phase == phase)
            });
            if !open || !runs || !running {
                let local: Vec<_> =
                    self.node(host).map(|node| node.local().collect()).unwrap_or_default();
                return Some(format!(
                    "{service} on {}: open {open}, program {runs}, {local:?}",
                    name(holder)
                ));
            }
        }
        None
    }
}
