//! What this guard knows of another one.

use super::counting::Counts;
use super::heartbeat::{GateForm, Heartbeat, LogTail, Receipt};
use super::watch::Armed;
use crate::id::{Incarnation, Sequence, Term};
use crate::points::Told;
use crate::table::Table;
use crate::time::{Instant, Span};
use crate::timers::Timers;

/// The number of a link, in the order of the configuration.
pub type LinkId = u8;

/// Another guard, as far as its datagrams tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// Since when it is one.
    since: Instant,
    /// The newest datagram of all; older ones are not looked at.
    newest: (Incarnation, Sequence),
    newest_at: Instant,
    /// The newest that proved to be no recording.
    pub(super) heard: Option<Heard>,
    /// When each link last delivered something, and its number.
    pub(super) links: Table<LinkId, (Sequence, Instant)>,
    /// When the newest of our datagrams that it says it received was sent.
    pub(super) acknowledged: Option<Instant>,
    /// The start in which it released its lease.
    pub(super) released: Option<Incarnation>,
    /// A recent round trip, the longest counting for a while.
    pub(super) round_trip: Span,
    /// It is spoken to in the slow rhythm, unless one of the two coordinates.
    pub(super) slow: bool,
    /// Its newest datagram is a coordinator's. Perhaps a recording: it is answered, no more.
    claims: bool,
    /// When it is spoken to next in the slow rhythm.
    next_slow: Instant,
}

/// What the newest heartbeat said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) at: Instant,
    pub(super) incarnation: Incarnation,
    pub(super) sequence: Sequence,
    pub(super) term: Term,
    pub(super) coordinator: bool,
    pub(super) daemon_alive: bool,
    pub(super) hears_coordinator: bool,
    /// Since when it says that it coordinates in this term and has no authority.
    pub(super) powerless: Option<Instant>,
    pub(super) slack: Span,
    pub(super) log_tail: LogTail,
    pub(super) gate: GateForm,
    pub(super) points: Told,
    pub(super) hears_on: Option<u8>,
    pub(super) counts: Option<Counts>,
    pub(super) watchdog: Option<Armed>,
    /// Since when it says that, in this start and this term.
    pub(super) counts_since: Instant,
}

impl Peer {
    /// One that is new to this guard, or was forgotten.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// When it was last heard; if never, since when it could have been, by a clock that was right
    /// from `started` on.
    pub(super) fn last_sign(&self, started: Instant) -> Instant {
        self.heard.map_or(self.since.max(started), |heard| heard.at)
    }

    /// Notes what arrived. Says whether it is newer than all before and no recording.
    ///
    /// A datagram shows that its sender lives now only if it names a datagram of ours: a recording
    /// from before our start can't. (A recording from after our start is older than `newest`.)
    pub(super) fn note(
        &mut self,
        now: Instant,
        link: LinkId,
        heartbeat: &Heartbeat,
        ours: (Incarnation, Sequence),
    ) -> bool {
        let number = (heartbeat.incarnation, heartbeat.sequence);
        if number.0 > self.newest.0 {
            self.links.clear();
        }
        if number.0 >= self.newest.0 {
            let on_link = self.links.get_or_insert_with(link, Default::default);
            if heartbeat.sequence > on_link.0 {
                *on_link = (heartbeat.sequence, now);
            }
        }
        if number <= self.newest {
            return false;
        }
        self.newest = number;
        self.newest_at = now;
        self.claims = heartbeat.coordinator;
        let fresh = heartbeat
            .receipt
            .is_some_and(|receipt| receipt.incarnation == ours.0 && receipt.sequence <= ours.1);
        if fresh {
            // A coordinator that can act hears itself.
            let same = |heard: &&Heard| {
                let number = (heard.incarnation, heard.term);
                number == (heartbeat.incarnation, heartbeat.term)
            };
            let powerless = (heartbeat.coordinator && !heartbeat.hears_coordinator).then(|| {
                let before = self.heard.as_ref().filter(same);
                before.and_then(|heard| heard.powerless).unwrap_or(now)
            });
            let counts = heartbeat.more.counts;
            let before = self.heard.as_ref().filter(same).filter(|it| it.counts == counts);
            let counts_since = before.map_or(now, |heard| heard.counts_since);
            self.heard = Some(Heard {
                at: now,
                incarnation: heartbeat.incarnation,
                sequence: heartbeat.sequence,
                term: heartbeat.term,
                coordinator: heartbeat.coordinator,
                daemon_alive: heartbeat.daemon_alive,
                hears_coordinator: heartbeat.hears_coordinator,
                powerless,
                slack: heartbeat.slack,
                log_tail: heartbeat.log_tail,
                gate: heartbeat.more.gate,
                points: heartbeat.more.points,
                hears_on: heartbeat.more.links,
                counts,
                watchdog: heartbeat.later.watchdog,
                counts_since,
            });
            if heartbeat.released {
                self.released = Some(heartbeat.incarnation);
            }
        }
        fresh
    }

