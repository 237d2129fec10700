//! The configuration file, `cluster.toml`: what an operator wants, in text.
//!
//! `init`, `apply` and `plan` read it; the file itself never leaves the machine. What travels is
//! the [`Config`] that comes out of it, through the log, to every member.
//!
//! The happy path: [`read`] parses the text with the place of every value, turns its tables into a
//! draft, holds the values of the draft against each other, and hands out a [`Config`] with
//! warnings. [`differences`] says what would change against the configuration in force,
//! [`render`] writes a configuration as text again, [`example`] writes the first file.
//!
//! Failures: a file is used as a whole or not at all. Every problem that can be found is in one
//! [`Rejected`], each with its line, its cause and what to write instead. A key that isn't known is
//! an error, not ignored: it was meant to do something. Any text at all may come in; none can make
//! the reader panic.
//!
//! Deliberately absent: includes, variables, defaults from the environment, host names as
//! addresses (names are looked up over the network that a cluster must outlive), and whatever
//! differs from node to node by itself.

mod address;
mod advice;
mod between;
mod checks;
mod command;
mod container;
mod copies;
mod differences;
mod draft;
mod example;
mod expect_words;
mod expects;
mod fence_checks;
mod fence_words;
mod fenced;
mod fencing;
mod hooks;
mod how;
mod keys;
mod monitor;
mod name;
mod network;
mod parts;
mod problem;
mod quorum;
mod redirect;
mod render;
mod resource;
mod rule_checks;
mod rule_clashes;
mod rule_crowds;
mod rule_units;
mod rule_words;
mod rules;
mod section;
mod service;
mod syntax;
mod tables;
#[cfg(test)]
mod tests;
mod timed;
mod unit;
mod what;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use miette::Diagnostic;
use stead_core::node::ANSWER_PATIENCE;
use stead_core::state::Registered;
use stead_core::state::config::Config;
use stead_core::time::Span;
use stead_edge::duration;
use toml::de::DeTable;

use crate::fence;
use crate::ocf::{self, AgentName};

pub use advice::{Linted, lint, lint_file};
pub use differences::{Difference, Live, differences};
pub use example::{Example, example};
pub use expect_words::in_words;
pub use fencing::{DEFAULT_FENCE_RETRIES, DEFAULT_FENCE_TIMEOUT};
pub use hooks::DEFAULT_HOOK_TIMEOUT;
pub use name::usable_name;
pub use problem::{Problem, Rejected, Severity, Warning};
pub use redirect::{DEFAULT_MOVING_TTL, DEFAULT_TTL};
pub use render::render;
pub use what::{read_registered, service_name};

use problem::{Asking, Findings, Lists};
pub use resource::{DEFAULT_FORGET_AFTER, DEFAULT_RESTARTS};

/// The port of a link that names none.
pub const DEFAULT_PORT: u16 = 7744;
/// How long a node whose daemon is away keeps its services, where the file doesn't say.
pub const DEFAULT_DAEMON_GRACE: Span = Span::from_millis(10_000);
/// How long a program may take to end, where the file doesn't say.
pub const DEFAULT_STOP_TIMEOUT: Span = Span::from_millis(5_000);
/// The time between two runs of a monitor, where the file doesn't say.
pub const DEFAULT_MONITOR_INTERVAL: Span = Span::from_millis(1_000);
/// How long one run of a monitor may take, where the file doesn't say.
pub const DEFAULT_MONITOR_TIMEOUT: Span = Span::from_millis(2_000);

/// How long one run of the command of module `exec` may take, where the file doesn't say.
pub const DEFAULT_EXEC_TIMEOUT: Span = LONGEST_EXEC_TIMEOUT;
/// The longest such time. A question runs the program twice, `get` and `swap`, and what is answered
/// after the patience of the node that asked is not looked at any more.
pub const LONGEST_EXEC_TIMEOUT: Span = Span::from_micros(ANSWER_PATIENCE.as_micros() / 2);

/// How long an agent may take to say what it takes.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(10);
/// The longest file that is read, in bytes. Sixteen nodes and a thousand services fit ten times.
const LONGEST_FILE: usize = 1 << 20;

/// A file that can be used.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it says.
    pub config: Config,
    /// What deserves a second look, in the order of the file.
    pub warnings: Vec<Warning>,
    /// The line of each word of its expectations, in their order.
    pub expect_lines: Vec<usize>,
    /// The line of each address, name and announced prefix.
    pub used_lines: Vec<(Registered, usize)>,
}

/// Why a file didn't become a configuration. Nothing was changed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum FileError {
    /// The system didn't hand the file out.
    #[error("can't read {}; nothing was changed", path.display())]
    #[diagnostic(help("name another file, or make this one readable"))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// It was read and can't be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Rejected(#[from] Rejected),
}

/// Reads the text of a configuration. `name` is what problems call the file.
///
/// # Errors
/// With every problem that was found. Nothing was changed.
pub fn read(name: &str, text: &str) -> Result<Checked, Rejected> {
    read_with(name, text, None)
}

