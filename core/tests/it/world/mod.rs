//! A cluster in one thread, in virtual time, from one seed.
//!
//! Every host has a kernel (the gate of its addresses, its programs), a disk, a guard with the real
//! [`Lease`](stead_core::lease::Lease) and a daemon with the real
//! [`Node`](stead_core::node::Node), a rude model of a replicated log (`raft`) and performers that
//! answer after a while (`daemon`). Guard and daemon are killed, restarted and paused apart from
//! each other; datagrams are lost, late, doubled and replayed (`net`). After every step the judge
//! (`judge`) looks at what a client would see. Clocks have offsets and drift up to the bound.
//!
//! Absent: disks that fail or forget, hypervisors that pause without a trace, several links.

mod boot;
mod daemon;
mod faults;
mod guard;
mod judge;
mod log;
mod net;
mod raft;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;

use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::lease;
use stead_core::node::{self, Node};
use stead_core::state::State;
use stead_core::time::{Instant, Span};

pub use boot::{Plan, address, config};
pub use daemon::{Daemon, DaemonIn};
pub use guard::{Guard, GuardIn};
use judge::Judge;
use log::Disk;
use net::Net;

/// Random numbers that depend on the seed alone.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`; zero if that is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(bound).unwrap_or(0)
    }

    pub fn chance(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.below(one_in) == 0
    }
}

/// A node's clock: where it began, and how wrong its rate is, in millionths.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub offset: u64,
    pub ppm: i64,
}

impl Clock {
    pub fn local(&self, now: u64) -> Instant {
        let now = i128::from(now);
        let local = i128::from(self.offset) + now + now * i128::from(self.ppm) / 1_000_000;
        Instant(u64::try_from(local).unwrap_or(0))
    }

    /// When the clock will show `local`: never too early.
    pub fn global(&self, local: Instant) -> u64 {
        if local == Instant::NEVER {
            return u64::MAX;
        }
        let passed = i128::from(local.0) - i128::from(self.offset);
        let now = passed * 1_000_000 / i128::from(1_000_000 + self.ppm);
        u64::try_from(now + 2).unwrap_or(0)
    }
}

/// One machine.
pub struct Host {
    pub id: NodeId,
    pub clock: Clock,
    pub slack: Span,
    /// What the kernel enforces. It outlives the guard.
    pub gate: BTreeMap<IpAddr, Instant>,
    /// What runs, under which epoch. It outlives the daemon.
    pub programs: BTreeMap<ServiceId, Epoch>,
    /// Services whose program does not start here.
    pub broken: BTreeSet<ServiceId>,
    pub disk: Disk,
    pub incarnation: u64,
    pub guard: Option<Guard>,
    pub guard_run: u64,
    pub guard_paused: u64,
    pub daemon: Option<Daemon>,
    pub daemon_run: u64,
    pub daemon_paused: u64,
}

/// What happens at some time.
pub enum What {
    Guard(usize, u64, GuardIn),
    GuardResume(usize, u64),
    /// A guard that was descheduled between deciding and doing.
    GuardEmit(usize, u64, VecDeque<lease::Command>),
    Daemon(usize, u64, Box<DaemonIn>),
    DaemonResume(usize, u64),
    Performed(usize, u64, u64, Box<node::Event>),
    Fault,
}

/// The cluster.
pub struct World {
    pub now: u64,
    pub rng: Rng,
    pub plan: Plan,
    pub hosts: Vec<Host>,
    pub net: Net,
    pub judge: Judge,
    /// Random faults happen.
    pub chaos: bool,
    /// What people are told, and what is done to the world.
    pub trace: Vec<(u64, Option<NodeId>, String)>,
    pub tracing: bool,
    queue: BTreeMap<(u64, u64), What>,
    next: u64,
    /// How much happened at this instant: too much is a loop without end.
    busy: (u64, u64),
    operations: u64,
}

/// So many steps at one instant, or in 100 ms, are a loop.
const LOOP_AT_ONCE: u64 = 3_000;
const LOOP_IN_WINDOW: u64 = 40_000;

impl World {
    pub fn after(&mut self, delay: u64, what: What) {
        self.at(self.now.saturating_add(delay), what);
    }

    pub fn at(&mut self, time: u64, what: What) {
        if time == u64::MAX {
            return;
        }
        self.next += 1;
        self.queue.insert((time.max(self.now), self.next), what);
    }

