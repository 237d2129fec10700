//! Which layers are possible between these nodes, and what each brings along.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use super::Verdict;
use super::facts::{AddressFacts, Facts, Together, listed};
use crate::redirect::Layer;
use crate::state::config::Prefix;

/// What came of one layer.
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) reasons: Vec<String>,
    pub(super) to_have_it: Option<String>,
}

impl Judged {
    fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, reasons: [reason.into()].into(), to_have_it: None }
    }

    fn had_by(mut self, text: Option<&str>) -> Self {
        self.to_have_it = text.map(ToString::to_string);
        self
    }
}

/// Whether a layer is possible, technically and then politically.
pub(super) fn judge(facts: &Facts, layer: Layer) -> Judged {
    let mut judged = match layer {
        Layer::Mac | Layer::Arp => segment(facts, layer),
        Layer::Route => route(facts),
        Layer::Dns => dns(facts),
        Layer::Knowledge => knowledge(facts),
    };
    if let Some(by) = facts.not_permitted.get(&layer)
        && judged.verdict != Verdict::NotPossible
    {
        judged.verdict = Verdict::NotPermitted { by: by.clone() };
    }
    judged
}

/// Of each family one address is enough whose network all nodes share.
fn segment(facts: &Facts, layer: Layer) -> Judged {
    let nodes = facts.names_of_nodes();
    let found = together(facts, &nodes);
    let all: Vec<_> = nodes.into_iter().collect();
    let unused = !facts.used().contains(&layer);
    let hint = match layer {
        Layer::Mac => "addresses = [{ ip = \"…\", prefix = …, layers = [\"mac\"] }]",
        Layer::Arp | Layer::Route | Layer::Dns | Layer::Knowledge => {
            "addresses = [{ ip = \"…\", prefix = … }], one that all nodes may have"
        }
    };
    match found {
        Together::Yes => {
            let reason = format!("{} hear each other on one segment", listed(&all));
            Judged::new(Verdict::Possible, reason).had_by(unused.then_some(hint))
        }
        Together::No(who) => {
            let reason = format!("{who}: they are on different segments");
            Judged::new(Verdict::NotPossible, reason)
        }
        Together::Unknown(why) => {
            let reason = format!("whether the nodes are on one segment is not known: {why}");
            Judged::new(Verdict::Unknown, reason).had_by(unused.then_some(hint))
        }
    }
}

/// Of the families the one with less, of the addresses of each the one with more.
fn together(facts: &Facts, nodes: &BTreeSet<String>) -> Together {
    let families = [true, false].map(|v4| {
        let family = facts.addresses.iter().filter(|it| it.ip.is_ipv4() == v4);
        family.map(|it| join(it, nodes)).min_by_key(hopeless)
    });
    let less = families.into_iter().flatten().max_by_key(hopeless);
    less.unwrap_or_else(|| Together::Unknown("the service has no address".to_string()))
}

const fn hopeless(together: &Together) -> u8 {
    match together {
        Together::Yes => 0,
        Together::Unknown(_) => 1,
        Together::No(_) => 2,
    }
}

/// Whether nodes are on one segment, where an address lives.
pub(super) fn join(address: &AddressFacts, nodes: &BTreeSet<String>) -> Together {
    match address.segments.value() {
        Some(segments) => segments.join(nodes),
        None => Together::Unknown(address.segments.why().to_string()),
    }
}

fn route(facts: &Facts) -> Judged {
    let mut without = Vec::new();
    let mut unknown: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut troubles = Vec::new();
    let mut daemons = BTreeSet::new();
    for node in &facts.nodes {
        match node.routing.value() {
            Some(it) if it.sessions.is_empty() => {
                without.push(format!("on {} {} has no session", node.name, it.daemon));
            }
            Some(it) => {
                daemons.insert(it.daemon.clone());
                troubles.extend(it.troubles.iter().map(|why| format!("{}: {why}", node.name)));
            }
            None => unknown.entry(node.routing.why()).or_default().push(node.name.as_str()),
        }
    }
    let hint = "[redirect] routing = \"bird\" (or \"frr\"), and layers = [\"route\"] of an address";
    let hint = (!facts.used().contains(&Layer::Route)).then_some(hint);
    let (verdict, first) = if !without.is_empty() {
        (Verdict::NotPossible, without.join("; "))
    } else if !unknown.is_empty() {
        let missing = "a routing daemon (BIRD or FRR) with a session to a router on each node";
        let of = unknown.iter().map(|(why, nodes)| format!("{}: {why}", listed(nodes)));
        let of: Vec<_> = of.collect();
        (Verdict::Unknown, format!("missing: {missing}; {}", of.join("; ")))
    } else {
        let daemons: Vec<_> = daemons.into_iter().collect();
        (Verdict::Possible, format!("{} has sessions on every node", listed(&daemons)))
    };
    let mut judged = Judged::new(verdict, first).had_by(hint);
    judged.reasons.extend(troubles);
    judged
}