/// Who is asked beside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The agents of this machine, whether they take what is written for them. One that is not
    /// installed here is no mistake: it may be where it is needed.
    Agents,
    /// They, and the fence devices, whether they have the outlets that are named. Nothing is
    /// switched. One that can't be reached from here is no mistake. Takes as long as that takes.
    Devices,
}

impl Ask {
    fn asking(self) -> Asking {
        let ocf = |agent: &AgentName| ocf::describe(Path::new(ocf::ROOT), agent, DESCRIBED_WITHIN);
        let fence =
            |agent: &fence::AgentName| fence::describe(&fence::folders(), agent, DESCRIBED_WITHIN);
        let lists = match self {
            Self::Agents => None,
            Self::Devices => Some(fence::list_all as Lists),
        };
        Asking { ocf, fence, lists }
    }
}

/// The same, and others are asked as well.
///
/// # Errors
/// As [`read`].
pub fn read_asking(name: &str, text: &str, ask: Ask) -> Result<Checked, Rejected> {
    read_with(name, text, Some(ask.asking()))
}

fn read_with(name: &str, text: &str, agents: Option<Asking>) -> Result<Checked, Rejected> {
    let (draft, findings) = drafted(name, text, agents)?;
    checked(draft, findings)
}

/// What the text says, and what was found in it, which may be that it can't be used.
fn drafted(
    name: &str,
    text: &str,
    agents: Option<Asking>,
) -> Result<(draft::Draft, Findings), Rejected> {
    if text.len() > LONGEST_FILE {
        return Err(too_long(name));
    }
    let mut findings = Findings::new(name, text);
    findings.agents = agents;
    let (file, errors) = DeTable::parse_recoverable(text);
    if !syntax::note(&errors, &mut findings) {
        return Err(findings.rejected());
    }
    let draft = tables::draft(file.get_ref(), &mut findings);
    checks::check(&draft, &mut findings);
    Ok((draft, findings))
}

fn checked(draft: draft::Draft, findings: Findings) -> Result<Checked, Rejected> {
    let expect_lines = findings.lines(&expects::places(&draft));
    let (used, places): (Vec<_>, Vec<_>) = redirect::places(&draft).into_iter().unzip();
    let used_lines = used.into_iter().zip(findings.lines(&places)).collect();
    let warnings = findings.conclude()?;
    Ok(Checked { config: draft.config(), warnings, expect_lines, used_lines })
}

/// Reads a configuration from a file.
///
/// # Errors
/// If the file can't be read, or with every problem that was found in it. Nothing was changed.
pub fn read_file(path: &Path) -> Result<Checked, FileError> {
    let (name, text) = text_of(path)?;
    Ok(read(&name, &text)?)
}

/// The same, and others are asked as well; with the text that was read.
///
/// # Errors
/// As [`read_file`].
pub fn read_file_asking(path: &Path, ask: Ask) -> Result<(String, Checked), FileError> {
    let (name, text) = text_of(path)?;
    let checked = read_asking(&name, &text, ask)?;
    Ok((text, checked))
}

/// The name of a file, as problems call it, and its text.
fn text_of(path: &Path) -> Result<(String, String), FileError> {
    let unreadable = |cause| FileError::Unreadable { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    // One byte more than is accepted tells a file that is too long, without reading all of it.
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(LONGEST_FILE as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let name = path.display().to_string();
    if bytes.len() > LONGEST_FILE {
        return Err(too_long(&name).into());
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(not_text(&name, &error).into()),
    }
}

fn too_long(name: &str) -> Rejected {
    let mut findings = Findings::new(name, "");
    let message = format!("the file is longer than {} KiB", LONGEST_FILE / 1_024);
    findings.error(&(0..0), message, "is it another file? A large cluster needs a tenth of that");
    findings.rejected()
}

/// Points at the first byte that isn't text.
fn not_text(name: &str, error: &std::string::FromUtf8Error) -> Rejected {
    let start = error.utf8_error().valid_up_to();
    // The text up to there is the same, so the place is too.
    let mut findings = Findings::new(name, &String::from_utf8_lossy(error.as_bytes()));
    let help = "save the file as UTF-8; is it another file?";
    findings.error(&(start..start + 1), "the file is not text in UTF-8", help);
    findings.rejected()
}

/// Reads a length of time that stands on a command line, in the form of the configuration.
///
/// # Errors
/// Says what is wrong with it, and what was probably meant.
pub fn read_duration(text: &str) -> Result<Span, String> {
    duration::parse(text, "min").map_err(said)
}

/// The same, where it may be days.
///
/// # Errors
/// As [`read_duration`].
pub fn read_long_duration(text: &str) -> Result<Span, String> {
    duration::parse_long(text).map_err(said)
}

fn said(wrong: duration::Wrong) -> String {
    match wrong.meant {
        Some(meant) => format!("{}; did you mean {meant}?", wrong.message),
        None => wrong.message,
    }
}
