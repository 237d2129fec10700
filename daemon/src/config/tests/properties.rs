//! What holds for every input.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use stead_core::id::ServiceId;
use stead_core::state::config::{
    Config, LinkConfig, Monitor, NetworkConfig, NodeConfig, Program, ServiceAddress, ServiceConfig,
};
use stead_core::time::Span;

use super::super::{differences, read, render};
use super::rule_properties::draw_possible;
use super::{GOOD, drawn};

/// Files to mutate: between them they use every key.
const SEEDS: [&str; 4] = [
    GOOD,
    r#"
[cluster]
name = "shop"
ride-out = "300ms"
round-trip = "2 ms"
daemon-grace = "1.5s"
[links.lan]
port = 7744
[nodes.node1]
site = "east"
addresses = { lan = "10.0.0.1" }
[services.web]
addresses = ["10.0.0.100/24", { ip = "fd00::100", prefix = 64, interface = "eth0" }]
prefer = ["node1"]
failback = false
program = { command = ["/usr/sbin/nginx", "-g", "daemon off;"], stop-timeout = "5s" }
monitor = { command = ["/usr/bin/curl", "http://10.0.0.100"], interval = "1s", timeout = "2s" }
[networks.front]
prefix = "10.0.0.0/24"
interface = "eth0"
gateway = true
addresses = ["10.0.0.200", "10.0.0.201"]
[services.shop]
addresses = ["10.0.0.101/24"]
[[services.shop.resources]]
name = "cache"
program = ["/usr/bin/redis-server"]
monitor = ["/usr/bin/redis-cli", "ping"]
restarts = 3
forget-after = "10min"
[[services.shop.resources]]
name = "front"
ocf = "heartbeat:nginx"
parameters = { configfile = "/etc/nginx.conf", port = 8080, test = true }
needs = ["cache"]
start-timeout = "20s"
stop-timeout = "20s"
monitor-timeout = "20s"
monitor-interval = "5s"
safety = "lease"
"#,
    r#"
[cluster]
name = "shop"
[links.lan]
[nodes.node1]
addresses = { lan = "10.0.0.1" }
fence = [["pdu:3", "vm"], ["bmc1"]]
fence-after = "stay-off"
fence-rehearse = "7d"
watchdog = true
[fencing.devices.bmc1]
agent = "fence_ipmilan"
parameters = { ip = "10.0.0.5", lanplus = true, cipher = 3 }
secrets = { password = "/etc/stead/secrets/bmc1" }
timeout = "20s"
retries = 1
[fencing.devices.pdu]
webhook = "http://10.0.0.9:8080/power"
secret = "/etc/stead/secrets/pdu"
[fencing.devices.vm]
exec = ["/usr/local/bin/vm-power", "host5"]
"#,
    r#"
[cluster]
name = "shop"
[links.lan]
[nodes.node1]
site = "east"
labels = { rack = "r1" }
capacity = { memory = 64 }
addresses = { lan = "10.0.0.1" }
[nodes.node2]
labels = { rack = "r2" }
capacity = { memory = 32 }
addresses = { lan = "10.0.0.2" }
[services.web]
addresses = ["10.0.0.100/24"]
prefer = ["site=east", "node2"]
only = ["rack=r1", "node2"]
uses = { memory = 8 }
together = { cache = 30, queue = "must" }
[services.cache]
addresses = ["10.0.0.101/24"]
never = ["node2"]
apart = ["queue"]
apart-by = "rack"
uses = { memory = 40 }
[services.queue]
addresses = ["10.0.0.102/24"]
only = ["node2"]
[[expect]]
fail = "node1"
then = ["web on rack=r2 within 2s", "cache nowhere"]
[[expect]]
fail = ["site=east"]
then = "queue runs"
"#,
];

