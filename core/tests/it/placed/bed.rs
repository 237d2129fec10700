//! Clusters out of a few words, for trials of plans.
//!
//! A story is told in lines: `node n1 memory=64 rack=r1`, `service db at=n1 uses=memory:8 ...`.

use std::collections::BTreeMap;

use stead_core::id::{Epoch, Incarnation, Index, NodeId, ServiceId};
use stead_core::lease::Admission;
use stead_core::placement::{self, Able, Broken, Plan, Sight, Why};
use stead_core::points::Seen;
use stead_core::state::config::{
    Config, NodeConfig, NodeRules, Place, ServiceConfig, ServiceMore, ServiceRules, Strength,
};
use stead_core::state::{Assignment, Cause, Holder, Member, State};
use stead_core::time::Span;

/// A cluster whose nodes and services are described one after the other.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub state: State,
    pub able: Able,
    seen: Seen,
}

impl Cluster {
    pub fn new() -> Self {
        let config = Config {
            name: "shop".into(),
            ride_out: Span::from_millis(300),
            round_trip: Span::from_millis(2),
            daemon_grace: Span::from_millis(10_000),
            links: BTreeMap::new(),
            nodes: BTreeMap::new(),
            services: BTreeMap::new(),
            more: Default::default(),
            later: Default::default(),
        };
        let state = State { config: Some(config), revision: 1, ..State::default() };
        Self { state, ..Self::default() }
    }

