//! Addresses on a wire: a switch, two nodes and a client beside each other.

mod nudges;
mod several;

use std::future::Future;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use stead::redirect::{Ears, InterfaceError, Redirect, Target, interface_for};
use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::notice::Notice;
use stead_core::redirect::Probing;
use stead_core::state::config::ServiceAddress;
use stead_core::time::Span;
use stead_lab::{Bed, Host, LinkSpec, Switch};
use stead_linux::netlink::{AddressSpec, Mac};
use stead_linux::packet::{Frame, PacketSocket, Wanted, arp, neighbor};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// Long enough for a machine that is busy with everything else.
const PATIENCE: Duration = Duration::from_secs(60);
const SERVICE: [&str; 2] = ["10.0.0.100", "fd00::100"];
const NODE1: Mac = Mac([2, 0, 0, 0, 0, 1]);
const NODE2: Mac = Mac([2, 0, 0, 0, 0, 2]);
const CLIENT: Mac = Mac([2, 0, 0, 0, 0, 9]);
/// A stranger; nobody has it.
const STRANGER: Mac = Mac([2, 0, 0, 0, 0, 0x66]);

struct Segment {
    bed: Bed,
    switch: Switch,
    node1: Host,
    node2: Host,
    client: Host,
}

impl Segment {
    fn new() -> Self {
        let bed = Bed::new("redirect").expect("these tests need root");
        let switch = bed.switch("switch").expect("a switch");
        let host = |name: &str, number: u8, mac| {
            let host = bed.host(name).expect("a host");
            let spec = LinkSpec::new("eth0")
                .addr(ip(&format!("10.0.0.{number}")), 24)
                .addr(ip(&format!("fd00::{number}")), 64)
                .mac(mac);
            bed.connect(&host, &switch, spec).expect("a cable");
            host
        };
        let node1 = host("node1", 1, NODE1);
        let node2 = host("node2", 2, NODE2);
        let client = host("client", 9, CLIENT);
        Self { bed, switch, node1, node2, client }
    }

    /// Frames as the client sees and sends them.
    fn client_wire(&self) -> PacketSocket {
        let open = || PacketSocket::open("eth0", Wanted::Neighbors);
        self.client.run(open).expect("inside").expect("a packet socket")
    }
}

/// What a daemon has: the redirect, and what comes back from it.
struct Ends {
    redirect: Redirect,
    ears: Ears,
    events: UnboundedReceiver<Event>,
    notices: UnboundedReceiver<Notice>,
}

impl Ends {
    async fn probed(&mut self, targets: Vec<Target>, probing: Probing) -> Option<String> {
        self.redirect.probe(web(), Epoch(7), targets, probing);
        match timeout(PATIENCE, self.events.recv()).await.expect("in time") {
            Some(Event::Probed { service, epoch: Epoch(7), conflict }) if service == web() => {
                conflict
            }
            other => panic!("not what was asked for: {other:?}"),
        }
    }

    async fn announced(&mut self) {
        let event = timeout(PATIENCE, self.events.recv()).await.expect("in time");
        assert!(matches!(event, Some(Event::Announced { epoch: Epoch(7), .. })), "{event:?}");
    }

    async fn notice(&mut self) -> String {
        let notice = timeout(PATIENCE, self.notices.recv()).await.expect("in time");
        notice.expect("the sender is there").to_string()
    }
}

/// Runs an async test on a host, in a thread that is in its namespace as a daemon would be.
fn on<T: Send, F: Future<Output = T>>(host: &Host, act: impl FnOnce(Ends) -> F + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let (events_in, events) = unbounded_channel();
            let (notices_in, notices) = unbounded_channel();
            let ears = Ears::default();
            let redirect = Redirect::hearing(&ears, events_in, notices_in);
            act(Ends { redirect, ears, events, notices }).await
        })
    };
    host.run(run).expect("inside")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn web() -> ServiceId {
    "web".into()
}

fn target(address: &str) -> Target {
    Target { address: ip(address), interface: "eth0".to_owned() }
}

fn targets() -> Vec<Target> {
    SERVICE.map(target).to_vec()
}

/// As thorough as a first probe, without its length.
fn thorough() -> Probing {
    Probing { count: 3, interval: Span::from_millis(20), wait: Span::from_millis(200) }
}

/// For questions that are answered: the first answer ends it. A new IPv6 address joins its group,
/// and so hears questions, only some time after it was added.
fn patient() -> Probing {
    Probing { count: 200, interval: Span::from_millis(200), wait: Span::from_millis(60_000) }
}

fn add(host: &Host, device: &str, address: &str, prefix: u8) {
    let mut netlink = host.netlink().expect("a socket");
    let index = netlink.link_named(device).expect("there").index;
    netlink.add_address(index, &AddressSpec::new(ip(address), prefix)).expect("added");
}

