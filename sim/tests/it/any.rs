//! Configurations of any kind, drawn by chance: whatever a file says, the judges have nothing to
//! say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use stead_core::id::ServiceId;
use stead_core::quorum::chain::{Chain, Module};
use stead_core::state::config::{
    Config, CopiesConfig, DeviceConfig, FenceAgent, LinkConfig, NetworkConfig, NodeFencing,
    NodeRules, Place, Plug, Safety, ServiceMore, ServiceRules, Strength,
};
use stead_core::time::Span;

use crate::own::{config, resource, sum};

const NODES: [&str; 7] = ["ada", "ben", "cleo", "dora", "emil", "fay", "gil"];
const SERVICES: [&str; 6] = ["app", "db", "mail", "shop", "wiki", "zoo"];

/// Splitmix64: the same numbers on every machine.
struct Rng(u64);

impl Rng {
    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        low + (mixed ^ (mixed >> 31)) % (high - low)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.between(0, bound)
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }
}

/// A cluster of any kind.
fn any(rng: &mut Rng) -> Config {
    let count = [1, 2, 2, 3, 3, 3, 4, 5, 6, 7][rng.index(10)];
    let sites = rng.chance(2);
    let site = |number: usize| sites.then_some(["east", "west", "north"][number % 3]);
    let nodes: Vec<_> = (0..count).map(|number| (NODES[number], site(number))).collect();
    let services = &SERVICES[..rng.between(1, 7) as usize];
    let mut config = config(&nodes, services);
    if count > 3 && rng.chance(3) {
        config.later.satellites = [NODES[0].to_owned()].into();
    }
    networks(&mut config, rng);
    machines(&mut config, count, rng);
    for number in 0..services.len() {
        service(&mut config, count, number, rng);
    }
    config
}

fn networks(config: &mut Config, rng: &mut Rng) {
    for name in ["lan", "back"].iter().take(rng.between(1, 3) as usize) {
        config.links.insert((*name).to_owned(), LinkConfig { port: 5410 });
    }
    if rng.chance(2) {
        let network = NetworkConfig {
            network: Ipv4Addr::new(192, 0, 2, 0).into(),
            prefix: 24,
            interface: None,
            gateway: true,
            addresses: Vec::new(),
        };
        config.more.networks.insert("front".to_owned(), network);
    }
}

/// Who breaks ties, and what switches machines off.
fn machines(config: &mut Config, count: usize, rng: &mut Rng) {
    let breakers =
        [None, None, Some(Module::QuorumServer), Some(Module::Exec), Some(Module::Fence)];
    let breaker = breakers[rng.index(5)];
    let modules = [Some(Module::Majority), breaker].into_iter().flatten().collect();
    config.later.quorum.chain = Chain::new(modules).unwrap();
    let devices = breaker == Some(Module::Fence) || rng.chance(3);
    let fencing = &mut config.later.fencing;
    if devices {
        let agent = FenceAgent::Exec { command: vec!["/bin/fence".into()] };
        let device = DeviceConfig { agent, timeout: Span::from_millis(20_000), retries: 0 };
        fencing.devices.insert("pdu".to_owned(), device);
    }
    let watchdog = rng.chance(3);
    for name in &NODES[..count] {
        let plug = Plug { device: "pdu".into(), plug: Some((*name).to_owned()) };
        let levels = if devices { vec![vec![plug]] } else { Vec::new() };
        let it = NodeFencing { levels, watchdog, ..NodeFencing::default() };
        fencing.nodes.insert((*name).to_owned(), it);
        let capacity = [("memory".to_owned(), 6)].into();
        let rules = NodeRules { labels: BTreeMap::new(), capacity };
        fencing.rules.nodes.insert((*name).to_owned(), rules);
    }
}

fn service(config: &mut Config, count: usize, number: usize, rng: &mut Rng) {
    let id = ServiceId(SERVICES[number].to_owned());
    let earlier = |rng: &mut Rng| ServiceId(SERVICES[rng.index(number)].to_owned());
    let mut more = ServiceMore { importance: rng.between(1, 101) as u8, ..ServiceMore::default() };
    if number > 0 && rng.chance(3) {
        more.needs = [earlier(rng)].into();
    }
    form(&mut more, count, rng);
    let rules = rules(count, number, rng);
    if let Some(it) = config.services.get_mut(&id) {
        if rng.chance(3) {
            it.prefer = vec![NODES[rng.index(count)].to_owned()];
            it.failback = rng.chance(2);
        }
        if !more.resources.is_empty() {
            it.program = None;
        }
    }
    config.later.next.services.insert(id.clone(), more);
    config.later.fencing.rules.services.insert(id, rules);
}

/// Of what it consists.
fn form(more: &mut ServiceMore, count: usize, rng: &mut Rng) {
    let two = |safety| vec![resource("fs", &[], safety), resource("pg", &["fs"], Safety::Lease)];
    match rng.below(6) {
        0 => more.resources = two(Safety::Lease),
        1 => more.resources = two(Safety::Fence),
        2 | 3 => {
            let safety = if rng.chance(2) { Safety::Fence } else { Safety::Lease };
            more.resources = vec![resource("pg", &[], safety)];
            let nodes = NODES[..count].iter().filter(|_| rng.chance(2));
            let nodes: BTreeSet<_> = nodes.map(|it| (*it).to_owned()).collect();
            let nodes = (!nodes.is_empty()).then_some(nodes);
            more.copies = Some(CopiesConfig { nodes, promotable: ["pg".to_owned()].into() });
        }
        _ => {}
    }
}

fn rules(count: usize, number: usize, rng: &mut Rng) -> ServiceRules {
    let mut rules = ServiceRules::default();
    if !rng.chance(3) {
        return rules;
    }
    let node = Place::Node(NODES[rng.index(count)].to_owned());
    let earlier = ServiceId(SERVICES[rng.index(number.max(1))].to_owned());
    match rng.below(5) {
        0 => rules.only = vec![node],
        1 => rules.never = vec![node],
        2 if number > 0 => drop(rules.apart.insert(earlier, Strength::Must)),
        3 if number > 0 => drop(rules.together.insert(earlier, Strength::Must)),
        4 => drop(rules.uses.insert("memory".to_owned(), rng.between(1, 4))),
        _ => {}
    }
    if rng.chance(3) {
        rules.apart_by = Some("site".to_owned());
    }
    rules
}

/// More of them: `FROM=0 TO=1000 cargo nextest run --release -p stead-sim any:: --no-capture`.
#[test]
fn whatever_a_file_says_holds() {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse().ok());
    let (from, to) = (number("FROM").unwrap_or(0), number("TO").unwrap_or(8));
    let mut failed = Vec::new();
    for number in from..to {
        let sum = sum(&any(&mut Rng(number)), 0..2);
        failed.extend(sum.failed.into_iter().map(|it| (number, it)));
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
