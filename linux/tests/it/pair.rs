//! Two namespaces joined by a wire: a client that asks, a node that holds addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use stead_linux::namespace::NetNs;
use stead_linux::netlink::{AddressSpec, Mac, VethPeer};
use stead_linux::packet::echo::{Echo, End, Kind, Message};
use stead_linux::packet::{Frame, PacketSocket, Wanted, arp, neighbor};

/// Long enough for a machine that is busy with everything else.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const CLIENT_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub const NODE_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
pub const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The node's own address, never managed.
pub const NODE_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// A service's address on the node.
pub const SERVICE_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
pub const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
pub const NODE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
pub const SERVICE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100);

pub struct Pair {
    pub client: NetNs,
    pub node: NetNs,
    pub wire: PacketSocket,
    sequence: u16,
}

/// The four ways in which an address can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Arp,
    Ping,
    Solicitation,
    Ping6,
}

pub const WAYS: [Way; 4] = [Way::Arp, Way::Ping, Way::Solicitation, Way::Ping6];

impl Pair {
    pub fn new() -> Self {
        let client = NetNs::create().expect("these tests need root");
        let node = NetNs::create().expect("these tests need root");
        let mut near = client.netlink().expect("a socket");
        let mut far = node.netlink().expect("a socket");
        let peer = VethPeer { name: "eth0", namespace: Some(node.as_fd()), mac: Some(NODE_MAC) };
        near.create_veth("eth0", Some(CLIENT_MAC), peer).expect("a wire");
        let sides: [(_, &[(IpAddr, u8)]); 2] = [
            (&mut near, &[(CLIENT_V4.into(), 24), (CLIENT_V6.into(), 64)]),
            (
                &mut far,
                &[
                    (NODE_V4.into(), 24),
                    (SERVICE_V4.into(), 32),
                    (NODE_V6.into(), 64),
                    (SERVICE_V6.into(), 128),
                ],
            ),
        ];
        for (netlink, addrs) in sides {
            let index = netlink.link_named("eth0").expect("eth0").index;
            netlink.set_up(index).expect("up");
            for (addr, prefix) in addrs {
                let spec = AddressSpec::new(*addr, *prefix);
                netlink.add_address(index, &spec).expect("an address");
            }
        }
        let open = || PacketSocket::open("eth0", Wanted::Echoes);
        let wire = client.run(open).expect("inside").expect("a packet socket");
        let mut pair = Self { client, node, wire, sequence: 0 };
        pair.wait_until("everything answers", |pair| WAYS.iter().all(|way| pair.answers(*way)));
        pair
    }

    /// A socket on the node's end of the wire.
    pub fn node_wire(&self, wanted: Wanted) -> PacketSocket {
        let open = || PacketSocket::open("eth0", wanted);
        self.node.run(open).expect("inside").expect("a packet socket")
    }

    pub fn wait_until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "never came true: {what}");
        }
    }

    /// Whether the service's address answers in this way. Each question is followed by one to the
    /// node's own address: once that is answered, the first one was passed over.
    pub fn answers(&mut self, way: Way) -> bool {
        let mut answered = false;
        // Two questions may be handled on two processors; three times in a row is no accident.
        for _ in 0..3 {
            self.sequence = self.sequence.wrapping_add(2);
            let asked = self.sequence;
            self.ask(way, true, asked);
            let deadline = Instant::now() + PATIENCE;
            let mut waiting = true;
            while waiting {
                assert!(Instant::now() < deadline, "the node's own address is silent: {way:?}");
                self.ask(way, false, asked + 1);
                self.for_each_answer(Duration::from_millis(100), |own, sequence| {
                    answered |= !own && sequence.is_none_or(|it| it == asked);
                    waiting &= !(own && sequence.is_none_or(|it| it == asked + 1));
                    waiting
                });
            }
        }
        answered
    }

    fn ask(&self, way: Way, service: bool, sequence: u16) {
        let v4 = if service { SERVICE_V4 } else { NODE_V4 };
        let v6 = if service { SERVICE_V6 } else { NODE_V6 };
        let message = Message { kind: Kind::Request, id: 77, sequence, data: b"are you there" };
        let frame = match way {
            Way::Arp => arp::request(CLIENT_MAC, CLIENT_V4, v4, Mac::BROADCAST),
            Way::Solicitation => neighbor::request(CLIENT_MAC, CLIENT_V6, v6, None),
            Way::Ping => message
                .over_v4(End { mac: CLIENT_MAC, ip: CLIENT_V4 }, End { mac: NODE_MAC, ip: v4 }),
            Way::Ping6 => message
                .over_v6(End { mac: CLIENT_MAC, ip: CLIENT_V6 }, End { mac: NODE_MAC, ip: v6 }),
        };
        self.wire.send(&frame).expect("sent");
    }

    /// Hands every answer to `see` (is it the node's own address; its number, for echoes) until
    /// it says no, or nothing came for a while.
    fn for_each_answer(&self, wait: Duration, mut see: impl FnMut(bool, Option<u16>) -> bool) {
        let mut buffer = [0; 2048];
        loop {
            let Some(bytes) = self.wire.receive(&mut buffer).expect("readable") else {
                let mut fds = [PollFd::new(self.wire.as_fd(), PollFlags::POLLIN)];
                let timeout = PollTimeout::try_from(wait).expect("short");
                if poll(&mut fds, timeout).expect("pollable") == 0 {
                    return;
                }
                continue;
            };
            if let Some((addr, sequence)) = answer(bytes) {
                let own = addr == NODE_V4 || addr == NODE_V6;
                let service = addr == SERVICE_V4 || addr == SERVICE_V6;
                if (own || service) && !see(own, sequence) {
                    return;
                }
            }
        }
    }
}

fn answer(bytes: &[u8]) -> Option<(IpAddr, Option<u16>)> {
    let frame = Frame::parse(bytes)?;
    if let Some(arp) = arp::Arp::parse(&frame) {
        let reply = arp.operation == arp::Operation::Reply;
        return reply.then_some((arp.sender_ip.into(), None));
    }
    if let Some(message) = neighbor::Message::parse(&frame) {
        let reply = message.kind != neighbor::Kind::Solicitation;
        return reply.then_some((message.target.into(), None));
    }
    let echo = Echo::parse(&frame)?;
    (echo.kind == Kind::Reply).then_some((echo.from.ip, Some(echo.sequence)))
}
