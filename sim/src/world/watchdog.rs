//! Machines' watchdogs: what resets a machine that its guard does not feed.
//!
//! A device is opened by a guard and goes on when that is gone. The end of the process closes it,
//! and the kernel feeds it once more then. It counts by a clock of its own, and by ticks: it may be
//! up to a second late. Whether it counts while its machine stands still is a property of the
//! machine: a timer of its own kernel's, or one that its hypervisor plays, does not.

use std::collections::VecDeque;

use stead_core::lease::{Command, Event, WatchdogAct};
use stead_core::time::Span;

use super::{GuardIn, What, World};

/// How late a device's tick may be, in microseconds.
const TICK: u64 = 1_000_000;
/// How long a machine boots, in microseconds: longer than others wait for it.
const BOOT: u64 = 8_000_000;
/// How much sooner it may be there where chance decides.
const SOONER: u64 = 6_000_000;

/// By what the watchdogs of a plan's machines count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dogs {
    /// By time that goes on whatever stops the machine.
    Outside,
    /// By the machine's own time: whatever stops it stops its watchdog.
    Inside,
}

/// A machine's watchdog.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dog {
    /// To what it counts, in microseconds; zero while it does not run.
    timeout: u64,
    /// How often it was fed: what was due before that is not.
    feeds: u64,
    /// The run of the guard that has it open.
    open: u64,
    /// How long the machine stood still since it was fed last, if it counts by that.
    stood: u64,
}

impl Dog {
    /// It runs no more: it was stopped, or has no power.
    pub(super) fn stop(&mut self) {
        *self = Self { feeds: self.feeds + 1, ..Self::default() };
    }
}

impl World {
    /// What the guard has done about its watchdog. `late`: it was held up in the middle of it,
    /// after it had looked at the clock.
    pub(super) fn watchdog_act(&mut self, host: usize, act: WatchdogAct, late: bool) {
        let (now, run) = (self.local(host), self.hosts[host].guard_run);
        if self.plan.watchdogs.is_none() {
            self.tell_of_watchdog(host, None);
            return;
        }
        match act {
            WatchdogAct::Arm { until, .. } | WatchdogAct::Feed { until }
                if now >= until && !late =>
            {
                if let WatchdogAct::Arm { .. } = act {
                    let armed = self.hosts[host].dog;
                    let armed = (armed.open == run).then_some(Span(armed.timeout));
                    self.tell_of_watchdog(host, armed);
                }
            }
            WatchdogAct::Arm { least, .. } => {
                let timeout = least.0.div_ceil(1_000_000) * 1_000_000;
                self.hosts[host].dog.timeout = timeout;
                self.hosts[host].dog.open = run;
                self.note(Some(host), || format!("> arm the watchdog ({})", Span(timeout)));
                self.feed(host);
                self.tell_of_watchdog(host, Some(Span(timeout)));
            }
            WatchdogAct::Feed { until } => {
                self.feed(host);
                if now >= until {
                    // Looked at again: what came too late can't be taken back but so.
                    self.reset(host, "its guard, which fed the watchdog too late");
                }
            }
            WatchdogAct::Disarm => {
                self.hosts[host].dog.stop();
                self.note(Some(host), || "> stop the watchdog".to_string());
                self.tell_of_watchdog(host, None);
            }
            WatchdogAct::Reset => self.reset(host, "its guard"),
        }
    }

    /// The first of a held-up guard's commands, if it was in the middle of feeding.
    pub(super) fn fed_late(&mut self, host: usize, commands: &mut VecDeque<Command>) {
        if let Some(Command::Watchdog(act)) = commands.front().cloned() {
            commands.pop_front();
            self.watchdog_act(host, act, true);
        }
    }

    fn tell_of_watchdog(&mut self, host: usize, armed: Option<Span>) {
        let run = self.hosts[host].guard_run;
        self.after(0, What::Guard(host, run, GuardIn::Event(Event::Watchdog(armed))));
    }

    /// It counts from now on.
    fn feed(&mut self, host: usize) {
        let it = &mut self.hosts[host];
        let dog = &mut it.dog;
        (dog.feeds, dog.stood) = (dog.feeds + 1, 0);
        let (timeout, feeds) = (dog.timeout, dog.feeds);
        // Its own clock runs as wrong as allowed; another way than the machine's.
        let ppm = (-it.clock.ppm()).clamp(-1_000, 1_000);
        let counted = timeout * 1_000_000 / 1_000_000_u64.saturating_add_signed(ppm);
        let tick = if self.plan.rough { self.chance.hands.below(TICK) } else { 0 };
        self.after(counted + tick, What::Watchdog(host, feeds));
    }

    /// The guard's process has ended, and with it the device is closed.
    pub(super) fn close_watchdog(&mut self, host: usize) {
        let it = &mut self.hosts[host];
        if it.dog.timeout > 0 && it.dog.open == it.guard_run {
            it.dog.open = 0;
            self.feed(host);
        }
    }

    /// The machine stood still for so long.
    pub(super) fn watchdog_stood(&mut self, host: usize, micros: u64) {
        if self.plan.watchdogs == Some(Dogs::Inside) {
            self.hosts[host].dog.stood += micros;
        }
    }

    /// Its time is up, unless it was fed, or stood still meanwhile.
    pub(super) fn watchdog_due(&mut self, host: usize, feeds: u64) {
        let inside = self.plan.watchdogs == Some(Dogs::Inside);
        let it = &mut self.hosts[host];
        if it.dog.timeout == 0 || it.dog.feeds != feeds {
            return;
        }
        if let Some((_, until)) = it.halted.filter(|_| inside) {
            self.at(until + 1, What::Watchdog(host, feeds));
            return;
        }
        let owed = std::mem::take(&mut it.dog.stood);
        if owed > 0 {
            self.after(owed, What::Watchdog(host, feeds));
            return;
        }
        self.reset(host, "its watchdog");
    }

    /// The machine is reset: all that was in memory is gone, and it boots anew.
    pub(super) fn reset(&mut self, host: usize, by: &str) {
        self.note(Some(host), || format!("> the machine is reset by {by}"));
        self.power_off(host);
        let sooner = if self.plan.rough { self.chance.hands.below(SOONER) } else { 0 };
        self.after(BOOT - sooner, What::Boot(host));
    }

    /// A machine that was reset is up again, and starts what belongs there.
    pub(super) fn boot(&mut self, host: usize) {
        if !self.hosts[host].powered {
            self.hosts[host].powered = true;
            self.repair(host);
        }
    }
}
