//! An error in one line, with everything that caused it.

use std::error::Error;

/// The error and its causes, joined with colons: the causes stand in `source` alone.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
