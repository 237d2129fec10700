//! Where services go.
//!
//! The first form of the planner: a service stays where it is while it can; otherwise it goes to
//! the best eligible node. "Best" is decided by, in this order: the fewest reference points at
//! which it is behind others, not being in quarantine, the operator's wish, the highest
//! promotion score, the fewest at which it was behind not long ago, the fewest failures there, the
//! rank in the service's own list, the fewest services already there, the lowest number. Same state
//! and same sight, same answer, on every node. Rules, capacities and reasons per node come with a
//! later step.
//!
//! A service with copies goes only where one runs whose agents give it a score above zero.
//!
//! While the cluster is disarmed nothing goes anywhere: what ended begins again where it was, or
//! where an operator moves it (rule M5). What is in maintenance stays as it is (section 15).
//!
//! The more important come first, and in planned stops what needs another goes before it (`turn`).
//!
//! Nothing here assigns anything without a [`Proof`].

mod reach;
mod turn;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

pub use reach::unreachable;
pub(crate) use turn::by_importance;

use crate::fencing::Proof;
use crate::id::{NodeId, ServiceId};
use crate::points::Seen;
use crate::state::{Cause, Change, Holder, ProofRecord, Stage, State, Takeover};

/// The nodes that may take a service: in the view, heard, with their daemon alive.
#[derive(Clone, Debug, Default)]
pub struct Able {
    /// They.
    pub nodes: BTreeSet<NodeId>,
    /// Those that come and go: they are given something only where nobody else could take it.
    pub quarantined: BTreeSet<NodeId>,
}

impl From<BTreeSet<NodeId>> for Able {
    fn from(nodes: BTreeSet<NodeId>) -> Self {
        Self { nodes, quarantined: BTreeSet::new() }
    }
}

/// After so many failures the copy of another node is promoted, whatever the scores.
const PROMOTIONS_TRIED: u32 = 3;

/// The best node for a service, leaving out `without`.
#[must_use]
pub fn best(
    state: &State,
    able: &Able,
    seen: &Seen,
    service: &ServiceId,
    without: Option<NodeId>,
    load: &BTreeMap<NodeId, usize>,
) -> Option<NodeId> {
    let assignment = state.assignments.get(service)?;
    let config = state.config.as_ref()?.services.get(service)?;
    let eligible = |node: &NodeId| {
        // Of copies one is promoted whose agents say that it is fit for that.
        let may = state.takes(*node) && state.is_fit(service, *node);
        Some(*node) != without && state.view.contains_key(node) && may
    };
    let rank = |node: NodeId| {
        let name = state.name(node);
        config.prefer.iter().position(|it| *it == name).unwrap_or(usize::MAX)
    };
    able.nodes.iter().copied().filter(eligible).min_by_key(|node| {
        let quarantined = able.quarantined.contains(node);
        let wished = assignment.wish != Some(*node);
        let failures = assignment.failures.get(node).copied().unwrap_or_default();
        // A score says nothing of what else its service needs there.
        let spent = state.has_copies(service) && failures >= PROMOTIONS_TRIED;
        let score = Reverse(state.score(service, *node));
        let (misses, doubts) = (seen.misses(*node, service), seen.doubts(*node, service));
        let load = load.get(node).copied().unwrap_or_default();
        (misses, quarantined, wished, spent, score, doubts, failures, rank(*node), load, *node)
    })
}

/// Where a service that nobody can be running goes now, if anywhere.
#[must_use]
pub fn place(
    state: &State,
    able: &Able,
    seen: &Seen,
    service: &ServiceId,
    load: &BTreeMap<NodeId, usize>,
) -> Option<NodeId> {
    let assignment = state.assignments.get(service)?;
    if state.is_kept(service) {
        return None;
    }
    match assignment.holder {
        // A node on standby that kept it goes on keeping it.
        Holder::Stopped { node, .. } if state.is_disarmed() => {
            let here = |node: &NodeId| {
                let shall = !state.is_halted(*node) && !state.is_node_maintained(*node);
                let may = shall && able.nodes.contains(node) && state.is_fit(service, *node);
                may && state.view.contains_key(node)
            };
            [assignment.wish, Some(node)].into_iter().flatten().find(here)
        }
        Holder::Never | Holder::Stopped { .. } | Holder::Node(_) | Holder::Stopping { .. } => {
            best(state, able, seen, service, None, load)
        }
    }
}

