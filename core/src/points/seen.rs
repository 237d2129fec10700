//! Who sees which reference point, as far as this node was told, and who is behind.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{MOST, Point, Told, of_config, of_service};
use crate::id::{NodeId, ServiceId};
use crate::lease::Report;
use crate::state::State;
use crate::table::Table;
use crate::time::{Instant, Span};

/// A node that was behind is no target for so many ride-outs, if it was the first time for long.
const FIRST_HOLD: u64 = 10;
/// Each time more doubles that, up to so many; after twice that without it, counting begins anew.
const LONGEST_HOLD: u64 = 1_000;

/// What is known of all nodes. It is this node's alone: the coordinator acts on its own.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    revision: u64,
    points: Vec<Point>,
    /// Which points speak for each service that is watched at all.
    services: BTreeMap<ServiceId, u8>,
    nodes: Table<NodeId, [Known; MOST]>,
    at: Instant,
    ride_out: Span,
}

/// What is known of one node at one point, on this node's clock.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// When the point answered it last.
    answered: Option<Instant>,
    /// Since when it asks in vain, or may be: it can't be later.
    lost: Option<Instant>,
    /// Since when it has had answers, without missing any for half a ride-out.
    well: Option<Instant>,
    behind: bool,
    /// When it was last behind.
    last_behind: Option<Instant>,
    /// How often it was so again soon after.
    again: u32,
}

/// What a node sees of one point, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// It says nothing of it: it can't ask, it does not know how, or it is not heard.
    Unknown,
    /// It has answers.
    Answers,
    /// It was behind not long ago: it is no target until it has seen the point for a while.
    Again,
    /// It asks in vain, and nobody does better.
    Missed,
    /// It asks in vain, while another node has answers.
    Behind,
}

impl Seen {
    /// Takes a report of this node's guard.
    pub fn note(&mut self, me: NodeId, state: &State, report: &Report) {
        if !self.follow(state) {
            return;
        }
        self.at = report.at;
        let own = (me, report.at, &report.more.points);
        let limit = state.timers.suspect_after;
        let lately = |heard: Instant| report.at.since(heard) <= limit;
        let others = report.peers.iter().filter_map(|(node, peer)| {
            let heard = peer.heard.filter(|at| peer.daemon_alive && lately(*at))?;
            Some((*node, heard, &peer.more.points))
        });
        for known in self.nodes.values_mut().flatten() {
            (known.answered, known.lost) = (None, None);
        }
        for (node, at, told) in core::iter::once(own).chain(others) {
            if told.revision == self.revision {
                take(self.nodes.get_or_insert_with(node, Default::default), at, told);
            }
        }
        self.nodes.retain(|node, _| state.members.contains_key(node));
        self.compare();
    }

    /// Takes the configuration, if it is new. Says whether there are points at all.
    fn follow(&mut self, state: &State) -> bool {
        self.ride_out = state.timers.ride_out;
        if self.revision == state.revision {
            return !self.points.is_empty();
        }
        self.revision = state.revision;
        let points = state.config.as_ref().map(of_config).unwrap_or_default();
        if points != self.points {
            self.points = points;
            self.nodes.clear();
        }
        let services = state.config.iter().flat_map(|config| {
            let each = |it: &ServiceId| (it.clone(), of_service(config, &self.points, it));
            config.services.keys().map(each).collect::<Vec<_>>()
        });
        self.services = services.filter(|(_, set)| *set != 0).collect();
        !self.points.is_empty()
    }

    /// Who is behind, and was not before: rule P1.
    fn compare(&mut self) {
        let (at, ride_out) = (self.at, self.ride_out);
        for number in 0..self.points.len() {
            for known in self.nodes.values_mut() {
                known[number].note_well(at, ride_out);
            }
            let steady = self.nodes.values().filter(|known| known[number].is_steady(at, ride_out));
            let newest = steady.filter_map(|known| known[number].answered).max();
            for known in self.nodes.values_mut() {
                let known = &mut known[number];
                // What is told is some milliseconds old, each time some others: who is behind stays
                // so until that can't be it. Else one loss would count as several.
                let enough = if known.behind { Span(ride_out.0 / 2) } else { ride_out };
                let lost = known.lost.map(|lost| lost + enough);
                let behind = lost.zip(newest).is_some_and(|(lost, newest)| newest >= lost);
                known.take(at, behind, ride_out);
            }
        }
    }

    /// The points, in the order of their numbers.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The numbers of the points that speak for a service.
    pub fn points_of(&self, service: &ServiceId) -> impl Iterator<Item = usize> + use<> {
        let set = self.services.get(service).copied().unwrap_or(0);
        (0..MOST).filter(move |number| set >> number & 1 == 1)
    }

