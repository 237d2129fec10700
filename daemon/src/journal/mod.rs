//! The journal: what happened on this node, one line of JSON each, for people and programs.
//!
//! The happy path: [`Journal::write`] puts a notice into memory, hands it to those who follow, and
//! leaves the writing to a thread of its own, so that the daemon never waits for a disk. The file
//! is bounded: at [`FILE_BYTES`] it is renamed to its predecessor, and the one before is gone.
//! After a start the newest lines are read back, so that `stead events` reaches over restarts.
//!
//! Failures: a disk that is full, slow or gone costs lines and nothing else. What was lost is
//! counted, and the next line that can be written says how many; the memory and those who follow
//! have them all the same. A line that was torn by a power loss is passed over.
//!
//! Deliberately absent: any decision that rests on the journal, a sync after each line, and the
//! other nodes' lines (each node keeps its own; what all agree on is an incident).

mod file;
#[cfg(test)]
mod fuzz;
mod stamp;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use stead_core::notice::{Notice, Severity};
use stead_core::time::Instant;
use tokio::sync::broadcast;

pub use stamp::{parse, stamp, stamp_of, wall};

/// How long the file gets before a new one is begun.
pub const FILE_BYTES: u64 = 8 << 20;
/// How many lines are kept in memory.
pub const KEPT: usize = 10_000;

/// Lines on their way to the disk; more are lost there, though not in memory.
const IN_LINE: usize = 4_096;
/// Lines that a follower may be behind before it is told that it missed some.
const BEHIND: usize = 1_024;
/// How long the last lines may take to reach the disk when the daemon ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, on the wall clock: RFC 3339, UTC, milliseconds.
    pub time: String,
    /// When, on the clock that nobody sets: microseconds since the machine started.
    pub boot: u64,
    /// The node that saw it.
    pub node: String,
    /// How much it matters.
    pub severity: Severity,
    /// What happened, for people.
    pub text: String,
    /// The same for programs; nothing where the journal speaks of itself.
    pub notice: Option<Notice>,
}

/// The journal can't be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Its file.
    #[error(
        "can't open the journal {path}; nothing was changed (see the permissions of the folder)"
    )]
    File {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The thread that writes.
    #[error("can't start the thread that writes the journal; nothing was changed")]
    Thread(#[source] io::Error),
}

/// The journal of one node; copies write to the same.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    node: String,
    kept: Mutex<VecDeque<Arc<Entry>>>,
    followers: broadcast::Sender<Arc<Entry>>,
    line: Option<SyncSender<Arc<Entry>>>,
    lost: Arc<AtomicU64>,
    written: Mutex<Receiver<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.line = None;
        let written = self.written.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Either way there is nothing more to do: what did not reach the disk is lost.
        let _written = written.recv_timeout(PATIENCE);
    }
}

impl Journal {
    /// Opens the journal in `path`, made if missing, for the node of that name.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn open(path: &Path, node: &str) -> Result<Self, JournalError> {
        Self::bounded(path, node, FILE_BYTES)
    }

    fn bounded(path: &Path, node: &str, bytes: u64) -> Result<Self, JournalError> {
        let failed = |source| JournalError::File { path: path.display().to_string(), source };
        let file = file::Lines::open(path, bytes).map_err(failed)?;
        let kept = file::read_back(path, KEPT);
        let (line, coming) = sync_channel(IN_LINE);
        let (done, written) = sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let mut writer = file::Writer::new(file, node.to_owned(), lost.clone());
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                writer.run(&coming);
                drop(done);
            })
            .map_err(JournalError::Thread)?;
        let followers = broadcast::Sender::new(BEHIND);
        Ok(Self(Arc::new(Inner {
            node: node.to_owned(),
            kept: Mutex::new(kept.into()),
            followers,
            line: Some(line),
            lost,
            written: Mutex::new(written),
        })))
    }

    /// Writes one notice. Never waits and never fails.
    pub fn write(&self, now: Instant, notice: &Notice) {
        let entry = Arc::new(Entry {
            time: stamp(SystemTime::now()),
            boot: now.0,
            node: self.0.node.clone(),
            severity: notice.severity(),
            text: notice.to_string(),
            notice: Some(notice.clone()),
        });
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(entry.clone());
        // Under the lock, so that memory, followers and file have one order. An error means that
        // nobody follows.
        drop(self.0.followers.send(entry.clone()));
        let sent = self.0.line.as_ref().map(|line| line.try_send(entry));
        if !matches!(sent, Some(Ok(()))) {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The newest lines, oldest first.
    #[must_use]
    pub fn tail(&self, most: usize) -> Vec<Arc<Entry>> {
        tail(&self.kept(), most)
    }

    /// Every line from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.0.followers.subscribe()
    }

    /// The newest lines and every line after them, without a gap between.
    #[must_use]
    pub fn follow(&self, most: usize) -> (Vec<Arc<Entry>>, broadcast::Receiver<Arc<Entry>>) {
        let kept = self.kept();
        (tail(&kept, most), self.subscribe())
    }

    /// How many lines did not reach the file and are not yet named there.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Entry>>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tail(kept: &VecDeque<Arc<Entry>>, most: usize) -> Vec<Arc<Entry>> {
    kept.iter().skip(kept.len().saturating_sub(most)).cloned().collect()
}
