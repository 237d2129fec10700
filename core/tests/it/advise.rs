//! Which layers are possible, what each costs, and which is the best: typical situations as texts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use expect_test::expect_file;
use proptest::prelude::*;
use stead_core::redirect::Layer;
use stead_core::redirect::advise::{
    AddressFacts, Advice, Clients, Facts, Known, LayerAdvice, NameFacts, NodeFacts, Outage,
    RoutingFacts, Segments, ServerFacts, Verdict, advise, length,
};
use stead_core::state::config::{Caching, Prefix};
use stead_core::time::Span;

fn found<T>(value: T) -> Known<T> {
    Known::Found { value, by: "node1".into() }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|it| (*it).to_owned()).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn segments(groups: &[&[&str]]) -> Known<Segments> {
    let groups = groups.iter().map(|group| set(group)).collect();
    found(Segments { groups, ..Segments::default() })
}

fn address(text: &str, nodes: &[&str], groups: &[&[&str]]) -> AddressFacts {
    AddressFacts {
        ip: ip(text),
        layers: vec![Layer::Arp],
        nodes: set(nodes),
        segments: segments(groups),
        prefix: None,
        along: BTreeSet::new(),
    }
}

fn node(name: &str) -> NodeFacts {
    NodeFacts { name: name.into(), routing: Known::Unknown("no daemon answers there".into()) }
}

fn facts(nodes: &[&str], addresses: Vec<AddressFacts>) -> Facts {
    Facts {
        service: "web".into(),
        timers: Default::default(),
        slack: Span::from_millis(10),
        nodes: nodes.iter().map(|it| node(it)).collect(),
        addresses,
        clients: Known::Declared(Clients::Anywhere),
        caching: Caching::Ttl,
        routing: false,
        names: Vec::new(),
        servers: Vec::new(),
        documents: None,
        not_permitted: BTreeMap::new(),
        start: found(Span::from_millis(200)),
        reload: Known::Unknown("nobody said it".into()),
    }
}

fn routed(facts: &mut Facts, bfd: bool) {
    let (notices, why) = if bfd {
        (150, "BFD with up: 50 ms between packets, gone after 150 ms")
    } else {
        (9_000, "no BFD with up: its hold time of 9 s")
    };
    facts.routing = true;
    for node in &mut facts.nodes {
        node.routing = found(RoutingFacts {
            daemon: "BIRD".into(),
            sessions: vec!["up".into()],
            notices: Span::from_millis(notices),
            why: why.into(),
            spread: Span::from_millis(15),
            troubles: Vec::new(),
        });
    }
    for address in &mut facts.addresses {
        address.layers = vec![Layer::Route];
        address.prefix = Some(Prefix::host(address.ip));
    }
}

fn named(facts: &mut Facts) {
    let second = |seconds: u64| Span::from_millis(seconds * 1_000);
    facts.names = vec![NameFacts {
        name: "www.shop.example".into(),
        ttl: second(60),
        moving_ttl: second(5),
        differs: true,
    }];
    let server = |at: &str, first| ServerFacts {
        at: at.into(),
        first,
        answers: found(Span::from_millis(3)),
    };
    facts.servers = vec![server("10.0.0.53:53", true), server("10.0.1.53:53", false)];
}

/// Two sites, each with an address of its own, and a name.
fn two_sites() -> Facts {
    let apart: &[&[&str]] = &[&["east"], &["west"]];
    let addresses =
        vec![address("10.1.0.100", &["east"], apart), address("10.2.0.100", &["west"], apart)];
    let mut facts = facts(&["east", "west"], addresses);
    named(&mut facts);
    facts
}

fn segment() -> Facts {
    let nodes = ["node1", "node2"];
    facts(&nodes, vec![address("10.0.0.100", &nodes, &[&nodes])])
}

fn outage(outage: &Outage) -> String {
    let parts = outage.parts.iter().map(|it| format!("{} {}", it.name, length(it.length)));
    let parts = parts.collect::<Vec<_>>().join(" + ");
    let some = outage.some.iter().map(|it| format!(", some {} ({})", length(it.length), it.name));
    let open = if outage.open { "+" } else { "" };
    let total = outage.total().map_or("never".to_owned(), |it| length(it) + open);
    format!("{total} = {parts}{}", some.collect::<String>())
}

