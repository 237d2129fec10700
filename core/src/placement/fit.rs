//! Whether a service may be on a node, and how good that is.
//!
//! What may not be is an [`Obstacle`]. Of what may be the best comes first in the order of its
//! [`Key`]; the first part in which two nodes differ is the reason why one of them is taken
//! ([`Factor`]).

use alloc::string::String;
use core::cmp::{Ordering, Reverse};
use core::fmt;

use super::facts::Facts;
use super::occupancy::Occupancy;
use crate::id::{NodeId, ServiceId};
use crate::state::config::Strength;

/// After so many failures the copy of another node is promoted, whatever the scores.
const PROMOTIONS_TRIED: u32 = 3;
/// What each place further down in `prefer` costs; the strength of other rules is on the same
/// scale.
const STEP: u32 = 10;

/// Why a service may not be on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The node is not in the view.
    Away,
    /// It is in the view and takes nothing at this moment: it is suspected, or its daemon is away.
    Unable,
    /// An operator keeps it from taking anything: standby, halted, or in maintenance.
    Withdrawn,
    /// Its copy there may not be promoted.
    Unfit,
    /// Its `only` or `never` says so.
    Place,
    /// Too little is left of a quantity.
    Full {
        /// Which.
        quantity: String,
        /// How much is left.
        left: u64,
        /// How much it would take.
        needed: u64,
    },
    /// A service is there from which it is apart.
    Apart(ServiceId),
    /// A service is elsewhere with which it has to be together.
    Together(ServiceId),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away => f.write_str("it is not here"),
            Self::Unable => f.write_str("it takes nothing at this moment"),
            Self::Withdrawn => f.write_str("an operator keeps it from taking anything"),
            Self::Unfit => f.write_str("its copy there may not be promoted"),
            Self::Place => f.write_str("`only` or `never` keeps it from there"),
            Self::Full { quantity, left, needed } => {
                write!(f, "{quantity}: {needed} needed, {left} left")
            }
            Self::Apart(other) => write!(f, "{other} is there, and they are apart"),
            Self::Together(other) => write!(f, "{other} is elsewhere, and they go together"),
        }
    }
}

/// By what one node is better than another for a service, the weightiest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Factor {
    /// It sees more of the service's network.
    Reach,
    /// It does not come and go.
    Steady,
    /// An operator wants it there.
    Wish,
    /// The service's promotion has not failed there again and again.
    NotTried,
    /// Its copy is the fitter one.
    Score,
    /// Its network does not come and go.
    SteadyReach,
    /// The service has failed there less often.
    Unharmed,
    /// Rules that say where it would rather be: `prefer`, and `together` and `apart` with a number.
    Rules,
    /// It is less full.
    Load,
    /// It has the lower number: nothing else tells them apart.
    Number,
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reach => "it sees more of the service's network",
            Self::Steady => "it does not come and go",
            Self::Wish => "an operator wants it there",
            Self::NotTried => "its promotion has not failed there again and again",
            Self::Score => "its copy is the fitter one",
            Self::SteadyReach => "its network does not come and go",
            Self::Unharmed => "it has failed there less often",
            Self::Rules => "by rules it would rather be there",
            Self::Load => "it is less full",
            Self::Number => "it has the lower number, and nothing else tells them apart",
        })
    }
}

/// How good a node is for a service, the smaller the better.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    misses: usize,
    quarantined: bool,
    unwished: bool,
    spent: bool,
    score: Reverse<Option<i32>>,
    doubts: usize,
    failures: u32,
    /// What it costs by rules that may be broken.
    cost: u32,
    load: (u64, usize),
    node: NodeId,
}

impl Key {
    /// The first part in which this one is better than the other.
    pub(super) fn better_by(&self, other: &Self) -> Factor {
        let parts: [(Factor, Ordering); 9] = [
            (Factor::Reach, self.misses.cmp(&other.misses)),
            (Factor::Steady, self.quarantined.cmp(&other.quarantined)),
            (Factor::Wish, self.unwished.cmp(&other.unwished)),
            (Factor::NotTried, self.spent.cmp(&other.spent)),
            (Factor::Score, self.score.cmp(&other.score)),
            (Factor::SteadyReach, self.doubts.cmp(&other.doubts)),
            (Factor::Unharmed, self.failures.cmp(&other.failures)),
            (Factor::Rules, self.cost.cmp(&other.cost)),
            (Factor::Load, self.load.cmp(&other.load)),
        ];
        let first = parts.into_iter().find(|(_, order)| *order != Ordering::Equal);
        first.map_or(Factor::Number, |(factor, _)| factor)
    }

    /// Adds what it costs another service of the same set to be there.
    fn and(self, other: &Self) -> Self {
        Self {
            misses: self.misses + other.misses,
            unwished: self.unwished && other.unwished,
            spent: self.spent || other.spent,
            score: self.score.min(other.score),
            doubts: self.doubts + other.doubts,
            failures: self.failures.saturating_add(other.failures),
            cost: self.cost.saturating_add(other.cost),
            ..self
        }
    }
}

