//! What a world begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use stead_core::id::ServiceId;
use stead_core::quorum::chain::{Chain, Module};
use stead_core::state::config::{
    Agent, Config, ConfigLater, ConfigMore, ConfigNext, CopiesConfig, DeviceConfig, FenceAgent,
    FencingConfig, NetworkConfig, NodeConfig, NodeFencing, NodeRules, Plug, Program, QuorumConfig,
    ResourceConfig, ResourceTimes, RulesConfig, Safety, ServiceAddress, ServiceConfig, ServiceMore,
    ServiceRules, Strength, Stuck,
};
use stead_core::time::Span;

use crate::parts::Parts;
use crate::world::Dogs;

/// The names of the machines, in order.
pub const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

/// What of a service with copies can be promoted.
pub(crate) const COPIED: &str = "db";

/// The gates of a world's kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gates {
    /// A timeout counted from its arming (nftables): what the shipping guard uses.
    Relative,
    /// A deadline on the node's clock (eBPF).
    Absolute,
    /// Every second machine has the other.
    Both,
}

/// A cluster and the conditions that it lives under. Every time is in microseconds of [`Span`].
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// How many machines there are, at most [`NAMES`].
    pub nodes: usize,
    /// How many of them are members at the start.
    pub members: usize,
    /// How many of the machines, the last ones, are satellites.
    pub satellites: usize,
    /// How many services; every second one has a program, unless it consists of resources.
    pub services: usize,
    /// The services with a program look after something that no lease's end undoes.
    pub fenced: bool,
    /// Every machine has a fence device.
    pub devices: bool,
    /// A half of the voters goes on once it has had the rest switched off.
    pub fence_ties: bool,
    /// How many networks carry heartbeats.
    pub links: usize,
    /// How many reference points the services' segment has; none: it is not watched.
    pub points: usize,
    /// The machine that all services prefer, and go back to, if there is one.
    pub failback: Option<usize>,
    /// How much memory each machine has, of which services use from one to three; none: rules of
    /// placement say nothing.
    pub room: u64,
    /// Whether each service but the first needs the one before it.
    pub needs: bool,
    /// Whether a quorum server breaks ties.
    pub register: bool,
    /// Whether the services that have a program have copies of it everywhere.
    pub copies: bool,
    /// Whether machines have watchdogs that are relied on, and by what those count.
    pub watchdogs: Option<Dogs>,
    /// The ride-out, R.
    pub ride_out: Span,
    /// The round trip that the timers allow for.
    pub round_trip: Span,
    /// How long a node whose daemon is away keeps its services.
    pub grace: Span,
    /// Clocks at the bound, slow hands and networks that lose, delay, double and replay.
    pub rough: bool,
    /// What the kernels enforce leases by.
    pub gates: Gates,
    /// How far behind a member is sent a snapshot instead of entries.
    pub snapshot_gap: usize,
    /// How much of what was committed a daemon that starts has yet to apply at least, as its
    /// snapshot does not have it.
    pub start_behind: usize,
    /// The time between two questions of a client.
    pub probe: Span,
    /// The services that consist of several resources.
    pub parts: Parts,
}

impl Plan {
    /// A quiet cluster at the defaults.
    #[must_use]
    pub fn calm(nodes: usize, services: usize) -> Self {
        Self {
            seed: 1,
            nodes,
            members: nodes,
            satellites: 0,
            services,
            fenced: false,
            devices: false,
            fence_ties: false,
            links: 1,
            points: 0,
            failback: None,
            room: 0,
            needs: false,
            register: false,
            copies: false,
            watchdogs: None,
            ride_out: Span::from_millis(300),
            round_trip: Span::from_millis(1),
            grace: Span::from_millis(10_000),
            rough: false,
            gates: Gates::Relative,
            snapshot_gap: 50,
            start_behind: 0,
            probe: Span::from_millis(1),
            parts: Parts::default(),
        }
    }

    /// The wanted state of the cluster.
    #[must_use]
    pub fn config(&self) -> Config {
        let one = |number: usize| ServiceConfig {
            addresses: vec![ServiceAddress { ip: address(number), prefix: 24, interface: None }],
            program: (number % 2 == 1 && !self.parts.services.contains_key(&number)).then(|| {
                Program {
                    command: vec!["/bin/service".into()],
                    stop_timeout: Span::from_millis(1_000),
                }
            }),
            monitor: None,
            prefer: self.failback.map(|machine| NAMES[machine].into()).into_iter().collect(),
            failback: self.failback.is_some(),
        };
        let nodes = NAMES.iter().take(self.nodes).map(|name| {
            ((*name).to_string(), NodeConfig { site: None, addresses: BTreeMap::new() })
        });
        Config {
            name: "trial".into(),
            ride_out: self.ride_out,
            round_trip: self.round_trip,
            daemon_grace: self.grace,
            links: BTreeMap::new(),
            nodes: nodes.collect(),
            services: (0..self.services).map(|number| (service(number), one(number))).collect(),
            more: ConfigMore { networks: self.networks() },
            later: ConfigLater {
                quorum: self.quorum(),
                satellites: self.satellites(),
                next: self.more(),
                fencing: self.fencing(),
            },
        }
    }
}

impl Plan {
    /// Whether that machine is a satellite at the start.
    #[must_use]
    pub fn is_satellite(&self, machine: usize) -> bool {
        machine + self.satellites >= self.nodes
    }

    /// For how long a process is not run: where machines have watchdogs so long that these have
    /// their time.
    #[must_use]
    pub fn freeze(&self, pause: u64) -> u64 {
        if self.watchdogs.is_some() { pause * 4 } else { pause }
    }

