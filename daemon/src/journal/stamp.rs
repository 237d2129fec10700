//! Times for people: RFC 3339 in UTC with milliseconds, and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;
/// Days of 400 years of the Gregorian calendar, after which it repeats.
const ERA: u64 = 146_097;
/// Days from 1 March of the year 0 to 1 January 1970.
const TO_1970: u64 = 719_468;

/// The instant as RFC 3339 writes it, for example `2026-03-01T12:00:00.250Z`. A clock before 1970
/// counts as 1970.
#[must_use]
pub fn stamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (year, month, day) = date(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3_600, seconds % 3_600 / 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The date of a day counted from 1 January 1970. Years begin in March here, so that a leap day is
/// the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + TO_1970;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // 153 days are five months, from March and from August on.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + next, month, day)
}

/// The instant that [`stamp`] wrote. Fractions and seconds may be left out, and so may the `Z`.
#[must_use]
pub fn parse(text: &str) -> Option<SystemTime> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (day, time) = text.split_once(['T', ' '])?;
    let mut day = day.splitn(3, '-').map(number);
    let (year, month, day) = (day.next()??, day.next()??, day.next()??);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (number(time.next()?)?, number(time.next()?)?);
    let (second, millis) = match time.next() {
        None => (0, 0),
        Some(text) => match text.split_once('.') {
            None => (number(text)?, 0),
            Some((second, fraction)) => (number(second)?, number(&format!("{fraction:0<3}"))?),
        },
    };
    let within = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61
        && millis < 1_000;
    if !within {
        return None;
    }
    let days = days_of(year, month, day)?;
    let seconds = days * DAY + hour * 3_600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + millis))
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn days_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year / 400, year % 400);
    let day = (153 * month + 2) / 5 + day - 1;
    (era * ERA + year * 365 + year / 4 - year / 100 + day).checked_sub(TO_1970)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        let at = |seconds: u64| stamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_772_323_200), "2026-03-01T00:00:00.000Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59.000Z");
        assert_eq!(stamp(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
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
