//! The rules of a file that must not be broken, by the number of the service that has them, and
//! which services go together by them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use stead_core::state::config::Strength;
use toml::Spanned;

use super::draft::{Draft, Service};
use super::rule_checks::Names;

/// A rule that says where a service may be, or with whom.
pub(super) struct Rule<'d> {
    pub(super) service: usize,
    pub(super) at: Range<usize>,
    pub(super) kind: Kind<'d>,
}

/// What it says.
pub(super) enum Kind<'d> {
    /// A key of the service leaves it these nodes.
    Places(Key, Vec<bool>),
    /// It uses so much of a quantity.
    Uses(&'d str, u64),
    /// It is where that one is.
    Together(usize),
}

/// The key that says on which nodes a service may be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Copies,
    Only,
    Never,
}

/// Two services that are never on one node, or in one place by a label.
pub(super) struct Apart<'d> {
    pub(super) one: usize,
    pub(super) other: usize,
    pub(super) by: Option<&'d str>,
    pub(super) at: Range<usize>,
}

/// All of them.
pub(super) struct Units<'d> {
    pub(super) services: Vec<&'d str>,
    /// Which services go together, each set in the order of the file.
    pub(super) units: Vec<Vec<usize>>,
    /// In which of these sets each is.
    pub(super) unit_of: Vec<usize>,
    pub(super) aparts: Vec<Apart<'d>>,
    /// Of each service the rules about itself.
    pub(super) own: Vec<Vec<Rule<'d>>>,
    /// Of each service whom it says that it goes together with.
    pub(super) links: Vec<Vec<Rule<'d>>>,
    /// Whom each goes together with, by whichever of the two says it, and where.
    pub(super) together: Vec<Vec<(usize, Range<usize>)>>,
}

impl<'d> Units<'d> {
    /// Reads them out of a file in which all that rules name is there.
    pub(super) fn new(draft: &'d Draft, names: &Names<'d>) -> Self {
        let services: Vec<&str> =
            draft.services.iter().map(|it| it.name.get_ref().as_str()).collect();
        let numbers: BTreeMap<&str, usize> =
            services.iter().enumerate().map(|(number, name)| (*name, number)).collect();
        let must = |(other, strength): &'d (Spanned<String>, Strength)| {
            let number = numbers.get(other.get_ref().as_str()).copied();
            number.filter(|_| *strength == Strength::Must).map(|it| (it, other.span()))
        };
        let mut together = vec![Vec::new(); services.len()];
        let mut links = Vec::new();
        let mut aparts = Vec::new();
        for (one, service) in draft.services.iter().enumerate() {
            let mut said = Vec::new();
            for (other, at) in service.rules.together.iter().filter_map(must) {
                together[one].push((other, at.clone()));
                together[other].push((one, at.clone()));
                said.push(Rule { service: one, at, kind: Kind::Together(other) });
            }
            links.push(said);
            let by = service.rules.apart_by.as_ref().map(|it| it.get_ref().as_str());
            for (other, at) in service.rules.apart.iter().filter_map(must) {
                aparts.push(Apart { one, other, by, at });
            }
        }
        let own = draft.services.iter().enumerate();
        let own = own.map(|(number, service)| own_rules(names, number, service)).collect();
        let (units, unit_of) = connected(&together);
        Self { services, units, unit_of, aparts, own, links, together }
    }

    /// All rules of some services, those about themselves first.
    pub(super) fn rules<'r>(&'r self, unit: &'r [usize]) -> Vec<&'r Rule<'d>> {
        unit.iter().flat_map(|service| &self.own[*service]).collect()
    }

    /// The shortest way from one service to another by what goes together: each step with both of
    /// its ends, and where it is said.
    pub(super) fn way(&self, from: usize, to: usize) -> Vec<(usize, usize, Range<usize>)> {
        let mut before: BTreeMap<usize, (usize, Range<usize>)> = BTreeMap::new();
        let mut reached = VecDeque::from([from]);
        while let Some(one) = reached.pop_front() {
            for (other, at) in &self.together[one] {
                if *other != from && !before.contains_key(other) {
                    before.insert(*other, (one, at.clone()));
                    reached.push_back(*other);
                }
            }
        }
        let mut way = Vec::new();
        let mut end = to;
        while let Some((one, at)) = before.get(&end).filter(|_| end != from) {
            way.push((*one, end, at.clone()));
            end = *one;
        }
        way.reverse();
        way
    }
}

fn own_rules<'d>(names: &Names<'d>, number: usize, service: &'d Service) -> Vec<Rule<'d>> {
    let mut own = Vec::new();
    let nowhere = || vec![false; names.nodes.len()];
    let mut places = |key, at, allowed| {
        own.push(Rule { service: number, at, kind: Kind::Places(key, allowed) });
    };
    if let Some(copies) = &service.copies
        && let Some(nodes) = &copies.nodes
    {
        let has = |node: &&str| nodes.iter().any(|it| it.get_ref() == node);
        places(Key::Copies, copies.at.clone(), names.nodes.iter().map(has).collect());
    }
    for (key, list) in [(Key::Only, &service.rules.only), (Key::Never, &service.rules.never)] {
        let Some(list) = list else { continue };
        let mut named = nowhere();
        for node in list.get_ref().iter().flat_map(|place| names.of(place.get_ref())) {
            named[node] = true;
        }
        let allowed = named.into_iter().map(|named| named == (key == Key::Only)).collect();
        places(key, list.span(), allowed);
    }
    for (quantity, amount) in &service.rules.uses {
        let kind = Kind::Uses(quantity.get_ref(), *amount);
        own.push(Rule { service: number, at: quantity.span(), kind });
    }
    own
}

/// What is connected, and in which set each is.
fn connected<T>(neighbours: &[Vec<(usize, T)>]) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut unit_of = vec![usize::MAX; neighbours.len()];
    let mut units = Vec::new();
    for first in 0..neighbours.len() {
        if unit_of[first] != usize::MAX {
            continue;
        }
        let number = units.len();
        unit_of[first] = number;
        let mut unit = vec![first];
        let mut next = 0;
        while let Some(one) = unit.get(next).copied() {
            next += 1;
            for (other, _) in &neighbours[one] {
                if unit_of[*other] == usize::MAX {
                    unit_of[*other] = number;
                    unit.push(*other);
                }
            }
        }
        unit.sort_unstable();
        units.push(unit);
    }
    (units, unit_of)
}

/// The nodes that rules leave to services that are on one node.
pub(super) fn left<'r, 'd: 'r>(
    names: &Names<'_>,
    rules: impl IntoIterator<Item = &'r Rule<'d>>,
) -> Vec<usize> {
    let mut may = vec![true; names.nodes.len()];
    let mut used: BTreeMap<&str, u64> = BTreeMap::new();
    for rule in rules {
        match &rule.kind {
            Kind::Places(_, allowed) => {
                may.iter_mut().zip(allowed).for_each(|(may, allowed)| *may &= allowed);
            }
            Kind::Uses(quantity, amount) => {
                let sum = used.entry(quantity).or_default();
                *sum = sum.saturating_add(*amount);
            }
            Kind::Together(_) => {}
        }
    }
    for (quantity, amount) in used {
        let Some(has) = names.capacity.get(quantity) else { continue };
        for (may, has) in may.iter_mut().zip(has) {
            *may &= has.unwrap_or_default() >= amount;
        }
    }
    may.iter().enumerate().filter(|(_, may)| **may).map(|(node, _)| node).collect()
}
