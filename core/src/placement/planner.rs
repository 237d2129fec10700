//! Makes a plan: who stays, who has to go, and where everything goes that is nowhere.
//!
//! ```text
//!   most important first ─▶ what is somewhere and may be there stays
//!                        ─▶ what is nowhere, or has to go, gets the best node that may have it
//!                        ─▶ if none may: room is made by what can go elsewhere, or counts for less
//!                        ─▶ what would rather be elsewhere, and shall return, goes there
//! ```
//! Nothing else moves: a rule that may be broken moves nobody who is already somewhere.

use alloc::vec;
use alloc::vec::Vec;

use super::facts::Facts;
use super::fit::Key;
use super::occupancy::Occupancy;
use super::plan::{Leave, Why};
use super::units::{Order, units};
use crate::state::Holder;

/// What is known of a service while the plan is made.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    /// Why it does not stay where it is.
    pub(super) leaves: Option<Leave>,
    /// Why it is where it will be, or nowhere.
    pub(super) why: Option<Why>,
}

/// A plan in the making.
#[derive(Debug)]
pub(super) struct Planner<'f, 'a> {
    pub(super) facts: &'f Facts<'a>,
    pub(super) occupancy: Occupancy,
    pub(super) fates: Vec<Fate>,
    /// What is placed together, the most important first.
    pub(super) units: Vec<Vec<usize>>,
    /// In which of them each service is.
    unit_of: Vec<usize>,
    /// How deep in making room it is.
    pub(super) depth: usize,
    /// How often it was asked whether a set can go elsewhere.
    pub(super) asked: usize,
}

impl<'f, 'a> Planner<'f, 'a> {
    /// Before anything is decided.
    pub(super) fn new(facts: &'f Facts<'a>, order: Order) -> Self {
        let units = units(facts, order);
        let mut unit_of = vec![0; facts.services.len()];
        for (number, unit) in units.iter().enumerate() {
            for service in unit {
                unit_of[*service] = number;
            }
        }
        let occupancy = Occupancy::empty(facts);
        let fates = vec![Fate::default(); facts.services.len()];
        Self { facts, occupancy, fates, units, unit_of, depth: 0, asked: 0 }
    }

    /// Decides everything.
    pub(super) fn run(mut self) -> Self {
        let pending: Vec<Vec<usize>> =
            (0..self.units.len()).map(|unit| self.settle(&self.units[unit].clone())).collect();
        for unit in &pending {
            if !unit.is_empty() {
                self.place(unit);
            }
        }
        // Who goes back, or finds a place late, may leave one that another was waiting for.
        for _ in 0..=self.units.len() {
            let back = (0..self.units.len()).filter(|unit| self.go_back(*unit)).count();
            if !self.fill() && back == 0 {
                break;
            }
        }
        self
    }

    /// Leaves of a set what may stay where it is; says who has to be placed.
    fn settle(&mut self, unit: &[usize]) -> Vec<usize> {
        let facts = self.facts;
        let mut pending = Vec::new();
        for service in unit.iter().copied() {
            let it = &facts.services[service];
            let state = facts.state();
            let fixed = state.is_disarmed() || state.is_maintained(it.id);
            let Some(node) = it.held else {
                if self.is_free(service) {
                    pending.push(service);
                }
                continue;
            };
            if fixed {
                self.occupancy.put(facts, service, node);
                self.fates[service].why = Some(Why::Left);
                continue;
            }
            if let Holder::Stopping { .. } = it.assignment.holder {
                // It is on its way: what it has there is free once it has stopped.
                self.fates[service].leaves = Some(Leave::Going);
                self.fates[service].why = Some(Why::Left);
                if !state.is_kept(it.id) {
                    pending.push(service);
                }
                continue;
            }
            match self.unsettled(service, node) {
                None => {
                    self.occupancy.put(facts, service, node);
                    self.fates[service].why = Some(Why::Stays);
                }
                Some(leave) => {
                    let ends = leave == Leave::Stopped;
                    self.fates[service].leaves = Some(leave);
                    if !ends {
                        pending.push(service);
                    }
                }
            }
        }
        pending
    }

