//! The neighbour caches: which Ethernet address the kernel sends to for an IP address.

use std::net::IpAddr;

use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState as State,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Mac, Netlink, NetlinkError, family_of};

/// How far the kernel trusts a neighbour entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeighbourState {
    /// Confirmed lately, or being confirmed: the entry is used.
    Usable,
    /// Not yet answered.
    Incomplete,
    /// Never answered.
    Failed,
    /// Set by hand, or needs no resolution.
    Permanent,
}

/// One entry of the neighbour cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface on which it is.
    pub index: u32,
    /// Its IP address.
    pub addr: IpAddr,
    /// Its Ethernet address, where known.
    pub mac: Option<Mac>,
    /// How far it is trusted.
    pub state: NeighbourState,
}

impl Netlink {
    /// The neighbours of both families that the kernel knows, on every interface.
    pub fn neighbours(&mut self) -> Result<Vec<Neighbour>, NetlinkError> {
        let ask = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let found = self.list(format_args!("list the neighbours"), &ask)?;
        let mut neighbours = Vec::new();
        for message in &found {
            if let RouteNetlinkMessage::NewNeighbour(message) = message {
                neighbours.extend(read(message));
            }
        }
        Ok(neighbours)
    }

    /// Forgets what is known about one neighbour.
    pub fn delete_neighbour(&mut self, index: u32, addr: IpAddr) -> Result<(), NetlinkError> {
        let mut old = NeighbourMessage::default();
        old.header.family = family_of(addr);
        old.header.ifindex = index;
        let destination = match addr {
            IpAddr::V4(addr) => NeighbourAddress::Inet(addr),
            IpAddr::V6(addr) => NeighbourAddress::Inet6(addr),
        };
        old.attributes.push(NeighbourAttribute::Destination(destination));
        let action = format_args!("forget neighbour {addr} on interface {index}");
        self.change(action, RouteNetlinkMessage::DelNeighbour(old), 0)
    }

    /// Forgets all learned neighbours of an interface; entries set by hand stay.
    pub fn flush_neighbours(&mut self, index: u32) -> Result<(), NetlinkError> {
        for neighbour in self.neighbours()? {
            if neighbour.index != index || neighbour.state == NeighbourState::Permanent {
                continue;
            }
            match self.delete_neighbour(index, neighbour.addr) {
                // the kernel's own housekeeping was quicker
                Err(error) if error.not_there() => {}
                other => other?,
            }
        }
        Ok(())
    }
}

fn read(message: &NeighbourMessage) -> Option<Neighbour> {
    let family = message.header.family;
    if family != AddressFamily::Inet && family != AddressFamily::Inet6 {
        return None;
    }
    let mut addr = None;
    let mut mac = None;
    for attribute in &message.attributes {
        if let NeighbourAttribute::Destination(NeighbourAddress::Inet(found)) = attribute {
            addr = Some(IpAddr::V4(*found));
        } else if let NeighbourAttribute::Destination(NeighbourAddress::Inet6(found)) = attribute {
            addr = Some(IpAddr::V6(*found));
        } else if let NeighbourAttribute::LinkLayerAddress(octets) = attribute {
            mac = Mac::from_slice(octets);
        }
    }
    let state = message.header.state;
    let state = if state == State::Incomplete {
        NeighbourState::Incomplete
    } else if state == State::Failed {
        NeighbourState::Failed
    } else if state == State::Permanent || state == State::Noarp {
        NeighbourState::Permanent
    } else {
        NeighbourState::Usable
    };
    Some(Neighbour { index: message.header.ifindex, addr: addr?, mac, state })
}
