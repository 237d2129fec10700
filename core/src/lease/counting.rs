//! By which length of lease this guard counts, and how it comes to count by a shorter one.
//!
//! `docs/protocol.md`, section 13. A longer lease comes from the guard's own daemon, which has it
//! from the committed state. A shorter one may come from anywhere, for a node may always shorten
//! what it has; and once it has done so it says it in every heartbeat, so that nobody waits for
//! what is no more.

use serde::{Deserialize, Serialize};

use super::Lease;
use super::heartbeat::Heartbeat;
use crate::time::{Instant, Span};
use crate::timers::Timers;

/// What a guard counts by, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The revision of the state that brought it; zero before its daemon has named one.
    pub revision: u64,
    /// L. None of its leases lasts longer than that from now on.
    pub lease: Span,
}

impl Lease {
    /// Says by what this guard counts as soon as nothing can act for longer than that allows. Its
    /// gate is armed anew at once when a lease becomes shorter; a program's keeper sleeps until the
    /// deadline that it saw last, and looks for another then. Whoever waits by the shorter lease
    /// counts from this word, so it has to be one that the keepers have seen.
    pub(super) fn say_counts(&mut self, now: Instant) {
        if self.shown <= now + self.timers.lease {
            self.said = Counts { revision: self.revision, lease: self.timers.lease };
        }
    }

    /// Its daemon names the timers in force. A daemon that lags behind may name those of the past
    /// after this guard has said that it counts by later ones: they are not taken (rule M3).
    pub(super) fn on_count(&mut self, now: Instant, revision: u64, timers: Timers) {
        if revision >= self.revision {
            self.count_by(now, revision, timers);
        }
    }

    /// A coordinator of this guard's own term counts by a later state than this guard's daemon has
    /// told, or can tell: it may be away. What is shorter there is shorter here (rule M3).
    pub(super) fn hear_counts(&mut self, now: Instant, heartbeat: &Heartbeat) {
        let Some(counts) = heartbeat.more.counts else { return };
        let present = heartbeat.coordinator && heartbeat.term == self.term;
        let newer = self.revision > 0 && counts.revision > self.revision;
        if present && newer && counts.lease <= self.timers.lease {
            let timers = self.timers.disarmed(counts.lease);
            self.count_by(now, counts.revision, timers);
        }
    }

    /// Counts by these timers from now on. What it has may have been given by longer ones: it ends
    /// where a lease of now would end.
    pub(super) fn count_by(&mut self, now: Instant, revision: u64, timers: Timers) {
        let shorter = timers.lease < self.timers.lease;
        let news = timers != self.timers;
        (self.revision, self.timers) = (revision, timers);
        if shorter {
            let most = now + timers.lease;
            self.lease = self.lease.min(most);
            self.kept_authority = self.kept_authority.min(most);
            if let Some(authority) = &mut self.authority {
                authority.cap(most);
            }
            // The gate first, then the word: a guard that is stopped right after it has said so
            // must not leave its gate open for longer than it said.
            if !self.holdings.is_empty() && self.gate_until(now) < self.armed {
                self.enforce(now);
            }
        }
        self.say_counts(now);
        if news {
            self.beat_all(now);
            self.report(now);
        }
    }
}
