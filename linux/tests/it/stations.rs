//! Who is where: what bridges and neighbour caches know, and how old it is.

use std::net::{IpAddr, SocketAddrV6};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use stead_linux::namespace::NetNs;
use stead_linux::netlink::{
    AddressGeneration, AddressSpec, Mac, MacvlanMode, NeighbourState, VethPeer,
};
use stead_linux::packet::{PacketSocket, Wanted, arp};
use stead_linux::sysctl::{self, Setting, SysctlError};

use crate::pair::{CLIENT_V4, NODE_MAC, NODE_V4, PATIENCE, Pair};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 0x77]);

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_neighbour_s_state_and_ages_are_told() {
    let pair = Pair::new();
    let mut netlink = pair.client.netlink().expect("a socket");
    let index = netlink.link_named("eth0").expect("there").index;
    let ask = || {
        let socket = std::net::UdpSocket::bind((CLIENT_V4, 0)).expect("a socket");
        socket.send_to(b"?", (NODE_V4, 9)).expect("sent");
    };
    pair.client.run(ask).expect("inside");
    let node = IpAddr::from(NODE_V4);
    let mut known = || {
        let all = netlink.neighbours_of(index).expect("a list");
        all.into_iter().find(|it| it.addr == node)
    };
    wait_until("the node is known", || {
        known().is_some_and(|it| it.state == NeighbourState::Reachable)
    });
    let entry = known().expect("there");
    assert_eq!((entry.mac, entry.state.is_used()), (Some(NODE_MAC), true));
    let ages = entry.ages.expect("told");
    assert!(ages.confirmed < PATIENCE && ages.updated < PATIENCE && ages.used < PATIENCE);
    // Told by the neighbour unasked, it is used but not sure.
    let socket = pair.node_wire(Wanted::Neighbors);
    wait_until("the kernel heeds the announcement", || {
        socket.send(&arp::announcement(MAC, NODE_V4)).expect("sent");
        known().is_some_and(|it| it.mac == Some(MAC) && it.state == NeighbourState::Stale)
    });
    assert!(known().expect("there").ages.expect("told").updated <= ages.updated.max(PATIENCE));
    wait_until("it grows older", || {
        known().and_then(|it| it.ages).is_some_and(|it| it.updated >= Duration::from_millis(50))
    });
}

#[test]
fn a_bridge_says_behind_which_port_a_mac_is() {
    let switch = NetNs::create().expect("these tests need root");
    let mut netlink = switch.netlink().expect("a socket");
    let bridge = netlink.create_bridge("br0", None).expect("a bridge").index;
    netlink.set_up(bridge).expect("up");
    let mut ports = Vec::new();
    for port in ["p1", "p2"] {
        let host = NetNs::create().expect("these tests need root");
        let peer = VethPeer { name: "eth0", namespace: Some(host.as_fd()), mac: None };
        let index = netlink.create_veth(port, None, peer).expect("a wire").index;
        let mut inside = host.netlink().expect("a socket");
        let eth0 = inside.link_named("eth0").expect("there").index;
        inside.set_up(eth0).expect("up");
        netlink.set_port_of(index, Some(bridge)).expect("plugged");
        netlink.set_up(index).expect("up");
        let open = || PacketSocket::open("eth0", Wanted::Neighbors);
        ports.push((index, host.run(open).expect("inside").expect("a packet socket"), host));
    }
    assert_eq!(netlink.find_station(MAC).expect("a list"), []);
    // The same MAC, first behind the one, then behind the other.
    for (index, socket, _) in &ports {
        wait_until("the bridge has learned it", || {
            socket.send(&arp::announcement(MAC, NODE_V4)).expect("sent");
            let found = netlink.find_station(MAC).expect("a list");
            found.iter().any(|it| it.port == *index)
        });
        let found = netlink.find_station(MAC).expect("a list");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].learned && found[0].bridge == bridge, "{found:?}");
        assert!(found[0].age < PATIENCE, "{found:?}");
    }
    wait_until("it grows older", || {
        netlink.find_station(MAC).expect("a list")[0].age >= Duration::from_millis(50)
    });
    // A port's own MAC is known without being learned.
    let own = netlink.link(ports[0].0).expect("there").mac.expect("an Ethernet address");
    let found = netlink.find_station(own).expect("a list");
    assert!(!found.is_empty() && found.iter().all(|it| !it.learned), "{found:?}");
    assert!(found.iter().all(|it| it.port == ports[0].0), "{found:?}");
}