/// How many services each node holds.
#[must_use]
pub fn load(state: &State) -> BTreeMap<NodeId, usize> {
    let mut load = BTreeMap::new();
    for assignment in state.assignments.values() {
        if let Some(node) = assignment.holder.node() {
            *load.entry(node).or_default() += 1;
        }
    }
    load
}

/// Where the services of `node` go when it is removed from the view by that proof.
#[must_use]
pub fn successors(
    state: &State,
    able: &Able,
    seen: &Seen,
    node: NodeId,
    proof: ProofRecord,
) -> Vec<(ServiceId, Option<NodeId>)> {
    let mut load = load(state);
    let held = state.held_by(node).map(|(service, _)| service);
    turn::by_importance(state, held)
        .cloned()
        .map(|service| {
            let stays = state.is_kept(&service) || state.stays(&service, proof);
            // While nothing moves they wait for their node, or for the end of that. What is bound
            // to it waits for a stronger proof.
            let to = if state.is_disarmed() || stays {
                None
            } else {
                best(state, able, seen, &service, Some(node), &load)
            };
            if let Some(to) = to {
                *load.entry(to).or_default() += 1;
            }
            (service, to)
        })
        .collect()
}

/// The takeover of a node's services: its removal from the view and their new holders.
///
/// Asks for the proof that the node can do no harm.
#[must_use]
pub fn takeover(
    state: &State,
    able: &Able,
    seen: &Seen,
    node: NodeId,
    proof: Proof,
    cause: Cause,
    stages: Vec<Stage>,
) -> Option<Takeover> {
    let admitted = state.view.get(&node)?;
    Some(Takeover {
        node,
        term: state.term,
        incarnation: admitted.incarnation,
        base: state.epoch,
        proof: proof.record(),
        cause,
        assignments: successors(state, able, seen, node, proof.record()),
        stages,
    })
}

/// The next assignment of a service that nobody can be running, if there is one to make.
#[must_use]
pub fn assignment(state: &State, able: &Able, seen: &Seen) -> Option<Change> {
    let config = state.config.as_ref()?;
    turn::by_importance(state, state.assignments.keys()).find_map(|service| {
        let assignment = state.assignments.get(service)?;
        Proof::unheld(state, service)?;
        if !config.services.contains_key(service) || state.is_address_busy(service) {
            return None;
        }
        let node = place(state, able, seen, service, &load(state))?;
        Some(Change::Assign { service: service.clone(), base: assignment.epoch, node })
    })
}

/// The next service that should leave its node though that works: an operator stopped it, the node
/// is on standby or halted, or the service goes back to one that it prefers.
#[must_use]
pub fn departure(state: &State, able: &Able, seen: &Seen) -> Option<Change> {
    let config = state.config.as_ref().filter(|_| !state.is_disarmed())?;
    turn::by_importance(state, state.assignments.keys()).find_map(|service| {
        let assignment = state.assignments.get(service)?;
        let Holder::Node(node) = assignment.holder else { return None };
        let wanted = config.services.get(service).filter(|_| !state.is_maintained(service))?;
        let stop = |cause, wish| {
            let (service, base) = (service.clone(), assignment.epoch);
            Some(Change::Stop { service, base, cause, wish })
        };
        if turn::leaves(state, service, assignment) {
            // Nobody else could take it: on a node on standby it is better than nowhere.
            let to = best(state, able, seen, service, Some(node), &load(state));
            let to = to.filter(|_| !state.is_stopped(service));
            let must = state.is_stopped(service) || state.is_halted(node);
            return if (must || to.is_some()) && turn::is_first(state, able, seen, service) {
                stop(Cause::Planned, to)
            } else {
                None
            };
        }
        if !wanted.failback {
            return None;
        }
        let rank = |node| wanted.prefer.iter().position(|it| *it == state.name(node));
        let to = best(state, able, seen, service, None, &load(state))?;
        let better = rank(to).is_some_and(|to| rank(node).is_none_or(|here| to < here));
        // Not to a node that comes and goes, or whose network does.
        let steady = !able.quarantined.contains(&to) && seen.doubts(to, service) == 0;
        if better && to != node && steady { stop(Cause::Failback, Some(to)) } else { None }
    })
}
