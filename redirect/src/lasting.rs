//! Spans as people write them in files of clients: one number and a unit.

use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

/// The longest, so that no sum of them overflows.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A span of at most a day, written as `500ms`, `10s`, `5min` or `2h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Lasting(pub Duration);

/// A text that is no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is no span from 1ms to 24h; write for example 500ms, 10s, 5min or 2h")]
pub struct NotASpan;

impl TryFrom<String> for Lasting {
    type Error = NotASpan;

    fn try_from(text: String) -> Result<Self, NotASpan> {
        let end = text.find(|c: char| !c.is_ascii_digit()).ok_or(NotASpan)?;
        let (number, unit) = text.split_at_checked(end).ok_or(NotASpan)?;
        let number: u64 = number.parse().map_err(|_| NotASpan)?;
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            _ => return Err(NotASpan),
        };
        let span = Duration::from_millis(number.checked_mul(factor).ok_or(NotASpan)?);
        if span.is_zero() || span > LONGEST { Err(NotASpan) } else { Ok(Self(span)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_number_and_a_unit() {
        let read = |text: &str| Lasting::try_from(text.to_owned()).map(|it| it.0);
        assert_eq!(read("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(read("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(read("1min"), Ok(Duration::from_secs(60)));
        for bad in ["", "10", "s", "0s", "25h", "1.5s", "-1s", "1 s", "99999999999999999999s"] {
            assert_eq!(read(bad), Err(NotASpan), "{bad}");
        }
    }
}