fn remove(host: &Host, device: &str, address: &str, prefix: u8) {
    let mut netlink = host.netlink().expect("a socket");
    let index = netlink.link_named(device).expect("there").index;
    netlink.delete_address(index, ip(address), prefix).expect("removed");
}

/// The frames that say where a service's address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Request(IpAddr),
    Reply(IpAddr),
    Advertisement(IpAddr),
}

/// The next announcement that comes from that MAC.
fn next_announcement(wire: &PacketSocket, from: Mac) -> Seen {
    let mut buffer = [0; 2_048];
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no announcement came");
        let Some(bytes) = wire.receive(&mut buffer).expect("readable") else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        let frame = Frame::parse(bytes).expect("a frame");
        if frame.source != from {
            continue;
        }
        if let Some(arp) = arp::Arp::parse(&frame)
            && arp.sender_ip == arp.target_ip
        {
            assert_eq!((frame.destination, arp.sender_mac), (Mac::BROADCAST, from));
            return match arp.operation {
                arp::Operation::Request => Seen::Request(arp.sender_ip.into()),
                arp::Operation::Reply => Seen::Reply(arp.sender_ip.into()),
            };
        }
        if let Some(message) = neighbor::Message::parse(&frame)
            && message.kind == (neighbor::Kind::Advertisement { solicited: false, overrides: true })
        {
            assert_eq!(frame.destination, Mac([0x33, 0x33, 0, 0, 0, 1]), "to all nodes");
            assert_eq!(message.link_layer, Some(from));
            return Seen::Advertisement(message.target.into());
        }
    }
}

#[test]
fn an_address_that_nobody_uses_is_free() {
    let segment = Segment::new();
    on(&segment.node1, |mut ends| async move {
        assert_eq!(ends.probed(targets(), thorough()).await, None);
        let once = Probing::under_proof(Span::from_millis(25));
        assert_eq!(ends.probed(targets(), once).await, None);
        assert_eq!(ends.probed(Vec::new(), once).await, None);
        assert!(ends.notices.try_recv().is_err());
    });
}

#[test]
fn an_address_in_use_is_told_with_its_user() {
    let segment = Segment::new();
    for (address, prefix) in [(SERVICE[0], 24), (SERVICE[1], 64)] {
        add(&segment.node2, "eth0", address, prefix);
        let conflict = on(&segment.node1, |mut ends| async move {
            ends.probed(vec![target(address)], patient()).await
        });
        let wanted = format!("{address} is in use by {NODE2} on eth0");
        assert_eq!(conflict, Some(wanted));
        // The other of the two is free, and one conflict is enough.
        let both =
            on(&segment.node1, |mut ends| async move { ends.probed(targets(), patient()).await });
        assert_eq!(both, conflict);
        remove(&segment.node2, "eth0", address, prefix);
    }
}

