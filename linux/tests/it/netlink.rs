use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use stead_linux::namespace::NetNs;
use stead_linux::netlink::{
    AddressSpec, Destination, Event, Lifetime, Mac, MacvlanMode, Monitor, Netlink, PortState,
    Route, VethPeer,
};

/// Long enough for a machine that is busy with everything else.
const PATIENCE: Duration = Duration::from_secs(30);

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn room() -> (NetNs, Netlink) {
    let ns = NetNs::create().expect("these tests need root");
    let netlink = ns.netlink().expect("a socket");
    (ns, netlink)
}

/// Reads events until one is as wanted.
fn wait_for(monitor: &mut Monitor, wanted: impl Fn(&Event) -> bool) -> Event {
    let deadline = Instant::now() + PATIENCE;
    loop {
        while let Some(event) = monitor.poll().expect("readable") {
            if wanted(&event) {
                return event;
            }
        }
        assert!(Instant::now() < deadline, "the event did not come");
        let mut fds = [PollFd::new(monitor.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(1000_u16)).expect("pollable");
    }
}

#[test]
fn links_are_made_changed_and_deleted() {
    let (_ns, mut netlink) = room();
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    let far = NetNs::create().expect("the other room");
    let peer_mac = Mac([2, 0, 0, 0, 0, 2]);
    let peer = VethPeer { name: "eth0", namespace: Some(far.as_fd()), mac: Some(peer_mac) };
    let near = netlink.create_veth("port1", Some(mac), peer).expect("a pair");
    assert_eq!((near.name.as_str(), near.mac, near.up), ("port1", Some(mac), false));
    assert_eq!(near.kind.as_deref(), Some("veth"));

    let mut inside = far.netlink().expect("a socket");
    let eth0 = inside.link_named("eth0").expect("born in the other room");
    assert_eq!(eth0.mac, Some(peer_mac));
    inside.set_up(eth0.index).expect("up");
    netlink.set_up(near.index).expect("up");
    assert!(netlink.link(near.index).expect("there").carrier);
    inside.set_down(eth0.index).expect("down");
    assert!(!netlink.link(near.index).expect("there").carrier);

    let bridge = netlink.create_bridge("br0", None).expect("a bridge");
    netlink.set_port_of(near.index, Some(bridge.index)).expect("plugged");
    assert_eq!(netlink.link(near.index).expect("there").port_of, Some(bridge.index));
    netlink.set_port_of(near.index, None).expect("unplugged");
    assert_eq!(netlink.link(near.index).expect("there").port_of, None);

    netlink.rename(near.index, "other").expect("renamed");
    netlink.set_mac(near.index, Mac([2, 0, 0, 0, 0, 9])).expect("new address");
    netlink.set_mtu(near.index, 1400).expect("new MTU");
    let now = netlink.link_named("other").expect("there");
    assert_eq!((now.mac, now.mtu), (Some(Mac([2, 0, 0, 0, 0, 9])), 1400));

    let vip = netlink
        .create_macvlan("vip0", near.index, MacvlanMode::Bridge, Some(Mac([2, 0, 0, 0, 0, 7])))
        .expect("a macvlan");
    assert_eq!(vip.kind.as_deref(), Some("macvlan"));

    let again = netlink.create_bridge("br0", None).expect_err("the name is taken");
    assert!(again.already_there(), "{again}");
    netlink.delete_link(near.index).expect("deleted");
    let gone = netlink.link_named("other").expect_err("deleted");
    assert!(gone.not_there(), "{gone}");
    assert!(inside.link_named("eth0").expect_err("went along").not_there());
    assert!(netlink.delete_link(9999).expect_err("never was").not_there());
}

#[test]
fn a_disabled_port_keeps_the_carrier() {
    let (_ns, mut netlink) = room();
    let far = NetNs::create().expect("the other room");
    let peer = VethPeer { name: "eth0", namespace: Some(far.as_fd()), mac: None };
    let near = netlink.create_veth("port1", None, peer).expect("a pair");
    let bridge = netlink.create_bridge("br0", None).expect("a bridge");
    netlink.set_port_of(near.index, Some(bridge.index)).expect("plugged");
    let mut inside = far.netlink().expect("a socket");
    let eth0 = inside.link_named("eth0").expect("there").index;
    inside.set_up(eth0).expect("up");
    netlink.set_up(near.index).expect("up");
    netlink.set_up(bridge.index).expect("up");
    let deadline = Instant::now() + PATIENCE;
    while !netlink.link(near.index).expect("there").running {
        assert!(Instant::now() < deadline, "the port does not come up");
        std::thread::yield_now();
    }
    netlink.set_port_state(near.index, PortState::Disabled).expect("cut");
    assert!(inside.link(eth0).expect("there").carrier);
    netlink.set_port_state(near.index, PortState::Forwarding).expect("healed");
    netlink.set_port_of(near.index, None).expect("unplugged");
    let error = netlink.set_port_state(near.index, PortState::Disabled).expect_err("no port");
    assert!(error.errno().is_some(), "{error}");
}

#[test]
fn addresses_come_stay_and_go_by_themselves() {
    for (text, prefix) in [("192.0.2.10", 24), ("2001:db8::10", 64)] {
        let (ns, mut netlink) = room();
        let mut monitor = ns.monitor().expect("a monitor");
        let index = netlink.create_bridge("eth0", None).expect("an interface").index;
        netlink.set_up(index).expect("up");
        let spec = AddressSpec::new(ip(text), prefix);
        netlink.add_address(index, &spec).expect("added");
        assert!(netlink.add_address(index, &spec).expect_err("twice").already_there());
        let added = Event::AddressAdded { index, addr: ip(text), prefix };
        wait_for(&mut monitor, |event| *event == added);
        let found = netlink.addresses_of(index).expect("a list");
        let found = found.iter().find(|address| address.addr == ip(text)).expect("it is there");
        assert_eq!(
            (found.prefix, found.valid, found.tentative),
            (prefix, Lifetime::Forever, false)
        );

        netlink.replace_address(index, &spec.for_seconds(1000)).expect("limited");
        let found = netlink.addresses_of(index).expect("a list");
        let found = found.iter().find(|address| address.addr == ip(text)).expect("it is there");
        assert!(matches!(found.valid, Lifetime::Seconds(990..=1000)), "{found:?}");

        let removed = Event::AddressRemoved { index, addr: ip(text), prefix };
        let began = Instant::now();
        netlink.replace_address(index, &spec.for_seconds(1)).expect("nearly over");
        wait_for(&mut monitor, |event| *event == removed);
        assert!(began.elapsed() >= Duration::from_millis(900), "not before its time");
        assert!(netlink.delete_address(index, ip(text), prefix).expect_err("gone").not_there());
    }
}

#[test]
fn an_address_may_come_without_its_route() {
    for (text, prefix) in [("192.0.2.10", 24), ("2001:db8::10", 64)] {
        let (_ns, mut netlink) = room();
        let index = netlink.create_bridge("eth0", None).expect("an interface").index;
        netlink.set_up(index).expect("up");
        let spec = AddressSpec::new(ip(text), prefix).without_prefix_route();
        netlink.add_address(index, &spec).expect("added");
        let routes = netlink.routes().expect("a list");
        let link_local = ip("fe80::");
        assert!(routes.iter().all(|route| route.to.addr == link_local), "{routes:?}");
        netlink.delete_address(index, ip(text), prefix).expect("deleted");
    }
}

#[test]
fn routes_are_added_replaced_listed_and_deleted() {
    for (own, prefix, net, first, second) in [
        ("192.0.2.10", 24, "198.51.100.0", "192.0.2.1", "192.0.2.2"),
        ("2001:db8::10", 64, "2001:db8:1::", "2001:db8::1", "2001:db8::2"),
    ] {
        let (_ns, mut netlink) = room();
        let index = netlink.create_bridge("eth0", None).expect("an interface").index;
        netlink.set_up(index).expect("up");
        netlink.add_address(index, &AddressSpec::new(ip(own), prefix)).expect("added");
        let to = Destination { addr: ip(net), prefix };
        let mut route = Route::via(to, ip(first));
        route.metric = 50;
        netlink.add_route(&route).expect("added");
        assert!(netlink.add_route(&route).expect_err("twice").already_there());
        route.gateway = Some(ip(second));
        netlink.replace_route(&route).expect("replaced");
        netlink.add_route(&Route::default_via(ip(first))).expect("default");
        let routes = netlink.routes().expect("a list");
        let found: Vec<_> = routes.iter().filter(|route| route.to == to).collect();
        assert_eq!(found.len(), 1, "{routes:?}");
        assert_eq!((found[0].gateway, found[0].index), (Some(ip(second)), Some(index)));
        assert!(routes.iter().any(|r| r.to.prefix == 0 && r.gateway == Some(ip(first))));
        netlink.delete_route(&route).expect("deleted");
        assert!(netlink.delete_route(&route).expect_err("gone").not_there());
        let direct = Destination { addr: ip(net), prefix };
        netlink.add_route(&Route::direct(direct, index)).expect("direct");
    }
}

#[test]
fn each_next_hop_of_a_route_with_several_is_listed() {
    for (own, prefix, net, hops) in [
        ("192.0.2.10", 24, "198.51.100.0", ["192.0.2.1", "192.0.2.2"]),
        ("2001:db8::10", 64, "2001:db8:1::", ["2001:db8::1", "2001:db8::2"]),
    ] {
        let (ns, mut netlink) = room();
        let index = netlink.create_bridge("eth0", None).expect("an interface").index;
        netlink.set_up(index).expect("up");
        netlink.add_address(index, &AddressSpec::new(ip(own), prefix)).expect("added");
        let line = format!(
            "route add {net}/{prefix} metric 50 nexthop via {} nexthop via {}",
            hops[0], hops[1]
        );
        let done = ns.run(|| std::process::Command::new("ip").args(line.split(' ')).output());
        let done = done.expect("the namespace is there").expect("ip runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let to = Destination { addr: ip(net), prefix };
        let routes = netlink.routes().expect("a list");
        let found: Vec<_> = routes.iter().filter(|route| route.to == to).collect();
        let mut by: Vec<_> = found.iter().filter_map(|route| route.gateway).collect();
        by.sort_unstable();
        assert_eq!(by, hops.map(ip), "{routes:?}");
        assert!(found.iter().all(|it| it.index == Some(index) && it.metric == 50), "{routes:?}");
    }
}

#[test]
fn monitor_tells_of_links() {
    let (ns, mut netlink) = room();
    let mut monitor = ns.monitor().expect("a monitor");
    let index = netlink.create_bridge("eth0", None).expect("an interface").index;
    netlink.set_up(index).expect("up");
    wait_for(
        &mut monitor,
        |event| matches!(event, Event::Link { name, up: true, gone: false, .. } if name == "eth0"),
    );
    netlink.delete_link(index).expect("deleted");
    wait_for(
        &mut monitor,
        |event| matches!(event, Event::Link { index: of, gone: true, .. } if *of == index),
    );
}

#[test]
fn a_monitor_that_is_not_read_says_so() {
    let (ns, mut netlink) = room();
    let mut monitor = ns.monitor().expect("a monitor");
    let index = netlink.create_bridge("eth0", None).expect("an interface").index;
    let spec = AddressSpec::new(ip("192.0.2.1"), 24);
    let deadline = Instant::now() + PATIENCE;
    // the kernel's queue is bounded; how large it is, the machine's settings say
    let mut burst = 100;
    loop {
        for _ in 0..burst {
            netlink.add_address(index, &spec).expect("added");
            netlink.delete_address(index, spec.addr, spec.prefix).expect("deleted");
        }
        burst *= 2;
        while let Some(event) = monitor.poll().expect("readable") {
            if event == Event::Overrun {
                return;
            }
        }
        assert!(Instant::now() < deadline, "no overrun after {burst} changes");
    }
}

#[test]
fn neighbours_are_listed_and_forgotten() {
    let (ns, mut netlink) = room();
    let far = NetNs::create().expect("the other room");
    let peer = VethPeer { name: "eth0", namespace: Some(far.as_fd()), mac: None };
    let index = netlink.create_veth("eth0", None, peer).expect("a pair").index;
    let mut inside = far.netlink().expect("a socket");
    let eth0 = inside.link_named("eth0").expect("there");
    inside.set_up(eth0.index).expect("up");
    netlink.set_up(index).expect("up");
    netlink.add_address(index, &AddressSpec::new(ip("192.0.2.1"), 24)).expect("added");
    inside.add_address(eth0.index, &AddressSpec::new(ip("192.0.2.2"), 24)).expect("added");
    ns.run(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.send_to(b"?", "192.0.2.2:9").expect("sent");
    })
    .expect("inside");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let known = netlink.neighbours().expect("a list");
        if known.iter().any(|n| n.addr == ip("192.0.2.2") && n.mac == eth0.mac) {
            break;
        }
        assert!(Instant::now() < deadline, "{known:?}");
        std::thread::yield_now();
    }
    netlink.flush_neighbours(index).expect("flushed");
    let known = netlink.neighbours().expect("a list");
    assert!(!known.iter().any(|n| n.addr == ip("192.0.2.2") && n.mac.is_some()), "{known:?}");
}