    /// The newest heartbeat, if it is also the newest datagram. Only then may a receipt count: a
    /// receipt names the newest datagram, which may come from a start that nobody admitted.
    pub(super) fn heard_newest(&self) -> Option<&Heard> {
        self.heard.as_ref().filter(|heard| (heard.incarnation, heard.sequence) == self.newest)
    }

    /// What to tell it about its own datagrams.
    pub(super) fn receipt(&self, now: Instant) -> Option<Receipt> {
        (self.newest.1 > Sequence(0)).then(|| Receipt {
            incarnation: self.newest.0,
            sequence: self.newest.1,
            held: now.since(self.newest_at),
        })
    }

    /// On which links something came from it within that time, a bit for each link.
    pub(super) fn heard_on(&self, now: Instant, patience: Span) -> u8 {
        let heard = self.links.iter().filter(|(_, (_, at))| now.since(*at) <= patience);
        heard.fold(0, |set, (link, _)| set | 1_u8.checked_shl((*link).into()).unwrap_or(0))
    }

    /// Whether little is heard of it, and need not be: a satellite and a voter of which neither
    /// coordinates.
    pub(super) fn is_far(&self, leads: bool) -> bool {
        self.slow && !leads && !self.heard.is_some_and(|heard| heard.coordinator)
    }

    /// Whether it is due to be spoken to. `leads`: this guard acts for a coordinator.
    ///
    /// A new coordinator must be understood at once, by a guard that it has not spoken to for long:
    /// a datagram counts only if it names one of ours ([`Peer::note`]). So the two never lose touch
    /// altogether, and whoever says that it coordinates is answered as any peer is.
    pub(super) fn is_due(&mut self, now: Instant, leads: bool, timers: &Timers) -> bool {
        let claims = self.claims && now.since(self.newest_at) < timers.suspect_after;
        if !self.slow || leads || claims {
            return true;
        }
        let due = now >= self.next_slow;
        if due {
            self.next_slow = now + timers.slow_rhythm();
        }
        due
    }

    /// Takes a measured round trip: a longer one at once, shorter ones slowly.
    pub(super) fn measured(&mut self, round_trip: Span) {
        let faded = Span(self.round_trip.0 - self.round_trip.0 / 64);
        self.round_trip = if round_trip > faded { round_trip } else { faded };
    }

    /// Until when it counts as the coordinator of `term`: its daemon is alive, it is heard, and it
    /// has not been without authority for too long. Whoever hears nobody has none, however loud it
    /// is.
    pub(super) fn coordinates(&self, term: Term, timers: &Timers) -> Option<Instant> {
        let heard = self.heard.as_ref()?;
        let speaks = heard.coordinator && heard.term == term && heard.daemon_alive;
        let silent = heard.at + timers.elect_after;
        let given_up = heard.powerless.map_or(Instant::NEVER, |since| since + timers.gather());
        speaks.then_some(silent.min(given_up))
    }
}
