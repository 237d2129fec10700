//! A plan: where every service goes, and why.

use alloc::collections::BTreeMap;
use core::fmt;

use super::Sight;
use super::facts::Facts;
use super::fit::{Factor, Obstacle};
use super::planner::Planner;
use super::units::Order;
use crate::id::{NodeId, ServiceId};

/// With more services than that, one order has to do.
const MOST_TRIED: usize = 1_000;

/// Where every service goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What becomes of each service that is configured.
    pub decisions: BTreeMap<ServiceId, Decision>,
}

/// What becomes of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which node of the view has it, or may have it.
    pub from: Option<NodeId>,
    /// Which shall have it.
    pub to: Option<NodeId>,
    /// Why it does not stay where it is.
    pub leaves: Option<Leave>,
    /// Why it is there then, or nowhere.
    pub why: Why,
}

impl Decision {
    /// Whether anything is to be done.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.from != self.to
    }
}

/// Why a service does not stay where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    /// An operator stopped it.
    Stopped,
    /// It is being stopped already.
    Going,
    /// An operator keeps its node from serving: standby, or halted.
    Withdrawn,
    /// A rule keeps it from there.
    Rule(Obstacle),
    /// It goes along with another, which it has to be together with.
    With(ServiceId),
    /// Another needs the room.
    RoomFor(ServiceId),
    /// It prefers another node, and returns.
    Failback,
    /// An operator wants it elsewhere for a while, or that is over.
    Visit,
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("an operator stopped it"),
            Self::Going => f.write_str("it is being stopped"),
            Self::Withdrawn => f.write_str("its node is on standby, or stopped"),
            Self::Rule(obstacle) => write!(f, "{obstacle}"),
            Self::With(other) => write!(f, "it goes along with {other}"),
            Self::RoomFor(other) => write!(f, "{other} needs the room"),
            Self::Failback => f.write_str("it prefers another node, and returns"),
            Self::Visit => f.write_str("an operator wants it there for a while, or back"),
        }
    }
}

/// Why a service is where it is, or nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is left as it is: an operator wants it so, it is on its way, or it waits for a node.
    Left,
    /// It is there, and nothing speaks against that.
    Stays,
    /// No other node may have it.
    Only,
    /// That node is better than the next best.
    Better {
        /// The next best.
        than: NodeId,
        /// By what.
        by: Factor,
    },
    /// Others made room for it there.
    RoomMade,
    /// No other node may have it, and its own, which an operator withdrew, keeps it for so long.
    NowhereElse,
    /// No node may have it.
    Nowhere,
}

/// Where every service of a state goes. The same state and sight, the same plan.
#[must_use]
pub fn plan(sight: Sight<'_>) -> Plan {
    plan_without(sight, None)
}

/// The same as if a node were gone for good, with all that it has.
#[must_use]
pub fn plan_without(sight: Sight<'_>, gone: Option<NodeId>) -> Plan {
    let facts = Facts::new(sight, gone);
    let planner = best_planner(&facts);
    let decisions = facts.services.iter().enumerate().map(|(number, it)| {
        let id = |node: usize| facts.nodes[node].id;
        let fate = &planner.fates[number];
        let decision = Decision {
            from: it.held.map(id),
            to: planner.occupancy.at[number].map(id),
            leaves: fate.leaves.clone(),
            why: fate.why.clone().unwrap_or(Why::Left),
        };
        (it.id.clone(), decision)
    });
    Plan { decisions: decisions.collect() }
}

/// A plan in the usual order. Where somebody finds no place in it, others are tried, and that is
/// taken by which the least is lost.
fn best_planner<'f, 'a>(facts: &'f Facts<'a>) -> Planner<'f, 'a> {
    let run = |order| Planner::new(facts, order).run();
    let [usual, others @ ..] = Order::ALL;
    let mut best = run(usual);
    let mut least = best.loss();
    if facts.services.len() > MOST_TRIED {
        return best;
    }
    for order in others {
        if least.0.is_empty() {
            break;
        }
        let other = run(order);
        let loss = other.loss();
        if loss < least {
            (best, least) = (other, loss);
        }
    }
    best
}
