//! What `apply` would change, in the operator's words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use stead_core::state::config::{
    Config, HookConfig, LinkConfig, Look, Monitor, NetworkConfig, NodeConfig, Probe, Program,
    QuorumConfig, ServiceAddress, ServiceConfig, ServiceMore,
};
use stead_core::time::Span;

use super::duration::say;
use super::{expect_words, fence_words, parts, redirect, rule_words};

/// So that nodes hear each other if the rest is wrong.
const ONE_STAYS: &str = "every member has to keep one link as it is: change one link at a time";
const LEAVE_FIRST: &str = "it is a member and has a vote: `stead leave` first, then apply";

/// Whether a change can be made while the cluster runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "live", rename_all = "kebab-case")]
pub enum Live {
    /// It can.
    Yes,
    /// It can if the node isn't a member: it has left, or never joined.
    UnlessMember {
        /// The node.
        node: String,
        /// Why it can't be made while the node is a member, and what to do.
        reason: &'static str,
    },
    /// This version can't.
    No {
        /// Why not.
        reason: &'static str,
    },
}

/// One change between two configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What changes, in words.
    pub what: String,
    /// Whether it can be made while the cluster runs.
    #[serde(flatten)]
    pub live: Live,
}

impl Difference {
    /// Why this change can't be made now, if so. `is_member` tells who is a member now.
    pub fn refusal(&self, is_member: impl FnOnce(&str) -> bool) -> Option<&'static str> {
        match &self.live {
            Live::Yes => None,
            Live::UnlessMember { node, reason } => is_member(node).then_some(*reason),
            Live::No { reason } => Some(reason),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Everything that applying `new` would change where `old` is in force: the cluster's own values,
/// then links, nodes, services and networks, each kind by name, what breaks ties and fences,
/// rules of placement, and what is expected of them. Empty if nothing would change.
#[must_use]
pub fn differences(old: &Config, new: &Config) -> Vec<Difference> {
    let mut changes = Changes::default();
    changes.value("name of the cluster", &old.name, &new.name);
    changes.span("ride-out", old.ride_out, new.ride_out);
    changes.span("round-trip", old.round_trip, new.round_trip);
    changes.span("daemon-grace", old.daemon_grace, new.daemon_grace);
    let both = old.nodes.keys().filter(|name| new.nodes.contains_key(*name));
    let uprooted: BTreeSet<&str> =
        both.map(String::as_str).filter(|name| !keeps_a_link(old, new, name)).collect();
    for (name, pair) in pairs(&old.links, &new.links) {
        changes.link(name, pair, uprooted.is_empty());
    }
    for (name, pair) in pairs(&old.nodes, &new.nodes) {
        let stays = |link: &str| old.links.contains_key(link) && new.links.contains_key(link);
        changes.node(name, pair, stays, !uprooted.contains(name.as_str()));
    }
    for (name, pair) in pairs(&old.services, &new.services) {
        let both = matches!(pair, Pair::Both(..));
        changes.service(&name.0, pair);
        if both {
            let parts = parts::changes(&name.0, old.resources(name), new.resources(name));
            parts.into_iter().for_each(|what| changes.live(what));
            if old.copies(name) != new.copies(name) {
                changes.live(format!("service {}: its copies changed; they restart", name.0));
            }
            let usual = ServiceMore::default();
            let monitor = |it: &'_ Config| it.services.get(name).and_then(|it| it.monitor.clone());
            let (was, is) = (monitor(old), monitor(new));
            let [old, new] = [old, new].map(|it| it.more_of(name).unwrap_or(&usual));
            changes.monitor(&name.0, (was.as_ref(), &old.look), (is.as_ref(), &new.look));
            changes.more(&name.0, old, new);
        }
    }
    for (name, pair) in pairs(&old.more.networks, &new.more.networks) {
        changes.network(name, pair);
    }
    changes.satellites(old, new);
    changes.quorum(&old.later.quorum, &new.later.quorum);
    let fencing = fence_words::changes(&old.later.fencing, &new.later.fencing);
    fencing.into_iter().for_each(|what| changes.live(what));
    rule_words::changes(old, new).into_iter().for_each(|what| changes.live(what));
    redirect::changes(old, new).into_iter().for_each(|what| changes.live(what));
    expect_words::changes(old, new).into_iter().for_each(|what| changes.live(what));
    changes.0
}

/// Whether a node has a link whose port and whose address there stay as they are.
fn keeps_a_link(old: &Config, new: &Config, name: &str) -> bool {
    let place = |config: &Config, link: &str| {
        let address = *config.nodes.get(name)?.addresses.get(link)?;
        Some((address, config.links.get(link)?.port))
    };
    old.links.keys().any(|link| place(old, link).is_some_and(|it| place(new, link) == Some(it)))
}

/// An entry of two maps: in the old one only, in the new one only, or in both.
enum Pair<'a, T> {
    Removed,
    Added(&'a T),
    Both(&'a T, &'a T),
}

fn pairs<'a, K: Ord, T>(
    old: &'a BTreeMap<K, T>,
    new: &'a BTreeMap<K, T>,
) -> impl Iterator<Item = (&'a K, Pair<'a, T>)> {
    let names: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    names.into_iter().filter_map(|name| match (old.get(name), new.get(name)) {
        (Some(old), Some(new)) => Some((name, Pair::Both(old, new))),
        (Some(_), None) => Some((name, Pair::Removed)),
        (None, Some(new)) => Some((name, Pair::Added(new))),
        (None, None) => None,
    })
}

#[derive(Default)]
struct Changes(Vec<Difference>);

impl Changes {
    fn live(&mut self, what: String) {
        self.0.push(Difference { what, live: Live::Yes });
    }

