//! Who is where, and what that leaves of each node.

use alloc::vec;
use alloc::vec::Vec;

use super::facts::Facts;

/// Where services are, as a plan goes on being made.
#[derive(Clone, Debug)]
pub(super) struct Occupancy {
    /// Where each service is.
    pub(super) at: Vec<Option<usize>>,
    /// Which services are on each node.
    pub(super) on: Vec<Vec<usize>>,
    /// How much of each quantity is used on each node.
    used: Vec<Vec<u64>>,
}

impl Occupancy {
    /// Nobody is anywhere; copies are where they are.
    pub(super) fn empty(facts: &Facts<'_>) -> Self {
        let nothing = vec![0; facts.quantities.len()];
        let mut used = vec![nothing; facts.nodes.len()];
        for service in &facts.services {
            for node in &service.copies {
                add(&mut used[*node], &service.uses);
            }
        }
        let on = vec![Vec::new(); facts.nodes.len()];
        Self { at: vec![None; facts.services.len()], on, used }
    }

    /// As it is: each service where it is held.
    pub(super) fn now(facts: &Facts<'_>) -> Self {
        let mut occupancy = Self::empty(facts);
        for (service, it) in facts.services.iter().enumerate() {
            if let Some(node) = it.held {
                occupancy.put(facts, service, node);
            }
        }
        occupancy
    }

    /// A service that was nowhere is there.
    pub(super) fn put(&mut self, facts: &Facts<'_>, service: usize, node: usize) {
        debug_assert!(self.at[service].is_none());
        self.at[service] = Some(node);
        self.on[node].push(service);
        let it = &facts.services[service];
        if !it.copies.contains(&node) {
            add(&mut self.used[node], &it.uses);
        }
    }

    /// It is nowhere.
    pub(super) fn take(&mut self, facts: &Facts<'_>, service: usize) {
        let Some(node) = self.at[service].take() else { return };
        self.on[node].retain(|it| *it != service);
        let it = &facts.services[service];
        if !it.copies.contains(&node) {
            for (used, amount) in self.used[node].iter_mut().zip(&it.uses) {
                *used = used.saturating_sub(*amount);
            }
        }
    }

    /// How much of a quantity is used there.
    pub(super) fn used(&self, node: usize, quantity: usize) -> u64 {
        self.used[node][quantity]
    }

    /// How full a node is with that service, which is nowhere: the fullest of its quantities, in
    /// thousandths, and how many services it has.
    pub(super) fn load_with(&self, facts: &Facts<'_>, service: usize, node: usize) -> (u64, usize) {
        let it = &facts.services[service];
        let more = |quantity: usize| it.uses.get(quantity).copied().unwrap_or_default();
        let counted = it.copies.contains(&node);
        let capacity = facts.nodes[node].capacity.iter().zip(&self.used[node]).enumerate();
        let full = |(quantity, (has, used)): (usize, (&u64, &u64))| {
            let used = if counted { *used } else { used.saturating_add(more(quantity)) };
            used.saturating_mul(1_000) / (*has).max(1)
        };
        (capacity.map(full).max().unwrap_or_default(), self.on[node].len())
    }
}

fn add(used: &mut [u64], uses: &[u64]) {
    for (used, amount) in used.iter_mut().zip(uses) {
        *used = used.saturating_add(*amount);
    }
}
