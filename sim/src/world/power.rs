//! Machines and processes that start, end, stand still and come back.

use stead_core::id::Incarnation;
use stead_core::lease::{self, Lease, Order};
use stead_core::node::{self, Node};
use stead_core::timers::Timers;

use super::{Daemon, DaemonIn, GateForm, Guard, GuardIn, Halt, What, World};
use crate::check::Why;
use crate::log::Raft;

impl World {
    /// What was in memory is gone, and what the disk had not written. Nothing starts by itself.
    pub fn power_off(&mut self, host: usize) {
        if !self.hosts[host].powered {
            return;
        }
        self.kill_daemon(host);
        self.kill_guard(host);
        self.lose_power(host);
        let now = self.now;
        let shown = self.chance.faults.below(1_000_000_000);
        let it = &mut self.hosts[host];
        let open: Vec<_> = it.gate.drain(..).map(|(address, _)| address).collect();
        it.programs.clear();
        it.left.clear();
        it.executors.clear();
        it.copies.clear();
        it.kept.clear();
        it.permits.clear();
        it.configured.clear();
        it.powered = false;
        it.called_off = false;
        it.cut_off = false;
        it.guard_paused = 0;
        it.daemon_paused = 0;
        it.halted = None;
        it.guard_cut = None;
        it.daemon_cut = None;
        it.dog.stop();
        it.clock.restart(now, shown);
        self.judge_gate(host, &open);
    }

    /// The guard is gone; what the kernel was told last goes on until its time is up.
    pub fn kill_guard(&mut self, host: usize) {
        if self.hosts[host].guard.take().is_none() {
            return;
        }
        self.hosts[host].guard_cut = None;
        self.close_watchdog(host);
        let run = self.hosts[host].guard_run;
        self.tell_daemon(host, DaemonIn::GuardGone(run));
    }

    /// The daemon is gone; programs, addresses and the guard stay.
    pub fn kill_daemon(&mut self, host: usize) {
        let Some(daemon) = self.hosts[host].daemon.take() else { return };
        self.hosts[host].daemon_cut = None;
        self.crash_disk(host);
        if daemon.guard.is_some() {
            let guard = self.hosts[host].guard_run;
            self.tell_guard_event(host, guard, lease::Event::DaemonGone);
        }
    }

    /// A guard starts, in place of the one that may be there.
    pub fn start_guard(&mut self, host: usize) {
        self.kill_guard(host);
        if !self.hosts[host].powered {
            return;
        }
        let now = self.local(host);
        let it = &mut self.hosts[host];
        it.incarnation += 1;
        it.guard_run += 1;
        it.guard_paused = 0;
        // What the old one kept is ended first (rule H5).
        let open: Vec<_> = it.gate.drain(..).map(|(address, _)| address).collect();
        let incarnation = Incarnation(it.incarnation);
        it.guard =
            Some(Guard::new(Lease::new(it.id, incarnation, now, it.slack, Timers::default())));
        let (run, slewed) = (it.guard_run, it.slewed);
        self.judge_guard_start(host);
        self.judge_gate(host, &open);
        self.excuses_end(host, Why::ArmedLate);
        self.after(0, What::Guard(host, run, GuardIn::Wake));
        if slewed {
            self.after(0, What::LookAtClock(host));
        }
        self.connect(host);
    }

    /// A daemon starts, in place of the one that may be there. With a disk that can't be written
    /// it refuses to.
    pub fn start_daemon(&mut self, host: usize) {
        self.kill_daemon(host);
        let it = &mut self.hosts[host];
        if !it.powered || !it.disk.is_writable() || it.disk.is_lost() {
            return;
        }
        it.daemon_run += 1;
        it.ended.clear();
        it.daemon_paused = 0;
        let behind = if self.plan.rough { self.chance.log.index(4) } else { 0 };
        let behind = behind.max(self.plan.start_behind);
        let it = &mut self.hosts[host];
        let (applied, state) = it.disk.applied(behind);
        let raft = Raft::new(applied, self.now);
        let node = Node::new(it.id, state.clone());
        it.daemon = Some(Daemon::new(node, state, raft));
        let run = it.daemon_run;
        let found: Vec<_> = it.programs.iter().map(|(name, at)| (name.clone(), *at)).collect();
        for (service, epoch) in found {
            let found = node::Event::Found { service, epoch };
            self.after(0, What::Daemon(host, run, Box::new(DaemonIn::Event(Box::new(found)))));
        }
        self.find_executors(host);
        self.find_copies(host, run);
        self.after(0, What::Daemon(host, run, Box::new(DaemonIn::RaftTick)));
        if self.plan.points > 0 {
            self.after(0, What::AskPoints(host, run));
        }
        self.connect(host);
    }

    /// The daemon connects to its guard, if both are there.
    fn connect(&mut self, host: usize) {
        let it = &self.hosts[host];
        if it.guard.is_none() || it.daemon.is_none() {
            return;
        }
        let (run, daemon_run) = (it.guard_run, it.daemon_run);
        let delay = 200 + if self.plan.rough { self.chance.hands.below(20_000) } else { 0 };
        self.after(delay, What::Daemon(host, daemon_run, Box::new(DaemonIn::GuardHere(run))));
    }

    /// A clean end of everything on a machine: programs, then the lease, said to all.
    pub fn release(&mut self, host: usize) {
        self.kill_daemon(host);
        self.hosts[host].programs.clear();
        self.hosts[host].left.clear();
        self.hosts[host].executors.clear();
        self.hosts[host].copies.clear();
        self.hosts[host].configured.clear();
        let run = self.hosts[host].guard_run;
        self.tell_guard_event(host, run, lease::Event::Order(Order::Release));
    }

