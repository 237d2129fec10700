//! I2: at most one partition acts. One that is past its last majority echo starts nothing, and
//! keeps what it had until its lease ends.
//!
//! The judge reads the wire: it notes when each voter last echoed a coordinator, and in which term.
//! A node that starts something, or opens an address that it did not have open, stands in a term
//! for which more than half of the voters have done so within the longest lease.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::id::{NodeId, Term};
use stead_core::time::Span;
use stead_core::timers::Timers;

use crate::world::World;

/// So many terms are remembered. Older ones are longer ago than any lease, a disarmed cluster's
/// included: nodes that are apart count up a term in about a second.
const TERMS: usize = 32;

/// What the judge remembers.
#[derive(Debug, Default)]
pub struct Partition {
    /// The newest terms that had a coordinator, oldest first. Asked at every heartbeat, and nearly
    /// always about the last.
    terms: Vec<Spoken>,
    /// Who led the log in each term.
    leaders: BTreeMap<Term, usize>,
    longest: Option<Timers>,
    longest_ordinary: Span,
}

/// A term, as the wire shows it.
#[derive(Debug)]
struct Spoken {
    term: Term,
    coordinator: NodeId,
    /// Who coordinated or echoed, and when last.
    echoed: Vec<(NodeId, u64)>,
}

impl Spoken {
    fn note(&mut self, node: NodeId, now: u64) {
        match self.echoed.iter_mut().find(|(it, _)| *it == node) {
            Some((_, last)) => *last = now,
            None => self.echoed.push((node, now)),
        }
    }
}

impl Partition {
    /// A voter echoed a heartbeat of that term's coordinator.
    pub fn echoes(&mut self, voter: NodeId, to: NodeId, term: Term, now: u64) {
        // Every voter answers everybody; only what reaches the term's coordinator counts.
        let spoken = self.terms.iter_mut().rev().find(|it| it.term == term);
        if let Some(spoken) = spoken.filter(|it| it.coordinator == to) {
            spoken.note(voter, now);
        }
    }

    /// A guard speaks as that term's coordinator.
    pub fn coordinates(&mut self, node: NodeId, term: Term, now: u64) {
        let at = self.terms.partition_point(|it| it.term < term);
        if self.terms.get(at).is_none_or(|it| it.term != term) {
            self.terms.insert(at, Spoken { term, coordinator: node, echoed: Vec::new() });
        }
        self.terms[at].coordinator = node;
        self.terms[at].note(node, now);
        if self.terms.len() > TERMS {
            self.terms.remove(0);
        }
    }

    /// The longest timers seen so far: a lease may outlive the configuration that it came from.
    #[must_use]
    pub fn longest(&self, now: Timers) -> Timers {
        self.longest.filter(|longest| longest.lease > now.lease).unwrap_or(now)
    }

    /// Timers came into force.
    pub fn timers(&mut self, timers: Timers) {
        self.longest = Some(self.longest(timers));
        self.longest_ordinary = self.longest_ordinary.max(timers.ordinary_lease());
    }

    /// Every lease under former timers has run out, they say: from now on these count alone.
    pub fn settled(&mut self, timers: Timers) {
        self.longest = Some(timers);
        self.longest_ordinary = timers.ordinary_lease();
    }

    /// The longest lease so far that follows from a ride-out.
    #[must_use]
    pub fn longest_ordinary(&self) -> Span {
        self.longest_ordinary
    }
}

impl World {
    /// A node does something that it did not do before.
    pub(crate) fn judge_act(&mut self, host: usize, what: &str) {
        if let Some(why) = self.uncarried(host, self.longest_timers().lease)
            && self.excused(&[host]).is_none()
        {
            let name = self.hosts[host].name;
            self.fail("I2", &format!("{name} {what}, and {why}"));
        }
    }

    /// Why that node must not act: for longer than that lease no coordinator that it followed has
    /// been echoed by a majority.
    pub(super) fn uncarried(&self, host: usize, lease: Span) -> Option<String> {
        let slack = self.hosts[host].slack.0;
        let window = lease + lease.drift() + lease.drift() + Span(slack + 1_000);
        let since = self.now.saturating_sub(window.0);
        // The guard goes on counting by the former set until it was told of the present one (C4).
        let sets: Vec<_> = self.hosts[host].disk.voters_so_far().take(2).cloned().collect();
        let (partition, me) = (&self.judges.partition, self.hosts[host].id);
        let carried = |set: &BTreeSet<NodeId>| {
            partition.terms.iter().any(|it| {
                // What carries others carries nobody who is cut off from them.
                let follows = it.echoed.iter().any(|(node, at)| *node == me && *at >= since);
                let echoed =
                    it.echoed.iter().filter(|(node, at)| *at >= since && set.contains(node));
                // Alone nobody has to echo.
                let alone = set.len() == 1 && set.contains(&it.coordinator);
                follows && (alone || echoed.count() * 2 > set.len())
            })
        };
        let sole = |set: &BTreeSet<NodeId>| set.len() == 1 && set.contains(&self.hosts[host].id);
        let fine = sets.is_empty() || sets.iter().any(|set| carried(set) || sole(set));
        if fine {
            return None;
        }
        let (seen, since) = (&self.judges.partition.terms, since / 1_000);
        Some(format!("no majority of {sets:?} echoed a coordinator since {since} ms: {seen:?}"))
    }

    /// A member won an election (P01).
    pub(crate) fn judge_leader(&mut self, host: usize, term: Term) {
        if let Some(before) = self.judges.partition.leaders.insert(term, host) {
            let (a, b) = (self.hosts[before].name, self.hosts[host].name);
            self.fail("I2", &format!("{a} and {b} both lead the log in term {term}"));
        }
    }
}
