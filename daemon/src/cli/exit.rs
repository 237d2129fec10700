//! How a command ends, for people and for scripts.

use std::process::ExitCode;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use super::context::Context;
use super::look::Tone;
use crate::api::client::CallError;
use crate::api::message::Changed;
use crate::config::{FileError, Rejected};

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// It failed or was refused; nothing was changed.
    Failed,
    /// The daemon does not answer; nothing was changed.
    NoDaemon,
    /// A change was asked for, and its fate is not known.
    Unknown,
    /// `status --check`: not protected.
    NotProtected,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // 2 is the command line's own.
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::NoDaemon => 3,
            Exit::Unknown => 4,
            Exit::NotProtected => 5,
        })
    }
}

/// A change was asked for and its fate is not known.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct FateUnknown(pub(super) String);

/// The exit status of an error.
pub(super) fn of(error: &anyhow::Error) -> Exit {
    if error.downcast_ref::<FateUnknown>().is_some() {
        return Exit::Unknown;
    }
    let Some(error) = error.downcast_ref::<CallError>() else { return Exit::Failed };
    match error {
        CallError::NotRunning { .. } | CallError::Denied { .. } | CallError::Socket { .. } => {
            Exit::NoDaemon
        }
        CallError::Broken { .. } | CallError::Answer { .. } | CallError::Failed(_) => {
            match error.changed() {
                Changed::No => Exit::Failed,
                Changed::Unknown => Exit::Unknown,
            }
        }
    }
}

/// An error as the operator reads it.
pub(super) fn explain(error: &anyhow::Error, context: &Context) -> String {
    if let Some(FileError::Rejected(rejected)) = error.downcast_ref::<FileError>() {
        return rejected_text(rejected, context);
    }
    let mut text = context.err.paint(Tone::Bad, "error: ");
    text.push_str(&error.to_string());
    for cause in error.chain().skip(1) {
        text.push_str(&format!(": {cause}"));
    }
    text.push('\n');
    if let Some(CallError::Failed(failure)) = error.downcast_ref::<CallError>() {
        for problem in &failure.problems {
            let (line, column) = (problem.line, problem.column);
            text.push_str(&format!("  line {line}, column {column}: {}\n", problem.message));
            text.push_str(&format!("    {}\n", problem.help));
        }
        if !failure.next.is_empty() {
            text.push_str(&format!("  {}\n", failure.next));
        }
    }
    if let Some(help) = error.downcast_ref::<FileError>().and_then(Diagnostic::help) {
        text.push_str(&format!("  {help}\n"));
    }
    text
}

fn rejected_text(rejected: &Rejected, context: &Context) -> String {
    let mut text = context.err.paint(Tone::Bad, "error: ");
    text.push_str(&format!("{rejected}\n"));
    for problem in rejected.problems() {
        text.push_str(&drawn(problem, context));
    }
    text
}

/// A problem of a file with the lines that it is about.
pub(super) fn drawn(problem: &dyn Diagnostic, context: &Context) -> String {
    let look = context.err;
    let theme =
        if look.colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(look.width);
    let mut text = String::new();
    match handler.render_report(&mut text, problem) {
        Ok(()) => text,
        Err(_) => format!("  {problem}\n"),
    }
}