#[test]
fn whoever_asks_as_well_is_a_conflict_only_for_the_thorough() {
    let segment = Segment::new();
    let wire = segment.client_wire();
    let asks = arp::probe(STRANGER, "10.0.0.100".parse().expect("an address"));
    let (wire, asks) = (&wire, &asks);
    let asked = |probing: Probing| {
        on(&segment.node1, |mut ends| async move {
            let other = async {
                // Often: the watch begins at some time after this.
                loop {
                    wire.send(asks).expect("sent");
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            tokio::select! {
                conflict = ends.probed(vec![target("10.0.0.100")], probing) => conflict,
                () = other => None,
            }
        })
    };
    assert_eq!(asked(Probing::under_proof(Span::from_millis(200))), None);
    let wanted = format!("10.0.0.100 is in use by {STRANGER} on eth0");
    assert_eq!(asked(patient()), Some(wanted));
}

#[test]
fn where_nothing_can_be_asked_the_reason_is_the_conflict() {
    let segment = Segment::new();
    let asked =
        || on(&segment.node1, |mut ends| async move { ends.probed(targets(), thorough()).await });
    let link = segment.node1.link("eth0").expect("there");
    segment.bed.unplug(&link).expect("unplugged");
    assert_eq!(asked().as_deref(), Some("interface eth0 has no signal from its cable or switch"));
    segment.bed.plug_in(&link).expect("plugged in");
    assert_eq!(asked(), None);
    segment.node1.netlink().expect("a socket").set_down(link.index()).expect("down");
    assert_eq!(asked().as_deref(), Some("interface eth0 is down"));
    let missing = Target { address: ip("10.0.0.100"), interface: "eth7".to_owned() };
    let conflict =
        on(&segment.node1, |mut ends| async move { ends.probed(vec![missing], thorough()).await });
    assert_eq!(conflict.as_deref(), Some("there is no interface eth7"));
}

#[test]
fn an_answer_of_another_interface_of_ours_is_no_conflict() {
    let segment = Segment::new();
    let second = LinkSpec::new("eth1").mac(Mac([2, 0, 0, 0, 0, 0x11]));
    segment.bed.connect(&segment.node1, &segment.switch, second).expect("a cable");
    for (address, prefix) in [(SERVICE[0], 24), (SERVICE[1], 64)] {
        add(&segment.node1, "eth1", address, prefix);
    }
    on(&segment.node1, |mut ends| async move {
        assert_eq!(ends.probed(targets(), thorough()).await, None);
    });
}

#[test]
fn announcements_leave_in_every_form_and_go_on_until_told_to_be_quiet() {
    let segment = Segment::new();
    let wire = segment.client_wire();
    on(&segment.node1, |mut ends| async move {
        // No await before the frames are read: they left inside the call.
        ends.redirect.announce(web(), Epoch(7), targets());
        let [v4, v6] = SERVICE.map(ip);
        let wanted = [Seen::Request(v4), Seen::Reply(v4), Seen::Advertisement(v6)];
        assert_eq!([(); 3].map(|()| next_announcement(&wire, NODE1)), wanted);
        assert!(matches!(
            ends.events.try_recv(),
            Ok(Event::Announced { service, epoch: Epoch(7) }) if service == web()
        ));
        let wire = std::sync::Arc::new(wire);
        let later = |rounds: usize| {
            let wire = wire.clone();
            tokio::task::spawn_blocking(move || {
                (0..rounds * 3).map(|_| next_announcement(&wire, NODE1)).collect::<Vec<_>>()
            })
        };
        for seen in later(4).await.expect("seen").chunks(3) {
            assert_eq!(seen, wanted);
        }
        // Another service's announcements come, and none of this one's among them.
        ends.redirect.quiet(&web());
        ends.redirect.announce("db".into(), Epoch(8), vec![target("10.0.0.101")]);
        let seen = later(2).await.expect("seen");
        let first = seen.iter().position(|it| *it == Seen::Request(ip("10.0.0.101")));
        let rest = &seen[first.expect("it announces")..];
        let other = [Seen::Request(ip("10.0.0.101")), Seen::Reply(ip("10.0.0.101"))];
        assert!(rest.len() > 2 && rest.iter().all(|it| other.contains(it)), "{seen:?}");
        assert!(ends.notices.try_recv().is_err());
    });
}

/// The MAC to which a host sends for an address.
fn neighbour_of(host: &Host, address: &str) -> Option<Mac> {
    let found = host.netlink().expect("a socket").neighbours().expect("listed");
    found.iter().find(|it| it.addr == ip(address)).and_then(|it| it.mac)
}

/// Has a host learn who has an address, by sending to it.
fn learn(host: &Host, address: &str, mac: Mac) {
    let deadline = Instant::now() + PATIENCE;
    while neighbour_of(host, address) != Some(mac) {
        assert!(Instant::now() < deadline, "{} never learned of {address}", host.name());
        let ask = || {
            let from = if ip(address).is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(from).expect("a socket");
            socket.send_to(b"hello", SocketAddr::new(ip(address), 9)).map(|_| ())
        };
        // Nobody listens on that port, which may come back as an error.
        let _ = host.run(ask).expect("inside");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until a host sends to that MAC for an address.
async fn follows(host: &Host, address: &str, mac: Mac) {
    let deadline = Instant::now() + PATIENCE;
    while neighbour_of(host, address) != Some(mac) {
        assert!(Instant::now() < deadline, "{} did not follow {address}", host.name());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn neighbours_follow_an_address_to_its_new_holder() {
    let segment = Segment::new();
    let prefixes = [24, 64];
    for (address, prefix) in SERVICE.into_iter().zip(prefixes) {
        add(&segment.node1, "eth0", address, prefix);
        learn(&segment.client, address, NODE1);
    }
    for (address, prefix) in SERVICE.into_iter().zip(prefixes) {
        remove(&segment.node1, "eth0", address, prefix);
        add(&segment.node2, "eth0", address, prefix);
    }
    on(&segment.node2, |mut ends| async move {
        assert_eq!(ends.probed(targets(), Probing::under_proof(Span::from_millis(25))).await, None);
        ends.redirect.announce(web(), Epoch(7), targets());
        ends.announced().await;
        for address in SERVICE {
            follows(&segment.client, address, NODE2).await;
        }
    });
}

#[test]
fn a_stranger_is_told_of_once_and_answered() {
    let segment = Segment::new();
    let wire = segment.client_wire();
    for address in SERVICE {
        let claim = |mac| match ip(address) {
            IpAddr::V4(address) => arp::announcement(mac, address),
            IpAddr::V6(address) => neighbor::announcement(mac, address, false),
        };
        on(&segment.node1, |mut ends| {
            let wire = &wire;
            async move {
                ends.redirect.announce(web(), Epoch(7), vec![target(address)]);
                ends.announced().await;
                for mac in [STRANGER, STRANGER, STRANGER, CLIENT] {
                    wire.send(&claim(mac)).expect("sent");
                }
                // Own frames that come back, and mere questions, say nothing.
                for mac in [STRANGER, CLIENT] {
                    let wanted = format!("web: {address} is in use by {mac} on eth0");
                    assert_eq!(ends.notice().await, wanted);
                }
                assert!(ends.notices.try_recv().is_err());
            }
        });
    }
}

#[test]
fn a_claim_is_answered_at_once_and_then_once_a_second() {
    let segment = Segment::new();
    let wire = segment.client_wire();
    let address = "10.0.0.100";
    on(&segment.node1, |mut ends| async move {
        ends.redirect.announce(web(), Epoch(7), vec![target(address)]);
        // Past the last that comes by the schedule for more than a minute but one (at ten seconds).
        let wire = std::sync::Arc::new(wire);
        let reader = wire.clone();
        let seen = move |count: usize| {
            let reader = reader.clone();
            tokio::task::spawn_blocking(move || {
                for _ in 0..count {
                    next_announcement(&reader, NODE1);
                }
            })
        };
        // Numbers 0 to 7, in two forms each: the next by the schedule is far.
        seen(16).await.expect("seen");
        let claim = arp::announcement(STRANGER, "10.0.0.100".parse().expect("an address"));
        let began = Instant::now();
        wire.send(&claim).expect("sent");
        seen(2).await.expect("seen");
        wire.send(&claim).expect("sent");
        seen(2).await.expect("seen");
        // Not before a second is over; how late is the machine's affair.
        assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(ends.notice().await, format!("web: {address} is in use by {STRANGER} on eth0"));
        assert!(ends.notices.try_recv().is_err(), "told once");
    });
}

#[test]
fn what_cannot_be_announced_is_told_and_made_up_for() {
    let segment = Segment::new();
    let link = segment.node1.link("eth0").expect("there");
    let netlink = || segment.node1.netlink().expect("a socket");
    netlink().set_down(link.index()).expect("down");
    on(&segment.node1, |mut ends| async move {
        ends.redirect.announce(web(), Epoch(7), vec![target("10.0.0.100")]);
        assert_eq!(
            ends.notice().await,
            "web: 10.0.0.100 can't be announced: interface eth0 is down"
        );
        assert!(ends.events.try_recv().is_err());
        netlink().set_up(link.index()).expect("up");
        ends.announced().await;
    });
}

#[test]
fn what_is_announced_is_announced_anew_when_the_cable_is_back() {
    let segment = Segment::new();
    let wire = std::sync::Arc::new(segment.client_wire());
    let (bed, link) = (&segment.bed, &segment.node1.link("eth0").expect("there"));
    let running = || {
        let mut netlink = segment.node1.netlink().expect("a socket");
        netlink.link(link.index()).expect("there").running
    };
    on(&segment.node1, |mut ends| async move {
        let seen = |count: usize| {
            let wire = wire.clone();
            tokio::task::spawn_blocking(move || {
                let deadline = Instant::now() + PATIENCE;
                for _ in 0..count {
                    next_announcement(&wire, NODE1);
                }
                Instant::now() < deadline
            })
        };
        ends.redirect.announce(web(), Epoch(7), vec![target("10.0.0.100")]);
        // Numbers 0 to 7, in two forms each.
        seen(16).await.expect("seen");
        bed.unplug(link).expect("unplugged");
        while running() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bed.plug_in(link).expect("plugged in");
        // By the schedule there would be four more in the next minute.
        assert!(seen(16).await.expect("seen"));
    });
}

#[test]
fn the_interface_is_that_of_the_nodes_own_network() {
    let segment = Segment::new();
    let find = |address: &str, interface: Option<&str>, moving: &[IpAddr]| {
        let address =
            ServiceAddress { ip: ip(address), prefix: 24, interface: interface.map(str::to_owned) };
        segment.node1.run(|| interface_for(&address, moving)).expect("inside")
    };
    let none =
        |found: Result<String, InterfaceError>| matches!(found, Err(InterfaceError::None(_)));
    for address in SERVICE {
        assert_eq!(find(address, None, &[]).expect("found"), "eth0");
        assert_eq!(find(address, Some("eth7"), &[]).expect("as configured"), "eth7");
    }
    assert!(none(find("192.0.2.1", None, &[])));
    assert!(none(find("127.0.0.5", None, &[])), "not on the loopback");
    // An address that moves says nothing about the node's networks.
    add(&segment.node1, "eth0", "192.0.2.7", 24);
    assert_eq!(find("192.0.2.1", None, &[]).expect("found"), "eth0");
    assert!(none(find("192.0.2.1", None, &[ip("192.0.2.7")])));
}
