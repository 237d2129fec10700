//! A service with addresses on several segments: each goes its own way.

use super::*;

/// A node and a client beside each other on three switches.
struct Three {
    bed: Bed,
    node: Host,
    client: Host,
}

const INTERFACES: [&str; 3] = ["eth0", "eth1", "eth2"];

fn address(number: usize, family: usize, last: &str) -> String {
    if family == 4 { format!("10.0.{number}.{last}") } else { format!("fd00:{number}::{last}") }
}

impl Three {
    fn new() -> Self {
        let bed = Bed::new("several").expect("these tests need root");
        let (node, client) =
            (bed.host("node").expect("a host"), bed.host("client").expect("a host"));
        for (number, interface) in INTERFACES.into_iter().enumerate() {
            let switch = bed.switch(interface).expect("a switch");
            for (host, last, mac) in [(&node, "1", 0x10), (&client, "9", 0x90)] {
                let spec = LinkSpec::new(interface)
                    .addr(ip(&address(number, 4, last)), 24)
                    .addr(ip(&address(number, 6, last)), 64)
                    .mac(Mac([2, 0, 0, 0, 0, mac + number as u8]));
                bed.connect(host, &switch, spec).expect("a cable");
            }
        }
        Self { bed, node, client }
    }

    fn wire(&self, number: usize) -> PacketSocket {
        let open = || PacketSocket::open(INTERFACES[number], Wanted::Neighbors);
        self.client.run(open).expect("inside").expect("a packet socket")
    }
}

fn of_segment(number: usize) -> [Target; 2] {
    [4, 6].map(|family| Target {
        address: ip(&address(number, family, "100")),
        interface: INTERFACES[number].to_owned(),
    })
}

/// What is said at once on a segment.
fn first(number: usize) -> [Seen; 3] {
    let [v4, v6] = of_segment(number).map(|it| it.address);
    [Seen::Request(v4), Seen::Reply(v4), Seen::Advertisement(v6)]
}

fn mac_of_node(number: usize) -> Mac {
    Mac([2, 0, 0, 0, 0, 0x10 + number as u8])
}

#[test]
fn a_segment_that_is_down_holds_up_only_its_own_announcements() {
    let three = Three::new();
    let wires = [0, 1, 2].map(|number| three.wire(number));
    let link = three.node.link("eth1").expect("there");
    for number in [0, 1, 2] {
        for family in [4, 6] {
            let mac = Mac([2, 0, 0, 0, 0, 0x90 + number as u8]);
            learn(&three.node, &address(number, family, "9"), mac);
        }
    }
    three.bed.unplug(&link).expect("unplugged");
    on(&three.node, |mut ends| async move {
        let all: Vec<_> = (0..3).flat_map(of_segment).collect();
        ends.redirect.announce(web(), Epoch(7), all);
        // No await before: what can leave left inside the call.
        for number in [0, 2] {
            let seen = [(); 3].map(|()| next_announcement(&wires[number], mac_of_node(number)));
            assert_eq!(seen, first(number));
        }
        assert!(ends.events.try_recv().is_err(), "not all of it is announced");
        for target in of_segment(1) {
            assert_eq!(
                ends.notice().await,
                format!(
                    "web: {} can't be announced: interface eth1 has no signal from its cable or \
                     switch",
                    target.address
                )
            );
        }
        // Neighbours on the others are told one by one meanwhile.
        let deadline = Instant::now() + PATIENCE;
        let told = |number: usize| {
            let reached = ends.ears.reached(&web());
            let there = reached.iter().filter(|it| it.target.interface == INTERFACES[number]);
            there.map(|it| it.answered).collect::<Vec<_>>()
        };
        while [0, 2].iter().any(|number| told(*number) != [1, 1]) {
            assert!(Instant::now() < deadline, "{:?}", ends.ears.reached(&web()));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(told(1), [0, 0]);
        assert!(ends.notices.try_recv().is_err(), "each told once");
        three.bed.plug_in(&link).expect("plugged in");
        ends.announced().await;
        let seen = [(); 3].map(|()| next_announcement(&wires[1], mac_of_node(1)));
        assert!(first(1).iter().all(|it| seen.contains(it)), "{seen:?}");
        // Each says its own, and nobody else's.
        for number in [0, 2] {
            let seen = next_announcement(&wires[number], mac_of_node(number));
            assert!(first(number).contains(&seen), "{seen:?} on {number}");
        }
    });
}
