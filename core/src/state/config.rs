//! What the operator wants, after the text of `cluster.toml` was read and checked.
//!
//! The daemon's reader makes these values; here they are plain data, the same for every member.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

pub use super::devices::{AfterFence, DeviceConfig, FenceAgent, FencingConfig, NodeFencing, Plug};
pub use super::expects::{Expectation, Expected, Fate};
pub use super::prefix::{AddressRange, Prefix};
pub use super::redirect::{
    AddressLayers, Caching, NameConfig, NamedService, RecordKind, RedirectConfig, Routing,
    ZoneConfig,
};
pub use super::rules::{
    During, NodeRules, Place, RulesConfig, SITE, ServiceRules, Strength, TimeConfig,
};
pub use super::safety::{Safety, Stuck};
use crate::id::ServiceId;
use crate::quorum::chain::Chain;
use crate::tail::Tailed;
use crate::time::Span;

/// The whole wanted state of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The label people use for the cluster.
    pub name: String,
    /// How long a stall of network or CPU must be survived without a failover.
    pub ride_out: Span,
    /// The longest round trip expected between two members, spread included.
    pub round_trip: Span,
    /// How long a node whose daemon is away keeps its services.
    pub daemon_grace: Span,
    /// The links that carry heartbeats, by name.
    pub links: BTreeMap<String, LinkConfig>,
    /// The machines, by name.
    pub nodes: BTreeMap<String, NodeConfig>,
    /// What clients use, by name.
    pub services: BTreeMap<ServiceId, ServiceConfig>,
    /// What 0.2 knows nothing of.
    #[serde(skip)]
    pub more: ConfigMore,
    /// What 0.3 knows nothing of.
    #[serde(skip)]
    pub later: ConfigLater,
}

/// What a configuration has in the tail of whatever it stands in. Only members from 0.3 on read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigMore {
    /// Networks that carry services' addresses, and who is asked whether they work, by name.
    pub networks: BTreeMap<String, NetworkConfig>,
}

/// What a configuration has behind that tail. Only members from 0.4 on read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigLater {
    /// What breaks a tie.
    pub quorum: QuorumConfig,
    /// The satellites, by name: machines that serve and have no vote.
    pub satellites: BTreeSet<String>,
    /// What 0.4 knows nothing of.
    #[serde(skip)]
    pub next: ConfigNext,
    /// What 0.5 knows nothing of.
    #[serde(skip)]
    pub fencing: FencingConfig,
}

impl Tailed for ConfigLater {
    type More = ConfigNext;
    type Later = FencingConfig;

    fn more(&self) -> ConfigNext {
        self.next.clone()
    }

    fn later(&self) -> FencingConfig {
        self.fencing.clone()
    }

    fn add(&mut self, more: ConfigNext) {
        self.next = more;
    }

    fn add_later(&mut self, later: FencingConfig) {
        self.fencing = later;
    }
}

/// What a configuration has in the tail of that. Only members from 0.5 on read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigNext {
    /// What services have beside their [`ServiceConfig`]; only those that have any of it.
    pub services: BTreeMap<ServiceId, ServiceMore>,
}

/// What a service has that 0.4 knows nothing of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceMore {
    /// What it consists of, if that is more than one program.
    pub resources: Vec<ResourceConfig>,
    /// The services that must run, wherever, before it starts; in planned stops they stop after it.
    pub needs: BTreeSet<ServiceId>,
    /// Who comes first when many have to be recovered: 1 to 100, the largest first.
    pub importance: u8,
    /// What is run beside it when it comes and goes.
    pub hooks: Hooks,
    /// How its monitor looks and judges, beyond its command.
    pub look: Look,
    /// On which nodes copies of it run, if it has any.
    pub copies: Option<CopiesConfig>,
}

impl Default for ServiceMore {
    fn default() -> Self {
        Self {
            resources: Vec::new(),
            needs: BTreeSet::new(),
            importance: USUAL_IMPORTANCE,
            hooks: Hooks::default(),
            look: Look::default(),
            copies: None,
        }
    }
}

/// How important a service is where the file doesn't say.
pub const USUAL_IMPORTANCE: u8 = 50;

/// What is run when a service comes to a node and when it is given up there in order. Neither can
/// hold the service up for longer than its time, and neither is run when the lease has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// After it works.
    pub takeover: Option<HookConfig>,
    /// Before it is stopped.
    pub release: Option<HookConfig>,
}

/// A command that is run once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookConfig {
    /// The file to run, by its absolute path, and its arguments.
    pub command: Vec<String>,
    /// How long it may take; then it is killed with all that it started.
    pub timeout: Span,
}

/// How a service's monitor looks, and when what it saw counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// What the daemon asks itself; nothing if the monitor is a command.
    pub probe: Option<Probe>,
    /// An answer that takes longer counts as failed.
    pub slower_than: Option<Span>,
    /// How many runs in a row have to fail before the service counts as failed, from 1 on.
    pub failures: u16,
}

