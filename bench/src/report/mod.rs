//! Results: one JSON object a line, in files that only grow; tables and pictures made of them.
//!
//! A file begins, and each later session in it begins again, with a header that describes the
//! machine ([`Machine`]); the [`Row`]s behind it belong to it. Happy path: [`Results::open`],
//! [`Results::add`] for each trial, [`tables`] at the end, [`plot`] for failovers, [`layers`] for
//! layers, [`growth`] for plans, [`pictures`] for timelines. [`read`] gives the sessions of a file.
//!
//! Failures: a file that can't be written ends the bench; a line that is no result is named.
//! Deliberately absent: repairing files, and figures that no row holds.

mod growth;
mod lanes;
mod machine;
mod plot;
mod spread;
mod svg;
mod tables;
mod ties;
mod timeline;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{BenchError, Step};

pub use growth::growth;
pub use machine::Machine;
pub use plot::{layers, plot};
pub use spread::{Spread, quantile, spread};
pub use tables::tables;
pub(crate) use tables::{groups, table};
pub use timeline::{About, Bar, Lane, Mark, Shows, TIMELINE, Timeline, pictures};

/// One trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The bench.
    pub bench: String,
    /// The program.
    pub subject: String,
    /// Its settings.
    pub config: String,
    /// The number of the run, from 1.
    pub run: u32,
    /// The longest time without an answer that a client saw, in milliseconds.
    pub outage_ms: Option<f64>,
    /// How long two nodes answered, in milliseconds.
    pub double_ms: Option<f64>,
    /// What was done to a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Why the trial has no figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the bench has beyond that.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Row {
    /// With a value more.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    /// A number among the further values.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<f64> {
        self.more.get(key)?.as_f64()
    }
}

/// A header and its rows.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The machine; nothing for rows before the first header.
    pub machine: Option<Machine>,
    /// In the order in which they were written.
    pub rows: Vec<Row>,
}

/// Where rows go.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    file: File,
    json: bool,
    rows: Vec<Row>,
}

impl Results {
    /// Opens `bench`.jsonl in a folder, and writes the header of a new session.
    ///
    /// # Errors
    /// It can't be written.
    pub fn open(folder: &Path, bench: &str, json: bool) -> Result<Self, BenchError> {
        let path = folder.join(format!("{bench}.jsonl"));
        let what = || format!("cannot open {}", path.display());
        fs::create_dir_all(folder).step(what)?;
        let file = File::options().create(true).append(true).open(&path).step(what)?;
        let mut results = Self { path, file, json, rows: Vec::new() };
        let header = serde_json::json!({ "header": Machine::here(bench) });
        results.write(&header.to_string())?;
        Ok(results)
    }

    fn write(&mut self, line: &str) -> Result<(), BenchError> {
        let Self { path, file, .. } = self;
        // one call a line: whoever reads meanwhile sees whole lines
        let written = file.write_all(format!("{line}\n").as_bytes());
        written.step(|| format!("cannot write {}", path.display()))
    }

    /// Keeps a row, and shows it: to programs on the standard output, to people beside it.
    ///
    /// # Errors
    /// It can't be written.
    pub fn add(&mut self, row: Row) -> Result<(), BenchError> {
        let line = serde_json::to_string(&row).map_err(std::io::Error::from);
        let line = line.step(|| "cannot write a row as JSON".to_owned())?;
        self.write(&line)?;
        if self.json {
            let mut out = std::io::stdout().lock();
            let printed = writeln!(out, "{line}").and_then(|()| out.flush());
            printed.step(|| "cannot write to the standard output".to_owned())?;
        } else {
            eprintln!("{}", in_short(&row));
        }
        self.rows.push(row);
        Ok(())
    }

    /// The rows of this session.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Rows are printed as JSON.
    #[must_use]
    pub fn json(&self) -> bool {
        self.json
    }
}

/// A row for those who wait.
fn in_short(row: &Row) -> String {
    let Row { subject, config, run, outage_ms, double_ms, failure, error, .. } = row;
    let mut text = format!("run {run}: {subject} {config}");
    if let Some(part) = row.more.get("part").and_then(Value::as_str) {
        text.push_str(&format!(": {part}"));
    }
    let scenario = row.more.get("scenario").and_then(Value::as_str);
    if let Some(what) = failure.as_deref().or(scenario) {
        text.push_str(&format!(": {what}"));
    }
    if let Some(ms) = outage_ms {
        text.push_str(&format!(": outage {ms:.0} ms"));
    }
    if let Some(ms) = double_ms {
        text.push_str(&format!(", two answered {ms:.0} ms"));
    }
    let keys = [("none", "no round"), ("round", "round"), ("operations", "done")];
    for (key, what) in keys {
        if let Some(value) = row.more.get(key) {
            text.push_str(&format!(": {what}: {value}"));
        }
    }
    if let Some(error) = error {
        text.push_str(&format!(": {error}"));
    }
    text
}

/// The sessions of a file; none if there is no file.
///
/// # Errors
/// It can't be read, or a line of it is no result.
pub fn read(path: &Path) -> Result<Vec<Session>, BenchError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.step(|| format!("cannot read {}", path.display()))?,
    };
    let mut sessions: Vec<Session> = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |source| BenchError::Line { path: path.to_owned(), line: at + 1, source };
        let value: Value = serde_json::from_str(line).map_err(wrong)?;
        if let Some(header) = value.get("header") {
            let machine = Machine::deserialize(header).map_err(wrong)?;
            sessions.push(Session { machine: Some(machine), rows: Vec::new() });
            continue;
        }
        let row = Row::deserialize(value).map_err(wrong)?;
        if sessions.is_empty() {
            sessions.push(Session::default());
        }
        if let Some(session) = sessions.last_mut() {
            session.rows.push(row);
        }
    }
    Ok(sessions)
}

#[cfg(test)]
mod tests;