    /// A change that can be made only if every member keeps a link as it is.
    fn of_links(&mut self, what: String, kept: bool) {
        let live = if kept { Live::Yes } else { Live::No { reason: ONE_STAYS } };
        self.0.push(Difference { what, live });
    }

    fn member(&mut self, what: String, node: &str, reason: &'static str) {
        self.0
            .push(Difference { what, live: Live::UnlessMember { node: node.to_owned(), reason } });
    }

    fn value(&mut self, what: &str, old: &str, new: &str) {
        if old != new {
            self.live(format!("{what}: {old} -> {new}"));
        }
    }

    fn span(&mut self, what: &str, old: Span, new: Span) {
        self.value(what, &say(old), &say(new));
    }

    fn link(&mut self, name: &str, pair: Pair<'_, LinkConfig>, kept: bool) {
        match pair {
            Pair::Removed => self.of_links(format!("link {name}: removed"), kept),
            Pair::Added(new) => self.live(format!("link {name}: added, port {}", new.port)),
            Pair::Both(old, new) if old.port != new.port => {
                let what = format!("link {name}: port {} -> {}", old.port, new.port);
                self.of_links(what, kept);
            }
            Pair::Both(..) => {}
        }
    }

    /// Of a link that comes or goes, the change of the link says enough: `stays` tells the others.
    fn node(
        &mut self,
        name: &str,
        pair: Pair<'_, NodeConfig>,
        stays: impl Fn(&str) -> bool,
        kept: bool,
    ) {
        let (old, new) = match pair {
            Pair::Removed => {
                return self.member(format!("node {name}: removed"), name, LEAVE_FIRST);
            }
            Pair::Added(new) => {
                let addresses: Vec<_> =
                    new.addresses.iter().map(|(link, ip)| format!("{ip} on {link}")).collect();
                return self
                    .live(format!("node {name}: added, {}; it may join", addresses.join(", ")));
            }
            Pair::Both(old, new) => (old, new),
        };
        let site = |node: &NodeConfig| node.site.clone().unwrap_or_else(|| "none".to_owned());
        self.value(&format!("node {name}: site"), &site(old), &site(new));
        let addresses = pairs(&old.addresses, &new.addresses);
        for (link, pair) in addresses.filter(|(link, _)| stays(link)) {
            let what = match pair {
                Pair::Both(old, new) if old == new => continue,
                Pair::Both(old, new) => format!("node {name}: on link {link} {old} -> {new}"),
                Pair::Removed => format!("node {name}: no longer on link {link}"),
                Pair::Added(ip) => format!("node {name}: {ip} on link {link}"),
            };
            if kept {
                self.live(what);
            } else {
                self.member(what, name, ONE_STAYS);
            }
        }
    }

