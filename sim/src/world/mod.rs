//! A cluster in one thread, in virtual time, from one seed.
//!
//! ```text
//!   Plan ──▶ World::new ──▶ run ──▶ step ─┬─ guard    the real lease machine, and its kernel
//!                            ▲            ├─ daemon   the real node machine, and its hands
//!   Act (fault, operator) ───┘            ├─ log      the model of the replicated log, its disk
//!                                         ├─ net      heartbeats, log messages, segments, clients
//!                                         └─ check    the judges, after whatever changed
//! ```
//!
//! Every machine has a kernel (gate, addresses, programs with their keepers), a disk, a guard with
//! the real [`Lease`](stead_core::lease::Lease) and a daemon with the real
//! [`Node`](stead_core::node::Node). Both processes are killed, restarted and stopped apart from
//! each other, also between any two of their commands.
//!
//! Happy path: things to come stand in one queue, by microsecond; the next is taken, performed and
//! judged. All that is left to chance comes from the plan's seed, and there is no other input, so
//! the same plan and the same acts give the same [`World::digest`] on every machine.
//!
//! Failures: a judge that sees what must never be ends the run with a [`Verdict`]; so do a machine
//! that commands without end and whatever the core itself asserts.
//!
//! Absent on purpose: keys and sealing (a datagram that was forged does not open), and the real
//! log, whose promises are tested in its own crate (`docs/reference/log-promises.md`).

mod agents;
mod boot;
mod copies;
mod daemon;
mod devices;
mod guard;
mod hands;
mod keeper;
mod layers;
mod look;
mod machine;
mod power;
mod watchdog;

use std::collections::{BTreeMap, VecDeque};

pub use agents::{AgentsIn, Executor, Habit, Habitual, Harm, Part, Truth};
pub use copies::Kept;
pub use daemon::{Daemon, DaemonIn};
pub use devices::{DeviceIn, Manner};
pub use guard::{Guard, GuardIn};
pub use keeper::{LATE, Permit};
pub use machine::{GateForm, Halt, Host, Interrupt, Moment};
use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::quorum::ask::Question;
use stead_core::{lease, node};
pub use watchdog::{Dog, Dogs};

use crate::check::{Judges, Verdict};
use crate::cover::Cover;
use crate::fault::{Act, Chaos};
use crate::net::{Lan, Net};
use crate::plan::Plan;
use crate::queue::Queue;
use crate::register::Server;
use crate::rng::Rng;

/// What happens at some time.
#[derive(Debug)]
pub enum What {
    /// Something reaches the guard of that run.
    Guard(usize, u64, GuardIn),
    /// The guard may run again.
    GuardResume(usize, u64),
    /// A guard that was held up between deciding and doing goes on.
    GuardEmit(usize, u64, Box<Held>),
    /// A guard with a relative gate has looked at the clock again after arming.
    GateChecked(usize, u64),
    /// Something reaches the daemon of that run.
    Daemon(usize, u64, Box<DaemonIn>),
    /// The deadline of the daemon of that run.
    DaemonWake(usize, u64),
    /// The daemon may run again.
    DaemonResume(usize, u64),
    /// A daemon that was held up between deciding and doing goes on.
    DaemonEmit(usize, u64, VecDeque<node::Command>),
    /// What a daemon of that run had commanded is done.
    Performed(usize, u64, u64, Box<node::Event>),
    /// The announcement of that number is due.
    Announce(usize, u64, ServiceId, Epoch, u32),
    /// The daemon looks whether an address is still on its interface.
    AddressLooked(usize, std::net::IpAddr),
    /// A write of the disk is safe.
    Synced(usize, u64),
    /// The keeper of a program looks at its deadline.
    Keeper(usize, ServiceId, Epoch),
    /// Something happens to a service of several resources.
    Agents(usize, ServiceId, Box<AgentsIn>),
    /// That of a copy looks at its deadline.
    CopyKeeper(usize, ServiceId, Epoch),
    /// The monitor of a copy runs.
    CopyMonitor(usize, ServiceId, Epoch),
    /// A client asks.
    Client(usize),
    /// The daemon of that run asks the reference points.
    AskPoints(usize, u64),
    /// A question reaches the quorum server.
    Register {
        /// The machine that asks.
        host: usize,
        /// The run of its daemon.
        run: u64,
        /// The number of the question.
        number: u64,
        /// What.
        question: Box<Question>,
        /// When it was asked.
        asked: u64,
    },
    /// Something happens at a fence device.
    Device(DeviceIn),
    /// A machine that stood still goes on.
    Wake(usize),
    /// A watchdog's time is up that was fed that often.
    Watchdog(usize, u64),
    /// A machine that was reset is up again.
    Boot(usize),
    /// The guard sees whether the clock can be trusted.
    LookAtClock(usize),
    /// The next random fault is due.
    Chaos,
    /// What was planned to follow a random fault.
    Later(Box<Act>),
    /// What was excused until now is looked at again.
    Recheck,
}