impl Default for Look {
    fn default() -> Self {
        Self { probe: None, slower_than: None, failures: 1 }
    }
}

/// A question that a client of the service would ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probe {
    /// Whether a connection is accepted there.
    Tcp(SocketAddr),
    /// What a server of HTTP/1.1 answers to GET.
    Http {
        /// Where it listens.
        at: SocketAddr,
        /// Its name, as the URL has it.
        host: String,
        /// The path and what follows it.
        path: String,
        /// The status codes that are good; none: every one from 200 to 399.
        expect: BTreeSet<u16>,
        /// What has to stand in the answer.
        contains: Option<String>,
    },
}

/// The copies of a service. What can be promoted, and all that it needs, runs with each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiesConfig {
    /// The nodes, by name; all if none.
    pub nodes: Option<BTreeSet<String>>,
    /// The resources that can be promoted, by name.
    pub promotable: BTreeSet<String>,
}

impl CopiesConfig {
    /// Whether that node has a copy.
    #[must_use]
    pub fn is_on(&self, node: &str) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(node))
    }
}

/// One thing of which a service consists: a program, or what an agent looks after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceConfig {
    /// What people call it, within its service.
    pub name: String,
    /// By what it is started, looked after and stopped.
    pub agent: Agent,
    /// The resources of the same service that must work before it starts, and stop after it.
    pub needs: BTreeSet<String>,
    /// How long its operations may take, as far as that is said.
    pub times: ResourceTimes,
    /// How often it is started again where it is before its service goes elsewhere.
    pub restarts: u32,
    /// After how long a time of work without a failure those before count no more.
    pub forget_after: Span,
    /// What makes it safe to start it elsewhere.
    pub safety: Safety,
    /// What its node does when it can't be stopped.
    pub stuck: Stuck,
}

/// By what a resource is started, looked after and stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Agent {
    /// stead itself runs a program that stays in the foreground.
    Process {
        /// The file to run, by its absolute path, and its arguments.
        command: Vec<String>,
        /// A command that ends with status 0 when it works.
        monitor: Option<Vec<String>>,
        /// How it is run, where that is not as usual.
        how: ProcessHow,
    },
    /// An OCF resource agent.
    Ocf {
        /// Whose it is: the folder.
        provider: String,
        /// Its name.
        kind: String,
        /// What it is told (`OCF_RESKEY_*`).
        parameters: BTreeMap<String, String>,
    },
    /// A unit of the node's service manager (systemd).
    Unit {
        /// Its whole name.
        unit: String,
        /// A command that ends with status 0 when it works.
        monitor: Option<Vec<String>>,
    },
    /// A container of an engine on the node.
    Container {
        /// Of which image, as the engine calls it.
        image: String,
        /// What it runs; if nothing, what the image says.
        command: Vec<String>,
        /// A command, beside it on the node, that ends with status 0 when it works.
        monitor: Option<Vec<String>>,
        /// How it is run.
        how: ContainerHow,
    },
}

/// How a container is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerHow {
    /// Where its engine listens; if nothing, where engines usually do.
    pub socket: Option<String>,
    /// What it finds in its environment.
    pub environment: BTreeMap<String, String>,
    /// Files and folders of the node that it sees.
    pub mounts: Vec<MountConfig>,
    /// In which network of the engine's it is; if nothing, in the node's own.
    pub network: Option<String>,
    /// The name of the signal that asks it to end, where the image's is not the right one.
    pub stop_signal: Option<String>,
}

/// A file or folder of the node that a container sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountConfig {
    /// Where it is on the node.
    pub source: String,
    /// Where the container sees it.
    pub target: String,
    /// It can't write there.
    pub read_only: bool,
}

/// How a program is run that stays in the foreground.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessHow {
    /// By what it is known that it has started.
    pub ready: Ready,
    /// As whom it runs; if none, as stead does.
    pub user: Option<String>,
    /// In whose group; if none, in the user's own.
    pub group: Option<String>,
    /// The name of the signal that asks it to end, where it is not SIGTERM.
    pub stop_signal: Option<String>,
}

/// By what it is known of a program that it has started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// Its monitor succeeds; without one, it runs.
    #[default]
    Monitor,
    /// It says so itself (`READY=1`, sd_notify(3)).
    Notify,
    /// It takes connections there.
    Tcp(SocketAddr),
}

/// How long operations may take, where that is not left to the agent or to its kind's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceTimes {
    /// How long a start may take, until the first good monitor.
    pub start: Option<Span>,
    /// How long a stop may take before it is forced.
    pub stop: Option<Span>,
    /// How long one run of the monitor may take; longer counts as failed.
    pub monitor: Option<Span>,
    /// The time between the end of one run of the monitor and the start of the next.
    pub interval: Option<Span>,
}

