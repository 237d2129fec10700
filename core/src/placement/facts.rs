//! What a plan is made of, out of a state: nodes, services and rules by number, so that ten
//! thousand services on hundreds of nodes are a matter of milliseconds.
//!
//! Nodes are numbered in the order of their identities, services in that of their names. Rules name
//! nodes and labels; here they are sets of node numbers, and both sides of `together` and `apart`
//! know of each other.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Able, Importances, Sight};
use crate::id::{NodeId, ServiceId};
use crate::state::config::{Config, Place, ServiceRules, Strength};
use crate::state::{Assignment, State};

/// Everything that decides where services may go.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) sight: Sight<'a>,
    /// A node that counts as lost for good: what it has is free.
    pub(super) gone: Option<NodeId>,
    pub(super) nodes: Vec<NodeFacts<'a>>,
    pub(super) services: Vec<ServiceFacts<'a>>,
    /// The quantities that anybody uses.
    pub(super) quantities: Vec<&'a str>,
}

/// A member.
#[derive(Debug)]
pub(super) struct NodeFacts<'a> {
    pub(super) id: NodeId,
    pub(super) name: &'a str,
    /// Where it may stop what it has and start something: it is in the view.
    pub(super) here: bool,
    /// It may be given something.
    pub(super) takes: bool,
    pub(super) quarantined: bool,
    /// How much it has of each quantity.
    pub(super) capacity: Vec<u64>,
}

/// A service that is configured.
#[derive(Debug)]
pub(super) struct ServiceFacts<'a> {
    pub(super) id: &'a ServiceId,
    /// How much it counts.
    pub(super) importance: u8,
    /// What it needs at once.
    pub(super) needs: Vec<usize>,
    /// How many stand below it, one upon the other.
    pub(super) height: usize,
    pub(super) assignment: &'a Assignment,
    /// Where an operator wants it, next or for a while.
    pub(super) wish: Option<NodeId>,
    /// It is to be there for a while, or back from there.
    pub(super) visits: bool,
    /// Which node has it, or may have it, if that is in the view.
    pub(super) held: Option<usize>,
    /// By which place in `prefer` each node is named first, for those that are.
    pub(super) rank: Rank,
    /// The nodes that rules about places leave to it; all if none.
    pub(super) only: Option<Vec<bool>>,
    /// How much it uses of each quantity; empty if nothing.
    pub(super) uses: Vec<u64>,
    /// It has copies, of which one is promoted.
    pub(super) copied: bool,
    /// Its network has reference points.
    pub(super) watched: bool,
    /// Nodes that have a copy of it, where it uses what it uses whether it is promoted or not.
    pub(super) copies: Vec<usize>,
    pub(super) together: Vec<(usize, Strength)>,
    pub(super) apart: Vec<Apart>,
    /// What it has to be together with, and is placed with: the number of that set.
    pub(super) unit: usize,
}

/// Which place in a service's list names a node.
#[derive(Debug)]
pub(super) struct Rank {
    of: Vec<u16>,
    pub(super) length: u16,
}

impl Rank {
    /// The place, from 0; nothing if the list does not name it.
    pub(super) fn of(&self, node: usize) -> Option<u16> {
        self.of.get(node).copied().filter(|rank| *rank < self.length)
    }
}

/// Another service that one is apart from.
#[derive(Clone, Debug)]
pub(super) struct Apart {
    pub(super) other: usize,
    pub(super) strength: Strength,
    /// Nodes of one number count as one place; nothing if each is its own.
    pub(super) by: Option<Rc<[u32]>>,
}

impl Apart {
    /// Whether two nodes are one place.
    pub(super) fn same(&self, one: usize, other: usize) -> bool {
        one == other || self.by.as_ref().is_some_and(|by| by[one] != 0 && by[one] == by[other])
    }
}

