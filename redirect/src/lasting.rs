//! Spans as people write them in files of clients: one number and a unit.

use std::time::Duration;

use serde::Deserialize;
use stead_edge::duration;
use thiserror::Error;

/// A span of at most a day, and not none, written as `500ms`, `10s`, `5min` or `2h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Lasting(pub Duration);

/// A text that is no span.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotASpan {
    /// What is wrong with it, and what was probably meant.
    #[error("{0}; write for example 500ms, 10s, 5min or 2h")]
    Wrong(String),
    /// It is none at all.
    #[error("it can't be zero")]
    Zero,
}

impl TryFrom<String> for Lasting {
    type Error = NotASpan;

    fn try_from(text: String) -> Result<Self, NotASpan> {
        let span = duration::parse(&text, "s").map_err(|wrong| {
            let meant = wrong.meant.map(|meant| format!(", did you mean {meant}?"));
            NotASpan::Wrong(wrong.message + &meant.unwrap_or_default())
        })?;
        let span = Duration::from_micros(span.as_micros());
        if span.is_zero() { Err(NotASpan::Zero) } else { Ok(Self(span)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_number_and_a_unit() {
        let read = |text: &str| Lasting::try_from(text.to_owned()).map(|it| it.0);
        assert_eq!(read("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(read("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(read("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(read("0s"), Err(NotASpan::Zero));
        let wrong = read("5 sec").unwrap_err().to_string();
        assert!(wrong.contains("did you mean 5s?"), "{wrong}");
        for bad in ["", "10", "25h", "-1s", "99999999999999999999s"] {
            assert!(matches!(read(bad), Err(NotASpan::Wrong(_))), "{bad}");
        }
    }
}
