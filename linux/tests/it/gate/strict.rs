//! A macvlan with a MAC of services: nothing in which that MAC would stand may leave the node while
//! its addresses are shut, whatever the kernel has to say. A second macvlan, on which the gate is
//! not strict, shows that it had something to say.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use stead_linux::netlink::AddressSpec;
use stead_linux::packet::echo::{End, Kind, Message};

use super::segment::{Said, Segment, VIP_MAC, dropped};
use super::*;
use crate::pair::{CLIENT_V4, CLIENT_V6, PATIENCE};

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x1234);
/// What is formed of the services' MAC.
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x50);

for_both_forms!(
    nothing_leaves_a_strict_device_while_it_is_shut,
    what_an_open_address_sends_leaves_a_strict_device,
    a_link_local_address_is_opened_with_the_others,
    a_strict_device_is_shut_by_the_deadline,
    a_device_becomes_strict_and_ceases_to_be,
    a_strict_device_is_taken_over_by_the_next_guard,
    a_strict_device_stays_shut_when_its_guard_leaves,
    a_strict_device_is_repaired,
    no_device_has_such_a_name,
);

fn group_sockets(index: u32) -> [Socket; 2] {
    let v4 = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
    let v6 = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
    let by_index = InterfaceIndexOrAddress::Index(index);
    v4.join_multicast_v4_n(&GROUP_V4, &by_index).expect("joined");
    v6.join_multicast_v6(&GROUP_V6, index).expect("joined");
    [v4, v6]
}

fn nothing_leaves_a_strict_device_while_it_is_shut(form: Form) {
    let mut segment = Segment::new();
    let mut gate = gate_on(&segment.node, form, "quiet", &["eth0", "free0"]);
    assert_eq!(segment.be_strict(&mut gate, &["vip0"]), Watched::default());
    gate.manage(&SERVICE).expect("managed");
    let both = ["vip0", "free0"].map(|name| segment.index(name));
    let mut leaked = Vec::new();
    // Link-local addresses, with all that comes with them.
    both.into_iter().for_each(|index| segment.inside.set_up(index).expect("up"));
    leaked.extend(segment.wait_for(&gate, Said::Probe));
    leaked.extend(segment.wait_for(&gate, Said::ListenerReport));
    leaked.extend(segment.wait_for(&gate, Said::RouterSolicitation));
    // Addresses: the service's, and on the other device one of its own.
    let free: [IpAddr; 2] = [[10, 0, 0, 101].into(), "fd00::101".parse().expect("an address")];
    for (index, addrs) in both.into_iter().zip([SERVICE, free]) {
        for (addr, prefix) in addrs.into_iter().zip([24, 64]) {
            let mut spec = AddressSpec::new(addr, prefix).without_prefix_route();
            spec.no_dad = false;
            segment.inside.add_address(index, &spec).expect("added");
        }
    }
    leaked.extend(segment.wait_for(&gate, Said::Probe));
    let groups = both.map(|index| segment.node.run(|| group_sockets(index)).expect("inside"));
    leaked.extend(segment.wait_for(&gate, Said::Igmp));
    leaked.extend(segment.wait_for(&gate, Said::ListenerReport));
    drop(groups);
    leaked.extend(segment.wait_for(&gate, Said::Igmp));
    leaked.extend(segment.wait_for(&gate, Said::ListenerReport));
    // Addresses that end by themselves.
    for (index, addrs) in both.into_iter().zip([SERVICE, free]) {
        for (addr, prefix) in addrs.into_iter().zip([24, 64]) {
            let spec = AddressSpec::new(addr, prefix).without_prefix_route().for_seconds(1);
            segment.inside.replace_address(index, &spec).expect("limited");
        }
    }
    leaked.extend(segment.wait_for(&gate, Said::ListenerReport));
    // What a program sends by itself, of whatever protocol.
    let open = || PacketSocket::open("vip0", Wanted::Neighbors);
    let socket = segment.node.run(open).expect("inside").expect("a packet socket");
    for frame in all_kinds() {
        assert!(matches!(socket.send(&frame), Err(PacketError::Dropped)), "{frame:02x?}");
    }
    leaked.extend(segment.heard_from(VIP_MAC));
    assert_eq!(leaked, []);
}