impl<'a> Facts<'a> {
    /// Reads them out of a state, as if `gone` were lost.
    pub(super) fn new(sight: Sight<'a>, gone: Option<NodeId>) -> Self {
        let state = sight.state;
        let Some(config) = &state.config else {
            let (nodes, services, quantities) = (Vec::new(), Vec::new(), Vec::new());
            return Self { sight, gone, nodes, services, quantities };
        };
        let rules = &config.later.fencing.rules;
        let mut quantities: Vec<&str> = Vec::new();
        for name in rules.services.values().flat_map(|it| it.uses.keys()) {
            if !quantities.contains(&name.as_str()) {
                quantities.push(name);
            }
        }
        let nodes: Vec<_> = state
            .members
            .iter()
            .map(|(id, member)| {
                let here = Some(*id) != gone && state.view.contains_key(id);
                NodeFacts {
                    id: *id,
                    name: &member.name,
                    here,
                    takes: here && sight.able.nodes.contains(id) && state.takes(*id),
                    quarantined: sight.able.quarantined.contains(id),
                    capacity: quantities
                        .iter()
                        .map(|it| config.capacity(&member.name, it))
                        .collect(),
                }
            })
            .collect();
        let mut facts = Self { sight, gone, nodes, services: Vec::new(), quantities };
        facts.services = facts.read_services(config);
        facts.read_needs(config);
        facts.read_pairs(config);
        facts.read_units();
        facts
    }

    fn read_services(&self, config: &'a Config) -> Vec<ServiceFacts<'a>> {
        let state = self.sight.state;
        let mut places = Places::new(config, &self.nodes);
        let importances = Importances::new(config);
        let services = config.services.keys().filter_map(|id| {
            let assignment = state.assignments.get(id)?;
            let visited = state.visited_by(id);
            let rules = config.rules(id);
            let held = assignment.holder.node().and_then(|node| self.node(node));
            let uses = rules.map(|rules| self.uses(rules)).unwrap_or_default();
            let copies = if uses.is_empty() { Vec::new() } else { self.copies(config, id) };
            Some(ServiceFacts {
                id,
                importance: importances.of(id),
                needs: Vec::new(),
                height: 0,
                assignment,
                wish: visited.or(assignment.wish),
                visits: visited.is_some(),
                held: held.filter(|node| self.nodes[*node].here),
                rank: places.rank(state.prefers(id)),
                only: places.only(state.places(id)),
                copied: config.copies(id).is_some(),
                watched: self.sight.seen.points_of(id).next().is_some(),
                uses,
                copies,
                together: Vec::new(),
                apart: Vec::new(),
                unit: 0,
            })
        });
        services.collect()
    }

    fn uses(&self, rules: &ServiceRules) -> Vec<u64> {
        if rules.uses.is_empty() {
            return Vec::new();
        }
        let amount = |name: &&str| rules.uses.get(*name).copied().unwrap_or_default();
        self.quantities.iter().map(amount).collect()
    }

    fn copies(&self, config: &Config, service: &ServiceId) -> Vec<usize> {
        let Some(copies) = config.copies(service) else { return Vec::new() };
        let all = self.nodes.iter().enumerate();
        all.filter(|(_, node)| copies.is_on(node.name)).map(|(number, _)| number).collect()
    }

    fn read_needs(&mut self, config: &Config) {
        let mut above: Vec<usize> = Vec::new();
        for (id, more) in config.later.next.services.iter().filter(|(_, it)| !it.needs.is_empty()) {
            let Some(one) = self.service(id) else { continue };
            self.services[one].needs =
                more.needs.iter().filter_map(|it| self.service(it)).collect();
            above.push(one);
        }
        // Each round settles one storey at least; a circle, which no configuration has, ends too.
        for _ in 0..above.len() {
            let mut risen = false;
            for one in above.iter().copied() {
                let below = self.services[one].needs.iter().map(|it| self.services[*it].height);
                let height = below.max().map_or(0, |it| it + 1);
                risen |= height > self.services[one].height;
                self.services[one].height = height;
            }
            if !risen {
                break;
            }
        }
    }

    /// Whether the first needs one of those, at once or through others.
    pub(super) fn stands_on(&self, service: usize, all: &[usize]) -> bool {
        let mut reached = self.services[service].needs.clone();
        let mut known = Vec::new();
        while let Some(one) = reached.pop() {
            if all.contains(&one) {
                return true;
            }
            if !known.contains(&one) {
                known.push(one);
                reached.extend(&self.services[one].needs);
            }
        }
        false
    }

    /// Both sides of each pair know of it.
    fn read_pairs(&mut self, config: &Config) {
        let rules = &config.later.fencing.rules.services;
        let mut domains: BTreeMap<&str, Rc<[u32]>> = BTreeMap::new();
        for (id, rules) in rules {
            let Some(one) = self.service(id) else { continue };
            for (other, strength) in &rules.together {
                let Some(other) = self.service(other).filter(|other| *other != one) else {
                    continue;
                };
                self.services[one].together.push((other, *strength));
                self.services[other].together.push((one, *strength));
            }
            let by = rules.apart_by.as_deref().map(|label| {
                let made = domains.entry(label).or_insert_with(|| self.domains(config, label));
                made.clone()
            });
            for (other, strength) in &rules.apart {
                let Some(other) = self.service(other).filter(|other| *other != one) else {
                    continue;
                };
                let pair = |other| Apart { other, strength: *strength, by: by.clone() };
                self.services[one].apart.push(pair(other));
                self.services[other].apart.push(pair(one));
            }
        }
    }

    /// A number for each value of a label; zero where a node has none.
    fn domains(&self, config: &Config, label: &str) -> Rc<[u32]> {
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        let number = |node: &NodeFacts<'_>| {
            let Some(value) = config.label(node.name, label) else { return 0 };
            let next = u32::try_from(numbers.len() + 1).unwrap_or(u32::MAX);
            *numbers.entry(value).or_insert(next)
        };
        self.nodes.iter().map(number).collect()
    }