    /// The daemon is asked to end, as a service manager does.
    pub fn retire(&mut self, host: usize) {
        if let Some(daemon) = &mut self.hosts[host].daemon {
            daemon.retiring = true;
            let retire = DaemonIn::Event(Box::new(node::Event::Retire));
            self.after(0, What::Daemon(host, 0, Box::new(retire)));
        }
    }

    /// Processes stand still: the guard, the daemon, or both. Their clock goes on.
    pub fn hold_up(&mut self, host: usize, guard: bool, daemon: bool, micros: u64) {
        let until = self.now + micros;
        let it = &mut self.hosts[host];
        if guard {
            it.guard_paused = it.guard_paused.max(until);
        }
        if daemon {
            it.daemon_paused = it.daemon_paused.max(until);
        }
    }

    /// The whole machine stands still: kernel, network card and all.
    pub fn halt(&mut self, host: usize, how: Halt, micros: u64) {
        if !self.hosts[host].powered || self.hosts[host].halted.is_some() {
            return;
        }
        let (now, until) = (self.now, self.now + micros);
        let leases = (self.longest_timers().lease, self.longest_ordinary_lease());
        let it = &mut self.hosts[host];
        it.halted = Some((how, until));
        it.halted_at = now;
        it.halted_leases = leases;
        if how == Halt::Paused {
            it.clock.freeze(now);
        }
        let open: Vec<_> = it.gate.iter().map(|(address, _)| *address).collect();
        self.judge_gate(host, &open);
        self.at(until, What::Wake(host));
    }

    /// A machine that stood still goes on. Its kernel answers before its guard has run.
    pub(super) fn wake(&mut self, host: usize) {
        let now = self.now;
        let Some((how, until)) = self.hosts[host].halted.filter(|(_, until)| *until <= now) else {
            return;
        };
        let (lease, ordinary) = (self.longest_timers().lease, self.longest_ordinary_lease());
        let it = &mut self.hosts[host];
        // Those of then may have been settled meanwhile, as all others counted by shorter ones.
        let (lease, ordinary) = (lease.max(it.halted_leases.0), ordinary.max(it.halted_leases.1));
        let stood = now.saturating_sub(it.halted_at);
        it.halted = None;
        it.woke_at = now;
        self.watchdog_stood(host, stood);
        let it = &mut self.hosts[host];
        let mut guard_late = self.chance.faults.below(5_000);
        match how {
            Halt::Paused => {
                it.clock.thaw(now);
                // Less than a lease is left of what it believes; the clock may run slow.
                let most = lease.0 + 2 * lease.drift().0 + it.slack.0 + 1_000;
                self.excuse(host, now + most, Why::Paused);
                self.excuse_led_by(host, now + most);
            }
            // The kernel's ticks stood still with it: what was left of a timeout is left now.
            Halt::Suspended if it.form == GateForm::Relative => {
                let stood = until.saturating_sub(it.halted_at);
                for (_, end) in it.gate.iter_mut().filter(|(_, end)| end.0 > 0) {
                    *end += stead_core::time::Span(stood);
                }
                it.stretched = true;
                // Until its guard has armed it anew, or what was left of the timeouts is over: an
                // ordinary lease at the most (rule M4).
                let most = ordinary.0 + 2 * ordinary.drift().0 + it.slack.0 + 1_000;
                self.excuse(host, now + most, Why::Suspended);
            }
            Halt::Suspended => guard_late += self.chance.faults.below(500_000),
        }
        let it = &mut self.hosts[host];
        it.guard_paused = it.guard_paused.max(now + guard_late);
        let open: Vec<_> = it.gate.iter().map(|(address, _)| *address).collect();
        self.judge_gate(host, &open);
        // By then its keepers have looked.
        self.at(now + super::LATE, What::Recheck);
        // It looks at the clock as soon as it runs.
        let run = self.hosts[host].guard_run;
        self.at(now + guard_late, What::Guard(host, run, GuardIn::Wake));
    }

    /// What a coordinator believes that was stopped is given on to those who follow it.
    fn excuse_led_by(&mut self, host: usize, until: u64) {
        let guard = self.hosts[host].guard.as_ref();
        if guard.is_some_and(|guard| guard.lease.coordinates().is_some()) {
            for other in (0..self.hosts.len()).filter(|other| *other != host) {
                self.excuse(other, until, Why::Paused);
            }
        }
    }

    /// The clock's rate leaves the bound, or comes back; the guard sees it when it looks.
    pub fn slew(&mut self, host: usize, ppm: i64, outside: bool) {
        let now = self.now;
        let it = &mut self.hosts[host];
        it.clock.set_rate(now, ppm);
        it.slewed = outside;
        if outside {
            // Until the guard is told it counts by that clock: at the most as long as its lease.
            let (timers, slack) = (self.longest_timers(), self.hosts[host].slack.0);
            let most = timers.lease.0 + timers.lease.0 / 20 + slack + 1_000;
            self.excuse(host, now + most, Why::Slewed);
            self.hosts[host].astray_until = now + most;
        }
        // It looks whenever it wakes, at least every 20 ms; in a script at a time that is known.
        let longest = self.longest_timers().heartbeat.0.clamp(2_000, 20_000);
        let by_chance = self.chaos.is_some();
        let told = if by_chance { self.chance.faults.between(1_000, longest) } else { 2_000 };
        self.after(told, What::LookAtClock(host));
    }
}