/// Frames with the MAC of the services: two that an open address sends, then others.
fn all_kinds() -> Vec<Vec<u8>> {
    let unmanaged: Ipv6Addr = "fe80::50".parse().expect("an address");
    let message = Message { kind: Kind::Request, id: 1, sequence: 1, data: b"hello" };
    let to = End { mac: CLIENT_MAC, ip: CLIENT_V4 };
    let mut strange = arp::announcement(VIP_MAC, SERVICE_V4);
    strange[12..14].copy_from_slice(&[0x88, 0xcc]); // LLDP
    let mut for_another = neighbor::announcement(VIP_MAC, SERVICE_V6, false);
    for_another[62..78].copy_from_slice(&unmanaged.octets()); // its target
    vec![
        arp::announcement(VIP_MAC, SERVICE_V4),
        neighbor::announcement(VIP_MAC, SERVICE_V6, false),
        arp::announcement(VIP_MAC, Ipv4Addr::new(10, 0, 0, 99)),
        arp::probe(VIP_MAC, SERVICE_V4),
        neighbor::announcement(VIP_MAC, unmanaged, false),
        neighbor::probe(VIP_MAC, SERVICE_V6, [1; 6]),
        neighbor::request(VIP_MAC, unmanaged, CLIENT_V6, None),
        message.over_v4(End { mac: VIP_MAC, ip: Ipv4Addr::UNSPECIFIED }, to),
        strange,
        for_another,
    ]
}

fn what_an_open_address_sends_leaves_a_strict_device(form: Form) {
    let mut segment = Segment::new();
    let mut gate = gate_on(&segment.node, form, "speaks", &["eth0"]);
    segment.be_strict(&mut gate, &["vip0"]);
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, LONG);
    segment.furnish("vip0", &SERVICE);
    let open = || PacketSocket::open("vip0", Wanted::Neighbors);
    let socket = segment.node.run(open).expect("inside").expect("a packet socket");
    for (at, frame) in all_kinds().iter().enumerate() {
        let sent = socket.send(frame);
        let passes = at < 2;
        assert!(if passes { sent.is_ok() } else { matches!(sent, Err(PacketError::Dropped)) });
    }
    assert_eq!(segment.heard_from(VIP_MAC), [Said::Arp, Said::Advertisement]);
    // The kernel asks for its neighbours in the service's name, and answers in it.
    for (own, client) in SERVICE.into_iter().zip([IpAddr::from(CLIENT_V4), CLIENT_V6.into()]) {
        talk(&segment, own, client);
    }
    let heard = segment.heard_from(VIP_MAC);
    assert!(heard.contains(&Said::Arp) && heard.contains(&Said::Solicitation), "{heard:?}");
    let mut outside = segment.client.netlink().expect("a socket");
    let known = outside.neighbours().expect("a list");
    for addr in SERVICE {
        assert!(known.iter().any(|it| it.addr == addr && it.mac == Some(VIP_MAC)), "{known:?}");
    }
    assert!(heard.iter().all(|it| *it != Said::ListenerReport && *it != Said::Igmp), "{heard:?}");
}

/// Without an address of the link the kernel can't ask a neighbour again, nor tell a switch that
/// it listens. So one is managed, and speaks while it is open.
fn a_link_local_address_is_opened_with_the_others(form: Form) {
    let mut segment = Segment::new();
    let mut gate = gate_on(&segment.node, form, "link", &["eth0"]);
    segment.be_strict(&mut gate, &["vip0"]);
    let all = [LINK_LOCAL.into(), SERVICE[0], SERVICE[1]];
    gate.manage(&all).expect("managed");
    open(&mut gate, &all, LONG);
    segment.furnish("vip0", &all);
    let mut heard = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while !heard.contains(&Said::ListenerReport) {
        assert!(Instant::now() < deadline, "{heard:?}");
        heard.extend(segment.heard_from(VIP_MAC));
    }
    gate.shut_all().expect("shut");
    segment.heard();
    let index = segment.index("vip0");
    let before = dropped(&gate, &segment.node);
    let groups = segment.node.run(|| group_sockets(index)).expect("inside");
    while dropped(&gate, &segment.node) < before + 2 {
        assert!(Instant::now() < deadline, "the kernel has nothing to say");
    }
    drop(groups);
    assert_eq!(segment.heard_from(VIP_MAC), []);
}

