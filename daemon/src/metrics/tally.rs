//! What is only known by having counted.
//!
//! Incidents are counted off the replicated state by their numbers, so each is counted once,
//! however often the state is looked at. Counting begins when this run has caught up: what
//! happened before belongs to the run before, whose counters Prometheus has seen end.

use std::collections::BTreeMap;

use stead_core::notice::Notice;
use stead_core::state::Cause;

use super::notice::{KINDS, kind};
use crate::driver::view::View;

/// Every cause.
const CAUSES: [Cause; 9] = [
    Cause::Silent,
    Cause::Released,
    Cause::DaemonAway,
    Cause::Planned,
    Cause::Failed,
    Cause::Lost,
    Cause::Failback,
    Cause::Unreachable,
    Cause::Maintenance,
];

/// The label of a cause.
pub(crate) fn name_of(cause: Cause) -> &'static str {
    match cause {
        Cause::Silent => "silent",
        Cause::Released => "released",
        Cause::DaemonAway => "daemon-away",
        Cause::Planned => "planned",
        Cause::Failed => "failed",
        Cause::Lost => "lost",
        Cause::Failback => "failback",
        Cause::Unreachable => "unreachable",
        Cause::Maintenance => "maintenance",
    }
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Tally {
    notices: BTreeMap<&'static str, u64>,
    causes: BTreeMap<&'static str, u64>,
    services: BTreeMap<String, u64>,
    clients: BTreeMap<String, u64>,
    missed: u64,
    /// The newest incident that was counted; nothing until this run has caught up.
    counted: Option<u64>,
}

impl Tally {
    /// Counts a line of the journal.
    pub(super) fn notice(&mut self, notice: &Notice) {
        *self.notices.entry(kind(notice).name).or_default() += 1;
        if let Notice::ClientsTold(service, count) = notice {
            let clients = self.clients.entry(service.0.clone()).or_default();
            *clients = clients.saturating_add(*count);
        }
    }

    /// Lines went by uncounted.
    pub(super) fn missed(&mut self, lines: u64) {
        self.missed = self.missed.saturating_add(lines);
    }

    /// Counts the incidents that are new in the picture.
    pub(super) fn look(&mut self, view: &View) {
        if !view.ready {
            return;
        }
        let newest = view.state.incident_count;
        let Some(counted) = self.counted.replace(newest) else { return };
        for incident in view.state.incidents.iter().filter(|it| it.number > counted) {
            let cause = self.causes.entry(name_of(incident.cause)).or_default();
            for moved in incident.moved.iter().filter(|it| it.to.is_some()) {
                *cause += 1;
                *self.services.entry(moved.service.0.clone()).or_default() += 1;
            }
        }
        // An older picture than the last one must not make anything count twice.
        self.counted = Some(newest.max(counted));
    }

    /// How often each kind of line came, those that never came included: a counter that appears
    /// with its first event hides that event from `increase()`.
    pub(super) fn notices(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KINDS.iter().map(|it| (it.name, self.notices.get(it.name).copied().unwrap_or(0)))
    }

    /// How many moves each cause made.
    pub(super) fn causes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CAUSES.map(name_of).into_iter().map(|it| (it, self.causes.get(it).copied().unwrap_or(0)))
    }

    /// How often a service moved.
    pub(super) fn moves(&self, service: &str) -> u64 {
        self.services.get(service).copied().unwrap_or(0)
    }

    /// How many clients of a service were told that their connections are gone.
    pub(super) fn clients(&self, service: &str) -> u64 {
        self.clients.get(service).copied().unwrap_or(0)
    }

    /// How many lines went by uncounted.
    pub(super) fn uncounted(&self) -> u64 {
        self.missed
    }
}
