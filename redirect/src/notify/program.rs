//! A program that is told a message: on its standard input, and in its environment.

use std::ffi::OsString;
use std::time::Duration;

use super::message::Message;
use crate::program::{Command, RunError, run};

/// Tells it once.
pub(super) async fn tell(
    command: &Command,
    message: &Message,
    within: Duration,
) -> Result<(), RunError> {
    run(command, environment(message), format!("{}\n", message.json()).as_bytes(), within).await
}

/// `STEAD_KIND`, `STEAD_SUBJECT` and so on, and `STEAD_FIELD_NODE` for a field `node`.
fn environment(message: &Message) -> Vec<(OsString, OsString)> {
    let fields = message.fields.iter().map(|(name, value)| {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        (format!("FIELD_{}", name.chars().map(letter).collect::<String>()), value.clone())
    });
    let own = [
        ("ID", message.id()),
        ("KIND", message.kind.clone()),
        ("SUBJECT", message.line()),
        ("TEXT", message.text.clone()),
        ("AT", message.at.to_string()),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    let pair = |(name, value): (String, String)| {
        // The kernel ends a variable at a zero byte.
        (format!("STEAD_{name}").into(), value.replace('\0', " ").into())
    };
    own.chain(fields).map(pair).collect()
}
