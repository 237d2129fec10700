//! Bytes from the segment and from the disk, in masses. What only the kernel says, and what only
//! the crate itself sees, is tried beside its parser (`src/*/fuzz.rs`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use stead_fuzz::{Sample, target};
use stead_linux::durable::Counter;
use stead_linux::netlink::Mac;
use stead_linux::packet::echo::{self, Echo, End};
use stead_linux::packet::{Claim, Frame, announced, answered, arp, claim, neighbor};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 0x11]);
const OTHER: Mac = Mac([2, 0, 0, 0, 0, 0x22]);
const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const IP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0x12, 0x3456);

fn frames() -> Vec<Sample> {
    let question = echo::Message { kind: echo::Kind::Request, id: 7, sequence: 9, data: b"stead" };
    let (from, to) = (End { mac: MAC, ip: IP }, End { mac: OTHER, ip: Ipv4Addr::new(10, 0, 0, 1) });
    let (from6, to6) = (End { mac: MAC, ip: IP6 }, End { mac: OTHER, ip: IP6 });
    vec![
        ("arp-announcement", arp::announcement(MAC, IP)),
        ("arp-reply", arp::announcement_as_reply(MAC, IP)),
        ("arp-probe", arp::probe(MAC, IP)),
        ("arp-answer", arp::reply(MAC, IP, to)),
        ("rarp", arp::reverse(MAC)),
        ("nd-answer", neighbor::answer(MAC, IP6, to6)),
        ("nd-announcement", neighbor::announcement(MAC, IP6, false)),
        ("nd-nudge", neighbor::tell(MAC, IP6, to6, true)),
        ("nd-probe", neighbor::probe(MAC, IP6, [1, 2, 3, 4, 5, 6])),
        ("echo-v4", question.over_v4(from, to)),
        ("echo-v6", question.over_v6(from6, to6)),
    ]
}

/// RFC 1071, written once more: what it is tried on must not be what it is made with.
fn sum(parts: &[&[u8]]) -> [u8; 2] {
    let bytes: Vec<u8> = parts.concat();
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u64::from(high) << 8 | u64::from(low),
        [high] => u64::from(high) << 8,
        _ => 0,
    });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// Gives a changed packet the checksums that it claims to have: without them nearly all would be
/// thrown away before anything else is read.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some((ether, packet)) = bytes.split_at_mut_checked(14) else { return bytes };
    match ether[12..] {
        [0x08, 0x00] if packet.len() >= 20 => {
            let header = (usize::from(packet[0] & 0xf) * 4).clamp(20, packet.len());
            let end = usize::from(u16::from_be_bytes([packet[2], packet[3]])).min(packet.len());
            packet[10..12].fill(0);
            let whole = sum(&[&packet[..header]]);
            packet[10..12].copy_from_slice(&whole);
            if let Some(body) = packet.get_mut(header..end).filter(|body| body.len() >= 4) {
                body[2..4].fill(0);
                let whole = sum(&[body]);
                body[2..4].copy_from_slice(&whole);
            }
        }
        [0x86, 0xdd] if packet.len() >= 44 => {
            let length = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
            let (header, body) = packet.split_at_mut(40);
            if let Some(body) = body.get_mut(..length).filter(|body| body.len() >= 4) {
                body[2..4].fill(0);
                let told = u32::try_from(length).unwrap_or(0).to_be_bytes();
                let whole = sum(&[&header[8..40], &told, &[0, 0, 0, 58], body]);
                body[2..4].copy_from_slice(&whole);
            }
        }
        _ => {}
    }
    bytes
}

/// Whether any reader took the frame for its own. What is taken names only what was in it.
fn read_all(bytes: &[u8]) -> bool {
    let Some(frame) = Frame::parse(bytes) else {
        assert!(bytes.len() < 14);
        return false;
    };
    assert_eq!(frame.payload, &bytes[14..]);
    let echo = Echo::parse(&frame);
    if let Some(echo) = &echo {
        assert!(echo.data.len() + 8 + 20 <= frame.payload.len());
        assert_eq!((echo.from.mac, echo.to.mac), (frame.source, frame.destination));
    }
    for address in [IpAddr::V4(IP), IpAddr::V6(IP6), IpAddr::V4(Ipv4Addr::UNSPECIFIED)] {
        let claimed = claim(bytes, address, &[OTHER]);
        if let Some(Claim::Uses(mac) | Claim::Probes(mac)) = claimed {
            assert!(mac != OTHER && frame.source != OTHER, "our own frame is nobody's claim");
            assert!(bytes.windows(6).any(|six| six == mac.0), "a claim by nobody");
        }
    }
    if let Some((_, mac)) = announced(bytes) {
        assert!(bytes.windows(6).any(|six| six == mac.0), "announced by nobody");
        assert_ne!(frame.destination.0[0] & 1, 0, "told to one alone");
        assert_eq!(answered(bytes, frame.destination), None);
    }
    assert!(answered(bytes, MAC).is_none() || frame.destination == MAC);
    let message = neighbor::Message::parse(&frame);
    assert!(message.is_none_or(|message| !message.target.is_multicast()));
    let reversed = arp::reversed(&frame);
    assert!(reversed.is_none_or(|mac| bytes.windows(6).any(|six| six == mac.0)));
    let arp = arp::Arp::parse(&frame).is_some() || reversed.is_some();
    arp || message.is_some() || echo.is_some()
}

#[test]
fn any_frame_is_read_or_passed_over() {
    let target = target!("frames").samples(frames).count(60_000);
    target.run(|bytes| read_all(bytes) | read_all(&mended(bytes)));
}

#[test]
fn a_damaged_counter_never_goes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let sound = || {
        let path = folder.path().join("sound");
        let mut counter = Counter::create(&path).expect("it is made");
        for _ in 0..300 {
            counter.increment().expect("it counts");
        }
        vec![("three-hundred", std::fs::read(&path).expect("it is there"))]
    };
    let target = target!("counter").samples(sound).count(3_000);
    let path = folder.path().join("counter");
    target.run(|bytes| {
        std::fs::write(&path, bytes).expect("written");
        let mut counter = Counter::open(&path).expect("nobody else has it open");
        let Ok(before) = counter.value() else {
            assert!(counter.increment().is_err(), "it counts on from nothing");
            return false;
        };
        if let Ok(next) = counter.increment() {
            assert!(next > before);
            assert_eq!(counter.value().expect("it was just written"), next);
        }
        true
    });
}
