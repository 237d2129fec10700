//! Whose turn it is: the most important first, and in planned stops what needs another before it.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{Importances, Plan};
use crate::id::ServiceId;
use crate::state::{Assignment, Holder, State};

/// These services, those that count most first; of equal ones as they come.
pub fn by_importance<'a>(
    state: &State,
    services: impl Iterator<Item = &'a ServiceId>,
) -> impl Iterator<Item = &'a ServiceId> {
    let mut all: Vec<_> = services.collect();
    if let Some(config) = &state.config {
        let importances = Importances::new(config);
        all.sort_by_key(|service| Reverse(importances.of(service)));
    }
    all.into_iter()
}

/// Whether an operator wants that service away from where it is.
pub(super) fn leaves(state: &State, service: &ServiceId, assignment: &Assignment) -> bool {
    let Some(node) = assignment.holder.node() else { return false };
    let stays = state.is_maintained(service);
    let away = state.is_stopped(service) || state.is_halted(node) || state.standby.contains(&node);
    away && !stays
}

/// Whether nothing that needs that service has to be stopped before it: another that is to leave
/// its place as well, and can. What stays goes on without it.
pub(super) fn is_first(state: &State, plan: &Plan, service: &ServiceId) -> bool {
    let Some(config) = &state.config else { return true };
    let here = state.assignments.get(service).and_then(|it| it.holder.node());
    !config.needed_by(service).any(|other| {
        let Some(assignment) = state.assignments.get(other) else { return false };
        let Some(node) = assignment.holder.node() else { return false };
        if !state.view.contains_key(&node) {
            // Bound to a node that is lost: nothing of it can be stopped now.
            return false;
        }
        // It is on its way down, or about to be.
        let stops = matches!(assignment.holder, Holder::Stopping { .. });
        let must = state.is_stopped(other) || state.is_halted(node);
        // Of two that leave one node for others, too.
        let can = || {
            let goes = plan.decisions.get(other).is_some_and(|it| it.is_change());
            here == Some(node) && goes
        };
        stops || leaves(state, other, assignment) && (must || can())
    })
}
