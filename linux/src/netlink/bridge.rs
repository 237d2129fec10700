//! What the bridges of this machine have learned: behind which port a MAC is.

use std::time::Duration;

use netlink_packet_route::neighbour::{
    NeighbourAttribute, NeighbourMessage, NeighbourState as State,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Mac, Netlink, NetlinkError, ticks};

/// One entry of a bridge's forwarding table (`bridge fdb show`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Station {
    /// Its MAC.
    pub mac: Mac,
    /// Index of the port behind which it is; the bridge's own index for the bridge itself.
    pub port: u32,
    /// Index of the bridge.
    pub bridge: u32,
    /// The VLAN in which it is known, on a bridge that tells them apart.
    pub vlan: Option<u16>,
    /// It was learned from a frame, and is forgotten if none comes for a while. Else it was set by
    /// hand, or it is the MAC of the port itself.
    pub learned: bool,
    /// How long ago a frame of it came in last, to a hundredth of a second; how long ago it was
    /// set, if it was not learned.
    pub age: Duration,
}

impl Netlink {
    /// All stations that the bridges of the namespace know. Entries of interfaces that are no ports
    /// of a bridge (a card's own filter, a vxlan's) are left out.
    pub fn stations(&mut self) -> Result<Vec<Station>, NetlinkError> {
        let mut ask = NeighbourMessage::default();
        ask.header.family = AddressFamily::Bridge;
        let ask = RouteNetlinkMessage::GetNeighbour(ask);
        let found = self.list(format_args!("list the stations of the bridges"), &ask)?;
        let mut stations = Vec::new();
        for message in &found {
            if let RouteNetlinkMessage::NewNeighbour(message) = message {
                stations.extend(read(message));
            }
        }
        Ok(stations)
    }

    /// What the bridges of the namespace know of one MAC: an entry for each bridge and VLAN.
    pub fn find_station(&mut self, mac: Mac) -> Result<Vec<Station>, NetlinkError> {
        let mut all = self.stations()?;
        all.retain(|station| station.mac == mac);
        Ok(all)
    }
}

pub(super) fn read(message: &NeighbourMessage) -> Option<Station> {
    if message.header.family != AddressFamily::Bridge {
        return None;
    }
    let (mut mac, mut bridge, mut vlan, mut age) = (None, None, None, None);
    for attribute in &message.attributes {
        if let NeighbourAttribute::LinkLayerAddress(octets) = attribute {
            mac = Mac::from_slice(octets);
        } else if let NeighbourAttribute::Controller(index) = attribute {
            bridge = Some(*index);
        } else if let NeighbourAttribute::Vlan(number) = attribute {
            vlan = Some(*number);
        } else if let NeighbourAttribute::CacheInfo(info) = attribute {
            age = Some(ticks(info.updated));
        }
    }
    let state = message.header.state;
    Some(Station {
        mac: mac?,
        port: message.header.ifindex,
        bridge: bridge?,
        vlan,
        learned: state != State::Permanent && state != State::Noarp,
        // What only a card keeps has no age, and no bridge either.
        age: age?,
    })
}
