//! Which nodes are being fenced, which were, and what is known of the ways to them.
//!
//! | change | who proposes it, and when |
//! |---|---|
//! | [`FenceChange::Begins`] | the coordinator, before any device is asked |
//! | [`FenceChange::Ends`] | the coordinator: devices have spoken, or nobody asks them more |
//! | [`FenceChange::Doubted`] | the coordinator: a node goes on that devices called off |
//! | [`FenceChange::Rehearsed`] | whoever tried the way to a node |
//! | [`FenceChange::CycleBegins`], [`FenceChange::CycleEnds`] | whoever tries it by a power cycle |
//!
//! An attempt is begun in the state before a device hears of it. So no node is admitted while
//! somebody may be switching it off, and a new coordinator knows of what the one before had begun.
//! What a success frees follows from its record and from nothing else ([`State::is_fenced`]).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::apply::Applied;
use super::config::Config;
use super::watchdog::Watchdog;
use super::{CycleEnd, Cycles, Outcome, Refusal, Rehearsal, State, StateRedirect, StateTimes};
use crate::id::{Epoch, Incarnation, NodeId, Term};
use crate::time::Span;

/// How many attempts are remembered.
pub const FENCES_KEPT: usize = 32;

/// What a state has behind that of 0.5, beside that of its configuration: what is known of fencing.
/// Only members from 0.6 on read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFencing {
    /// The attempts under way.
    pub under_way: BTreeMap<NodeId, FenceBegun>,
    /// Which start of its guard was admitted last, of nodes that were taken out of the view. Who
    /// has them switched off may never have heard it.
    pub lost: BTreeMap<NodeId, Incarnation>,
    /// Nodes that are proven to be off, until one is admitted anew: all starts of their guards up
    /// to that one are over.
    pub fenced: BTreeMap<NodeId, Incarnation>,
    /// Those of them that may go on and are heard all the same: their devices did not take their
    /// power, but cut them off from all that others go on with.
    pub cut_off: BTreeSet<NodeId>,
    /// How many attempts in a row failed.
    pub failures: BTreeMap<NodeId, u32>,
    /// The last attempts, oldest first.
    pub records: Vec<FenceEnd>,
    /// Nodes that went on though their devices called them off, and what was seen. Their devices'
    /// word is no proof until the way was tried with success.
    pub doubted: BTreeMap<NodeId, String>,
    /// What came of the last trial of the way to each node.
    pub rehearsed: BTreeMap<NodeId, Rehearsal>,
    /// What is known of nodes' watchdogs.
    pub watchdogs: BTreeMap<NodeId, Watchdog>,
    /// Machines that are switched off and on for a trial, and what came of it.
    pub cycles: Cycles,
    /// What 0.6 knows nothing of.
    #[serde(skip)]
    pub times: StateTimes,
    /// What 0.7 knows nothing of.
    #[serde(skip)]
    pub redirect: StateRedirect,
}

/// Something about a node's being switched off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FenceChange {
    /// The devices of a node that is out of the view are about to be asked to switch it off.
    Begins {
        /// The node.
        node: NodeId,
        /// The term of the coordinator that decided it.
        term: Term,
        /// On which node they are asked.
        by: NodeId,
        /// The newest start of the node's guard that is known.
        incarnation: Incarnation,
    },
    /// They have spoken, or nobody asks them any more.
    Ends(FenceEnd),
    /// A start of a node's guard goes on that its devices called off.
    Doubted {
        /// The node.
        node: NodeId,
        /// That start.
        incarnation: Incarnation,
        /// What was seen.
        why: String,
    },
    /// The way to a node was tried: its devices were asked for its status.
    Rehearsed {
        /// The node.
        node: NodeId,
        /// What came of it.
        rehearsal: Rehearsal,
    },
    /// A node's machine is about to be switched off and on, to try the way to it.
    CycleBegins {
        /// The node.
        node: NodeId,
        /// On which node devices are asked.
        by: NodeId,
        /// When, by that node's wall clock, in seconds since 1970. For people.
        wall: u64,
    },
    /// It was, or that failed.
    CycleEnds {
        /// The node.
        node: NodeId,
        /// What came of it.
        end: CycleEnd,
    },
}

