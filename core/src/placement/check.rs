//! Judges a plan: whether it breaks a rule, moves somebody for nothing, or leaves somebody out.
//!
//! It reads state and configuration by itself, name by name, and shares no code with what makes
//! plans: a mistake in one of them is seen by the other. It is as slow as that.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Decision, Leave, Plan, Sight};
use crate::id::{NodeId, ServiceId};
use crate::state::config::{Config, ServiceRules, Strength};
use crate::state::{Holder, State};

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It says nothing of a service that is configured, or something of one that is not, or takes
    /// one for elsewhere than it is.
    Facts(ServiceId),
    /// A service goes where it may not be, whoever else is there.
    Place(ServiceId, NodeId),
    /// A node is given more than it has of a quantity.
    Full(NodeId, String),
    /// Two are on one node, or in one place, that are apart.
    Apart(ServiceId, ServiceId),
    /// Two are on different nodes that go together.
    Together(ServiceId, ServiceId),
    /// One moves without a reason.
    Moves(ServiceId),
    /// One is nowhere though a node could take it beside all others but those that wait for it.
    LeftOut(ServiceId, NodeId),
}

/// All that is wrong with a plan; nothing if it is right.
#[must_use]
pub fn check(sight: Sight<'_>, plan: &Plan) -> Vec<Broken> {
    let Some(config) = &sight.state.config else { return Vec::new() };
    let judge = Judge { sight, config, plan };
    let mut broken = judge.facts();
    if broken.is_empty() {
        broken.extend(judge.places());
        broken.extend(judge.capacities());
        broken.extend(judge.pairs());
        broken.extend(judge.left_out());
    }
    broken
}

struct Judge<'a> {
    sight: Sight<'a>,
    config: &'a Config,
    plan: &'a Plan,
}