/// Who decides which half goes on when exactly half of the voters are present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumConfig {
    /// The modules, in the order in which they are asked.
    pub chain: Chain,
    /// What module `exec` runs.
    pub exec: Option<ExecConfig>,
    /// How long the half with fewer services lets the other one ask first; if none, as long as a
    /// question to the register takes.
    pub handicap: Option<Span>,
}

/// A program that asks a register for a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecConfig {
    /// The file to run, by its absolute path, and its arguments.
    pub command: Vec<String>,
    /// How long one run may take; then it is killed, and counts as no answer.
    pub timeout: Span,
}

/// A network that carries services' addresses, and its reference points: machines on it that are no
/// nodes. A node that has no answers from them while others have sees that network fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// Its address, host bits zero.
    pub network: IpAddr,
    /// The length of its prefix.
    pub prefix: u8,
    /// The interface by which nodes reach it; if none, one with an address of its own there.
    pub interface: Option<String>,
    /// The next hops of each node's own routes there are asked.
    pub gateway: bool,
    /// These addresses are asked.
    pub addresses: Vec<IpAddr>,
}

impl NetworkConfig {
    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Prefix { network: self.network, length: self.prefix }.contains(address)
    }
}

impl Config {
    /// What a service has beside its [`ServiceConfig`], if it has any of it.
    #[must_use]
    pub fn more_of(&self, service: &ServiceId) -> Option<&ServiceMore> {
        self.later.next.services.get(service)
    }

    /// What makes it safe to start a service elsewhere: the strictest that one of its resources
    /// asks for.
    #[must_use]
    pub fn safety(&self, service: &ServiceId) -> Safety {
        self.resources(service).iter().map(|it| it.safety).max().unwrap_or_default()
    }

    /// What a service consists of, if it is more than one program.
    #[must_use]
    pub fn resources(&self, service: &ServiceId) -> &[ResourceConfig] {
        self.more_of(service).map_or(&[], |more| &more.resources)
    }

    /// The services that must run before that one starts.
    pub fn needs(&self, service: &ServiceId) -> impl Iterator<Item = &ServiceId> {
        self.more_of(service).into_iter().flat_map(|more| &more.needs)
    }

    /// The services that need that one.
    pub fn needed_by(&self, service: &ServiceId) -> impl Iterator<Item = &ServiceId> {
        let needing = move |(_, more): &(&ServiceId, &ServiceMore)| more.needs.contains(service);
        self.later.next.services.iter().filter(needing).map(|(name, _)| name)
    }

    /// Whether it has to be told that the service works: another waits for that, or it waits for
    /// others itself, so that its being assigned says little.
    #[must_use]
    pub fn waits_or_is_waited_for(&self, service: &ServiceId) -> bool {
        self.needs(service).next().is_some() || self.needed_by(service).next().is_some()
    }

    /// How important that service is: the more the larger, from 1 to 100.
    #[must_use]
    pub fn importance(&self, service: &ServiceId) -> u8 {
        self.more_of(service).map_or(USUAL_IMPORTANCE, |more| more.importance)
    }

    /// Whether anybody looks whether that service works: a monitor of the whole, or agents of its
    /// parts.
    #[must_use]
    pub fn is_monitored(&self, service: &ServiceId) -> bool {
        let alone = self.services.get(service).is_some_and(|it| it.monitor.is_some());
        alone || !self.resources(service).is_empty()
    }
}

/// One link: a network on which every node has an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkConfig {
    /// The port of heartbeats (UDP) and of connections between daemons (TCP).
    pub port: u16,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeConfig {
    /// Where it stands.
    pub site: Option<String>,
    /// Its address on each link, by the link's name.
    pub addresses: BTreeMap<String, IpAddr>,
}

/// One service: addresses and, if it has one, the program behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceConfig {
    /// The addresses that clients use.
    pub addresses: Vec<ServiceAddress>,
    /// What to run where the addresses are.
    pub program: Option<Program>,
    /// How to tell whether the service works.
    pub monitor: Option<Monitor>,
    /// The nodes it would rather run on, best first; others serve when these can't.
    pub prefer: Vec<String>,
    /// Whether it goes back to a better node of `prefer` when one returns.
    pub failback: bool,
}

/// An address that moves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceAddress {
    /// The address.
    pub ip: IpAddr,
    /// The length of its network's prefix.
    pub prefix: u8,
    /// The interface; if none, the one whose own network contains the address.
    pub interface: Option<String>,
}

/// A program and its arguments. It never passes through a shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The file to run, by its absolute path, and its arguments.
    pub command: Vec<String>,
    /// How long it may take to end after SIGTERM before it is killed.
    pub stop_timeout: Span,
}

/// A command that ends with status 0 when the service works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// The file to run, by its absolute path, and its arguments.
    pub command: Vec<String>,
    /// The time between the end of one run and the start of the next.
    pub interval: Span,
    /// How long one run may take; longer counts as failed.
    pub timeout: Span,
}
