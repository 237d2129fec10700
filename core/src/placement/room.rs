//! Makes room for what no node may take as things are.
//!
//! Of what is on a node, some may be able to go elsewhere, and some may count for less than what
//! has no place. The node is chosen on which the least is lost, then the one where the fewest have
//! to move. Nothing is lost for something that is not more important.

use alloc::vec;
use alloc::vec::Vec;

use super::plan::{Leave, Why};
use super::planner::Planner;
use crate::state::config::Strength;

/// How many sets on one node are tried one by one, whether they can go elsewhere.
const TRIED: usize = 32;
/// How often room is made for those who made room.
const DEEPEST: usize = 4;
/// How often in one plan it is asked whether a set can go elsewhere. Beyond that it counts as one
/// that can't, so that a cluster that is far too small is planned as fast as another.
pub(super) const ASKED: usize = 20_000;

/// Who would have to go from a node.
#[derive(Debug)]
struct Room {
    node: usize,
    /// How important all is that would be lost.
    lost: u32,
    /// Sets that have to go, each with whether it has another place.
    gone: Vec<(Vec<usize>, bool)>,
}

impl Planner<'_, '_> {
    /// Has others make room for all of them on one node; whether that can be.
    pub(super) fn make_room(&mut self, all: &[usize]) -> bool {
        let mut best: Option<Room> = None;
        for node in 0..self.facts.nodes.len() {
            let cost = |room: &Room| (room.lost, room.gone.len());
            let Some(room) = self.room(all, node) else { continue };
            if best.as_ref().is_none_or(|known| cost(&room) < cost(known)) {
                best = Some(room);
            }
        }
        let Some(room) = best else { return false };
        if self.depth >= DEEPEST {
            return false;
        }
        let before = (self.occupancy.clone(), self.fates.clone());
        self.depth += 1;
        let made = self.take_room(all, room);
        self.depth -= 1;
        if !made {
            (self.occupancy, self.fates) = before;
        }
        made
    }

    /// Has them go that are in the way, and puts all of them there; whether everybody who was to
    /// find another place did.
    fn take_room(&mut self, all: &[usize], room: Room) -> bool {
        let facts = self.facts;
        for (unit, _) in &room.gone {
            self.lift(unit);
        }
        for service in all {
            self.occupancy.put(facts, *service, room.node);
            self.fates[*service].why = Some(Why::RoomMade);
        }
        let Some(first) = all.first() else { return true };
        let whom = facts.services[*first].id.clone();
        for (unit, goes) in room.gone {
            for service in &unit {
                let leaves = facts.services[*service].held.map(|_| Leave::RoomFor(whom.clone()));
                self.fates[*service].leaves = leaves;
            }
            // What is lost here may find room by what counts for still less.
            if !self.put_best(&unit) && !self.make_room(&unit) {
                if goes {
                    return false;
                }
                for service in unit {
                    self.fates[service].why = Some(Why::Nowhere);
                }
            }
        }
        true
    }

    /// Who would have to go from that node so that all of them may be there.
    fn room(&mut self, all: &[usize], node: usize) -> Option<Room> {
        let facts = self.facts;
        let barred = |service: &usize| {
            facts.barred(*service, node).is_some()
                || facts.drawn(&self.occupancy, *service, node).is_some()
        };
        if all.iter().any(barred) {
            return None;
        }
        let mine = self.importance(all);
        let mut room = Room { node, lost: 0, gone: Vec::new() };
        let mut lifted = Vec::new();
        let found = self.clear(all, node, mine, &mut room, &mut lifted);
        self.put_back(&lifted);
        found.then_some(room)
    }