#[test]
fn a_macvlan_forms_no_address_of_its_own() {
    let pair = Pair::new();
    let mut netlink = pair.node.netlink().expect("a socket");
    let parent = netlink.link_named("eth0").expect("there").index;
    for (name, how, wanted) in
        [("vip0", AddressGeneration::None, 0), ("vip1", AddressGeneration::Mac, 1)]
    {
        let made = netlink.create_macvlan(name, parent, MacvlanMode::Private, None);
        let made = made.expect("a macvlan");
        assert_eq!((made.parent, made.up), (Some(parent), false));
        netlink.set_address_generation(made.index, how).expect("set");
        let mode = || sysctl::read(name, Setting::AddrGenMode);
        let mode = pair.node.run(mode).expect("inside").expect("read");
        assert_eq!(mode, i32::from(how == AddressGeneration::None));
        netlink.set_up(made.index).expect("up");
        assert!(netlink.link(made.index).expect("there").running);
        assert_eq!(netlink.addresses_of(made.index).expect("a list").len(), wanted, "{name}");
    }
    let error = netlink.set_address_generation(9_999, AddressGeneration::None);
    assert!(error.expect_err("never was").not_there());
}

/// Also where no address is formed by itself; unless advertisements are not heeded.
#[test]
fn a_router_gives_a_macvlan_an_address_and_a_default_route() {
    let pair = Pair::new();
    let mut netlink = pair.node.netlink().expect("a socket");
    let parent = netlink.link_named("eth0").expect("there").index;
    let heeds = [("vip0", 0), ("vip1", 1)].map(|(name, accept)| {
        let made = netlink.create_macvlan(name, parent, MacvlanMode::Private, None);
        let index = made.expect("a macvlan").index;
        netlink.set_address_generation(index, AddressGeneration::None).expect("set");
        let write = || sysctl::write(name, Setting::AcceptRa, accept);
        pair.node.run(write).expect("inside").expect("written");
        netlink.set_up(index).expect("up");
        index
    });
    let mut outside = pair.client.netlink().expect("a socket");
    let index = outside.link_named("eth0").expect("there").index;
    let router = AddressSpec::new("fe80::1".parse().expect("an address"), 64);
    outside.add_address(index, &router).expect("added");
    let advertise = || {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6));
        let socket = socket.expect("a socket");
        socket.set_multicast_hops_v6(255).expect("set");
        socket.set_multicast_if_v6(index).expect("set");
        // RFC 4861 4.2 and 4.6.2: a router for half an hour, 2001:db8::/64 to form addresses of.
        let mut body = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        body.extend([3, 4, 64, 0xc0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        body.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let all_nodes = SocketAddrV6::new("ff02::1".parse().expect("an address"), 0, 0, index);
        socket.send_to(&body, &all_nodes.into()).expect("sent");
    };
    wait_until("the one that heeds it has a default route", || {
        pair.client.run(advertise).expect("inside");
        let routes = netlink.routes().expect("a list");
        let mut by_router = routes.iter().filter(|route| route.to.prefix == 0);
        by_router.any(|route| route.index == Some(heeds[1]) && route.expires.is_some())
    });
    assert_eq!(netlink.addresses_of(heeds[1]).expect("a list").len(), 1);
    assert_eq!(netlink.addresses_of(heeds[0]).expect("a list"), []);
    let routes = netlink.routes().expect("a list");
    assert!(routes.iter().all(|route| route.index != Some(heeds[0])), "{routes:?}");
}

/// A thread reads and writes in the namespace in which it is, also after it went into another.
#[test]
fn settings_are_those_of_the_thread_s_namespace() {
    let pair = Pair::new();
    let read = |setting| sysctl::read("eth0", setting).expect("read");
    pair.client
        .run(|| {
            for setting in Setting::ALL {
                let before = read(setting);
                let wanted = i32::from(before == 0);
                sysctl::write("eth0", setting, wanted).expect("written");
                assert_eq!(read(setting), wanted, "{setting:?}");
                sysctl::write("eth0", setting, before).expect("written");
            }
            sysctl::write("eth0", Setting::ArpIgnore, 1).expect("written");
            // The same thread, from one into the other.
            pair.node.enter().expect("entered");
            assert_eq!(read(Setting::ArpIgnore), 0);
            sysctl::write("eth0", Setting::ArpIgnore, 2).expect("written");
            pair.client.enter().expect("entered");
            assert_eq!(read(Setting::ArpIgnore), 1);
        })
        .expect("inside");
    assert_eq!(pair.node.run(|| read(Setting::ArpIgnore)).expect("inside"), 2);
    assert_eq!(pair.client.read_sysctl("net/ipv4/conf/eth0/arp_ignore").expect("read"), "1");
    let missing = pair.client.run(|| sysctl::read("eth7", Setting::RpFilter)).expect("inside");
    let missing = missing.expect_err("there is none");
    assert!(missing.not_there(), "{missing}");
    assert!(missing.to_string().contains("/proc/sys/net/ipv4/conf/eth7/rp_filter"), "{missing}");
    let refused = || sysctl::write("eth0", Setting::AddrGenMode, 99);
    let refused = pair.client.run(refused).expect("inside").expect_err("no such mode");
    assert!(matches!(refused, SysctlError::File { .. }) && !refused.not_there(), "{refused}");
}
