//! How a cluster begins, and how its parts are killed and started.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use stead_core::id::{ClusterId, Incarnation, Index, NodeId, ServiceId, Term};
use stead_core::lease::{self, Lease, Order};
use stead_core::node::{self, Node};
use stead_core::state::config::{Config, NodeConfig, Program, ServiceAddress, ServiceConfig};
use stead_core::state::{Change, State};
use stead_core::time::Span;
use stead_core::timers::Timers;

use super::daemon::{Daemon, DaemonIn};
use super::guard::{Guard, GuardIn};
use super::judge::Judge;
use super::log::{Disk, Entry};
use super::net::Net;
use super::raft::Raft;
use super::{Clock, Host, Rng, What, World, name};

/// What a trial begins with.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub nodes: usize,
    /// How many of the nodes are members at the start.
    pub members: usize,
    pub services: usize,
    pub ride_out: Span,
    pub round_trip: Span,
    pub grace: Span,
    /// Clocks differ, delays vary, datagrams get lost.
    pub rough: bool,
    /// Faults follow each other closely, most of them of guards and daemons.
    pub stormy: bool,
}

impl Plan {
    pub fn calm(nodes: usize, services: usize) -> Self {
        Self {
            seed: 1,
            nodes,
            members: nodes,
            services,
            ride_out: Span::from_millis(300),
            round_trip: Span::from_millis(1),
            grace: Span::from_millis(10_000),
            rough: false,
            stormy: false,
        }
    }
}

/// The address of a service.
pub fn address(service: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100 + service as u8))
}

/// The name of a service. Every second one has a program.
pub fn service(number: usize) -> ServiceId {
    ServiceId(format!("s{number}"))
}

pub fn config(plan: &Plan) -> Config {
    let one = |number: usize| ServiceConfig {
        addresses: vec![ServiceAddress { ip: address(number), prefix: 24, interface: None }],
        program: (number % 2 == 1).then(|| Program {
            command: vec!["/bin/service".into()],
            stop_timeout: Span::from_millis(1_000),
        }),
        monitor: None,
        prefer: Vec::new(),
        failback: false,
    };
    let nodes = (1..=plan.nodes).map(|number| {
        let name = name(NodeId(number as u64)).to_string();
        (name, NodeConfig { site: None, addresses: BTreeMap::new() })
    });
    Config {
        name: "trial".into(),
        ride_out: plan.ride_out,
        round_trip: plan.round_trip,
        daemon_grace: plan.grace,
        links: BTreeMap::new(),
        nodes: nodes.collect(),
        services: (0..plan.services).map(|number| (service(number), one(number))).collect(),
    }
}

