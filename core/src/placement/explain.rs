//! Why a service is on its node, and why not on each other one.

use alloc::vec::Vec;

use super::Sight;
use super::facts::Facts;
use super::fit::{Factor, Key, Obstacle};
use super::occupancy::Occupancy;
use crate::id::{NodeId, ServiceId};

/// What speaks for or against a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may not be there.
    Barred(Obstacle),
    /// It might be, and another one is better, by that.
    Worse(Factor),
    /// It would be the best. A service that works elsewhere stays there all the same.
    Best,
}

/// Each member with what speaks for or against it, given where all others are; nothing for a
/// service that is not configured.
#[must_use]
pub fn verdicts(sight: Sight<'_>, service: &ServiceId) -> Vec<(NodeId, Verdict)> {
    let facts = Facts::new(sight, None);
    let Some(service) = facts.service(service) else { return Vec::new() };
    let mut occupancy = Occupancy::now(&facts);
    occupancy.take(&facts, service);
    let looks: Vec<Result<Key, Obstacle>> = (0..facts.nodes.len())
        .map(|node| match facts.obstacle(&occupancy, service, node) {
            Some(obstacle) => Err(obstacle),
            None => Ok(facts.key(&occupancy, service, node)),
        })
        .collect();
    let best = looks.iter().flatten().min();
    let verdict = |look: &Result<Key, Obstacle>| match (look, best) {
        (Err(obstacle), _) => Verdict::Barred(obstacle.clone()),
        (Ok(key), Some(best)) if key != best => Verdict::Worse(best.better_by(key)),
        (Ok(_), _) => Verdict::Best,
    };
    facts.nodes.iter().zip(&looks).map(|(node, look)| (node.id, verdict(look))).collect()
}
