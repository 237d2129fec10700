//! The programs against a second opinion: masses of frames, whole and broken, each with the verdict
//! of a plain reading of the same packet.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use stead_fuzz::target;

use super::*;
use crate::namespace::NetNs;
use crate::netlink::Mac;
use crate::packet::echo::{End, Kind, Message};
use crate::packet::{arp, neighbor};
use program::{DROP, PASS};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const SHUT4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const OPEN4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 101);
const FREE4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SHUT6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100);
const OPEN6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x101);
const FREE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// The shortest frame with a whole IPv6 header.
const WHOLE_V6: usize = 54;

/// A gate on nothing, with one address of each family shut and one open.
fn filters(instance: &str) -> (NetNs, Filters) {
    let ns = NetNs::create().expect("these tests need root");
    let managed: Vec<IpAddr> = vec![SHUT4.into(), SHUT6.into(), OPEN4.into(), OPEN6.into()];
    let memory = Memory { managed: managed.iter().copied().collect(), strict: BTreeSet::default() };
    let filters = ns.run(|| Filters::install(instance, &[], &memory)).expect("inside");
    let mut filters = filters.expect("filters");
    filters.open_until(&managed[2..], u64::MAX).expect("opened");
    (ns, filters)
}

fn shut(addr: Option<IpAddr>) -> bool {
    addr.is_some_and(|addr| addr == SHUT4 || addr == SHUT6)
}

fn open(addr: Option<IpAddr>) -> bool {
    addr.is_some_and(|addr| addr == OPEN4 || addr == OPEN6)
}

fn v4_at(packet: &[u8], at: usize) -> Option<IpAddr> {
    Some(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?.into())
}

fn v6_at(packet: &[u8], at: usize) -> Option<IpAddr> {
    Some(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?.into())
}

/// What a strict device lets out, by the page of the gate.
fn strict_opinion(frame: &[u8]) -> i32 {
    let Some((ether_type, packet)) = frame.get(12..14).zip(frame.get(14..)) else { return DROP };
    let passes = match ether_type {
        [0x08, 0x06] => open(v4_at(packet, 14)),
        [0x08, 0x00] => open(v4_at(packet, 12)),
        [0x86, 0xdd] => {
            let message = message(packet).filter(|at| packet.get(*at) == Some(&136));
            let target = message.and_then(|at| v6_at(packet, at + 8));
            open(v6_at(packet, 8)) && (target.is_none() || open(target))
        }
        _ => false,
    };
    if passes { PASS } else { DROP }
}

/// What `direction` has to say to a frame, by the page of the gate.
fn opinion(frame: &[u8], direction: Direction) -> i32 {
    let Some((ether_type, packet)) = frame.get(12..14).zip(frame.get(14..)) else { return PASS };
    let coming = direction == Direction::In;
    let v4 = |at: usize| v4_at(packet, at);
    let v6 = |at: usize| v6_at(packet, at);
    let managed = |addr: Option<IpAddr>| shut(addr) || addr.is_some_and(|it| it == OPEN4);
    let drops = match ether_type {
        [0x08, 0x06] if coming => !managed(v4(14)) && shut(v4(24)),
        [0x08, 0x06] => shut(v4(14)),
        [0x08, 0x00] => shut(v4(if coming { 16 } else { 12 })),
        [0x86, 0xdd] => {
            let kind = if coming { 135 } else { 136 };
            let message = message(packet).filter(|at| packet.get(*at) == Some(&kind));
            shut(v6(if coming { 24 } else { 8 })) || shut(message.and_then(|at| v6(at + 8)))
        }
        _ => false,
    };
    if drops { DROP } else { PASS }
}

/// Where the ICMPv6 message of an IPv6 packet begins.
fn message(packet: &[u8]) -> Option<usize> {
    let (mut next, mut at) = (*packet.get(6)?, 40);
    for _ in 0..16 {
        let length = |unit: usize, more: usize| {
            packet.get(at..at + 4).map(|header| (usize::from(header[1]) + more) * unit)
        };
        let step = match next {
            58 => return Some(at),
            0 | 43 | 60 => length(8, 1)?,
            51 => length(4, 2)?,
            44 => match packet.get(at + 2..at + 4)? {
                [high, low] if high | low & 0xf8 == 0 => 8,
                _ => return None,
            },
            _ => return None,
        };
        next = packet[at];
        at += step;
    }
    None
}

/// The IPv6 packet of a frame with extension headers before its payload.
fn extended(frame: &[u8], headers: &[(u8, &[u8])]) -> Vec<u8> {
    let mut kinds = headers.iter().map(|(kind, _)| *kind).chain([frame[20]]);
    let mut bytes = frame[..54].to_vec();
    bytes[20] = kinds.next().unwrap_or(frame[20]);
    for ((_, rest), next) in headers.iter().zip(kinds) {
        bytes.push(next);
        bytes.extend_from_slice(rest);
    }
    bytes.extend_from_slice(&frame[54..]);
    bytes
}

