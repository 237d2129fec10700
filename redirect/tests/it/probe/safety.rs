use std::time::{Duration, Instant};

use stead_linux::netlink::AddressSpec;
use stead_linux::packet::echo::{self, Echo};
use stead_linux::packet::{Frame, PacketSocket, Pinger, Wanted, arp};
use stead_redirect::probe::{
    Answer, Form, Nodes, Order, Phase, Saying, Station, Trial, TrialError, Unfit,
};

use super::segment::{NAMES, Segment, V4, V6, ip, trial};

const ARP: Form = Form::Arp(Saying::Both);
const BOUND: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_somebody_uses_is_refused() {
    for (form, address) in [(ARP, V4), (Form::Nd, V6)] {
        let segment = Segment::new("in-use");
        let stranger = segment.bed.host("stranger").expect("a host");
        let switch = &segment.bed.switches()[0];
        let spec = stead_lab::LinkSpec::new("eth0").addr(ip(address), 24);
        let link = segment.bed.connect(&stranger, switch, spec).expect("a cable");
        let refused = segment.run(&trial(form, address, BOUND)).await;
        let Err(TrialError::InUse { mac }) = refused else { panic!("{refused:?}") };
        assert_eq!(mac, link.mac());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_s_address_and_a_node_s_own_are_refused() {
    let segment = Segment::new("owned");
    let refused = segment.run(&trial(ARP, "10.0.0.100", BOUND)).await;
    assert!(matches!(refused, Err(TrialError::Unfit(Unfit::Owned(_)))), "{refused:?}");

    // known to the kernel of a holder alone
    let mut netlink = segment.nodes[1].host.netlink().expect("a socket");
    let index = segment.link(2).index();
    netlink.add_address(index, &AddressSpec::new(ip(V4), 24)).expect("added");
    let refused = segment.run(&trial(ARP, V4, BOUND)).await;
    let Err(TrialError::Node { why, .. }) = refused else { panic!("{refused:?}") };
    assert!(why.contains("an address of this node"), "{why}");
}

/// Asks one node.
async fn ask(segment: &Segment, number: usize, order: Order) -> Result<Answer, String> {
    segment.ask(NAMES[number - 1], order).await
}

async fn phase(segment: &Segment, trial: &Trial) -> Option<Phase> {
    match ask(segment, 1, Order::Look { id: trial.id, entry: false }).await {
        Ok(Answer::Held(held)) => Some(held.phase),
        Ok(other) => panic!("{other:?}"),
        Err(_) => None,
    }
}

async fn claimed(segment: &Segment, trial: &Trial) {
    let holders = [1, 2].map(|number| Station(segment.link(number).mac()));
    let interface = "eth0".to_owned();
    let hold = Order::Hold { trial: trial.clone(), interface, number: 1, holders };
    assert_eq!(ask(segment, 1, hold).await, Ok(Answer::Done));
    let early = ask(segment, 1, Order::Claim(trial.id)).await.expect_err("it is being asked");
    assert!(early.contains("still being asked"), "{early}");
    until("the address is known to be free", async || {
        phase(segment, trial).await == Some(Phase::Ready)
    })
    .await;
    assert_eq!(ask(segment, 1, Order::Claim(trial.id)).await, Ok(Answer::Done));
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether an ordinary program on node3 gets an answer from the address.
fn answers(segment: &Segment, address: &str) -> bool {
    let ask = || {
        let socket = PacketSocket::open("eth0", Wanted::Echoes).expect("a socket");
        let pinger = Pinger::open("eth0", ip(address)).expect("a pinger");
        let kind = echo::Kind::Request;
        // it may be refused for what became of those before
        let _ = pinger.send(&echo::Message { kind, id: 1, sequence: 1, data: b"there?" });
        let deadline = Instant::now() + Duration::from_millis(500);
        let mut buffer = [0; 2_048];
        while Instant::now() < deadline {
            let Some(frame) = socket.receive(&mut buffer).expect("readable") else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            let echo = Frame::parse(frame).and_then(|frame| Echo::parse(&frame));
            if echo.is_some_and(|it| it.from.ip == ip(address) && it.data == b"there?") {
                return true;
            }
        }
        false
    };
    segment.nodes[2].host.run(ask).expect("inside")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_whom_nobody_asks_any_more_ends_by_itself() {
    for (form, address) in [(Form::Mac, V4), (Form::Nd, V6)] {
        let segment = Segment::new("leash");
        let trial = trial(form, address, BOUND);
        claimed(&segment, &trial).await;
        until("it answers", async || answers(&segment, address)).await;
        // that it was not looked after is what is tried: nobody tells it to end
        until("it is silent", async || !answers(&segment, address)).await;
        assert_eq!(phase(&segment, &trial).await, None, "the part is over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_takes_the_address_ends_the_claim() {
    let segment = Segment::new("stranger");
    let trial = trial(ARP, V4, BOUND);
    claimed(&segment, &trial).await;
    let stranger = segment.link(3).mac();
    let mut netlink = segment.nodes[2].host.netlink().expect("a socket");
    let index = segment.link(3).index();
    netlink.add_address(index, &AddressSpec::new(ip(V4), 24)).expect("added");
    let announce = || {
        let open = PacketSocket::open("eth0", Wanted::Neighbors);
        let std::net::IpAddr::V4(address) = ip(V4) else { panic!("another family") };
        let frame = arp::announcement(stranger, address);
        open.expect("a socket").send(&frame).expect("sent");
    };
    segment.nodes[2].host.run(announce).expect("inside");
    until("it gave in", async || {
        phase(&segment, &trial).await == Some(Phase::InUse(Station(stranger)))
    })
    .await;
    let again = ask(&segment, 1, Order::Claim(trial.id)).await;
    assert!(again.is_err_and(|why| why.contains("uses the address")));
}

/// What the kernel of a node has of a trial: its packet sockets, its groups, its addresses.
fn of_the_kernel(segment: &Segment, number: usize) -> (usize, String, usize) {
    let host = &segment.nodes[number - 1].host;
    let read = |name: &str| {
        let path = format!("/proc/thread-self/net/{name}");
        host.run(|| std::fs::read_to_string(&path).expect("readable")).expect("inside")
    };
    // without its heading
    let sockets = read("packet").lines().count() - 1;
    let mut netlink = host.netlink().expect("a socket");
    (sockets, read("igmp6"), netlink.addresses().expect("a list").len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_leaves_nothing_behind() {
    for (form, address) in [(Form::Mac, V4), (Form::Nd, V6)] {
        let segment = Segment::new("nothing-left");
        let before: Vec<_> = (1..=3).map(|number| of_the_kernel(&segment, number)).collect();
        let trial = trial(form, address, BOUND);
        claimed(&segment, &trial).await;
        let during = of_the_kernel(&segment, 1);
        assert_eq!((during.0, during.2), (1, before[0].2), "a socket, and no address");
        assert_eq!(during.1 != before[0].1, form == Form::Nd, "a group for IPv6 alone");
        assert_eq!(ask(&segment, 1, Order::End(trial.id)).await, Ok(Answer::Done));
        segment.findings(&trial).await;
        until("all is as before", async || {
            (1..=3).map(|number| of_the_kernel(&segment, number)).eq(before.iter().cloned())
        })
        .await;
    }
}
