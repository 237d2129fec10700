//! Rules that change nothing, as long as no more than one node is away.
//!
//! Each rule is left out in turn, on paper. If every service starts where it would have, goes where
//! it would have gone when any one node fails, and does what it would have done when that node is
//! back, the rule is idle, and stays out while the next one is tried: so all that are found can be
//! left out at once, and two rules that say the same are not both found.
//!
//! Idle is not wrong. A rule may be there for the day on which two nodes are away.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::paper::Paper;
use super::plan::Plan;
use crate::id::{NodeId, ServiceId};
use crate::state::config::{Config, Place, ServiceMore, USUAL_IMPORTANCE};

/// How much may be planned for a file that is looked through: a few seconds' worth. Each plan
/// counts nodes times services.
pub const LINTED: usize = 20_000_000;

/// A rule that can be left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// `only` of a service, as a whole.
    Only(ServiceId),
    /// One place of `never`.
    Never(ServiceId, Place),
    /// `prefer` of a service, as a whole.
    Prefer(ServiceId),
    /// `failback` of a service.
    Failback(ServiceId),
    /// `together` of the first, with the second.
    Together(ServiceId, ServiceId),
    /// `apart` of the first, from the second.
    Apart(ServiceId, ServiceId),
    /// `apart-by` of a service.
    ApartBy(ServiceId),
    /// `importance` of a service, which then is the usual one.
    Importance(ServiceId),
    /// A quantity: nobody uses it any more.
    Quantity(String),
}

/// What is idle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Idle {
    /// The rules, in the order in which they were tried.
    pub rules: Vec<Rule>,
    /// How many were not tried any more, since that would have taken too long.
    pub untried: usize,
}

/// The rules of a configuration that change nothing. `most` is how much may be planned for it:
/// see [`LINTED`].
#[must_use]
pub fn idle(config: &Config, most: usize) -> Idle {
    let mut rules = rules(config).into_iter();
    let mut idle = Idle::default();
    let cost = cost(config);
    let mut left = most;
    let paper = Paper::new(config);
    let Some(usual) = Course::new(paper.clone(), cost, &mut left) else {
        return Idle { untried: rules.len(), ..idle };
    };
    let mut config = config.clone();
    while let Some(rule) = rules.next() {
        let other = rule.left_out_of(&config);
        match usual.is_that_of(paper.by(&other), cost, &mut left) {
            Some(true) => {
                idle.rules.push(rule);
                config = other;
            }
            Some(false) => {}
            None => return Idle { untried: rules.len() + 1, ..idle },
        }
    }
    idle
}

/// How much a plan counts.
pub(super) fn cost(config: &Config) -> usize {
    // Even the smallest is some work.
    const LEAST: usize = 64;
    (config.nodes.len() * config.services.len()).max(LEAST)
}

/// Every rule of a configuration that could be left out. Those of services for which something else
/// is said for a time are not among them: at that time they may count.
fn rules(config: &Config) -> Vec<Rule> {
    let mut all = Vec::new();
    let timed = |id: &ServiceId| {
        let rules = config.rules(id);
        rules.is_some_and(|it| !it.during.is_empty() || it.failback_at.is_some())
    };
    let steady = |id: &&ServiceId| !timed(id);
    let mut quantities: BTreeSet<&String> = BTreeSet::new();
    for (id, service) in config.services.iter().filter(|(id, _)| !timed(id)) {
        if let Some(rules) = config.rules(id) {
            all.extend((!rules.only.is_empty()).then(|| Rule::Only(id.clone())));
            all.extend(rules.never.iter().map(|it| Rule::Never(id.clone(), it.clone())));
            let together = rules.together.keys().filter(steady);
            all.extend(together.map(|it| Rule::Together(id.clone(), it.clone())));
            // By what they are apart first: without that the rule may still count.
            all.extend(rules.apart_by.as_ref().map(|_| Rule::ApartBy(id.clone())));
            let apart = rules.apart.keys().filter(steady);
            all.extend(apart.map(|it| Rule::Apart(id.clone(), it.clone())));
            quantities.extend(rules.uses.keys());
        }
        let prefers = !service.prefer.is_empty();
        all.extend((service.failback && prefers).then(|| Rule::Failback(id.clone())));
        all.extend(prefers.then(|| Rule::Prefer(id.clone())));
        let unusual = config.importance(id) != USUAL_IMPORTANCE;
        all.extend(unusual.then(|| Rule::Importance(id.clone())));
    }
    let timed = config.services.keys().filter(|id| timed(id));
    for rules in timed.filter_map(|id| config.rules(id)) {
        quantities.retain(|quantity| !rules.uses.contains_key(*quantity));
    }
    all.extend(quantities.into_iter().cloned().map(Rule::Quantity));
    all
}

