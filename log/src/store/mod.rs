//! The log's disk: entries, vote, commit mark and snapshot in one redb file.
//!
//! **Happy path.** openraft hands over entries; they are readable at once from a copy in memory
//! (the log between two snapshots is small), and go to the one thread that writes (`writer.rs`).
//! It takes whatever has queued up, writes it in one transaction, syncs, and only then tells
//! openraft that the entries are on disk. A vote, a truncation and a snapshot are waited for.
//!
//! **A vote goes to the guard first.** [`Store::save_vote`] tells the [`TermListener`] before it
//! writes, and waits until it is heard, however long that takes: no vote and no acceptance leaves a
//! node whose guard doesn't know the term (`docs/protocol.md`, sections 3 and 12, T2).
//!
//! **Failures.** The first error of the disk is the last thing written: it is published, each
//! waiting and each later request is refused with it, and openraft stops. Nothing is retried; what
//! a failed fsync left behind is not known to anyone. After a restart the file is as of some
//! commit, never between two, and never before one that was acknowledged. A disk that neither
//! writes nor fails is called a failed one after ten seconds (`stall.rs`).
//!
//! **Deliberately absent**: reads from disk after the start, compaction while running (the file
//! stays near its greatest size), and repair: a damaged file is refused, and the node joins anew.

mod file;
mod stall;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use stead_core::id::{ClusterId, NodeId};
use thiserror::Error;
use tokio::sync::watch;
use tracing::warn;

use self::file::StoreFile;
use self::writer::{Op, Writer};
use crate::codec::{DecodeError, encode};
use crate::listener::TermListener;
use crate::machine::Failure;
use crate::record;
use crate::types::{Entry, LogId, Types, Vote};

/// Where the log is kept.
pub enum Disk {
    /// The file `log.redb` in this directory, written by a thread of its own.
    Directory(PathBuf),
    /// Anything that redb can write to: disks that fail on purpose, disks in memory.
    Backend {
        /// What takes the place of the file.
        backend: Box<dyn redb::StorageBackend>,
        /// Written by a thread of its own, as a file is; otherwise in the calling task, which is
        /// for virtual time, where threads would not be deterministic.
        threaded: bool,
    },
    /// The same in virtual time, with a disk that takes its time: each transaction is begun, waits
    /// for as long as `pace` says, and is written then, in a task of its own. What queues up
    /// meanwhile goes into the next one.
    Paced {
        /// What takes the place of the file.
        backend: Box<dyn redb::StorageBackend>,
        /// How long the next transaction takes.
        pace: Box<dyn FnMut() -> Duration + Send>,
    },
    /// A disk that is known to have held this node's log. If nothing of it is there any more, the
    /// node has forgotten what it voted for and what it acknowledged, and opening is refused with
    /// [`StoreError::Lost`] before anyone is answered (rule T2).
    Used(Box<Disk>),
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => f.debug_tuple("Directory").field(path).finish(),
            Self::Backend { threaded, .. } => {
                f.debug_struct("Backend").field("threaded", threaded).finish_non_exhaustive()
            }
            Self::Paced { .. } => f.debug_struct("Paced").finish_non_exhaustive(),
            Self::Used(disk) => f.debug_tuple("Used").field(disk).finish(),
        }
    }
}

/// The disk under the log failed, or holds what it can't hold.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory could not be made or entered. Nothing was changed.
    #[error("can't use the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file could not be opened: in use by another daemon, damaged, or unreadable. Nothing was
    /// changed. A damaged store is mended by removing the node and joining anew.
    #[error("can't open the log's store")]
    Open(#[source] Box<redb::Error>),
    /// Reading, writing or syncing failed, a full disk included. What was acknowledged is on disk;
    /// whether the last transaction is, is not known. The log stops.
    #[error("the log's disk failed")]
    Disk(#[source] Box<redb::Error>),
    /// A transaction takes longer than that, and nobody knows how it will end: a disk that is gone,
    /// or a file system that is frozen. What was acknowledged is on disk. The log stops.
    #[error("the log's disk hangs: it has taken nothing for {} s", .0.as_secs())]
    Hangs(Duration),
    /// The store belongs to another node or cluster. Nothing was changed.
    #[error(
        "this store belongs to node {node} of cluster {cluster}: wrong directory, or a copied disk"
    )]
    Foreign {
        /// The node it belongs to.
        node: NodeId,
        /// That node's cluster.
        cluster: ClusterId,
    },
    /// There was a log on this disk, and there is none now. Nothing was changed. Put the disk back
    /// as it was when the node last ran, or remove the node from the cluster and join it anew.
    #[error("the log that was on this disk is gone: this node no longer knows what it voted for")]
    Lost,
    /// A record on disk can't be read. Nothing was changed.
    #[error("can't read {what} from the log's store")]
    Decode {
        /// Which record.
        what: &'static str,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// Entries are missing in the middle. Nothing was changed; remove the node and join anew.
    #[error("the log's store has a hole: entry {missing} is missing")]
    Hole {
        /// The first entry that is missing.
        missing: u64,
    },
    /// The code under the store panicked: a damaged file, most likely. The log stops.
    #[error("the log's store gave up: {0}")]
    Panicked(String),
    /// The log is shut down. Nothing was changed.
    #[error("the log is shut down")]
    Closed,
}

