//! Routes of services: who made them, and how they end without anybody's help.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use stead_linux::namespace::NetNs;
use stead_linux::netlink::{AddressSpec, Destination, Netlink, NetlinkError, Route};

/// Long enough for a machine that is busy with everything else.
const PATIENCE: Duration = Duration::from_secs(30);
/// A protocol number that no daemon of routes uses.
const OURS: u8 = 201;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn to(text: &str, prefix: u8) -> Destination {
    Destination { addr: ip(text), prefix }
}

/// A namespace with an interface that is up and runs, and its index.
fn room() -> (NetNs, Netlink, u32) {
    let ns = NetNs::create().expect("these tests need root");
    let mut netlink = ns.netlink().expect("a socket");
    let index = netlink.create_stub("vip0").expect("a stub").index;
    netlink.set_up(index).expect("up");
    (ns, netlink, index)
}

fn found(netlink: &mut Netlink, to: Destination) -> Option<Route> {
    let routes = netlink.routes().expect("a list");
    routes.into_iter().find(|route| route.to == to)
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_stub_runs_as_soon_as_it_is_up() {
    let (_ns, mut netlink, index) = room();
    let stub = netlink.link(index).expect("there");
    assert!(stub.up && stub.carrier && stub.running, "{stub:?}");
    // Where there is a dummy it is one; else the error says why not.
    match netlink.create_dummy("other") {
        Ok(dummy) => assert_eq!(
            (dummy.kind.as_deref(), stub.kind.as_deref()),
            (Some("dummy"), Some("dummy"))
        ),
        Err(error) => {
            assert!(error.unsupported() && !error.already_there(), "{error}");
            assert_eq!(stub.kind.as_deref(), Some("bridge"));
        }
    }
    assert!(netlink.create_stub("vip0").expect_err("the name is taken").already_there());
}

#[test]
fn a_route_says_who_made_it() {
    let (_ns, mut netlink, index) = room();
    for (first, second, prefix) in [("10.99.0.1", "10.99.0.2", 32), ("fd99::1", "fd99::2", 128)] {
        let (first, second) = (to(first, prefix), to(second, prefix));
        netlink.add_route(&Route::direct(first, index).made_by(OURS)).expect("added");
        netlink.add_route(&Route::direct(second, index)).expect("added");
        assert_eq!(found(&mut netlink, first).expect("there").protocol, OURS);
        let by_hand = found(&mut netlink, second).expect("there");
        assert_eq!((by_hand.protocol, by_hand.expires), (Route::STATIC, None));
        // Another's route to the same place is not touched.
        let mistaken = netlink.delete_route(&Route::direct(second, index).made_by(OURS));
        assert!(mistaken.expect_err("it is another's").not_there());
    }
    // The kernel's own are told apart as well.
    let spec = AddressSpec::new(ip("192.0.2.1"), 24);
    netlink.add_address(index, &spec).expect("added");
    assert_eq!(found(&mut netlink, to("192.0.2.0", 24)).expect("there").protocol, 2);
}

#[test]
fn an_ipv4_route_goes_with_the_last_address_of_its_interface() {
    let (_ns, mut netlink, index) = room();
    let mut routes = Vec::new();
    for (addr, route, prefix) in [("10.98.0.1", "10.99.0.1", 32), ("fd98::1", "fd99::1", 128)] {
        let spec = AddressSpec::new(ip(addr), prefix).without_prefix_route();
        netlink.add_address(index, &spec).expect("added");
        routes.push(Route::direct(to(route, prefix), index).made_by(OURS));
        netlink.add_route(routes.last().expect("one")).expect("added");
        netlink.delete_address(index, ip(addr), prefix).expect("deleted");
    }
    assert_eq!(found(&mut netlink, routes[0].to), None);
    assert!(found(&mut netlink, routes[1].to).is_some(), "it stays");
}

/// Two routes whose preferred source ends by its lifetime, beside an address that stays.
#[test]
fn an_ipv4_route_goes_with_its_source_and_an_ipv6_one_stays() {
    let (_ns, mut netlink, index) = room();
    let families = [("10.99.0.1", "10.98.0.1", 32), ("fd99::1", "fd98::1", 128)];
    let mut routes = Vec::new();
    for (source, other, prefix) in families {
        let spec = AddressSpec::new(ip(source), prefix).without_prefix_route().for_seconds(1000);
        netlink.add_address(index, &spec).expect("added");
        let stays = AddressSpec::new(ip(other), prefix).without_prefix_route();
        netlink.add_address(index, &stays).expect("added");
        let mut route = Route::direct(to(source, prefix), index).made_by(OURS);
        route.source = Some(ip(source));
        netlink.add_route(&route).expect("added");
        assert_eq!(found(&mut netlink, route.to).expect("there").source, Some(ip(source)));
        netlink.replace_address(index, &spec.for_seconds(1)).expect("nearly over");
        routes.push(route.to);
    }
    wait_until("both addresses have ended", || {
        let addresses = netlink.addresses_of(index).expect("a list");
        families.iter().all(|(source, ..)| !addresses.iter().any(|it| it.addr == ip(source)))
    });
    assert_eq!(found(&mut netlink, routes[0]), None);
    // Nobody is told, and the route still leads here; only its source is forgotten.
    let left = found(&mut netlink, routes[1]).expect("it stays");
    assert_eq!((left.source, left.protocol), (None, OURS));
}

#[test]
fn an_ipv6_route_ends_by_itself() {
    let (ns, mut netlink, index) = room();
    ns.write_sysctl("net/ipv6/route/gc_interval", "1").expect("written");
    let limited = Route::direct(to("fd99::1", 128), index).made_by(OURS).for_seconds(600);
    netlink.add_route(&limited).expect("added");
    let left = found(&mut netlink, limited.to).expect("there").expires;
    assert!(matches!(left, Some(590..=600)), "{left:?}");
    // Renewed, and without an end.
    netlink.replace_route(&limited.for_seconds(1200)).expect("renewed");
    let left = found(&mut netlink, limited.to).expect("there").expires;
    assert!(matches!(left, Some(1190..=1200)), "{left:?}");
    let lasting = Route::direct(limited.to, index).made_by(OURS);
    netlink.replace_route(&lasting).expect("for ever");
    assert_eq!(found(&mut netlink, limited.to).expect("there").expires, None);
    let began = Instant::now();
    netlink.replace_route(&limited.for_seconds(1)).expect("nearly over");
    wait_until("it has ended", || found(&mut netlink, limited.to).is_none());
    assert!(began.elapsed() >= Duration::from_millis(900), "not before its time");
}

/// Long before the kernel clears it away, no packet is sent by a route that has ended.
#[test]
fn a_route_that_has_ended_is_used_no_more_though_it_is_listed() {
    let (ns, mut netlink, index) = room();
    ns.write_sysctl("net/ipv6/route/gc_interval", "3600").expect("written");
    netlink.add_address(index, &AddressSpec::new(ip("fd98::1"), 128)).expect("added");
    let route = Route::direct(to("fd99::", 64), index).made_by(OURS).for_seconds(1);
    netlink.add_route(&route).expect("added");
    let reaches = || {
        ns.run(|| {
            let socket = std::net::UdpSocket::bind("[::]:0").expect("a socket");
            socket.connect("[fd99::1]:9").is_ok()
        })
        .expect("inside")
    };
    assert!(reaches());
    wait_until("it leads nowhere", || !reaches());
    wait_until("the list says so", || {
        found(&mut netlink, route.to).expect("listed still").expires == Some(0)
    });
}

/// What the kernel does with an end that is asked of an IPv4 route.
#[test]
fn an_ipv4_route_has_no_end() {
    let (_ns, mut netlink, index) = room();
    let route = Route::direct(to("10.99.0.1", 32), index).for_seconds(1);
    netlink.add_route(&route).expect("the kernel does not mind");
    assert_eq!(found(&mut netlink, route.to).expect("there").expires, None);
    let refused: Result<(), NetlinkError> = netlink.add_route(&route);
    assert!(refused.expect_err("twice").already_there());
}