impl Judge<'_> {
    fn state(&self) -> &State {
        self.sight.state
    }

    /// Who in the view has it, or may have it.
    fn holder(&self, service: &ServiceId) -> Option<NodeId> {
        let node = self.state().assignments.get(service)?.holder.node()?;
        self.state().view.contains_key(&node).then_some(node)
    }

    /// Whether a plan has no say about it.
    fn is_fixed(&self, service: &ServiceId) -> bool {
        let state = self.state();
        state.is_maintained(service) || state.is_disarmed()
    }

    fn to(&self, service: &ServiceId) -> Option<NodeId> {
        self.plan.decisions.get(service)?.to
    }

    fn facts(&self) -> Vec<Broken> {
        let known = |it: &ServiceId| self.state().assignments.contains_key(it);
        let wanted = self.config.services.keys().filter(|it| known(it));
        let missing = wanted.filter(|it| !self.plan.decisions.contains_key(*it));
        let odd = self.plan.decisions.iter().filter(|(service, it)| {
            !self.config.services.contains_key(*service) || it.from != self.holder(service)
        });
        missing.chain(odd.map(|(service, _)| service)).cloned().map(Broken::Facts).collect()
    }

    /// Whether rules about places let a service be on a node.
    fn may_be(&self, service: &ServiceId, node: NodeId) -> bool {
        let name = self.state().name(node);
        let Some(rules) = self.config.rules(service) else { return true };
        let is = |place: &_| self.config.is_there(&name, place);
        // For a time that is open other rules may stand in their place.
        let open = &self.state().later.fencing.times.open;
        let during = rules.during.iter().filter(|(time, _)| open.contains(*time));
        let (mut only, mut never) = (&rules.only, &rules.never);
        for (_, it) in during.rev() {
            only = it.only.as_ref().unwrap_or(only);
            never = it.never.as_ref().unwrap_or(never);
        }
        (only.is_empty() || only.iter().any(is)) && !never.iter().any(is)
    }

    fn places(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        for (service, Decision { from, to, leaves, .. }) in &self.plan.decisions {
            let fixed = self.is_fixed(service) && from.is_some();
            if from != to && from.is_some() && (fixed || leaves.is_none()) {
                broken.push(Broken::Moves(service.clone()));
            }
            let Some(node) = *to else { continue };
            let state = self.state();
            let able = state.view.contains_key(&node) && self.sight.able.nodes.contains(&node);
            let takes = able && (state.takes(node) || state.is_disarmed());
            let comes = takes && state.is_fit(service, node);
            // What is being stopped may begin again wherever it may be.
            let stands = *from == Some(node) && *leaves != Some(Leave::Going);
            if !fixed && (!self.may_be(service, node) || !stands && !comes) {
                broken.push(Broken::Place(service.clone(), node));
            }
        }
        broken
    }

    /// How much of a quantity is used on a node, by a plan; by whom it has a say about, too.
    fn used(&self, node: NodeId, quantity: &str) -> (u64, bool) {
        let name = self.state().name(node);
        let (mut used, mut own) = (0u64, false);
        for (service, rules) in &self.config.later.fencing.rules.services {
            let Some(amount) = rules.uses.get(quantity) else { continue };
            let copy = self.config.copies(service).is_some_and(|it| it.is_on(&name));
            let here = self.to(service) == Some(node);
            if copy || here {
                used = used.saturating_add(*amount);
            }
            own |= here && !copy && *amount > 0 && !self.is_fixed(service);
        }
        (used, own)
    }

    fn capacities(&self) -> Vec<Broken> {
        let rules = &self.config.later.fencing.rules.services;
        let mut quantities: Vec<&String> = rules.values().flat_map(|it| it.uses.keys()).collect();
        quantities.sort();
        quantities.dedup();
        let nodes = || self.state().view.keys();
        let full = |(node, quantity): (&NodeId, &String)| {
            let has = self.config.capacity(&self.state().name(*node), quantity);
            let (used, own) = self.used(*node, quantity);
            (own && used > has).then(|| Broken::Full(*node, quantity.clone()))
        };
        quantities
            .iter()
            .flat_map(|it| nodes().map(move |node| (node, *it)))
            .filter_map(full)
            .collect()
    }

    /// Whether two nodes are one place for who is apart from others by those rules.
    fn is_one_place(&self, rules: &ServiceRules, one: NodeId, other: NodeId) -> bool {
        let label = |node| {
            let name = self.state().name(node);
            let label = rules.apart_by.as_ref()?;
            self.config.label(&name, label).map(String::from)
        };
        one == other || label(one).is_some() && label(one) == label(other)
    }

    fn pairs(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        for (one, rules) in &self.config.later.fencing.rules.services {
            let Some(here) = self.to(one) else { continue };
            let must = |(_, strength): &(&ServiceId, &Strength)| **strength == Strength::Must;
            for (other, _) in rules.apart.iter().filter(must) {
                let Some(there) = self.to(other).filter(|_| other != one) else { continue };
                let fixed = self.is_fixed(one) && self.is_fixed(other);
                if !fixed && self.is_one_place(rules, here, there) {
                    broken.push(Broken::Apart(one.clone(), other.clone()));
                }
            }
            for (other, _) in rules.together.iter().filter(must) {
                let Some(there) = self.to(other) else { continue };
                let fixed = self.is_fixed(one) && self.is_fixed(other);
                if here != there && !fixed {
                    broken.push(Broken::Together(one.clone(), other.clone()));
                }
            }
        }
        broken
    }

    /// Whether one is of no use without the other: it needs that, or what needs that.
    fn waits_for(&self, one: &ServiceId, other: &ServiceId, storeys: usize) -> bool {
        let mut needs = self.config.needs(one);
        storeys > 0 && needs.any(|it| it == other || self.waits_for(it, other, storeys - 1))
    }

    /// Whether a service that is nowhere might be on a node beside all that the plan puts there,
    /// but those that wait for it.
    fn fits(&self, service: &ServiceId, node: NodeId) -> bool {
        let waits = |(other, decision): &(&ServiceId, &Decision)| {
            decision.to.is_some()
                && !self.is_fixed(other)
                && self.waits_for(other, service, self.config.services.len())
        };
        let waiting: Vec<_> =
            self.plan.decisions.iter().filter(waits).map(|(other, _)| other.clone()).collect();
        if waiting.is_empty() {
            return self.fits_beside_all(service, node);
        }
        let mut plan = self.plan.clone();
        for other in &waiting {
            if let Some(decision) = plan.decisions.get_mut(other) {
                decision.to = None;
            }
        }
        Judge { plan: &plan, ..*self }.fits_beside_all(service, node)
    }

    fn fits_beside_all(&self, service: &ServiceId, node: NodeId) -> bool {
        let state = self.state();
        let able = state.view.contains_key(&node) && self.sight.able.nodes.contains(&node);
        if !able
            || !state.takes(node)
            || !state.is_fit(service, node)
            || !self.may_be(service, node)
        {
            return false;
        }
        let name = state.name(node);
        let all = &self.config.later.fencing.rules.services;
        let copy = self.config.copies(service).is_some_and(|it| it.is_on(&name));
        let own = all.get(service);
        let room = own.into_iter().flat_map(|rules| &rules.uses).all(|(quantity, amount)| {
            let used = self.used(node, quantity).0;
            copy || used.saturating_add(*amount) <= self.config.capacity(&name, quantity)
        });
        let at = |other: &ServiceId| self.to(other);
        // Either of the two may be the one that says it.
        let pair = |one: &ServiceRules, other: &ServiceId| {
            let apart = one.apart.get(other) == Some(&Strength::Must);
            let together = one.together.get(other) == Some(&Strength::Must);
            (apart, together)
        };
        let beside = |rules: &ServiceRules, other: &ServiceId, named: &ServiceId| {
            let Some(there) = at(other) else { return true };
            let (apart, together) = pair(rules, named);
            !(apart && self.is_one_place(rules, node, there) || together && there != node)
        };
        let mine = own.is_none_or(|rules| {
            let named = rules.apart.keys().chain(rules.together.keys());
            named.filter(|other| *other != service).all(|other| beside(rules, other, other))
        });
        let theirs = all.iter().filter(|(other, _)| *other != service);
        room && mine && theirs.into_iter().all(|(other, rules)| beside(rules, other, service))
    }

    fn left_out(&self) -> Vec<Broken> {
        let state = self.state();
        let free = |service: &ServiceId| {
            let it = state.assignments.get(service);
            let nowhere =
                it.is_some_and(|it| matches!(it.holder, Holder::Never | Holder::Stopped { .. }));
            nowhere && !state.is_kept(service) && !state.is_address_busy(service)
        };
        let out = self.plan.decisions.iter().filter(|(service, it)| {
            let stopped = matches!(it.leaves, Some(Leave::Stopped | Leave::Going));
            it.to.is_none()
                && !stopped
                && !state.is_disarmed()
                && (it.from.is_some() || free(service))
        });
        let could = |service: &ServiceId| {
            let node = state.view.keys().find(|node| self.fits(service, **node))?;
            Some(Broken::LeftOut(service.clone(), *node))
        };
        out.filter_map(|(service, _)| could(service)).collect()
    }
}