    /// Services whose network is watched.
    pub fn watched(&self) -> impl Iterator<Item = &ServiceId> {
        self.services.keys()
    }

    /// At how many of a service's points a node is behind.
    #[must_use]
    pub fn misses(&self, node: NodeId, service: &ServiceId) -> usize {
        self.count(node, service, |known| known.behind)
    }

    /// At how many it is behind or was not long ago.
    #[must_use]
    pub fn doubts(&self, node: NodeId, service: &ServiceId) -> usize {
        self.count(node, service, |known| self.is_doubtful(known))
    }

    fn count(&self, node: NodeId, service: &ServiceId, what: impl Fn(&Known) -> bool) -> usize {
        if self.services.is_empty() {
            return 0;
        }
        let Some(known) = self.nodes.get(&node) else { return 0 };
        self.points_of(service).filter(|number| what(&known[*number])).count()
    }

    /// Whether a service would be seen by more of its points on `to` than it is on `from`: rule P2.
    /// What `to` has only just got back counts as if it had not.
    #[must_use]
    pub fn sees_more(&self, to: NodeId, from: NodeId, service: &ServiceId) -> bool {
        let (Some(to), Some(from)) = (self.nodes.get(&to), self.nodes.get(&from)) else {
            return false;
        };
        let (mut gained, mut lost) = (0, 0);
        for number in self.points_of(service) {
            let doubtful = self.is_doubtful(&to[number]);
            let sees = to[number].is_steady(self.at, self.ride_out);
            gained += usize::from(from[number].behind && sees && !doubtful);
            lost += usize::from(doubtful && !from[number].behind);
        }
        gained > lost
    }

    /// What a node sees of a point.
    #[must_use]
    pub fn view(&self, node: NodeId, number: usize) -> View {
        let known = self.nodes.get(&node).and_then(|known| known.get(number));
        let Some(known) = known else { return View::Unknown };
        let missed = known.lost.is_some_and(|lost| self.at.since(lost) >= self.ride_out);
        if known.behind {
            View::Behind
        } else if missed {
            View::Missed
        } else if known.answered.is_none() {
            View::Unknown
        } else if self.is_doubtful(known) {
            View::Again
        } else {
            View::Answers
        }
    }

    /// How long ago a point answered a node, as far as this node was told.
    #[must_use]
    pub fn age(&self, node: NodeId, number: usize) -> Option<Span> {
        let known = self.nodes.get(&node)?.get(number)?;
        Some(self.at.since(known.answered?))
    }

    fn is_doubtful(&self, known: &Known) -> bool {
        let hold = known.hold(self.ride_out);
        known.behind || known.last_behind.is_some_and(|last| self.at.since(last) < hold)
    }
}

impl Known {
    /// Notes since when it has had answers.
    fn note_well(&mut self, at: Instant, ride_out: Span) {
        let missed = self.lost.map_or(Span::ZERO, |lost| at.since(lost));
        if self.answered.is_none() || missed >= Span(ride_out.0 / 2) {
            self.well = None;
        } else {
            self.well.get_or_insert(at);
        }
    }

    /// Whether it has had answers for a ride-out, up to now. When a point that all had lost comes
    /// back, some have their first answer a moment before others: they are ahead of nobody.
    fn is_steady(&self, at: Instant, ride_out: Span) -> bool {
        let lately = self.answered.is_some_and(|answered| at.since(answered) < ride_out);
        lately && self.well.is_some_and(|well| at.since(well) >= ride_out)
    }

    fn take(&mut self, at: Instant, behind: bool, ride_out: Span) {
        if behind {
            if !self.behind {
                let long = ride_out.times(2 * LONGEST_HOLD);
                let soon = self.last_behind.is_some_and(|last| at.since(last) < long);
                self.again = if soon { self.again.saturating_add(1) } else { 0 };
            }
            self.last_behind = Some(at);
        }
        self.behind = behind;
    }

    fn hold(&self, ride_out: Span) -> Span {
        let times = FIRST_HOLD.checked_shl(self.again).filter(|it| *it >= FIRST_HOLD);
        ride_out.times(times.unwrap_or(LONGEST_HOLD).min(LONGEST_HOLD))
    }
}

/// What was told at that moment, on this node's clock.
fn take(known: &mut [Known; MOST], at: Instant, told: &Told) {
    for (known, told) in known.iter_mut().zip(&told.points) {
        known.answered = told.answered.span().map(|age| at - age);
        known.lost = told.missed.span().map(|missed| at - missed);
    }
}
