//! Rules that can't be followed at once: what leaves a service, or what goes together, no node.
//!
//! Of rules that collide the fewest are told: without any one of them there would be a node.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::problem::Findings;
use super::rule_checks::Names;
use super::rule_units::{Apart, Key, Kind, Rule, Units, left};
use super::section::shown;

/// The largest set of services that go together of which the fewest rules are looked for.
const EXPLAINED: usize = 64;
/// The most places in the file that one problem points at.
const SHOWN: usize = 8;
/// The most names in a list.
const LISTED: usize = 5;

/// Notes what can't be.
pub(super) fn check(draft: &Draft, names: &Names<'_>, findings: &mut Findings) {
    let units = Units::new(draft, names);
    let clash = Clash { names, units: &units };
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for service in 0..units.services.len() {
        if clash.alone(service, findings) {
            told.insert(units.unit_of[service]);
        }
    }
    for apart in &units.aparts {
        let unit = units.unit_of[apart.one];
        if unit == units.unit_of[apart.other] && told.insert(unit) {
            clash.chain(apart, findings);
        }
    }
    for (number, unit) in units.units.iter().enumerate() {
        if unit.len() > 1 && !told.contains(&number) {
            clash.together(unit, findings);
        }
    }
}

struct Clash<'c, 'd> {
    names: &'c Names<'d>,
    units: &'c Units<'d>,
}

impl<'c, 'd> Clash<'c, 'd> {
    fn name(&self, service: usize) -> String {
        shown(self.units.services[service])
    }

    /// Whether a service has no node whatever the others have; if so, that is noted.
    fn alone(&self, service: usize, findings: &mut Findings) -> bool {
        let rules: Vec<_> = self.units.own[service].iter().collect();
        if rules.is_empty() || !self.collide(&rules) {
            return false;
        }
        let needed = self.fewest(&rules);
        self.tell(&needed, findings);
        true
    }

    /// Two of those that go together are apart.
    fn chain(&self, apart: &Apart<'_>, findings: &mut Findings) {
        let way = self.units.way(apart.one, apart.other);
        let (one, other) = (self.name(apart.one), self.name(apart.other));
        let steps: Vec<_> = way
            .iter()
            .map(|(from, to, _)| format!("{} with {}", self.name(*from), self.name(*to)))
            .collect();
        let by = match steps.len() {
            0 | 1 => String::new(),
            count if count > SHOWN => format!(" by {count} rules"),
            _ => format!(": {}", steps.join(", ")),
        };
        let message = format!("services {one} and {other} are apart, and go together{by}");
        let help = format!(
            "remove one of these rules, or let one be followed where it can be:  \
             apart = {{ {other} = 50 }}  in [services.{one}]"
        );
        let problem = findings.error(&apart.at, message, help);
        for ((_, _, at), step) in way.iter().zip(&steps).take(SHOWN) {
            problem.compare("apart here", at, step);
        }
    }

    /// What goes together has no node that may have all of it.
    fn together(&self, unit: &[usize], findings: &mut Findings) {
        let own = self.units.rules(unit);
        if !left(self.names, own.iter().copied()).is_empty() {
            return;
        }
        let links = unit.iter().flat_map(|service| &self.units.links[*service]);
        if unit.len() > EXPLAINED {
            let Some(at) = links.map(|link| link.at.clone()).next() else { return };
            let message = format!(
                "{} services go together, and by all of their rules no node may have them all",
                unit.len()
            );
            let help = "let fewer go together, or let it be followed where it can be:  \
                        together = { NAME = 50 }";
            findings.error(&at, message, help);
            return;
        }
        let rules: Vec<_> = own.into_iter().chain(links).collect();
        let needed = self.fewest(&rules);
        self.tell(&needed, findings);
    }

