//! What the kernel might say about links, addresses and routes; and what people write as a MAC.

use netlink_packet_core::{NLM_F_MULTIPART, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use stead_fuzz::{Sample, target};

use super::socket::Frames;
use super::{Address, Link, Mac, bridge, neighbour, route};

fn told(message: RouteNetlinkMessage) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_MULTIPART;
    header.sequence_number = 3;
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    bytes
}

fn samples() -> Vec<Sample> {
    let mut link = LinkMessage::default();
    link.header.index = 2;
    link.attributes.push(LinkAttribute::IfName("eth0".to_owned()));
    link.attributes.push(LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]));
    link.attributes.push(LinkAttribute::Mtu(1_500));
    let mut address = AddressMessage::default();
    address.header.prefix_len = 24;
    address.header.index = 2;
    address.attributes.push(AddressAttribute::Local([10, 0, 0, 100].into()));
    let mut route = RouteMessage::default();
    route.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet([10, 0, 0, 1].into())));
    route.attributes.push(RouteAttribute::Oif(2));
    route.attributes.push(RouteAttribute::Expires(600));
    let link = told(RouteNetlinkMessage::NewLink(link));
    let address = told(RouteNetlinkMessage::NewAddress(address));
    let mut refusal = told(RouteNetlinkMessage::DelNeighbour(NeighbourMessage::default()));
    // An error of -17 with the kernel's words, capped.
    refusal.truncate(16);
    refusal[..8].copy_from_slice(&[44, 0, 0, 0, 2, 0, 0, 3]);
    refusal.extend((-17_i32).to_ne_bytes());
    refusal.extend([0; 16]);
    refusal.extend([8, 0, 1, 0, b'n', b'o', b'!', 0]);
    let mut station = NeighbourMessage::default();
    station.header.family = netlink_packet_route::AddressFamily::Bridge;
    station.header.ifindex = 2;
    station.attributes.push(NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 1]));
    station.attributes.push(NeighbourAttribute::Controller(3));
    let station = told(RouteNetlinkMessage::NewNeighbour(station));
    // NDA_CACHEINFO: the library can't make one.
    let mut station = station;
    station.extend([20, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    station[0] += 20;
    let two = [link.clone(), address.clone()].concat();
    let route = told(RouteNetlinkMessage::NewRoute(route));
    vec![
        ("link", link),
        ("address", address),
        ("route", route),
        ("station", station),
        ("two", two),
        ("refusal", refusal),
    ]
}

#[test]
fn any_datagram_of_the_kernel_is_read_to_its_end() {
    target!("netlink").samples(samples).count(60_000).run(|bytes| {
        let mut understood = false;
        for (at, frame) in Frames(bytes).enumerate() {
            assert!(at <= bytes.len() / 16, "more messages than there is room for");
            let Ok(frame) = frame else { continue };
            understood |= frame.refusal().is_some();
            if let Ok(message) = frame.message() {
                understood = true;
                read(&message);
            }
        }
        understood
    });
}

/// All that is made of a message.
fn read(message: &RouteNetlinkMessage) {
    if let RouteNetlinkMessage::NewLink(link) = message {
        let _ = Link::read(link);
    } else if let RouteNetlinkMessage::NewAddress(address) = message {
        let _ = Address::read(address);
    } else if let RouteNetlinkMessage::NewRoute(route) = message {
        let _ = route::read(route);
    } else if let RouteNetlinkMessage::NewNeighbour(entry) = message {
        let _ = (neighbour::read(entry), bridge::read(entry));
    }
}

#[test]
fn a_mac_is_what_it_is_written_as() {
    let samples = || vec![("mac", b"02:00:00:00:00:0a".to_vec())];
    let target = target!("mac").samples(samples).words(&[b":", b"+1", b"-", b"ff"]).count(60_000);
    target.run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(mac) = text.parse::<Mac>() else { return false };
        assert_eq!(mac.to_string(), text.to_ascii_lowercase());
        true
    });
}