    /// What has to be together is placed together: each set gets the number of its first service.
    fn read_units(&mut self) {
        for number in 0..self.services.len() {
            self.services[number].unit = number;
        }
        for first in 0..self.services.len() {
            if self.services[first].unit != first {
                continue;
            }
            let mut reached = vec![first];
            while let Some(one) = reached.pop() {
                let must = |(other, strength): &(usize, Strength)| {
                    (*strength == Strength::Must).then_some(*other)
                };
                let others: Vec<_> = self.services[one].together.iter().filter_map(must).collect();
                for other in others {
                    if self.services[other].unit != first {
                        self.services[other].unit = first;
                        reached.push(other);
                    }
                }
            }
        }
    }

    /// The number of a node, if it is a member.
    pub(super) fn node(&self, id: NodeId) -> Option<usize> {
        self.nodes.binary_search_by_key(&id, |node| node.id).ok()
    }

    /// The number of a service, if it is configured.
    pub(super) fn service(&self, id: &ServiceId) -> Option<usize> {
        self.services.binary_search_by(|it| it.id.cmp(id)).ok()
    }

    pub(super) fn state(&self) -> &'a State {
        self.sight.state
    }

    pub(super) fn able(&self) -> &'a Able {
        self.sight.able
    }
}

/// Which nodes are meant by what rules name: looked up once for each name.
struct Places<'c> {
    config: &'c Config,
    names: Vec<&'c str>,
    known: BTreeMap<Place, Rc<[bool]>>,
}

impl<'c> Places<'c> {
    fn new(config: &'c Config, nodes: &[NodeFacts<'c>]) -> Self {
        Self { config, names: nodes.iter().map(|node| node.name).collect(), known: BTreeMap::new() }
    }

    fn of(&mut self, place: Place) -> Rc<[bool]> {
        if let Some(known) = self.known.get(&place) {
            return known.clone();
        }
        let there: Rc<[bool]> =
            self.names.iter().map(|name| self.config.is_there(name, &place)).collect();
        self.known.insert(place, there.clone());
        there
    }

    fn rank(&mut self, prefer: &[String]) -> Rank {
        let length = u16::try_from(prefer.len()).unwrap_or(u16::MAX);
        if prefer.is_empty() {
            return Rank { of: Vec::new(), length };
        }
        let mut of = vec![u16::MAX; self.names.len()];
        for (rank, text) in (0..length).zip(prefer) {
            for (known, there) in of.iter_mut().zip(self.of(Place::of(text)).iter()) {
                if *there && *known == u16::MAX {
                    *known = rank;
                }
            }
        }
        Rank { of, length }
    }

    fn only(&mut self, (only, never): (&[Place], &[Place])) -> Option<Vec<bool>> {
        if only.is_empty() && never.is_empty() {
            return None;
        }
        let mut may = vec![only.is_empty(); self.names.len()];
        let each = only.iter().map(|it| (it, true));
        for (place, value) in each.chain(never.iter().map(|it| (it, false))) {
            for (may, there) in may.iter_mut().zip(self.of(place.clone()).iter()) {
                if *there {
                    *may = value;
                }
            }
        }
        Some(may)
    }
}
