//! Time as the core sees it: an instant on one node's own clock, and a length of time.
//!
//! The clock counts suspend (`CLOCK_BOOTTIME`). Instants of two nodes are never compared; only
//! lengths travel, and two clocks' rates differ by at most [`DRIFT_PER_MILLION`].

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// How much a clock's rate may differ from true time, in millionths (1/1000). The guard watches the
/// kernel's clock discipline and gives the lease up where it leaves this bound.
pub const DRIFT_PER_MILLION: u64 = 1_000;

/// An instant on this node's clock, in microseconds since the machine started.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Instant(pub u64);

/// A length of time in microseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Span(pub u64);

impl Instant {
    /// The start of the clock: earlier than everything that happened.
    pub const START: Self = Self(0);
    /// Later than everything that can happen.
    pub const NEVER: Self = Self(u64::MAX);

    /// The time since `earlier`; zero if that lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// The time until `later`; zero if that lies in the past.
    #[must_use]
    pub fn until(self, later: Self) -> Span {
        later.since(self)
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// That many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000)
    }

    /// That many microseconds.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Whole microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Milliseconds, with what is left of them.
    #[must_use]
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// This many times as long; the longest there is, if that is longer.
    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// The part of a clock that runs as wrong as allowed, rounded up.
    #[must_use]
    pub const fn drift(self) -> Self {
        // In two parts, for lengths that others say: no product of these can be too large.
        let (whole, part) = (self.0 / 1_000_000, self.0 % 1_000_000);
        Self(whole * DRIFT_PER_MILLION + (part * DRIFT_PER_MILLION).div_ceil(1_000_000))
    }

    /// This length as people say it, in the largest unit that it is a whole number of.
    #[must_use]
    pub fn in_words(self) -> InWords {
        InWords(self)
    }

    /// The difference; zero if `other` is longer.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add<Span> for Instant {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Span> for Instant {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Sub<Span> for Instant {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// A length of time for people, who chose it: "90 min" rather than "5400000 ms".
#[derive(Clone, Copy, Debug)]
pub struct InWords(Span);

impl fmt::Display for InWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] =
            [(3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s")];
        let whole =
            UNITS.iter().find(|(unit, _)| self.0.0 >= *unit && self.0.0.is_multiple_of(*unit));
        match whole {
            Some((unit, name)) => write!(f, "{} {name}", self.0.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000, self.0 % 1_000);
        if part == 0 { write!(f, "{whole} ms") } else { write!(f, "{whole}.{part:03} ms") }
    }
}
