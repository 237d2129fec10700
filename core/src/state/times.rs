//! What holds for a while: times of the week that are open, and services that visit another node.
//!
//! | change | who proposes it, and when |
//! |---|---|
//! | [`Change::Times`] | the coordinator's daemon: by its clock other times are open than before |
//! | [`Change::Visit`] | an operator; the coordinator's daemon, when a visit is over |
//! | [`RegisterChange::Lower`] | an operator; the coordinator's daemon, when the time is over |
//!
//! A plan knows no clock. What hangs on one becomes an event in the log first, so that the same
//! state has the same plan on every node, and one sees afterwards why something moved.
//! [`State::due`] says which event is next.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::apply::Applied;
use super::rules::{During, Place};
use super::{Change, Holder, Outcome, Refusal, RegisterChange, State};
use crate::id::{NodeId, ServiceId};

/// For how long a service that was on a visit waits until it can go back, in seconds. After that it
/// stays where it is.
pub const WAY_BACK: u64 = 3_600;

/// What a state has in the tail of that of 0.6, beside that of its configuration. Only members from
/// 0.7 on read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateTimes {
    /// The times of the configuration that are open.
    pub open: BTreeSet<String>,
    /// Services that are to be on a node for a while.
    pub visits: BTreeMap<ServiceId, Visit>,
}

/// That a service is to be on a node for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// Where.
    pub node: NodeId,
    /// Until when: seconds since 1970 by the clock of whoever coordinates.
    pub until: u64,
    /// Where it goes then; nothing if it was nowhere, or there already.
    pub back: Option<NodeId>,
    /// It is over as soon as the service is there: a way back, or a move for good.
    pub once: bool,
}

impl State {
    /// What holds for a while.
    #[must_use]
    pub fn times(&self) -> &StateTimes {
        &self.later.fencing.times
    }

    /// The node that a service visits, or goes back to.
    #[must_use]
    pub fn visited_by(&self, service: &ServiceId) -> Option<NodeId> {
        self.times().visits.get(service).map(|it| it.node)
    }

    /// Whether a service goes back at this time to a node that it prefers.
    #[must_use]
    pub fn fails_back(&self, service: &ServiceId) -> bool {
        let Some(config) = &self.config else { return false };
        let always = config.services.get(service).is_some_and(|it| it.failback);
        let at = config.rules(service).and_then(|it| it.failback_at.as_ref());
        always || at.is_some_and(|time| self.times().open.contains(time))
    }

    /// What is said of a service for the times that are open.
    pub fn during(&self, service: &ServiceId) -> impl Iterator<Item = &During> {
        let rules = self.config.as_ref().and_then(|config| config.rules(service));
        let all = rules.into_iter().flat_map(|rules| &rules.during);
        all.filter(|(time, _)| self.times().open.contains(*time)).map(|(_, it)| it)
    }

    /// The nodes that a service prefers at this time, best first.
    #[must_use]
    pub fn prefers(&self, service: &ServiceId) -> &[String] {
        let usual = || self.config.as_ref()?.services.get(service).map(|it| it.prefer.as_slice());
        let now = self.during(service).find_map(|it| it.prefer.as_deref());
        now.or_else(usual).unwrap_or_default()
    }

    /// Where only, and where not, a service may be at this time.
    #[must_use]
    pub fn places(&self, service: &ServiceId) -> (&[Place], &[Place]) {
        let rules = self.config.as_ref().and_then(|config| config.rules(service));
        let only = self.during(service).find_map(|it| it.only.as_deref());
        let never = self.during(service).find_map(|it| it.never.as_deref());
        let usual = |of: fn(&super::rules::ServiceRules) -> &[Place]| rules.map(of);
        let only = only.or_else(|| usual(|it| &it.only));
        let never = never.or_else(|| usual(|it| &it.never));
        (only.unwrap_or_default(), never.unwrap_or_default())
    }

    /// The next event that the clock brings, at `now` seconds since 1970, when these times of the
    /// configuration are open.
    #[must_use]
    pub fn due(&self, now: u64, open: &BTreeSet<String>) -> Option<Change> {
        if *open != self.times().open {
            return Some(Change::Times { open: open.clone() });
        }
        let visits = self.times().visits.iter().find_map(|(service, visit)| {
            let visit = self.after(service, visit, now)?;
            Some(Change::Visit { service: service.clone(), visit })
        });
        let mut lowered = self.redirect().lowered.iter().filter(|(_, it)| now >= it.until);
        visits.or_else(|| {
            let (service, _) = lowered.next()?;
            let over = RegisterChange::Lower { service: service.clone(), lowered: None };
            Some(Change::Register(over))
        })
    }

    /// What comes after a visit, if it is over.
    fn after(&self, service: &ServiceId, visit: &Visit, now: u64) -> Option<Option<Visit>> {
        let Some(assignment) = self.assignments.get(service) else { return Some(None) };
        let there = assignment.holder == Holder::Node(visit.node);
        if !(visit.once && there || now >= visit.until) {
            return None;
        }
        let back = visit.back.filter(|back| self.members.contains_key(back));
        let until = now.saturating_add(WAY_BACK);
        Some(back.map(|node| Visit { node, until, back: None, once: true }))
    }

    pub(super) fn set_times(&mut self, open: BTreeSet<String>) -> Applied {
        if open == self.times().open {
            return Err(Refusal::Stale);
        }
        self.later.fencing.times.open = open;
        Ok(Outcome::Done)
    }

    pub(super) fn visit(&mut self, service: ServiceId, visit: Option<Visit>) -> Applied {
        let visits = &mut self.later.fencing.times.visits;
        let Some(visit) = visit else {
            return visits.remove(&service).map(|_| Outcome::Done).ok_or(Refusal::Stale);
        };
        if !self.assignments.contains_key(&service) {
            return Err(Refusal::NoSuchService);
        }
        if !self.members.contains_key(&visit.node) {
            return Err(Refusal::NoSuchNode);
        }
        self.later.fencing.times.visits.insert(service, visit);
        Ok(Outcome::Done)
    }
}
