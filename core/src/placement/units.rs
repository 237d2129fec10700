//! What is placed together, and in which order.

use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::facts::Facts;

/// Who of equal importance is placed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// What uses the most: it is the hardest to place.
    Largest,
    /// What uses the least: the most of them find a place.
    Smallest,
    /// What may be on the fewest nodes.
    Rarest,
}

impl Order {
    /// All, the usual one first.
    pub(super) const ALL: [Self; 3] = [Self::Largest, Self::Smallest, Self::Rarest];
}

/// The sets, the most important first, and of equal ones by that order.
pub(super) fn units(facts: &Facts<'_>, order: Order) -> Vec<Vec<usize>> {
    let mut units: Vec<Vec<usize>> = Vec::new();
    let mut number = vec![usize::MAX; facts.services.len()];
    for (service, it) in facts.services.iter().enumerate() {
        if number[it.unit] == usize::MAX {
            number[it.unit] = units.len();
            units.push(Vec::new());
        }
        units[number[it.unit]].push(service);
    }
    let most: Vec<u64> = (0..facts.quantities.len())
        .map(|it| facts.nodes.iter().map(|node| node.capacity[it]).max().unwrap_or_default())
        .collect();
    let size = |service: &usize| {
        let uses = facts.services[*service].uses.iter().zip(&most);
        let share = uses.map(|(uses, most)| uses.saturating_mul(1_000) / (*most).max(1));
        share.max().unwrap_or_default()
    };
    for unit in &mut units {
        // What is needed before what needs it.
        unit.sort_by_key(|service| {
            let it = &facts.services[*service];
            (Reverse(it.importance), it.height)
        });
    }
    let importance = |unit: &[usize]| {
        let first = unit.first().map(|it| &facts.services[*it]);
        first.map(|it| (Reverse(it.importance), it.height))
    };
    let places = |service: &usize| {
        let only = facts.services[*service].only.as_ref();
        only.map_or(facts.nodes.len(), |only| only.iter().filter(|may| **may).count())
    };
    units.sort_by_cached_key(|unit| {
        let size = unit.iter().map(size).sum::<u64>();
        let places = unit.iter().map(places).min().unwrap_or_default();
        let second = match order {
            Order::Largest => (0, u64::MAX - size),
            Order::Smallest => (0, size),
            Order::Rarest => (places, u64::MAX - size),
        };
        (importance(unit), second)
    });
    units
}
