//! The network as the configuration has it: for the guard, and for the connections to others.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use stead_core::id::NodeId;
use stead_core::redirect::Layer;
use stead_core::state::State;
use stead_core::state::config::Config;
use stead_core::time::Span;
use stead_log::transport::{KeyHash, Member};

use crate::guard::ipc::{Network, Place, Reach};
use crate::identity::KnownMember;

/// Where a node of that name listens, link by link in the order of their names.
pub(crate) fn addresses(config: &Config, name: &str) -> Vec<SocketAddr> {
    let Some(node) = config.nodes.get(name) else { return Vec::new() };
    let links = config.links.iter();
    links
        .filter_map(|(link, it)| Some(SocketAddr::new(*node.addresses.get(link)?, it.port)))
        .collect()
}

/// What the guard has to know. `told` is what it was told last: an address that is no longer in the
/// configuration keeps its place until its last holder has stopped.
pub(super) fn for_guard(state: &State, me: NodeId, told: Option<&Network>) -> Option<Network> {
    let config = state.config.as_ref()?;
    let own = state.members.get(&me)?;
    let peers = everyone(state).filter(|(node, _)| **node != me);
    let peers = peers.map(|(node, member)| (*node, addresses(config, &member.name))).collect();
    let places = config.services.values().flat_map(|service| &service.addresses);
    let places = places.map(|it| Place {
        address: it.ip,
        prefix: it.prefix,
        interface: it.interface.clone(),
    });
    let mut places: Vec<_> = places.collect();
    for address in state.assignments.values().flat_map(|it| &it.addresses) {
        if !places.iter().any(|place| place.address == *address) {
            let before = told.and_then(|it| it.places.iter().find(|it| it.address == *address));
            places.push(before.cloned().unwrap_or_else(|| alone(*address)));
        }
    }
    let reaches = reaches(state, config);
    Some(Network {
        reaches: reaches
            .filter(|(address, _)| places.iter().any(|it| it.address == *address))
            .collect(),
        links: addresses(config, &own.name),
        peers,
        places,
        // Whole seconds, and room for a few renewals that come late.
        lifetime: state.timers.ordinary_lease().times(2) + Span::from_millis(1_000),
    })
}

/// What addresses are beyond an address on a card.
fn reaches<'a>(state: &'a State, config: &'a Config) -> impl Iterator<Item = (IpAddr, Reach)> + 'a {
    let macs = &state.redirect().macs;
    let all = config
        .services
        .iter()
        .flat_map(|(service, it)| it.addresses.iter().map(move |address| (service, address.ip)));
    all.map(move |(service, address)| {
        let layers = config.layers_of(address);
        let mac = layers.contains(&Layer::Mac).then(|| macs.get(service).copied()).flatten();
        let route = config.announced_as(address);
        (address, Reach { mac, route, alone: *layers == [Layer::Route] })
    })
    .filter(|(_, form)| *form != Reach::default())
}

/// The network as a guard can take it that knows of no reaches: what would need one is not there,
/// so that nothing stands otherwise than it should.
pub(super) fn without_reaches(network: &Network) -> Network {
    let mut network = network.clone();
    let reaches = std::mem::take(&mut network.reaches);
    network.places.retain(|place| !reaches.contains_key(&place.address));
    network
}

/// An address of which nothing more is known.
fn alone(address: IpAddr) -> Place {
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    Place { address, prefix, interface: None }
}

/// All members, and those that left and may still vote.
fn everyone(state: &State) -> impl Iterator<Item = (&NodeId, &stead_core::state::Member)> {
    state.members.iter().chain(&state.left)
}

/// Where this node's daemon listens, as the state says; nothing before there is one.
pub(super) fn own_addresses(state: &State, me: NodeId) -> Vec<SocketAddr> {
    let config = state.config.as_ref().zip(state.members.get(&me));
    config.map(|(config, own)| addresses(config, &own.name)).unwrap_or_default()
}

/// Whom to trust, as the state says.
pub(super) fn members(state: &State) -> BTreeMap<NodeId, Member> {
    let Some(config) = &state.config else { return BTreeMap::new() };
    let members = everyone(state).map(|(node, member)| {
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
