//! Durations as people write them: one number and a unit.

use stead_core::time::Span;

use super::shown;

/// The longest duration that is accepted: a day. No arithmetic on timers can overflow below it.
const LONGEST: Span = Span::from_millis(24 * 60 * 60 * 1_000);

/// The units, from small to large, with their length in microseconds.
const UNITS: [(&str, u64); 5] =
    [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("min", 60_000_000), ("h", 3_600_000_000)];

/// Other ways to write a unit, and the one that was meant.
const SPELLINGS: [(&str, &str); 20] = [
    ("usec", "us"),
    ("\u{b5}s", "us"),
    ("\u{3bc}s", "us"),
    ("microseconds", "us"),
    ("msec", "ms"),
    ("msecs", "ms"),
    ("millis", "ms"),
    ("milliseconds", "ms"),
    ("millisecond", "ms"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("m", "min"),
    ("mins", "min"),
    ("minute", "min"),
    ("minutes", "min"),
    ("hr", "h"),
    ("hour", "h"),
    ("hours", "h"),
];

/// Why a text is no duration.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong with it.
    pub message: String,
    /// What was probably meant, in a form that is accepted.
    pub meant: Option<String>,
}

/// Reads a duration. `usual` is the unit to propose where none is given.
///
/// # Errors
/// Says what is wrong with it and what was probably meant.
pub fn parse(text: &str, usual: &str) -> Result<Span, Wrong> {
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let (unit, text) = (unit.trim_start(), shown(text));
    // What is proposed is accepted, or close to it: never a page of digits.
    let number_of = |unit: &str| Some(format!("{number}{unit}")).filter(|text| text.len() < 20);
    let wrong = |message: String, meant: Option<String>| Err(Wrong { message, meant });
    if number.is_empty() {
        return wrong(format!("`{text}` is not a duration"), None);
    }
    if unit.is_empty() {
        return wrong(format!("`{text}` has no unit"), number_of(usual));
    }
    let Some((_, factor)) = UNITS.iter().find(|(known, _)| *known == unit) else {
        let lower = unit.to_lowercase();
        let known = UNITS.iter().map(|(name, _)| (*name, *name));
        let meant = SPELLINGS.into_iter().chain(known).find(|(spelling, _)| *spelling == lower);
        let meant = meant.and_then(|(_, unit)| number_of(unit));
        return wrong(format!("`{}` is not a unit of time", shown(unit)), meant);
    };
    match micros(number, *factor) {
        Err(message) => wrong(format!("`{text}` {message}"), None),
        Ok(micros) if micros > LONGEST.as_micros() => {
            wrong(format!("`{text}` is longer than a day"), Some("24h".to_owned()))
        }
        Ok(micros) => Ok(Span::from_micros(micros)),
    }
}

/// Reads a duration that may be longer than a day, and be given in days: what no timer is.
///
/// # Errors
/// As [`parse`].
pub fn parse_long(text: &str) -> Result<Span, Wrong> {
    let trimmed = text.trim();
    let days = trimmed.strip_suffix('d').map(str::trim_end).and_then(|it| it.parse::<u64>().ok());
    let hours = trimmed.strip_suffix('h').map(str::trim_end).and_then(|it| it.parse::<u64>().ok());
    let (number, factor) = match (days, hours) {
        (Some(days), _) => (days, LONGEST.as_micros()),
        (None, Some(hours)) => (hours, 3_600_000_000),
        (None, None) => return parse(text, "h"),
    };
    let micros = number.checked_mul(factor).map(Span::from_micros);
    micros.ok_or_else(|| Wrong { message: format!("`{}` is too long", shown(text)), meant: None })
}

/// Such a duration as the file spells it.
pub fn write_long(span: Span) -> String {
    let day = LONGEST.as_micros();
    if span > Span::ZERO && span.as_micros().is_multiple_of(day) {
        return format!("{}d", span.as_micros() / day);
    }
    write(span)
}

/// The number times the factor, exactly.
fn micros(number: &str, factor: u64) -> Result<u64, &'static str> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err("is not a number");
    }
    let too_long = "is longer than a day";
    let too_fine = "is finer than a microsecond";
    let whole: u64 = whole.parse().map_err(|_| too_long)?;
    let fraction = fraction.trim_end_matches('0');
    // Twenty digits that don't end in zero are finer than a microsecond in every unit.
    let places =
        u32::try_from(fraction.len()).ok().filter(|places| *places < 20).ok_or(too_fine)?;
    let digits: u128 = if fraction.is_empty() { 0 } else { fraction.parse().unwrap_or(0) };
    let scale = 10_u128.pow(places);
    let scaled = digits * u128::from(factor);
    if !scaled.is_multiple_of(scale) {
        return Err(too_fine);
    }
    let part = u64::try_from(scaled / scale).map_err(|_| too_long)?;
    whole.checked_mul(factor).and_then(|micros| micros.checked_add(part)).ok_or(too_long)
}

