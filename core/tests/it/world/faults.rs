//! Random faults, and the end of all of them.

use stead_core::state::{Cause, Change};
use stead_core::time::Span;

use super::boot::{address, config, service};
use super::{What, World};

impl World {
    /// From now on things go wrong.
    pub fn begin_chaos(&mut self) {
        self.chaos = true;
        self.after(0, What::Fault);
    }

    pub fn fault(&mut self) {
        if !self.chaos {
            return;
        }
        let stormy = self.plan.stormy;
        let next = if stormy {
            30_000 + self.rng.below(250_000)
        } else {
            60_000 + self.rng.below(500_000)
        };
        self.after(next, What::Fault);
        self.repair_something();
        let hosts = self.hosts.len();
        let host = self.rng.below(hosts as u64) as usize;
        let which = self.rng.below(100);
        match if stormy && which < 40 { 70 + which % 14 } else { which } {
            0..15 => {
                let mask = self.rng.below(1 << hosts);
                let group: Vec<_> = (0..hosts).filter(|it| mask >> it & 1 == 1).collect();
                self.note(None, || format!("! partition {group:?}"));
                self.mend_all();
                self.cut(&group, false);
            }
            15..25 => {
                let other = self.rng.below(hosts as u64) as usize;
                let way = &mut self.net.up[host][other];
                *way = !*way;
                let open = *way;
                self.note(None, || format!("! way {host} to {other} open: {open}"));
            }
            25..33 => {
                self.note(None, || format!("! isolate {host}"));
                self.cut(&[host], false);
            }
            33..48 => {
                self.note(None, || "! mend".to_string());
                self.mend_all();
            }
            48..56 => self.pause(host, true, false, 1_200_000),
            56..64 => self.pause(host, false, true, 2_000_000),
            64..68 => self.pause(host, true, true, 1_500_000),
            68..76 => self.guard_fault(host),
            76..84 => self.daemon_fault(host),
            84..88 => {
                self.power_off(host);
                if self.rng.chance(2) {
                    self.start_guard(host);
                    self.start_daemon(host);
                }
            }
            88..90 => self.release(host),
            _ => self.disturb(host),
        }
    }

    fn repair_something(&mut self) {
        let host = self.rng.below(self.hosts.len() as u64) as usize;
        if self.rng.chance(2) {
            self.repair(host);
        }
    }

    fn pause(&mut self, host: usize, guard: bool, daemon: bool, most: u64) {
        let until = self.now + self.rng.below(most);
        let it = &mut self.hosts[host];
        if guard {
            it.guard_paused = it.guard_paused.max(until);
        }
        if daemon {
            it.daemon_paused = it.daemon_paused.max(until);
        }
        let millis = (until - self.now) / 1_000;
        self.note(None, || format!("! pause {host} guard {guard} daemon {daemon} {millis} ms"));
    }

    fn guard_fault(&mut self, host: usize) {
        self.note(None, || format!("! guard of {host}"));
        self.kill_guard(host);
        if self.plan.stormy && self.rng.chance(2) {
            // It comes back while its daemon hangs.
            self.pause(host, false, true, 1_500_000);
        }
        if !self.rng.chance(4) {
            self.start_guard(host);
        }
    }

    fn daemon_fault(&mut self, host: usize) {
        self.note(None, || format!("! daemon of {host}"));
        self.kill_daemon(host);
        if self.rng.chance(2) {
            self.start_daemon(host);
        }
    }

    /// What people and programs do.
    fn disturb(&mut self, host: usize) {
        let Some(state) = self.node(host).map(|node| node.state().clone()) else { return };
        let number = self.rng.below(self.plan.services as u64) as usize;
        let service = service(number);
        let to = self.hosts[self.rng.below(self.hosts.len() as u64) as usize].id;
        match self.rng.below(12) {
            0..5 => {
                let base = state.assignments.get(&service).map(|it| it.epoch).unwrap_or_default();
                self.note(None, || format!("! move {service} to {to}"));
                let (cause, wish) = (Cause::Planned, Some(to));
                self.operate(host, Change::Stop { service, base, cause, wish });
            }
            5..7 => {
                let on = self.rng.chance(3);
                self.note(None, || format!("! standby of {to}: {on}"));
                self.operate(host, Change::Standby { node: to, on });
            }
            7..9 => {
                let holder = state.assignments.get(&service).and_then(|it| it.holder.node());
                if let Some(holder) = holder {
                    self.note(None, || format!("! {service} ends"));
                    self.end_program(super::index(holder), &service);
                }
            }
            9 => {
                let swap = self.rng.chance(2);
                self.configure(host, &state, swap);
            }
            _ => {
                self.note(None, || format!("! configure from {host}"));
                let both = [self.plan.ride_out.0, self.plan.ride_out.0 / 2];
                let mut wanted = config(&self.plan);
                wanted.ride_out = Span(both[self.rng.below(2) as usize]);
                let change = Change::Configure { base: state.revision, config: wanted };
                self.operate(host, change);
            }
        }
    }

    /// Two services change their addresses with each other, or take their own again.
    fn configure(&mut self, host: usize, state: &stead_core::state::State, swap: bool) {
        self.note(None, || format!("! addresses swapped: {swap}"));
        let mut wanted = config(&self.plan);
        wanted.ride_out = state.timers.ride_out;
        if swap && self.plan.services > 1 {
            for (name, other) in [(0, 1), (1, 0)] {
                if let Some(config) = wanted.services.get_mut(&service(name)) {
                    config.addresses[0].ip = address(other);
                }
            }
        }
        self.operate(host, Change::Configure { base: state.revision, config: wanted });
    }

    /// Brings back what is missing on a host. A released guard has to be started anew.
    pub fn repair(&mut self, host: usize) {
        let guard = self.hosts[host].guard.as_ref();
        if guard.is_none_or(|guard| guard.lease.is_released()) {
            self.start_guard(host);
        }
        if self.hosts[host].daemon.is_none() {
            self.start_daemon(host);
        }
    }

    /// All faults end.
    pub fn heal(&mut self) {
        self.note(None, || "! all faults end".to_string());
        self.chaos = false;
        self.net.rough = false;
        self.mend_all();
        for host in 0..self.hosts.len() {
            self.hosts[host].guard_paused = self.now;
            self.hosts[host].daemon_paused = self.now;
            self.hosts[host].broken.clear();
        }
        self.tidy();
    }

    /// What the operator and the system's own supervisor do after the faults: what is missing
    /// starts, and no node is kept on standby.
    pub fn tidy(&mut self) {
        for host in 0..self.hosts.len() {
            self.repair(host);
            let node = self.hosts[host].id;
            self.operate(host, Change::Standby { node, on: false });
        }
    }
}
