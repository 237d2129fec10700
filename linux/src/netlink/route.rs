//! Routes of the main table.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop,
    RouteNextHopFlags, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

use super::{Netlink, NetlinkError, family_of};

/// A network that a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// Its address, host bits zero.
    pub addr: IpAddr,
    /// Length of the network part, in bits; 0 is everything.
    pub prefix: u8,
}

impl Destination {
    /// Everything of the family of `like`.
    pub fn default_for(like: IpAddr) -> Destination {
        let addr = match like {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Destination { addr, prefix: 0 }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

/// A unicast route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub to: Destination,
    /// The next router; `None`: the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The interface to send on; `None` lets the kernel find it by the gateway.
    pub index: Option<u32>,
    /// The source address that local traffic takes.
    pub source: Option<IpAddr>,
    /// Lower wins; 0 is the kernel's own default.
    pub metric: u32,
    /// The gateway is taken to be on the link although no address says so.
    pub on_link: bool,
}

impl Route {
    /// A route by way of a gateway.
    pub fn via(to: Destination, gateway: IpAddr) -> Route {
        Route { to, gateway: Some(gateway), index: None, source: None, metric: 0, on_link: false }
    }

    /// The default route by way of a gateway, of the gateway's family.
    pub fn default_via(gateway: IpAddr) -> Route {
        Route::via(Destination::default_for(gateway), gateway)
    }

    /// A network that is reached directly on an interface.
    pub fn direct(to: Destination, index: u32) -> Route {
        Route { to, gateway: None, index: Some(index), source: None, metric: 0, on_link: false }
    }
}

impl Netlink {
    /// Adds a route; [`NetlinkError::already_there`] if there is one with that metric.
    pub fn add_route(&mut self, route: &Route) -> Result<(), NetlinkError> {
        let new = RouteNetlinkMessage::NewRoute(write(route));
        self.change(format_args!("add a route to {}", route.to), new, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Adds a route in place of the one to the same destination with the same metric.
    pub fn replace_route(&mut self, route: &Route) -> Result<(), NetlinkError> {
        let new = RouteNetlinkMessage::NewRoute(write(route));
        self.change(
            format_args!("set the route to {}", route.to),
            new,
            NLM_F_CREATE | NLM_F_REPLACE,
        )
    }

    /// Removes a route; [`NetlinkError::not_there`] if there is none like it.
    pub fn delete_route(&mut self, route: &Route) -> Result<(), NetlinkError> {
        let old = RouteNetlinkMessage::DelRoute(write(route));
        self.change(format_args!("remove the route to {}", route.to), old, 0)
    }

    /// The route by which a packet to this address would leave, whatever table it stands in; the
    /// first hop of several. `None` if by none, or if the address is this host's own.
    pub fn route_to(&mut self, address: IpAddr) -> Result<Option<Route>, NetlinkError> {
        let mut ask = RouteMessage::default();
        ask.header.address_family = family_of(address);
        ask.header.destination_prefix_length = if address.is_ipv4() { 32 } else { 128 };
        // The route itself, not what comes of it for this address.
        ask.header.flags |= RouteFlags::FibMatch;
        ask.attributes.push(RouteAttribute::Destination(address.into()));
        let ask = RouteNetlinkMessage::GetRoute(ask);
        let found = match self.get(format_args!("look up the route to {address}"), ask) {
            Ok(found) => found,
            Err(NetlinkError::Refused {
                errno: Errno::ENETUNREACH | Errno::EHOSTUNREACH, ..
            }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        for message in found {
            if let RouteNetlinkMessage::NewRoute(mut message) = message {
                message.header.table = RouteHeader::RT_TABLE_MAIN;
                return Ok(read(&message).into_iter().next());
            }
        }
        Ok(None)
    }

    /// The unicast routes of the main table, of both families; each next hop of several as a
    /// route of its own.
    pub fn routes(&mut self) -> Result<Vec<Route>, NetlinkError> {
        let ask = RouteNetlinkMessage::GetRoute(RouteMessage::default());
        let found = self.list(format_args!("list the routes"), &ask)?;
        let mut routes = Vec::new();
        for message in &found {
            if let RouteNetlinkMessage::NewRoute(message) = message {
                routes.extend(read(message));
            }
        }
        Ok(routes)
    }
}

fn write(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = family_of(route.to.addr);
    header.destination_prefix_length = route.to.prefix;
    header.table = RouteHeader::RT_TABLE_MAIN;
    header.protocol = RouteProtocol::Static;
    header.kind = RouteType::Unicast;
    header.scope = match route.gateway {
        Some(_) => RouteScope::Universe,
        None => RouteScope::Link,
    };
    if route.on_link {
        header.flags |= RouteFlags::Onlink;
    }
    if route.to.prefix > 0 {
        message.attributes.push(RouteAttribute::Destination(route.to.addr.into()));
    }
    if let Some(gateway) = route.gateway {
        message.attributes.push(RouteAttribute::Gateway(gateway.into()));
    }
    if let Some(index) = route.index {
        message.attributes.push(RouteAttribute::Oif(index));
    }
    if let Some(source) = route.source {
        message.attributes.push(RouteAttribute::PrefSource(source.into()));
    }
    if route.metric != 0 {
        message.attributes.push(RouteAttribute::Priority(route.metric));
    }
    message
}

fn read(message: &RouteMessage) -> Vec<Route> {
    let Some(route) = read_one(message) else { return Vec::new() };
    let several = message.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::MultiPath(hops) = attribute { Some(hops) } else { None }
    });
    let Some(hops) = several else { return vec![route] };
    hops.iter().map(|hop| through(route, hop)).collect()
}

fn through(route: Route, hop: &RouteNextHop) -> Route {
    let gateway = hop.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Gateway(gateway) = attribute { ip(gateway) } else { None }
    });
    Route {
        gateway,
        index: Some(hop.interface_index),
        on_link: hop.flags.contains(RouteNextHopFlags::Onlink),
        ..route
    }
}

fn read_one(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let like = if header.address_family == AddressFamily::Inet {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else if header.address_family == AddressFamily::Inet6 {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    } else {
        return None;
    };
    if header.table != RouteHeader::RT_TABLE_MAIN || header.kind != RouteType::Unicast {
        return None;
    }
    let mut route = Route {
        to: Destination { prefix: header.destination_prefix_length, addr: like },
        gateway: None,
        index: None,
        source: None,
        metric: 0,
        on_link: header.flags.contains(RouteFlags::Onlink),
    };
    for attribute in &message.attributes {
        if let RouteAttribute::Destination(to) = attribute {
            route.to.addr = ip(to)?;
        } else if let RouteAttribute::Gateway(gateway) = attribute {
            route.gateway = ip(gateway);
        } else if let RouteAttribute::Oif(index) = attribute {
            route.index = Some(*index);
        } else if let RouteAttribute::PrefSource(source) = attribute {
            route.source = ip(source);
        } else if let RouteAttribute::Priority(metric) = attribute {
            route.metric = *metric;
        }
    }
    Some(route)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    if let RouteAddress::Inet(addr) = address {
        Some(IpAddr::V4(*addr))
    } else if let RouteAddress::Inet6(addr) = address {
        Some(IpAddr::V6(*addr))
    } else {
        None
    }
}
