//! Frames: golden bytes for each, and no bytes that make a reader panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use stead_linux::netlink::Mac;
use stead_linux::packet::echo::{self, Echo, End};
use stead_linux::packet::{Claim, Frame, announced, answered, arp, claim, neighbor};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 0x11]);
const OTHER: Mac = Mac([2, 0, 0, 0, 0, 0x22]);
const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const IP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0x12, 0x3456);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn arp_frames_have_these_bytes() {
    let head = "ffffffffffff0200000000110806000108000604";
    assert_eq!(
        hex(&arp::announcement(MAC, IP)),
        format!("{head}00010200000000110a0000640000000000000a000064")
    );
    assert_eq!(
        hex(&arp::announcement_as_reply(MAC, IP)),
        format!("{head}00020200000000110a0000640200000000110a000064")
    );
    assert_eq!(
        hex(&arp::probe(MAC, IP)),
        format!("{head}0001020000000011000000000000000000000a000064")
    );
    let asked = arp::request(MAC, Ipv4Addr::new(10, 0, 0, 1), IP, OTHER);
    assert_eq!(
        hex(&asked),
        "02000000002202000000001108060001080006040001\
         0200000000110a0000010000000000000a000064"
    );
}

#[test]
fn answers_and_a_mere_sign_have_these_bytes() {
    let to = End { mac: OTHER, ip: Ipv4Addr::new(10, 0, 0, 1) };
    assert_eq!(
        hex(&arp::reply(MAC, IP, to)),
        "02000000002202000000001108060001080006040002\
         0200000000110a0000640200000000220a000001"
    );
    assert_eq!(
        hex(&arp::reverse(MAC)),
        "ffffffffffff02000000001180350001080006040003\
         02000000001100000000020000000011\
         00000000"
    );
    let bytes = arp::reverse(MAC);
    let frame = Frame::parse(&bytes).expect("a frame");
    assert_eq!((arp::reversed(&frame), arp::Arp::parse(&frame)), (Some(MAC), None));

    let asker = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
    let bytes = neighbor::answer(MAC, IP6, End { mac: OTHER, ip: asker });
    let frame = Frame::parse(&bytes).expect("a frame");
    let read = neighbor::Message::parse(&frame).expect("an NA");
    assert_eq!((frame.destination, read.target, read.link_layer), (OTHER, IP6, Some(MAC)));
    assert_eq!(read.kind, neighbor::Kind::Advertisement { solicited: true, overrides: true });
    let nobody = End { mac: OTHER, ip: Ipv6Addr::UNSPECIFIED };
    assert_eq!(neighbor::answer(MAC, IP6, nobody), neighbor::announcement(MAC, IP6, false));
}

#[test]
fn neighbour_frames_have_these_bytes() {
    // The checksums were computed apart from this code, by RFC 8200 8.1.
    assert_eq!(
        hex(&neighbor::announcement(MAC, IP6, false)),
        "33330000000102000000001186dd6c00000000203aff\
         fd000000000000000000000000123456ff020000000000000000000000000001\
         8800f1bc20000000fd0000000000000000000000001234560201020000000011"
    );
    assert_eq!(
        hex(&neighbor::probe(MAC, IP6, [1, 2, 3, 4, 5, 6])),
        "3333ff12345602000000001186dd6c00000000203aff\
         00000000000000000000000000000000ff0200000000000000000001ff123456\
         8700fdc100000000fd0000000000000000000000001234560e01010203040506"
    );
    assert_eq!(
        neighbor::solicited_node(IP6),
        "ff02::1:ff12:3456".parse::<Ipv6Addr>().expect("an address")
    );
}

#[test]
fn what_is_built_can_be_read() {
    let bytes = arp::announcement(MAC, IP);
    let read = Frame::parse(&bytes).and_then(|frame| arp::Arp::parse(&frame)).expect("ARP");
    assert_eq!((read.sender_mac, read.sender_ip, read.target_ip), (MAC, IP, IP));
    let bytes = neighbor::announcement(MAC, IP6, true);
    let read = Frame::parse(&bytes).and_then(|f| neighbor::Message::parse(&f)).expect("an NA");
    assert_eq!((read.link_layer, read.target), (Some(MAC), IP6));
    assert_eq!(read.kind, neighbor::Kind::Advertisement { solicited: false, overrides: true });
    let bytes = neighbor::probe(MAC, IP6, [7; 6]);
    let read = Frame::parse(&bytes).and_then(|f| neighbor::Message::parse(&f)).expect("an NS");
    assert_eq!((read.nonce, read.link_layer), (Some([7; 6]), None));
}

#[test]
fn strangers_are_told_from_ourselves() {
    let (v4, v6) = (IpAddr::V4(IP), IpAddr::V6(IP6));
    let uses = Some(Claim::Uses(OTHER));
    let probes = Some(Claim::Probes(OTHER));
    assert_eq!(claim(&arp::announcement(OTHER, IP), v4, &[MAC]), uses);
    assert_eq!(claim(&arp::announcement_as_reply(OTHER, IP), v4, &[MAC]), uses);
    assert_eq!(claim(&arp::probe(OTHER, IP), v4, &[MAC]), probes);
    assert_eq!(claim(&arp::announcement(MAC, IP), v4, &[MAC]), None);
    assert_eq!(claim(&arp::announcement(OTHER, IP), "10.0.0.7".parse().expect("ip"), &[MAC]), None);
    let client = Ipv4Addr::new(10, 0, 0, 1);
    assert_eq!(claim(&arp::request(OTHER, client, IP, Mac::BROADCAST), v4, &[MAC]), None);
    assert_eq!(claim(&neighbor::announcement(OTHER, IP6, false), v6, &[MAC]), uses);
    assert_eq!(claim(&neighbor::probe(OTHER, IP6, [0; 6]), v6, &[MAC]), probes);
    assert_eq!(claim(&neighbor::probe(MAC, IP6, [0; 6]), v6, &[MAC]), None);
    let asks = neighbor::request(OTHER, IP6, "fd00::1".parse().expect("ip"), None);
    assert_eq!(claim(&asks, v6, &[MAC]), uses);
    let asked = neighbor::request(OTHER, "fd00::1".parse().expect("ip"), IP6, None);
    assert_eq!(claim(&asked, v6, &[MAC]), None);
}

