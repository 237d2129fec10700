//! What every command works with.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::look::Look;
use crate::api::client::{CallError, Client};
use crate::api::message::Request;
use crate::paths::Paths;

/// The folders, and how to show things.
pub(super) struct Context {
    pub(super) paths: Paths,
    /// The look of what is asked for.
    pub(super) out: Look,
    /// The look of errors.
    pub(super) err: Look,
    /// A person can be asked.
    pub(super) interactive: bool,
}

impl Context {
    pub(super) fn of_process(paths: Paths) -> Self {
        Self {
            paths,
            out: Look::of(&io::stdout()),
            err: Look::of(&io::stderr()),
            interactive: io::stdin().is_terminal() && io::stderr().is_terminal(),
        }
    }

    pub(super) fn connect(&self) -> Result<Client, CallError> {
        Client::connect(&self.paths.api_socket())
    }

    pub(super) fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, CallError> {
        self.connect()?.ask(request)
    }

    /// Asks the person at the terminal; no answer is no.
    pub(super) fn confirms(&self, question: &str) -> io::Result<bool> {
        eprint!("{question} [y/N] ");
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// Prints text that was asked for. A reader that went away, such as `head`, is no error.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => written,
    }
}

/// Prints an object on lines of its own.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(print(&text)?)
}

/// Prints an object on one line.
pub(super) fn print_json_line(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(value)?;
    text.push('\n');
    Ok(print(&text)?)
}
