//! Prefixes move: as planned, and because their node fell silent.

use std::time::{Duration, Instant};

use stead_lab::Host;
use stead_lab::prober::{Prober, now};
use stead_redirect::routing::{Applied, Prefix, Source, expected_outage, observe, sum};

use super::net::{INTERFACE, Kind, Net, PATIENCE, VIP4, VIP6, ip, on, prefixes, until};

fn at_the_interface() -> Source {
    Source::Interface(INTERFACE.to_owned())
}

fn until_at(probers: &[(&str, Prober)], node: &Host) {
    until(&format!("all addresses are at {}", node.name()), || {
        probers.iter().all(|(_, it)| it.node_now().as_deref() == Some(node.name()))
    });
}

/// Prints the longest gap of each client, once every one of them is at the node.
fn measured(what: &str, net: &Net, probers: &[(&str, Prober)], node: &Host, mark: u64) {
    until_at(probers, node);
    for (address, prober) in probers {
        let gap = prober.longest_gap_since(mark);
        println!("{what}, {:?}: {address} away for {gap:?}", net.kind);
    }
}

fn all_is_well(net: &Net, node: &Host) {
    let watched = net.until_session(node, |watched| {
        prefixes().iter().all(|it| watched.exported.get(it).is_some_and(|to| to.len() == 1))
    });
    assert_eq!(watched.troubles(&prefixes()), [], "{watched:?}");
    let parts = expected_outage(&watched);
    println!("expected of {}: {:?} = {parts:?}", node.name(), sum(&parts));
}

fn moves(kind: Kind) {
    let net = Net::new(kind, at_the_interface(), true);
    net.ready(true);
    for node in [&net.a, &net.b] {
        let (daemon, announce) = (net.daemon(node), net.announce());
        let again = on(node, || async move { daemon.configure(&announce).await });
        assert_eq!(again.expect("told"), Applied::Unchanged, "{}", node.name());
    }
    net.hold(&net.a, None);
    let probers = net.probers();
    until_at(&probers, &net.a);
    all_is_well(&net, &net.a);
    for address in [VIP4, VIP6] {
        let seen = || on(&net.b, || observe(ip(address), None, Duration::from_secs(5)));
        let mut last = None;
        until("the other node has a route of its own, and reaches the address", || {
            last = seen().ok();
            let hop = last.as_ref().filter(|it| it.answered).and_then(|it| it.route.as_ref());
            hop.is_some_and(|hop| hop.to == Prefix::single(ip(address)) && hop.interface == "eth0")
        });
    }

    let mark = now();
    net.hold(&net.b, None);
    net.drop(&net.a);
    measured("planned", &net, &probers, &net.b, mark);
    all_is_well(&net, &net.b);

    let mark = now();
    net.hold(&net.a, None);
    net.drop(&net.b);
    measured("planned back", &net, &probers, &net.a, mark);
    all_is_well(&net, &net.a);

    // The routers prefer the first node as long as they believe that it is there.
    let mark = now();
    net.bed.cut(&net.a).expect("cut");
    net.hold(&net.b, None);
    measured("silent", &net, &probers, &net.b, mark);
}

#[test]
fn prefixes_move_with_bird() {
    moves(Kind::Bird);
}

#[test]
fn prefixes_move_with_frr() {
    moves(Kind::Frr);
}

/// What BFD is for: its absence is told beforehand, and costs the hold time.
#[test]
fn without_bfd_silence_is_noticed_after_the_hold_time() {
    let net = Net::new(Kind::Bird, at_the_interface(), false);
    net.ready(false);
    net.hold(&net.a, None);
    let probers = net.probers();
    until_at(&probers, &net.a);
    let watched = net.until_session(&net.a, |it| it.exported.len() == prefixes().len());
    let troubles: Vec<_> = watched.troubles(&prefixes()).iter().map(ToString::to_string).collect();
    let [trouble] = &troubles[..] else { panic!("{troubles:?}") };
    assert!(trouble.contains("without BFD"), "{trouble}");
    assert!(trouble.contains("after the hold time of 9 s"), "{trouble}");
    println!("{trouble}");
    let expected = sum(&expected_outage(&watched));
    assert!(expected >= Duration::from_secs(9), "{expected:?}");

    let (mark, began) = (now(), Instant::now());
    net.bed.cut(&net.a).expect("cut");
    net.hold(&net.b, None);
    measured("silent without BFD", &net, &probers, &net.b, mark);
    println!("it took {:?} in all", began.elapsed());
    assert!(began.elapsed() < PATIENCE);
}