    fn service(&mut self, name: &str, pair: Pair<'_, ServiceConfig>) {
        let (old, new) = match pair {
            Pair::Removed => {
                return self.live(format!("service {name}: removed; it stops everywhere"));
            }
            Pair::Added(new) => {
                let addresses: Vec<_> = new.addresses.iter().map(address).collect();
                return self.live(format!("service {name}: added, {}", addresses.join(", ")));
            }
            Pair::Both(old, new) => (old, new),
        };
        self.addresses(name, &old.addresses, &new.addresses);
        self.program(name, old.program.as_ref(), new.program.as_ref());
        let prefer = |service: &ServiceConfig| match service.prefer.as_slice() {
            [] => "any node".to_owned(),
            nodes => nodes.join(", "),
        };
        self.value(&format!("service {name}: prefers"), &prefer(old), &prefer(new));
        let yes = |truth: bool| if truth { "yes" } else { "no" };
        self.value(&format!("service {name}: failback"), yes(old.failback), yes(new.failback));
    }

    /// What a service has beside its program, addresses and wishes.
    fn more(&mut self, name: &str, old: &ServiceMore, new: &ServiceMore) {
        let needs = |more: &ServiceMore| match more.needs.iter().collect::<Vec<_>>()[..] {
            [] => "nothing".to_owned(),
            ref all => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        self.value(&format!("service {name}: needs"), &needs(old), &needs(new));
        let importance = |more: &ServiceMore| more.importance.to_string();
        self.value(&format!("service {name}: importance"), &importance(old), &importance(new));
        let hook = |hook: &Option<HookConfig>| match hook {
            Some(hook) => format!("{} for {} at most", command(&hook.command), say(hook.timeout)),
            None => "nothing".to_owned(),
        };
        for (key, old, new) in [
            ("takeover", &old.hooks.takeover, &new.hooks.takeover),
            ("release", &old.hooks.release, &new.hooks.release),
        ] {
            self.value(&format!("service {name}: {key} hook runs"), &hook(old), &hook(new));
        }
    }

    fn satellites(&mut self, old: &Config, new: &Config) {
        let is = |config: &Config, name: &String| config.later.satellites.contains(name);
        for name in new.nodes.keys() {
            match (old.nodes.contains_key(name) && is(old, name), is(new, name)) {
                (false, true) => self.live(format!("node {name}: a satellite, without a vote")),
                (true, false) => self.live(format!("node {name}: no satellite any more, it votes")),
                (true, true) | (false, false) => {}
            }
        }
    }

    fn quorum(&mut self, old: &QuorumConfig, new: &QuorumConfig) {
        let chain = |quorum: &QuorumConfig| {
            let modules = quorum.chain.modules().iter().map(|module| module.name());
            modules.collect::<Vec<_>>().join(", ")
        };
        self.value("quorum: chain", &chain(old), &chain(new));
        let exec = |quorum: &QuorumConfig| match &quorum.exec {
            Some(exec) => format!("{} for {} at most", exec.command.join(" "), say(exec.timeout)),
            None => "nothing".to_owned(),
        };
        self.value("quorum: exec runs", &exec(old), &exec(new));
        let handicap = |quorum: &QuorumConfig| {
            quorum.handicap.map_or_else(|| "as long as a question takes".to_owned(), say)
        };
        self.value("quorum: handicap", &handicap(old), &handicap(new));
    }

    fn network(&mut self, name: &str, pair: Pair<'_, NetworkConfig>) {
        let (old, new) = match pair {
            Pair::Removed => {
                return self.live(format!(
                    "network {name}: removed; nobody is asked whether it works any more"
                ));
            }
            Pair::Added(new) => {
                return self.live(format!(
                    "network {name}: added, {}, asks {}",
                    place(new),
                    points(new)
                ));
            }
            Pair::Both(old, new) => (old, new),
        };
        self.value(&format!("network {name}: prefix"), &place(old), &place(new));
        self.value(&format!("network {name}: asks"), &points(old), &points(new));
        let own = |network: &NetworkConfig| network.interface.clone();
        let interface = |network| own(network).unwrap_or_else(|| "found by itself".to_owned());
        let what = format!("network {name}: interface");
        self.value(&what, &interface(old), &interface(new));
    }

    fn addresses(&mut self, name: &str, old: &[ServiceAddress], new: &[ServiceAddress]) {
        for gone in old.iter().filter(|address| !new.contains(address)) {
            match new.iter().find(|address| address.ip == gone.ip) {
                Some(now) => {
                    let (gone, now) = (address(gone), address(now));
                    self.live(format!("service {name}: address {gone} -> {now}"));
                }
                None => self.live(format!("service {name}: address {} removed", address(gone))),
            }
        }
        for added in new.iter().filter(|address| !old.iter().any(|old| old.ip == address.ip)) {
            self.live(format!("service {name}: address {} added", address(added)));
        }
    }

    fn program(&mut self, name: &str, old: Option<&Program>, new: Option<&Program>) {
        match (old, new) {
            (None, None) => {}
            (None, Some(new)) => {
                let command = command(&new.command);
                self.live(format!("service {name}: program added, {command}; it starts"));
            }
            (Some(_), None) => self.live(format!("service {name}: program removed; it stops")),
            (Some(old), Some(new)) => {
                if old.command != new.command {
                    let (old, new) = (command(&old.command), command(&new.command));
                    self.live(format!("service {name}: program {old} -> {new}; it restarts"));
                }
                let what = format!("service {name}: program's stop-timeout");
                self.span(&what, old.stop_timeout, new.stop_timeout);
            }
        }
    }

    /// What looks whether a service works: a command, or the daemon itself.
    fn monitor(&mut self, name: &str, old: Looking<'_>, new: Looking<'_>) {
        let what = format!("service {name}: monitor");
        match (old, new) {
            ((None, _), (None, _)) => {}
            ((None, _), (Some(_), _)) => self.live(format!("{what} added, {}", looks(new))),
            ((Some(_), _), (None, _)) => self.live(format!("{what} removed")),
            ((Some(was), _), (Some(is), _)) => {
                self.value(&what, &looks(old), &looks(new));
                self.span(&format!("{what}'s interval"), was.interval, is.interval);
                self.span(&format!("{what}'s timeout"), was.timeout, is.timeout);
            }
        }
    }
}

/// How a monitor looks, in words.
/// A monitor, if there is one, and how what it sees is judged.
type Looking<'a> = (Option<&'a Monitor>, &'a Look);

fn looks((monitor, look): Looking<'_>) -> String {
    let asks = match &look.probe {
        None => monitor.map(|monitor| command(&monitor.command)).unwrap_or_default(),
        Some(Probe::Tcp(at)) => format!("a connection to {at}"),
        Some(Probe::Http { host, path, expect, contains, .. }) => {
            let codes: Vec<_> = expect.iter().map(ToString::to_string).collect();
            let codes = if codes.is_empty() { "2xx or 3xx".to_owned() } else { codes.join(" or ") };
            let text = contains.as_ref().map(|it| format!(" with {it:?}")).unwrap_or_default();
            format!("http://{host}{path} for {codes}{text}")
        }
    };
    let slow = look.slower_than.map(|it| format!(" within {}", say(it))).unwrap_or_default();
    let several = match look.failures {
        1 => String::new(),
        count => format!(", {count} failures in a row"),
    };
    format!("{asks}{slow}{several}")
}

fn place(network: &NetworkConfig) -> String {
    format!("{}/{}", network.network, network.prefix)
}

fn points(network: &NetworkConfig) -> String {
    let gateway = network.gateway.then(|| "the gateway".to_owned());
    let addresses = network.addresses.iter().map(ToString::to_string);
    gateway.into_iter().chain(addresses).collect::<Vec<_>>().join(", ")
}

fn address(address: &ServiceAddress) -> String {
    let ServiceAddress { ip, prefix, interface } = address;
    match interface {
        None => format!("{ip}/{prefix}"),
        Some(interface) => format!("{ip}/{prefix} on {interface}"),
    }
}

/// A command on one line; a word is in quotes if it couldn't be told from its neighbours.
pub(super) fn command(words: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty()
            && !word.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"')
    };
    let words: Vec<String> =
        words.iter().map(|w| if plain(w) { w.clone() } else { format!("{w:?}") }).collect();
    words.join(" ")
}
