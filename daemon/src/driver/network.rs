//! The network as the configuration has it: for the guard, and for the connections to others.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use stead_core::id::NodeId;
use stead_core::state::State;
use stead_core::state::config::Config;
use stead_core::time::Span;
use stead_log::transport::{KeyHash, Member};

use crate::guard::ipc::{Network, Place};
use crate::identity::KnownMember;

/// Where a node of that name listens, link by link in the order of their names.
pub(crate) fn addresses(config: &Config, name: &str) -> Vec<SocketAddr> {
    let Some(node) = config.nodes.get(name) else { return Vec::new() };
    let links = config.links.iter();
    links
        .filter_map(|(link, it)| Some(SocketAddr::new(*node.addresses.get(link)?, it.port)))
        .collect()
}

/// What the guard has to know.
pub(super) fn for_guard(state: &State, me: NodeId) -> Option<Network> {
    let config = state.config.as_ref()?;
    let own = state.members.get(&me)?;
    let peers = state.members.iter().filter(|(node, _)| **node != me);
    let peers = peers.map(|(node, member)| (*node, addresses(config, &member.name))).collect();
    let places = config.services.values().flat_map(|service| &service.addresses);
    let places = places.map(|it| Place {
        address: it.ip,
        prefix: it.prefix,
        interface: it.interface.clone(),
    });
    Some(Network {
        links: addresses(config, &own.name),
        peers,
        places: places.collect(),
        // Whole seconds, and room for a few renewals that come late.
        lifetime: state.timers.lease.times(2) + Span::from_millis(1_000),
    })
}

/// Whom to trust, as the state says.
pub(super) fn members(state: &State) -> BTreeMap<NodeId, Member> {
    let Some(config) = &state.config else { return BTreeMap::new() };
    let members = state.members.iter().map(|(node, member)| {
        let addresses = addresses(config, &member.name);
        (*node, Member { addresses, key: KeyHash(member.key) })
    });
    members.collect()
}

/// Whom to trust before there is a state.
pub(super) fn known(members: &[KnownMember]) -> BTreeMap<NodeId, Member> {
    let members = members
        .iter()
        .map(|it| (it.node, Member { addresses: it.addresses.clone(), key: KeyHash(it.key) }));
    members.collect()
}
