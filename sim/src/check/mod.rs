//! The judges: one for each invariant of the protocol (section 10), in a file of its own.
//!
//! | file | invariant |
//! |---|---|
//! | `once` | I1: what may run once runs at most once |
//! | `partition` | I2: at most one partition acts; one past its last majority echo starts nothing |
//! | `address` | I3: at most one node answers for an address |
//! | `service` | I4: a quorate partition serves everything; when all faults are over all heals |
//! | `proof` | I1 to I3 at their root: what is freed is free, and who decides may |
//! | `turn` | no service begins before what it needs, stops after it, or begins in maintenance |
//! | `durable` | I5: no acknowledged change is lost, no epoch goes back |
//! | `fence` | nobody is switched off without the right to |
//! | `rules` | what is assigned obeys the rules of placement |
//! | `order` | services of several resources: order, ends, bounds; I1 and I2 for each resource |
//!
//! They know everything and decide nothing. Each is asked at every step that could break what it
//! watches: a gate that changes, a program that starts, an entry that is applied, an answer to a
//! proposal. What only time can end (a lease) can't break anything by ending.
//!
//! Happy path: nothing is said. The first word against the run ends it ([`Verdict`]).
//!
//! Five things are excused, for as long as the protocol says and not a microsecond longer; each
//! excuse is counted ([`Why`]). Absent on purpose: what the operator would like (placement), which
//! has judges of its own later.

mod address;
mod durable;
mod fence;
mod once;
mod order;
mod partition;
mod proof;
mod rules;
mod service;
mod turn;

use address::Address;
use durable::Durable;
use fence::Fence;
use once::Once;
use order::Order;
use partition::Partition;
use proof::Proof;
use service::Service;
use turn::Turn;

use crate::world::World;

/// What a judge saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The invariant, or what else was watched.
    pub judge: &'static str,
    /// What happened, in words.
    pub what: String,
    /// When, in microseconds since the world began.
    pub at: u64,
}

/// Why two nodes may answer for one address for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A hypervisor stopped the machine, and none of its clocks shows it (protocol, section 3).
    Paused,
    /// The machine was suspended under a relative gate (protocol, section 4).
    Suspended,
    /// The guard was held up between computing a timeout and arming it (protocol, section 4).
    ArmedLate,
    /// The clock's rate left the bound, and the guard has not yet run to be told (rule H6).
    Slewed,
    /// Its fence device called it off, and it was not: what no lease's end undoes is there twice
    /// (rule X5).
    Lied,
}

impl Why {
    /// A keeper's deadline is an instant on the machine's clock: only what that clock hides can
    /// make it late.
    fn holds_for_programs(self) -> bool {
        match self {
            Self::Paused | Self::Slewed => true,
            Self::Suspended | Self::ArmedLate | Self::Lied => false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Excuse {
    host: usize,
    since: u64,
    until: u64,
    why: Why,
}

impl Excuse {
    /// What a paused machine believes lasts for a lease, and that may have become longer since it
    /// woke: its daemon applied a configuration that was on its way.
    fn ends(&self, longest: stead_core::time::Span) -> u64 {
        match self.why {
            Why::Paused => self.until.max(self.since + longest.0 + 2 * longest.drift().0),
            Why::Suspended | Why::ArmedLate | Why::Slewed | Why::Lied => self.until,
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Judges {
    /// The first word against the run.
    pub verdict: Option<Verdict>,
    excuses: Vec<Excuse>,
    /// How often two nodes answered for one address under an excuse, by reason, and for how long at
    /// most, in microseconds.
    pub excused: std::collections::BTreeMap<Why, (u64, u64)>,
    /// I1.
    pub once: Once,
    /// I2.
    pub partition: Partition,
    /// I3.
    pub address: Address,
    /// I4.
    pub service: Service,
    /// What lies before I1 to I3.
    pub proof: Proof,
    /// Order between services, and what operators leave alone.
    pub turn: Turn,
    /// I5.
    pub durable: Durable,
    /// Who is switched off.
    pub fence: Fence,
    /// Services of several resources.
    pub order: Order,
}

impl Judges {
    /// Whether anybody is excused.
    pub(crate) fn has_excuses(&self) -> bool {
        !self.excuses.is_empty()
    }
}

impl World {
    /// From now until then that machine may answer beside another.
    pub(crate) fn excuse(&mut self, host: usize, until: u64, why: Why) {
        self.judges.excuses.push(Excuse { host, since: self.now, until, why });
        self.at(until, crate::world::What::Recheck);
    }

    /// The reason is gone earlier than it might have been.
    pub(crate) fn excuses_end(&mut self, host: usize, why: Why) {
        self.judges.excuses.retain(|it| it.host != host || it.why != why);
        self.judge_all_gates();
    }

    /// Whether one of these machines is excused now, and why.
    fn excused(&mut self, hosts: &[usize]) -> Option<Why> {
        self.excused_where(hosts, |_| true)
    }

    /// The same, of the reasons that count.
    fn excused_where(&mut self, hosts: &[usize], counts: impl Fn(Why) -> bool) -> Option<Why> {
        if self.judges.excuses.is_empty() {
            return None;
        }
        let (now, longest) = (self.now, self.longest_timers().lease);
        self.judges.excuses.retain(|excuse| excuse.ends(longest) > now);
        let excuses = self.judges.excuses.iter();
        let mut excuses = excuses.filter(|it| hosts.contains(&it.host) && counts(it.why));
        excuses.next().map(|it| it.why)
    }

    /// The longest lease that follows from a ride-out that anybody may still count by. Nobody
    /// decides for longer than that without an echo, disarmed or not (rule M2).
    pub(crate) fn longest_ordinary_lease(&self) -> stead_core::time::Span {
        let states = self.hosts.iter().filter_map(|it| it.daemon.as_ref());
        let timers = states.flat_map(|daemon| {
            let state = daemon.node.state();
            [Some(state.timers), state.former_timers].into_iter().flatten()
        });
        let longest = timers.map(|timers| timers.ordinary_lease()).max().unwrap_or_default();
        longest.max(self.judges.partition.longest_ordinary())
    }

    /// The longest timers that anybody may still count by.
    pub(crate) fn longest_timers(&self) -> stead_core::timers::Timers {
        let states = self.hosts.iter().filter_map(|it| it.daemon.as_ref());
        let timers = states.flat_map(|daemon| {
            let state = daemon.node.state();
            [Some(state.timers), state.former_timers].into_iter().flatten()
        });
        let by_lease = timers.max_by_key(|timers| timers.lease);
        let longest = by_lease.unwrap_or_default();
        let known = self.judges.partition.longest(longest);
        if known.lease > longest.lease { known } else { longest }
    }
}
