//! Services that consist of several resources: agents, the executor that has them work, and the
//! daemon's task that talks with it.
//!
//! ```text
//!   node machine ──Start, Stop──▶ task ──stop──▶ executor ──ask──▶ agents ──▶ parts, as they are
//!        ▲                        ▲  │           resource::Life       │
//!        └──Started, Ended, ...───┘  └◀─pictures──────┘ ◀─answers─────┘
//!             resource::Told                 under the service's keeper
//! ```
//!
//! Real are [`Life`](stead_core::resource::Life), which decides what is asked of which agent, and
//! [`Told`](stead_core::resource::Told), which decides what is news to the node. Modelled is what
//! `daemon/src/executor` and `daemon/src/agent` do around them: an executor is the service's
//! program, so it survives its daemon, is found again by the next one, and ends with the lease,
//! with everything that its agents started. Its pictures go to whichever daemon is there, late,
//! and one may swallow the one before.
//!
//! Happy path: the task has the executor started; it asks and is answered; the daemon hears that
//! all work. Failures: agents have [`Habit`]s, parts come to [`Harm`], executors are killed.
//!
//! Absent on purpose: what an agent leaves outside of its keeper's namespace (an address that it
//! put on an interface), and parts that somebody else started.

mod agent;
mod executor;
mod task;

pub use agent::{Habit, Habitual, Harm, Part, Truth};
pub use executor::{Executor, Picture};
use stead_core::id::ServiceId;
pub(super) use task::Ask;
pub use task::Task;

use super::{What, World};

/// What happens to an executor, or to the daemon's task beside it. Executors have numbers, so that
/// what was meant for one that is gone is not taken by another.
#[derive(Debug)]
pub enum AgentsIn {
    /// An agent of that place is through with that question.
    Done(u64, usize, u64),
    /// The executor's own deadline.
    Tick(u64),
    /// The executor is about to show the daemon how things are.
    Send(u64),
    /// The executor is told to stop everything.
    Order(u64),
    /// A picture reaches the daemon of that run.
    Picture(u64, u64, Box<Picture>),
    /// The daemon of that run has something to do for the service.
    Task(u64),
}

impl World {
    /// Something happens to a service of several resources.
    pub(super) fn agents_step(&mut self, host: usize, service: ServiceId, input: AgentsIn) {
        let it = &self.hosts[host];
        let waits = match input {
            AgentsIn::Picture(..) | AgentsIn::Task(_) => it.daemon_waits(self.now),
            AgentsIn::Done(..) | AgentsIn::Tick(_) | AgentsIn::Send(_) | AgentsIn::Order(_) => {
                it.halted.map(|(_, until)| until)
            }
        };
        if let Some(until) = waits {
            // A machine that stood still lets its keepers look first: they have real-time priority.
            let late = if it.halted.is_some() { super::LATE } else { 0 };
            self.at(until + late, What::Agents(host, service, Box::new(input)));
            return;
        }
        match input {
            AgentsIn::Done(executor, place, number) => {
                self.agent_done(host, &service, (executor, place, number));
            }
            AgentsIn::Tick(executor) => self.executor_ticks(host, &service, executor),
            AgentsIn::Send(executor) => self.executor_sends(host, &service, executor),
            AgentsIn::Order(executor) => self.executor_stops(host, &service, executor),
            AgentsIn::Picture(run, executor, picture) => {
                self.picture_seen(host, &service, (run, executor), *picture);
            }
            AgentsIn::Task(run) => self.task_goes_on(host, &service, run),
        }
    }

    fn agents_after(&mut self, delay: u64, host: usize, service: &ServiceId, input: AgentsIn) {
        self.after(delay, What::Agents(host, service.clone(), Box::new(input)));
    }

    /// A time that something takes: the first in a calm world, anything up to the second else.
    fn agents_take(&mut self, calm: u64, longest: u64) -> u64 {
        if self.plan.rough { self.chance.agents.between(calm / 4, longest) } else { calm }
    }
}
