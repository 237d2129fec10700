//! Lengths of time as agents write them: `20s`, `20`, `1min`, `500ms`.

use stead_core::time::Span;

/// The units that Pacemaker reads, with their length in microseconds. Without one: seconds.
const UNITS: [(&str, u64); 11] = [
    ("", 1_000_000),
    ("s", 1_000_000),
    ("sec", 1_000_000),
    ("ms", 1_000),
    ("msec", 1_000),
    ("us", 1),
    ("usec", 1),
    ("m", 60_000_000),
    ("min", 60_000_000),
    ("h", 3_600_000_000),
    ("hr", 3_600_000_000),
];

/// Reads a length of time; `None` if the text is none.
pub(super) fn parse(text: &str) -> Option<Span> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor).map(Span::from_micros)
}