fn told(advice: &Advice) -> String {
    let mut text = String::new();
    for ranked in &advice.ranking {
        let layer = advice.layers.iter().find(|it| it.layer == ranked.layer).expect("each once");
        let rank = ranked.rank.map_or("-".to_owned(), |it| it.to_string());
        let verdict = match &layer.verdict {
            Verdict::Possible => "possible".to_owned(),
            Verdict::NotPermitted { by } => format!("not permitted by {by}"),
            Verdict::Unknown => "unknown".to_owned(),
            Verdict::NotPossible => "not possible".to_owned(),
        };
        let used = if layer.used { ", used" } else { "" };
        text.push_str(&format!("{rank} {}: {verdict}{used}: {}\n", layer.layer, ranked.why));
        if let Some(cost) = &layer.cost {
            text.push_str(&format!("    planned   {}\n", outage(&cost.planned)));
            text.push_str(&format!("    unplanned {}\n", outage(&cost.unplanned)));
        }
        for effect in &layer.effects {
            text.push_str(&format!("    + {effect}\n"));
        }
    }
    for warning in &advice.warnings {
        text.push_str(&format!("! {warning}\n"));
    }
    for permission in &advice.permissions {
        text.push_str(&format!("> {}\n", permission.words));
    }
    text
}

#[test]
fn two_servers_on_one_segment() {
    expect_file!["golden/advise-one-segment.txt"].assert_eq(&told(&advise(&segment())));
}

#[test]
fn two_sites_with_routers_and_bfd() {
    let mut facts = facts(
        &["east", "west"],
        vec![address("203.0.114.7", &["east", "west"], &[&["east"], &["west"]])],
    );
    routed(&mut facts, true);
    expect_file!["golden/advise-routes-and-bfd.txt"].assert_eq(&told(&advise(&facts)));
}

#[test]
fn two_sites_with_routers_and_no_bfd() {
    let nodes = ["east", "west"];
    let mut facts = facts(&nodes, vec![address("10.9.0.7", &nodes, &[&["east"], &["west"]])]);
    routed(&mut facts, false);
    let whole = Prefix { network: ip("10.9.0.0"), length: 24 };
    facts.addresses[0].prefix = Some(whole);
    facts.addresses[0].along = ["mail".into(), "shop".into()].into();
    expect_file!["golden/advise-routes-without-bfd.txt"].assert_eq(&told(&advise(&facts)));
}

#[test]
fn two_sites_with_names_alone_and_each_kind_of_client() {
    let of = |caching| {
        let advice = advise(&Facts { caching, ..two_sites() });
        let dns = advice.layers.iter().find(|it| it.layer == Layer::Dns).expect("there is one");
        let cost = dns.cost.as_ref().expect("its names are known");
        let order: Vec<_> = advice.ranking.iter().map(|it| it.layer.name()).collect();
        let mut lines = vec![
            format!("{caching:?}"),
            format!("  planned   {}", outage(&cost.planned)),
            format!("  unplanned {}", outage(&cost.unplanned)),
        ];
        let never = cost.unplanned.never.iter();
        lines.extend(never.chain(&advice.warnings).map(|it| format!("  ! {it}")));
        lines.push(format!("  {}\n", order.join(" ")));
        lines.join("\n")
    };
    let minutes = Span::from_millis(600_000);
    let all = [Caching::Ttl, Caching::AtLeast(minutes), Caching::UntilRestart].map(of).concat();
    expect_file!["golden/advise-names-and-clients.txt"].assert_eq(&all);
}