    /// Whether some that go together by these rules have no node.
    fn collide(&self, rules: &[&Rule<'d>]) -> bool {
        let mut group: BTreeMap<usize, usize> =
            rules.iter().map(|rule| (rule.service, rule.service)).collect();
        for rule in rules {
            let Kind::Together(other) = rule.kind else { continue };
            group.entry(other).or_insert(other);
            let (from, to) = (group[&rule.service], group[&other]);
            group.values_mut().filter(|it| **it == from).for_each(|it| *it = to);
        }
        let groups: BTreeSet<usize> = group.values().copied().collect();
        groups.into_iter().any(|number| {
            let of_it = rules.iter().copied().filter(|rule| group[&rule.service] == number);
            left(self.names, of_it).is_empty()
        })
    }

    /// The fewest of rules that collide: each is found as the one at which it begins.
    fn fewest<'r>(&self, rules: &[&'r Rule<'d>]) -> Vec<&'r Rule<'d>> {
        let mut needed: Vec<&Rule<'d>> = Vec::new();
        let mut rest = rules;
        while !self.collide(&needed) && !rest.is_empty() {
            let counts: Vec<usize> = (0..rest.len()).collect();
            let first = counts.partition_point(|count| {
                let some: Vec<_> = needed.iter().chain(&rest[..*count]).copied().collect();
                !self.collide(&some)
            });
            // All of the rest collide, so one of them is where it begins.
            let Some(last) = first.checked_sub(1).and_then(|last| rest.get(last)) else { break };
            needed.push(last);
            rest = &rest[..first - 1];
        }
        needed.sort_by_key(|rule| rule.at.start);
        needed
    }

