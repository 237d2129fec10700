//! Strangers: on the service's address, and at the ports of the heartbeats.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use stead::demo::fleet::{Client, Family, Fleet, ServicePlan, service_address};
use stead_lab::{Host, LinkSpec};
use stead_linux::netlink::AddressSpec;
use stead_linux::packet::{PacketSocket, Wanted, arp, neighbor};
use stead_linux::wire::{FRAME_MAX, Wire};

use super::{
    API, Must, WEB, address, assert_untouched, client, mark, service, serving, stead, three, told,
    wait_for, wait_preferred, web, whole,
};

/// A machine that is no node, on one of the networks.
fn stranger(fleet: &Fleet, lan: &str, at: &str) -> Host {
    let switches = fleet.bed().switches();
    let switch = switches.iter().find(|it| it.name() == format!("{lan}-home")).expect("a switch");
    let host = fleet.bed().host("stranger").must();
    let spec = LinkSpec::new("eth0").addr(at.parse().expect("an address"), 24);
    fleet.bed().connect(&host, switch, spec).must();
    host
}

#[test]
fn an_address_in_use_by_a_stranger_is_not_claimed_until_it_is_free() {
    let plan = three("stranger").service(web("web", WEB, &["node2"]));
    let fleet = Fleet::build(plan, std::sync::Arc::default()).must();
    let stranger = stranger(&fleet, "front", &address(WEB).to_string());
    fleet.found().must();
    fleet.join_all().must();
    whole(&fleet);
    fleet.serve().must();
    wait_for(&fleet, "the conflict is named in a status", || {
        for node in fleet.nodes() {
            let status = node.status()?;
            if service(&status, "web")["state"] == "conflict" {
                return Ok(status["problems"].to_string().contains("answers at its address"));
            }
        }
        Ok(false)
    });
    wait_for(&fleet, "and in a journal", || {
        let names = ["node1", "node2", "node3"];
        Ok(names.iter().any(|node| told(&fleet, node, "10.77.0.100").unwrap_or(false)))
    });
    let client = Client::start(&fleet, address(WEB)).must();
    fleet.pause(Duration::from_secs(1)).must();
    assert!(client.holders().is_empty(), "no node answers beside the stranger");
    let index = stranger.links()[0].index();
    stranger.netlink().must().delete_address(index, address(WEB), 24).must();
    client.wait_served(&fleet).must();
    whole(&fleet);
}

#[test]
fn a_stranger_that_takes_an_address_while_it_is_served_is_fought_and_named() {
    let six = ServicePlan::web("six", &stead(), Family::V6, API).prefer(&["node2"]);
    let plan = three("taken").service(web("web", WEB, &["node2"])).service(six);
    let fleet = Fleet::start(plan).must();
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let stranger = stranger(&fleet, "front", "10.77.0.66");
    let link = stranger.links()[0].index();
    let mac = stranger.netlink().must().link(link).must().mac.expect("an Ethernet").to_string();
    let mut netlink = stranger.netlink().must();
    // set by hand, without asking; and told to everybody
    for (address, prefix) in [(address(WEB), 24), (service_address(Family::V6, API), 64)] {
        netlink.replace_address(link, &AddressSpec::new(address, prefix)).must();
        let frame = match address {
            IpAddr::V4(address) => arp::announcement(mac.parse().must(), address),
            IpAddr::V6(address) => neighbor::announcement(mac.parse().must(), address, false),
        };
        let socket = || PacketSocket::open("eth0", Wanted::Neighbors).must().send(&frame).must();
        stranger.run(socket).must();
    }
    let node2 = fleet.node("node2").must();
    for address in [address(WEB), service_address(Family::V6, API)] {
        wait_for(&fleet, "the stranger is named", || {
            let problems = node2.status()?["problems"].to_string();
            let named = format!("{address} of ");
            Ok(problems.contains(&named) && problems.contains(&format!("is also used by {mac}")))
        });
        let named = format!("{address} is in use by {mac}");
        assert!(told(&fleet, "node2", &named).must(), "in the journal as well");
    }
    let metrics = node2.stead(&["metrics"]).must().expect_success().must();
    assert!(metrics.contains("stead_service_contested{service=\"web\"} 1"), "{metrics}");
    // the last word is ours, so clients are answered
    client.wait_served(&fleet).must();
    assert_eq!(client.answered_by().as_deref(), Some("node2"));
    drop(netlink);
    fleet.bed().silence_then_kill(&stranger).must();
    // a minute later it is forgotten
    wait_for(&fleet, "nobody is named any more", || {
        Ok(!node2.status()?["problems"].to_string().contains("is also used by"))
    });
}

