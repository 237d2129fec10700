//! What tools see of the cluster: the answer of the daemon.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stead_core::id::NodeId;
use stead_core::resource::{Part, order, parts};
use stead_core::state::config::{Agent, ResourceConfig, ServiceMore};
use stead_core::state::{AttributeScope, Holder, State};

use crate::driver::view::View;

/// The cluster, as the answering node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolsAnswer {
    /// The answering node.
    pub node: String,
    /// Whether this part of the cluster may act.
    pub quorate: bool,
    /// All members.
    pub nodes: Vec<NodeAnswer>,
    /// What is remembered of nodes while they are there, by node and name.
    pub transient: BTreeMap<String, BTreeMap<String, String>>,
    /// What is remembered of nodes for good.
    pub permanent: BTreeMap<String, BTreeMap<String, String>>,
    /// What is remembered of the cluster.
    pub cluster: BTreeMap<String, String>,
    /// The resources that have an agent of OCF.
    pub resources: Vec<ResourceAnswer>,
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAnswer {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u64,
    /// It is in the view.
    pub online: bool,
    /// It shall be without services.
    pub standby: bool,
    /// It coordinates.
    pub coordinates: bool,
}

/// A resource, and where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceAnswer {
    /// As its agent knows it.
    pub instance: String,
    /// Its agent.
    pub agent: String,
    /// It can be promoted.
    pub promotable: bool,
    /// The nodes where it runs, and whether it is promoted there.
    pub nodes: BTreeMap<String, bool>,
}

/// What a picture shows of it.
pub(crate) fn answer(view: &View) -> ToolsAnswer {
    let state = &view.state;
    let leader = view.log.leader;
    let node = |(node, member): (&NodeId, &stead_core::state::Member)| NodeAnswer {
        name: member.name.clone(),
        number: node.0,
        online: state.view.contains_key(node),
        standby: state.standby.contains(node) || state.is_halted(*node),
        coordinates: leader == Some(*node),
    };
    let attributes = state.attributes();
    let named = |all: &BTreeMap<NodeId, BTreeMap<String, String>>| {
        all.iter().map(|(node, all)| (state.name(*node), all.clone())).collect()
    };
    let report = view.report.as_ref();
    ToolsAnswer {
        node: view.identity.name.clone(),
        quorate: report.is_some_and(|report| report.lease_until > view.at),
        nodes: state.members.iter().map(node).collect(),
        transient: named(&attributes.transient),
        permanent: named(&attributes.permanent),
        cluster: attributes.of(AttributeScope::Cluster).cloned().unwrap_or_default(),
        resources: resources(state),
    }
}

/// With what of a service each of its resources runs.
fn parts_of(more: &ServiceMore) -> Vec<Part> {
    let can = |it: &ResourceConfig| {
        more.copies.as_ref().is_some_and(|copies| copies.promotable.contains(&it.name))
    };
    let can: Vec<bool> = more.resources.iter().map(can).collect();
    // A configuration whose needs go in a circle is never taken.
    order(&more.resources).map(|needs| parts(&needs, &can)).unwrap_or_default()
}

fn resources(state: &State) -> Vec<ResourceAnswer> {
    let config = state.config.iter().flat_map(|config| &config.later.next.services);
    let mut all = Vec::new();
    for (service, more) in config {
        let holder = state.assignments.get(service).map(|it| &it.holder);
        let holder = if let Some(Holder::Node(node)) = holder { Some(*node) } else { None };
        for (resource, part) in more.resources.iter().zip(parts_of(more)) {
            let Agent::Ocf { provider, kind, .. } = &resource.agent else { continue };
            let promotable = part == Part::Promotable;
            let nodes = if part == Part::Single {
                holder.into_iter().map(|node| (state.name(node), false)).collect()
            } else {
                let running = state.running_copies(service).into_iter();
                running.map(|(node, it)| (state.name(node), it && promotable)).collect()
            };
            all.push(ResourceAnswer {
                instance: format!("{service}.{}", resource.name),
                agent: format!("ocf:{provider}:{kind}"),
                promotable,
                nodes,
            });
        }
    }
    all
}
