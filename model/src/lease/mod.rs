//! Leases: when a coordinator may take a lease for ended, every order of steps within bounds.
//!
//! The guards are the core's own machines ([`Lease`](stead_core::lease::Lease)), as is the proof
//! (`core::fencing`). Between them is a network that is in groups, a log that elects whom it likes
//! with any majority, and a clock that goes on by an exchange of heartbeats or by a silence of half
//! a lease. A machine can't be copied, so a state is the way to it, and is played again.
//!
//! What must never be: a coordinator that the log elected last holds the proof that a node's lease
//! has expired, and that node's guard still counts it as valid.
//!
//! Absent on purpose: clocks that differ (the wait is counted for that, and the simulator has
//! them), gates and programs, changes of the timers (section 13).

pub mod cases;
mod world;

use std::hash::{Hash, Hasher};

use stateright::{Model, Property};

use self::world::World;
use crate::rules::Without;
use crate::ties::log::{Nodes, each, name};

/// The most groups that a network falls into.
const MOST_GROUPS: usize = 4;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Heartbeats are exchanged within groups.
    Exchange {
        /// The groups.
        groups: [Nodes; MOST_GROUPS],
        /// What could not get through arrives before the next exchange.
        late: bool,
    },
    /// Half a lease goes by, and nobody hears anybody.
    Silence,
    /// The log elects a coordinator.
    Elect {
        /// Whom.
        node: u8,
        /// With whose votes.
        with: Nodes,
    },
    /// The coordinator changes who votes.
    Change {
        /// Who votes from then on.
        voters: Nodes,
        /// Who stores that.
        with: Nodes,
    },
    /// A node's guard starts anew.
    Restart(u8),
}

/// How far a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many nodes there are.
    pub nodes: u8,
    /// How many of them vote at first.
    pub voters: u8,
    /// In how many groups the network is at most.
    pub groups: usize,
    /// Exchanges of heartbeats.
    pub exchanges: u8,
    /// Silences of half a lease.
    pub silences: u8,
    /// Elections.
    pub elections: u8,
    /// Changes of the voters.
    pub changes: u8,
    /// Restarts of guards.
    pub restarts: u8,
    /// Exchanges of which what can't get through is late instead of lost.
    pub late: u8,
}

impl Bounds {
    /// What is left after a step; nothing if it is one too many.
    fn less(mut self, step: &Step) -> Option<Self> {
        let spent = match step {
            Step::Exchange { late, .. } => {
                self.late = self.late.checked_sub(u8::from(*late))?;
                &mut self.exchanges
            }
            Step::Silence => &mut self.silences,
            Step::Elect { .. } => &mut self.elections,
            Step::Change { .. } => &mut self.changes,
            Step::Restart(_) => &mut self.restarts,
        };
        *spent = spent.checked_sub(1)?;
        Some(self)
    }
}

/// The model.
#[derive(Clone, Debug)]
pub struct Leases {
    /// How far it goes.
    pub bounds: Bounds,
    /// What is left out.
    pub without: Without,
    groups: Vec<[Nodes; MOST_GROUPS]>,
}

/// A state: the way to it, and what came of that.
#[derive(Clone, Debug)]
pub struct Moment {
    way: Vec<Step>,
    left: Bounds,
    next: Vec<Step>,
    digest: u64,
    standing: String,
    bad: Option<(u8, u8)>,
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        (self.digest, self.left) == (other.digest, other.left)
    }
}

impl Hash for Moment {
    fn hash<H: Hasher>(&self, to: &mut H) {
        self.digest.hash(to);
        let left = &self.left;
        (left.exchanges, left.silences, left.elections, left.changes).hash(to);
        (left.restarts, left.late).hash(to);
    }
}

impl Leases {
    /// The model.
    #[must_use]
    pub fn new(bounds: Bounds, without: Without) -> Self {
        let few = |groups: &[Nodes; MOST_GROUPS]| {
            groups.iter().filter(|group| **group != 0).count() <= bounds.groups
        };
        let groups = partitions(bounds.nodes).into_iter().filter(few).collect();
        Self { bounds, without, groups }
    }

    fn played(&self, way: Vec<Step>, left: Bounds) -> Option<Moment> {
        let mut world = World::new(self.bounds.nodes, self.bounds.voters, self.without.clone());
        self.first().iter().for_each(|step| {
            world.step(step);
        });
        if !way.iter().all(|step| world.step(step)) {
            return None;
        }
        let next = if world.bad.is_some() { Vec::new() } else { self.steps(&world, left) };
        let (digest, standing, bad) = (world.digest(), leases(&world), world.bad);
        Some(Moment { way, left, next, digest, standing, bad })
    }

