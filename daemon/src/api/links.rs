//! What the loss of links would do: by which others the nodes still hear each other, and who would
//! go on if there are none.

use std::collections::BTreeSet;

use stead_core::id::{NodeId, ServiceId};
use stead_core::quorum::chain::Module;
use stead_core::state::State;
use stead_core::state::config::{Config, NetworkConfig, ServiceAddress};

use super::message::{Failure, GoesOn, LinksAnswer, PlannedMove};
use crate::driver::view::View;

/// How a link is named where a node has its name too.
const LINK: &str = "link=";

/// The link that a word means, if it means one. `is_node`: it means nodes as well.
pub(super) fn named<'a>(
    config: &'a Config,
    text: &str,
    is_node: bool,
) -> Result<Option<&'a str>, Failure> {
    let link = |name: &str| config.links.get_key_value(name).map(|(name, _)| name.as_str());
    if let Some(found) = text.strip_prefix(LINK).and_then(|name| link(name.trim())) {
        if is_node {
            return Err(Failure::unchanged(
                format!("{text} means a link, and nodes with that label; nothing was changed"),
                format!("name the link alone ({found}), or those nodes one by one"),
            ));
        }
        return Ok(Some(found));
    }
    // A node of that name is older than this meaning of the word.
    Ok(link(text).filter(|_| !is_node))
}

/// What becomes of the cluster without these links, and without nodes that fail besides.
pub(super) fn without(
    view: &View,
    state: &State,
    config: &Config,
    links: &BTreeSet<String>,
    gone: &BTreeSet<NodeId>,
) -> LinksAnswer {
    let left = config.links.keys().filter(|name| !links.contains(*name)).cloned();
    let left: Vec<String> = left.collect();
    let nodes = state.members.keys().filter(|node| !gone.contains(node)).count();
    let goes_on =
        if left.is_empty() && nodes > 1 { alone(view, state, config, gone) } else { GoesOn::All };
    let shared = |service: &&ServiceId| {
        let addresses = config.services.get(*service).map(|it| it.addresses.as_slice());
        addresses.unwrap_or_default().iter().any(|it| is_carried(config, links, it))
    };
    LinksAnswer {
        fail: links.iter().cloned().collect(),
        left,
        goes_on,
        unreached: config.services.keys().filter(shared).map(ToString::to_string).collect(),
    }
}

/// Who goes on where every node hears itself alone.
fn alone(view: &View, state: &State, config: &Config, gone: &BTreeSet<NodeId>) -> GoesOn {
    let voters: Vec<NodeId> = view.log.membership.voters.iter().copied().collect();
    let here = voters.iter().filter(|node| !gone.contains(node));
    let here: Vec<String> = here.map(|node| state.name(*node)).collect();
    let breaker = config.later.quorum.chain.modules().iter().find(|it| it.breaks_ties());
    let enrolled = breaker.is_some_and(|module| match module {
        Module::QuorumServer => state.later.server.is_some(),
        Module::Majority | Module::Exec | Module::Fence => true,
    });
    match (&voters[..], &here[..]) {
        ([_], [only]) => GoesOn::Node(only.clone()),
        ([_, _], [_, ..]) if enrolled => GoesOn::OneOf(here),
        _ => GoesOn::Nobody,
    }
}

/// Everything that is held stops where it is.
pub(super) fn all_stop(state: &State) -> Vec<PlannedMove> {
    let held = state.assignments.iter().filter_map(|(service, it)| {
        let from = it.holder.node().map(|node| state.name(node))?;
        let (service, why) = (service.to_string(), "no node has a majority".to_owned());
        let (from, prefixes) = (Some(from), Vec::new());
        Some(PlannedMove { service, from, to: None, why, outage_ms: None, prefixes })
    });
    held.collect()
}

/// Whether an address of a service lies in a network in which nodes have theirs for one of these
/// links.
fn is_carried(config: &Config, links: &BTreeSet<String>, address: &ServiceAddress) -> bool {
    let network = NetworkConfig {
        network: address.ip,
        prefix: address.prefix,
        interface: None,
        gateway: false,
        addresses: Vec::new(),
    };
    let nodes = config.nodes.values().flat_map(|node| &node.addresses);
    nodes.filter(|(link, _)| links.contains(*link)).any(|(_, own)| network.contains(*own))
}
