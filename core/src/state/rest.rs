//! What an operator has taken out of stead's hands for a while: services that are stopped, and
//! what is in maintenance.
//!
//! A stopped service runs nowhere, over every restart of every machine, until it is started. What
//! is in maintenance is left as it is: it is held and watched, and nothing of it is started,
//! stopped or moved until that ends. Neither touches leases: what loses its lease ends as ever, and
//! stays so while nothing may be started.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::apply::Applied;
use super::config::Config;
use super::{Assignment, Holder, Outcome, Refusal, State};
use crate::id::{Epoch, NodeId, ServiceId};

/// What is in maintenance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenances {
    /// Everything.
    pub cluster: Option<Maintenance>,
    /// What these nodes have, and nothing comes to them.
    pub nodes: BTreeMap<NodeId, Maintenance>,
    /// These services, wherever they are.
    pub services: BTreeMap<ServiceId, Maintenance>,
}

/// That something is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Why, in an operator's words.
    pub reason: String,
    /// On which node that was asked for.
    pub by: String,
    /// When, by that node's wall clock, in seconds since 1970. For people.
    pub wall: u64,
}

/// For what maintenance begins or ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Everything.
    Cluster,
    /// A node, and what is there.
    Node(NodeId),
    /// A service.
    Service(ServiceId),
}

impl State {
    /// Services shall run nowhere, or may again. All of them, or none.
    pub(super) fn stop_services(&mut self, services: &BTreeSet<ServiceId>, on: bool) -> Applied {
        let wanted = |service| self.config.as_ref().is_some_and(|it| knows(it, service));
        if !services.iter().all(wanted) {
            return Err(Refusal::NoSuchService);
        }
        if let Some(service) = services.iter().find(|it| self.is_maintained(it)) {
            return Err(Refusal::InMaintenance(service.clone()));
        }
        let stopped = &mut self.later.next.stopped;
        let before = stopped.len();
        if on {
            stopped.extend(services.iter().cloned());
        } else {
            stopped.retain(|it| !services.contains(it));
        }
        if stopped.len() == before { Err(Refusal::AlreadyThere) } else { Ok(Outcome::Done) }
    }

    /// Maintenance begins, or is over.
    pub(super) fn maintain(&mut self, scope: Scope, maintenance: Option<Maintenance>) -> Applied {
        let known = match &scope {
            Scope::Cluster => Ok(()),
            Scope::Node(node) if self.members.contains_key(node) => Ok(()),
            Scope::Node(_) => Err(Refusal::NoSuchNode),
            Scope::Service(service) => {
                let wanted = self.config.as_ref().is_some_and(|it| knows(it, service));
                if wanted { Ok(()) } else { Err(Refusal::NoSuchService) }
            }
        };
        known?;
        let Maintenances { cluster, nodes, services } = &mut self.later.next.maintenance;
        let begins = maintenance.is_some();
        let before = match (scope, maintenance) {
            (Scope::Cluster, it) => core::mem::replace(cluster, it),
            (Scope::Node(node), Some(it)) => nodes.insert(node, it),
            (Scope::Node(node), None) => nodes.remove(&node),
            (Scope::Service(service), Some(it)) => services.insert(service, it),
            (Scope::Service(service), None) => services.remove(&service),
        };
        // A newer word for the same replaces the older.
        if before.is_none() && !begins { Err(Refusal::AlreadyThere) } else { Ok(Outcome::Done) }
    }

    /// The holder says that its service works, under that assignment.
    pub(super) fn note_works(&mut self, service: ServiceId, epoch: Epoch) -> Applied {
        let assignment = self.assignments.get(&service).ok_or(Refusal::NoSuchService)?;
        if assignment.epoch != epoch || assignment.holder.node().is_none() {
            return Err(Refusal::Stale);
        }
        self.later.next.works.insert(service, epoch);
        Ok(Outcome::Done)
    }

    /// Forgets what was said of services and nodes that are no more.
    pub(super) fn forget_gone(&mut self) {
        let Some(config) = &self.config else { return };
        let next = &mut self.later.next;
        next.stopped.retain(|service| knows(config, service));
        next.works.retain(|service, _| knows(config, service));
        next.maintenance.services.retain(|service, _| knows(config, service));
        self.later.fencing.times.visits.retain(|service, _| knows(config, service));
        self.forget_watchdogs();
    }

