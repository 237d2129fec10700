//! For how long the kernel's gate lets through what is held.

use alloc::vec::Vec;

use super::{Command, Lease};
use crate::time::{Instant, Span};

impl Lease {
    /// Arms the gate for what is held, if that is worth it.
    pub(super) fn arm(&mut self, now: Instant) {
        if self.holdings.is_empty() {
            return;
        }
        let until = self.gate_until(now);
        // Arming costs a system call; half an interval of new lease is worth one, and so is any new
        // lease when the gate is about to shut.
        let much = until > self.armed + Span(self.timers.heartbeat.0 / 2);
        let late = until > self.armed && now + self.timers.heartbeat >= self.armed;
        if much || late {
            self.enforce(now);
        }
    }

    /// Until when the gate is armed: to the end of the lease, and never for longer than an ordinary
    /// one, so that a guard that is killed or stopped means silence as soon as ever (rule M4).
    pub(super) fn gate_until(&self, now: Instant) -> Instant {
        self.lease_until().min(now + self.timers.ordinary_lease())
    }

    pub(super) fn enforce(&mut self, now: Instant) {
        let addresses: Vec<_> = self.holdings.held().iter().map(|h| h.address).collect();
        self.armed = if self.holdings.is_empty() { Instant::START } else { self.gate_until(now) };
        self.shown = self.shown.max(self.armed);
        self.commands.push_back(Command::Enforce { addresses, until: self.armed });
    }
}