    /// How every way begins. The guards' starts are long ago; a coordinator is elected, all hear
    /// it; half a lease later a bare majority does once more. Which nodes these are makes no
    /// difference.
    fn first(&self) -> Vec<Step> {
        let all = (1 << self.bounds.nodes) - 1;
        let with = World::majorities((1 << self.bounds.voters) - 1, 0).next().unwrap_or(1);
        let exchange = |groups| Step::Exchange { groups, late: false };
        let (whole, few) = ([all, 0, 0, 0], [with, all & !with, 0, 0]);
        let elect = Step::Elect { node: 0, with };
        let long_ago = [exchange(whole), Step::Silence, Step::Silence, exchange(whole)];
        let lately = [elect, exchange(whole), Step::Silence, exchange(few)];
        long_ago.into_iter().chain(lately).collect()
    }

    fn steps(&self, world: &World, left: Bounds) -> Vec<Step> {
        let mut steps = vec![Step::Silence];
        for late in [false, true] {
            steps.extend(self.groups.iter().map(|groups| Step::Exchange { groups: *groups, late }));
        }
        for node in each(world.voters).filter(|node| world.leader() != Some(*node)) {
            let with = World::majorities(world.voters, node);
            steps.extend(with.map(|with| Step::Elect { node, with }));
        }
        steps.extend((0..self.bounds.nodes).map(Step::Restart));
        if let Some(leader) = world.leader() {
            let others = (0..self.bounds.nodes).filter(|node| *node != leader);
            for voters in others.map(|node| world.voters ^ 1 << node) {
                let with = World::majorities(voters, leader);
                steps.extend(with.map(|with| Step::Change { voters, with }));
            }
        }
        steps.retain(|step| left.less(step).is_some());
        steps
    }
}

impl Model for Leases {
    type State = Moment;
    type Action = Step;

    fn init_states(&self) -> Vec<Moment> {
        self.played(Vec::new(), self.bounds).into_iter().collect()
    }

    fn actions(&self, moment: &Moment, steps: &mut Vec<Step>) {
        steps.extend(&moment.next);
    }

    fn next_state(&self, moment: &Moment, step: Step) -> Option<Moment> {
        let left = moment.left.less(&step)?;
        let mut way = moment.way.clone();
        way.push(step);
        self.played(way, left)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("safe", |_, moment: &Moment| moment.bad.is_none())]
    }

    fn format_action(&self, step: &Step) -> String {
        match *step {
            Step::Exchange { groups, late } => {
                let groups: Vec<_> =
                    groups.iter().filter(|group| **group != 0).map(|it| name(*it)).collect();
                let rest = if late { "; the rest is late" } else { "" };
                format!("heartbeats within {}{rest}", groups.join(" and "))
            }
            Step::Silence => "silence for half a lease".into(),
            Step::Elect { node, with } => {
                format!("node {} is elected by {}", node + 1, name(with))
            }
            Step::Change { voters, with } => {
                format!("it makes {} the voters, stored by {}", name(voters), name(with))
            }
            Step::Restart(node) => format!("node {}'s guard starts anew", node + 1),
        }
    }
}

/// What is wrong with a state.
#[must_use]
pub fn outcome(moment: &Moment) -> String {
    moment.bad.map_or_else(String::new, |(leader, node)| {
        format!("node {} has the proof that node {}'s lease is over", leader + 1, node + 1)
    })
}

/// Where everybody stands.
#[must_use]
pub fn standing(moment: &Moment) -> String {
    moment.standing.clone()
}

fn leases(world: &World) -> String {
    let leases = world.leases().into_iter().enumerate();
    let leases: Vec<_> = leases
        .filter_map(|(node, left)| left.map(|left| format!("node {} for {left} ms", node + 1)))
        .collect();
    let leases = if leases.is_empty() { "none".into() } else { leases.join(", ") };
    let (at, voters) = (world.now.0 / 1_000, name(world.voters));
    format!("at {at} ms; voters {voters}; leases: {leases}")
}

/// All ways in which nodes fall into groups.
fn partitions(nodes: u8) -> Vec<[Nodes; MOST_GROUPS]> {
    let mut all = vec![[0; MOST_GROUPS]];
    for node in 0..nodes {
        all = all.iter().flat_map(|groups| joined(*groups, node)).collect();
    }
    all
}

fn joined(groups: [Nodes; MOST_GROUPS], node: u8) -> impl Iterator<Item = [Nodes; MOST_GROUPS]> {
    let used = groups.iter().filter(|group| **group != 0).count();
    (0..MOST_GROUPS.min(used + 1)).map(move |at| {
        let mut groups = groups;
        groups[at] |= 1 << node;
        groups
    })
}
