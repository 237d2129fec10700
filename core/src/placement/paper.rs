//! What a cluster would be after something that has not happened: after a plan, after the loss of
//! nodes, or with nothing known of it but its configuration.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::plan::{Plan, plan};
use super::{Able, Sight};
use crate::id::{Epoch, Incarnation, Index, NodeId, ServiceId};
use crate::lease::Admission;
use crate::points::Seen;
use crate::state::config::{Config, Safety};
use crate::state::{
    Assignment, Cause, Copied, CopyStage, Digest, Holder, Member, State, Watchdog, score_of,
};
use crate::time::Span;
use crate::timers::Timers;

/// As if a plan had been carried out.
#[must_use]
pub fn settled(state: &State, plan: &Plan) -> State {
    let mut state = state.clone();
    for (service, decision) in &plan.decisions {
        let Some(assignment) = state.assignments.get_mut(service) else { continue };
        if let Some(to) = decision.to {
            assignment.holder = Holder::Node(to);
        } else if let Some(node) = decision.from {
            let cause = Cause::Planned;
            assignment.holder = Holder::Stopped { node, cause, took: Span::ZERO };
        }
    }
    state
}

/// As if those nodes had been lost, and what could be proven of them had been; and which services
/// would wait for which of them, since nothing can prove that it is off.
#[must_use]
pub fn without(state: &State, nodes: &BTreeSet<NodeId>) -> (State, BTreeMap<ServiceId, NodeId>) {
    let waits = waiting(state, nodes);
    let mut state = state.clone();
    for node in nodes {
        lose(&mut state, *node, |service| !waits.contains_key(service));
    }
    (state, waits)
}

/// Takes a node out of the view, and what it has from it where `is_free` says so.
fn lose(state: &mut State, node: NodeId, is_free: impl Fn(&ServiceId) -> bool) {
    state.view.remove(&node);
    for (service, assignment) in &mut state.assignments {
        if assignment.holder.node() == Some(node) && is_free(service) {
            let cause = Cause::Silent;
            assignment.holder = Holder::Stopped { node, cause, took: Span::ZERO };
        }
    }
}

/// What would wait for a lost node, since nothing can prove that it is off.
fn waiting(state: &State, gone: &BTreeSet<NodeId>) -> BTreeMap<ServiceId, NodeId> {
    let Some(config) = &state.config else { return BTreeMap::new() };
    let waits = state.assignments.iter().filter_map(|(service, it)| {
        let node = it.holder.node().filter(|node| gone.contains(node))?;
        let provable = state.is_fenceable(node) || state.relied_on(node).is_some();
        let waits = config.safety(service) == Safety::Fence && !provable;
        waits.then(|| (service.clone(), node))
    });
    waits.collect()
}

/// A cluster of which nothing is known but what its file says: every node is up and able, every
/// copy is as fit as the others, and nothing runs yet.
#[derive(Clone, Debug)]
pub struct Paper {
    state: State,
    able: Able,
    seen: Seen,
}

impl Paper {
    /// That of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut paper =
            Self { state: State::default(), able: Able::default(), seen: Seen::default() };
        for (number, name) in (1..).zip(config.nodes.keys()) {
            let member = Member { name: name.clone(), key: Digest::default() };
            paper.state.members.insert(NodeId(number), member);
            paper.regain(NodeId(number));
        }
        for id in config.services.keys() {
            paper.state.assignments.insert(id.clone(), Assignment::default());
            paper.promotable(config, id);
        }
        paper.state.config = Some(config.clone());
        paper.arm(config);
        paper
    }

    /// Has every watchdog that is wanted armed, with the shortest timeout that it may have.
    fn arm(&mut self, config: &Config) {
        let Ok(timers) = Timers::derive(config.ride_out, config.round_trip) else { return };
        let seconds = timers.watchdog().as_micros().div_ceil(1_000_000);
        let timeout = Some(Span::from_millis(seconds.saturating_mul(1_000)));
        for node in self.state.members.keys().copied().collect::<Vec<_>>() {
            if self.state.wants_watchdog(node) {
                let armed = Watchdog { timeout, ..Watchdog::default() };
                self.state.later.fencing.watchdogs.insert(node, armed);
            }
        }
    }

    /// Has every copy of a service run, and be worth a promotion.
    fn promotable(&mut self, config: &Config, service: &ServiceId) {
        let Some(copies) = config.copies(service) else { return };
        let next = &mut self.state.later.next;
        for (node, member) in &self.state.members {
            if copies.is_on(&member.name) {
                let copied = Copied { epoch: Epoch(1), stage: CopyStage::Runs };
                next.copies.entry(service.clone()).or_default().insert(*node, copied);
                let said = next.attributes.transient.entry(*node).or_default();
                let scores = copies.promotable.iter().map(|it| score_of(service, it));
                said.extend(scores.map(|name| (name, String::from("1"))));
            }
        }
    }

    /// By another configuration with the same nodes and services.
    #[must_use]
    pub(super) fn by(&self, config: &Config) -> Self {
        let mut other = self.clone();
        other.state.config = Some(config.clone());
        other
    }

    /// As it is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What a plan is made from.
    #[must_use]
    pub fn sight(&self) -> Sight<'_> {
        Sight::new(&self.state, &self.able, &self.seen)
    }

    /// Makes a plan, carries it out, and hands it out.
    pub fn settle(&mut self) -> Plan {
        let plan = plan(self.sight());
        self.state = settled(&self.state, &plan);
        plan
    }

    /// Loses a node, and all that it has is free: whether that could be proven is nothing that
    /// rules change.
    pub fn lose(&mut self, node: NodeId) {
        lose(&mut self.state, node, |_| true);
        self.able.nodes.remove(&node);
    }

    /// Has a node come, or come back.
    pub fn regain(&mut self, node: NodeId) {
        let admission = Admission { incarnation: Incarnation(1), index: Index(0) };
        self.state.view.insert(node, admission);
        self.able.nodes.insert(node);
    }
}