/// What a guard that was held up still has to do.
#[derive(Debug)]
pub struct Held {
    /// The rest of its commands.
    pub commands: VecDeque<lease::Command>,
    /// The timeouts of the first one, an arming of a relative gate, were computed then.
    pub computed: Option<stead_core::time::Instant>,
}

/// Streams of random numbers, so that one part does not shift what another gets.
#[derive(Debug)]
pub struct Chance {
    /// For the networks.
    pub net: Rng,
    /// For what people and programs take their time for.
    pub hands: Rng,
    /// For how late keepers look.
    pub keepers: Rng,
    /// For agents and executors.
    pub agents: Rng,
    /// For the log and its disks.
    pub log: Rng,
    /// For faults.
    pub faults: Rng,
    /// For fence devices.
    pub devices: Rng,
}

/// The cluster.
#[derive(Debug)]
pub struct World {
    /// True time since the world began, in microseconds.
    pub now: u64,
    /// What it began with.
    pub plan: Plan,
    /// The machines.
    pub hosts: Vec<Host>,
    /// Which machine a node is on.
    pub ids: BTreeMap<NodeId, usize>,
    /// What is left to chance.
    pub chance: Chance,
    /// The networks between the nodes.
    pub net: Net,
    /// The segment of the services, and its clients.
    pub lan: Lan,
    /// The quorum server, if there is one.
    pub register: Option<Server>,
    /// Under which epoch name servers were last told where a service is.
    pub names: BTreeMap<ServiceId, Epoch>,
    /// The judges.
    pub judges: Judges,
    /// How often each fault met each phase of the protocol.
    pub cover: Cover,
    /// Random faults, while they happen.
    pub chaos: Option<Chaos>,
    /// What was done to the world so far, and when: enough to do it again.
    pub acts: Vec<(u64, Act)>,
    /// What people are told, and what was done: time, machine, words.
    pub trace: Vec<(u64, Option<usize>, String)>,
    /// Whether the trace is kept.
    pub tracing: bool,
    /// Datagrams that a script recorded, and for whom.
    pub recorded: Vec<(usize, stead_core::lease::Heartbeat)>,
    /// When all faults were lifted first.
    pub healed_at: Option<u64>,
    digest: u64,
    steps: u64,
    queue: Queue<What>,
    /// How much happened at this instant, and in this tenth of a second.
    busy: (u64, u64),
    /// When something happened last.
    last_event: u64,
    operations: u64,
    /// How many executors were started.
    executors: u64,
}

/// So many steps at one instant, or in 100 ms, are a loop. Per machine; what waited for a process
/// that was held up comes at one instant and is none.
const LOOP_AT_ONCE: u64 = 20_000;
const LOOP_IN_WINDOW: u64 = 60_000;

impl World {
    pub(crate) fn after(&mut self, delay: u64, what: What) {
        self.at(self.now.saturating_add(delay), what);
    }

    pub(crate) fn at(&mut self, time: u64, what: What) {
        if time != u64::MAX {
            self.queue.push(time.max(self.now), what);
        }
    }

    /// Lets that many milliseconds pass, or fewer if a judge ends the run.
    pub fn run(&mut self, millis: u64) {
        self.run_micros(millis * 1_000);
    }

    /// Lets that many microseconds pass, or fewer if a judge ends the run.
    pub fn run_micros(&mut self, micros: u64) {
        let end = self.now + micros;
        while self.judges.verdict.is_none() {
            let Some(time) = self.queue.next().filter(|time| *time <= end) else {
                self.now = end;
                return;
            };
            let Some(what) = self.queue.pop() else { return };
            self.watch_for_loops(time, &what);
            self.now = time;
            self.note_step(&what);
            self.step(what);
        }
    }

    /// Runs until `done`, at most for that many milliseconds. Says whether it was reached.
    pub fn run_until(&mut self, millis: u64, done: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..millis.div_ceil(5) {
            if done(self) {
                return true;
            }
            if self.judges.verdict.is_some() {
                return false;
            }
            self.run(5);
        }
        done(self)
    }

