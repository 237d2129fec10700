//! One machine: what survives the processes that run on it, and what does not survive its power.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::time::{Instant, Span};

use super::{Daemon, Executor, Guard, Habitual, Manner, Permit};
use crate::clock::Clock;
use crate::log::Disk;

/// How a kernel counts the end of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateForm {
    /// From the moment of arming: whatever happens before that moment lengthens it.
    Relative,
    /// On the node's clock.
    Absolute,
}

/// How a whole machine stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Its clock goes on: every deadline has passed when it wakes up.
    Suspended,
    /// The hypervisor stopped it: its clock stands still too.
    Paused,
}

/// Between which of a process's acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After so many of the next ones; within the one that follows if that is an arming.
    After(usize),
    /// Within the next arming, whenever that comes.
    Arming,
    /// After so many of those by which the lease is given up, whenever that is.
    Releasing(usize),
}

/// Where the next of a process's acts is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Where.
    pub at: Moment,
    /// For so long, in microseconds; nothing: it is killed.
    pub pause: Option<u64>,
}

/// One machine.
#[derive(Debug)]
pub struct Host {
    /// Its node's number; a new one after it was replaced.
    pub id: NodeId,
    /// Its name in the configuration.
    pub name: &'static str,
    /// An operator has said there that the others are off.
    pub overruled: bool,
    /// Its clock.
    pub clock: Clock,
    /// How late its kernel may shut the gate.
    pub slack: Span,
    /// How its kernel counts.
    pub form: GateForm,
    /// What the kernel lets through, and until when. It outlives the guard.
    pub gate: Vec<(IpAddr, Instant)>,
    /// Its timeouts stood still in a suspend and were not armed anew since.
    pub stretched: bool,
    /// The addresses on its interfaces. They outlive the daemon.
    pub configured: BTreeSet<IpAddr>,
    /// What runs, under which epoch. It outlives the daemon.
    pub programs: BTreeMap<ServiceId, Epoch>,
    /// Bound services of which something may be left here, whether or not their programs run: only
    /// their own stop takes it away, and the loss of power.
    pub left: BTreeSet<ServiceId>,
    /// Which copies run, and what keeps each. They outlive the daemon.
    pub copies: BTreeMap<ServiceId, super::Kept>,
    /// Whose page the keeper of each program watches: a run of the guard.
    pub kept: BTreeMap<ServiceId, u64>,
    /// The executors among them, and what their agents started.
    pub executors: BTreeMap<ServiceId, Executor>,
    /// How agents go about what they are asked for, where they don't do it well.
    pub habits: Vec<Habitual>,
    /// What each run of the guard wrote for keepers.
    pub permits: BTreeMap<u64, Permit>,
    /// Programs that ended by themselves, under which epoch, in this run of the daemon.
    pub ended: BTreeMap<ServiceId, Epoch>,
    /// Services whose program does not start here.
    pub broken: BTreeSet<ServiceId>,
    /// What its daemon keeps.
    pub disk: Disk,
    /// How often a guard has started.
    pub incarnation: u64,
    /// The guard, if one runs.
    pub guard: Option<Guard>,
    /// Counts the guard's runs, so that what was meant for an older one is not taken.
    pub guard_run: u64,
    /// Until when the guard is not run by the processor.
    pub guard_paused: u64,
    /// The daemon, if one runs.
    pub daemon: Option<Daemon>,
    /// Counts the daemon's runs.
    pub daemon_run: u64,
    /// Until when the daemon is not run by the processor.
    pub daemon_paused: u64,
    /// The whole machine stands still until then.
    pub halted: Option<(Halt, u64)>,
    /// Since when it stands still.
    pub halted_at: u64,
    /// The longest lease that anybody counted by then, and the longest ordinary one.
    pub halted_leases: (Span, Span),
    /// When it went on after it had stood still.
    pub woke_at: u64,
    /// Until then it may count its deadlines by a clock whose rate left the bound.
    pub astray_until: u64,
    /// There is power.
    pub powered: bool,
    /// What its fence device does.
    pub device: Manner,
    /// That has called it off, and it was not.
    pub called_off: bool,
    /// That has cut it off from what is bound: until it has booted it writes nothing there.
    pub cut_off: bool,
    /// The guard's next acts are cut short there.
    pub guard_cut: Option<Interrupt>,
    /// The daemon's next acts are cut short there.
    pub daemon_cut: Option<Interrupt>,
    /// The clock's rate is outside the bound, and the guard was told.
    pub slewed: bool,
    /// Its watchdog.
    pub dog: super::Dog,
}

impl Host {
    /// Whether the processor runs the guard.
    #[must_use]
    pub fn guard_waits(&self, now: u64) -> Option<u64> {
        let halted = self.halted.map_or(0, |(_, until)| until);
        let until = self.guard_paused.max(halted);
        (until > now).then_some(until)
    }

    /// Whether the processor runs the daemon.
    #[must_use]
    pub fn daemon_waits(&self, now: u64) -> Option<u64> {
        let halted = self.halted.map_or(0, |(_, until)| until);
        let until = self.daemon_paused.max(halted);
        (until > now).then_some(until)
    }

    /// Until when, in true time, its kernel lets an address through; zero if it does not.
    #[must_use]
    pub fn open_until(&self, address: IpAddr) -> u64 {
        if !self.powered || self.halted.is_some() {
            return 0;
        }
        let entry = self.gate.iter().find(|(open, until)| *open == address && until.0 > 0);
        entry.map_or(0, |(_, until)| self.clock.global(*until + self.slack))
    }

    /// Until when, in true time, it is certain to; the kernel may be later by its slack.
    #[must_use]
    pub fn sure_until(&self, address: IpAddr) -> u64 {
        if !self.powered || self.halted.is_some() {
            return 0;
        }
        let entry = self.gate.iter().find(|(open, until)| *open == address && until.0 > 0);
        entry.map_or(0, |(_, until)| self.clock.global(*until))
    }

    /// Whether it answers for an address now.
    #[must_use]
    pub fn answers(&self, address: IpAddr, now: u64) -> bool {
        self.configured.contains(&address) && self.open_until(address) > now
    }
}