impl StoreError {
    pub(crate) fn open(error: impl Into<redb::Error>) -> Self {
        Self::Open(Box::new(error.into()))
    }

    pub(crate) fn disk(error: impl Into<redb::Error>) -> Self {
        Self::Disk(Box::new(error.into()))
    }
}

/// openraft's view of the store; copies share everything.
#[derive(Clone)]
pub(crate) struct Store {
    view: Arc<Mutex<View>>,
    writer: Writer,
    listener: Arc<dyn TermListener>,
    closing: watch::Receiver<bool>,
    /// The last index on disk.
    durable: watch::Receiver<Option<u64>>,
}

/// What is on disk or on its way there, in memory.
struct View {
    vote: Option<record::Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
    snapshot: Option<Arc<record::Snapshot>>,
}

/// How much one message of replication carries at most, so that a follower that lags far behind
/// doesn't get messages that take longer than their deadline.
const BATCH_BYTES: usize = 1 << 20;

/// The wait between two attempts to reach a guard that doesn't answer.
const LISTENER_RETRY: Duration = Duration::from_millis(50);

impl Store {
    pub fn open(
        disk: Disk,
        (node, cluster): (NodeId, ClusterId),
        listener: Arc<dyn TermListener>,
        failure: watch::Sender<Option<Failure>>,
        closing: watch::Receiver<bool>,
    ) -> Result<Self, StoreError> {
        let (file, loaded, writing) = StoreFile::open(disk, node, cluster)?;
        let tail = loaded.entries.last_key_value().map(|(index, _)| *index);
        let tail = tail.or(loaded.purged.map(|purged| purged.index));
        let view = View {
            vote: loaded.vote,
            committed: loaded.committed.map(Into::into),
            purged: loaded.purged.map(Into::into),
            entries: loaded.entries,
            snapshot: loaded.snapshot.map(Arc::new),
        };
        let (tail, durable) = watch::channel(tail);
        let writer = Writer::start(file, writing, failure, tail)?;
        Ok(Self { view: Arc::new(Mutex::new(view)), writer, listener, closing, durable })
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // Nothing that holds this lock can panic half way through a change.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vote on disk.
    pub fn vote(&self) -> Option<record::Vote> {
        self.view().vote
    }

    /// The newest snapshot on disk.
    pub fn snapshot(&self) -> Option<Arc<record::Snapshot>> {
        self.view().snapshot.clone()
    }

    /// The last entry, on disk or on its way there, or the last that is gone.
    pub fn last_log(&self) -> Option<LogId> {
        let view = self.view();
        view.entries.last_key_value().map(|(_, entry)| entry.log_id).or(view.purged)
    }

    /// The last entry that is on disk, or the last that is gone from it.
    pub fn durable_last(&self) -> Option<LogId> {
        let durable = *self.durable.borrow();
        let view = self.view();
        let last = durable.and_then(|last| view.entries.range(..=last).next_back());
        last.map(|(_, entry)| entry.log_id).or(view.purged)
    }

    /// The voters, if they are known to be committed, and no other set stands behind them; nothing
    /// while they change.
    pub fn settled_voters(&self) -> Option<BTreeSet<NodeId>> {
        let view = self.view();
        let committed = view.committed.map(|it| it.index);
        let mut found: Option<BTreeSet<NodeId>> = None;
        for (index, entry) in view.entries.iter().rev() {
            let Some(membership) = &entry.payload.membership else { continue };
            let [voters] = &membership.get_joint_config()[..] else { return None };
            if found.as_ref().is_some_and(|found| found != voters) {
                return None;
            }
            found = Some(voters.clone());
            if committed >= Some(*index) {
                return found;
            }
        }
        let sets = view.snapshot.as_ref().map(|it| it.membership.voters.clone())?;
        let [voters] = <[_; 1]>::try_from(sets).ok()?;
        found.is_none_or(|found| found == voters).then_some(voters)
    }

    /// Whether any change in the log is like that; of each it is told whether it is not known to be
    /// committed.
    pub fn has_change(&self, like: impl Fn(&[u8], bool) -> bool) -> bool {
        let view = self.view();
        let committed = view.committed.map(|it| it.index);
        view.entries.iter().rev().any(|(index, entry)| {
            let change = entry.payload.change.as_ref();
            change.is_some_and(|change| like(&change.0, committed < Some(*index)))
        })
    }

    /// Changes with [`Self::durable_last`].
    pub fn watch_durable(&self) -> watch::Receiver<Option<u64>> {
        self.durable.clone()
    }

    /// Writes a snapshot and makes it the current one, unless the current one is newer.
    pub async fn save_snapshot(&self, snapshot: record::Snapshot) -> io::Result<()> {
        if self.view().snapshot.as_ref().is_some_and(|current| current.last >= snapshot.last) {
            return Ok(());
        }
        self.writer.wait(Op::Snapshot(encode(&snapshot))).await?;
        self.view().snapshot = Some(Arc::new(snapshot));
        Ok(())
    }

    /// Tells the guard of a term, until it is heard or the log closes.
    pub async fn tell(&self, vote: record::Vote) -> io::Result<()> {
        let term = vote.as_term();
        let mut closing = self.closing.clone();
        let told = async {
            let mut attempts = 0u64;
            while let Err(error) = self.listener.learn(term).await {
                attempts += 1;
                if attempts.is_power_of_two() {
                    warn!(%term, attempts, %error, "no vote leaves before the guard knows it");
                }
                tokio::time::sleep(LISTENER_RETRY).await;
            }
        };
        tokio::select! {
            () = told => Ok(()),
            _ = closing.wait_for(|closing| *closing) => Err(io::Error::other(StoreError::Closed)),
        }
    }

    /// Ends the writing, after all that is queued. The file is closed when this returns.
    pub async fn close(&self) {
        self.writer.close().await;
    }
}

/// Where a range over the log's indices begins and ends, both inside; `None` if nothing is in it.
fn bounds(range: &impl RangeBounds<u64>) -> Option<(u64, u64)> {
    let first = match range.start_bound() {
        Bound::Included(first) => *first,
        Bound::Excluded(before) => before.checked_add(1)?,
        Bound::Unbounded => 0,
    };
    let last = match range.end_bound() {
        Bound::Included(last) => *last,
        Bound::Excluded(behind) => behind.checked_sub(1)?,
        Bound::Unbounded => u64::MAX,
    };
    (first <= last).then_some((first, last))
}

impl RaftLogReader<Types> for Store {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let Some((first, last)) = bounds(&range) else { return Ok(Vec::new()) };
        Ok(self.view().entries.range(first..=last).map(|(_, entry)| entry.clone()).collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let mut bytes = 0;
        let view = self.view();
        let fits = |entry: &&Entry| {
            let first = bytes == 0;
            bytes += 64 + entry.payload.change.as_ref().map_or(0, |change| change.0.len());
            first || bytes <= BATCH_BYTES
        };
        let entries = view.entries.range(start..end).map(|(_, entry)| entry);
        Ok(entries.take_while(fits).cloned().collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.vote().map(Into::into))
    }
}

impl RaftLogStorage<Types> for Store {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let last_log_id = self.last_log();
        Ok(LogState { last_purged_log_id: self.view().purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = record::Vote::from(vote);
        self.tell(vote).await?;
        self.writer.wait(Op::Vote(encode(&vote))).await?;
        self.view().vote = Some(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let Some(committed) = committed else { return Ok(()) };
        self.writer.submit(Op::Committed(encode(&record::Position::from(committed)))).await?;
        self.view().committed = Some(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.view().committed)
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let records = entries
            .iter()
            .map(|entry| (entry.log_id.index, encode(&record::Entry::from(entry.clone()))))
            .collect();
        self.view().entries.extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
        self.writer.append(records, flushed).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let first_gone = last.map_or(0, |last| last.index + 1);
        self.view().entries.split_off(&first_gone);
        self.writer.wait(Op::TruncateFrom(first_gone)).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        {
            let mut view = self.view();
            view.entries = view.entries.split_off(&(upto.index + 1));
            view.purged = Some(upto);
        }
        // Not waited for: all that follows is behind it in the same queue, and entries that come
        // back after a crash are only old.
        self.writer.submit(Op::Purge(upto.into())).await
    }
}

/// Makes the directory, with access for the owner only.
fn make_directory(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StoreError::Directory { path: path.into(), source })
}

/// Makes sure that a file that was just made is found again after a power cut.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    for directory in std::iter::once(path).chain(parent) {
        let synced = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|source| StoreError::Directory { path: directory.into(), source })?;
    }
    Ok(())
}
