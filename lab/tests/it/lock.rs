use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use stead_lab::{Bed, Host, LinkSpec, Lock, Mac};
use stead_linux::netlink::NeighbourState;
use stead_linux::packet::arp::{self, Arp};
use stead_linux::packet::echo::{self, End};
use stead_linux::packet::{Frame, PacketSocket, Wanted, neighbor};

use crate::helper::{ip, wait_until};

/// Nobody's address, and nobody's MAC.
const ADDR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);
const ADDR6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x77);
const MOVES: Mac = Mac([2, 0, 0, 0, 0, 0x77]);

/// Three hosts at one switch; the third is the client.
struct Segment {
    bed: Bed,
    hosts: Vec<Host>,
}

impl Segment {
    fn new(name: &str) -> Segment {
        let bed = Bed::new(name).expect("these tests need root");
        let switch = bed.switch("switch").expect("a switch");
        let mut hosts = Vec::new();
        for number in 1..=3 {
            let host = bed.host(&format!("host{number}")).expect("a host");
            let spec = LinkSpec::new("eth0")
                .addr(ip(&format!("10.0.0.{number}")), 24)
                .addr(ip(&format!("fd00::{number}")), 64)
                .mac(own(number));
            bed.connect(&host, &switch, spec).expect("a cable");
            hosts.push(host);
        }
        Segment { bed, hosts }
    }

    fn lock(&self, number: u8, lock: &Lock) -> stead_lab::Locked {
        let link = &self.hosts[usize::from(number) - 1].links()[0];
        self.bed.lock(link, lock).expect("locked")
    }

    fn socket(&self, number: u8) -> PacketSocket {
        let open = || PacketSocket::open("eth0", Wanted::Takeovers).expect("a socket");
        self.hosts[usize::from(number) - 1].run(open).expect("inside")
    }

    /// How many of these frames of one host get to another: a sign of the host's own, which no lock
    /// here holds back, tells that all of them had their time.
    fn passed(&self, from: u8, to: u8, frames: &[Vec<u8>]) -> usize {
        let (sender, receiver) = (self.socket(from), self.socket(to));
        for frame in frames {
            sender.send(frame).expect("sent");
        }
        sender.send(&arp::reverse(own(from))).expect("sent");
        let (mut buffer, mut seen, mut done) = ([0; 2_048], 0, false);
        wait_until("the sign", || {
            while let Some(bytes) = receiver.receive(&mut buffer).expect("readable") {
                seen += usize::from(frames.iter().any(|frame| frame == bytes));
                let frame = Frame::parse(bytes).expect("a frame");
                done |= arp::reversed(&frame) == Some(own(from));
            }
            done
        });
        seen
    }

    fn passes(&self, from: u8, to: u8, frame: Vec<u8>) -> bool {
        self.passed(from, to, &[frame]) > 0
    }
}

fn own(number: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, number])
}

fn v4(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

fn v6(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number.into())
}

#[test]
fn a_pinned_mac_gets_its_frames_at_one_port_whatever_others_send() {
    let segment = Segment::new("lock-pin");
    let to_it = || arp::request(own(3), v4(3), ADDR, MOVES);
    let locked = segment.lock(1, &Lock::PinMac(MOVES));
    assert!(segment.passes(2, 3, arp::reverse(MOVES)), "frames from it come through all the same");
    assert!(segment.passes(3, 1, to_it()));
    assert!(!segment.passes(3, 2, to_it()));
    segment.bed.unlock(locked).expect("unlocked");
    assert!(segment.passes(2, 3, arp::reverse(MOVES)));
    assert!(segment.passes(3, 2, to_it()));
    assert!(!segment.passes(3, 1, to_it()));
}

#[test]
fn a_port_for_some_macs_lets_no_other_in() {
    let segment = Segment::new("lock-macs");
    let locked = segment.lock(2, &Lock::OnlyMacs(vec![own(2)]));
    assert!(!segment.passes(2, 3, arp::announcement(MOVES, ADDR)));
    assert!(segment.passes(2, 3, arp::announcement(own(2), ADDR)));
    assert!(segment.passes(1, 3, arp::announcement(MOVES, ADDR)), "another port is free");
    segment.bed.unlock(locked).expect("unlocked");
    assert!(segment.passes(2, 3, arp::announcement(MOVES, ADDR)));
}

#[test]
fn an_ageing_lock_frees_a_mac_that_was_silent_for_a_while() {
    let segment = Segment::new("lock-ageing");
    let sign = || arp::announcement(MOVES, ADDR);
    let locked = segment.lock(1, &Lock::Ageing(Duration::from_secs(3_600)));
    assert!(segment.passes(1, 3, sign()));
    assert!(!segment.passes(2, 3, sign()));
    segment.bed.unlock(locked).expect("unlocked");
    assert!(segment.passes(2, 3, sign()));
    let locked = segment.lock(1, &Lock::Ageing(Duration::from_secs(1)));
    assert!(segment.passes(1, 3, sign()));
    wait_until("the lock ages", || segment.passes(2, 3, sign()));
    segment.bed.unlock(locked).expect("unlocked");
}