/// Reads the text and draws whatever is said about it; only a panic is a failure.
fn read_and_draw(text: &str) {
    match read("cluster.toml", text) {
        Ok(checked) => {
            for warning in &checked.warnings {
                drawn(warning);
            }
            let again = read("again", &render(&checked.config)).expect("what was rendered");
            assert_eq!(again.config, checked.config);
        }
        Err(rejected) => {
            assert!(!rejected.problems().is_empty());
            let report = drawn(&rejected);
            for problem in rejected.problems() {
                let place = format!("[cluster.toml:{}:{}]", problem.line, problem.column);
                // The drawing counts columns in bytes.
                assert!(!text.is_ascii() || report.contains(&place), "{place}\n{report}");
            }
        }
    }
}

/// Pieces that mean something to the reader.
fn piece() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "[",
        "]",
        "{",
        "}",
        "=",
        "\"",
        "'",
        "\n",
        "\r",
        ".",
        ",",
        "#",
        "\"\"\"",
        "[[",
        "]]",
        " ",
        "[cluster]",
        "[links.lan]",
        "[nodes.node1]",
        "[services.web]",
        "addresses = ",
        "lan",
        "port = ",
        "name = ",
        "ride-out = ",
        "\"300ms\"",
        "\"10.0.0.1\"",
        "300",
        "true",
        "0x",
        "1e9",
        "\u{feff}",
        "\u{0}",
        "\u{1f980}",
        "inf",
        "1979-05-27",
        "99999999999999999999",
        "-1",
        "\\",
    ];
    prop_oneof![proptest::sample::select(PIECES).prop_map(str::to_owned), ".{0,3}"]
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?"
}

fn span() -> impl Strategy<Value = Span> {
    (1_u64..=86_400_000_000).prop_map(Span)
}

fn command() -> impl Strategy<Value = Vec<String>> {
    ("/[^\u{0}]{0,20}[^\u{0}/]", vec("[^\u{0}]{0,20}", 0..4))
        .prop_map(|(file, arguments)| std::iter::once(file).chain(arguments).collect())
}

/// A service without its addresses, which are numbered so that no two are the same.
fn service() -> impl Strategy<Value = ServiceConfig> {
    let program =
        (command(), span()).prop_map(|(command, stop_timeout)| Program { command, stop_timeout });
    let monitor = (command(), span(), span()).prop_map(|(command, interval, timeout)| Monitor {
        command,
        interval,
        timeout,
    });
    let addresses = vec((proptest::option::of("[a-z0-9@.-]{3,15}"), 9_u8..=32), 1..4);
    let parts = (addresses, proptest::option::of(program), proptest::option::of(monitor));
    (parts, any::<bool>()).prop_map(|((addresses, program, monitor), failback)| {
        let address = |(interface, prefix)| {
            let ip = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            ServiceAddress { ip, prefix, interface }
        };
        let addresses = addresses.into_iter().map(address).collect();
        ServiceConfig { addresses, program, monitor, prefer: Vec::new(), failback }
    })
}

/// A network without its place, and how many points it has beside the gateway.
fn network() -> impl Strategy<Value = (NetworkConfig, u8)> {
    let parts = (proptest::option::of("[a-z0-9@.-]{3,15}"), any::<bool>(), 20_u8..=28, 1_u8..=2);
    parts.prop_map(|(interface, gateway, prefix, points)| {
        let network = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        (NetworkConfig { network, prefix, interface, gateway, addresses: Vec::new() }, points)
    })
}

fn place_networks(config: &mut Config, networks: BTreeMap<String, (NetworkConfig, u8)>) {
    for (number, (name, (mut network, points))) in (0_u8..).zip(networks) {
        let addresses = (0..=points).map(|host| Ipv4Addr::new(10, 200 + number, 0, host).into());
        let [place, points @ ..] = &addresses.collect::<Vec<IpAddr>>()[..] else { continue };
        network.network = *place;
        network.addresses = points.to_vec();
        config.more.networks.insert(name, network);
    }
}

