//! The next step of a plan. Nothing here assigns anything without a [`Proof`].

use alloc::vec::Vec;

use super::facts::Facts;
use super::occupancy::Occupancy;
use super::plan::{Leave, Plan, plan_without};
use super::{Sight, turn};
use crate::fencing::Proof;
use crate::id::{NodeId, ServiceId};
use crate::state::{Cause, Change, Holder, ProofRecord, Stage, Takeover};

/// The best node for a service as things are, leaving out `without`.
#[must_use]
pub fn best(sight: Sight<'_>, service: &ServiceId, without: Option<NodeId>) -> Option<NodeId> {
    let facts = Facts::new(sight, None);
    let mut occupancy = Occupancy::now(&facts);
    let service = facts.service(service)?;
    occupancy.take(&facts, service);
    let nodes = (0..facts.nodes.len()).filter(|node| {
        Some(facts.nodes[*node].id) != without
            && facts.obstacle(&occupancy, service, *node).is_none()
    });
    let best = nodes.min_by_key(|node| facts.key(&occupancy, service, *node))?;
    Some(facts.nodes[best].id)
}

/// Where the services of `node` go when it is removed from the view by that proof.
#[must_use]
pub fn successors(
    sight: Sight<'_>,
    node: NodeId,
    proof: ProofRecord,
) -> Vec<(ServiceId, Option<NodeId>)> {
    let state = sight.state;
    let plan = plan_without(sight, Some(node));
    let facts = Facts::new(sight, Some(node));
    let mut now = Occupancy::now(&facts);
    let held = state.held_by(node).map(|(service, _)| service);
    turn::by_importance(state, held)
        .cloned()
        .map(|service| {
            let stays = state.is_kept(&service) || state.stays(&service, proof);
            // While nothing moves they wait for their node, or for the end of that. What is bound
            // to it waits for a stronger proof, and what needs room that others have to make, for
            // that.
            let waits = state.is_disarmed() || stays;
            let to = plan.decisions.get(&service).and_then(|it| it.to).filter(|_| !waits);
            let to = to.filter(|to| fits(&facts, &mut now, &service, *to));
            (service, to)
        })
        .collect()
}

/// Whether a service may be there as things are; if so, it counts from now on.
fn fits(facts: &Facts<'_>, now: &mut Occupancy, service: &ServiceId, to: NodeId) -> bool {
    let Some((service, node)) = facts.service(service).zip(facts.node(to)) else { return false };
    let fits = facts.drawn(now, service, node).is_none()
        && facts.crowded(now, service, node).is_none()
        && now.at[service].is_none();
    if fits {
        now.put(facts, service, node);
    }
    fits
}

/// The takeover of a node's services: its removal from the view and their new holders.
///
/// Asks for the proof that the node can do no harm.
#[must_use]
pub fn takeover(
    sight: Sight<'_>,
    node: NodeId,
    proof: Proof,
    cause: Cause,
    stages: Vec<Stage>,
) -> Option<Takeover> {
    let state = sight.state;
    let admitted = state.view.get(&node)?;
    Some(Takeover {
        node,
        term: state.term,
        incarnation: admitted.incarnation,
        base: state.epoch,
        proof: proof.record(),
        cause,
        assignments: successors(sight, node, proof.record()),
        stages,
    })
}

/// The next assignment of a service that nobody can be running, if there is one to make.
#[must_use]
pub fn assignment(sight: Sight<'_>, plan: &Plan) -> Option<Change> {
    let state = sight.state;
    let config = state.config.as_ref()?;
    let unheld = |service: &&ServiceId| {
        config.services.contains_key(*service) && Proof::unheld(state, service).is_some()
    };
    let unheld: Vec<_> = state.assignments.keys().filter(unheld).collect();
    if unheld.is_empty() {
        return None;
    }
    let facts = Facts::new(sight, None);
    let mut now = Occupancy::now(&facts);
    turn::by_importance(state, unheld.into_iter()).find_map(|service| {
        let assignment = state.assignments.get(service)?;
        let node = plan.decisions.get(service)?.to?;
        // Those that are in its way are about to go.
        let fits = fits(&facts, &mut now, service, node);
        fits.then(|| Change::Assign { service: service.clone(), base: assignment.epoch, node })
    })
}

/// The next service that should leave its node though that works: an operator stopped it, its node
/// is on standby or halted, a rule or something more important moves it, or it goes back to a node
/// that it prefers.
#[must_use]
pub fn departure(sight: Sight<'_>, plan: &Plan) -> Option<Change> {
    let state = sight.state;
    state.config.as_ref().filter(|_| !state.is_disarmed())?;
    if !plan.decisions.values().any(|it| it.from.is_some() && it.is_change()) {
        return None;
    }
    let facts = Facts::new(sight, None);
    let now = Occupancy::now(&facts);
    turn::by_importance(state, state.assignments.keys()).find_map(|service| {
        let assignment = state.assignments.get(service)?;
        let Holder::Node(node) = assignment.holder else { return None };
        let decision = plan.decisions.get(service).filter(|it| it.is_change())?;
        let leaves = decision.leaves.as_ref()?;
        if decision.from != Some(node) {
            return None;
        }
        let free = |to: NodeId| {
            let numbers = facts.service(service).zip(facts.node(to));
            numbers.is_some_and(|(service, node)| facts.crowded(&now, service, node).is_none())
        };
        let in_turn =
            || !turn::leaves(state, service, assignment) || turn::is_first(state, plan, service);
        let may = in_turn()
            && match leaves {
                Leave::Stopped | Leave::Withdrawn => true,
                Leave::Going => false,
                // What has to go goes, wherever to.
                Leave::Rule(_) | Leave::With(_) => true,
                // It leaves a place where it works, so the other one has to be free.
                Leave::RoomFor(_) | Leave::Failback | Leave::Visit => decision.to.is_none_or(free),
            };
        let cause = match leaves {
            Leave::Failback => Cause::Failback,
            Leave::Stopped
            | Leave::Going
            | Leave::Withdrawn
            | Leave::Rule(_)
            | Leave::With(_)
            | Leave::RoomFor(_)
            | Leave::Visit => Cause::Planned,
        };
        let (service, base, wish) = (service.clone(), assignment.epoch, decision.to);
        may.then_some(Change::Stop { service, base, cause, wish })
    })
}

/// The services for which there is no node.
pub fn nowhere(plan: &Plan) -> impl Iterator<Item = &ServiceId> {
    let nowhere =
        plan.decisions.iter().filter(|(_, it)| it.to.is_none() && it.why == super::Why::Nowhere);
    nowhere.map(|(service, _)| service)
}
