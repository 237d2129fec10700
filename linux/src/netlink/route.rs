//! Routes of the main table.
//!
//! A route says who made it: its protocol, a number that routing daemons look at and that is shown
//! by `ip route` ("proto"). What ends by itself:
//! - an IPv4 route goes with the last address of its interface, and with its preferred source, at
//!   once, also when that ends by its lifetime;
//! - an IPv6 route goes with neither. (A preferred source that goes is cleared from it, and the
//!   route stays.) So it may have an end of its own: [`Route::expires`]. From then on no packet is
//!   sent by it, but it is listed until the kernel clears away, every `net.ipv6.route.gc_interval`
//!   seconds (30 unless set) at the latest, and only then is its removal told.

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
    /// Who made it (`RTPROT_*` of linux/rtnetlink.h).
    pub protocol: u8,
    /// IPv6 only: after how many seconds it ends; `None`: never. In a list: the whole seconds that
    /// are left of it. (At the moment of its end the kernel says for a hundredth of a second what
    /// it says of a route without one.)
    pub expires: Option<u32>,
}

impl Route {
    /// What an administrator made by hand (`RTPROT_STATIC`).
    pub const STATIC: u8 = 4;

    fn new(to: Destination, gateway: Option<IpAddr>, index: Option<u32>) -> Route {
        Route {
            to,
            gateway,
            index,
            source: None,
            metric: 0,
            on_link: false,
            protocol: Route::STATIC,
            expires: None,
        }
    }

    /// A route by way of a gateway.
    pub fn via(to: Destination, gateway: IpAddr) -> Route {
        Route::new(to, Some(gateway), None)
    }

    /// The default route by way of a gateway, of the gateway's family.
    pub fn default_via(gateway: IpAddr) -> Route {
        Route::via(Destination::default_for(gateway), gateway)
    }

    /// A network that is reached directly on an interface.
    pub fn direct(to: Destination, index: u32) -> Route {
        Route::new(to, None, Some(index))
    }

    /// The same route, made by `protocol`.
    pub fn made_by(mut self, protocol: u8) -> Route {
        self.protocol = protocol;
        self
    }

    /// The same route with an end after so many seconds (at least 1). Meant for IPv6; the kernel
    /// knows no such thing for IPv4, and heeds it not.
    pub fn for_seconds(mut self, seconds: u32) -> Route {
        self.expires = Some(seconds);
        self
    }
}

impl Netlink {
    /// Adds a route; [`NetlinkError::already_there`] if there is one with that metric.
    pub fn add_route(&mut self, route: &Route) -> Result<(), NetlinkError> {
        let new = RouteNetlinkMessage::NewRoute(write(route));
        self.change(format_args!("add a route to {}", route.to), new, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Adds a route in place of the one to the same destination with the same metric. It begins
    /// anew: with the end that it has now, or with none.
    pub fn replace_route(&mut self, route: &Route) -> Result<(), NetlinkError> {
        let new = RouteNetlinkMessage::NewRoute(write(route));
        self.change(
            format_args!("set the route to {}", route.to),
            new,
            NLM_F_CREATE | NLM_F_REPLACE,
        )
    }

    /// Removes a route; [`NetlinkError::not_there`] if there is none like it: to the same place, by
    /// the same way and protocol.
    pub fn delete_route(&mut self, route: &Route) -> Result<(), NetlinkError> {
        let old = RouteNetlinkMessage::DelRoute(write(route));
        self.change(format_args!("remove the route to {}", route.to), old, 0)
    }

    /// The route by which a packet to this address would leave, whatever table it stands in; the
    /// first hop of several. `None` if by none, or if the address is this host's own.
    pub fn route_to(&mut self, address: IpAddr) -> Result<Option<Route>, NetlinkError> {
        self.look_up(address, RouteFlags::FibMatch)
    }

    /// What comes of that for this very address: the router that a redirect named, if one did. Its
    /// `to` means nothing.
    pub fn way_to(&mut self, address: IpAddr) -> Result<Option<Route>, NetlinkError> {
        self.look_up(address, RouteFlags::empty())
    }

    fn look_up(&mut self, address: IpAddr, how: RouteFlags) -> Result<Option<Route>, NetlinkError> {
        let mut ask = RouteMessage::default();
        ask.header.address_family = family_of(address);
        ask.header.destination_prefix_length = if address.is_ipv4() { 32 } else { 128 };
        ask.header.flags |= how;
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
    header.protocol = RouteProtocol::from(route.protocol);
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
    if let Some(seconds) = route.expires {
        // 0 would be "at no time" to the kernel, which is never.
        message.attributes.push(RouteAttribute::Expires(seconds.max(1)));
    }
    message
}

pub(super) fn read(message: &RouteMessage) -> Vec<Route> {
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
    let to = Destination { prefix: header.destination_prefix_length, addr: like };
    let mut route = Route::new(to, None, None).made_by(header.protocol.into());
    route.on_link = header.flags.contains(RouteFlags::Onlink);
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
        } else if let RouteAttribute::CacheInfo(info) = attribute {
            route.expires = left(info.expires);
        }
    }
    Some(route)
}

/// The whole seconds in what is left of a route, in clock ticks: none at all where it has no end.
/// One that has ended and was not cleared away yet has none left.
fn left(ticks: u32) -> Option<u32> {
    // The kernel tells the difference as a signed number.
    let ticks = ticks.cast_signed();
    let seconds = super::ticks(ticks.max(0).cast_unsigned()).as_secs();
    (ticks != 0).then(|| u32::try_from(seconds).unwrap_or(u32::MAX))
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