/// An attempt under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceBegun {
    /// Its number.
    pub number: Epoch,
    /// The term of the coordinator that began it.
    pub term: Term,
    /// On which node devices are asked.
    pub by: NodeId,
    /// The newest start of the node's guard that was known then.
    pub incarnation: Incarnation,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceEnd {
    /// The node.
    pub node: NodeId,
    /// The attempt; nothing if a half of the voters broke a tie by it, before which nothing could
    /// be committed.
    pub number: Option<Epoch>,
    /// The term of the coordinator that tells it.
    pub term: Term,
    /// On which node devices were asked.
    pub by: NodeId,
    /// If it is off: all starts of its guard up to that one are over.
    pub incarnation: Incarnation,
    /// Nobody asks the devices any more: whoever did decides no longer.
    pub given_up: bool,
    /// What the devices said.
    pub said: FenceSaid,
}

/// What the devices of a node said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceSaid {
    /// By which level it is off; or why that is not known.
    pub outcome: Result<String, String>,
    /// If it is off: only cut off from what others go on with (`fence_scsi`). Its machine goes on,
    /// and has to boot before it is let in again.
    pub cut_off: bool,
    /// What each device was asked and said, in order, a line each.
    pub steps: Vec<String>,
    /// How long it took.
    pub took: Span,
    /// When it ended, by the asking node's wall clock, in seconds since 1970. For people.
    pub wall: u64,
}

impl State {
    /// Whether all starts of a node's guard up to that one are proven to be over, as the node was
    /// switched off since.
    #[must_use]
    pub fn is_fenced(&self, node: NodeId, incarnation: Incarnation) -> bool {
        self.later.fencing.fenced.get(&node).is_some_and(|fenced| *fenced >= incarnation)
    }

    /// Whether a start of that node's guard that is proven to be over may be heard all the same: it
    /// was cut off, and goes on without what was taken from it.
    #[must_use]
    pub fn is_cut_off(&self, node: NodeId) -> bool {
        self.later.fencing.cut_off.contains(&node)
    }

    /// Whether somebody may be switching that node off.
    #[must_use]
    pub fn is_being_fenced(&self, node: NodeId) -> bool {
        self.later.fencing.under_way.contains_key(&node) || self.cycle(node).is_some()
    }

    /// Whether there are devices for that node.
    #[must_use]
    pub fn has_ways(&self, node: NodeId) -> bool {
        let config = self.config.as_ref().and_then(|config| config.fencing(&self.name(node)));
        config.is_some_and(|fencing| !fencing.levels.is_empty())
    }

    /// Whether there are devices for that node whose word is relied upon.
    #[must_use]
    pub fn is_fenceable(&self, node: NodeId) -> bool {
        self.has_ways(node) && !self.later.fencing.doubted.contains_key(&node)
    }

    pub(super) fn change_fencing(&mut self, change: FenceChange) -> Applied {
        match change {
            FenceChange::Begins { node, term, by, incarnation } => {
                self.begin_fence(node, term, by, incarnation)
            }
            FenceChange::Ends(end) => self.end_fence(end),
            FenceChange::Doubted { node, incarnation, why } => {
                self.doubt_fence(node, incarnation, why)
            }
            FenceChange::Rehearsed { node, rehearsal } => self.note_rehearsal(node, rehearsal),
            FenceChange::CycleBegins { node, by, wall } => self.begin_cycle(node, by, wall),
            FenceChange::CycleEnds { node, end } => self.end_cycle(node, end),
        }
    }

    /// The coordinator of that term is about to ask the devices of a node that is out of the view.
    fn begin_fence(
        &mut self,
        node: NodeId,
        term: Term,
        by: NodeId,
        incarnation: Incarnation,
    ) -> Applied {
        if !self.members.contains_key(&node) {
            return Err(Refusal::NoSuchNode);
        }
        let known = self.is_being_fenced(node);
        let here = self.view.contains_key(&node);
        let done = self.is_fenced(node, incarnation);
        if term != self.term || known || here || done || !self.is_fenceable(node) {
            return Err(Refusal::Stale);
        }
        self.epoch = self.epoch.next();
        let lost = self.later.fencing.lost.get(&node).copied().unwrap_or_default();
        let incarnation = incarnation.max(lost);
        let begun = FenceBegun { number: self.epoch, term, by, incarnation };
        self.later.fencing.under_way.insert(node, begun);
        Ok(Outcome::Done)
    }