/// The duration as the file spells it: in the largest unit that gives a whole number.
pub fn write(span: Span) -> String {
    let (number, unit) = parts(span);
    format!("{number}{unit}")
}

/// The duration as a sentence spells it.
pub fn say(span: Span) -> String {
    let (number, unit) = parts(span);
    format!("{number} {unit}")
}

fn parts(span: Span) -> (u64, &'static str) {
    let micros = span.as_micros();
    let fits = |(_, factor): &&(&str, u64)| micros >= *factor && micros.is_multiple_of(*factor);
    match UNITS.iter().rev().find(fits) {
        Some((unit, factor)) => (micros / factor, unit),
        None => (0, "s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<u64, String> {
        parse(text, "s").map(Span::as_micros).map_err(|wrong| match wrong.meant {
            Some(meant) => format!("{}; {meant}", wrong.message),
            None => wrong.message,
        })
    }

    #[test]
    fn what_is_accepted() {
        assert_eq!(read("300ms"), Ok(300_000));
        assert_eq!(read(" 300 ms "), Ok(300_000));
        assert_eq!(read("1s"), Ok(1_000_000));
        assert_eq!(read("1.5s"), Ok(1_500_000));
        assert_eq!(read("2min"), Ok(120_000_000));
        assert_eq!(read("1.25min"), Ok(75_000_000));
        assert_eq!(read("0.5h"), Ok(1_800_000_000));
        assert_eq!(read("2.000ms"), Ok(2_000));
        assert_eq!(read("0.000001s"), Ok(1));
        assert_eq!(read("24h"), Ok(86_400_000_000));
    }

    #[test]
    fn what_is_refused_and_what_is_proposed() {
        let refused = |text: &str| read(text).unwrap_err();
        assert_eq!(refused("300"), "`300` has no unit; 300s");
        assert_eq!(refused("5m"), "`m` is not a unit of time; 5min");
        assert_eq!(refused("5 Sec"), "`Sec` is not a unit of time; 5s");
        assert_eq!(refused("5MS"), "`MS` is not a unit of time; 5ms");
        assert_eq!(refused("1h30min"), "`h30min` is not a unit of time");
        assert_eq!(refused("soon"), "`soon` is not a duration");
        assert_eq!(refused("-1s"), "`-1s` is not a duration");
        assert_eq!(refused(""), "`` is not a duration");
        assert_eq!(refused("1.2.3s"), "`1.2.3s` is not a number");
        assert_eq!(refused(".5s"), "`.5s` is not a number");
        assert_eq!(refused("0.5us"), "`0.5us` is finer than a microsecond");
        assert_eq!(refused("0.0000001s"), "`0.0000001s` is finer than a microsecond");
        assert_eq!(refused("0.000000051min"), "`0.000000051min` is finer than a microsecond");
        assert_eq!(refused("25h"), "`25h` is longer than a day; 24h");
        assert_eq!(
            refused("99999999999999999999999s"),
            "`99999999999999999999999s` is longer than a day"
        );
    }

    #[test]
    fn days_are_read_where_they_are_meant() {
        let long = |text| parse_long(text).map(Span::as_micros);
        assert_eq!(long("7d"), Ok(7 * 86_400_000_000));
        assert_eq!(long("1 d"), Ok(86_400_000_000));
        assert_eq!(long("36h"), Ok(36 * 3_600_000_000));
        assert_eq!(long("90min"), Ok(5_400_000_000));
        assert!(long("1.5d").is_err() && long("d").is_err() && long("x").is_err());
        assert!(long("99999999999999999d").is_err());
        for text in ["7d", "1d", "36h", "90min"] {
            assert_eq!(write_long(parse_long(text).expect("read")), text);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for micros in [0, 1, 999, 1_000, 1_500, 300_000, 60_000_000, 90_000_000, 3_600_000_000] {
            let text = write(Span::from_micros(micros));
            assert_eq!(read(&text), Ok(micros), "{text}");
        }
    }
}
