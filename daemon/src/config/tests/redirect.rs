//! Layers, names, zones and pools: what can be written, how it is written back, and what is
//! refused with which words.

use expect_test::{Expect, expect};
use stead_core::redirect::Layer;
use stead_core::state::config::{Caching, RecordKind, Routing, Strength};
use stead_core::state::{Change, PROTOCOL_0_7, PROTOCOL_0_8};

use super::super::render;
use super::{GOOD, config_of as config, good_but, report};

const ADDRESSES: &str = "addresses = [\"10.0.0.100/24\"]";

fn file(addresses: &str, tables: &str) -> String {
    good_but(ADDRESSES, addresses) + tables + "\n"
}

fn check(addresses: &str, tables: &str, expected: Expect) {
    expected.assert_eq(&report(&file(addresses, tables)));
}

const ZONE: &str = "[zones.shop]\ndomain = \"shop.example\"\nservers = [\"10.0.0.53\", \
                    \"[fd00::53]:5353\"]\nkey = \"/etc/stead/secrets/dns.key\"\n";

#[test]
fn everything_that_can_be_said_comes_back_as_it_was() {
    let text = file(
        "addresses = [{ ip = \"10.0.0.100\", prefix = 24, layers = [\"mac\", \"route\"], \
         on = [\"node1\", \"node2\"] }, \"fd00::100/64\", { ip = \"192.0.2.7\", prefix = 32, \
         layers = [\"route\"] }]\nclients = \"10min\"\nnames = [\"WWW.Shop.Example.\", \
         { name = \"old.shop.example\", type = \"alias\", target = \"{node}.shop.example\", \
         ttl = \"30s\", adopt = true }, { name = \"_sip._udp.shop.example\", type = \"service\", \
         target = \"sip.shop.example\", port = 5060 }, { name = \"www.shop.example\", \
         type = \"https\", alpn = [\"h2\"] }]\n[services.db]\naddresses = [{ ip = \"192.0.2.9\", \
         prefix = 32, layers = [\"route\"] }]\n",
        &format!(
            "{ZONE}ttl = \"5min\"\nmoving-ttl = \"3s\"\n[redirect]\nrouting = {{ daemon = \"bird\", \
             include = \"/etc/bird/x.conf\" }}\nprefixes = [\"192.0.2.0/24\"]\ndocuments = 7745\n\
             not-permitted = {{ arp = \"nobody\" }}\n[networks.front]\nprefix = \"10.0.0.0/24\"\n\
             gateway = true\npool = \"10.0.0.150-10.0.0.199\""
        ),
    );
    let config = config(&text);
    let ip = |text: &str| text.parse().expect("an address");
    assert_eq!(config.layers_of(ip("10.0.0.100")), [Layer::Mac, Layer::Route]);
    assert_eq!(config.layers_of(ip("fd00::100")), [Layer::Arp]);
    assert!(config.is_used_on(ip("10.0.0.100"), "node2"));
    assert!(!config.is_used_on(ip("10.0.0.100"), "node3"));
    assert!(config.is_used_on(ip("fd00::100"), "node3"));
    let announced = |text: &str| config.announced_as(ip(text)).map(|it| it.to_string());
    assert_eq!(announced("192.0.2.7").as_deref(), Some("192.0.2.0/24"));
    assert_eq!(announced("10.0.0.100").as_deref(), Some("10.0.0.100/32"));
    assert_eq!(announced("fd00::100"), None);
    let named = &config.redirect().services[&"web".into()];
    assert_eq!(named.clients, Caching::AtLeast(stead_core::time::Span::from_millis(600_000)));
    assert_eq!(named.names[0].name, "www.shop.example");
    assert!(matches!(named.names[3].kind, RecordKind::Https { .. }));
    assert!(matches!(config.redirect().routing, Some(Routing::Bird { .. })));
    // What shares an announced prefix goes together, without a line that says so.
    let together = &config.rules(&"db".into()).expect("it has rules").together;
    assert_eq!(together.get(&"web".into()), Some(&Strength::Must));
    let written = render(&config);
    assert!(!written.contains("together"), "{written}");
    assert_eq!(super::config_of(&written), config);
    assert_eq!(Change::Configure { base: 1, config }.protocol(), PROTOCOL_0_8);
}

#[test]
fn what_says_nothing_new_needs_no_newer_members() {
    let plain =
        config(&file("addresses = [{ ip = \"10.0.0.100\", prefix = 24, layers = [\"arp\"] }]", ""));
    assert!(Change::Configure { base: 1, config: plain.clone() }.protocol() <= PROTOCOL_0_7);
    assert_eq!(plain, config(GOOD));
}

#[test]
fn layers_that_are_none_or_do_not_fit() {
    check(
        "addresses = [{ ip = \"10.0.0.100\", prefix = 24, layers = [\"arp\", \"mac\", \"dns\", \
         \"rout\", \"route\"], on = [\"node9\"] }]",
        "",
        expect![[""]],
    );
}

#[test]
fn names_without_a_zone_and_clients_without_a_name() {
    check(
        "addresses = [\"10.0.0.100/24\"]\nnames = [\"www.other.example\", \"10.0.0.1\", \
         { name = \"a.shop.example\", type = \"alias\" }, { name = \"b.shop.example\", \
         type = \"mx\" }, { name = \"c.shop.example\", port = 80 }]",
        ZONE,
        expect![[""]],
    );
    check("addresses = [\"10.0.0.100/24\"]\nclients = \"sometimes\"", "", expect![[""]]);
}

#[test]
fn zones_pools_and_routing_that_can_not_be() {
    check(
        "addresses = [\"10.0.0.100/24\"]",
        "[zones.shop]\ndomain = \"shop.example\"\nservers = [\"ns1.shop.example\"]\n\
         key = \"dns.key\"\nttl = \"500ms\"\nmoving-ttl = \"2min\"\n[redirect]\n\
         routing = \"quagga\"\nprefixes = [\"10.0.0.0/16\", \"10.0.0.0/24\"]\n\
         not-permitted = { wifi = \"me\" }\n[networks.front]\nprefix = \"10.0.0.0/24\"\n\
         pool = \"10.0.1.1-10.0.1.9\"",
        expect![[""]],
    );
}

#[test]
fn a_layer_that_is_not_permitted_is_not_used() {
    check(
        "addresses = [{ ip = \"10.0.0.100\", prefix = 24, layers = [\"mac\"] }]\n\
         names = [\"www.shop.example\"]",
        &format!("{ZONE}[redirect]\nnot-permitted = {{ mac = \"network team\", dns = \"IT\" }}"),
        expect![[""]],
    );
}

#[test]
fn a_service_has_an_address_wherever_it_may_be() {
    check(
        "addresses = [{ ip = \"10.0.0.100\", prefix = 24, on = [\"node1\"] }]",
        "",
        expect![[""]],
    );
    let never = "addresses = [{ ip = \"10.0.0.100\", prefix = 24, on = [\"node1\"] }]\n\
                 never = [\"node2\", \"node3\"]";
    config(&file(never, ""));
}
