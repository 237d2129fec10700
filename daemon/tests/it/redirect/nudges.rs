//! Neighbours that are told one by one, where what nobody asked for does not arrive.

use std::collections::BTreeSet;
use std::process::Command;

use stead::redirect::{Heard, Reached};
use stead_linux::netlink::{MacvlanMode, Route};
use stead_linux::packet::announced;

use super::*;

/// The client as its neighbours know it.
const CLIENT_ADDRESSES: [&str; 2] = ["10.0.0.9", "fd00::9"];
const PREFIXES: [u8; 2] = [24, 64];

/// The switch carries nothing any more that is announced to all: of IPv4, of the service; of IPv6,
/// of anybody.
fn swallow(switch: &Switch) {
    let rules = "table bridge quiet { chain c { type filter hook forward priority 0; \
                 policy accept; arp saddr ip 10.0.0.100 arp daddr ip 10.0.0.100 counter drop; \
                 icmpv6 type nd-neighbor-advert @th,32,8 & 0x40 == 0 counter drop; }; }";
    let output = switch.namespace().run(|| Command::new("nft").arg(rules).output());
    let output = output.expect("inside").expect("nft runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn ip_commands(host: &Host, words: &str) {
    for line in words.lines() {
        let output = host.run(|| Command::new("ip").args(line.split_whitespace()).output());
        let output = output.expect("inside").expect("ip runs");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The client has found the service at node1, and node2 knows the client.
fn found_at_node1(segment: &Segment) {
    for (address, prefix) in SERVICE.into_iter().zip(PREFIXES) {
        add(&segment.node1, "eth0", address, prefix);
        learn(&segment.client, address, NODE1);
    }
    for address in CLIENT_ADDRESSES {
        learn(&segment.node2, address, CLIENT);
    }
}

/// Waits until neighbours have answered for each address.
async fn answered(ends: &Ends, enough: impl Fn(&Reached) -> bool) -> Vec<Reached> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reached = ends.ears.reached(&web());
        if reached.len() == SERVICE.len() && reached.iter().all(&enough) {
            return reached;
        }
        assert!(Instant::now() < deadline, "{reached:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// All frames from a MAC that have come so far.
fn frames_from(wire: &PacketSocket, from: Mac) -> Vec<Vec<u8>> {
    let (mut frames, mut buffer) = (Vec::new(), [0; 2_048]);
    while let Some(bytes) = wire.receive(&mut buffer).expect("readable") {
        if Frame::parse(bytes).expect("a frame").source == from {
            frames.push(bytes.to_vec());
        }
    }
    frames
}

#[test]
fn a_client_that_no_announcement_reaches_follows_by_a_nudge() {
    let segment = Segment::new();
    found_at_node1(&segment);
    swallow(&segment.switch);
    let wire = segment.client_wire();
    for (address, prefix) in SERVICE.into_iter().zip(PREFIXES) {
        remove(&segment.node1, "eth0", address, prefix);
        add(&segment.node2, "eth0", address, prefix);
    }
    on(&segment.node2, |mut ends| async move {
        ends.redirect.announce(web(), Epoch(7), targets());
        ends.announced().await;
        for address in SERVICE {
            follows(&segment.client, address, NODE2).await;
        }
        let reached = answered(&ends, |it| it.answered > 0).await;
        assert!(reached.iter().all(|it| it.answered <= it.asked && !it.swallowed));
        let frames = frames_from(&wire, NODE2);
        let of_service = |bytes: &Vec<u8>| {
            announced(bytes).is_some_and(|(address, _)| SERVICE.map(ip).contains(&address))
        };
        assert!(!frames.is_empty() && !frames.iter().any(of_service), "nothing was told to all");
        ends.redirect.quiet(&web());
        assert!(ends.ears.reached(&web()).is_empty());
        assert!(ends.notices.try_recv().is_err());
    });
}

#[test]
fn an_interface_with_a_mac_of_its_own_tells_those_whom_the_card_knows() {
    let segment = Segment::new();
    found_at_node1(&segment);
    swallow(&segment.switch);
    let own = Mac([2, 0, 0, 0, 0, 0x50]);
    let mut netlink = segment.node2.netlink().expect("a socket");
    let card = netlink.link_named("eth0").expect("there").index;
    let made = netlink.create_macvlan("own", card, MacvlanMode::Bridge, Some(own)).expect("made");
    netlink.set_up(made.index).expect("up");
    for (address, prefix) in SERVICE.into_iter().zip(PREFIXES) {
        remove(&segment.node1, "eth0", address, prefix);
        add(&segment.node2, "own", address, prefix);
    }
    on(&segment.node2, |mut ends| async move {
        let targets = SERVICE.map(|it| Target { interface: "own".to_owned(), ..target(it) });
        ends.redirect.announce(web(), Epoch(7), targets.to_vec());
        ends.announced().await;
        for address in SERVICE {
            follows(&segment.client, address, own).await;
        }
        answered(&ends, |it| it.answered > 0).await;
        assert!(ends.notices.try_recv().is_err(), "the card and its child are no strangers");
    });
}

#[test]
fn gateways_are_told_although_they_were_never_needed() {
    let segment = Segment::new();
    for address in CLIENT_ADDRESSES {
        segment.node1.add_route(Route::default_via(ip(address))).expect("a route");
    }
    let wire = segment.client_wire();
    on(&segment.node1, |mut ends| async move {
        ends.redirect.announce(web(), Epoch(7), targets());
        let reached = answered(&ends, |it| it.answered > 0).await;
        assert!(reached.iter().all(|it| (it.asked, it.answered) == (1, 1)), "{reached:?}");
        let asks = |bytes: &Vec<u8>| {
            let frame = Frame::parse(bytes).expect("a frame");
            let v4 = arp::Arp::parse(&frame).map(|it| (it.sender_ip.into(), it.target_ip.into()));
            let v6 = neighbor::Message::parse(&frame);
            v4.or_else(|| v6.map(|it| (it.source.into(), it.target.into())))
        };
        let asked: BTreeSet<_> = frames_from(&wire, NODE1).iter().filter_map(asks).collect();
        for pair in SERVICE.map(ip).into_iter().zip(CLIENT_ADDRESSES.map(ip)) {
            assert!(asked.contains(&pair), "{pair:?} {asked:?}");
        }
    });
}

#[test]
fn no_more_than_a_bounded_number_are_told_of_one_address() {
    let segment = Segment::new();
    let entry = |last: u32| {
        format!("neigh add 10.0.0.{last} lladdr 02:00:00:00:01:{last:02x} dev eth0 nud permanent\n")
    };
    ip_commands(&segment.node1, &(110..210).map(entry).collect::<String>());
    let wire = segment.client_wire();
    on(&segment.node1, |mut ends| async move {
        ends.redirect.announce(web(), Epoch(7), vec![target(SERVICE[0])]);
        let mut told = BTreeSet::new();
        let deadline = Instant::now() + PATIENCE;
        // A frame to a MAC that the switch does not know goes to all ports.
        while told.len() < 64 {
            assert!(Instant::now() < deadline, "{told:?}");
            let frames = frames_from(&wire, NODE1);
            told.extend(
                frames.iter().filter_map(|it| it[5].checked_sub(110).filter(|_| it[4] == 1)),
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(told.len(), 64);
        assert_eq!(ends.ears.reached(&web())[0].asked, 64);
    });
}

#[test]
fn all_that_can_wait_shares_one_rate_and_first_announcements_do_not() {
    let segment = Segment::new();
    let wire = segment.client_wire();
    let services = 200_u8;
    let address = |number: u8| IpAddr::from([10, 1, 0, number]);
    on(&segment.node1, |mut ends| async move {
        let began = Instant::now();
        let mut first = BTreeSet::new();
        for number in 0..services {
            let target = Target { address: address(number), interface: "eth0".to_owned() };
            ends.redirect.announce(format!("s{number}").as_str().into(), Epoch(7), vec![target]);
            // It has left when the call is over.
            for bytes in frames_from(&wire, NODE1) {
                first.extend(announced(&bytes).map(|(address, _)| address));
            }
        }
        assert_eq!(first, (0..services).map(address).collect());
        let mut count = 0;
        while count < 1_500 {
            count += frames_from(&wire, NODE1).len();
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(began.elapsed() < PATIENCE, "{count}");
        }
        // The first ones are made up for: 400 of them, and 100 may leave at once. How late the last
        // one is, is the machine's affair.
        assert!(began.elapsed() >= Duration::from_millis(1_500), "{:?}", began.elapsed());
    });
}

#[test]
fn whether_announcements_arrive_is_known_where_they_should() {
    let segment = Segment::new();
    swallow(&segment.switch);
    let open = || PacketSocket::open("eth0", Wanted::Neighbors);
    let announcer = segment.node1.run(open).expect("inside").expect("a packet socket");
    let (macs, others) = ([NODE1.0], [CLIENT.0]);
    on(&segment.node2, |ends| async move {
        let passes = target("10.0.0.101");
        let heard = |it: &Target, macs| ends.ears.heard(it, macs, Duration::ZERO);
        assert!(matches!(heard(&passes, &macs), Heard::Unknown(_)), "nobody listens");
        ends.ears.listen([targets(), vec![passes.clone()]].concat());
        let deadline = Instant::now() + PATIENCE;
        while heard(&passes, &macs) != Heard::No {
            assert!(matches!(heard(&passes, &macs), Heard::Unknown(_)), "it listens only lately");
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for target in [targets(), vec![passes.clone()]].concat() {
            let frame = match target.address {
                IpAddr::V4(address) => arp::announcement(NODE1, address),
                IpAddr::V6(address) => neighbor::announcement(NODE1, address, false),
            };
            announcer.send(&frame).expect("sent");
        }
        while heard(&passes, &macs) != Heard::Yes {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(heard(&passes, &others), Heard::No, "of somebody else");
        for swallowed in targets() {
            assert_eq!(heard(&swallowed, &macs), Heard::No, "{swallowed:?}");
        }
        let elsewhere = Target { interface: "eth7".to_owned(), ..passes };
        assert!(matches!(heard(&elsewhere, &macs), Heard::Unknown(_)));
    });
}
