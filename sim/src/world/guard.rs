//! A machine's guard: the real lease machine, and the kernel that does what it says.

use std::collections::VecDeque;
use std::net::IpAddr;

use stead_core::id::NodeId;
use stead_core::lease::{Command, Event, Heartbeat, Lease, Order};
use stead_core::time::Instant;

use super::{DaemonIn, GateForm, Held, Moment, What, World};

/// A running guard.
#[derive(Debug)]
pub struct Guard {
    /// The machine of the core.
    pub lease: Lease,
    wake: u64,
    /// What came while it was held up.
    inbox: VecDeque<GuardIn>,
    /// The run of the daemon whose connection it serves.
    pub daemon: Option<u64>,
    /// When the last message on that connection arrives at the daemon, so that none overtakes.
    pub told_until: u64,
    /// It was held up in the middle of its commands.
    held: bool,
}

impl Guard {
    /// A guard that just started.
    #[must_use]
    pub fn new(lease: Lease) -> Self {
        let inbox = VecDeque::new();
        Self { lease, wake: u64::MAX, inbox, daemon: None, told_until: 0, held: false }
    }

    /// Nothing waits to be looked at.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.inbox.is_empty() && !self.held
    }
}

/// What reaches a guard.
#[derive(Debug)]
pub enum GuardIn {
    /// Its own deadline.
    Wake,
    /// A heartbeat, by that link.
    Heartbeat(u8, Heartbeat),
    /// Anything else.
    Event(Event),
    /// An order of that run of the daemon.
    Order(u64, Order),
    /// That run of the daemon connected.
    Connected(u64),
}

/// How long the system call takes that arms a relative gate, in microseconds.
const ARMING: u64 = 20;

impl World {
    /// Something for the guard of that run; run 0 is whichever is there.
    pub(super) fn guard_input(&mut self, host: usize, run: u64, input: GuardIn) {
        let now = self.now;
        let it = &mut self.hosts[host];
        let (waits, this) = (it.guard_waits(now), it.guard_run);
        let Some(guard) = &mut it.guard else { return };
        if run != 0 && run != this {
            return;
        }
        if waits.is_some() || !guard.is_idle() {
            let first = guard.inbox.is_empty();
            guard.inbox.push_back(input);
            if first {
                self.at(waits.unwrap_or(now), What::GuardResume(host, this));
            }
            return;
        }
        self.guard_take(host, input);
    }