#[test]
fn the_route_to_an_address_is_looked_up() {
    let (_ns, mut netlink) = room();
    let index = netlink.create_bridge("br0", None).expect("a bridge").index;
    netlink.set_up(index).expect("up");
    for (own, net, length, gateway) in
        [("10.1.0.2", "10.9.0.0", 16, "10.1.0.1"), ("fd00:1::2", "fd00:9::", 32, "fd00:1::1")]
    {
        let narrow = if ip(own).is_ipv4() { 24 } else { 64 };
        netlink.add_address(index, &AddressSpec::new(ip(own), narrow)).expect("an address");
        let inside: IpAddr = ip(&net.replace("9.0.0", "9.0.7").replace("9::", "9::7"));
        assert_eq!(netlink.route_to(inside).expect("an answer"), None);
        let to = Destination { addr: ip(net), prefix: length };
        netlink.add_route(&Route::via(to, ip(gateway))).expect("a route");
        let found = netlink.route_to(inside).expect("an answer").expect("a route");
        assert_eq!((found.to, found.gateway, found.index), (to, Some(ip(gateway)), Some(index)));
        // The kernel makes an address of IPv6 its own a moment later.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while let Some(route) = netlink.route_to(ip(own)).expect("an answer") {
            assert!(std::time::Instant::now() < deadline, "its own: {route:?}");
            std::thread::yield_now();
        }
        let beside = netlink.route_to(ip(gateway)).expect("an answer").expect("on the link");
        assert_eq!(beside.gateway, None);
    }
}
