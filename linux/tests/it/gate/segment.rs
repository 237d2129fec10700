//! A wire with a client at one end and, at the other, a node with two macvlans; and what is heard
//! on it.

use std::os::fd::AsFd;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use stead_linux::netlink::{AddressGeneration, AddressSpec, Mac, MacvlanMode, Netlink, VethPeer};
use stead_linux::sysctl::{self, Setting};
use stead_linux::wire::{FRAME_MAX, Wire};

use super::*;
use crate::pair::{CLIENT_V4, CLIENT_V6, PATIENCE};

/// The MAC of the services, and that of the macvlan beside it.
pub const VIP_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x50]);
const FREE_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x51]);
/// For local experiments (IEEE 802): says that all that was sent before has arrived.
const MARK: [u8; 2] = [0x88, 0xb5];
/// Offload header before each frame on a [`Wire`].
const OFFLOAD: usize = 10;

/// A node with two macvlans on its wire, and the other end of the wire.
pub struct Segment {
    pub client: NetNs,
    pub node: NetNs,
    pub inside: Netlink,
    wire: Wire,
    /// Sends the marks.
    mark: PacketSocket,
    marks: u64,
}

impl Segment {
    pub fn new() -> Self {
        let client = NetNs::create().expect("these tests need root");
        let node = NetNs::create().expect("these tests need root");
        let mut outside = client.netlink().expect("a socket");
        let mut inside = node.netlink().expect("a socket");
        let peer = VethPeer { name: "eth0", namespace: Some(node.as_fd()), mac: Some(NODE_MAC) };
        let end = outside.create_veth("eth0", Some(CLIENT_MAC), peer).expect("a wire").index;
        let parent = inside.link_named("eth0").expect("eth0").index;
        outside.set_up(end).expect("up");
        for (addr, prefix) in [(IpAddr::from(CLIENT_V4), 24), (CLIENT_V6.into(), 64)] {
            outside.add_address(end, &AddressSpec::new(addr, prefix)).expect("added");
        }
        inside.set_up(parent).expect("up");
        for (name, mac) in [("vip0", VIP_MAC), ("free0", FREE_MAC)] {
            let made = inside.create_macvlan(name, parent, MacvlanMode::Private, Some(mac));
            assert_eq!(made.expect("a macvlan").parent, Some(parent));
        }
        let wire = client.run(|| Wire::open(end)).expect("inside").expect("a wire");
        let open = || PacketSocket::open("eth0", Wanted::Neighbors);
        let mark = node.run(open).expect("inside").expect("a packet socket");
        Self { client, node, inside, wire, mark, marks: 0 }
    }

    pub fn index(&mut self, device: &str) -> u32 {
        self.inside.link_named(device).expect("there").index
    }

    pub fn be_strict(&self, gate: &mut Gate, devices: &[&str]) -> Watched {
        self.node.run(|| gate.be_strict_on(devices)).expect("inside").expect("strict")
    }

    /// Turns a macvlan on as stead would: without an address of its own, answering for its own.
    pub fn furnish(&mut self, device: &str, addrs: &[IpAddr]) {
        let index = self.index(device);
        self.inside.set_address_generation(index, AddressGeneration::None).expect("set");
        for (setting, value) in [(Setting::ArpIgnore, 1), (Setting::ArpAnnounce, 2)] {
            for name in ["eth0", device] {
                let write = || sysctl::write(name, setting, value);
                self.node.run(write).expect("inside").expect("written");
            }
        }
        self.inside.set_up(index).expect("up");
        for addr in addrs {
            let prefix = if addr.is_ipv4() { 24 } else { 64 };
            self.inside.add_address(index, &AddressSpec::new(*addr, prefix)).expect("added");
        }
    }

    /// All frames that have come from the node until now.
    pub fn heard(&mut self) -> Vec<Vec<u8>> {
        self.marks += 1;
        let mut mark = [Mac::BROADCAST.0, NODE_MAC.0].concat();
        mark.extend(MARK);
        mark.extend(self.marks.to_be_bytes());
        mark.resize(60, 0);
        self.mark.send(&mark).expect("sent");
        let (mut frames, mut buffer) = (Vec::new(), vec![0; FRAME_MAX]);
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "the mark does not arrive");
            let Some(frame) = self.wire.receive(&mut buffer).expect("readable") else {
                let mut fds = [PollFd::new(self.wire.as_fd(), PollFlags::POLLIN)];
                poll(&mut fds, PollTimeout::from(100_u16)).expect("pollable");
                continue;
            };
            let frame = frame[OFFLOAD..].to_vec();
            if frame == mark {
                return frames;
            }
            frames.push(frame);
        }
    }

    /// What was heard with this MAC as its sender, in words.
    pub fn heard_from(&mut self, mac: Mac) -> Vec<Said> {
        let heard = self.heard();
        heard.iter().filter(|frame| frame[6..12] == mac.0).map(|frame| said(frame)).collect()
    }

    /// Waits until it has been heard from the macvlan that nobody silences, while the gate has
    /// dropped something on the other one; says all that was heard from that.
    pub fn wait_for(&mut self, gate: &Gate, wanted: Said) -> Vec<Said> {
        let before = dropped(gate, &self.node);
        let deadline = Instant::now() + PATIENCE;
        let (mut found, mut leaked) = (false, Vec::new());
        while !found || dropped(gate, &self.node) == before {
            for frame in self.heard() {
                found |= frame[6..12] == FREE_MAC.0 && said(&frame) == wanted;
                if frame[6..12] == VIP_MAC.0 {
                    leaked.push(said(&frame));
                }
            }
            let dropped = dropped(gate, &self.node);
            assert!(Instant::now() < deadline, "{wanted:?}: {found}, {before} and {dropped}");
        }
        leaked
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Arp,
    Igmp,
    ListenerReport,
    RouterSolicitation,
    /// Duplicate address detection.
    Probe,
    Solicitation,
    Advertisement,
    Echo,
    Other,
}

fn said(frame: &[u8]) -> Said {
    let packet = &frame[14..];
    match frame[12..14] {
        [0x08, 0x06] => Said::Arp,
        [0x08, 0x00] if packet[9] == 2 => Said::Igmp,
        [0x08, 0x00] if packet[9] == 1 => Said::Echo,
        [0x86, 0xdd] => {
            // Listener reports come behind a hop-by-hop header of eight octets.
            let (next, at) = if packet[6] == 0 { (packet[40], 48) } else { (packet[6], 40) };
            match packet[at] {
                _ if next != 58 => Said::Other,
                128 | 129 => Said::Echo,
                131 | 132 | 143 => Said::ListenerReport,
                133 => Said::RouterSolicitation,
                135 if packet[8..24] == [0; 16] => Said::Probe,
                135 => Said::Solicitation,
                136 => Said::Advertisement,
                _ => Said::Other,
            }
        }
        _ => Said::Other,
    }
}

/// How many packets the gate has dropped.
pub fn dropped(gate: &Gate, ns: &NetNs) -> u64 {
    if let Some(count) = gate.dropped() {
        return count;
    }
    let rules = nft(ns, &["list", "ruleset"]);
    let words: Vec<&str> = rules.split_whitespace().collect();
    let counts = words.windows(2).filter(|pair| pair[0] == "packets");
    counts.map(|pair| pair[1].parse::<u64>().expect("a number")).sum()
}
