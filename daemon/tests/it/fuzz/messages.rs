//! What guards, daemons, new members and people's programs say to each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stead::api::join::{self, JoinAnswer, JoinRequest, Welcome};
use stead::api::lower::LowerRequest;
use stead::api::message::{self, Answer, Request};
use stead::api::register::RegisterRequest;
use stead::api::token::Token;
use stead::guard::ipc::{self, FromGuard, Hello, Network, Place, Reach, ToGuard};
use stead::identity::{Identity, KnownMember};
use stead_core::id::{ClusterId, Epoch, Index, NodeId, Term};
use stead_core::lease::{Holding, Order};
use stead_core::state::MacAddress;
use stead_core::time::{Instant, Span};
use stead_fuzz::{Draw, Sample, target};

use super::values;

/// Whether the bytes are a message. One that is comes back as it was.
fn comes_back<M, E: Debug>(
    bytes: &[u8],
    encode: impl Fn(&M) -> Result<Vec<u8>, E>,
    decode: impl Fn(&[u8]) -> Result<M, E>,
) -> bool {
    let Ok(message) = decode(bytes) else { return false };
    let again = encode(&message).expect("what was read can be written");
    let back = decode(&again).expect("what was written can be read");
    assert_eq!(encode(&back).expect("it is the same"), again);
    true
}

fn orders() -> Vec<Sample> {
    let network = Network {
        links: vec!["10.0.0.1:7744".parse().expect("an address")],
        peers: BTreeMap::from([(NodeId(2), vec!["[fd00::2]:7744".parse().expect("one")])]),
        places: vec![Place {
            address: "10.0.0.100".parse().expect("an address"),
            prefix: 24,
            interface: Some("eth0".to_owned()),
        }],
        lifetime: Span::from_millis(2_000),
        reaches: BTreeMap::from([(
            "10.0.0.100".parse().expect("an address"),
            Reach { mac: Some(MacAddress([2, 0, 0, 0, 0, 1])), route: None, alone: false },
        )]),
    };
    let holding = Holding { address: "10.0.0.100".parse().expect("an address"), epoch: Epoch(7) };
    let lead = Order::Lead {
        term: Term(3),
        voters: vec![BTreeSet::from([NodeId(1), NodeId(2), NodeId(3)])],
        admitted: BTreeMap::new(),
    };
    let order = |order| ipc::encode(&ToGuard::Order(order)).expect("it can be encoded");
    vec![
        ("network", ipc::encode(&ToGuard::Network(network)).expect("it can be encoded")),
        ("lead", order(lead)),
        ("hold", order(Order::Hold { number: 2, addresses: vec![holding] })),
        ("applied", order(Order::Applied { applied: Index(9), log_tail: Default::default() })),
    ]
}

#[test]
fn any_packet_at_the_guards_door_is_an_order_or_an_error() {
    let target = target!("to-guard").samples(orders).count(60_000);
    target.run(|bytes| comes_back::<ToGuard, _>(bytes, ipc::encode, ipc::decode));
}

fn words_of_a_guard() -> Vec<Sample> {
    let hello = Hello {
        version: "0.1.0".to_owned(),
        pid: 4_711,
        gate: "nftables".to_owned(),
        realtime: Err("not permitted".to_owned()),
        locked: Ok(()),
        slack: Span::from_millis(4),
        more: Default::default(),
    };
    let report = values::report(&mut Draw::new(&[5; 200]), Instant(1_000_000), Term(3));
    let encode = |message: FromGuard| ipc::encode(&message).expect("it can be encoded");
    vec![
        ("hello", encode(FromGuard::Hello(hello))),
        ("report", encode(FromGuard::Report(report))),
        ("trouble", encode(FromGuard::Trouble("no such interface".to_owned()))),
        ("restored", encode(FromGuard::Restored("fd00::100".parse().expect("an address")))),
    ]
}

#[test]
fn any_packet_of_a_guard_is_a_message_or_an_error() {
    let target = target!("from-guard").samples(words_of_a_guard).count(60_000);
    target.run(|bytes| comes_back::<FromGuard, _>(bytes, ipc::encode, ipc::decode));
}

fn identity() -> Identity {
    let addresses = vec!["10.0.0.1:7744".parse().expect("an address")];
    let members = vec![KnownMember { node: NodeId(1), key: [9; 32], addresses }];
    Identity { cluster: ClusterId([7; 16]), node: NodeId(2), name: "node2".to_owned(), members }
}

fn joining() -> Vec<Sample> {
    let Identity { cluster, node, name, members } = identity();
    let welcome: JoinAnswer = Ok(Welcome { cluster, node, name, secret: [3; 32], members });
    let refused: JoinAnswer = Err("the token is unknown or was used".to_owned());
    vec![
        ("request", join::encode(&JoinRequest { secret: [5; 16] }).expect("it can be encoded")),
        ("welcome", join::encode(&welcome).expect("it can be encoded")),
        ("refused", join::encode(&refused).expect("it can be encoded")),
    ]
}