    fn step(&mut self, what: What) {
        match what {
            What::Guard(host, run, input) => self.guard_input(host, run, input),
            What::GuardResume(host, run) => self.guard_resume(host, run),
            What::GuardEmit(host, run, held) => self.guard_emit(host, run, *held),
            What::GateChecked(host, run) => self.gate_checked(host, run),
            What::Daemon(host, run, input) => self.daemon_input(host, run, *input),
            What::DaemonWake(host, run) => self.daemon_input(host, run, DaemonIn::Wake),
            What::DaemonResume(host, run) => self.daemon_resume(host, run),
            What::DaemonEmit(host, run, commands) => self.daemon_emit(host, run, commands),
            What::Performed(host, run, token, event) => self.performed(host, run, token, *event),
            What::Announce(host, run, service, epoch, number) => {
                self.announce(host, run, service, epoch, number);
            }
            What::AddressLooked(host, address) => self.restore_address(host, address),
            What::Synced(host, number) => self.synced(host, number),
            What::Keeper(host, service, epoch) => self.keeper_looks(host, service, epoch),
            What::Agents(host, service, input) => self.agents_step(host, service, *input),
            What::CopyKeeper(host, service, epoch) => self.copy_keeper_looks(host, service, epoch),
            What::CopyMonitor(host, service, epoch) => self.copy_looks(host, service, epoch),
            What::Client(service) => self.client_asks(service),
            What::AskPoints(host, run) => self.ask_points(host, run),
            What::Register { host, run, number, question, asked } => {
                self.register_asked((host, run), number, &question, asked);
            }
            What::Wake(host) => self.wake(host),
            What::Watchdog(host, feeds) => self.watchdog_due(host, feeds),
            What::Boot(host) => self.boot(host),
            What::LookAtClock(host) => {
                let event = lease::Event::ClockTrusted(!self.hosts[host].slewed);
                self.guard_input(host, 0, GuardIn::Event(event));
            }
            What::Chaos => self.next_fault(),
            What::Device(what) => self.device(what),
            What::Later(act) => self.follow(&act),
            What::Recheck => {
                self.judge_all_gates();
                self.judge_all_programs();
            }
        }
    }

    /// Everything that happens goes into the digest: equal digests are equal runs.
    fn note_step(&mut self, what: &What) {
        let (kind, host) = match what {
            What::Guard(host, ..) => (1, *host),
            What::GuardResume(host, _) => (2, *host),
            What::GuardEmit(host, ..) => (3, *host),
            What::GateChecked(host, _) => (4, *host),
            What::Daemon(host, ..) | What::DaemonWake(host, _) => (5, *host),
            What::DaemonResume(host, _) => (6, *host),
            What::DaemonEmit(host, ..) => (7, *host),
            What::Performed(host, ..) => (8, *host),
            What::Announce(host, ..) => (9, *host),
            What::AddressLooked(host, _) => (16, *host),
            What::Synced(host, _) => (10, *host),
            What::Keeper(host, ..) => (18, *host),
            What::CopyKeeper(host, ..) => (20, *host),
            What::CopyMonitor(host, ..) => (21, *host),
            What::Client(service) => (11, *service),
            What::Wake(host) => (12, *host),
            What::Watchdog(host, _) => (22, *host),
            What::Boot(host) => (23, *host),
            What::LookAtClock(host) => (13, *host),
            What::Chaos => (14, 0),
            What::Later(_) => (17, 0),
            What::Recheck => (15, 0),
            What::AskPoints(host, _) => (18, *host),
            What::Register { host, .. } => (19, *host),
            What::Agents(host, ..) => (20, *host),
            What::Device(_) => (22, 0),
        };
        self.steps += 1;
        self.mix(self.now << 10 | kind << 4 | host as u64);
    }

    /// Takes a number into the digest (FNV-1a, by 64 bits).
    pub(crate) fn mix(&mut self, number: u64) {
        self.digest = (self.digest ^ number).wrapping_mul(0x0000_0100_0000_01b3);
        self.digest ^= self.digest >> 29;
    }

    /// A number that stands for all that happened, in its order.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many things happened.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    fn watch_for_loops(&mut self, time: u64, what: &What) {
        // By the times of events: `now` also moves where nothing happens.
        let last = core::mem::replace(&mut self.last_event, time);
        self.busy.0 = if time == last { self.busy.0 + 1 } else { 0 };
        self.busy.1 = if time / 100_000 == last / 100_000 { self.busy.1 + 1 } else { 0 };
        let hosts = self.hosts.len() as u64;
        if self.busy.0 > LOOP_AT_ONCE * hosts || self.busy.1 > LOOP_IN_WINDOW * hosts {
            let what: String = format!("{what:?}").chars().take(200).collect();
            self.fail("loop", &format!("the machines command without end, now {what}"));
        }
    }

    /// Ends the run: that judge has seen what must not be. The first word counts.
    pub(crate) fn fail(&mut self, judge: &'static str, what: &str) {
        if self.judges.verdict.is_none() {
            self.note(None, || format!("{judge}: {what}"));
            let what = what.to_string();
            self.judges.verdict = Some(Verdict { judge, what, at: self.now });
        }
    }

    /// A line of the trace, if it is kept.
    pub(crate) fn note(&mut self, host: Option<usize>, text: impl FnOnce() -> String) {
        if self.tracing {
            self.trace.push((self.now, host, text()));
        }
    }
}
