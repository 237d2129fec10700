//! Since when: read off the journal's lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_core::id::ServiceId;
use stead_core::notice::Notice;

use crate::journal::Entry;

/// When each thing that is not over began, as far as the lines reach back.
#[derive(Debug, Default)]
pub(super) struct History {
    nodes: BTreeMap<String, String>,
    standby: BTreeMap<String, String>,
    services: BTreeMap<ServiceId, Trouble>,
    assigned: BTreeMap<(ServiceId, u64), String>,
    guard: Option<String>,
    clock: Option<String>,
    coordinator: Option<String>,
    store: Option<String>,
}

/// What a service suffers from.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Since when.
    pub(super) since: String,
    /// The newest line about it.
    pub(super) text: String,
    /// Its program is to blame: that its address is served again is no end of it.
    program: bool,
}

impl History {
    pub(super) fn of(entries: &[Arc<Entry>]) -> Self {
        let mut history = Self::default();
        for entry in entries {
            history.add(entry);
        }
        history
    }

    pub(super) fn node(&self, name: &str) -> Option<String> {
        self.nodes.get(name).cloned()
    }

    pub(super) fn standby(&self, name: &str) -> Option<String> {
        self.standby.get(name).cloned()
    }

    pub(super) fn service(&self, service: &ServiceId) -> Option<&Trouble> {
        self.services.get(service)
    }

    /// When that assignment was made.
    pub(super) fn assigned(&self, service: &ServiceId, epoch: u64) -> Option<&str> {
        self.assigned.get(&(service.clone(), epoch)).map(String::as_str)
    }

    pub(super) fn guard(&self) -> Option<String> {
        self.guard.clone()
    }

    pub(super) fn clock(&self) -> Option<String> {
        self.clock.clone()
    }

    pub(super) fn coordinator(&self) -> Option<String> {
        self.coordinator.clone()
    }

    pub(super) fn store(&self) -> Option<String> {
        self.store.clone()
    }

    #[expect(
        clippy::too_many_lines,
        reason = "a line for each kind: split, one could be forgotten"
    )]
    fn add(&mut self, entry: &Entry) {
        let Some(notice) = &entry.notice else { return };
        let time = &entry.time;
        let begin = |slot: &mut Option<String>| {
            slot.get_or_insert_with(|| time.clone());
        };
        match notice {
            Notice::GuardConnected => self.guard = None,
            Notice::GuardLost => begin(&mut self.guard),
            Notice::LeaseGained => self.clock = None,
            Notice::ClockDistrusted => begin(&mut self.clock),
            Notice::CoordinatorSilent(_) => begin(&mut self.coordinator),
            Notice::Coordinator(..) => self.coordinator = None,
            Notice::StoreFailed(_) => begin(&mut self.store),
            Notice::Suspected(node, _) | Notice::Removed(node, ..) => {
                self.nodes.entry(node.clone()).or_insert_with(|| time.clone());
            }
            Notice::Refuted(it) | Notice::Admitted(it) => drop(self.nodes.remove(it)),
            Notice::Standby(node, on) => self.stand_by(node, *on, time),
            Notice::Assigned(service, _, epoch) => {
                self.assigned.insert((service.clone(), epoch.0), time.clone());
            }
            Notice::StartFailed(service, _)
            | Notice::MonitorFailed(service, _)
            | Notice::Ended(service, _) => self.trouble(service, entry, true),
            Notice::Stopping(service, _)
            | Notice::Stopped(service, ..)
            | Notice::Nowhere(service)
            | Notice::ClaimFailed(service)
            | Notice::AnnounceFailed(service, _)
            | Notice::CopyFailed(service, _)
            | Notice::Conflict(service, _) => self.trouble(service, entry, false),
            Notice::StaysWith(service, _) => self.new_trouble(service, entry),
            Notice::Claimed(service, _) => self.claimed(service),
            Notice::Started(it) | Notice::Verified(it) => drop(self.services.remove(it)),
            Notice::LeaseLost
            | Notice::Restarting(..)
            | Notice::Retiring
            | Notice::Campaign(_)
            | Notice::Voter(..)
            | Notice::AddressRestored(_)
            | Notice::Refused(_)
            | Notice::Configured(_)
            | Notice::Membership(..)
            | Notice::PointLost(_)
            | Notice::PointBack(_)
            | Notice::RoundTripExceeded(..)
            | Notice::Times(_)
            | Notice::Visit(..)
            | Notice::Redirect(..)
            | Notice::Reserved(..)
            | Notice::Disarmed(..)
            | Notice::Halted(..)
            | Notice::ServicesStopped(..)
            | Notice::Maintenance(..)
            | Notice::HookFailed(..)
            | Notice::Quarantined(..)
            | Notice::QuarantineOver(..)
            | Notice::Armed(_)
            | Notice::ConfirmedOff(..)
            | Notice::Fence(..)
            | Notice::WatchdogElapsed(_)
            | Notice::WatchdogFailed(_)
            | Notice::ClientsTold(..)
            | Notice::Tied(..)
            | Notice::Granted(_)
            | Notice::NotGranted(_)
            | Notice::Vouched(..)
            | Notice::VouchEnded(_)
            | Notice::WentOn(..)
            | Notice::VotesAgain(_)
            | Notice::Enrolled(_)
            | Notice::RegisterLost
            | Notice::RegisterHere
            | Notice::RegisterDistrusted
            | Notice::RegisterTrusted
            | Notice::Departing(_) => {}
        }
    }

    /// Its addresses are there: what was said of those is over.
    fn claimed(&mut self, service: &ServiceId) {
        if self.services.get(service).is_some_and(|it| !it.program) {
            self.services.remove(service);
        }
    }

    fn stand_by(&mut self, node: &str, on: bool, time: &str) {
        if on {
            self.standby.entry(node.to_owned()).or_insert_with(|| time.to_owned());
        } else {
            self.standby.remove(node);
        }
    }

    /// Whatever was told of it before was on another node, or is over.
    fn new_trouble(&mut self, service: &ServiceId, entry: &Entry) {
        self.services.remove(service);
        self.trouble(service, entry, false);
    }

    fn trouble(&mut self, service: &ServiceId, entry: &Entry, program: bool) {
        let known = self.services.entry(service.clone()).or_insert_with(|| Trouble {
            since: entry.time.clone(),
            text: String::new(),
            program: false,
        });
        // What follows from a cause, such as the stop, says less than the cause.
        if program || !known.program {
            known.text.clone_from(&entry.text);
        }
        known.program |= program;
    }
}