/// A configuration that the reader accepts.
fn config() -> impl Strategy<Value = Config> {
    let links = proptest::collection::btree_map(name(), 1_u16.., 1..4);
    let nodes = proptest::collection::btree_map(name(), proptest::option::of(name()), 1..=16);
    let services = proptest::collection::btree_map(name(), service(), 0..4);
    let times = (20_000_u64..=60_000_000, 1_u64..=3, span());
    let networks = proptest::collection::btree_map(name(), network(), 0..=2);
    let turn = (networks, any::<u8>(), any::<Option<u64>>());
    (name(), times, links, nodes, services, turn).prop_map(
        |(
            name,
            (ride_out, part, daemon_grace),
            links,
            nodes,
            services,
            (networks, turn, rules),
        )| {
            let mut config = Config {
                name,
                ride_out: Span(ride_out),
                round_trip: Span(ride_out * part / 10),
                daemon_grace,
                links: links.into_iter().map(|(name, port)| (name, LinkConfig { port })).collect(),
                nodes: BTreeMap::new(),
                services: services.into_iter().map(|(n, s)| (ServiceId(n), s)).collect(),
                more: Default::default(),
                later: Default::default(),
            };
            add_nodes(&mut config, nodes);
            number_services(&mut config, usize::from(turn));
            place_networks(&mut config, networks);
            rules.into_iter().for_each(|seed| draw_possible(&mut config, seed));
            config
        },
    )
}

fn add_nodes(config: &mut Config, nodes: BTreeMap<String, Option<String>>) {
    for (number, (name, site)) in (1_u8..).zip(nodes) {
        let address = |(link, name): (u8, &String)| {
            let v4 = IpAddr::V4(Ipv4Addr::new(10, 0, link, number));
            let v6 = IpAddr::V6(Ipv6Addr::new(0xfd00, link.into(), 0, 0, 0, 0, 0, number.into()));
            (name.clone(), if link % 2 == 0 { v4 } else { v6 })
        };
        let addresses = (0_u8..).zip(config.links.keys()).map(address).collect();
        config.nodes.insert(name, NodeConfig { site, addresses });
    }
}

fn number_services(config: &mut Config, turn: usize) {
    let mut nodes: Vec<String> = config.nodes.keys().cloned().collect();
    let first = turn % nodes.len();
    nodes.rotate_left(first);
    nodes.truncate(turn % 4);
    let mut number = 0;
    for service in config.services.values_mut() {
        service.prefer.clone_from(&nodes);
        for address in &mut service.addresses {
            number += 1;
            // Neither all zeros nor all ones below any prefix from 9 on but 32, 31 and 30.
            address.ip = IpAddr::V4(Ipv4Addr::new(10, 1, 130, number * 4 + 1));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,200}") {
        read_and_draw(&text);
    }

    #[test]
    fn no_heap_of_pieces_makes_the_reader_panic(pieces in vec(piece(), 0..40)) {
        read_and_draw(&pieces.concat());
    }

    #[test]
    fn no_mutated_file_makes_the_reader_panic(
        seed in proptest::sample::select(SEEDS.as_slice()),
        edits in vec((any::<prop::sample::Index>(), 0_usize..12, piece()), 1..6),
    ) {
        let mut text = seed.to_owned();
        for (place, removed, piece) in edits {
            let start = text.floor_char_boundary(place.index(text.len() + 1));
            let end = text.ceil_char_boundary((start + removed).min(text.len()));
            text.replace_range(start..end, &piece);
        }
        read_and_draw(&text);
    }

    #[test]
    fn what_is_rendered_is_read_again(config in config()) {
        let text = render(&config);
        let checked = read("cluster.toml", &text);
        prop_assert_eq!(checked.map(|checked| checked.config).map_err(|e| drawn(&e)), Ok(config));
    }

    #[test]
    fn there_are_differences_exactly_between_different_configurations(
        old in config(),
        new in config(),
    ) {
        prop_assert_eq!(differences(&old, &old), vec![]);
        prop_assert_eq!(differences(&old, &new).is_empty(), old == new);
    }
}
