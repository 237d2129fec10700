//! Trials of the ways by which nodes are switched off: what came of them, and which are under way.
//!
//! | change | who proposes it, and when |
//! |---|---|
//! | `FenceChange::Rehearsed` | who asked devices for their status |
//! | `FenceChange::CycleBegins` | who is about to switch a machine off and on |
//! | `FenceChange::CycleEnds` | the same, when devices have spoken |
//!
//! A machine goes off for a trial only while it has nothing, and that has to stay so until it is on
//! again: so it is in the state before a device hears of it. Until it ends the node is neither
//! taken off standby nor admitted nor fenced for another reason (rule X8). It ends by itself with
//! the place of whoever makes it in the view.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::apply::Applied;
use super::{FenceSaid, Outcome, Refusal, State};
use crate::id::{Index, NodeId};
use crate::time::Span;

/// A trial of the way to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// From which node.
    pub by: NodeId,
    /// Whether the machine was really switched off and on.
    pub cycled: bool,
    /// What the devices said.
    pub said: FenceSaid,
    /// When it last succeeded, in seconds since 1970; nothing if it never has.
    pub good: Option<u64>,
}

/// A machine that is being switched off and on for a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// The entry that began it: its number.
    pub number: Index,
    /// On which node devices are asked.
    pub by: NodeId,
    /// When it began, by that node's wall clock, in seconds since 1970. For people.
    pub wall: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CycleEnd {
    /// The entry that began it.
    pub number: Index,
    /// On which node devices were asked.
    pub by: NodeId,
    /// What they said.
    pub said: FenceSaid,
    /// It was heard before, and fell silent when its devices said that it is off.
    pub seen: bool,
    /// Whoever made it did not come to the end: that says nothing about the devices.
    pub given_up: bool,
}

/// What is known of such trials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycles {
    /// Those under way.
    pub under_way: BTreeMap<NodeId, Cycle>,
    /// What came of the last one of each node.
    pub last: BTreeMap<NodeId, CycleEnd>,
}

impl State {
    /// The trial for which that node's machine is being switched off and on, if one is under way.
    #[must_use]
    pub fn cycle(&self, node: NodeId) -> Option<Cycle> {
        self.later.fencing.cycles.under_way.get(&node).copied()
    }

    /// Why that node's machine may not be switched off and on by that other one for a trial.
    ///
    /// # Errors
    /// Says what stands against it.
    pub fn may_cycle(&self, node: NodeId, by: NodeId) -> Result<(), Refusal> {
        if !self.members.contains_key(&node) {
            return Err(Refusal::NoSuchNode);
        }
        if self.is_being_fenced(node) {
            return Err(Refusal::Fenced(node));
        }
        if node == by || !self.view.contains_key(&by) {
            return Err(Refusal::NotEligible(by));
        }
        let in_peace = !self.is_disarmed() && !self.is_node_maintained(node);
        let here = self.view.contains_key(&node);
        if !in_peace || !self.has_ways(node) || here && !self.standby.contains(&node) {
            return Err(Refusal::Stale);
        }
        // What waits for a node that is lost is not on it any more, or can't be told from that.
        let mut held = self.held_by(node).map(|(service, _)| service);
        let copied = || {
            let mut all = self.later.next.copies.iter();
            all.find(|(_, nodes)| nodes.contains_key(&node)).map(|(service, _)| service)
        };
        match held.next().or_else(copied).filter(|_| here) {
            Some(service) => Err(Refusal::StillServes(service.clone())),
            None => Ok(()),
        }
    }

    /// A machine is about to be switched off and on.
    pub(super) fn begin_cycle(&mut self, node: NodeId, by: NodeId, wall: u64) -> Applied {
        self.may_cycle(node, by)?;
        let cycle = Cycle { number: self.applied, by, wall };
        self.later.fencing.cycles.under_way.insert(node, cycle);
        Ok(Outcome::Done)
    }

    /// It was, or that failed.
    pub(super) fn end_cycle(&mut self, node: NodeId, end: CycleEnd) -> Applied {
        if self.cycle(node).map(|cycle| cycle.number) != Some(end.number) {
            return Err(Refusal::Stale);
        }
        self.later.fencing.cycles.under_way.remove(&node);
        // Only a machine that was seen to go off shows that its devices tell the truth.
        if end.said.outcome.is_ok() && end.seen && !end.given_up {
            self.later.fencing.doubted.remove(&node);
        }
        if !end.given_up {
            let (by, said) = (end.by, end.said.clone());
            self.note_trial(node, Rehearsal { by, cycled: true, said, good: None });
        }
        self.later.fencing.cycles.last.insert(node, end);
        Ok(Outcome::Done)
    }

    /// The devices of a node were asked for its status.
    pub(super) fn note_rehearsal(&mut self, node: NodeId, rehearsal: Rehearsal) -> Applied {
        if !self.members.contains_key(&node) {
            return Err(Refusal::NoSuchNode);
        }
        self.note_trial(node, Rehearsal { cycled: false, ..rehearsal });
        Ok(Outcome::Done)
    }

    fn note_trial(&mut self, node: NodeId, mut rehearsal: Rehearsal) {
        let fencing = &mut self.later.fencing;
        let before = fencing.rehearsed.get(&node).and_then(|it| it.good);
        let good = rehearsal.said.outcome.is_ok();
        rehearsal.good = if good { Some(rehearsal.said.wall) } else { before };
        if good {
            fencing.failures.remove(&node);
        }
        fencing.rehearsed.insert(node, rehearsal);
    }

    /// Whoever is no longer in the view, or in it by another start, ends what it had begun.
    pub(super) fn end_cycles_of(&mut self, by: NodeId) {
        let all = self.later.fencing.cycles.under_way.iter();
        let begun = all.filter(|(_, it)| it.by == by).map(|(node, it)| (*node, *it));
        let begun: Vec<_> = begun.collect();
        for (node, Cycle { number, by, wall }) in begun {
            let why = alloc::format!(
                "given up: {} was lost in the middle of it, and may have left it off",
                self.name(by)
            );
            let (outcome, steps) = (Err(why), Vec::new());
            let said = FenceSaid { outcome, cut_off: false, steps, took: Span::ZERO, wall };
            let end = CycleEnd { number, by, said, seen: false, given_up: true };
            self.later.fencing.cycles.under_way.remove(&node);
            self.later.fencing.cycles.last.insert(node, end);
        }
    }
}
