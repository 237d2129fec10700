//! The neighbour caches: which Ethernet address the kernel sends to for an IP address.

use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState as State,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Mac, Netlink, NetlinkError, family_of, ticks};

/// How far the kernel trusts a neighbour entry (`NUD_*` of linux/neighbour.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeighbourState {
    /// Confirmed lately: the entry is used.
    Reachable,
    /// Not confirmed for a while, or told by the neighbour unasked: used, and then asked about.
    Stale,
    /// Used a moment ago; asked about unless somebody confirms it soon.
    Delay,
    /// Being asked about; used meanwhile.
    Probe,
    /// Never answered yet: packets wait.
    Incomplete,
    /// Did not answer.
    Failed,
    /// Set by hand.
    Permanent,
    /// Needs no resolution, or something that this list does not know.
    Other,
}

impl NeighbourState {
    /// Packets go to the entry's MAC.
    pub fn is_used(self) -> bool {
        match self {
            Self::Reachable | Self::Stale | Self::Delay | Self::Probe | Self::Permanent => true,
            Self::Incomplete | Self::Failed | Self::Other => false,
        }
    }
}

/// How long ago what happened to an entry, to a hundredth of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// The neighbour answered, or traffic showed that it hears us.
    pub confirmed: Duration,
    /// A packet was sent by it.
    pub used: Duration,
    /// Its state or its MAC was set.
    pub updated: Duration,
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
    /// How old it is, where the kernel says so.
    pub ages: Option<Ages>,
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

    /// The neighbours that the kernel knows on one interface.
    pub fn neighbours_of(&mut self, index: u32) -> Result<Vec<Neighbour>, NetlinkError> {
        let mut all = self.neighbours()?;
        all.retain(|neighbour| neighbour.index == index);
        Ok(all)
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
            let by_hand = match neighbour.state {
                NeighbourState::Permanent | NeighbourState::Other => true,
                NeighbourState::Reachable
                | NeighbourState::Stale
                | NeighbourState::Delay
                | NeighbourState::Probe
                | NeighbourState::Incomplete
                | NeighbourState::Failed => false,
            };
            if neighbour.index != index || by_hand {
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

pub(super) fn read(message: &NeighbourMessage) -> Option<Neighbour> {
    let family = message.header.family;
    if family != AddressFamily::Inet && family != AddressFamily::Inet6 {
        return None;
    }
    let mut addr = None;
    let mut mac = None;
    let mut ages = None;
    for attribute in &message.attributes {
        if let NeighbourAttribute::Destination(NeighbourAddress::Inet(found)) = attribute {
            addr = Some(IpAddr::V4(*found));
        } else if let NeighbourAttribute::Destination(NeighbourAddress::Inet6(found)) = attribute {
            addr = Some(IpAddr::V6(*found));
        } else if let NeighbourAttribute::LinkLayerAddress(octets) = attribute {
            mac = Mac::from_slice(octets);
        } else if let NeighbourAttribute::CacheInfo(info) = attribute {
            ages = Some(Ages {
                confirmed: ticks(info.confirmed),
                used: ticks(info.used),
                updated: ticks(info.updated),
            });
        }
    }
    let state = state_of(message.header.state);
    Some(Neighbour { index: message.header.ifindex, addr: addr?, mac, state, ages })
}

fn state_of(state: State) -> NeighbourState {
    // The library's list may grow, so it can't be matched without a rest.
    let known = [
        (State::Reachable, NeighbourState::Reachable),
        (State::Stale, NeighbourState::Stale),
        (State::Delay, NeighbourState::Delay),
        (State::Probe, NeighbourState::Probe),
        (State::Incomplete, NeighbourState::Incomplete),
        (State::Failed, NeighbourState::Failed),
        (State::Permanent, NeighbourState::Permanent),
    ];
    let found = known.into_iter().find(|(theirs, _)| *theirs == state);
    found.map_or(NeighbourState::Other, |(_, ours)| ours)
}