    /// What services consist of, which needs which, and which have copies. Where there are bound
    /// ones, those with a program have something that stays where it was until its machine is off.
    fn more(&self) -> ConfigNext {
        let mut all = if self.fenced { self.bound() } else { self.parts.config() };
        for number in (0..self.services).filter(|_| self.room > 0) {
            let more = all.services.entry(service(number)).or_default();
            more.importance = 20 + 15 * (number as u8 % 4);
        }
        for number in (1..self.services).filter(|_| self.needs) {
            let more = all.services.entry(service(number)).or_default();
            more.needs = [service(number - 1)].into();
        }
        for number in (0..self.services).filter(|number| self.is_copied(*number)) {
            let promotable = [COPIED.to_string()].into();
            let more = all.services.entry(service(number)).or_default();
            more.copies = Some(CopiesConfig { nodes: None, promotable });
        }
        all
    }

    /// Whether each machine has a copy of that service.
    fn is_copied(&self, number: usize) -> bool {
        self.copies && number % 2 == 1 && !self.parts.services.contains_key(&number)
    }

    fn bound(&self) -> ConfigNext {
        let mount = ResourceConfig {
            name: "mount".into(),
            agent: Agent::Process {
                command: vec!["/bin/service".into()],
                monitor: None,
                how: Default::default(),
            },
            needs: BTreeSet::new(),
            times: ResourceTimes::default(),
            restarts: 0,
            forget_after: Span::from_millis(600_000),
            safety: Safety::Fence,
            stuck: Stuck::Wait,
        };
        let more = ServiceMore { resources: vec![mount], ..ServiceMore::default() };
        let fenced = (0..self.services).filter(|number| number % 2 == 1);
        let services = fenced.map(|number| (service(number), more.clone())).collect();
        ConfigNext { services }
    }

    fn satellites(&self) -> BTreeSet<String> {
        let all = (0..self.nodes).filter(|machine| self.is_satellite(*machine));
        all.map(|machine| NAMES[machine].to_string()).collect()
    }

    /// Who breaks ties.
    fn quorum(&self) -> QuorumConfig {
        let register = self.register.then_some(Module::QuorumServer);
        let fence = self.fence_ties.then_some(Module::Fence);
        let modules = [Module::Majority].into_iter().chain(register).chain(fence).collect();
        QuorumConfig { chain: Chain::new(modules).unwrap_or_default(), ..QuorumConfig::default() }
    }

    /// How machines are switched off, and whose watchdogs are relied on.
    fn fencing(&self) -> FencingConfig {
        if !self.devices && self.watchdogs.is_none() {
            return FencingConfig { rules: self.rules(), ..FencingConfig::default() };
        }
        let agent = FenceAgent::Exec { command: vec!["/bin/fence".into()] };
        let device = DeviceConfig { agent, timeout: Span::from_millis(20_000), retries: 0 };
        let devices = [("power".to_string(), device)].into_iter().filter(|_| self.devices);
        let node = |name: &&str| {
            let plug = Plug { device: "power".into(), plug: Some((*name).to_string()) };
            let levels = if self.devices { vec![vec![plug]] } else { Vec::new() };
            let watchdog = self.watchdogs.is_some();
            ((*name).to_string(), NodeFencing { levels, watchdog, ..NodeFencing::default() })
        };
        let nodes = NAMES.iter().take(self.nodes).map(node).collect();
        FencingConfig { devices: devices.collect(), nodes, rules: self.rules() }
    }

    /// How much there is of each machine beside the copies, which nothing moves, and who goes where:
    /// the first two services are apart, the third goes together with the first, and each counts for
    /// another amount.
    fn rules(&self) -> RulesConfig {
        if self.room == 0 {
            return RulesConfig::default();
        }
        let memory = |amount| [("memory".to_string(), amount)].into();
        let uses = |number: usize| 1 + number as u64 % 3;
        let copies = (0..self.services).filter(|number| self.is_copied(*number)).map(uses);
        let room = self.room + copies.sum::<u64>();
        let node = |name: &&str| {
            let rules = NodeRules { labels: BTreeMap::new(), capacity: memory(room) };
            ((*name).to_string(), rules)
        };
        let rules = |number: usize| {
            let uses = memory(uses(number));
            let mut rules = ServiceRules { uses, ..ServiceRules::default() };
            match number {
                1 => drop(rules.apart.insert(service(0), Strength::Must)),
                2 => drop(rules.together.insert(service(0), Strength::Must)),
                _ => {}
            }
            (service(number), rules)
        };
        RulesConfig {
            nodes: NAMES.iter().take(self.nodes).map(node).collect(),
            services: (0..self.services).map(rules).collect(),
            expects: Vec::new(),
        }
    }

    /// The segment with its reference points, if it has any.
    fn networks(&self) -> BTreeMap<String, NetworkConfig> {
        let point = |number: usize| IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1 + number as u8));
        let network = NetworkConfig {
            network: Ipv4Addr::new(10, 0, 0, 0).into(),
            prefix: 24,
            interface: None,
            gateway: false,
            addresses: (0..self.points).map(point).collect(),
        };
        let watched = (self.points > 0).then(|| ("front".to_string(), network));
        watched.into_iter().collect()
    }
}

/// The address of a service.
#[must_use]
pub fn address(service: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100 + service as u8))
}

/// The name of a service.
#[must_use]
pub fn service(number: usize) -> ServiceId {
    ServiceId(format!("s{number}"))
}
