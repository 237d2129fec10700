//! Every timer, derived from the one number that people set.
//!
//! The rules and their reasons stand in `docs/protocol.md`, section 2. They are checked here, when
//! a configuration is read, and at compile time for the defaults: a rule that is broken stops the
//! build.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::time::{DRIFT_PER_MILLION, Span};

/// The ride-out of a cluster whose configuration names none.
pub const DEFAULT_RIDE_OUT: Span = Span::from_millis(300);
/// The round trip of a cluster whose configuration names none: a local network.
pub const DEFAULT_ROUND_TRIP: Span = Span::from_millis(2);
/// The shortest ride-out that is accepted.
pub const SHORTEST_RIDE_OUT: Span = Span::from_millis(20);
/// The longest ride-out that is accepted.
pub const LONGEST_RIDE_OUT: Span = Span::from_millis(60_000);
/// The kernel slack assumed of a holder that did not say its own.
pub const UNKNOWN_SLACK: Span = Span::from_millis(10);
/// The shortest timeout that a watchdog is armed with. Drivers count in whole seconds, and a
/// machine that is busy for one is not to be reset for it.
pub const SHORTEST_WATCHDOG: Span = Span::from_millis(2_000);
/// How late a watchdog may reset its machine: drivers count by ticks of up to a second.
pub const WATCHDOG_LATE: Span = Span::from_millis(1_000);

/// The shortest time between two heartbeats.
const SHORTEST_HEARTBEAT: Span = Span::from_millis(2);
/// How much earlier than the ride-out an election may be, at most.
const LONGEST_ELECTION_LEAD: Span = Span::from_millis(20);
/// How many heartbeats make one of the slow rhythm.
const SLOW_BEATS: u64 = 8;
/// How old the picture may be that people are shown, however long the ride-out is.
const MOMENT: Span = Span::from_millis(250);
/// What is added to the wait so that two clocks' last digits can't matter.
const ROUNDING: Span = Span::from_millis(1);
/// How much longer than an ordinary lease a watchdog counts at least.
const WATCHDOG_MARGIN: Span = Span::from_millis(1_000);
/// How often a watchdog is fed within its timeout.
const FEEDS: u64 = 8;

/// The timers of a cluster: the same committed values on every member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timers {
    /// How long a stall must be survived: R.
    pub ride_out: Span,
    /// The longest round trip of the usable links, spread included.
    pub round_trip: Span,
    /// The time between two heartbeats: h.
    pub heartbeat: Span,
    /// How long a lease lasts from the sending of the heartbeat that earned it: L. Longer than what
    /// follows from the ride-out while the cluster is disarmed (rule M1).
    pub lease: Span,
    /// How long a silent coordinator is waited for before an election.
    pub elect_after: Span,
    /// How long a silent node is waited for before it is suspected and revoked.
    pub suspect_after: Span,
}

/// A ride-out or round trip from which no timers follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimersError {
    /// The ride-out is below [`SHORTEST_RIDE_OUT`].
    RideOutTooShort(Span),
    /// The ride-out is above [`LONGEST_RIDE_OUT`].
    RideOutTooLong(Span),
    /// An election must be possible within the ride-out, so a round trip of a third of it or more
    /// can't be.
    RoundTripTooLong {
        /// The round trip.
        round_trip: Span,
        /// The ride-out that it doesn't fit into.
        ride_out: Span,
    },
}

impl fmt::Display for TimersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RideOutTooShort(span) => {
                write!(f, "a ride-out of {span} is shorter than {SHORTEST_RIDE_OUT}")
            }
            Self::RideOutTooLong(span) => {
                write!(f, "a ride-out of {span} is longer than {LONGEST_RIDE_OUT}")
            }
            Self::RoundTripTooLong { round_trip, ride_out } => write!(
                f,
                "a round trip of {round_trip} is not below a third of the ride-out of {ride_out}"
            ),
        }
    }
}

impl Timers {
    /// The timers that follow from a ride-out and a round trip.
    ///
    /// # Errors
    /// Says which bound the two numbers break.
    pub const fn derive(ride_out: Span, round_trip: Span) -> Result<Self, TimersError> {
        if ride_out.0 < SHORTEST_RIDE_OUT.0 {
            return Err(TimersError::RideOutTooShort(ride_out));
        }
        if ride_out.0 > LONGEST_RIDE_OUT.0 {
            return Err(TimersError::RideOutTooLong(ride_out));
        }
        if round_trip.0.saturating_mul(3) >= ride_out.0 {
            return Err(TimersError::RoundTripTooLong { round_trip, ride_out });
        }
        let twentieth = ride_out.0 / 20;
        let heartbeat =
            if twentieth > SHORTEST_HEARTBEAT.0 { twentieth } else { SHORTEST_HEARTBEAT.0 };
        let third = ride_out.0 / 3;
        let lead = if third < LONGEST_ELECTION_LEAD.0 { third } else { LONGEST_ELECTION_LEAD.0 };
        Ok(Self {
            ride_out,
            round_trip,
            heartbeat: Span(heartbeat),
            lease: Span(ride_out.0 + 4 * heartbeat + 3 * round_trip.0 + lead),
            elect_after: Span(ride_out.0 - lead),
            suspect_after: Span(ride_out.0 + heartbeat + round_trip.0),
        })
    }

