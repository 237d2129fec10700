//! What an advice looks like, in one situation that has everything in it.

use std::collections::BTreeMap;

use expect_test::expect_file;
use stead_core::redirect::Layer;
use stead_core::redirect::advise::{
    AddressFacts, Clients, Facts, Known, NameFacts, NodeFacts, RoutingFacts, Segments, ServerFacts,
    advise,
};
use stead_core::state::config::Caching;
use stead_core::time::Span;

use super::advise::shown;
use crate::api::redirect::advise::{AdviseAnswer, answer};
use crate::cli::look::Look;

fn found<T>(value: T) -> Known<T> {
    Known::Found { value, by: "node1".to_owned() }
}

fn routing(sessions: &[&str]) -> Known<RoutingFacts> {
    found(RoutingFacts {
        daemon: "BIRD 2.0.12".to_owned(),
        sessions: sessions.iter().map(|it| (*it).to_owned()).collect(),
        notices: Span::from_millis(9_000),
        why: "no BFD with up: its hold time of 9 s".to_owned(),
        spread: Span::from_millis(15),
        troubles: Vec::new(),
    })
}

/// Two nodes in the east and one in the west, with an address for each site and a name; the
/// network team permits no routes.
fn facts() -> Facts {
    let groups = [["node1", "node2"].as_slice(), &["node3"]]
        .map(|group| group.iter().map(|it| (*it).to_owned()).collect());
    let gateways = ["10.1.0.1", "10.2.0.1"].map(|it| it.parse().unwrap()).into();
    let segments = Segments { groups: groups.into(), gateways, ..Segments::default() };
    let address = |text: &str, nodes: &[&str]| AddressFacts {
        ip: text.parse().unwrap(),
        layers: vec![Layer::Arp],
        nodes: nodes.iter().map(|it| (*it).to_owned()).collect(),
        segments: found(segments.clone()),
        prefix: None,
        along: [].into(),
    };
    let node = |name: &str| NodeFacts { name: name.to_owned(), routing: routing(&["up"]) };
    let seconds = |count: u64| Span::from_millis(count * 1_000);
    Facts {
        service: "web".into(),
        timers: Default::default(),
        slack: Span::from_millis(10),
        nodes: ["node1", "node2", "node3"].map(node).into(),
        addresses: vec![
            address("10.1.0.100", &["node1", "node2"]),
            address("10.2.0.100", &["node3"]),
        ],
        clients: Known::Declared(Clients::Anywhere),
        caching: Caching::Ttl,
        routing: true,
        names: vec![NameFacts {
            name: "www.shop.example".to_owned(),
            ttl: seconds(60),
            moving_ttl: seconds(5),
            differs: true,
        }],
        servers: vec![
            ServerFacts {
                at: "10.1.0.53:53".to_owned(),
                first: true,
                answers: found(Span::from_millis(2)),
            },
            ServerFacts {
                at: "10.2.0.53:53".to_owned(),
                first: false,
                answers: Known::Unknown("does not answer".to_owned()),
            },
        ],
        documents: None,
        not_permitted: BTreeMap::from([(Layer::Route, "network team".to_owned())]),
        start: Known::Found { value: Span::from_millis(850), by: "incident 3".to_owned() },
        reload: Known::Unknown("say it with --reload".to_owned()),
    }
}

#[test]
fn an_advice_as_a_person_reads_it() {
    let answer = answer("web", "node1", &advise(&facts()));
    let json = serde_json::to_string(&answer).unwrap();
    assert_eq!(serde_json::from_str::<AdviseAnswer>(&json).unwrap(), answer);
    expect_file!["../golden/redirect-advise.txt"].assert_eq(&shown(&answer, Look::plain(100)));
    let narrow = shown(&answer, Look::plain(60));
    let too_long = narrow.lines().filter(|line| line.chars().count() > 110).count();
    assert_eq!(too_long, 0, "{narrow}");
}
