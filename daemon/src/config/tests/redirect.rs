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
            "{ZONE}ttl = \"5min\"\nmoving-ttl = \"3s\"\n[redirect]\n\
             routing = {{ daemon = \"bird\", include = \"/etc/bird/x.conf\" }}\n\
             prefixes = [\"192.0.2.0/24\"]\ndocuments = 7420\n\
             documents-token = \"/etc/stead/secrets/documents\"\n\
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
        "addresses = [{ ip = \"10.0.0.100\", prefix = 24, layers = [\n\"arp\", \"mac\", \"dns\",\n\
         \"rout\", \"route\"], on = [\n\"node9\"] }]",
        "",
        expect![[r#"
            Error:
              x cluster.toml can't be used: 6 problems; nothing was changed

            Error:
              x service web has no address on node1
                ,-[cluster.toml:14:11]
             13 |
             14 | [services.web]
                :           ^^^
             15 | addresses = [{ ip = "10.0.0.100", prefix = 24, layers = [
                `----
              help: let one of its addresses be used there too, or keep the service away from it
                    with  never  or  only

            Error:
              x an address has either its own MAC or that of the node's card
                ,-[cluster.toml:16:8]
             15 | addresses = [{ ip = "10.0.0.100", prefix = 24, layers = [
             16 | "arp", "mac", "dns",
                :        ^^^^^
             17 | "rout", "route"], on = [
                `----
              help: keep one of "arp" and "mac": with "mac" neighbours are told as well

            Error:
              x `dns` is no layer of an address
                ,-[cluster.toml:16:15]
             15 | addresses = [{ ip = "10.0.0.100", prefix = 24, layers = [
             16 | "arp", "mac", "dns",
                :               ^^^^^
             17 | "rout", "route"], on = [
                `----
              help: the names of a service stand beside its addresses:  names =
                    ["www.shop.example"]

            Error:
              x `rout` is no layer of an address
                ,-[cluster.toml:17:1]
             16 | "arp", "mac", "dns",
             17 | "rout", "route"], on = [
                : ^^^^^^
             18 | "node9"] }]
                `----
              help: did you mean `route`?

            Error:
              x 10.0.0.100 is to be routed, and no routing daemon is named
                ,-[cluster.toml:17:9]
             16 | "arp", "mac", "dns",
             17 | "rout", "route"], on = [
                :         ^^^^^^^
             18 | "node9"] }]
                `----
              help: say which one runs on the nodes:  routing = "bird"  in [redirect]

            Error:
              x service web has an address only on `node9`, and there is no such node
                ,-[cluster.toml:18:1]
             17 | "rout", "route"], on = [
             18 | "node9"] }]
                : ^^^^^^^
             19 |
                `----
              help: did you mean `node3`?
        "#]],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "the text that is expected")]
fn names_without_a_zone_and_clients_without_a_name() {
    check(
        "addresses = [\"10.0.0.100/24\"]\nnames = [\"www.other.example\", \"10.0.0.1\",\n\
         { name = \"a.shop.example\", type = \"alias\" },\n{ name = \"b.shop.example\", \
         type = \"mx\" },\n{ name = \"c.shop.example\", port = 80 }]",
        ZONE,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 5 problems; nothing was changed

            Error:
              x no zone here has the name `www.other.example`
                ,-[cluster.toml:16:10]
             15 | addresses = ["10.0.0.100/24"]
             16 | names = ["www.other.example", "10.0.0.1",
                :          ^^^^^^^^^^^^^^^^^^^
             17 | { name = "a.shop.example", type = "alias" },
                `----
              help: say which servers take updates of it, in a table  [zones.shop]  with domain,
                    servers and key

            Error:
              x `10.0.0.1` is no name
                ,-[cluster.toml:16:31]
             15 | addresses = ["10.0.0.100/24"]
             16 | names = ["www.other.example", "10.0.0.1",
                :                               ^^^^^^^^^^
             17 | { name = "a.shop.example", type = "alias" },
                `----
              help: write a whole name in the domain name system, such as  "www.shop.example"

            Error:
              x a name of [services.web] has no `target`
                ,-[cluster.toml:17:1]
             16 | names = ["www.other.example", "10.0.0.1",
             17 | { name = "a.shop.example", type = "alias" },
                : ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
             18 | { name = "b.shop.example", type = "mx" },
                `----
              help: add a line like  target = "{node}.shop.example"

            Error:
              x `mx` is no kind of record that stead writes
                ,-[cluster.toml:18:35]
             17 | { name = "a.shop.example", type = "alias" },
             18 | { name = "b.shop.example", type = "mx" },
                :                                   ^^^^
             19 | { name = "c.shop.example", port = 80 }]
                `----
              help: there are addresses, alias, service, https

            Error:
              x `port` has no meaning with type "addresses"
                ,-[cluster.toml:19:35]
             18 | { name = "b.shop.example", type = "mx" },
             19 | { name = "c.shop.example", port = 80 }]
                :                                   ^^
             20 | [zones.shop]
                `----
              help: remove it, or choose another type
        "#]],
    );
    check(
        "addresses = [\"10.0.0.100/24\"]\nclients = \"sometimes\"",
        "",
        expect![[r#"
        Error:
          x cluster.toml can't be used: 1 problem; nothing was changed

        Error:
          x `clients = "sometimes"` of [services.web] says no time
            ,-[cluster.toml:16:11]
         15 | addresses = ["10.0.0.100/24"]
         16 | clients = "sometimes"
            :           ^^^^^^^^^^^
         17 |
            `----
          help: write for how long clients keep an address that they looked up: "ttl" as long
                as the record says, "10min" at least that long, "until-restart" for ever
    "#]],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "the text that is expected")]
fn zones_pools_and_routing_that_can_not_be() {
    check(
        "addresses = [\"10.0.0.100/24\"]",
        "[zones.shop]\ndomain = \"shop.example\"\nservers = [\"ns1.shop.example\"]\n\
         key = \"dns.key\"\nttl = \"500ms\"\nmoving-ttl = \"2min\"\n[redirect]\n\
         routing = \"quagga\"\nprefixes = [\"10.0.0.0/16\", \"10.0.0.0/24\"]\n\
         not-permitted = { wifi = \"me\" }\n[networks.front]\nprefix = \"10.0.0.0/24\"\n\
         pool = \"10.0.1.1-10.0.1.9\"",
        expect![[r#"
            Error:
              x cluster.toml can't be used: 9 problems; nothing was changed

            Error:
              x `moving-ttl` of zone shop is longer than `ttl`
                ,-[cluster.toml:16:8]
             15 | addresses = ["10.0.0.100/24"]
             16 | [zones.shop]
                :        ^^^^
             17 | domain = "shop.example"
                `----
              help: it is the shorter time, for around planned moves:  moving-ttl = "5s"

            Error:
              x `ns1.shop.example` is no address of a server
                ,-[cluster.toml:18:12]
             17 | domain = "shop.example"
             18 | servers = ["ns1.shop.example"]
                :            ^^^^^^^^^^^^^^^^^^
             19 | key = "dns.key"
                `----
              help: write addresses of the zone's authoritative servers, the primary first:
                    servers = ["10.0.0.53", "10.0.1.53"]

            Error:
              x `dns.key` is no absolute path
                ,-[cluster.toml:19:7]
             18 | servers = ["ns1.shop.example"]
             19 | key = "dns.key"
                :       ^^^^^^^^^
             20 | ttl = "500ms"
                `----
              help: write the whole path of a file that is on each node, with mode 0600:  key = "/
                    etc/stead/secrets/dns.key"  (`tsig-keygen` makes one)

            Error:
              x `ttl` of [zones.shop] is not in whole seconds up to a week
                ,-[cluster.toml:20:7]
             19 | key = "dns.key"
             20 | ttl = "500ms"
                :       ^^^^^^^
             21 | moving-ttl = "2min"
                `----
              help: records say it in seconds:  ttl = "60s"

            Error:
              x `quagga` is no routing daemon that stead knows
                ,-[cluster.toml:23:11]
             22 | [redirect]
             23 | routing = "quagga"
                :           ^^^^^^^^
             24 | prefixes = ["10.0.0.0/16", "10.0.0.0/24"]
                `----
              help: there are "bird" and "frr"

            Error:
              x the node address 10.0.0.1 lies in 10.0.0.0/16
                ,-[cluster.toml:24:13]
             23 | routing = "quagga"
             24 | prefixes = ["10.0.0.0/16", "10.0.0.0/24"]
                :             ^^^^^^^^^^^^^
             25 | not-permitted = { wifi = "me" }
                `----
              help: what is announced as a whole goes where its services go: nodes need addresses
                    outside of it

            Error:
              x 10.0.0.0/24 and 10.0.0.0/16 overlap
                ,-[cluster.toml:24:28]
             23 | routing = "quagga"
             24 | prefixes = ["10.0.0.0/16", "10.0.0.0/24"]
                :                            ^^^^^^^^^^^^^
             25 | not-permitted = { wifi = "me" }
                `----
              help: an address moves with one prefix: keep the larger of the two

            Error:
              x `wifi` is no layer
                ,-[cluster.toml:25:19]
             24 | prefixes = ["10.0.0.0/16", "10.0.0.0/24"]
             25 | not-permitted = { wifi = "me" }
                :                   ^^^^
             26 | [networks.front]
                `----
              help: there are mac, arp, route, dns, knowledge

            Error:
              x the pool 10.0.1.1-10.0.1.9 lies not in 10.0.0.0/24
                ,-[cluster.toml:28:8]
             27 | prefix = "10.0.0.0/24"
             28 | pool = "10.0.1.1-10.0.1.9"
                :        ^^^^^^^^^^^^^^^^^^^
                `----
              help: write addresses of that network
        "#]],
    );
}

#[test]
fn a_layer_that_is_not_permitted_is_not_used() {
    check(
        "addresses = [{ ip = \"10.0.0.100\", prefix = 24, layers = [\"mac\"] }]\n\
         names = [\"www.shop.example\"]",
        &format!("{ZONE}[redirect]\nnot-permitted = {{ mac = \"network team\", dns = \"IT\" }}"),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x 10.0.0.100 uses layer mac, which network team does not permit
                ,-[cluster.toml:15:58]
             14 | [services.web]
             15 | addresses = [{ ip = "10.0.0.100", prefix = 24, layers = ["mac"] }]
                :                                                          ^^|^^
                :                                                            `-- used here
             16 | names = ["www.shop.example"]
             17 | [zones.shop]
             18 | domain = "shop.example"
             19 | servers = ["10.0.0.53", "[fd00::53]:5353"]
             20 | key = "/etc/stead/secrets/dns.key"
             21 | [redirect]
             22 | not-permitted = { mac = "network team", dns = "IT" }
                :                   ^|^
                :                    `-- not permitted here
                `----
              help: take the layer away here, or the line there once it is permitted

            Error:
              x `www.shop.example` uses layer dns, which IT does not permit
                ,-[cluster.toml:16:10]
             15 | addresses = [{ ip = "10.0.0.100", prefix = 24, layers = ["mac"] }]
             16 | names = ["www.shop.example"]
                :          ^^^^^^^^^|^^^^^^^^
                :                   `-- used here
             17 | [zones.shop]
             18 | domain = "shop.example"
             19 | servers = ["10.0.0.53", "[fd00::53]:5353"]
             20 | key = "/etc/stead/secrets/dns.key"
             21 | [redirect]
             22 | not-permitted = { mac = "network team", dns = "IT" }
                :                                         ^|^
                :                                          `-- not permitted here
                `----
              help: take the name away here, or the line there once it is permitted
        "#]],
    );
}

#[test]
fn a_service_has_an_address_wherever_it_may_be() {
    check(
        "addresses = [{ ip = \"10.0.0.100\", prefix = 24, on = [\"node1\"] }]",
        "",
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x service web has no address on node2
                ,-[cluster.toml:14:11]
             13 |
             14 | [services.web]
                :           ^^^
             15 | addresses = [{ ip = "10.0.0.100", prefix = 24, on = ["node1"] }]
                `----
              help: let one of its addresses be used there too, or keep the service away from it
                    with  never  or  only
        "#]],
    );
    let never = "addresses = [{ ip = \"10.0.0.100\", prefix = 24, on = [\"node1\"] }]\n\
                 never = [\"node2\", \"node3\"]";
    config(&file(never, ""));
}
