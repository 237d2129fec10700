//! Whether a state that came from outside can be gone on with: from a disk, or from another node.

use core::fmt;

use super::State;
use crate::id::ServiceId;
use crate::time::Span;
use crate::timers::Timers;

/// Counters grow by one with each change. None gets here within the life of a cluster, and from
/// here on none reaches the end of its numbers.
const LARGEST: u64 = 1 << 62;
/// Every timer follows from a ride-out of a minute at most, or is the lease of a disarmed cluster.
const LONGEST_TIMER: Span = super::LONGEST_DISARMED;

/// Why a state can't be the cluster's: it was damaged, or made by something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsound {
    /// A counter stands where no cluster gets to.
    Counter(&'static str),
    /// A timer that no configuration leads to.
    Timers,
    /// An assignment is newer than everything: the next ones would be older.
    Epoch(ServiceId),
}

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counter(which) => write!(f, "the {which} is larger than it can be"),
            Self::Timers => f.write_str("the timers follow from no configuration"),
            Self::Epoch(service) => write!(f, "the assignment of {service} is from the future"),
        }
    }
}

impl core::error::Error for Unsound {}

impl State {
    /// Whether every change can be applied to it. A state that grew out of changes is sound; one
    /// that was read must be asked first.
    ///
    /// # Errors
    /// Says what can't be.
    pub fn check(&self) -> Result<(), Unsound> {
        let counters = [
            ("position in the log", self.applied.0),
            ("epoch", self.epoch.0),
            ("revision", self.revision),
            ("number of the next node", self.next_node),
            ("number of incidents", self.incident_count),
            ("number of the newest grant", self.later.grant.0),
        ];
        let words = self.later.fencing.watchdogs.values().map(|it| it.number);
        let mut counters =
            counters.into_iter().chain(words.map(|it| ("number of a watchdog's word", it)));
        if let Some((which, _)) = counters.find(|(_, count)| *count > LARGEST) {
            return Err(Unsound::Counter(which));
        }
        let newest = self.members.keys().chain(self.left.keys()).max();
        // Founding begins to count: nobody can have a number before.
        let too_early = self.cluster.is_none() && self.next_node != 0;
        if too_early || newest.is_some_and(|newest| newest.0 >= self.next_node) {
            return Err(Unsound::Counter("number of a node"));
        }
        if !possible(&self.timers) || !self.former_timers.as_ref().is_none_or(possible) {
            return Err(Unsound::Timers);
        }
        let newer = self.assignments.iter().find(|(_, it)| it.epoch > self.epoch);
        newer.map_or(Ok(()), |(service, _)| Err(Unsound::Epoch(service.clone())))
    }
}

/// Whether one can count with them. The rules between them may differ from one release to the next;
/// this does not.
fn possible(timers: &Timers) -> bool {
    let Timers { ride_out, round_trip, heartbeat, lease, elect_after, suspect_after } = *timers;
    let all = [ride_out, round_trip, heartbeat, lease, elect_after, suspect_after];
    heartbeat > Span::ZERO && lease > Span::ZERO && all.into_iter().all(|it| it <= LONGEST_TIMER)
}