    pub(super) fn guard_resume(&mut self, host: usize, run: u64) {
        if self.hosts[host].guard_run != run {
            return;
        }
        while let Some(guard) = &mut self.hosts[host].guard {
            if guard.held {
                // What it was doing comes first; it takes this up again itself.
                return;
            }
            if let Some(until) = self.hosts[host].guard_waits(self.now) {
                self.at(until, What::GuardResume(host, run));
                return;
            }
            let Some(guard) = &mut self.hosts[host].guard else { return };
            let Some(input) = guard.inbox.pop_front() else { return };
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
            GuardIn::Heartbeat(link, heartbeat) => Event::Heartbeat { link, heartbeat },
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
        let told = matches!(event, Event::ClockTrusted(_));
        if matches!(event, Event::DaemonGone) {
            guard.daemon = None;
        }
        guard.lease.handle(now, event);
        self.guard_after(host);
        if self.judges.has_excuses() && self.hosts[host].guard.as_ref().is_some_and(|it| !it.held) {
            // It has looked at the clock, and the gate does what it says.
            if !self.hosts[host].stretched {
                self.excuses_end(host, crate::check::Why::Suspended);
            }
            if told {
                self.excuses_end(host, crate::check::Why::Slewed);
            }
        }
    }

    /// Performs what the machine said, and wakes it again in time.
    pub(crate) fn guard_after(&mut self, host: usize) {
        let it = &mut self.hosts[host];
        let (clock, run) = (it.clock, it.guard_run);
        let Some(guard) = &mut it.guard else { return };
        let deadline = clock.global(guard.lease.next_deadline());
        if deadline < guard.wake {
            guard.wake = deadline;
            self.at(deadline, What::Guard(host, run, GuardIn::Wake));
        }
        if self.hosts[host].guard_cut.is_some() {
            let Some(guard) = &mut self.hosts[host].guard else { return };
            let commands: VecDeque<_> = std::iter::from_fn(|| guard.lease.poll()).collect();
            if !commands.is_empty() {
                self.guard_cut_short(host, commands);
            }
            return;
        }
        while let Some(guard) = &mut self.hosts[host].guard {
            let Some(command) = guard.lease.poll() else { break };
            self.guard_perform(host, command);
        }
    }

    /// The guard is killed or held up between two of its commands, or within an arming.
    fn guard_cut_short(&mut self, host: usize, mut commands: VecDeque<Command>) {
        let Some(cut) = self.hosts[host].guard_cut.take() else { return };
        let arming = |command: &Command| matches!(command, Command::Enforce { .. });
        let releases =
            self.hosts[host].guard.as_ref().is_some_and(|guard| guard.lease.is_released());
        let after = match cut.at {
            Moment::After(after) => Some(after),
            Moment::Arming => commands.iter().position(arming),
            Moment::Releasing(after) => releases.then_some(after),
        };
        let Some(after) = after.map(|after| after.min(commands.len())) else {
            commands.into_iter().for_each(|command| self.guard_perform(host, command));
            self.hosts[host].guard_cut = Some(cut);
            return;
        };
        for _ in 0..after {
            if let Some(command) = commands.pop_front() {
                self.guard_perform(host, command);
            }
        }
        let Some(pause) = cut.pause else {
            self.kill_guard(host);
            return;
        };
        let (now, run) = (self.now, self.hosts[host].guard_run);
        let arming = commands.front().is_some_and(arming);
        let relative = self.hosts[host].form == GateForm::Relative;
        let computed = (arming && relative).then(|| self.local(host));
        let it = &mut self.hosts[host];
        it.guard_paused = it.guard_paused.max(now + pause);
        if let Some(guard) = &mut it.guard {
            guard.held = true;
        }
        let held = Box::new(Held { commands, computed });
        self.at(now + pause, What::GuardEmit(host, run, held));
    }

    /// The rest of what a guard was held up in.
    pub(super) fn guard_emit(&mut self, host: usize, run: u64, mut held: Held) {
        let it = &mut self.hosts[host];
        if it.guard_run != run || it.guard.is_none() {
            return;
        }
        if let Some(until) = it.guard_waits(self.now) {
            self.at(until, What::GuardEmit(host, run, Box::new(held)));
            return;
        }
        if let Some(computed) = held.computed.take()
            && let Some(Command::Enforce { addresses, until }) = held.commands.pop_front()
        {
            self.permit(host, until);
            // The kernel counts from now what was meant to count from then.
            let late = self.local(host).since(computed);
            let until = if until.0 > 0 { until + late } else { until };
            self.arm_late(host, addresses, until);
            self.after(ARMING, What::GateChecked(host, run));
            if self.hosts[host].guard_cut.is_some_and(|cut| cut.pause.is_none()) {
                self.hosts[host].guard_cut = None;
                self.kill_guard(host);
                return;
            }
        }
        self.fed_late(host, &mut held.commands);
        for command in held.commands {
            self.guard_perform(host, command);
        }
        if let Some(guard) = &mut self.hosts[host].guard {
            guard.held = false;
        }
        self.guard_resume(host, run);
        self.guard_after(host);
    }

    /// A relative gate is armed later than its timeouts were computed. Stated in the protocol,
    /// section 4: until the guard has looked at the clock again, the address may answer too long.
    fn arm_late(&mut self, host: usize, addresses: Vec<IpAddr>, until: Instant) {
        let end = self.hosts[host].clock.global(until + self.hosts[host].slack);
        self.note(Some(host), || "the gate is armed late".to_string());
        self.excuse(host, end, crate::check::Why::ArmedLate);
        self.set_gate(host, addresses, until);
    }

    /// The guard has looked at the clock after arming, and takes back what came too late.
    pub(super) fn gate_checked(&mut self, host: usize, run: u64) {
        let it = &self.hosts[host];
        if it.guard_run != run || it.guard_waits(self.now).is_some() {
            return;
        }
        let Some(guard) = &it.guard else { return };
        let (lease, now) = (guard.lease.lease_until(), self.local(host));
        let addresses: Vec<_> = it.gate.iter().map(|(address, _)| *address).collect();
        if it.gate.iter().any(|(_, until)| *until > lease) {
            let until = if lease > now { lease } else { Instant::START };
            self.set_gate(host, addresses, until);
        }
        self.excuses_end(host, crate::check::Why::ArmedLate);
    }

    fn guard_perform(&mut self, host: usize, command: Command) {
        match command {
            Command::Send { to, heartbeat } => {
                self.note_echo(host, to, &heartbeat);
                if let Some(to) = self.host_of(to) {
                    self.send_heartbeat(host, to, heartbeat);
                }
            }
            Command::Enforce { addresses, until } => {
                self.permit(host, until);
                self.set_gate(host, addresses, until);
            }
            Command::Report(report) => {
                // What the daemon does not take in time is lost.
                let lost = self.plan.rough && self.chance.net.chance(300);
                if !lost {
                    let run = self.hosts[host].guard_run;
                    self.tell_daemon(host, DaemonIn::Report(run, report));
                }
            }
            Command::VoteKnown(_) => {}
            Command::Watchdog(act) => self.watchdog_act(host, act, false),
        }
    }

    fn set_gate(&mut self, host: usize, addresses: Vec<IpAddr>, until: Instant) {
        let now = self.now;
        let it = &self.hosts[host];
        let mut touched: Vec<_> = it.gate.iter().map(|(address, _)| *address).collect();
        for address in &addresses {
            if !touched.contains(address) {
                touched.push(*address);
            }
        }
        let open = |it: &super::Host, address: &IpAddr| it.open_until(*address) > now;
        let before: Vec<_> = touched.iter().map(|address| open(it, address)).collect();
        let it = &mut self.hosts[host];
        it.stretched = false;
        it.gate.clear();
        it.gate.extend(addresses.into_iter().map(|address| (address, until)));
        let opened = touched.iter().zip(before).any(|(address, was)| !was && open(it, address));
        self.judge_gate(host, &touched);
        if opened {
            self.judge_act(host, "opens an address");
        }
    }

    /// From the guard to the daemon that is connected to it, in order.
    pub(crate) fn tell_daemon(&mut self, host: usize, input: DaemonIn) {
        let delay = 30 + if self.plan.rough { self.chance.net.below(300) } else { 0 };
        let mut at = self.now + delay;
        let it = &mut self.hosts[host];
        let run = it.daemon_run;
        if let Some(guard) = &mut it.guard {
            if guard.daemon != Some(run) {
                return;
            }
            at = at.max(guard.told_until);
            guard.told_until = at;
        }
        self.at(at, What::Daemon(host, run, Box::new(input)));
    }

    pub(crate) fn tell_guard_event(&mut self, host: usize, run: u64, event: Event) {
        self.after(20, What::Guard(host, run, GuardIn::Event(event)));
    }

    /// Whether the guard serves that daemon and is free to take an order now; then it has.
    pub(crate) fn tell_guard_vote(&mut self, host: usize, term: stead_core::id::Term) -> bool {
        let (now, local) = (self.now, self.local(host));
        let it = &mut self.hosts[host];
        let (run, waits) = (it.daemon_run, it.guard_waits(now).is_some());
        let guard = it.guard.as_mut().filter(|it| it.daemon == Some(run));
        let Some(guard) = guard.filter(|guard| !waits && guard.is_idle()) else { return false };
        guard.lease.handle(local, Event::Order(Order::Vote(term)));
        self.guard_after(host);
        // It may have been killed in the middle of it.
        self.hosts[host].guard.is_some()
    }

    /// Which machines hear that node: for what a datagram proves about its sender.
    fn note_echo(&mut self, host: usize, to: NodeId, heartbeat: &Heartbeat) {
        if heartbeat.coordinator {
            self.judges.partition.coordinates(heartbeat.from, heartbeat.term, self.now);
        } else if heartbeat.echo.is_some() {
            self.judges.partition.echoes(heartbeat.from, to, heartbeat.term, self.now);
            self.judge_echo(host, heartbeat.term);
        }
    }
}