/// A word from the service to the client, and one back.
fn talk(segment: &Segment, own: IpAddr, client: IpAddr) {
    let bind = |addr| std::net::UdpSocket::bind((addr, 0)).expect("bound");
    let here = segment.node.run(|| bind(own)).expect("inside");
    let there = segment.client.run(|| bind(client)).expect("inside");
    for socket in [&here, &there] {
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
    }
    let mut buffer = [0; 16];
    here.send_to(b"to", there.local_addr().expect("bound")).expect("sent");
    let (_, from) = there.recv_from(&mut buffer).expect("it arrives");
    assert_eq!(from.ip(), own);
    there.send_to(b"fro", from).expect("sent");
    assert_eq!(here.recv(&mut buffer).expect("it arrives"), 3);
}

fn a_strict_device_is_shut_by_the_deadline(form: Form) {
    let mut segment = Segment::new();
    let mut gate = gate_on(&segment.node, form, "ends", &["eth0"]);
    segment.be_strict(&mut gate, &["vip0"]);
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, LONG);
    segment.furnish("vip0", &SERVICE);
    talk(&segment, SERVICE_V4.into(), CLIENT_V4.into());
    let open = || PacketSocket::open("vip0", Wanted::Neighbors);
    let socket = segment.node.run(open).expect("inside").expect("a packet socket");
    open_both(&mut gate, Duration::from_millis(100));
    let slack = Duration::from_millis(20); // more than either form's
    let late = after(Duration::from_millis(100) + slack);
    while boottime() <= late {
        std::thread::yield_now();
    }
    for frame in all_kinds() {
        assert!(matches!(socket.send(&frame), Err(PacketError::Dropped)), "{frame:02x?}");
    }
    segment.heard();
    let index = segment.index("vip0");
    let groups = segment.node.run(|| group_sockets(index)).expect("inside");
    let before = dropped(&gate, &segment.node);
    let deadline = Instant::now() + PATIENCE;
    while dropped(&gate, &segment.node) < before + 2 {
        assert!(Instant::now() < deadline, "the kernel has nothing to say");
    }
    drop(groups);
    assert_eq!(segment.heard_from(VIP_MAC), []);
}

/// Whether a frame of nobody's leaves a device.
fn leaves(segment: &Segment, device: &str) -> bool {
    let open = || PacketSocket::open(device, Wanted::Neighbors);
    let socket = segment.node.run(open).expect("inside").expect("a packet socket");
    match socket.send(&all_kinds()[6]) {
        Ok(_) => true,
        Err(PacketError::Dropped) => false,
        Err(error) => panic!("{error}"),
    }
}

fn a_device_becomes_strict_and_ceases_to_be(form: Form) {
    let mut segment = Segment::new();
    let mut gate = gate_on(&segment.node, form, "becomes", &["eth0", "vip0", "free0"]);
    segment.furnish("vip0", &[]);
    segment.furnish("free0", &[]);
    let strict = |gate: &Gate| gate.strict().map(str::to_owned).collect::<Vec<_>>();
    assert!(leaves(&segment, "vip0") && leaves(&segment, "free0"));
    let watched = segment.be_strict(&mut gate, &["vip0", "vip7"]);
    assert_eq!(
        (watched.missing.as_slice(), strict(&gate).len()),
        (["vip7".to_owned()].as_slice(), 2)
    );
    assert!(!leaves(&segment, "vip0") && leaves(&segment, "free0"));
    segment.be_strict(&mut gate, &["free0"]);
    assert!(leaves(&segment, "vip0") && !leaves(&segment, "free0"));
    // It is hooked without being named, and found again under another name.
    let watch = |gate: &mut Gate| gate.watch(&["eth0"]).expect("watched");
    let watched = segment.node.run(|| watch(&mut gate)).expect("inside");
    assert_eq!(watched, Watched::default());
    assert!(leaves(&segment, "vip0") && !leaves(&segment, "free0"));
    let index = segment.index("vip0");
    segment.inside.set_down(index).expect("down");
    segment.inside.rename(index, "vip7").expect("renamed");
    segment.be_strict(&mut gate, &["vip7"]);
    segment.inside.set_up(index).expect("up");
    assert!(!leaves(&segment, "vip7") && leaves(&segment, "free0"));
    segment.inside.delete_link(index).expect("deleted");
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, LONG);
    assert_eq!(segment.be_strict(&mut gate, &["vip7"]).missing, ["vip7"]);
    segment.be_strict(&mut gate, &[]);
    assert_eq!(strict(&gate), [""; 0]);
    assert!(leaves(&segment, "free0"));
}

