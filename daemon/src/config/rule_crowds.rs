//! More services that are apart from each other than there are places for them.
//!
//! Only what is certain is refused. Of services that are all apart from each other, as far as they
//! are found one by one, each is given a place of its own; where that can't be done, those are told
//! that have too few between them.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::problem::Findings;
use super::rule_checks::Names;
use super::rule_clashes::and;
use super::rule_units::{Apart, Units, left};
use super::section::shown;

/// The most places in the file that one problem points at.
const SHOWN: usize = 4;

/// Notes what can't be.
pub(super) fn check(draft: &Draft, names: &Names<'_>, findings: &mut Findings) {
    let units = Units::new(draft, names);
    if units.aparts.is_empty() {
        return;
    }
    let mut labels: BTreeSet<Option<&str>> = units.aparts.iter().map(|it| it.by).collect();
    // Whoever is apart by a label is so on nodes as well.
    labels.insert(None);
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for by in labels {
        let crowd = Crowd::new(names, &units, by);
        crowd.check(&mut told, findings);
    }
}

/// Services that are apart in the same way. What goes together is one.
struct Crowd<'c, 'd> {
    names: &'c Names<'d>,
    units: &'c Units<'d>,
    by: Option<&'d str>,
    /// Whom each is apart from.
    apart: BTreeMap<usize, BTreeSet<usize>>,
    /// The place of each node.
    place_of: Vec<usize>,
    /// What places are called.
    places: Vec<String>,
}

impl<'c, 'd> Crowd<'c, 'd> {
    fn new(names: &'c Names<'d>, units: &'c Units<'d>, by: Option<&'d str>) -> Self {
        let mut apart: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for it in units.aparts.iter().filter(|it| by.is_none() || it.by == by) {
            let (one, other) = (units.unit_of[it.one], units.unit_of[it.other]);
            apart.entry(one).or_default().insert(other);
            apart.entry(other).or_default().insert(one);
        }
        let mut place_of: Vec<usize> = (0..names.nodes.len()).collect();
        let mut places: Vec<String> = names.nodes.iter().map(|name| shown(name)).collect();
        for (value, nodes) in by.and_then(|by| names.labels.get(by)).into_iter().flatten() {
            let Some(first) = nodes.first() else { continue };
            nodes.iter().for_each(|node| place_of[*node] = *first);
            places[*first] = shown(value);
        }
        Self { names, units, by, apart, place_of, places }
    }

    fn check(&self, told: &mut BTreeSet<usize>, findings: &mut Findings) {
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        for first in self.apart.keys() {
            if seen.contains(first) {
                continue;
            }
            let all = self.all_apart(*first);
            seen.extend(&all);
            let may: Vec<_> = all.iter().map(|unit| self.may(*unit)).collect();
            if may.iter().all(|places| places.len() >= all.len()) {
                continue;
            }
            let Some(crowded) = crowded(&may) else { continue };
            let units: BTreeSet<usize> = crowded.iter().map(|number| all[*number]).collect();
            let places: BTreeSet<usize> =
                crowded.iter().flat_map(|number| &may[*number]).copied().collect();
            if told.is_disjoint(&units) {
                told.extend(&units);
                self.tell(&units, &places, findings);
            }
        }
    }

    /// Some that are all apart from each other: one, and each in turn that is apart from all so
    /// far.
    fn all_apart(&self, first: usize) -> Vec<usize> {
        let mut all = vec![first];
        for other in self.apart.get(&first).into_iter().flatten() {
            // One more than there are nodes is one too many already.
            if all.len() > self.names.nodes.len() {
                break;
            }
            let from = |it: &usize| self.apart.get(it).is_some_and(|it| it.contains(other));
            if all.iter().all(from) {
                all.push(*other);
            }
        }
        all
    }

    /// The places that all of a set that goes together may have.
    fn may(&self, unit: usize) -> BTreeSet<usize> {
        let nodes = left(self.names, self.units.rules(&self.units.units[unit]));
        nodes.into_iter().map(|node| self.place_of[node]).collect()
    }

    fn tell(&self, units: &BTreeSet<usize>, places: &BTreeSet<usize>, findings: &mut Findings) {
        let of = |it: &&Apart<'_>| {
            let (one, other) = (self.units.unit_of[it.one], self.units.unit_of[it.other]);
            let by = self.by.is_none() || it.by == self.by;
            by && units.contains(&one) && units.contains(&other)
        };
        let aparts: Vec<_> = self.units.aparts.iter().filter(of).collect();
        let Some((first, rest)) = aparts.split_first() else { return };
        let who: Vec<_> = units.iter().map(|unit| self.who(*unit)).collect();
        let places: Vec<_> = places.iter().map(|place| self.places[*place].clone()).collect();
        let count = places.len();
        let (by, what) = match self.by {
            None => (String::new(), if count == 1 { "node" } else { "nodes" }),
            Some(by) => (format!(" by {by}"), if count == 1 { "place" } else { "places" }),
        };
        let (is, where_all) = if count == 1 { ("is", "the only") } else { ("are", "all the") };
        let message = format!(
            "services {} are apart from each other{by}, and {} {is} {where_all} {what} where they \
             may be",
            and(&who),
            and(&places),
        );
        let (one, other) =
            (shown(self.units.services[first.one]), shown(self.units.services[first.other]));
        let help = format!(
            "{} services would need as many {}: add a node, let them be on more, or let them be \
             apart where they can:  apart = {{ {other} = 50 }}  in [services.{one}]",
            who.len(),
            if self.by.is_none() { "nodes" } else { "places" },
        );
        let words = |it: &Apart<'_>| {
            let [one, other] = [it.one, it.other].map(|it| shown(self.units.services[it]));
            format!("{one} and {other} are apart")
        };
        let problem = findings.error(&first.at, message, help);
        for apart in rest.iter().take(SHOWN) {
            problem.compare(&words(first), &apart.at, &words(apart));
        }
    }

    /// A set in words: its first, and what goes with it.
    fn who(&self, unit: usize) -> String {
        let names: Vec<_> =
            self.units.units[unit].iter().map(|it| shown(self.units.services[*it])).collect();
        match names.split_first() {
            Some((first, [])) => first.clone(),
            Some((first, rest)) => format!("{first} (with {})", and(rest)),
            None => String::new(),
        }
    }
}

/// Some that have fewer places between them than they are; nothing if each can have its own.
fn crowded(may: &[BTreeSet<usize>]) -> Option<BTreeSet<usize>> {
    let mut holder: BTreeMap<usize, usize> = BTreeMap::new();
    for number in 0..may.len() {
        // Who is looked at, and from whose place one came there.
        let mut reached = vec![number];
        let mut from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut next = 0;
        let mut free = None;
        while let (Some(one), None) = (reached.get(next).copied(), free) {
            next += 1;
            for place in &may[one] {
                if from.contains_key(place) {
                    continue;
                }
                from.insert(*place, one);
                match holder.get(place) {
                    Some(other) => reached.push(*other),
                    None => free = free.or(Some(*place)),
                }
            }
        }
        let Some(mut place) = free else { return Some(reached.into_iter().collect()) };
        // Each on the way takes the place that was found for it, and leaves its own to the next.
        while let Some(one) = from.get(&place).copied() {
            let old = holder.iter().find(|(_, it)| **it == one).map(|(place, _)| *place);
            holder.insert(place, one);
            match old {
                Some(old) if one != number => place = old,
                Some(_) | None => break,
            }
        }
    }
    None
}