    /// Notes the fewest rules that leave nothing.
    fn tell(&self, needed: &[&Rule<'d>], findings: &mut Findings) {
        let Some((first, rest)) = needed.split_first() else { return };
        let mut services: BTreeSet<usize> = needed.iter().map(|rule| rule.service).collect();
        services.extend(needed.iter().filter_map(|rule| match rule.kind {
            Kind::Together(other) => Some(other),
            Kind::Places(..) | Kind::Uses(..) => None,
        }));
        let message = self.message(needed, &services);
        let problem = findings.error(&first.at, message, self.help(needed));
        for rule in rest.iter().take(SHOWN) {
            problem.compare(&self.words(first), &rule.at, &self.words(rule));
        }
    }

    /// What a rule says, in words.
    fn words(&self, rule: &Rule<'_>) -> String {
        let name = self.name(rule.service);
        match rule.kind {
            Kind::Places(Key::Copies, _) => format!("{name} has copies on these"),
            Kind::Places(Key::Only, _) => format!("{name} is only on these"),
            Kind::Places(Key::Never, _) => format!("{name} is never on these"),
            Kind::Uses(_, amount) => format!("{name} uses {amount}"),
            Kind::Together(other) => format!("{name} and {} go together", self.name(other)),
        }
    }

    fn message(&self, needed: &[&Rule<'d>], services: &BTreeSet<usize>) -> String {
        let names: Vec<_> = services.iter().map(|service| self.name(*service)).collect();
        let keys: BTreeSet<Key> = needed
            .iter()
            .filter_map(|rule| match rule.kind {
                Kind::Places(key, _) => Some(key),
                Kind::Uses(..) | Kind::Together(_) => None,
            })
            .collect();
        let used = used(needed);
        let several = names.len() > 1;
        let who = match names.as_slice() {
            [name] => format!("service {name}"),
            names => format!("services {} go together", and(names)),
        };
        if used.is_empty() {
            if several {
                let all = if names.len() == 2 { "both" } else { "all of them" };
                return format!("{who}, and no node may have {all}");
            }
            let keys: Vec<_> = keys.iter().map(|key| format!("`{}`", key.name())).collect();
            let leave = if keys.len() == 1 { "leaves" } else { "leave" };
            return format!("{} of {who} {leave} it no node", and(&keys));
        }
        let amounts: Vec<_> =
            used.iter().map(|(quantity, amount)| format!("{amount} of {quantity}")).collect();
        let uses = if several { "and use" } else { "uses" };
        let place = match (keys.is_empty(), several) {
            (true, _) => "",
            (false, true) => " where all of them may be",
            (false, false) => " where it may be",
        };
        let uses = format!("{who} {uses} {}", and(&amounts));
        match (used.len(), self.most(needed)) {
            (1, Some((node, most))) => {
                format!("{uses}, and the most that a node has{place} is {most}, on {node}")
            }
            (1, None) => format!("{uses}, and no node has that{place}"),
            _ => format!("{uses}, and no node has that much of each{place}"),
        }
    }

    /// Which node has the most of the quantity where rules about places let all of them be.
    fn most(&self, needed: &[&Rule<'d>]) -> Option<(String, u64)> {
        let (quantity, _) = used(needed).into_iter().next()?;
        let places = needed.iter().copied().filter(|it| matches!(it.kind, Kind::Places(..)));
        let has = self.names.capacity.get(quantity)?;
        let nodes = left(self.names, places).into_iter();
        let most = nodes.max_by_key(|node| (has[*node], std::cmp::Reverse(*node)))?;
        Some((shown(self.names.nodes[most]), has[most].unwrap_or_default()))
    }

    /// What would help: one thing for each kind of rule.
    fn help(&self, needed: &[&Rule<'d>]) -> String {
        let mut ways = Vec::new();
        let without = |rule: &Rule<'d>| {
            let rest = needed.iter().copied().filter(|it| !std::ptr::eq(*it, rule));
            let nodes: Vec<_> = left(self.names, rest)
                .into_iter()
                .take(LISTED)
                .map(|node| shown(self.names.nodes[node]))
                .collect();
            nodes.join(" or ")
        };
        for rule in needed {
            let name = self.name(rule.service);
            match rule.kind {
                Kind::Places(Key::Copies, _) => {
                    ways.push(format!("give {name} a copy on {} too", without(rule)));
                }
                Kind::Places(Key::Only, _) => {
                    ways.push(format!("let `only` of {name} name {} too", without(rule)));
                }
                Kind::Places(Key::Never, _) => {
                    ways.push(format!("let `never` of {name} leave {}", without(rule)));
                }
                Kind::Uses(..) | Kind::Together(_) => {}
            }
        }
        let used = used(needed);
        if !used.is_empty() {
            let amounts: Vec<_> = used.iter().map(|(name, it)| format!("{name} = {it}")).collect();
            ways.push(format!("give a node more:  capacity = {{ {} }}", amounts.join(", ")));
        }
        let together = needed.iter().find_map(|rule| match rule.kind {
            Kind::Together(other) => Some((self.name(rule.service), self.name(other))),
            Kind::Places(..) | Kind::Uses(..) => None,
        });
        if let Some((one, other)) = together {
            ways.push(format!(
                "let them go together where they can:  together = {{ {other} = 50 }}  in \
                 [services.{one}]"
            ));
        }
        ways.truncate(LISTED);
        ways.join("; or ")
    }
}

impl Key {
    fn name(self) -> &'static str {
        match self {
            Self::Copies => "copies",
            Self::Only => "only",
            Self::Never => "never",
        }
    }
}

/// How much some rules use of each quantity.
fn used<'d>(rules: &[&Rule<'d>]) -> BTreeMap<&'d str, u64> {
    let mut used: BTreeMap<&str, u64> = BTreeMap::new();
    for rule in rules {
        if let Kind::Uses(quantity, amount) = rule.kind {
            let sum = used.entry(quantity).or_default();
            *sum = sum.saturating_add(amount);
        }
    }
    used
}

/// A list in a sentence.
pub(super) fn and(all: &[String]) -> String {
    let (shown, more) = all.split_at(all.len().min(LISTED));
    match (shown, more.len()) {
        ([first @ .., last], 0) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        (shown, 0) => shown.join(", "),
        (shown, more) => format!("{} and {more} more", shown.join(", ")),
    }
}