#[test]
fn what_is_said_to_all_is_told_from_what_is_said_to_one() {
    let (v4, v6) = (IpAddr::V4(IP), IpAddr::V6(IP6));
    let (near, near6): (Ipv4Addr, Ipv6Addr) =
        ("10.0.0.1".parse().expect("ip"), "fe80::1".parse().expect("ip"));
    for frame in [arp::announcement(MAC, IP), arp::announcement_as_reply(MAC, IP)] {
        assert_eq!((announced(&frame), answered(&frame, OTHER)), (Some((v4, MAC)), None));
    }
    let frame = neighbor::announcement(MAC, IP6, false);
    assert_eq!((announced(&frame), answered(&frame, OTHER)), (Some((v6, MAC)), None));
    // A neighbour answers whoever asked it, and nobody else.
    let frame = arp::reply(MAC, near, End { mac: OTHER, ip: IP });
    assert_eq!(announced(&frame), None);
    assert_eq!(answered(&frame, OTHER), Some((near.into(), v4)));
    assert_eq!((answered(&frame, MAC), answered(&frame[..40], OTHER)), (None, None));
    let frame = neighbor::tell(MAC, near6, End { mac: OTHER, ip: IP6 }, false);
    assert_eq!(announced(&frame), None);
    assert_eq!(answered(&frame, OTHER), Some((near6.into(), v6)));
    for frame in [
        arp::request(MAC, near, IP, OTHER),
        arp::probe(MAC, IP),
        neighbor::request(MAC, near6, IP6, Some(OTHER)),
        neighbor::probe(MAC, IP6, [1; 6]),
    ] {
        assert_eq!((announced(&frame), answered(&frame, OTHER)), (None, None));
    }
}

#[test]
fn a_damaged_or_routed_advertisement_is_no_claim() {
    let good = neighbor::announcement(OTHER, IP6, false);
    for at in [21, 40, 60] {
        let mut bad = good.clone();
        bad[at] ^= 1; // hop limit, source, target
        assert_eq!(claim(&bad, IP6.into(), &[MAC]), None, "octet {at}");
    }
}

#[test]
fn echoes_of_both_families_can_be_read() {
    let message = echo::Message { kind: echo::Kind::Request, id: 7, sequence: 9, data: b"odd" };
    let v4 = message.over_v4(End { mac: MAC, ip: IP }, End { mac: OTHER, ip: Ipv4Addr::LOCALHOST });
    let v6 = message.over_v6(End { mac: MAC, ip: IP6 }, End { mac: OTHER, ip: IP6 });
    for (bytes, from) in [(v4, IpAddr::V4(IP)), (v6, IpAddr::V6(IP6))] {
        let frame = Frame::parse(&bytes).expect("a frame");
        let read = Echo::parse(&frame).expect("an echo");
        assert_eq!((read.kind, read.id, read.sequence), (echo::Kind::Request, 7, 9));
        assert_eq!((read.data, read.from), (&b"odd"[..], End { mac: MAC, ip: from }));
    }
    let end = End { mac: MAC, ip: IP };
    assert_eq!(
        hex(&message.over_v4(end, end)),
        "02000000001102000000001108004500001f000040004001\
         26170a0000640a0000640800248b000700096f6464"
    );
}

fn read_all(bytes: &[u8]) {
    let Some(frame) = Frame::parse(bytes) else { return };
    let _ = arp::Arp::parse(&frame);
    let _ = neighbor::Message::parse(&frame);
    let _ = Echo::parse(&frame);
    let _ = (announced(bytes), answered(bytes, MAC));
    let _ = claim(bytes, IpAddr::V4(IP), &[MAC]);
    let _ = claim(bytes, IpAddr::V6(IP6), &[MAC]);
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    /// Nearly right frames reach deeper than noise does.
    #[test]
    fn no_damage_makes_a_reader_panic(
        which in 0usize..6,
        cut in 0usize..120,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let message = echo::Message { kind: echo::Kind::Reply, id: 1, sequence: 2, data: b"data" };
        let mut bytes = match which {
            0 => arp::announcement(MAC, IP),
            1 => neighbor::announcement(MAC, IP6, false),
            2 => neighbor::probe(MAC, IP6, [0; 6]),
            3 => message.over_v4(End { mac: MAC, ip: IP }, End { mac: MAC, ip: IP }),
            4 => message.over_v6(End { mac: MAC, ip: IP6 }, End { mac: MAC, ip: IP6 }),
            _ => neighbor::request(MAC, IP6, IP6, None),
        };
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(60)));
        for (at, value) in damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        read_all(&bytes);
    }
}
