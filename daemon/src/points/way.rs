//! How a network is reached from this machine: interface, own address, gateways.

use std::net::{IpAddr, Ipv6Addr};

use stead_core::state::config::NetworkConfig;
use stead_linux::netlink::{Address, Link, Mac, Netlink, NetlinkError, Route};

/// The interfaces, addresses and routes of this machine at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    links: Vec<Link>,
    addresses: Vec<Address>,
    routes: Vec<Route>,
}

/// The way to one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// The interface's name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Its MAC.
    pub mac: Option<Mac>,
    /// Frames pass.
    pub passes: bool,
    /// This node's own address in the network.
    pub own: Option<IpAddr>,
    /// An address of the interface that reaches no further than the link.
    pub local: Option<Ipv6Addr>,
    /// The next hops in that network.
    pub gateways: Vec<IpAddr>,
}

impl Machine {
    /// As it is now. Routes are a long list on some machines: only if they are needed.
    pub(super) fn look(netlink: &mut Netlink, routes: bool) -> Result<Self, NetlinkError> {
        let routes = if routes { netlink.routes()? } else { Vec::new() };
        Ok(Self { links: netlink.links()?, addresses: netlink.addresses()?, routes })
    }

    /// The way to a network: the interface that is configured for it, or else one on which this
    /// node has an address of its own there.
    pub(super) fn way(&self, network: &NetworkConfig, moving: &[IpAddr]) -> Option<Way> {
        let own = |it: &&Address| network.contains(it.addr) && !moving.contains(&it.addr);
        let owns = self.addresses.iter().filter(own);
        let link = match &network.interface {
            Some(name) => self.links.iter().find(|link| link.name == *name)?,
            None => {
                let index = owns.clone().max_by_key(|it| it.prefix)?.index;
                self.links.iter().find(|link| link.index == index && !link.loopback)?
            }
        };
        let here = |it: &&Address| it.index == link.index && !it.tentative && !it.dad_failed;
        Some(Way {
            name: link.name.clone(),
            index: link.index,
            mac: link.mac,
            passes: link.up && link.carrier,
            own: owns.clone().find(here).map(|it| it.addr),
            local: self.addresses.iter().filter(here).find_map(|it| link_local(it.addr)),
            gateways: self.gateways(network, link.index),
        })
    }

    /// The next hops in a network: inside its prefix or, for IPv6, known on its link only.
    fn gateways(&self, network: &NetworkConfig, index: u32) -> Vec<IpAddr> {
        let mut gateways: Vec<_> = self
            .routes
            .iter()
            .filter(|route| route.index.is_none_or(|it| it == index))
            .filter_map(|route| route.gateway)
            .filter(|gateway| {
                let on_link = link_local(*gateway).is_some() && network.network.is_ipv6();
                network.contains(*gateway) || on_link
            })
            .collect();
        gateways.sort_unstable();
        gateways.dedup();
        gateways
    }
}

impl Way {
    /// From which of this node's addresses to ask another.
    pub(super) fn from(&self, target: IpAddr) -> Option<IpAddr> {
        let local = self.local.filter(|_| target.is_ipv6()).map(IpAddr::V6);
        if link_local(target).is_some() { local } else { self.own.or(local) }
    }
}

fn link_local(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => address.is_unicast_link_local().then_some(address),
        IpAddr::V4(_) => None,
    }
}
