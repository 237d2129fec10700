//! What a daemon tells its guard.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::authority::{Admission, VoterSets};
use super::heartbeat::LogTail;
use super::holding::Holding;
use crate::id::{Epoch, Index, NodeId, Term};
use crate::points::Watched;
use crate::time::Span;
use crate::timers::Timers;

/// One order. Each may come twice or again after either process started anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The daemon is alive.
    Alive,
    /// The durable vote: this term or a later one is being voted for. Given before the vote leaves
    /// the node.
    Vote(Term),
    /// This node leads the log in that term. `admitted` is empty until the daemon has applied the
    /// first entry of its own term.
    Lead {
        /// The term.
        term: Term,
        /// Whose echoes make a majority.
        voters: VoterSets,
        /// Who may get a lease.
        admitted: BTreeMap<NodeId, Admission>,
    },
    /// This node leads no longer.
    Follow,
    /// Echo nothing more to that node.
    Revoke(NodeId),
    /// Echo to that node again: it was heard before its lease ran out.
    Readmit(NodeId),
    /// What the daemon has applied, reads of this run included, and the end of its log.
    Applied {
        /// The index up to which the daemon has applied; zero until it knows it is current.
        applied: Index,
        /// The end of its log.
        log_tail: LogTail,
    },
    /// The timers in force.
    Timers(Timers),
    /// The other members.
    Peers(BTreeSet<NodeId>),
    /// All addresses that this node shall answer for.
    Hold {
        /// The daemon counts these orders; the guard reports which one it has obeyed last.
        number: u64,
        /// The addresses.
        addresses: Vec<Holding>,
    },
    /// Give the lease up for good: everything that it stood for is stopped.
    Release,
    /// What the daemon sees of the reference points. Only for guards that understand it.
    Points(Box<Watched>),
    /// The timers in force, and the revision of the state that has them. Instead of
    /// [`Order::Timers`], to a guard that says which revision it counts by.
    Count {
        /// The revision; from an older one than it knows a guard takes nothing.
        revision: u64,
        /// The timers.
        timers: Timers,
    },
    /// Those of the others that are spoken to in the slow rhythm. Only for guards that report
    /// whom they speak to so.
    Slow(BTreeSet<NodeId>),
    /// Programs of that epoch and earlier ones run here that hold no address: they may as long as
    /// the lease holds, and lapse with it. Zero for none. Only for guards that report it.
    Keep(Epoch),
    /// What the watchdog is for. Only for guards that report on theirs.
    Watch {
        /// The daemon counts these orders; the guard reports which one it has obeyed last.
        number: u64,
        /// The shortest timeout that it is to be armed with; nothing: it is not to be armed.
        least: Option<Span>,
        /// Something bound may be here, or is about to be: it is fed only under a lease.
        bound: bool,
    },
}