    /// Runs for that many milliseconds.
    pub fn run(&mut self, millis: u64) {
        self.run_micros(millis * 1_000);
    }

    pub fn run_micros(&mut self, micros: u64) {
        let end = self.now + micros;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((time, _), what) = entry.remove_entry();
            self.watch_for_loops(time);
            self.now = time;
            self.step(what);
        }
        self.now = end;
    }

    /// Runs until `done`, at most for that many milliseconds. Says whether it was reached.
    pub fn run_until(&mut self, millis: u64, done: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..millis {
            if done(self) {
                return true;
            }
            self.run(1);
        }
        done(self)
    }

    fn step(&mut self, what: What) {
        match what {
            What::Guard(host, run, input) => self.guard_input(host, run, input),
            What::GuardResume(host, run) => self.guard_resume(host, run),
            What::GuardEmit(host, run, commands) => {
                if self.hosts[host].guard.is_some() && self.hosts[host].guard_run == run {
                    self.guard_perform(host, commands);
                }
            }
            What::Daemon(host, run, input) => self.daemon_input(host, run, *input),
            What::DaemonResume(host, run) => self.daemon_resume(host, run),
            What::Performed(host, run, token, event) => {
                self.performed(host, run, token, *event);
            }
            What::Fault => self.fault(),
        }
        self.judge_programs();
    }

    fn watch_for_loops(&mut self, time: u64) {
        self.busy.0 = if time == self.now { self.busy.0 + 1 } else { 0 };
        self.busy.1 = if time / 100_000 == self.now / 100_000 { self.busy.1 + 1 } else { 0 };
        if self.busy.0 > LOOP_AT_ONCE || self.busy.1 > LOOP_IN_WINDOW {
            self.fail("a loop without end");
        }
    }

    /// Ends the trial with the story so far.
    pub fn fail(&self, why: &str) -> ! {
        if self.tracing {
            let from = self.trace.len().saturating_sub(400);
            for line in &self.trace[from..] {
                eprintln!("{}", self.line(line));
            }
            for (number, host) in self.hosts.iter().enumerate() {
                let node = host.daemon.as_ref().map(|daemon| &daemon.node);
                let report = node.and_then(Node::report);
                let log = node.map(Node::log);
                eprintln!("{number}: gate {:?} {log:?}\n   {report:?}", host.gate);
                if let Some(guard) = &host.guard {
                    eprintln!("   {:?}", guard.lease.lease_until());
                }
            }
        }
        panic!("{}.{:03} ms: {why}", self.now / 1_000, self.now % 1_000);
    }

    pub fn line(&self, (time, node, text): &(u64, Option<NodeId>, String)) -> String {
        let node = node.map_or_else(|| "-".to_string(), |node| name(node).to_string());
        format!("{:>8}.{} {node} {text}", time / 1_000, time % 1_000 / 100)
    }

    pub fn note(&mut self, node: Option<usize>, text: impl FnOnce() -> String) {
        if self.tracing {
            let node = node.map(|host| self.hosts[host].id);
            self.trace.push((self.now, node, text()));
        }
    }

    pub fn local(&self, host: usize) -> Instant {
        self.hosts[host].clock.local(self.now)
    }

    /// The state as the most advanced daemon has it.
    pub fn state(&self) -> Option<&State> {
        let nodes = self.hosts.iter().filter_map(|host| host.daemon.as_ref());
        nodes.map(|daemon| daemon.node.state()).max_by_key(|state| state.applied)
    }

    pub fn node(&self, host: usize) -> Option<&Node> {
        self.hosts[host].daemon.as_ref().map(|daemon| &daemon.node)
    }

    /// The host that holds a service's address open.
    pub fn server(&self, service: usize) -> Option<usize> {
        let address = address(service);
        (0..self.hosts.len()).find(|host| self.open(*host, address))
    }

    /// The host whose guard is quorate.
    pub fn coordinator(&self) -> Option<usize> {
        (0..self.hosts.len()).find(|host| {
            self.node(*host).is_some_and(|node| node.is_quorate_coordinator(self.local(*host)))
        })
    }
}

/// The name of a node.
pub fn name(node: NodeId) -> &'static str {
    ["?", "a", "b", "c", "d", "e"].get(node.0 as usize).copied().unwrap_or("?")
}

/// The index of a node's host.
pub fn index(node: NodeId) -> usize {
    node.0 as usize - 1
}

/// Shared, so that a log is cheap to send.
pub type Shared<T> = Rc<T>;
