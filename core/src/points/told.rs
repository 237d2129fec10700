//! What a node tells of the reference points: to its guard by instants, to others by ages.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::time::{Instant, Span};

/// The most reference points of a cluster, all its networks together: they travel in every
/// heartbeat.
pub const MOST: usize = 8;

/// What a daemon knows of the reference points, on this machine's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The revision of the configuration whose order numbers the points.
    pub revision: u64,
    /// Each point, in that order.
    pub points: [Watch; MOST],
}

/// What is known of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// When it answered last.
    pub answered: Option<Instant>,
    /// For how long it has been asked in vain since: only time in which it was asked and an answer
    /// could have been read. Nothing if it can't be asked here.
    pub missed: Option<Span>,
}

/// The same for others, whose clocks are not ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The revision of the configuration whose order numbers the points.
    pub revision: u64,
    /// Each point, in that order.
    pub points: [ToldPoint; MOST],
}

/// What is told of one point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldPoint {
    /// How long ago it answered.
    pub answered: Age,
    /// For how long it has been asked in vain since.
    pub missed: Age,
}

impl Told {
    /// What does not change from one heartbeat to the next while nothing happens: the revision, the
    /// points that are known to have answered, and those that were missed for that long.
    #[must_use]
    pub fn outline(&self, long: Span) -> (u64, u8, u8) {
        let set = |is: &dyn Fn(&ToldPoint) -> bool| {
            let numbered = self.points.iter().enumerate().filter(|(_, point)| is(point));
            numbered.fold(0_u8, |set, (number, _)| set | 1 << number)
        };
        let answered = set(&|point| point.answered != Age::UNKNOWN);
        let missed = set(&|point| point.missed.span().is_some_and(|missed| missed >= long));
        (self.revision, answered, missed)
    }
}

/// A length of time in whole milliseconds, up to about a minute, or unknown.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Age(u16);

impl Age {
    /// Not known.
    pub const UNKNOWN: Self = Self(0);
    /// A minute and more.
    pub const LONGEST: Self = Self(u16::MAX);

    /// That long, rounded down.
    #[must_use]
    pub fn of(span: Span) -> Self {
        let millis = u16::try_from(span.0 / 1_000).unwrap_or(u16::MAX);
        Self(millis.saturating_add(1))
    }

    /// How long, if that is known.
    #[must_use]
    pub fn span(self) -> Option<Span> {
        let millis = self.0.checked_sub(1)?;
        Some(Span::from_millis(u64::from(millis)))
    }
}

impl fmt::Debug for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.span() {
            Some(span) => span.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

impl Watched {
    /// What to tell others at that moment. A guard whose daemon is away goes on telling: what was
    /// heard gets older, and what was missed does not.
    #[must_use]
    pub fn told(&self, now: Instant) -> Told {
        let age = |span: Option<Span>| span.map_or(Age::UNKNOWN, Age::of);
        let points = self.points.map(|point| ToldPoint {
            answered: age(point.answered.map(|at| now.since(at))),
            missed: age(point.missed),
        });
        Told { revision: self.revision, points }
    }

    /// Whether others should hear of it before the next heartbeat: a point is missed by more than
    /// `step` longer than before, or answers again.
    #[must_use]
    pub fn is_news(&self, before: &Self, step: Span) -> bool {
        let missed = |watch: &Watch| watch.missed.unwrap_or(Span::ZERO);
        self.revision != before.revision
            || self.points.iter().zip(&before.points).any(|(new, old)| {
                missed(new) > missed(old) + step || missed(new) + step < missed(old)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_whole_milliseconds_or_unknown() {
        assert_eq!(Age::default().span(), None);
        assert_eq!(Age::of(Span::ZERO).span(), Some(Span::ZERO));
        assert_eq!(Age::of(Span::from_micros(1_999)).span(), Some(Span::from_millis(1)));
        assert_eq!(Age::of(Span(u64::MAX)), Age::LONGEST);
        assert!(Age::LONGEST.span() > Some(Span::from_millis(60_000)));
    }

    #[test]
    fn what_was_heard_gets_older_and_what_was_missed_does_not() {
        let mut watched = Watched { revision: 3, ..Watched::default() };
        watched.points[1] =
            Watch { answered: Some(Instant(5_000)), missed: Some(Span::from_millis(7)) };
        let told = watched.told(Instant(905_000));
        assert_eq!(told.points[0], ToldPoint::default());
        assert_eq!(told.points[1].answered.span(), Some(Span::from_millis(900)));
        assert_eq!(told.points[1].missed.span(), Some(Span::from_millis(7)));
    }
}