    /// A cluster out of lines; `#` begins a comment.
    pub fn told(story: &str) -> Self {
        let mut cluster = Self::new();
        for line in story.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("node"), Some(name)) => cluster.tell_node(name, words),
                (Some("service"), Some(name)) => cluster.tell_service(name, words),
                (None, _) => {}
                _ => panic!("no such line: {line}"),
            }
        }
        cluster
    }

    fn tell_node<'a>(&mut self, name: &str, words: impl Iterator<Item = &'a str>) {
        let mut rules = NodeRules::default();
        let mut state = "here";
        for word in words {
            match word.split_once('=') {
                Some((key, value)) => match value.parse() {
                    Ok(amount) => drop(rules.capacity.insert(key.into(), amount)),
                    Err(_) => drop(rules.labels.insert(key.into(), value.into())),
                },
                None => state = word,
            }
        }
        let node = self.node(name, rules);
        match state {
            "here" => {}
            "lost" => drop((self.state.view.remove(&node), self.able.nodes.remove(&node))),
            "suspect" => drop(self.able.nodes.remove(&node)),
            "standby" => drop(self.state.standby.insert(node)),
            other => panic!("a node is here, lost, suspect or on standby, not {other}"),
        }
    }

    /// Adds a node.
    pub fn node(&mut self, name: &str, rules: NodeRules) -> NodeId {
        let node = NodeId(u32::try_from(self.state.members.len() + 1).expect("few").into());
        let member = Member { name: name.into(), key: Default::default() };
        self.state.members.insert(node, member);
        let admission = Admission { incarnation: Incarnation(1), index: Index(0) };
        self.state.view.insert(node, admission);
        self.able.nodes.insert(node);
        let config = self.config();
        config.nodes.insert(name.into(), NodeConfig { site: None, addresses: BTreeMap::new() });
        config.later.fencing.rules.nodes.insert(name.into(), rules);
        node
    }

    fn tell_service<'a>(&mut self, name: &str, words: impl Iterator<Item = &'a str>) {
        let mut service = Service::default();
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let list = || value.split(',').map(str::to_owned);
            let places = || list().map(|it| Place::of(&it.replace(':', "="))).collect();
            let others = || list().map(|it| strength(&it)).collect();
            match key {
                "at" => service.at = Some(value.to_owned()),
                "importance" => service.importance = value.parse().expect("a number"),
                "prefer" => service.prefer = list().map(|it| it.replace(':', "=")).collect(),
                "failback" => service.failback = true,
                "needs" => service.needs = list().map(|it| it.as_str().into()).collect(),
                "only" => service.rules.only = places(),
                "never" => service.rules.never = places(),
                "together" => service.rules.together = others(),
                "apart" => service.rules.apart = others(),
                "apart-by" => service.rules.apart_by = Some(value.to_owned()),
                "uses" => {
                    let amount = |it: String| {
                        let (name, amount) = it.split_once(':').expect("NAME:AMOUNT");
                        (name.to_owned(), amount.parse().expect("a number"))
                    };
                    service.rules.uses = list().map(amount).collect();
                }
                other => panic!("services have no {other}"),
            }
        }
        self.service(name, service);
    }

    /// Adds a service.
    pub fn service(&mut self, name: &str, service: Service) {
        let id = ServiceId::from(name);
        let node = service.at.as_ref().map(|at| self.id(at));
        let holder = node.map_or(Holder::Never, Holder::Node);
        let epoch = Epoch(self.state.assignments.len() as u64 + 1);
        let assignment = Assignment { epoch, holder, ..Assignment::default() };
        self.state.assignments.insert(id.clone(), assignment);
        let config = self.config();
        let Service { prefer, failback, importance, needs, rules, at: _ } = service;
        let plain = ServiceConfig { prefer, failback, ..ServiceConfig::default() };
        config.services.insert(id.clone(), plain);
        let importance = if importance == 0 { 50 } else { importance };
        let more = ServiceMore { importance, needs, ..ServiceMore::default() };
        config.later.next.services.insert(id.clone(), more);
        config.later.fencing.rules.services.insert(id, rules);
    }

    pub fn config(&mut self) -> &mut Config {
        self.state.config.as_mut().expect("it has one")
    }

    pub fn id(&self, name: &str) -> NodeId {
        let found = self.state.members.iter().find(|(_, member)| member.name == name);
        *found.unwrap_or_else(|| panic!("there is no node {name}")).0
    }

    pub fn sight(&self) -> Sight<'_> {
        Sight::new(&self.state, &self.able, &self.seen)
    }

    pub fn plan(&self) -> Plan {
        placement::plan(self.sight())
    }

    pub fn broken(&self, plan: &Plan) -> Vec<Broken> {
        placement::check(self.sight(), plan)
    }

    /// A plan as it would be told: a line for each service that something is done about, or that
    /// is nowhere.
    pub fn tell(&self, plan: &Plan) -> String {
        let name = |node: NodeId| self.state.name(node);
        let line = |(service, it): (&ServiceId, &placement::Decision)| {
            let why = if let Why::Better { than, by } = &it.why {
                format!("better than {} by {by:?}", name(*than))
            } else {
                format!("{:?}", it.why)
            };
            let leaves = it.leaves.as_ref().map(|leaves| format!(" ({leaves})"));
            let leaves = leaves.unwrap_or_default();
            match (it.from, it.to) {
                (Some(from), Some(to)) if from == to => None,
                (Some(from), Some(to)) => {
                    Some(format!("{service}: {} -> {}{leaves}: {why}\n", name(from), name(to)))
                }
                (None, Some(to)) => Some(format!("{service}: -> {}: {why}\n", name(to))),
                (Some(from), None) => {
                    Some(format!("{service}: {} -> nowhere{leaves}\n", name(from)))
                }
                (None, None) => Some(format!("{service}: nowhere: {why}\n")),
            }
        };
        plan.decisions.iter().filter_map(line).collect()
    }

    /// As if the plan had been carried out.
    pub fn carried_out(&self, plan: &Plan) -> Self {
        let mut after = self.clone();
        for (service, decision) in &plan.decisions {
            let Some(assignment) = after.state.assignments.get_mut(service) else { continue };
            let cause = Cause::Planned;
            match (decision.from, decision.to) {
                (_, Some(to)) => assignment.holder = Holder::Node(to),
                (Some(node), None) => {
                    assignment.holder = Holder::Stopped { node, cause, took: Span::ZERO };
                }
                (None, None) => {}
            }
        }
        after
    }

    /// As if a node were lost, and what it had proven to be over.
    pub fn without(&self, node: NodeId) -> Self {
        let mut after = self.clone();
        after.state.view.remove(&node);
        after.able.nodes.remove(&node);
        for assignment in after.state.assignments.values_mut() {
            if assignment.holder.node() == Some(node) {
                let cause = Cause::Silent;
                assignment.holder = Holder::Stopped { node, cause, took: Span::ZERO };
            }
        }
        after
    }
}

/// A service to be.
#[derive(Clone, Debug, Default)]
pub struct Service {
    pub at: Option<String>,
    pub importance: u8,
    pub prefer: Vec<String>,
    pub failback: bool,
    pub needs: std::collections::BTreeSet<ServiceId>,
    pub rules: ServiceRules,
}

/// `db`, which is a must, or `db:30`.
fn strength(text: &str) -> (ServiceId, Strength) {
    match text.split_once(':') {
        Some((name, number)) => {
            (name.into(), Strength::Rather(number.parse().expect("from 1 to 100")))
        }
        None => (text.into(), Strength::Must),
    }
}
