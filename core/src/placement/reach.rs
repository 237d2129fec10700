//! Services that should leave a node because it sees less of their network than another.

use super::{Sight, best};
use crate::state::{Cause, Change, Holder};

/// The next service whose holder sees fewer of its reference points than a node that may take it
/// and sees them steadily (rule P2). It is stopped first, as in any planned move, so nothing here
/// asks for a proof: a holder that can't stop keeps it.
#[must_use]
pub fn unreachable(sight: Sight<'_>) -> Option<Change> {
    let Sight { state, able, seen } = sight;
    seen.watched().find_map(|service| {
        let assignment = state.assignments.get(service)?;
        let Holder::Node(node) = assignment.holder else { return None };
        if seen.misses(node, service) == 0 || state.is_maintained(service) {
            return None;
        }
        let mut better = able.clone();
        better.nodes.retain(|to| seen.sees_more(*to, node, service));
        let to = best(Sight { able: &better, ..sight }, service, Some(node))?;
        let (service, base) = (service.clone(), assignment.epoch);
        Some(Change::Stop { service, base, cause: Cause::Unreachable, wish: Some(to) })
    })
}