#[test]
fn inspection_lets_nobody_speak_for_others() {
    let segment = Segment::new("lock-inspected");
    let asks = |addr| arp::request(own(2), addr, v4(3), Mac::BROADCAST);
    let to = End { mac: own(3), ip: v6(3) };
    let foreign = [
        asks(ADDR),
        arp::announcement(own(2), ADDR),
        arp::reply(own(2), ADDR, End { mac: own(3), ip: v4(3) }),
        neighbor::announcement(own(2), ADDR6, false),
        neighbor::answer(own(2), ADDR6, to),
        neighbor::request(own(2), ADDR6, v6(3), None),
    ];
    let good = [
        asks(v4(2)),
        arp::announcement(own(2), v4(2)),
        arp::probe(own(2), ADDR),
        neighbor::answer(own(2), v6(2), to),
        neighbor::probe(own(2), ADDR6, [1; 6]),
    ];
    let locked = segment.lock(2, &Lock::Inspected(vec![ip("10.0.0.2"), ip("fd00::2")]));
    assert_eq!(segment.passed(2, 3, &foreign), 0);
    assert_eq!(segment.passed(2, 3, &good), good.len());
    segment.bed.unlock(locked).expect("unlocked");
    assert_eq!(segment.passed(2, 3, &foreign), foreign.len());
}

#[test]
fn a_source_guard_lets_nothing_be_sent_from_other_addresses() {
    let segment = Segment::new("lock-guarded");
    let echo = echo::Message { kind: echo::Kind::Reply, id: 1, sequence: 1, data: b"here" };
    let (to, to6) = (End { mac: own(3), ip: v4(3) }, End { mac: own(3), ip: v6(3) });
    let from = |ip| echo.over_v4(End { mac: own(2), ip }, to);
    let from6 = |ip| echo.over_v6(End { mac: own(2), ip }, to6);
    let locked = segment.lock(2, &Lock::Guarded(vec![ip("10.0.0.2"), ip("fd00::2")]));
    assert_eq!(segment.passed(2, 3, &[from(ADDR), from6(ADDR6)]), 0);
    assert_eq!(segment.passed(2, 3, &[from(v4(2)), from6(v6(2))]), 2);
    assert!(segment.passes(2, 3, arp::announcement(own(2), ADDR)), "ARP is not looked at");
    segment.bed.unlock(locked).expect("unlocked");
    assert_eq!(segment.passed(2, 3, &[from(ADDR), from6(ADDR6)]), 2);
}

#[test]
fn announcements_can_be_refused_and_answers_not() {
    let segment = Segment::new("lock-gratuitous");
    let announced = [
        arp::announcement(own(2), ADDR),
        arp::announcement_as_reply(own(2), ADDR),
        neighbor::announcement(own(2), ADDR6, false),
    ];
    let others = [
        arp::request(own(2), ADDR, v4(3), Mac::BROADCAST),
        arp::reply(own(2), ADDR, End { mac: own(3), ip: v4(3) }),
        neighbor::answer(own(2), ADDR6, End { mac: own(3), ip: v6(3) }),
        neighbor::request(own(2), ADDR6, v6(3), None),
    ];
    let locked = segment.lock(2, &Lock::NoGratuitous);
    assert_eq!(segment.passed(2, 3, &announced), 0);
    assert_eq!(segment.passed(2, 3, &others), others.len());
    assert_eq!(segment.passed(1, 3, &announced), announced.len(), "another port is free");
    segment.bed.unlock(locked).expect("unlocked");
    assert_eq!(segment.passed(2, 3, &announced), announced.len());
}

#[test]
fn a_switch_can_answer_out_of_its_own_table() {
    let segment = Segment::new("lock-answered");
    let question = || arp::request(own(3), v4(3), ADDR, Mac::BROADCAST);
    let answered = || {
        let client = segment.socket(3);
        let asked = segment.passes(3, 1, question());
        let (mut buffer, mut answer) = ([0; 2_048], None);
        while let Some(bytes) = client.receive(&mut buffer).expect("readable") {
            let arp = Frame::parse(bytes).and_then(|frame| Arp::parse(&frame));
            answer = arp.filter(|arp| arp.sender_ip == ADDR).map(|arp| arp.sender_mac).or(answer);
        }
        (asked, answer)
    };
    assert_eq!(answered(), (true, None));
    // the switch knows where it is
    assert!(segment.passes(1, 3, arp::reverse(MOVES)));
    let locked = segment.lock(1, &Lock::Answered(vec![(IpAddr::V4(ADDR), MOVES)]));
    assert_eq!(answered(), (false, Some(MOVES)));
    segment.bed.unlock(locked).expect("unlocked");
    assert_eq!(answered(), (true, None));
}

#[test]
fn a_rate_limit_lets_some_through() {
    let segment = Segment::new("lock-rate");
    let many = vec![arp::announcement(own(2), ADDR); 50];
    let locked = segment.lock(2, &Lock::ArpRate(1));
    let passed = segment.passed(2, 3, &many);
    assert!((1..50).contains(&passed), "{passed}");
    segment.bed.unlock(locked).expect("unlocked");
    assert_eq!(segment.passed(2, 3, &many), 50);
}

#[test]
fn an_entry_that_was_set_by_hand_heeds_nobody() {
    let segment = Segment::new("lock-neighbour");
    let client = &segment.hosts[2];
    let entry = |addr: IpAddr| {
        let all = client.netlink().expect("a socket").neighbours().expect("a list");
        all.into_iter().find(|it| it.addr == addr).map(|it| (it.mac, it.state))
    };
    let link = &client.links()[0];
    for addr in [IpAddr::V4(ADDR), IpAddr::V6(ADDR6)] {
        let pinned = segment.bed.pin_neighbour(client, link, addr, own(1)).expect("pinned");
        let permanent = Some((Some(own(1)), NeighbourState::Permanent));
        assert_eq!(entry(addr), permanent);
        let announcement = match addr {
            IpAddr::V4(addr) => arp::announcement(own(2), addr),
            IpAddr::V6(addr) => neighbor::announcement(own(2), addr, false),
        };
        assert!(segment.passes(2, 3, announcement));
        assert_eq!(entry(addr), permanent);
        segment.bed.unpin_neighbour(pinned).expect("unpinned");
        assert_eq!(entry(addr), None);
    }
}