    /// Takes from a node, for a trial, what is in the way of all of them.
    fn clear(
        &mut self,
        all: &[usize],
        node: usize,
        mine: u8,
        room: &mut Room,
        lifted: &mut Vec<(usize, usize)>,
    ) -> bool {
        // Who must not be beside them has to go in any case.
        for other in self.apart_from(all, node) {
            if self.occupancy.at[other].is_some() && !self.lift_for(other, mine, room, lifted) {
                return false;
            }
        }
        if self.may(all, node) {
            return true;
        }
        let mut there: Vec<Vec<usize>> = Vec::new();
        for service in &self.occupancy.on[node] {
            let unit: Vec<usize> = self.unit(*service).to_vec();
            let counts = unit.first().is_some_and(|it| it == service || !there.contains(&unit));
            if counts && self.helps(&unit, all, node) && !there.contains(&unit) {
                there.push(unit);
            }
        }
        there.sort_by_key(|unit| (self.importance(unit), unit.first().copied()));
        // One that can go elsewhere, and is enough, costs nobody anything but a move.
        for unit in there.iter().take(TRIED) {
            let mark = lifted.len();
            if self.can_go(unit, lifted) && self.may(all, node) {
                room.gone.push((unit.clone(), true));
                return true;
            }
            self.put_back_from(lifted, mark);
        }
        for unit in there {
            let Some(first) = unit.first().copied() else { continue };
            if self.importance(&unit) >= mine {
                break;
            }
            if self.lift_for(first, mine, room, lifted) && self.may(all, node) {
                return true;
            }
        }
        false
    }

    /// Lifts a set; whether it has another place then.
    fn can_go(&mut self, unit: &[usize], lifted: &mut Vec<(usize, usize)>) -> bool {
        let standing: Vec<_> =
            unit.iter().copied().filter(|it| self.occupancy.at[*it].is_some()).collect();
        if !standing.iter().all(|service| self.is_movable(*service)) {
            return false;
        }
        let Some(from) = standing.first().and_then(|it| self.occupancy.at[*it]) else {
            return false;
        };
        lifted.extend(self.lift(&standing));
        if self.asked >= ASKED {
            return false;
        }
        self.asked += 1;
        let nodes = self.facts.nodes.len();
        (0..nodes).any(|node| node != from && self.may(&standing, node))
    }

    /// Lifts the set of a service, if that may go: it has another place, or counts for less.
    fn lift_for(
        &mut self,
        service: usize,
        mine: u8,
        room: &mut Room,
        lifted: &mut Vec<(usize, usize)>,
    ) -> bool {
        let unit = self.unit(service).to_vec();
        let unit: Vec<_> = unit.into_iter().filter(|it| self.occupancy.at[*it].is_some()).collect();
        if !unit.iter().all(|service| self.is_movable(*service)) {
            return false;
        }
        let mark = lifted.len();
        let goes = self.can_go(&unit, lifted);
        if !goes && self.importance(&unit) >= mine {
            self.put_back_from(lifted, mark);
            return false;
        }
        if !goes {
            let each = unit.iter().map(|it| u32::from(self.facts.services[*it].importance));
            room.lost += each.sum::<u32>();
        }
        room.gone.push((unit, goes));
        true
    }

    fn put_back_from(&mut self, lifted: &mut Vec<(usize, usize)>, mark: usize) {
        let back = lifted.split_off(mark);
        self.put_back(&back);
    }

    /// Whether a set uses something there of which they lack some.
    fn helps(&self, unit: &[usize], all: &[usize], node: usize) -> bool {
        let facts = self.facts;
        let mut needed = vec![0u64; facts.quantities.len()];
        for service in all {
            for (sum, uses) in needed.iter_mut().zip(&facts.services[*service].uses) {
                *sum = sum.saturating_add(*uses);
            }
        }
        let short = |quantity: usize| {
            let has = facts.nodes[node].capacity[quantity];
            needed[quantity] > has.saturating_sub(self.occupancy.used(node, quantity))
        };
        let uses = |service: &usize, quantity: usize| {
            facts.services[*service].uses.get(quantity).is_some_and(|uses| *uses > 0)
        };
        (0..facts.quantities.len())
            .any(|quantity| short(quantity) && unit.iter().any(|it| uses(it, quantity)))
    }

    /// Who is where they must not be beside them.
    fn apart_from(&self, all: &[usize], node: usize) -> Vec<usize> {
        let apart = all.iter().flat_map(|service| &self.facts.services[*service].apart);
        let must = apart.filter(|apart| apart.strength == Strength::Must);
        let near = must
            .filter(|apart| self.occupancy.at[apart.other].is_some_and(|at| apart.same(at, node)));
        near.map(|apart| apart.other).collect()
    }
}
