//! Where services go.
//!
//! [`plan`] is a function of the state and of what the coordinator sees of its nodes, and of
//! nothing else: the same state and sight, the same plan, on every node and in any order of input.
//! It says of every service where it goes and why. The coordinator takes one step of it at a time
//! and plans anew after each; a step is taken only with a [`Proof`] that nobody can be running the
//! service.
//!
//! | file | |
//! |---|---|
//! | `facts` | nodes, services and rules by number, out of a state |
//! | `occupancy` | who is where, and what that leaves of each node |
//! | `fit` | what keeps a service from a node, and how good a node is |
//! | `planner`, `units` | who stays, and who goes where |
//! | `importance` | how much a service counts |
//! | `room`, `late` | for whom room is made, and who goes back |
//! | [`plan`](plan()), [`verdicts`] | what comes of it, and why |
//! | [`check`](check()) | whether it is right |
//! | `steps`, `turn`, `reach` | the next step: an assignment, or a stop |
//! | [`Paper`] | what would be after something that has not happened |
//! | [`idle`](idle()), [`alone`](alone()) | rules that change nothing, and what hangs on one node |
//!
//! A service stays where it is while it may: only a rule that must not be broken, an operator, or
//! room for something more important moves it, and `failback`. What is nowhere goes to the best
//! node that may have it. "Best" is decided by, in this order: the fewest reference points at which
//! it is behind others, not being in quarantine, the operator's wish, the highest promotion score,
//! the fewest at which it was behind not long ago, the fewest failures there, rules that may be
//! broken (`prefer`, `together` and `apart` with a number), the load, the lowest number.
//!
//! A service with copies goes only where one runs whose agents give it a score above zero.
//!
//! While the cluster is disarmed nothing goes anywhere: what ended begins again where it was, or
//! where an operator moves it (rule M5). What is in maintenance stays as it is (section 15).
//!
//! The more important come first, and in planned stops what needs another goes before it (`turn`).
//! What another needs counts as much as that (`importance`).

mod alone;
mod check;
mod explain;
mod facts;
mod fit;
mod idle;
mod importance;
mod late;
mod occupancy;
mod paper;
mod plan;
mod planner;
mod reach;
mod room;
mod steps;
mod turn;
mod units;

use alloc::collections::BTreeSet;

pub use alone::{Alone, Lonely, Narrow, alone};
pub use check::{Broken, check};
pub use explain::{Verdict, verdicts};
pub use fit::{Factor, Obstacle};
pub use idle::{Idle, LINTED, Rule, idle};
pub use importance::{Importances, stands_on};
pub use paper::{Paper, settled, without};
pub use plan::{Decision, Leave, Plan, Why, plan, plan_without};
pub use reach::unreachable;
pub use steps::{assignment, best, departure, nowhere, successors, takeover};
pub(crate) use turn::by_importance;

use crate::id::NodeId;
use crate::points::Seen;
use crate::state::State;

/// The nodes that may take a service: in the view, heard, with their daemon alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Able {
    /// They.
    pub nodes: BTreeSet<NodeId>,
    /// Those that come and go: they are given something only where nobody else could take it.
    pub quarantined: BTreeSet<NodeId>,
}

impl From<BTreeSet<NodeId>> for Able {
    fn from(nodes: BTreeSet<NodeId>) -> Self {
        Self { nodes, quarantined: BTreeSet::new() }
    }
}

/// All that a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// What every member agrees on.
    pub state: &'a State,
    /// Who may take something.
    pub able: &'a Able,
    /// Who sees which reference point.
    pub seen: &'a Seen,
}

impl<'a> Sight<'a> {
    /// These.
    #[must_use]
    pub fn new(state: &'a State, able: &'a Able, seen: &'a Seen) -> Self {
        Self { state, able, seen }
    }
}
