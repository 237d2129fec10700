//! Times for people: RFC 3339 in UTC with milliseconds, and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, NaiveDateTime, SecondsFormat, SubsecRound, Utc};

/// The forms that are read, beside that which is written.
const FORMS: [&str; 4] =
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

/// The last second that four digits for a year can say, since 1970.
const LAST: u64 = 253_402_300_799;

/// Seconds since 1970 by this machine's clock; zero for a clock that is before that.
#[must_use]
pub fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}

/// So many seconds since 1970, as [`stamp`] writes it. They may come from anywhere.
#[must_use]
pub fn stamp_of(seconds: u64) -> String {
    stamp(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST)))
}

/// The instant as RFC 3339 writes it, for example `2026-03-01T12:00:00.250Z`. A clock before 1970
/// counts as 1970, and one after the year 9999 as its end.
#[must_use]
pub fn stamp(at: SystemTime) -> String {
    let last = UNIX_EPOCH + Duration::from_secs(LAST);
    let at = DateTime::<Utc>::from(at.clamp(UNIX_EPOCH, last));
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The instant that [`stamp`] wrote. Fractions and seconds may be left out, and so may the `Z`.
#[must_use]
pub fn parse(text: &str) -> Option<SystemTime> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let read = |form| NaiveDateTime::parse_from_str(text, form).ok();
    // As exactly as it is written.
    let at = FORMS.into_iter().find_map(read)?.and_utc().trunc_subsecs(3);
    let seconds = u64::try_from(at.timestamp()).ok().filter(|it| *it <= LAST)?;
    let millis = at.timestamp_subsec_millis().min(999);
    Some(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn known_instants() {
        let at = |seconds: u64| stamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_772_323_200), "2026-03-01T00:00:00.000Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59.000Z");
        assert_eq!(stamp(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp_of(u64::MAX), "9999-12-31T23:59:59.000Z");
        assert!(parse(&stamp_of(u64::MAX)).is_some());
    }

    #[test]
    fn every_day_comes_back() {
        for day in 0..100_000 {
            let at = UNIX_EPOCH + Duration::from_millis(day * DAY * 1_000 + 43_210_123);
            assert_eq!(parse(&stamp(at)), Some(at), "{}", stamp(at));
        }
        assert_eq!(parse("2026-03-01 12:00"), parse("2026-03-01T12:00:00.000Z"));
        assert!(parse("2026-03-01 12:00").is_some());
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "now", "2026-13-01T00:00", "2026-03-01", "2026-03-01T25:00", "2026-03-01T\u{e9}:1"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