    /// Whether an operator stopped that service.
    #[must_use]
    pub fn is_stopped(&self, service: &ServiceId) -> bool {
        self.later.next.stopped.contains(service)
    }

    /// Whether that node is in maintenance, or everything is: nothing comes to it.
    #[must_use]
    pub fn is_node_maintained(&self, node: NodeId) -> bool {
        let Maintenances { cluster, nodes, .. } = &self.later.next.maintenance;
        cluster.is_some() || nodes.contains_key(&node)
    }

    /// Whether services may come to that node, as far as operators go.
    #[must_use]
    pub fn takes(&self, node: NodeId) -> bool {
        let shall = !self.standby.contains(&node) && !self.is_halted(node);
        shall && !self.is_node_maintained(node)
    }

    /// Whether that node may boot itself anew: all that it has goes down with it, so nothing of
    /// that is in maintenance, and the cluster is armed.
    #[must_use]
    pub fn may_boot(&self, node: NodeId) -> bool {
        let has = |service: &ServiceId, it: &Assignment| {
            it.holder.node() == Some(node) || self.copy(service, node).is_some()
        };
        let is_any_kept = self.later.next.maintenance != Maintenances::default();
        let has_kept = || {
            let mut all = self.assignments.iter();
            all.any(|(service, it)| has(service, it) && self.is_maintained(service))
        };
        let is_kept = is_any_kept && (self.is_node_maintained(node) || has_kept());
        !self.is_disarmed() && !is_kept
    }

    /// Whether an operator keeps that service from beginning anywhere.
    #[must_use]
    pub fn is_kept(&self, service: &ServiceId) -> bool {
        self.is_stopped(service) || self.is_maintained(service)
    }

    /// Whether that service is left as it is: it, the node that has it or had it last, or
    /// everything is in maintenance.
    #[must_use]
    pub fn is_maintained(&self, service: &ServiceId) -> bool {
        let Maintenances { cluster, nodes, services } = &self.later.next.maintenance;
        if cluster.is_some() || services.contains_key(service) {
            return true;
        }
        let holder = self.assignments.get(service).map(|it| &it.holder);
        let last = holder.and_then(|holder| match holder {
            Holder::Never => None,
            Holder::Stopped { node, .. } | Holder::Node(node) | Holder::Stopping { node, .. } => {
                Some(node)
            }
        });
        last.is_some_and(|node| nodes.contains_key(node))
    }

    /// Whether a service runs, as far as its holder has said so. Only known of one that needs
    /// another or is needed.
    #[must_use]
    pub fn works(&self, service: &ServiceId) -> bool {
        let assignment = self.assignments.get(service);
        let runs = assignment.filter(|it| matches!(it.holder, Holder::Node(_)));
        runs.is_some_and(|it| self.later.next.works.get(service) == Some(&it.epoch))
    }

    /// What a service needs and does not run, by name.
    #[must_use]
    pub fn lacks(&self, service: &ServiceId) -> Vec<String> {
        let Some(config) = &self.config else { return Vec::new() };
        let missing = config.needs(service).filter(|need| !self.works(need));
        missing.map(ToString::to_string).collect()
    }

    /// A service in maintenance that a new configuration would stop, if there is one.
    pub(super) fn maintained_change(&self, config: &Config) -> Option<ServiceId> {
        // One that is gone from the present file already is stopped by no new one; of copies some
        // are there though none is promoted.
        let known = |it: &&ServiceId| self.config.as_ref().is_some_and(|now| knows(now, it));
        let copied = |service: &ServiceId| self.later.next.copies.contains_key(service);
        let here = |(service, it): &(&ServiceId, &Assignment)| {
            it.holder.node().is_some() || copied(service)
        };
        let held = self.assignments.iter().filter(here).map(|(name, _)| name);
        let mut maintained = held.filter(|it| self.is_maintained(it)).filter(known);
        maintained.find(|it| !knows(config, it) || self.is_changed(config, it)).cloned()
    }
}

fn knows(config: &Config, service: &ServiceId) -> bool {
    config.services.contains_key(service)
}
