//! Services that hang on one node: they can run there only, or have no place once it is lost.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::Verdict;
use super::explain::verdicts;
use super::facts::Facts;
use super::fit::Obstacle;
use super::idle::{Course, cost};
use super::occupancy::Occupancy;
use super::paper::Paper;
use super::planner::Planner;
use super::units::Order;
use crate::id::{NodeId, ServiceId};
use crate::state::config::Config;

/// A service that hangs on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alone {
    /// Which.
    pub service: ServiceId,
    /// On which node, or on each of which.
    pub nodes: Vec<String>,
    /// What makes it so.
    pub by: Narrow,
}

/// What makes a service hang on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Narrow {
    /// `only` and `never` leave it that one.
    Places,
    /// So do they and `copies`.
    Copies,
    /// No other node that it may be on has enough of that.
    Capacity(String),
    /// No other node may have it with what it has to be together with.
    Together(ServiceId),
    /// It can run elsewhere, and has no place there once that node is lost: for that reason on one
    /// of the nodes that are left, if it is known.
    Room(Option<Obstacle>),
}

/// The services of a configuration that hang on one node, while all others are up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lonely {
    /// They.
    pub all: Vec<Alone>,
    /// The failure of each node was not planned, since that would have taken too long: only what
    /// can run on one node is among them.
    pub unplanned: bool,
}

/// Finds them. `most` is how much may be planned for it: see [`super::LINTED`].
#[must_use]
pub fn alone(config: &Config, most: usize) -> Lonely {
    let mut found = Lonely::default();
    // Where there is one node, all hang on it.
    if config.nodes.len() < 2 {
        return found;
    }
    let paper = Paper::new(config);
    found.all = narrow(&paper);
    let mut left = most;
    let Some(course) = Course::new(paper.clone(), cost(config), &mut left) else {
        found.unplanned = true;
        return found;
    };
    let known: BTreeSet<ServiceId> = found.all.iter().map(|it| it.service.clone()).collect();
    for (service, nodes) in course.left_without() {
        if known.contains(service) {
            continue;
        }
        let by = Narrow::Room(nodes.first().and_then(|node| reason(&paper, *node, service)));
        let nodes = nodes.into_iter().map(|node| paper.state().name(node)).collect();
        found.all.push(Alone { service: service.clone(), nodes, by });
    }
    found
}

/// What can run on one node only, whoever is there.
fn narrow(paper: &Paper) -> Vec<Alone> {
    let facts = Facts::new(paper.sight(), None);
    let empty = Occupancy::empty(&facts);
    let mut planner = Planner::new(&facts, Order::ALL[0]);
    let mut found = Vec::new();
    for service in 0..facts.services.len() {
        let obstacles: Vec<Option<Obstacle>> =
            (0..facts.nodes.len()).map(|node| facts.obstacle(&empty, service, node)).collect();
        let free = |it: &Option<Obstacle>| it.is_none();
        let (node, by) = match obstacles.iter().filter(|it| free(it)).count() {
            1 => (obstacles.iter().position(free), narrowed_by(&obstacles)),
            0 => continue,
            _ => {
                let unit = planner.unit(service).to_vec();
                let other = unit.iter().find(|it| **it != service).copied();
                let nodes = 0..facts.nodes.len();
                let may: Vec<usize> = nodes.filter(|node| planner.may(&unit, *node)).collect();
                let (Some(other), [node]) = (other, may.as_slice()) else { continue };
                (Some(*node), Narrow::Together(facts.services[other].id.clone()))
            }
        };
        let nodes = node.map(|node| facts.nodes[node].name.into()).into_iter().collect();
        found.push(Alone { service: facts.services[service].id.clone(), nodes, by });
    }
    found
}

/// The last of what took all nodes but one away.
fn narrowed_by(obstacles: &[Option<Obstacle>]) -> Narrow {
    let full = obstacles.iter().flatten().find_map(|it| {
        if let Obstacle::Full { quantity, .. } = it { Some(quantity.clone()) } else { None }
    });
    match full {
        Some(quantity) => Narrow::Capacity(quantity),
        None if obstacles.contains(&Some(Obstacle::Unfit)) => Narrow::Copies,
        None => Narrow::Places,
    }
}

/// What keeps a service from a node that is left once another is lost.
fn reason(paper: &Paper, lost: NodeId, service: &ServiceId) -> Option<Obstacle> {
    let mut paper = paper.clone();
    paper.settle();
    paper.lose(lost);
    paper.settle();
    let mut barred = verdicts(paper.sight(), service).into_iter().filter_map(|(_, it)| match it {
        Verdict::Barred(Obstacle::Away | Obstacle::Place | Obstacle::Unfit) => None,
        Verdict::Barred(obstacle) => Some(obstacle),
        Verdict::Worse(_) | Verdict::Best => None,
    });
    barred.next()
}