#[test]
fn garbage_and_replays_at_the_heartbeat_ports_change_nothing() {
    let (fleet, client) = serving("garbage", "node2");
    let stranger = stranger(&fleet, "ring", "10.77.1.66");
    let node2 = fleet.node("node2").must();
    let victim: SocketAddr = "10.77.1.2:7744".parse().expect("an address");
    let socket = stranger.run(|| UdpSocket::bind("10.77.1.66:7744")).must().must();

    // what really flies by, as whoever listens at the switch has it
    let index = node2.host().link("ring").map(|link| link.index()).unwrap_or_default();
    let wire = node2.host().run(|| Wire::open(index)).must().must();
    let mut heard: Vec<Vec<u8>> = Vec::new();
    let mut buffer = vec![0; FRAME_MAX];
    wait_for(&fleet, "heartbeats on the wire", || {
        while let Some(frame) = wire.receive(&mut buffer).unwrap_or(None) {
            heard.extend(heartbeat(frame).map(<[u8]>::to_vec));
        }
        Ok(heard.len() >= 200)
    });

    let began = mark();
    for (turn, datagram) in heard.iter().enumerate() {
        let send = |bytes: &[u8]| drop(socket.send_to(bytes, victim));
        // replayed as it was
        send(datagram);
        // cut, damaged, of another version, of another cluster, for somebody else, nothing at all
        send(&datagram[..datagram.len() / 2]);
        for place in [0, 3, 4, 12, 20, 28, 40, 60, datagram.len() - 1] {
            let mut damaged = datagram.clone();
            damaged[place] ^= 1 << (turn % 8);
            send(&damaged);
        }
        send(&[]);
        send(&vec![u8::try_from(turn % 256).unwrap_or(0); 1_400]);
    }
    wait_for(&fleet, "the status counts what was not taken", || {
        let status = node2.status()?;
        let warnings = status["warnings"].to_string();
        Ok(warnings.contains("10.77.1.66") && warnings.contains("were not taken"))
    });
    let warnings = node2.status().must()["warnings"].to_string();
    for reason in ["not a heartbeat of stead", "of another cluster", "seal does not open"] {
        assert!(warnings.contains(reason), "{reason}: {warnings}");
    }
    fleet.pause(Duration::from_secs(1)).must();
    assert_untouched(client.seen_since(began));
    assert_eq!(client.holders(), ["node2"]);
    whole(&fleet);
}

/// The datagram to a heartbeat port in a frame with IPv4 as a wire has it, if it is one.
fn heartbeat(frame: &[u8]) -> Option<&[u8]> {
    /// The kernel's offload header (`struct virtio_net_hdr`) stands before each frame.
    const OFFLOAD: usize = 10;
    const ETHERNET: usize = 14;
    const UDP: u8 = 17;
    const PORT: [u8; 2] = 7744_u16.to_be_bytes();
    let frame = frame.get(OFFLOAD..)?;
    let packet = frame.get(ETHERNET..)?;
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let is_ours = frame.get(12..14)? == [8, 0] && *packet.get(9)? == UDP;
    let datagram = packet.get(header..)?;
    (is_ours && datagram.get(2..4)? == PORT).then(|| datagram.get(8..)).flatten()
}
