//! The table and the disk behind it: nothing is answered before it is written.
//!
//! Whatever changes goes, in order, to the one thread that writes. It takes all that has queued up,
//! writes it in one commit, and says up to which number everything is on the disk. So a thousand
//! clusters that ask at once share a few commits, and one alone waits for its own only.
//!
//! The first error of the disk is the last thing that is written: what a failed sync left behind is
//! not known to anyone. Nothing is answered then, and the process ends.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use stead_edge::chain;
use tokio::sync::watch;

use super::limits::{NOTES_PER_COMMIT, WRITES, WRITES_PER_COMMIT};
use super::numbers::Numbers;
use super::store::Store;
use super::table::{Table, Write, Written};

/// The disk failed; nothing is answered any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; nothing is answered any more")]
pub struct Stopped(String);

impl Stopped {
    /// The system gave no random bytes.
    pub(super) fn no_randomness() -> Self {
        Self("the system gave no random bytes".to_owned())
    }
}

/// Up to which write everything is on the disk.
type Progress = Result<Written, Stopped>;
/// Some writes, and the number of the last.
type Batch = (Vec<Write>, Written);

/// All that the server knows, durably.
pub struct Ledger {
    inner: Mutex<Inner>,
    progress: watch::Receiver<Progress>,
}

struct Inner {
    table: Table,
    /// Gone when the ledger is being closed.
    writer: Option<(SyncSender<Batch>, JoinHandle<()>)>,
}

impl Ledger {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(store: Store, table: Table, numbers: Arc<Numbers>) -> std::io::Result<Self> {
        let (writes, incoming) = sync_channel(WRITES);
        let (done, progress) = watch::channel(Ok(0));
        let thread = std::thread::Builder::new().name("registers".to_owned());
        let thread = thread.spawn(move || write(&store, &incoming, &done, &numbers))?;
        let inner = Mutex::new(Inner { table, writer: Some((writes, thread)) });
        Ok(Self { inner, progress })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds it can panic half way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the table, or changes it; what changed is on its way to the disk.
    pub fn with<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        let mut inner = self.lock();
        let outcome = act(&mut inner.table);
        let batch = inner.table.take_writes();
        if !batch.0.is_empty()
            && let Some((writer, _)) = &inner.writer
        {
            // If the thread is gone or behind for good, `on_disk` says so to whoever waits.
            drop(writer.try_send(batch));
        }
        outcome
    }

    /// Waits until that write and all before it are on the disk.
    ///
    /// # Errors
    /// They never will be.
    pub async fn on_disk(&self, written: Written) -> Result<(), Stopped> {
        let mut progress = self.progress.clone();
        let reached = |it: &Progress| it.as_ref().map_or(true, |done| *done >= written);
        match progress.wait_for(reached).await {
            Ok(progress) => progress.clone().map(|_done| ()),
            Err(_gone) => Err(Stopped("the registers are closed".to_owned())),
        }
    }

    /// Returns when the disk fails.
    pub async fn failed(&self) -> Stopped {
        match self.on_disk(Written::MAX).await {
            Err(stopped) => stopped,
            // So many writes there never are.
            Ok(()) => std::future::pending().await,
        }
    }

    /// Notes when clusters were heard: in pieces, so that no grant waits for all of them.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn note_seen(&self) -> Result<(), Stopped> {
        loop {
            let before = self.with(|table| table.written());
            let written = self.with(|table| table.note_seen(NOTES_PER_COMMIT));
            if written == before {
                return Ok(());
            }
            self.on_disk(written).await?;
        }
    }

    /// Notes when clusters were heard, and waits until everything is written.
    pub fn close(&self) {
        self.with(|table| table.note_seen(usize::MAX));
        let writer = self.lock().writer.take();
        if let Some((writes, thread)) = writer {
            drop(writes);
            // One that panicked has written nothing more; that was told.
            drop(thread.join());
        }
    }
}

fn write(
    store: &Store,
    incoming: &Receiver<Batch>,
    done: &watch::Sender<Progress>,
    numbers: &Numbers,
) {
    while let Ok((mut writes, mut last)) = incoming.recv() {
        while writes.len() < WRITES_PER_COMMIT
            && let Ok((more, number)) = incoming.try_recv()
        {
            writes.extend(more);
            last = number;
        }
        let begun = Instant::now();
        match store.commit(&writes) {
            Ok(()) => {
                numbers.written(writes.len(), begun.elapsed());
                drop(done.send_replace(Ok(last)));
            }
            Err(error) => {
                let stopped = Stopped(chain(&error));
                tracing::error!(error = %stopped, "the registers can't be written");
                drop(done.send_replace(Err(stopped)));
                return;
            }
        }
    }
}
