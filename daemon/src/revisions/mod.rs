//! The configurations that were in force, as this node came to know them.
//!
//! The happy path: [`Revisions::follow`] looks at each new picture of the cluster. Where the
//! configuration has changed it is written to a file of its own, `0000000012.toml`: first, as
//! comments, since when it is known and what changed by it, then its text. So `stead history` shows
//! what was changed when, and `stead rollback` has something to go back to.
//!
//! Failures: what can't be written is missing here and nowhere else; it is told in the log. A file
//! that was changed by hand is read as any other text is when it is applied.
//!
//! Deliberately absent: any decision that rests on these files, and those of other nodes. Each
//! member keeps its own; one that was away knows the times at which it learned. Of several changes
//! within a moment it may see the last one only.

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use stead_core::state::config::Config;
use stead_edge::chain;
use stead_linux::durable::write_atomically;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::{self, differences};
use crate::driver::handle::Handle;
use crate::journal::stamp;

/// How many are kept.
pub const KEPT: usize = 100;
/// How many changes are written down with each.
const CHANGES: usize = 50;
/// How long somebody who asks waits for what is being written.
const PATIENCE: Duration = Duration::from_secs(2);

const SINCE: &str = "# known since ";
const CHANGE: &str = "# * ";
const MORE: &str = "# and more: ";

/// Those that this node keeps.
#[derive(Clone, Debug)]
pub struct Revisions {
    folder: PathBuf,
    /// The newest revision that was looked at: what it brought is written, or could not be.
    seen: Arc<watch::Sender<u64>>,
}

/// One of them, without its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// Its number.
    pub number: u64,
    /// When this node learned of it: RFC 3339, UTC.
    pub since: String,
    /// What it changed, in words.
    pub changes: Vec<String>,
    /// How many more changes there were.
    pub more: usize,
}

impl Revisions {
    /// Those in that folder, which need not be there yet.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, seen: Arc::new(watch::Sender::new(0)) }
    }

    /// Writes down each new configuration, for as long as the daemon runs. Must be called inside a
    /// tokio runtime.
    pub fn follow(&self, mut handle: Handle) {
        let revisions = self.clone();
        tokio::spawn(async move {
            let mut known: Option<(u64, Config)> = None;
            loop {
                let view = handle.view();
                let revision = view.state.revision;
                let is_new = known.as_ref().is_none_or(|(number, _)| *number != revision);
                if let Some(config) = view.state.config.clone().filter(|_| view.ready && is_new) {
                    known = revisions.clone().keep(revision, config, known).await;
                    revisions.seen.send_replace(revision);
                }
                drop(view);
                if !handle.changed().await {
                    break;
                }
            }
        });
    }

    /// Waits until what that revision brought is written down; not for long, for a disk may hang.
    pub async fn caught_up(&self, revision: u64) {
        let mut seen = self.seen.subscribe();
        let _late = timeout(PATIENCE, seen.wait_for(|seen| *seen >= revision)).await;
    }

    /// Writes one down where it is another than before; returns what is known then.
    async fn keep(
        self,
        revision: u64,
        config: Config,
        known: Option<(u64, Config)>,
    ) -> Option<(u64, Config)> {
        let write = move || {
            let former = known.map(|(_, config)| config).or_else(|| self.newest());
            if former.as_ref() != Some(&config)
                && let Err(error) = self.write(revision, &config, former.as_ref())
            {
                tracing::warn!("revision {revision} is missing in the history: {}", chain(&error));
            }
            (revision, config)
        };
        // Nothing is known if that panicked or the daemon ends; the next picture tries again.
        tokio::task::spawn_blocking(write).await.ok()
    }

    /// Writes one down.
    fn write(&self, number: u64, config: &Config, former: Option<&Config>) -> io::Result<()> {
        let mut text = format!("{SINCE}{}\n", stamp(SystemTime::now()));
        let changes = former.map(|former| differences(former, config)).unwrap_or_default();
        for change in changes.iter().take(CHANGES) {
            text.push_str(&format!("{CHANGE}{}\n", change.what.replace(['\n', '\r'], " ")));
        }
        if changes.len() > CHANGES {
            text.push_str(&format!("{MORE}{}\n", changes.len() - CHANGES));
        }
        text.push('\n');
        text.push_str(&config::render(config));
        fs::create_dir_all(&self.folder)?;
        write_atomically(&self.path(number), text.as_bytes(), 0o600).map_err(io::Error::other)?;
        let numbers = self.numbers()?;
        for old in numbers.iter().rev().skip(KEPT) {
            fs::remove_file(self.path(*old))?;
        }
        Ok(())
    }

    /// All that are kept, oldest first.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn list(&self) -> io::Result<Vec<Revision>> {
        self.numbers()?.into_iter().map(|number| self.head(number)).collect()
    }

    /// The text that was in force at that revision, with the number at which it came into force;
    /// nothing if that is not kept.
    ///
    /// # Errors
    /// It can't be read.
    pub fn text(&self, revision: u64) -> io::Result<Option<(u64, String)>> {
        let numbers = self.numbers()?;
        let Some(number) = numbers.into_iter().rfind(|number| *number <= revision) else {
            return Ok(None);
        };
        let text = fs::read_to_string(self.path(number))?;
        let body: String = text.split_inclusive('\n').skip_while(|line| is_head(line)).collect();
        Ok(Some((number, body)))
    }

    /// The configuration that was in force at that revision, if it is kept and can be read.
    #[must_use]
    pub fn config(&self, revision: u64) -> Option<Config> {
        let (_, text) = self.text(revision).ok()??;
        config::read("cluster.toml", &text).ok().map(|checked| checked.config)
    }

    fn newest(&self) -> Option<Config> {
        self.config(u64::MAX)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:010}.toml"))
    }

    /// Which there are, the smallest first.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let number =
                name.to_str().and_then(|name| name.strip_suffix(".toml")?.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn head(&self, number: u64) -> io::Result<Revision> {
        let mut revision = Revision { number, ..Revision::default() };
        for line in BufReader::new(fs::File::open(self.path(number))?).lines() {
            let line = line?;
            if let Some(since) = line.strip_prefix(SINCE) {
                since.clone_into(&mut revision.since);
            } else if let Some(change) = line.strip_prefix(CHANGE) {
                revision.changes.push(change.to_owned());
            } else if let Some(more) = line.strip_prefix(MORE) {
                revision.more = more.parse().unwrap_or_default();
            } else {
                break;
            }
        }
        Ok(revision)
    }
}

fn is_head(line: &str) -> bool {
    line.starts_with('#') || line.trim().is_empty()
}
