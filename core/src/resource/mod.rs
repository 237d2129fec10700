//! The life of a service's resources on the node that holds it.
//!
//! # What it is for
//! A service may consist of several things: a file system, a database on it, a program that asks
//! the database. Each is started, looked after and stopped by an agent that can be slow, hang, lie
//! or do half of what it was asked for. [`Life`] decides what is asked of which agent, and when.
//! It runs in the executor (`stead executor`, one for each such service), in the simulator and in
//! tests. [`Told`] says what of it is news to the node.
//!
//! # Happy path
//! ```text
//!   all at once       when all it needs work
//!   ┌─────────┐      ┌──────────┐      ┌──────────┐   good    ┌───────┐ ◀─┐ each interval
//!   │ Probing │ ───▶ │ Starting │ ───▶ │ Checking │ ────────▶ │ Works │ ──┘
//!   └─────────┘      └──────────┘      └──────────┘           └───────┘
//!        ▲                ▲ pause           │ bad                 │ bad, or the end is wanted
//!      begin         ┌─────────┐            ▼                     ▼
//!                    │ Stopped │ ◀─────── Stopping ◀──── when nothing that needs it is left
//!                    └─────────┘               │ failed, late
//!                         ▲                    ▼
//!                         └───────────────  Killing ──▶ Stuck, and again
//! ```
//!
//! # Failures
//! What fails is stopped and started again where it is, and so is all that needs it, in order: the
//! first time at once, then after a growing pause. More failures than are allowed, or
//! one that no second try mends (no such program), and the whole is given up: then the service
//! goes elsewhere. A stop that fails or takes too long is forced: everything that the agent started
//! is killed, and the agent is asked whether anything is left. Nothing is told to have stopped that
//! did not: it stays `Stuck`, is shown so, and is stopped again and again.
//!
//! # Copies
//! A service may have copies on several nodes, of which one is promoted ([`Life::of_copies`]). What
//! can be promoted, and all that it needs, runs wherever there is a copy; the rest only where that
//! copy is promoted. A life of copies begins as one and promotes nothing until [`Life::promote`].
//! ```text
//!              ┌────────────┐  told to     ┌───────────┐   monitor: promoted    ┌──────────┐
//!              │   Works    │ ───────────▶ │ Promoting │ ─────────────────────▶ │  Works,  │
//!              │(unpromoted)│              └───────────┘                        │ promoted │
//!              └────────────┘ ◀──────────────────────────── Demoting ◀───────── └──────────┘
//!                    monitor: not promoted, or stopped          │ failed, late
//!                                                               ▼ Stopping, Killing, Stuck
//! ```
//! What needs something promoted starts after its promotion and has stopped before its demotion.
//! [`Life::is_released`] says that nothing is promoted, by each agent's own word, and that nothing
//! runs of what belongs to the promoted copy; a demotion that fails or hangs becomes a stop, and
//! that a kill. What is found promoted without having been told to be is demoted at once. A copy
//! that fails while it is promoted, or was to be, is promoted no second time: where is decided
//! anew, by those who know the other copies.
//!
//! # Deliberately absent
//! Leases: whoever runs this ends with the node's lease, by its keeper. Where a service runs.

mod care;
mod copies;
mod life;
mod one;
mod order;
mod rise;
mod step;
mod told;

pub use copies::{Part, parts};
pub use life::Life;
pub use order::{OrderError, order, order_of};
pub use told::{Shown, Told};

use alloc::string::String;

use crate::time::Span;

/// What a machine has to know of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The resources, by their place in the list, that must work before it starts.
    pub needs: alloc::vec::Vec<usize>,
    /// The time between the end of one run of its monitor and the start of the next.
    pub interval: Span,
    /// How often it is started again before all is given up.
    pub restarts: u32,
    /// After how long a time of work without a failure those before count no more.
    pub forget_after: Span,
}

/// What may be done about resources by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Care {
    /// What fails is stopped and started again.
    #[default]
    Full,
    /// What ended is started again. What runs is left running, whatever its monitor says: the
    /// cluster is disarmed.
    Ended,
    /// Monitors are asked, and nothing is started or stopped: it is in maintenance.
    Nothing,
}

/// What an agent can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Whether it is there already, before anything was started.
    Probe,
    /// Start it.
    Start,
    /// Whether it works.
    Monitor,
    /// Stop it.
    Stop,
    /// Kill all that its agent started, and look whether anything is left.
    Kill,
    /// Make this copy the promoted one.
    Promote,
    /// Make it a copy like the others.
    Demote,
    /// Tell it what became of the other copies. What it answers changes nothing.
    Notify,
}

impl Operation {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Start => "start",
            Self::Monitor => "monitor",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Promote => "promote",
            Self::Demote => "demote",
            Self::Notify => "notify",
        }
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ask the agent of that resource. Whatever it was asked before and has not answered is
    /// cancelled first, with all that this run of the agent started and that has not detached
    /// itself.
    Ask {
        /// Which, by its place in the list.
        resource: usize,
        /// For what.
        operation: Operation,
        /// The number of the question.
        number: u64,
    },
}

/// What an agent answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is started, it works; of what can be promoted: it is not, or what was asked for is done.
    Works,
    /// It works, and is promoted.
    Promoted,
    /// It is stopped, and nothing is left of it.
    Stopped,
    /// It failed, or the agent did, or took too long.
    Failed(String),
    /// It can't be had on this node: another try changes nothing.
    Hopeless(String),
}

/// Where a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nobody knows yet whether it is there.
    Probing,
    /// It is not there.
    Stopped,
    /// It is being started.
    Starting,
    /// It is started; whether it works is being looked at.
    Checking,
    /// It works.
    Works,
    /// It is being stopped.
    Stopping,
    /// Its stop failed or took too long: everything of it is being killed.
    Killing,
    /// It can't be stopped.
    Stuck,
    /// It is being promoted.
    Promoting,
    /// It is being demoted.
    Demoting,
}

impl Stage {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Probing => "probing",
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Checking => "checking",
            Self::Works => "works",
            Self::Stopping => "stopping",
            Self::Killing => "killing",
            Self::Stuck => "stuck",
            Self::Promoting => "promoting",
            Self::Demoting => "demoting",
        }
    }
}

/// Where all of them are together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whole {
    /// They have not all worked yet.
    Starting,
    /// All work.
    Works,
    /// All did, and one of them is being started again.
    Restarting,
    /// Given up here, because of that one and for that reason.
    Failed(usize, String),
    /// The end is wanted.
    Stopping,
    /// Nothing is left.
    Stopped,
}

/// A resource, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View<'a> {
    /// Where it is.
    pub stage: Stage,
    /// It is promoted, or may be.
    pub promoted: bool,
    /// How many of its failures count.
    pub failures: u32,
    /// How often it failed since this began, forgotten ones included.
    pub all_failures: u64,
    /// Why it failed last; nothing if it never did.
    pub reason: Option<&'a str>,
    /// It fails, and nothing is done about it for now.
    pub unwell: bool,
}
