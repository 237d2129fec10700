//! What comes after everybody was asked once: who goes back to a node that it prefers, and who
//! finds a place that others have left.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::plan::{Leave, Why};
use super::planner::Planner;

impl Planner<'_, '_> {
    /// What found no place may have one now that others have gone; whether anything has.
    pub(super) fn fill(&mut self) -> bool {
        let out = |planner: &Self, service: &usize| {
            planner.occupancy.at[*service].is_none()
                && planner.fates[*service].why == Some(Why::Nowhere)
        };
        let order: Vec<usize> = self.units.iter().flatten().copied().collect();
        let find = |planner: &mut Self, service: usize| {
            planner.put_best(&[service])
                || planner.move_all(&[service])
                || planner.make_room_for(service)
        };
        // Each time something is found a place that is more important than all that is lost by it.
        let mut found = 0;
        while found < order.len()
            && order.iter().any(|service| out(self, service) && find(self, *service))
        {
            found += 1;
        }
        found > 0
    }

    /// A set that works and may move goes back to a node that one of it prefers and returns to, or
    /// where an operator wants it for a while; whether it does.
    pub(super) fn go_back(&mut self, unit: usize) -> bool {
        let facts = self.facts;
        let all = self.units[unit].clone();
        let wants = |service: &usize| {
            let node = self.occupancy.at[*service]?;
            let it = &facts.services[*service];
            if it.visits {
                let away = it.wish != Some(facts.nodes[node].id);
                return away.then_some((*service, 0));
            }
            let here = it.rank.of(node).unwrap_or(it.rank.length);
            (facts.state().fails_back(it.id) && here > 0).then_some((*service, here))
        };
        let Some((who, here)) = all.iter().find_map(wants) else { return false };
        let stands = |it: &&usize| self.occupancy.at[**it].is_some();
        let standing: Vec<_> = all.iter().filter(stands).copied().collect();
        if !standing.iter().all(|service| self.is_movable(*service)) {
            return false;
        }
        let before = self.lift(&standing);
        let best = self.best_two(&standing)[0].as_ref().map(|(node, _)| *node);
        let it = &facts.services[who];
        let better = |node: usize| match it.visits {
            true => it.wish == Some(facts.nodes[node].id),
            false => it.rank.of(node).is_some_and(|rank| rank < here),
        };
        // Not to a node that comes and goes, or whose network does.
        let good = |node: &usize| {
            let place = &facts.nodes[*node];
            better(*node)
                && !place.quarantined
                && facts.sight.seen.doubts(place.id, facts.services[who].id) == 0
        };
        let leaves = if it.visits { Leave::Visit } else { Leave::Failback };
        if best.as_ref().is_some_and(good) && self.put_best(&standing) {
            for service in standing {
                self.fates[service].leaves = Some(leaves.clone());
            }
            return true;
        }
        self.put_back(&before);
        false
    }

    /// What is lost by it: for each that is nowhere how important it is, the most important first;
    /// and how many have to move.
    pub(super) fn loss(&self) -> (Vec<u8>, usize) {
        let services = || self.facts.services.iter().enumerate();
        let nowhere = services().filter(|(it, _)| self.fates[*it].why == Some(Why::Nowhere));
        let mut lost: Vec<u8> = nowhere.map(|(_, it)| it.importance).collect();
        lost.sort_unstable_by_key(|importance| Reverse(*importance));
        let moved = services()
            .filter(|(number, it)| it.held.is_some() && it.held != self.occupancy.at[*number]);
        (lost, moved.count())
    }
}