    /// How long a coordinator that is heard may be without authority before it counts as none. One
    /// that hears a majority has its authority back after a heartbeat and a round trip.
    #[must_use]
    pub const fn gather(&self) -> Span {
        Span(2 * self.heartbeat.0 + 4 * self.round_trip.0)
    }

    /// How long a guard may tell its daemon nothing while only times go on: a fifth of a ride-out.
    /// What is decided upon may be half a ride-out old (rule C2), and one report may be lost.
    /// People look at it as well, so it is never older than a moment.
    #[must_use]
    pub const fn report(&self) -> Span {
        let fifth = self.ride_out.0 / 5;
        Span(if fifth < MOMENT.0 { fifth } else { MOMENT.0 })
    }

    /// The time between two heartbeats of a satellite and a voter of which neither coordinates. So
    /// sixteen voters cost a satellite as much as two that it speaks to at every heartbeat. A new
    /// coordinator may have heard of a satellite so long ago.
    #[must_use]
    pub const fn slow_rhythm(&self) -> Span {
        Span(SLOW_BEATS * self.heartbeat.0)
    }

    /// When a daemon looks again although nothing happened and it waits for nothing: a quarter of a
    /// ride-out, and no more than a moment. Reports wake it before.
    #[must_use]
    pub const fn look(&self) -> Span {
        let quarter = self.ride_out.0 / 4;
        Span(if quarter < MOMENT.0 { quarter } else { MOMENT.0 })
    }

    /// How long others wait after a node's last sign of life: D.
    ///
    /// `slack` is how late the node's kernel may shut its gate. The lease was counted on the
    /// node's clock, at its slowest; the wait is counted on ours, at its fastest.
    #[must_use]
    pub const fn wait(&self, slack: Span) -> Span {
        let (lease, million) = (self.lease.0, 1_000_000);
        let stretched =
            (lease * (million + DRIFT_PER_MILLION)).div_ceil(million - DRIFT_PER_MILLION);
        // The slack is what another node says of its kernel: it may be any number.
        Span(stretched.saturating_add(slack.0).saturating_add(ROUNDING.0))
    }

    /// These timers with a lease of that length, as long as a cluster is disarmed (rule M1).
    #[must_use]
    pub fn disarmed(self, lease: Span) -> Self {
        Self { lease, ..self }
    }

    /// The lease that follows from the ride-out, disarmed or not: nobody decides, and no gate
    /// stays open, for longer than that without news (rules M2 and M4).
    #[must_use]
    pub const fn ordinary_lease(&self) -> Span {
        let lead = self.ride_out.0.saturating_sub(self.elect_after.0);
        let (beats, trips) = (self.heartbeat.times(4).0, self.round_trip.times(3).0);
        Span(self.ride_out.0.saturating_add(beats).saturating_add(trips).saturating_add(lead))
    }

    /// The shortest timeout that a node's watchdog is armed with: an ordinary lease and a second,
    /// and no less than [`SHORTEST_WATCHDOG`]. So a guard that stands still for a ride-out, which
    /// must cost nothing, feeds it again in time; and what is bound has about as long as a lease
    /// lasts to be stopped in order once that is over.
    #[must_use]
    pub const fn watchdog(&self) -> Span {
        let long = self.ordinary_lease().0 + WATCHDOG_MARGIN.0;
        if long > SHORTEST_WATCHDOG.0 { Span(long) } else { SHORTEST_WATCHDOG }
    }

    /// The time between two feeds of a watchdog with that timeout.
    #[must_use]
    pub const fn feed(timeout: Span) -> Span {
        Span(timeout.0 / FEEDS)
    }

    /// How long after the end of a node's lease its watchdog has certainly reset it (rule W3).
    ///
    /// Twice the timeout: it was fed last before that end, and once more if its guard ended within
    /// the timeout, as the kernel feeds it at such an end. The device counts on its own clock, at
    /// its slowest, and by ticks; the wait is counted on ours, at its fastest.
    #[must_use]
    pub const fn reset_within(timeout: Span) -> Span {
        // The timeout is what another node says: it may be any number, so in two parts.
        let (twice, slowest) = (timeout.0.saturating_mul(2), 1_000_000 - DRIFT_PER_MILLION);
        let apart = 2 * DRIFT_PER_MILLION;
        let (whole, part) = (twice / slowest, twice % slowest);
        let more = whole * apart + (part * apart).div_ceil(slowest);
        Span(twice.saturating_add(more).saturating_add(WATCHDOG_LATE.0))
    }