    /// Whether it is nowhere, and may be somewhere.
    fn is_free(&mut self, service: usize) -> bool {
        let it = &self.facts.services[service];
        let state = self.facts.state();
        let gone = self
            .facts
            .gone
            .is_some_and(|node| it.assignment.holder.node() == Some(node) && !state.is_kept(it.id));
        let nowhere = matches!(it.assignment.holder, Holder::Never | Holder::Stopped { .. });
        let free = gone || nowhere && !state.is_kept(it.id) && !state.is_address_busy(it.id);
        if !free {
            self.fates[service].why = Some(Why::Left);
        }
        free
    }

    /// Why it can't stay where it is.
    fn unsettled(&self, service: usize, node: usize) -> Option<Leave> {
        let (facts, it) = (self.facts, &self.facts.services[service]);
        let (state, place) = (facts.state(), facts.nodes[node].id);
        if state.is_stopped(it.id) {
            return Some(Leave::Stopped);
        }
        if state.is_halted(place) || state.standby.contains(&place) {
            return Some(Leave::Withdrawn);
        }
        facts
            .out_of_place(service, node)
            .or_else(|| facts.drawn(&self.occupancy, service, node))
            .or_else(|| facts.crowded(&self.occupancy, service, node))
            .map(Leave::Rule)
    }

    /// Finds a place for a set of which nothing, or a part, is somewhere.
    fn place(&mut self, pending: &[usize]) {
        if self.facts.state().is_disarmed() {
            return pending.iter().for_each(|service| self.begin_where_it_was(*service));
        }
        if self.put_best(pending)
            || self.move_all(pending)
            || self.make_room(pending, self.importance(pending))
        {
            return;
        }
        if pending.len() > 1 {
            // Where not all of them may be, as many as can: the most important first.
            return pending.iter().for_each(|service| self.place(&[*service]));
        }
        for service in pending.iter().copied() {
            self.give_up(service);
        }
    }

    /// Puts all of them on the best node that may have all of them; whether there is one.
    pub(super) fn put_best(&mut self, all: &[usize]) -> bool {
        let [best, second] = self.best_two(all);
        let Some((node, key)) = best else { return false };
        let facts = self.facts;
        let why = match second {
            None => Why::Only,
            Some((than, other)) => {
                Why::Better { than: facts.nodes[than].id, by: key.better_by(&other) }
            }
        };
        for service in all.iter().copied() {
            self.occupancy.put(facts, service, node);
            self.fates[service].why = Some(why.clone());
        }
        true
    }

    /// The best node for all of them, and the one after that.
    pub(super) fn best_two(&mut self, all: &[usize]) -> [Option<(usize, Key)>; 2] {
        let [mut best, mut second]: [Option<(usize, Key)>; 2] = [None, None];
        for node in 0..self.facts.nodes.len() {
            if !self.may(all, node) {
                continue;
            }
            let Some(key) = self.facts.key_of_all(&self.occupancy, all, node) else { continue };
            if best.as_ref().is_none_or(|(_, known)| key < *known) {
                second = best.replace((node, key));
            } else if second.as_ref().is_none_or(|(_, known)| key < *known) {
                second = Some((node, key));
            }
        }
        [best, second]
    }

    /// Whether all of them may be on a node.
    pub(super) fn may(&mut self, all: &[usize], node: usize) -> bool {
        let facts = self.facts;
        let mut put = 0;
        let may = all.iter().all(|service| {
            let may = facts.obstacle(&self.occupancy, *service, node).is_none();
            // The others have to find room beside it.
            if may && all.len() > 1 {
                self.occupancy.put(facts, *service, node);
                put += 1;
            }
            may
        });
        for service in &all[..put] {
            self.occupancy.take(facts, *service);
        }
        may
    }