#[test]
fn what_the_network_team_does_not_permit_has_a_price() {
    // Beside ARP, which is permitted, a MAC spares only those who ignore announcements.
    let mut facts = segment();
    facts.not_permitted = [(Layer::Mac, "network team".to_owned())].into();
    let beside = advise(&facts).permissions;
    // Where ARP isn't either, names remain.
    facts.not_permitted.insert(Layer::Arp, "the data centre".into());
    named(&mut facts);
    let alone = advise(&facts);
    let words: Vec<_> =
        beside.iter().chain(&alone.permissions).map(|it| it.words.clone()).collect();
    expect_file!["golden/advise-permissions.txt"].assert_eq(&words.join("\n\n"));
    assert!(alone.warnings.iter().any(|it| it.contains("arp is in use, though")), "{alone:#?}");
}

#[test]
fn an_address_between_two_segments_is_warned_of() {
    let nodes = ["node1", "node2", "node3"];
    let groups: &[&[&str]] = &[&["node1", "node2"], &["node3"]];
    let facts = facts(&nodes, vec![address("10.0.0.100", &nodes, groups)]);
    expect_file!["golden/advise-arp-between-segments.txt"].assert_eq(&told(&advise(&facts)));
}

#[test]
fn what_is_not_known_is_said_and_what_is_seen_of_others_counts() {
    let mut facts = segment();
    let unclear = [("node2".to_owned(), "it does not answer".to_owned())].into();
    let half = Segments { groups: vec![set(&["node1"])], unclear, ..Segments::default() };
    facts.addresses[0].segments = found(half);
    let advice = advise(&facts);
    let arp = &advice.layers[1];
    assert_eq!((arp.layer, &arp.verdict), (Layer::Arp, &Verdict::Unknown));
    assert!(arp.reasons[0].ends_with("of node2: it does not answer"), "{arp:?}");
    let told = advice.facts.iter().map(|it| format!("{}: {}", it.what, it.source));
    let source: Vec<_> = told.collect();
    assert!(source.contains(&"reload at clients: unknown: nobody said it".to_owned()));
    // One family that fails is enough.
    let mut both = segment();
    let nodes = ["node1", "node2"];
    both.addresses.push(address("fd00::100", &nodes, &[&["node1"], &["node2"]]));
    assert_eq!(advise(&both).layers[1].verdict, Verdict::NotPossible);
}

#[test]
fn a_segment_that_suppresses_announcements_is_warned_of() {
    let mut facts = segment();
    let groups = vec![set(&["node1", "node2"])];
    let value = Segments { groups, suppressed: set(&["node2"]), ..Segments::default() };
    facts.addresses[0].segments = found(value);
    let said = |facts: &Facts| {
        let advice = advise(facts);
        let seen = advice.facts.iter().find(|it| it.what == "announcements of 10.0.0.100");
        let warned = advice.warnings.iter().any(|it| it.contains("suppresses announcements"));
        (seen.map(|it| it.source.clone()), warned)
    };
    assert_eq!(said(&facts), (Some("node2".to_owned()), true));
    // Nothing has to be announced where the MAC goes along.
    facts.addresses[0].layers = vec![Layer::Mac];
    assert_eq!(said(&facts), (None, false));
}

fn known<T: std::fmt::Debug + Clone + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Known<T>> {
    value.prop_flat_map(|value| {
        prop_oneof![
            Just(found(value.clone())),
            Just(Known::Declared(value)),
            Just(Known::Unknown("nobody looked".into())),
        ]
    })
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![0..10_000_000_u64, any::<u64>()].prop_map(Span)
}

fn any_routing() -> impl Strategy<Value = RoutingFacts> {
    let sessions = proptest::collection::vec("[a-z]{1,4}", 0..3);
    (sessions, span(), span()).prop_map(|(sessions, notices, spread)| RoutingFacts {
        daemon: "BIRD".into(),
        sessions,
        notices,
        why: "because".into(),
        spread,
        troubles: Vec::new(),
    })
}