    /// Whether the rules of the protocol hold between these values.
    #[must_use]
    pub const fn hold(&self) -> bool {
        // A stall shorter than the ride-out costs no lease: the newest heartbeat before the stall
        // may be an interval old, its echo a round trip more, and the same again afterwards.
        self.lease.0 >= self.ride_out.0 + 4 * self.heartbeat.0 + 3 * self.round_trip.0
            // A coordinator is replaced before its own authority and that of others run out.
            && self.elect_after.0 < self.lease.0
            // The receive gap after such a stall reaches R + h, and is no reason for suspicion.
            && self.suspect_after.0 >= self.ride_out.0 + self.heartbeat.0
            // A suspicion that turns out true never delays the takeover.
            && self.suspect_after.0 < self.wait(Span::ZERO).0
            // One report may be lost, and the next is still good enough to act upon.
            && self.report().0.saturating_mul(2) < self.ride_out.0 / 2
            // Nor does it cost a reset: the watchdog was fed a moment before, and has room for it.
            && self.watchdog().0 > self.ride_out.0 + Self::feed(self.watchdog()).0
            // Nobody acts before the slowest clock has seen the lease end.
            && self.wait(Span::ZERO).0 > self.lease.0 + self.lease.drift().0
    }
}

/// The timers of a ride-out that is known at compile time.
const fn checked(ride_out: Span, round_trip: Span) -> Timers {
    match Timers::derive(ride_out, round_trip) {
        Ok(timers) => timers,
        Err(_) => panic!("no timers follow from these values"),
    }
}

const _: () = assert!(checked(DEFAULT_RIDE_OUT, DEFAULT_ROUND_TRIP).hold());
const _: () = assert!(checked(Span::from_millis(50), Span::from_millis(1)).hold());
const _: () = assert!(checked(SHORTEST_RIDE_OUT, Span::from_micros(500)).hold());
const _: () = assert!(checked(LONGEST_RIDE_OUT, Span::from_millis(500)).hold());

impl Default for Timers {
    fn default() -> Self {
        const TIMERS: Timers = checked(DEFAULT_RIDE_OUT, DEFAULT_ROUND_TRIP);
        TIMERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_table() {
        let timers = Timers::derive(Span::from_millis(300), Span::ZERO).unwrap();
        assert_eq!(timers.heartbeat, Span::from_millis(15));
        assert_eq!(timers.lease, Span::from_millis(380));
        assert_eq!(timers.elect_after, Span::from_millis(280));
        assert_eq!(timers.suspect_after, Span::from_millis(315));
        assert_eq!(timers.wait(Span::from_millis(10)).0.div_ceil(1_000), 392);
        let timers = Timers::derive(Span::from_millis(50), Span::ZERO).unwrap();
        assert_eq!(timers.heartbeat, Span::from_micros(2_500));
        assert_eq!(timers.lease.0 / 1_000, 76);
        assert_eq!(timers.elect_after.0.div_ceil(1_000), 34);
    }

    #[test]
    fn the_rules_hold_for_every_accepted_pair() {
        for ride_out in (SHORTEST_RIDE_OUT.0..=LONGEST_RIDE_OUT.0).step_by(7_919) {
            for round_trip in [0, 1, 100, ride_out / 10, ride_out / 4, (ride_out - 1) / 3] {
                if let Ok(timers) = Timers::derive(Span(ride_out), Span(round_trip)) {
                    assert!(timers.hold(), "{timers:?}");
                }
            }
        }
    }

    #[test]
    fn a_longer_lease_leaves_the_ordinary_one_as_it_was() {
        for (ride_out, round_trip) in [(20, 0), (50, 1), (300, 2), (60_000, 500)] {
            let (ride_out, round_trip) =
                (Span::from_millis(ride_out), Span::from_millis(round_trip));
            let timers = Timers::derive(ride_out, round_trip).unwrap();
            let disarmed = timers.disarmed(Span::from_millis(3_600_000));
            assert!(disarmed.hold());
            assert_eq!(timers.ordinary_lease(), timers.lease);
            assert_eq!(disarmed.ordinary_lease(), timers.lease);
        }
    }

    #[test]
    fn a_watchdog_has_two_seconds_or_a_lease_and_one() {
        let of = |millis| Timers::derive(Span::from_millis(millis), Span::ZERO).unwrap().watchdog();
        assert_eq!(of(300), SHORTEST_WATCHDOG);
        assert_eq!(of(1_000), Span::from_millis(1_000 + 200 + 20 + 1_000));
        // Twice as long, by the slower clock, and a tick.
        let two = Timers::reset_within(SHORTEST_WATCHDOG);
        assert_eq!(two, Span::from_micros(4_000_000 + 8_009 + 1_000_000));
        assert_eq!(Timers::reset_within(Span(u64::MAX)), Span(u64::MAX));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |ride_out, round_trip| {
            Timers::derive(Span::from_millis(ride_out), Span::from_millis(round_trip)).is_err()
        };
        assert!(refused(19, 0));
        assert!(refused(60_001, 0));
        assert!(refused(300, 100));
    }
}
