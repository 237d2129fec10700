//! Makes room for what no node may take as things are.
//!
//! Of what is on a node, some may be able to go elsewhere, and some may count for less than what
//! has no place. The node is chosen on which the least is lost, then the one where the fewest have
//! to move. Nothing is lost for something that is not more important, but for what it needs.

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
    /// What counts for less than this may be lost for it, and what needs it.
    mine: u8,
    /// How important all is that would be lost.
    lost: u32,
    /// Sets that have to go, each with whether it has another place.
    gone: Vec<(Vec<usize>, bool)>,
}

impl Planner<'_, '_> {
    /// Has others make room for all of them on one node, who count for less than `mine` or can go
    /// elsewhere; whether that can be.
    pub(super) fn make_room(&mut self, all: &[usize], mine: u8) -> bool {
        let mut best: Option<Room> = None;
        for node in 0..self.facts.nodes.len() {
            let cost = |room: &Room| (room.lost, room.gone.len());
            let Some(room) = self.room(all, node, mine) else { continue };
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
            if !self.put_best(&unit) && !self.make_room(&unit, self.importance(&unit)) {
                if goes {
                    return false;
                }
                for service in unit {
                    if !self.put_best(&[service]) && !self.make_room_for(service) {
                        self.fates[service].why = Some(Why::Nowhere);
                    }
                }
            }
        }
        true
    }

    /// The same for one service.
    pub(super) fn make_room_for(&mut self, service: usize) -> bool {
        self.make_room(&[service], self.facts.services[service].importance)
    }

    /// Who would have to go from that node so that all of them may be there.
    fn room(&mut self, all: &[usize], node: usize, mine: u8) -> Option<Room> {
        let facts = self.facts;
        if all.iter().any(|service| facts.barred(*service, node).is_some()) {
            return None;
        }
        let mut room = Room { node, mine, lost: 0, gone: Vec::new() };
        let mut lifted = Vec::new();
        let found = self.clear(all, &mut room, &mut lifted);
        self.put_back(&lifted);
        found.then_some(room)
    }

    /// Takes from a node, for a trial, what is in the way of all of them.
    fn clear(&mut self, all: &[usize], room: &mut Room, lifted: &mut Vec<(usize, usize)>) -> bool {
        let (node, mine) = (room.node, room.mine);
        // Who must not be beside them has to go in any case.
        for other in self.in_the_way(all, node) {
            if self.occupancy.at[other].is_none() || self.lift_for(other, all, room, lifted) {
                continue;
            }
            if !self.gives_way(other, all, mine) || !self.is_movable(other) {
                return false;
            }
            self.lose(other, room, lifted);
        }
        if self.may(all, node) {
            return true;
        }
        let mut there: Vec<Vec<usize>> = Vec::new();
        for service in &self.occupancy.on[node] {
            let unit = self.standing_with(*service);
            if !there.contains(&unit) && self.helps(&unit, all, node) {
                there.push(unit);
            }
        }
        there.sort_by_key(|unit| (self.importance(unit), unit.first().copied()));
        // One that can go elsewhere, and is enough, costs nobody anything but a move.
        for unit in there.iter().take(TRIED) {
            let mark = lifted.len();
            if self.can_go(unit, all, node, lifted) && self.may(all, node) {
                room.gone.push((unit.clone(), true));
                return true;
            }
            self.put_back_from(lifted, mark);
        }
        // Of a set that goes together a part may count for less than they do.
        let mut less: Vec<usize> = there.into_iter().flatten().collect();
        less.retain(|service| self.gives_way(*service, all, mine) && self.is_movable(*service));
        less.sort_by_key(|service| (self.importance(&[*service]), *service));
        less.into_iter().any(|service| {
            self.lose(service, room, lifted);
            self.may(all, node)
        })
    }

    /// Whether it may be lost for all of them: it counts for less, or needs one of them, and is of
    /// no use without.
    fn gives_way(&self, service: usize, all: &[usize], mine: u8) -> bool {
        let its = self.facts.services[service].importance;
        its < mine || its == mine && self.facts.stands_on(service, all)
    }

    /// Lifts a service that counts for less, for which there may be no other place.
    fn lose(&mut self, service: usize, room: &mut Room, lifted: &mut Vec<(usize, usize)>) {
        lifted.extend(self.lift(&[service]));
        room.lost += u32::from(self.importance(&[service]));
        room.gone.push((vec![service], false));
    }

    /// Lifts a set; whether it has another place once all of them are there.
    fn can_go(
        &mut self,
        unit: &[usize],
        all: &[usize],
        node: usize,
        lifted: &mut Vec<(usize, usize)>,
    ) -> bool {
        if !unit.iter().all(|service| self.is_movable(*service)) {
            return false;
        }
        let Some(from) = unit.first().and_then(|it| self.occupancy.at[*it]) else {
            return false;
        };
        lifted.extend(self.lift(unit));
        if self.asked >= ASKED {
            return false;
        }
        self.asked += 1;
        let facts = self.facts;
        all.iter().for_each(|service| self.occupancy.put(facts, *service, node));
        let goes = (0..facts.nodes.len()).any(|to| to != from && self.may(unit, to));
        all.iter().for_each(|service| self.occupancy.take(facts, *service));
        goes
    }

    /// Lifts the set of a service, if that may go: it has another place, or counts for less.
    fn lift_for(
        &mut self,
        service: usize,
        all: &[usize],
        room: &mut Room,
        lifted: &mut Vec<(usize, usize)>,
    ) -> bool {
        let (mine, node) = (room.mine, room.node);
        let unit = self.standing_with(service);
        if !unit.iter().all(|service| self.is_movable(*service)) {
            return false;
        }
        let mark = lifted.len();
        let goes = self.can_go(&unit, all, node, lifted);
        if !goes && !unit.iter().all(|service| self.gives_way(*service, all, mine)) {
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

    /// Who of a service's set is somewhere.
    fn standing_with(&self, service: usize) -> Vec<usize> {
        let unit = self.unit(service).iter().copied();
        unit.filter(|it| self.occupancy.at[*it].is_some()).collect()
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

    /// Who is where they must not be beside them, and who is elsewhere that goes together with
    /// them.
    fn in_the_way(&self, all: &[usize], node: usize) -> Vec<usize> {
        let at = |service: usize| self.occupancy.at[service];
        let each = all.iter().map(|service| &self.facts.services[*service]);
        let apart = each.clone().flat_map(|it| &it.apart).filter(|apart| {
            let near = at(apart.other).is_some_and(|at| apart.same(at, node));
            near && apart.strength == Strength::Must
        });
        let together = each.flat_map(|it| &it.together).filter(|(other, strength)| {
            *strength == Strength::Must && at(*other).is_some_and(|at| at != node)
        });
        apart.map(|apart| apart.other).chain(together.map(|(other, _)| *other)).collect()
    }
}