fn dns(facts: &Facts) -> Judged {
    if facts.names.is_empty() {
        let missing = "missing: a zone that takes updates, and a name of the service in it";
        let hint = "[zones.NAME] with domain, servers and key, and names = [\"…\"] of the service";
        return Judged::new(Verdict::Unknown, missing).had_by(Some(hint));
    }
    let silent = facts.servers.iter().filter(|it| it.answers.value().is_none());
    let silent: Vec<_> =
        silent.map(|it| format!("name server {}: {}", it.at, it.answers.why())).collect();
    let answers = facts.servers.iter().filter(|it| it.answers.value().is_some()).count();
    let same = facts.names.iter().all(|it| !it.differs);
    let hint = "give each node an address of its own (on = [\"NODE\"]), or the name an alias \
                with {node}";
    let hint = same.then_some(hint);
    if answers == 0 {
        let reason = "no server of its zone answers with authority";
        let mut judged = Judged::new(Verdict::Unknown, reason).had_by(hint);
        judged.reasons.extend(silent);
        return judged;
    }
    let servers = if answers == 1 { "1 name server answers" } else { "its name servers answer" };
    let mut judged = Judged::new(Verdict::Possible, format!("{servers} with authority"));
    judged.reasons.extend(silent);
    if same {
        let reason = "as configured its name says the same on every node, and leads nobody away";
        judged.reasons.push(reason.to_string());
    }
    judged.had_by(hint)
}

fn knowledge(facts: &Facts) -> Judged {
    let reason = match facts.documents {
        Some(port) => format!("every node says on port {port} where services are"),
        None => "every node could say where services are".to_string(),
    };
    let hint = "[redirect] documents = 7420, and `stead client` on the clients' machines";
    let mut judged =
        Judged::new(Verdict::Possible, reason).had_by(facts.documents.is_none().then_some(hint));
    let who =
        "it reaches only clients whose machines run `stead client`, or that ask by themselves";
    judged.reasons.push(who.to_string());
    judged
}

/// Whether a layer leads clients from any node to any other, as it is configured now and as far as
/// that is known.
pub(super) fn leads(facts: &Facts, layer: Layer) -> bool {
    let nodes = facts.names_of_nodes();
    let moving = || facts.addresses.iter().filter(|it| it.nodes == nodes);
    match layer {
        Layer::Mac | Layer::Arp => moving()
            .filter(|it| it.layers.contains(&layer))
            .any(|it| !matches!(join(it, &nodes), Together::No(_))),
        Layer::Route => moving().any(|it| it.layers.contains(&Layer::Route)),
        Layer::Dns => facts.names.iter().any(|it| it.differs),
        Layer::Knowledge => {
            facts.documents.is_some() && facts.addresses.iter().any(|it| it.nodes != nodes)
        }
    }
}

/// What a layer brings along.
pub(super) fn effects(facts: &Facts, layer: Layer) -> Vec<String> {
    let count = facts.addresses.len();
    let nodes = facts.nodes.len();
    match layer {
        Layer::Mac => [format!(
            "one MAC out of the cluster's register, for {}; the cards keep theirs",
            counted(count, "address", "addresses")
        )]
        .into(),
        Layer::Arp => {
            [format!("{} beside the nodes' own; no MAC", counted(count, "address", "addresses"))]
                .into()
        }
        Layer::Route => routed(facts),
        Layer::Dns => {
            let names = counted(facts.names.len().max(1), "name", "names");
            [format!("{names}; each node needs an address of its own: {nodes} in all")].into()
        }
        Layer::Knowledge => [format!(
            "one signed document on {}; a program on each client's machine",
            counted(nodes, "node", "nodes")
        )]
        .into(),
    }
}

fn routed(facts: &Facts) -> Vec<String> {
    let prefixes: BTreeSet<_> =
        facts.addresses.iter().map(|it| it.prefix.unwrap_or_else(|| Prefix::host(it.ip))).collect();
    let whole = |it: &&Prefix| **it != Prefix::host(it.network);
    let hosts = prefixes.len() - prefixes.iter().filter(whole).count();
    let mut effects = Vec::new();
    if hosts > 0 {
        effects.push(format!("{} in the routers", counted(hosts, "host route", "host routes")));
    }
    for prefix in prefixes.iter().filter(whole) {
        effects.push(format!("{prefix} moves as a whole: {} addresses", prefix.addresses()));
    }
    let along: BTreeSet<_> = facts.addresses.iter().flat_map(|it| &it.along).collect();
    if !along.is_empty() {
        let along: Vec<_> = along.into_iter().map(ToString::to_string).collect();
        effects.push(format!("along with it, in the same prefix: {}", listed(&along)));
    }
    for prefix in &prefixes {
        let least = if prefix.network.is_ipv4() { 24 } else { 48 };
        if is_public(prefix.network) && prefix.length > least {
            effects.push(format!(
                "{prefix} is public: networks of others take no prefix longer than /{least}; \
                 beyond your own routers a whole one moves at once{} (`prefixes` in [redirect])",
                if prefix.network.is_ipv4() { ", 256 addresses" } else { "" }
            ));
        }
    }
    effects
}

/// Whether an address is routed in the Internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => {
            let [a, b, ..] = it.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let own = it.is_private() || it.is_loopback() || it.is_link_local() || shared;
            !own && !it.is_documentation() && !it.is_multicast() && !it.is_unspecified()
        }
        IpAddr::V6(it) => {
            let [a, b, ..] = it.segments();
            a & 0xe000 == 0x2000 && (a, b) != (0x2001, 0xdb8)
        }
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}