#[test]
fn any_words_at_the_door_for_new_members_are_read_or_refused() {
    target!("join").samples(joining).count(60_000).run(|bytes| {
        let asked = comes_back::<JoinRequest, _>(bytes, join::encode, join::decode);
        asked | comes_back::<JoinAnswer, _>(bytes, join::encode, join::decode)
    });
}

#[test]
fn a_token_is_what_it_is_written_as() {
    let samples = || {
        let token = Token { key: [0xab; 32], secret: [0x1f; 16] };
        vec![("token", token.to_string().into_bytes())]
    };
    let target = target!("token").samples(samples).words(&[b"+", b" ", b"stead1-", b"ff"]);
    target.count(60_000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        match text.parse::<Token>() {
            Ok(token) => {
                assert_eq!(token.to_string(), text.trim().to_ascii_lowercase());
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                false
            }
        }
    });
}

/// Whether the text is a value in JSON. One that is comes back as it was.
fn json_comes_back<M: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<M>(bytes) else { return false };
    let again = serde_json::to_string(&value).expect("what was read can be written");
    let back: M = serde_json::from_str(&again).expect("what was written can be read");
    assert_eq!(serde_json::to_string(&back).expect("it is the same"), again);
    true
}

#[test]
fn any_identity_file_is_read_or_refused() {
    let samples =
        || vec![("identity", serde_json::to_vec_pretty(&identity()).expect("it can be encoded"))];
    let target = target!("identity").samples(samples);
    target.words(JSON).count(20_000).run(json_comes_back::<Identity>);
}

/// Pieces of JSON.
const JSON: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"1e309",
    b"\\u0000",
    b"\\ud800",
    b"18446744073709551616",
    b"\"v\":1",
    b"\"do\":",
    b"[[[[[[[[[[[[[[[[",
];

fn requests() -> Vec<Sample> {
    let line =
        |request: &Request| message::encode(request).expect("it can be encoded").into_bytes();
    let text = "[cluster]\nname = \"shop\"\n".to_owned();
    vec![
        ("status", line(&Request::Status { watch: true })),
        ("apply", line(&Request::Apply { text, base: 3, despite_expectations: true })),
        (
            "move",
            line(&Request::Move { service: "web".into(), node: "node2".into(), for_s: Some(60) }),
        ),
        (
            "register",
            line(&Request::Register(RegisterRequest::Allocate {
                from: "lan".into(),
                service: Some("web".into()),
                note: "printer".into(),
                unasked: false,
            })),
        ),
        (
            "lower",
            line(&Request::Lower(LowerRequest::Prepare {
                service: "web".into(),
                node: "node2".into(),
            })),
        ),
        ("revision", line(&Request::Revision { number: 12 })),
        ("standby", line(&Request::Standby { node: "node1".to_owned(), on: true })),
        ("clear", line(&Request::Clear { service: Some("web".into()), resource: None })),
        ("serve", line(&Request::Serve { services: vec!["web".into()], on: false })),
        (
            "maintenance",
            line(&Request::Maintenance {
                what: Some("web".into()),
                node: false,
                on: true,
                reason: "upgrade".into(),
            }),
        ),
        ("halt", line(&Request::Halt { site: Some("dc1".into()), on: true })),
        ("tools", line(&Request::Tools)),
        ("steady", line(&Request::Steady { node: "node2".into() })),
    ]
}

#[test]
fn any_line_at_the_api_is_a_request_or_an_error_in_words() {
    target!("api-request").samples(requests).words(JSON).count(60_000).run(|bytes| {
        match message::decode::<Request>(bytes) {
            Ok(request) => {
                let line = message::encode(&request).expect("what was read can be written");
                let back = message::decode(line.as_bytes());
                assert_eq!(back, Ok(request));
                true
            }
            Err(failure) => {
                assert!(!failure.message.is_empty() && !failure.next.is_empty());
                false
            }
        }
    });
}

#[test]
fn any_answer_of_a_daemon_is_read_or_refused() {
    let samples = || {
        let mut answer = Answer::new();
        answer.item = Some(serde_json::json!({ "at": "2026-03-01T12:00:00.250Z", "n": [1, null] }));
        answer.error = Some(message::Failure::unchanged("no such node", "see `stead status`"));
        vec![("answer", serde_json::to_vec(&answer).expect("it can be encoded"))]
    };
    let target = target!("api-answer").samples(samples);
    target.words(JSON).count(20_000).run(|bytes| {
        let Ok(answer) = serde_json::from_slice::<Answer>(bytes) else { return false };
        // Not the same to the last digit: numbers in it that no integer holds are rounded.
        let again = serde_json::to_vec(&answer).expect("what was read can be written");
        assert!(serde_json::from_slice::<Answer>(&again).is_ok());
        true
    });
}