impl Facts<'_> {
    /// What keeps a service from a node, whoever is there.
    pub(super) fn barred(&self, service: usize, node: usize) -> Option<Obstacle> {
        let (it, place) = (&self.services[service], &self.nodes[node]);
        if !place.takes {
            let state = self.state();
            return Some(if !place.here {
                Obstacle::Away
            } else if state.takes(place.id) {
                Obstacle::Unable
            } else {
                Obstacle::Withdrawn
            });
        }
        self.out_of_place(service, node).or_else(|| {
            let fit = !it.copied || self.state().is_fit(it.id, place.id);
            (!fit).then_some(Obstacle::Unfit)
        })
    }

    /// What keeps a service that is nowhere from a node, given who is where.
    pub(super) fn obstacle(
        &self,
        occupancy: &Occupancy,
        service: usize,
        node: usize,
    ) -> Option<Obstacle> {
        self.barred(service, node)
            .or_else(|| self.drawn(occupancy, service, node))
            .or_else(|| self.crowded(occupancy, service, node))
    }

    /// Whether rules about places keep a service from a node.
    pub(super) fn out_of_place(&self, service: usize, node: usize) -> Option<Obstacle> {
        let only = self.services[service].only.as_ref();
        only.is_some_and(|only| !only[node]).then_some(Obstacle::Place)
    }

    /// What keeps a service from a node, given who is where.
    pub(super) fn crowded(
        &self,
        occupancy: &Occupancy,
        service: usize,
        node: usize,
    ) -> Option<Obstacle> {
        let it = &self.services[service];
        if !it.copies.contains(&node) && occupancy.at[service] != Some(node) {
            let capacity = self.nodes[node].capacity.iter().enumerate();
            for ((quantity, has), needed) in capacity.zip(&it.uses) {
                let left = has.saturating_sub(occupancy.used(node, quantity));
                if *needed > left {
                    let quantity = self.quantities[quantity].into();
                    return Some(Obstacle::Full { quantity, left, needed: *needed });
                }
            }
        }
        let must = it.apart.iter().filter(|apart| apart.strength == Strength::Must);
        must.into_iter()
            .find(|apart| occupancy.at[apart.other].is_some_and(|at| apart.same(at, node)))
            .map(|apart| Obstacle::Apart(self.services[apart.other].id.clone()))
    }

    /// Who keeps a service from a node by being elsewhere.
    pub(super) fn drawn(
        &self,
        occupancy: &Occupancy,
        service: usize,
        node: usize,
    ) -> Option<Obstacle> {
        let must = |(_, strength): &&(usize, Strength)| *strength == Strength::Must;
        let mut together = self.services[service].together.iter().filter(must);
        together
            .find(|(other, _)| occupancy.at[*other].is_some_and(|at| at != node))
            .map(|(other, _)| Obstacle::Together(self.services[*other].id.clone()))
    }

    /// How good a node is for a service that may be there.
    pub(super) fn key(&self, occupancy: &Occupancy, service: usize, node: usize) -> Key {
        let (it, place) = (&self.services[service], &self.nodes[node]);
        let (state, seen) = (self.state(), self.sight.seen);
        let failures = &it.assignment.failures;
        let failures = if failures.is_empty() { None } else { failures.get(&place.id).copied() };
        let failures = failures.unwrap_or_default();
        let seen_from = |count: &dyn Fn() -> usize| if it.watched { count() } else { 0 };
        Key {
            misses: seen_from(&|| seen.misses(place.id, it.id)),
            quarantined: place.quarantined,
            unwished: it.wish != Some(place.id),
            // A score says nothing of what else its service needs there.
            spent: it.copied && failures >= PROMOTIONS_TRIED,
            score: Reverse(it.copied.then(|| state.score(it.id, place.id)).flatten()),
            doubts: seen_from(&|| seen.doubts(place.id, it.id)),
            failures,
            cost: self.cost(occupancy, service, node),
            load: occupancy.load_with(self, service, node),
            node: place.id,
        }
    }

    /// How good a node is for several that are placed together.
    pub(super) fn key_of_all(
        &self,
        occupancy: &Occupancy,
        all: &[usize],
        node: usize,
    ) -> Option<Key> {
        let keys = all.iter().map(|service| self.key(occupancy, *service, node));
        keys.reduce(|sum, key| sum.and(&key))
    }

    /// What it costs by rules that may be broken.
    fn cost(&self, occupancy: &Occupancy, service: usize, node: usize) -> u32 {
        let it = &self.services[service];
        let rank = it.rank.of(node).unwrap_or(it.rank.length);
        let together = it
            .together
            .iter()
            .filter(|(other, _)| occupancy.at[*other].is_some_and(|at| at != node));
        let together: u32 = together.map(|(_, strength)| strength.cost()).sum();
        let apart = it
            .apart
            .iter()
            .filter(|apart| occupancy.at[apart.other].is_some_and(|at| apart.same(at, node)));
        let apart: u32 = apart.map(|apart| apart.strength.cost()).sum();
        (u32::from(rank) * STEP).saturating_add(together).saturating_add(apart)
    }
}

impl Strength {
    /// What it costs to break such a rule.
    fn cost(self) -> u32 {
        match self {
            Self::Rather(strength) => u32::from(strength),
            // It is not broken; where it is, for a moment, that is not what the choice hangs on.
            Self::Must => 0,
        }
    }
}
