//! A host's guard: the real lease machine and what performs its commands.

use std::collections::VecDeque;

use stead_core::lease::{Command, Event, Lease, Order};

use super::daemon::DaemonIn;
use super::{What, World};

/// A running guard.
pub struct Guard {
    pub lease: Lease,
    wake: u64,
    /// What came while it was paused.
    inbox: VecDeque<GuardIn>,
    /// The run of the daemon whose connection it serves.
    pub daemon: Option<u64>,
    /// When the last message on that connection arrives at the daemon, so that none overtakes.
    pub told_until: u64,
}

impl Guard {
    pub fn new(lease: Lease) -> Self {
        Self { lease, wake: u64::MAX, inbox: VecDeque::new(), daemon: None, told_until: 0 }
    }

    /// Nothing waits to be looked at.
    pub fn is_idle(&self) -> bool {
        self.inbox.is_empty()
    }
}

/// What reaches a guard.
pub enum GuardIn {
    Wake,
    Event(Event),
    /// A daemon's order.
    Order(u64, Order),
    Connected(u64),
}

impl World {
    /// Something for the guard of that run; run 0 is whichever is there.
    pub fn guard_input(&mut self, host: usize, run: u64, input: GuardIn) {
        let paused = self.hosts[host].guard_paused;
        let (now, this) = (self.now, self.hosts[host].guard_run);
        let Some(guard) = &mut self.hosts[host].guard else { return };
        if run != 0 && run != this {
            return;
        }
        if paused > now || !guard.inbox.is_empty() {
            if guard.inbox.is_empty() {
                self.at(paused, What::GuardResume(host, this));
            }
            if let Some(guard) = &mut self.hosts[host].guard {
                guard.inbox.push_back(input);
            }
            return;
        }
        self.guard_take(host, input);
    }

    pub fn guard_resume(&mut self, host: usize, run: u64) {
        let it = &mut self.hosts[host];
        if it.guard_run != run {
            return;
        }
        if it.guard_paused > self.now {
            self.at(self.hosts[host].guard_paused, What::GuardResume(host, run));
            return;
        }
        while let Some(guard) = &mut self.hosts[host].guard {
            let Some(input) = guard.inbox.pop_front() else { break };
            self.guard_take(host, input);
        }
    }

    fn guard_take(&mut self, host: usize, input: GuardIn) {
        let now = self.local(host);
        let Some(guard) = &mut self.hosts[host].guard else { return };
        let event = match input {
            GuardIn::Wake => {
                guard.wake = u64::MAX;
                Event::Tick
            }
            GuardIn::Event(event) => event,
            GuardIn::Connected(daemon) => {
                guard.daemon = Some(daemon);
                Event::DaemonConnected
            }
            GuardIn::Order(daemon, order) => {
                if guard.daemon != Some(daemon) {
                    return;
                }
                Event::Order(order)
            }
        };
        if matches!(event, Event::DaemonGone) {
            guard.daemon = None;
        }
        guard.lease.handle(now, event);
        self.guard_after(host);
    }

    /// Performs what the machine said, and wakes it again in time.
    pub fn guard_after(&mut self, host: usize) {
        let (clock, run) = (self.hosts[host].clock, self.hosts[host].guard_run);
        let Some(guard) = &mut self.hosts[host].guard else { return };
        let commands: VecDeque<_> = std::iter::from_fn(|| guard.lease.poll()).collect();
        let deadline = clock.global(guard.lease.next_deadline());
        if deadline < guard.wake {
            guard.wake = deadline;
            self.at(deadline, What::Guard(host, run, GuardIn::Wake));
        }
        if self.chaos && self.rng.chance(1_500) {
            let pause = if self.rng.chance(2) { 50_000 } else { 1_000_000 };
            let pause = 1 + self.rng.below(pause);
            let it = &mut self.hosts[host];
            it.guard_paused = it.guard_paused.max(self.now + pause);
            self.after(pause, What::GuardEmit(host, run, commands));
        } else {
            self.guard_perform(host, commands);
        }
    }

    pub fn guard_perform(&mut self, host: usize, commands: VecDeque<Command>) {
        for command in commands {
            match command {
                Command::Send { to, heartbeat } => self.send_to(host, to, heartbeat),
                Command::Enforce { addresses, until } => {
                    let gate = &mut self.hosts[host].gate;
                    let mut touched: Vec<_> = gate.keys().copied().collect();
                    touched.extend(&addresses);
                    gate.clear();
                    gate.extend(addresses.into_iter().map(|address| (address, until)));
                    self.judge_gate(host, &touched);
                }
                Command::Report(report) => {
                    // What the daemon does not take is lost.
                    if !(self.chaos && self.rng.chance(300)) {
                        let run = self.hosts[host].guard_run;
                        self.tell_daemon(host, DaemonIn::Report(run, Box::new(report)));
                    }
                }
                Command::VoteKnown(_) => {}
            }
        }
    }

    /// From the guard to the daemon that is connected to it, in order.
    pub fn tell_daemon(&mut self, host: usize, input: DaemonIn) {
        let delay = 30 + if self.chaos { self.rng.below(300) } else { 0 };
        let at = self.now + delay;
        let it = &mut self.hosts[host];
        let run = it.daemon_run;
        let mut at = at;
        if let Some(guard) = &mut it.guard {
            if guard.daemon != Some(run) {
                return;
            }
            at = at.max(guard.told_until);
            guard.told_until = at;
        }
        self.at(at, What::Daemon(host, run, Box::new(input)));
    }

    pub fn tell_guard_event(&mut self, host: usize, run: u64, event: Event) {
        self.after(20, What::Guard(host, run, GuardIn::Event(event)));
    }
}
