//! Frames of anybody on the segment, and messages of other versions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use stead_fuzz::{Sample, target};
use stead_linux::netlink::Mac;
use stead_linux::packet::echo::{self, End};
use stead_linux::packet::{Frame, arp, neighbor};

use super::identity::{Heard, Identity, question};
use super::observer::sight;
use super::order::{Answer, Order};
use super::trial::{Form, Saying, Trial};

const TRIAL: u64 = 7;
const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const CLIENT: Mac = Mac([2, 0, 0, 0, 0, 9]);
const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const FROM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const IP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 100);
const FROM6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9);

fn holder(address: IpAddr) -> Identity {
    Identity { trial: TRIAL, number: 2, address, mac: OWN, holders: [Mac([2, 0, 0, 0, 0, 2]), OWN] }
}

fn frames() -> Vec<Sample> {
    let data = question(TRIAL);
    let kind = echo::Kind::Request;
    let asked = echo::Message { kind, id: 4, sequence: 1, data: &data };
    let told = echo::Message { kind: echo::Kind::Reply, ..asked };
    let (from, to) = (End { mac: CLIENT, ip: FROM }, End { mac: OWN, ip: IP });
    let (from6, to6) = (End { mac: CLIENT, ip: FROM6 }, End { mac: OWN, ip: IP6 });
    vec![
        ("arp-request", arp::request(CLIENT, FROM, IP, Mac::BROADCAST)),
        ("arp-reply", arp::reply(OWN, IP, from)),
        ("arp-announcement", arp::announcement(CLIENT, IP)),
        ("rarp", arp::reverse(CLIENT)),
        ("ns", neighbor::request(CLIENT, FROM6, IP6, None)),
        ("na", neighbor::answer(OWN, IP6, from6)),
        ("echo-v4", asked.over_v4(from, to)),
        ("echo-v6", asked.over_v6(from6, to6)),
        ("reply-v4", told.over_v4(to, from)),
    ]
}

#[test]
fn any_frame_is_answered_for_this_holder_or_not_at_all() {
    let holders = [holder(IP.into()), holder(IP6.into())];
    target!("probe-frames").samples(frames).count(60_000).run(|bytes| {
        let mut understood = false;
        for holder in &holders {
            match holder.hear(bytes) {
                Some(Heard::Question(reply) | Heard::Echo(reply) | Heard::Ping(reply)) => {
                    let reply = Frame::parse(&reply).expect("what is sent is a frame");
                    assert_eq!(reply.source, OWN, "a holder speaks for itself");
                    understood = true;
                }
                Some(Heard::Stranger(claim)) => {
                    assert!(!holder.holders.contains(&claim.mac()), "a holder is no stranger");
                    understood = true;
                }
                None => {}
            }
            let frame = Frame::parse(bytes);
            understood |= frame.is_some_and(|it| sight(&it, TRIAL, holder.address).is_some());
        }
        understood
    });
}

#[test]
fn any_message_is_read_or_refused() {
    let samples = || {
        let trial = Trial {
            id: TRIAL,
            form: Form::Arp(Saying::Both),
            address: IP.into(),
            prefix: 24,
            mac: None,
            bound: super::BOUND,
        };
        let holders = [super::Station(OWN), super::Station(CLIENT)];
        let order = Order::Observe { trial, interface: "eth0".to_owned(), holders };
        let text = |order: &Order| serde_json::to_vec(order).expect("text");
        let seen = Answer::Seen(Box::default());
        vec![
            ("observe", text(&order)),
            ("look", text(&Order::Look { id: 1, entry: true })),
            ("seen", serde_json::to_vec(&seen).expect("text")),
        ]
    };
    target!("probe-messages").samples(samples).count(60_000).run(|bytes| {
        let order = serde_json::from_slice::<Order>(bytes);
        if let Ok(Order::Hold { trial, .. } | Order::Observe { trial, .. }) = &order {
            // a judgement, and no panic, whatever the numbers are
            let _ = trial.check(&[]).map(|()| trial.end());
        }
        order.is_ok() || serde_json::from_slice::<Answer>(bytes).is_ok()
    });
}
