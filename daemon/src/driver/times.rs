//! The clock on the wall, for what hangs on one: times of the week, and visits that end.
//!
//! Whoever coordinates looks once a second which times of the configuration are open by its clock,
//! and which visits are over, and has that committed. A plan then follows from the state alone.
//!
//! Failures: a clock that is wrong opens and closes at the wrong time, and nothing else; what can't
//! be committed is tried again. When another node takes over whose clock differs, a time may open
//! or close once more.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Datelike, Timelike, Utc};
use chrono_tz::Tz;
use stead_core::state::config::TimeConfig;
use stead_core::state::{Outcome, State};
use stead_edge::chain;
use tokio::time::sleep;

use super::handle::Handle;
use crate::journal::wall;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);
/// How long the commit may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Has committed what the clock brings, for as long as the daemon runs. Must be called inside a
/// tokio runtime.
pub(super) fn follow(handle: Handle) {
    tokio::spawn(async move {
        loop {
            sleep(LOOK).await;
            let view = handle.view();
            if !view.coordinating || !view.ready {
                continue;
            }
            let Some(change) = view.state.due(wall(), &open(&view.state, wall())) else { continue };
            match handle.submit(change, DEADLINE).await {
                Ok((_, Outcome::Refused(refusal))) => {
                    // Somebody else was faster.
                    tracing::debug!("what the clock brings is refused: {refusal}");
                }
                Ok(_) => {}
                Err(error) => tracing::warn!("what the clock brings waits: {}", chain(&error)),
            }
        }
    });
}

/// Which times of the configuration are open at `now` seconds since 1970.
pub(crate) fn open(state: &State, now: u64) -> BTreeSet<String> {
    let times = state.config.iter().flat_map(|config| &config.later.fencing.rules.times);
    times.filter(|(_, time)| is_open(time, now)).map(|(name, _)| name.clone()).collect()
}

/// Whether a time is open at `now` seconds since 1970.
pub(crate) fn is_open(time: &TimeConfig, now: u64) -> bool {
    let now = i64::try_from(now).ok().and_then(|now| DateTime::<Utc>::from_timestamp(now, 0));
    let Some(now) = now else { return false };
    // What was written down by a version with other zones is read as the usual one.
    let zone = time.zone.parse().unwrap_or(Tz::UTC);
    let local = now.with_timezone(&zone);
    let minute = local.hour() * 60 + local.minute();
    let today = local.weekday().num_days_from_monday();
    let begins =
        |day: u32| time.days.is_empty() || time.days.iter().any(|it| u32::from(*it) == day);
    let (from, to) = (u32::from(time.from), u32::from(time.to));
    if from < to {
        return begins(today) && (from..to).contains(&minute);
    }
    let yesterday = (today + 6) % 7;
    begins(today) && minute >= from || begins(yesterday) && minute < to
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn time(days: &[u8], from: u16, to: u16, zone: &str) -> TimeConfig {
        TimeConfig { days: days.iter().copied().collect(), from, to, zone: zone.to_owned() }
    }

    fn at(text: &str) -> u64 {
        let at = crate::journal::parse(text).unwrap();
        at.duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn it_is_open_from_its_first_minute_to_its_last() {
        let night = time(&[], 120, 300, "UTC");
        for (text, open) in [
            ("2026-03-01T01:59:59Z", false),
            ("2026-03-01T02:00:00Z", true),
            ("2026-03-01T04:59:59Z", true),
            ("2026-03-01T05:00:00Z", false),
        ] {
            assert_eq!(is_open(&night, at(text)), open, "{text}");
        }
        let always = time(&[], 0, 24 * 60, "UTC");
        assert!(is_open(&always, at("2026-03-01T23:59:59Z")));
        assert!(is_open(&always, at("2026-03-01T00:00:00Z")));
    }

    #[test]
    fn days_are_those_on_which_it_begins() {
        // 2026-03-01 was a Sunday.
        let weekend = time(&[5, 6], 22 * 60, 360, "UTC");
        for (text, open) in [
            ("2026-02-28T21:59:00Z", false),
            ("2026-02-28T22:00:00Z", true),
            ("2026-03-01T05:59:00Z", true),
            ("2026-03-01T06:00:00Z", false),
            ("2026-03-02T05:59:00Z", true),
            ("2026-03-02T22:00:00Z", false),
            ("2026-02-28T05:00:00Z", false),
        ] {
            assert_eq!(is_open(&weekend, at(text)), open, "{text}");
        }
    }

    #[test]
    fn zones_have_their_summers() {
        let night = time(&[], 120, 300, "Europe/Berlin");
        assert!(is_open(&night, at("2026-01-15T01:00:00Z")), "UTC+1");
        assert!(!is_open(&night, at("2026-01-15T00:59:00Z")));
        assert!(is_open(&night, at("2026-07-15T00:00:00Z")), "UTC+2");
        assert!(!is_open(&night, at("2026-07-15T03:00:00Z")));
        // A Sunday in Auckland begins on a Saturday elsewhere.
        let sunday = time(&[6], 0, 24 * 60, "Pacific/Auckland");
        assert!(is_open(&sunday, at("2026-02-28T12:00:00Z")));
        assert!(!is_open(&sunday, at("2026-03-01T12:00:00Z")));
    }

    #[test]
    fn odd_values_close_it() {
        assert!(!is_open(&time(&[], 0, 24 * 60, "UTC"), u64::MAX));
        let unknown = time(&[], 120, 300, "Mars/Olympus");
        assert!(is_open(&unknown, at("2026-03-01T02:00:00Z")), "as UTC");
        assert!(!is_open(&time(&[9], 0, 60, "UTC"), at("2026-03-01T00:30:00Z")));
    }
}