fn a_strict_device_is_taken_over_by_the_next_guard(form: Form) {
    let mut segment = Segment::new();
    let mut gate = gate_on(&segment.node, form, "heir", &["eth0"]);
    segment.be_strict(&mut gate, &["vip0", "vip7"]);
    segment.furnish("vip0", &[]);
    drop(gate);
    assert!(!leaves(&segment, "vip0"), "nobody is needed for that");
    for other in [Form::Ebpf, Form::Nftables, form] {
        let gate = gate_on(&segment.node, other, "heir", &["eth0", "vip0"]);
        assert!(gate.strict().eq(["vip0", "vip7"]), "{other}");
        assert!(!leaves(&segment, "vip0"), "{other}");
    }
    let mut gate = gate_on(&segment.node, form, "heir", &["eth0"]);
    segment.be_strict(&mut gate, &[]);
    drop(gate);
    for other in Form::ALL {
        let gate = gate_on(&segment.node, other, "heir", &["eth0", "vip0"]);
        assert_eq!(gate.strict().count(), 0, "{other}");
        assert!(leaves(&segment, "vip0"), "{other}");
    }
}

fn a_strict_device_stays_shut_when_its_guard_leaves(form: Form) {
    let mut segment = Segment::new();
    let mut gate = gate_on(&segment.node, form, "left", &["eth0"]);
    segment.be_strict(&mut gate, &["vip0"]);
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, LONG);
    segment.furnish("vip0", &SERVICE);
    segment.node.run(|| gate.leave()).expect("inside").expect("left");
    let open = || PacketSocket::open("vip0", Wanted::Neighbors);
    let socket = segment.node.run(open).expect("inside").expect("a packet socket");
    for frame in all_kinds() {
        assert!(matches!(socket.send(&frame), Err(PacketError::Dropped)), "{frame:02x?}");
    }
    let next = gate_on(&segment.node, form, "left", &["eth0"]);
    assert!(next.strict().eq(["vip0"]));
    assert!(!leaves(&segment, "vip0"));
    next.remove().expect("removed");
    assert!(leaves(&segment, "vip0"));
}

fn a_strict_device_is_repaired(form: Form) {
    let mut segment = Segment::new();
    let mut gate = gate_on(&segment.node, form, "mends", &["eth0"]);
    segment.be_strict(&mut gate, &["vip0"]);
    segment.furnish("vip0", &[]);
    if form == Form::Ebpf {
        administer(&segment.node, "tc", &["qdisc", "delete", "dev", "vip0", "clsact"]);
        assert!(leaves(&segment, "vip0"), "somebody took it away");
        assert!(matches!(gate.open_until(&[], after(LONG)), Err(GateError::Gone)));
    }
    let watched = segment.node.run(|| gate.repair()).expect("inside").expect("repaired");
    assert_eq!(watched, Watched::default());
    assert!(!leaves(&segment, "vip0"));
    assert!(gate.strict().eq(["vip0"]));
}

/// Where the filters can't hang, the table shuts it.
#[test]
fn a_strict_device_that_can_have_no_filters_is_shut_by_the_table() {
    let mut segment = Segment::new();
    administer(&segment.node, "tc", &["qdisc", "add", "dev", "vip0", "ingress"]);
    let mut gate = gate_on(&segment.node, Form::Ebpf, "no-place", &["eth0"]);
    assert_eq!(segment.be_strict(&mut gate, &["vip0"]).refused, ["vip0"]);
    segment.furnish("vip0", &[]);
    assert!(!leaves(&segment, "vip0"));
}

fn no_device_has_such_a_name(form: Form) {
    let ns = NetNs::create().expect("these tests need root");
    let mut gate = gate_on(&ns, form, "names", &[]);
    for name in ["", "a/b", "sixteen-letters!"] {
        assert!(matches!(gate.be_strict_on(&["vip0", name]), Err(GateError::Device(_))), "{name}");
    }
    assert_eq!(gate.strict().count(), 0);
}
