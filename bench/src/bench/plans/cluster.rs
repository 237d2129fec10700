//! Such a cluster as stead knows it.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::id::{Epoch, Incarnation, Index, NodeId, ServiceId};
use stead_core::lease::Admission;
use stead_core::placement::{self, Able, Plan, Sight};
use stead_core::points::Seen;
use stead_core::state::config::{Config, NodeConfig, NodeRules, ServiceConfig, ServiceRules};
use stead_core::state::{Assignment, Cause, Holder, Member, State};
use stead_core::time::Span;

use super::Variant;

/// What each quantity is called, and how much of it a service uses: between these.
pub(super) const QUANTITIES: [(&str, u64, u64); 2] = [("cpu", 5, 25), ("memory", 500, 2_500)];

/// How much a service uses of a quantity: the same in every run.
pub(super) fn uses(service: usize, (least, most): (u64, u64)) -> u64 {
    // Knuth's multiplicative hash: no two services in a row are alike.
    let mixed = (service as u64).wrapping_mul(2_654_435_761) >> 7;
    least + mixed % (most - least + 1)
}

/// How much a node has: enough for its share of services of the largest size, and more than that.
pub(super) fn has(nodes: usize, services: usize, most: u64) -> u64 {
    services.div_ceil(nodes) as u64 * most * 8 / 5
}

/// The nodes that a service prefers.
pub(super) fn preferred(service: usize, nodes: usize) -> [usize; 2] {
    let first = service % nodes;
    [first, (first + 1 + service / nodes % (nodes - 1).max(1)) % nodes]
}

/// It.
pub(super) struct Cluster {
    state: State,
    able: Able,
}

impl Cluster {
    pub(super) fn new(nodes: usize, services: usize, variant: Variant) -> Self {
        let mut config = Config {
            name: "bench".into(),
            ride_out: Span::from_millis(300),
            round_trip: Span::from_millis(2),
            daemon_grace: Span::from_millis(10_000),
            links: BTreeMap::new(),
            nodes: BTreeMap::new(),
            services: BTreeMap::new(),
            more: Default::default(),
            later: Default::default(),
        };
        let mut state = State { revision: 1, ..State::default() };
        let node = |number: usize| format!("node{}", number + 1);
        let rules = &mut config.later.fencing.rules;
        for number in 0..nodes {
            let id = NodeId(number as u64 + 1);
            let member = Member { name: node(number), key: Default::default() };
            state.members.insert(id, member);
            let admission = Admission { incarnation: Incarnation(1), index: Index(0) };
            state.view.insert(id, admission);
            let plain = NodeConfig { site: None, addresses: BTreeMap::new() };
            config.nodes.insert(node(number), plain);
            if variant == Variant::Room {
                let capacity =
                    QUANTITIES.map(|(name, _, most)| (name.to_owned(), has(nodes, services, most)));
                let one = NodeRules { capacity: capacity.into(), ..NodeRules::default() };
                rules.nodes.insert(node(number), one);
            }
        }
        for number in 0..services {
            let id = ServiceId::from(format!("r{number}").as_str());
            let prefer = preferred(number, nodes).map(node).to_vec();
            config.services.insert(id.clone(), ServiceConfig { prefer, ..Default::default() });
            if variant == Variant::Room {
                let uses = QUANTITIES
                    .map(|(name, least, most)| (name.to_owned(), uses(number, (least, most))));
                let one = ServiceRules { uses: uses.into(), ..ServiceRules::default() };
                rules.services.insert(id.clone(), one);
            }
            let epoch = Epoch(number as u64 + 1);
            state.assignments.insert(id, Assignment { epoch, ..Assignment::default() });
        }
        state.config = Some(config);
        let able = Able::from(state.view.keys().copied().collect::<BTreeSet<_>>());
        Self { state, able }
    }

    pub(super) fn plan(&self) -> Plan {
        placement::plan(Sight::new(&self.state, &self.able, &Seen::default()))
    }

    /// As if a plan had been carried out.
    pub(super) fn settle(&mut self, plan: &Plan) {
        for (service, decision) in &plan.decisions {
            let holder = decision.to.map_or(Holder::Never, Holder::Node);
            if let Some(assignment) = self.state.assignments.get_mut(service) {
                assignment.holder = holder;
            }
        }
    }

    /// A node is lost, and proven to be off.
    pub(super) fn lose(&mut self, number: usize) {
        let node = NodeId(number as u64 + 1);
        self.state.view.remove(&node);
        self.able.nodes.remove(&node);
        for assignment in self.state.assignments.values_mut() {
            if assignment.holder == Holder::Node(node) {
                let cause = Cause::Silent;
                assignment.holder = Holder::Stopped { node, cause, took: Span::ZERO };
            }
        }
    }
}