fn any_address() -> impl Strategy<Value = AddressFacts> {
    let layer = proptest::sample::subsequence(vec![Layer::Mac, Layer::Arp, Layer::Route], 1..3);
    let nodes = proptest::sample::subsequence(vec!["a", "b", "c"], 1..=3);
    let groups = (0..3_usize, 0..3_usize, 0..3_usize).prop_map(|(a, b, c)| {
        let mut groups = vec![BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
        for (name, group) in [("a", a), ("b", b), ("c", c)] {
            groups[group].insert(name.to_owned());
        }
        groups.retain(|it| !it.is_empty());
        Segments { groups, ..Segments::default() }
    });
    (any::<IpAddr>(), layer, nodes, known(groups)).prop_map(|(ip, layers, nodes, segments)| {
        let nodes = set(&nodes);
        AddressFacts { ip, layers, nodes, segments, prefix: None, along: BTreeSet::new() }
    })
}

fn any_names() -> impl Strategy<Value = Vec<NameFacts>> {
    let name = (span(), span(), any::<bool>()).prop_map(|(ttl, moving_ttl, differs)| NameFacts {
        name: "www.shop.example".into(),
        ttl,
        moving_ttl,
        differs,
    });
    proptest::collection::vec(name, 0..3)
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let nodes = proptest::collection::vec(known(any_routing()), 3);
    let addresses = proptest::collection::vec(any_address(), 0..3);
    let servers = proptest::collection::vec((any::<bool>(), known(span())), 0..3);
    let caching = prop_oneof![
        Just(Caching::Ttl),
        span().prop_map(Caching::AtLeast),
        Just(Caching::UntilRestart)
    ];
    let refused = proptest::sample::subsequence(Layer::ALL.to_vec(), 0..=5);
    let told = (refused, any::<Option<u16>>(), known(span()), known(span()));
    (nodes, addresses, any_names(), servers, caching, told).prop_map(
        |(nodes, addresses, names, servers, caching, (refused, documents, start, reload))| {
            let mut facts = facts(&["a", "b", "c"], addresses);
            for (node, routing) in facts.nodes.iter_mut().zip(nodes) {
                node.routing = routing;
            }
            let server =
                |(first, answers)| ServerFacts { at: "10.0.0.53:53".into(), first, answers };
            facts.servers = servers.into_iter().map(server).collect();
            facts.not_permitted = refused.into_iter().map(|it| (it, "us".to_owned())).collect();
            Facts { names, caching, documents, start, reload, ..facts }
        },
    )
}

fn of(advice: &Advice, layer: Layer) -> &LayerAdvice {
    advice.layers.iter().find(|it| it.layer == layer).expect("each once")
}

proptest! {
    #[test]
    fn what_is_not_possible_never_ranks_above_what_is(facts in any_facts()) {
        let advice = advise(&facts);
        let mut layers: Vec<_> = advice.ranking.iter().map(|it| it.layer).collect();
        let possible = |it: &Layer| of(&advice, *it).verdict == Verdict::Possible;
        let first_not = layers.iter().position(|it| !possible(it)).unwrap_or(layers.len());
        prop_assert!(!layers[first_not..].iter().any(possible), "{advice:#?}");
        let refused = |it: &Layer| of(&advice, *it).verdict == Verdict::NotPossible;
        let first = layers.iter().position(refused).unwrap_or(layers.len());
        prop_assert!(layers[first..].iter().all(refused), "{advice:#?}");
        layers.sort();
        prop_assert_eq!(layers, Layer::ALL.to_vec());
        for layer in &advice.layers {
            let reasons = &layer.reasons;
            prop_assert!(!reasons.is_empty() && reasons.iter().all(|it| !it.is_empty()));
            let costs = layer.cost.is_some();
            prop_assert!(layer.verdict != Verdict::Possible || costs, "{layer:#?}");
        }
    }

    #[test]
    fn what_nobody_planned_is_never_shorter(facts in any_facts()) {
        for layer in advise(&facts).layers {
            let Some(cost) = layer.cost else { continue };
            prop_assert!(cost.unplanned.length() >= cost.planned.length(), "{cost:#?}");
            prop_assert_eq!(cost.unplanned.open, cost.planned.open);
            prop_assert!(cost.unplanned.longest() >= cost.planned.longest()
                || cost.unplanned.never.is_some(), "{cost:#?}");
            prop_assert_eq!(cost.unplanned.never.is_some(), cost.planned.never.is_some());
        }
    }
}