/// The entries by which a cluster begins.
fn beginning(plan: &Plan) -> Vec<Entry> {
    let voters: BTreeSet<_> = (1..=plan.members as u64).map(NodeId).collect();
    let mut entries = vec![Entry::voters(Term(1), voters)];
    let (cluster, key) = (ClusterId([7; 16]), [1; 32]);
    let found = Change::Found { cluster, config: config(plan), node: "a".into(), key };
    entries.push(Entry::change(Term(1), found));
    for number in 2..=plan.members as u8 {
        let node = name(NodeId(number.into())).to_string();
        entries.push(Entry::change(Term(1), Change::AddToken { token: [number; 32], node }));
        let join = Change::Join { token: [number; 32], key: [number; 32] };
        entries.push(Entry::change(Term(1), join));
    }
    entries
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let mut rng = Rng::new(plan.seed);
        let entries = beginning(&plan);
        let hosts = (0..plan.nodes).map(|number| {
            let ppm = if plan.rough { [1_000, -1_000, 0, 300][rng.below(4) as usize] } else { 0 };
            let member = number < plan.members;
            Host {
                id: NodeId(number as u64 + 1),
                clock: Clock { offset: 1_000_000_000 + rng.below(1_000_000_000), ppm },
                slack: Span::from_millis(if plan.rough { [1, 10][number % 2] } else { 10 }),
                gate: BTreeMap::new(),
                programs: BTreeMap::new(),
                broken: BTreeSet::new(),
                disk: if member { Disk::new(entries.clone()) } else { Disk::default() },
                incarnation: 0,
                guard: None,
                guard_run: 0,
                guard_paused: 0,
                daemon: None,
                daemon_run: 0,
                daemon_paused: 0,
            }
        });
        let hosts: Vec<_> = hosts.collect();
        let mut world = Self {
            now: 1,
            rng,
            net: Net::new(plan.nodes, plan.rough),
            plan,
            hosts,
            judge: Judge::default(),
            chaos: false,
            trace: Vec::new(),
            tracing: std::env::var_os("TRACE").is_some(),
            queue: BTreeMap::new(),
            next: 0,
            busy: (0, 0),
            operations: 0,
        };
        for host in 0..world.hosts.len() {
            world.start_guard(host);
            world.start_daemon(host);
        }
        world
    }

    /// A calm cluster whose services are all served, with an empty story. The clock then shows a
    /// whole second.
    pub fn settled(plan: Plan) -> Self {
        let mut world = Self::new(plan);
        if !world.run_until(20_000, Self::is_healthy) {
            world.fail("the cluster did not settle");
        }
        world.run_micros(1_000_000 - world.now % 1_000_000 + 1_000_000);
        world.trace.clear();
        world.judge.forget();
        world
    }

    /// The kernel's clock starts anew, and what was in memory is gone. Nothing starts by itself.
    pub fn power_off(&mut self, host: usize) {
        self.note(None, || format!("{} loses power", name(NodeId(host as u64 + 1))));
        self.kill_daemon(host);
        self.kill_guard(host);
        let open: Vec<_> = self.hosts[host].gate.keys().copied().collect();
        self.hosts[host].gate.clear();
        self.judge_gate(host, &open);
        self.hosts[host].programs.clear();
        let offset = self.rng.below(1_000_000_000);
        self.hosts[host].clock.offset = offset;
        self.hosts[host].guard_paused = 0;
        self.hosts[host].daemon_paused = 0;
    }

    pub fn kill_guard(&mut self, host: usize) {
        if self.hosts[host].guard.take().is_none() {
            return;
        }
        let run = self.hosts[host].guard_run;
        self.tell_daemon(host, DaemonIn::GuardGone(run));
    }

    pub fn kill_daemon(&mut self, host: usize) {
        let Some(daemon) = self.hosts[host].daemon.take() else { return };
        if daemon.guard.is_some() {
            let guard = self.hosts[host].guard_run;
            self.tell_guard_event(host, guard, lease::Event::DaemonGone);
        }
    }

    pub fn start_guard(&mut self, host: usize) {
        self.kill_guard(host);
        let now = self.local(host);
        let it = &mut self.hosts[host];
        it.incarnation += 1;
        it.guard_run += 1;
        it.guard_paused = 0;
        // What the old one kept is ended first (rule H5).
        let open: Vec<_> = it.gate.keys().copied().collect();
        it.gate.clear();
        let incarnation = Incarnation(it.incarnation);
        let lease = Lease::new(it.id, incarnation, now, it.slack, Timers::default());
        it.guard = Some(Guard::new(lease));
        let run = it.guard_run;
        self.judge_gate(host, &open);
        self.after(0, What::Guard(host, run, GuardIn::Wake));
        self.connect(host);
    }

    pub fn start_daemon(&mut self, host: usize) {
        self.kill_daemon(host);
        let late = if self.chaos { self.rng.below(4) as usize } else { 0 };
        let it = &mut self.hosts[host];
        it.daemon_run += 1;
        it.daemon_paused = 0;
        // The commit index on disk may be behind.
        let applied = it.disk.committed.saturating_sub(late);
        let mut state = State::default();
        for (at, entry) in it.disk.log.iter().take(applied).enumerate() {
            entry.apply(&mut state, Index(at as u64 + 1));
        }
        let raft = Raft::new(applied, self.now);
        let node = Node::new(it.id, state.clone());
        it.daemon = Some(Daemon::new(node, state, raft));
        let run = it.daemon_run;
        let found: Vec<_> = it.programs.iter().map(|(name, at)| (name.clone(), *at)).collect();
        for (service, epoch) in found {
            let found = node::Event::Found { service, epoch };
            self.after(0, What::Daemon(host, run, Box::new(DaemonIn::Event(Box::new(found)))));
        }
        self.after(0, What::Daemon(host, run, Box::new(DaemonIn::RaftTick)));
        self.connect(host);
    }

    /// A clean end of everything on a host: programs, then the lease, said to all.
    pub fn release(&mut self, host: usize) {
        self.note(None, || format!("{} stops cleanly", name(NodeId(host as u64 + 1))));
        self.kill_daemon(host);
        self.hosts[host].programs.clear();
        let run = self.hosts[host].guard_run;
        self.tell_guard_event(host, run, lease::Event::Order(Order::Release));
    }

    /// The daemon connects to its guard, if both are there.
    fn connect(&mut self, host: usize) {
        let it = &self.hosts[host];
        if it.guard.is_none() || it.daemon.is_none() {
            return;
        }
        let run = it.guard_run;
        let delay = 200 + if self.chaos { self.rng.below(20_000) } else { 0 };
        let daemon_run = it.daemon_run;
        self.after(delay, What::Daemon(host, daemon_run, Box::new(DaemonIn::GuardHere(run))));
    }
}