    /// The devices of a node have spoken, or nobody asks them any more.
    fn end_fence(&mut self, end: FenceEnd) -> Applied {
        let node = end.node;
        if !self.members.contains_key(&node) || end.term != self.term {
            return Err(Refusal::Stale);
        }
        let newer = self.view.get(&node).is_some_and(|it| it.incarnation > end.incarnation);
        let begun = self.later.fencing.under_way.get(&node).copied();
        if newer || begun.map(|begun| begun.number) != end.number {
            return Err(Refusal::Stale);
        }
        self.later.fencing.under_way.remove(&node);
        if end.said.outcome.is_ok() {
            let fenced = self.later.fencing.fenced.entry(node).or_default();
            *fenced = end.incarnation.max(*fenced);
            if end.said.cut_off {
                self.later.fencing.cut_off.insert(node);
            } else {
                self.later.fencing.cut_off.remove(&node);
            }
            self.later.fencing.failures.remove(&node);
            if !self.view.contains_key(&node) {
                self.free_bound(node);
                self.forget_unwanted();
            }
        } else if !end.given_up {
            let failures = self.later.fencing.failures.entry(node).or_default();
            *failures = failures.saturating_add(1);
        }
        let records = &mut self.later.fencing.records;
        records.push(end);
        let surplus = records.len().saturating_sub(FENCES_KEPT);
        records.drain(..surplus);
        Ok(Outcome::Done)
    }

    /// A start of a node's guard is heard that was proven to be over.
    fn doubt_fence(&mut self, node: NodeId, incarnation: Incarnation, why: String) -> Applied {
        let known = self.later.fencing.doubted.contains_key(&node);
        if known || !self.is_fenced(node, incarnation) || self.is_cut_off(node) {
            return Err(Refusal::Stale);
        }
        self.later.fencing.doubted.insert(node, why);
        if self.view.contains_key(&node) {
            // Nothing was freed by it yet, and nothing shall be.
            self.later.fencing.fenced.remove(&node);
        }
        Ok(Outcome::Done)
    }

    /// What is known of the ways to nodes belongs to their present description. To be called with
    /// the configuration that comes, before it is taken.
    pub(super) fn forget_changed_ways(&mut self, config: &Config) {
        let Some(now) = &self.config else { return };
        let (old, new) = (&now.later.fencing, &config.later.fencing);
        let same = |name: &str| {
            let (before, after) = (old.nodes.get(name), new.nodes.get(name));
            let levels = before.map(|it| &it.levels) == after.map(|it| &it.levels);
            let plugs = after.into_iter().flat_map(|it| &it.levels).flatten();
            let devices = |name: &String| old.devices.get(name) == new.devices.get(name);
            levels && plugs.map(|plug| &plug.device).all(devices)
        };
        let changed = self.members.iter().filter(|(_, member)| !same(&member.name));
        let changed: Vec<_> = changed.map(|(node, _)| *node).collect();
        let fencing = &mut self.later.fencing;
        for node in changed {
            fencing.doubted.remove(&node);
            fencing.failures.remove(&node);
            fencing.rehearsed.remove(&node);
            fencing.cycles.last.remove(&node);
        }
    }

    /// That start of a node's guard is out of the view. Of nodes without fence devices nothing is
    /// kept: members of before 0.6 would not read it.
    pub(super) fn note_lost(&mut self, node: NodeId, incarnation: Incarnation) {
        let config = self.config.as_ref();
        if config.is_some_and(|config| config.fencing(&self.name(node)).is_some()) {
            self.later.fencing.lost.insert(node, incarnation);
        }
    }

    /// The node is no member any more.
    pub(super) fn forget_fencing_of(&mut self, node: NodeId) {
        let fencing = &mut self.later.fencing;
        fencing.under_way.remove(&node);
        fencing.lost.remove(&node);
        fencing.fenced.remove(&node);
        fencing.cut_off.remove(&node);
        fencing.failures.remove(&node);
        fencing.doubted.remove(&node);
        fencing.rehearsed.remove(&node);
        fencing.cycles.last.remove(&node);
        fencing.cycles.under_way.remove(&node);
        self.end_cycles_of(node);
    }
}
