//! What a world begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use stead_core::id::ServiceId;
use stead_core::quorum::chain::{Chain, Module};
use stead_core::state::config::{
    Agent, Config, ConfigLater, ConfigMore, ConfigNext, CopiesConfig, DeviceConfig, FenceAgent,
    FencingConfig, NameConfig, NamedService, NetworkConfig, NodeConfig, NodeFencing, NodeRules,
    Plug, Program, QuorumConfig, RecordKind, RedirectConfig, ResourceConfig, ResourceTimes,
    RulesConfig, Safety, ServiceAddress, ServiceConfig, ServiceMore, ServiceRules, Strength, Stuck,
};
use stead_core::time::Span;

use crate::fault::Act;
use crate::own::Own;
use crate::parts::{Part, Parts};
use crate::world::Dogs;

/// The names of the machines, in order.
pub const NAMES: [&str; 16] =
    ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];

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
    /// Whether services have names, and clients are told where they are.
    pub named: bool,
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
    /// Somebody's own cluster, in the place of one that follows from all of this.
    pub own: Option<Arc<Own>>,
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
            named: false,
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
            own: None,
        }
    }

    /// The wanted state of the cluster.
    #[must_use]
    pub fn config(&self) -> Config {
        if let Some(own) = &self.own {
            return own.config().clone();
        }
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
    /// The most machines that it can have.
    pub(crate) fn most(&self) -> usize {
        self.own.as_ref().map_or(NAMES.len(), |own| own.names().len())
    }

    /// The name of a machine.
    #[must_use]
    pub fn name(&self, machine: usize) -> &'static str {
        let names = self.own.as_ref().map_or(&NAMES[..], |own| own.names());
        names.get(machine).copied().unwrap_or("?")
    }

    /// The name of a service.
    #[must_use]
    pub fn service(&self, number: usize) -> ServiceId {
        let own = self.own.as_ref().and_then(|own| own.service(number));
        own.cloned().unwrap_or_else(|| service(number))
    }

    /// The addresses of a service at the start.
    #[must_use]
    pub fn addresses(&self, number: usize) -> Vec<IpAddr> {
        let Some(own) = &self.own else { return vec![address(number)] };
        let service = own.service(number).and_then(|name| own.config().services.get(name));
        service.into_iter().flat_map(|it| &it.addresses).map(|it| it.ip).collect()
    }

    /// The one of them that its client asks.
    #[must_use]
    pub fn address(&self, number: usize) -> IpAddr {
        let first = self.own.as_ref().and_then(|_| self.addresses(number).first().copied());
        first.unwrap_or_else(|| address(number))
    }

    /// What a service needs, and what that needs, by their numbers.
    #[must_use]
    pub fn stands_on(&self, number: usize) -> Vec<usize> {
        match &self.own {
            Some(own) => own.stands_on(number).to_vec(),
            None if self.needs => (0..number).collect(),
            None => Vec::new(),
        }
    }

    /// Whether rules say anything about where services may be.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        self.room > 0 || self.own.as_ref().is_some_and(|own| own.has_rules())
    }

    /// What a service consists of; nothing if it is one program.
    pub(crate) fn parts_of(&self, name: &ServiceId) -> &[Part] {
        let Some(own) = &self.own else { return self.parts.of(name) };
        let number = own.number(name).and_then(|number| self.parts.services.get(&number));
        number.map_or(&[], Vec::as_slice)
    }

    /// What the configuration at the start says of that.
    pub(crate) fn more_of(&self, name: &ServiceId) -> ServiceMore {
        let mut all = match &self.own {
            Some(own) => own.config().later.next.services.clone(),
            None => self.parts.config().services,
        };
        all.remove(name).unwrap_or_default()
    }

    /// An act in the words of scripts, with the names that this cluster's machines and services
    /// have.
    #[must_use]
    pub fn told(&self, act: &Act) -> String {
        let text = act.to_string();
        let Some(own) = &self.own else { return text };
        let words = text.split(' ').map(|word| {
            let machine = NAMES.iter().position(|name| *name == word);
            let (head, tail) = word.split_once('.').unwrap_or((word, ""));
            let number = head.strip_prefix('s').and_then(|it| it.parse().ok());
            let service = number.and_then(|number| own.service(number));
            match (machine, service) {
                (Some(machine), _) => self.name(machine).to_string(),
                (None, Some(service)) if tail.is_empty() => service.to_string(),
                (None, Some(service)) => format!("{service}.{tail}"),
                (None, None) => word.to_string(),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

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
        let more = ServiceMore { resources: vec![mount()], ..ServiceMore::default() };
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
            let (rules, redirect) = (self.rules(), self.redirect());
            return FencingConfig { rules, redirect, ..FencingConfig::default() };
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
        FencingConfig {
            devices: devices.collect(),
            nodes,
            rules: self.rules(),
            redirect: self.redirect(),
        }
    }

    /// Names of services, and documents for their clients.
    fn redirect(&self) -> RedirectConfig {
        if !self.named {
            return RedirectConfig::default();
        }
        let name = |number: usize| NameConfig {
            name: format!("s{number}.example"),
            kind: RecordKind::Addresses,
            ttl: None,
            adopt: false,
        };
        let named = |number| {
            let names = vec![name(number)];
            (service(number), NamedService { names, ..NamedService::default() })
        };
        RedirectConfig {
            services: (0..self.services).map(named).collect(),
            documents: Some(7_420),
            ..RedirectConfig::default()
        }
    }

    /// How much there is of each machine beside the copies, which nothing moves, and who goes
    /// where: the first two services are apart, the third goes together with the first, and each
    /// counts for another amount.
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
            ..RulesConfig::default()
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

/// What stays where it was until its machine is off.
pub(crate) fn mount() -> ResourceConfig {
    ResourceConfig {
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