    /// Where a part of a set is somewhere, and the rest can't come there, all may go elsewhere.
    pub(super) fn move_all(&mut self, pending: &[usize]) -> bool {
        let Some(first) = pending.first() else { return false };
        let unit = self.units[self.unit_of[*first]].clone();
        let stands = |it: &usize| self.occupancy.at[*it].is_some();
        let standing: Vec<_> = unit.iter().copied().filter(stands).collect();
        if standing.is_empty() || !standing.iter().all(|service| self.is_movable(*service)) {
            return false;
        }
        let before = self.lift(&standing);
        let all: Vec<_> = standing.iter().chain(pending).copied().collect();
        if self.put_best(&all) || self.make_room(&all, self.importance(pending)) {
            let other = self.facts.services[*first].id.clone();
            for service in standing {
                self.fates[service].leaves = Some(Leave::With(other.clone()));
            }
            return true;
        }
        self.put_back(&before);
        false
    }

    /// Whether it may be asked to go elsewhere.
    pub(super) fn is_movable(&self, service: usize) -> bool {
        let it = &self.facts.services[service];
        let state = self.facts.state();
        !state.is_disarmed() && !state.is_maintained(it.id)
    }

    /// Takes them from where they are, and says where that was.
    pub(super) fn lift(&mut self, all: &[usize]) -> Vec<(usize, usize)> {
        let at = |service: &usize| Some((*service, self.occupancy.at[*service]?));
        let before: Vec<_> = all.iter().filter_map(at).collect();
        for (service, _) in &before {
            self.occupancy.take(self.facts, *service);
        }
        before
    }

    /// Puts them back.
    pub(super) fn put_back(&mut self, before: &[(usize, usize)]) {
        for (service, node) in before {
            self.occupancy.put(self.facts, *service, *node);
        }
    }

    /// Which services are placed together with that one.
    pub(super) fn unit(&self, service: usize) -> &[usize] {
        &self.units[self.unit_of[service]]
    }

    /// How important the most important of a set is.
    pub(super) fn importance(&self, all: &[usize]) -> u8 {
        all.iter().map(|it| self.facts.services[*it].importance).max().unwrap_or_default()
    }

    /// Nobody may take it.
    fn give_up(&mut self, service: usize) {
        let facts = self.facts;
        let held = facts.services[service].held;
        let halted = held.is_some_and(|node| facts.state().is_halted(facts.nodes[node].id));
        let stays = matches!(self.fates[service].leaves, Some(Leave::Withdrawn)) && !halted;
        // Not against a rule: it would keep another from where that is to be.
        let fits = |node: &usize| {
            facts.out_of_place(service, *node).is_none()
                && facts.drawn(&self.occupancy, service, *node).is_none()
                && facts.crowded(&self.occupancy, service, *node).is_none()
        };
        match held.filter(|_| stays).filter(fits) {
            // On a node on standby it is better than nowhere.
            Some(node) => {
                self.occupancy.put(facts, service, node);
                self.fates[service] = Fate { leaves: None, why: Some(Why::NowhereElse) };
            }
            None => self.fates[service].why = Some(Why::Nowhere),
        }
    }

    /// While the cluster is disarmed what ended begins again where it was, or where an operator
    /// moves it (rule M5).
    fn begin_where_it_was(&mut self, service: usize) {
        let facts = self.facts;
        let (state, it) = (facts.state(), &facts.services[service]);
        let last = match it.assignment.holder {
            Holder::Stopped { node, .. } => Some(node),
            Holder::Never | Holder::Node(_) | Holder::Stopping { .. } => None,
        };
        // A node on standby that kept it goes on keeping it.
        let may = |node: &usize| {
            let place = &facts.nodes[*node];
            let shall = !state.is_halted(place.id) && !state.is_node_maintained(place.id);
            shall
                && place.here
                && facts.able().nodes.contains(&place.id)
                && state.is_fit(it.id, place.id)
                && facts.out_of_place(service, *node).is_none()
                && facts.crowded(&self.occupancy, service, *node).is_none()
        };
        // What never ran anywhere has no place to begin again.
        if last.is_none() {
            if !self.put_best(&[service]) {
                self.fates[service].why = Some(Why::Nowhere);
            }
            return;
        }
        let places = [it.assignment.wish, last].into_iter().flatten();
        let node = places.filter_map(|node| facts.node(node)).find(may);
        self.fates[service].why = Some(Why::Left);
        if let Some(node) = node {
            self.occupancy.put(facts, service, node);
        }
    }
}