/// A frame with other bytes from there on.
fn with(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

fn samples() -> Vec<stead_fuzz::Sample> {
    let mut all = Vec::new();
    let question = Message { kind: Kind::Request, id: 7, sequence: 9, data: b"stead" };
    for (name, v4, v6) in [("shut", SHUT4, SHUT6), ("open", OPEN4, OPEN6), ("free", FREE4, FREE6)] {
        let ((here, there), far) = ((End { mac: MAC, ip: v4 }, End { mac: MAC, ip: v6 }), MAC);
        let frames = [
            arp::request(MAC, FREE4, v4, Mac::BROADCAST),
            arp::announcement(MAC, v4),
            arp::announcement_as_reply(MAC, v4),
            arp::probe(MAC, v4),
            neighbor::request(MAC, FREE6, v6, None),
            neighbor::announcement(MAC, v6, false),
            neighbor::probe(MAC, v6, [1; 6]),
            question.over_v4(here, End { mac: far, ip: FREE4 }),
            question.over_v4(End { mac: far, ip: FREE4 }, here),
            question.over_v6(there, End { mac: far, ip: FREE6 }),
            question.over_v6(End { mac: far, ip: FREE6 }, there),
        ];
        let solicitation = neighbor::request(MAC, FREE6, v6, None);
        let padding: &[u8] = &[0, 1, 4, 0, 0, 0, 0];
        let authentication: &[u8] = &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let behind = [
            extended(&solicitation, &[(0, padding)]),
            extended(&solicitation, &[(60, padding), (43, padding), (51, authentication)]),
            extended(&solicitation, &[(44, &[0, 0, 1, 0, 0, 0, 1])]),
            extended(&solicitation, &[(44, &[0, 8, 0, 0, 0, 0, 1])]),
            extended(&solicitation, &[(0, padding); 15]),
            extended(&solicitation, &[(0, padding); 17]),
        ];
        let strange = [
            // An advertisement for another address than its own, a solicitation of routers, a
            // frame of a switch's own.
            with(&neighbor::announcement(MAC, v6, false), 62, &OPEN6.octets()),
            with(&neighbor::announcement(MAC, OPEN6, false), 62, &v6.octets()),
            with(&neighbor::announcement(MAC, v6, false), 54, &[133]),
            with(&arp::announcement(MAC, v4), 12, &[0x88, 0xcc]),
        ];
        for (number, frame) in frames.into_iter().chain(behind).chain(strange).enumerate() {
            // The name only has to tell the files of a corpus apart.
            let name: &'static str = Box::leak(format!("{name}-{number}").into_boxed_str());
            all.push((name, frame));
        }
    }
    all
}

/// Each program with what it ought to say to a frame.
fn judged<'a>(filters: &'a Filters, frame: &[u8]) -> [(&'static str, &'a Program, i32); 3] {
    let Programs { incoming, outgoing, strict } = &filters.programs;
    [
        ("in", &incoming.program, opinion(frame, Direction::In)),
        ("out", &outgoing.program, opinion(frame, Direction::Out)),
        ("strict", &strict.program, strict_opinion(frame)),
    ]
}

#[test]
fn the_programs_judge_as_the_page_says() {
    let (_ns, filters) = filters("opinion");
    let mut verdicts = BTreeSet::new();
    for (name, frame) in samples() {
        for (which, program, wanted) in judged(&filters, &frame) {
            let verdict = program.try_on(&frame).expect("a verdict");
            assert_eq!(verdict, wanted, "{name} {which}");
            verdicts.insert((which, verdict));
        }
    }
    assert_eq!(verdicts.len(), 6, "each program has dropped and let pass");
    assert!(filters.dropped() > 0);
}

#[test]
fn the_programs_are_as_short_as_the_page_says() {
    let (_ns, filters) = filters("short");
    let maps = Maps { addresses: filters.addresses.as_fd(), slots: filters.slots.as_fd() };
    for side in Direction::BOTH {
        assert!(program::gate(side, maps).len() < 300);
    }
    assert!(program::strict_gate(maps).len() < 300);
}

#[test]
fn any_frame_gets_the_verdict_that_the_page_says() {
    let (_ns, filters) = filters("frames");
    target!("gate-frames").samples(samples).count(20_000).run(|frame| {
        if frame.len() < 15 || frame.len() > 1_500 {
            return false;
        }
        for (which, program, wanted) in judged(&filters, frame) {
            let verdict = match program.try_on(frame) {
                // Newer kernels try no program on a frame that is too short for its protocol.
                Err(GateError::Ebpf { source, .. })
                    if frame.len() < WHOLE_V6 && source.raw_os_error() == Some(libc::EINVAL) =>
                {
                    return false;
                }
                verdict => verdict.expect("a verdict"),
            };
            assert_eq!(verdict, wanted, "{which}");
        }
        true
    });
}

#[test]
fn more_addresses_than_slots_are_refused_and_nothing_changes() {
    let (_ns, mut filters) = filters("full");
    let many: BTreeSet<IpAddr> =
        (0..=SLOTS).map(|number| IpAddr::V4((0x0b00_0000 + number).into())).collect();
    assert!(matches!(filters.manage(&many), Err(GateError::Full { .. })));
    assert_eq!(filters.taken.len(), 4);
}
