//! A guard that hangs: its addresses end by their lifetime, and the daemons withdraw them.

use stead_lab::Host;
use stead_linux::netlink::Destination;
use stead_redirect::routing::{Prefix, Source};

use super::net::{INTERFACE, Kind, Net, prefix, prefixes, until};

fn has_route(router: &Host, prefix: Prefix) -> bool {
    let to = Destination { addr: prefix.address(), prefix: prefix.length() };
    let routes = router.netlink().expect("a socket").routes().expect("a list");
    routes.iter().any(|route| route.to == to)
}

/// The router next to the node has them, and then has them no longer, without a word from us.
fn lapses(net: &Net, wanted: &[Prefix], hold: impl FnOnce()) {
    net.ready(true);
    hold();
    for &prefix in wanted {
        until(&format!("{prefix} is announced"), || has_route(&net.r1, prefix));
    }
    for &prefix in wanted {
        until(&format!("{prefix} is withdrawn"), || !has_route(&net.r1, prefix));
    }
    let watched = net.watch(&net.a);
    assert!(wanted.iter().all(|prefix| !watched.learnt.contains(prefix)), "{watched:?}");
}

/// Until the addresses of the guard that hangs go away, in seconds: long enough to be seen.
const LIFETIME: u32 = 8;

#[test]
fn addresses_that_end_are_withdrawn_in_both_families_by_bird() {
    let net = Net::new(Kind::Bird, Source::Interface(INTERFACE.to_owned()), true);
    lapses(&net, &prefixes(), || net.hold(&net.a, Some(LIFETIME)));
}

#[test]
fn addresses_that_end_are_withdrawn_in_both_families_by_frr() {
    let net = Net::new(Kind::Frr, Source::Interface(INTERFACE.to_owned()), true);
    lapses(&net, &prefixes(), || net.hold(&net.a, Some(LIFETIME)));
}

/// The other form, in IPv4: a route goes with its preferred source.
fn a_route_lapses(net: &Net) {
    lapses(net, &[prefix("10.99.0.1/32")], || {
        net.hold(&net.a, Some(LIFETIME));
        let mut command = std::process::Command::new("ip");
        command.args(["route", "add", "10.99.0.1/32", "dev", INTERFACE]);
        command.args(["src", "10.99.0.1", "proto", "83"]);
        let log = net.folder.path().join("ip.log");
        let ip = net.a.spawn(command, &log).expect("iproute2 is installed");
        let ended = ip.wait(super::net::PATIENCE).expect("waited").expect("it ended");
        assert!(ended.success(), "{:?}", std::fs::read_to_string(&log));
    });
}

#[test]
fn a_route_of_ipv4_ends_with_its_address_in_bird() {
    a_route_lapses(&Net::new(Kind::Bird, Source::Kernel(83), true));
}