impl Rule {
    /// The configuration without it.
    #[must_use]
    pub fn left_out_of(&self, config: &Config) -> Config {
        let mut config = config.clone();
        let rules = &mut config.later.fencing.rules.services;
        match self {
            Self::Only(id) => of(rules, id, |it| it.only.clear()),
            Self::Never(id, place) => of(rules, id, |it| it.never.retain(|known| known != place)),
            Self::Together(id, other) => {
                of(rules, id, |it| it.together.retain(|known, _| known != other))
            }
            Self::Apart(id, other) => {
                of(rules, id, |it| it.apart.retain(|known, _| known != other))
            }
            Self::ApartBy(id) => of(rules, id, |it| it.apart_by = None),
            Self::Quantity(quantity) => {
                for service in rules.values_mut() {
                    service.uses.remove(quantity);
                }
            }
            Self::Prefer(id) => of(&mut config.services, id, |it| it.prefer.clear()),
            Self::Failback(id) => of(&mut config.services, id, |it| it.failback = false),
            Self::Importance(id) => {
                let usual = |it: &mut ServiceMore| it.importance = USUAL_IMPORTANCE;
                of(&mut config.later.next.services, id, usual);
            }
        }
        config
    }
}

/// Changes what is said of a service.
fn of<T>(all: &mut BTreeMap<ServiceId, T>, service: &ServiceId, change: impl FnOnce(&mut T)) {
    if let Some(it) = all.get_mut(service) {
        change(it);
    }
}

/// Where everything is, by name.
type At = BTreeMap<ServiceId, Option<NodeId>>;

fn at(plan: &Plan) -> At {
    plan.decisions.iter().map(|(id, it)| (id.clone(), it.to)).collect()
}

/// What becomes of services from their start, through the loss of each node, to its return.
#[derive(Debug)]
pub(super) struct Course {
    /// Where they start.
    start: At,
    /// For each node, where they are once it is lost, and once it is back.
    lost: Vec<(NodeId, [At; 2])>,
}

impl Course {
    /// That of a cluster; nothing if it would take more than is left.
    pub(super) fn new(mut paper: Paper, cost: usize, left: &mut usize) -> Option<Self> {
        let nodes: Vec<NodeId> = paper.state().members.keys().copied().collect();
        spend(left, cost)?;
        let start = at(&paper.settle());
        let mut lost = Vec::new();
        for node in nodes {
            spend(left, cost.saturating_mul(2))?;
            lost.push((node, loss(&paper, node).map(|plan| at(&plan))));
        }
        Some(Self { start, lost })
    }

    /// Whether all is the same in that cluster; nothing if it would take more than is left.
    fn is_that_of(&self, mut paper: Paper, cost: usize, left: &mut usize) -> Option<bool> {
        spend(left, cost)?;
        if at(&paper.settle()) != self.start {
            return Some(false);
        }
        for (node, known) in &self.lost {
            spend(left, cost.saturating_mul(2))?;
            if loss(&paper, *node).map(|plan| at(&plan)) != *known {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Which services are nowhere when a node is lost, though they had a place before.
    pub(super) fn left_without(&self) -> BTreeMap<&ServiceId, Vec<NodeId>> {
        let mut all: BTreeMap<&ServiceId, Vec<NodeId>> = BTreeMap::new();
        for (node, [lost, _]) in &self.lost {
            for (service, _) in lost.iter().filter(|(_, at)| at.is_none()) {
                if self.start.get(service).is_some_and(Option::is_some) {
                    all.entry(service).or_default().push(*node);
                }
            }
        }
        all
    }
}

/// What is planned when a node is lost, and what once it is back.
fn loss(paper: &Paper, node: NodeId) -> [Plan; 2] {
    let mut paper = paper.clone();
    paper.lose(node);
    let lost = paper.settle();
    paper.regain(node);
    [lost, paper.settle()]
}

fn spend(left: &mut usize, cost: usize) -> Option<()> {
    *left = left.checked_sub(cost)?;
    Some(())
}
