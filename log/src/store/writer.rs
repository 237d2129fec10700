//! The one that writes: takes what has queued up, commits it at once, answers.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::storage::IOFlushed;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::error;

use super::file::guarded;
use super::{StoreError, StoreFile, stall};
use crate::machine::Failure;
use crate::record;
use crate::types::Types;

/// One thing to write; records are encoded already.
pub(super) enum Op {
    Append(Vec<(u64, Vec<u8>)>),
    TruncateFrom(u64),
    Purge(record::Position),
    Vote(Vec<u8>),
    Committed(Vec<u8>),
    Snapshot(Vec<u8>),
}

impl Op {
    /// Whether it must have reached the disk before it is answered.
    pub fn durable(&self) -> bool {
        match self {
            Self::Append(_) | Self::TruncateFrom(_) | Self::Vote(_) | Self::Snapshot(_) => true,
            Self::Purge(_) | Self::Committed(_) => false,
        }
    }
}

pub(super) enum Done {
    Nobody,
    Reply(oneshot::Sender<Result<(), Arc<StoreError>>>),
    Flushed(IOFlushed<Types>),
}

impl Done {
    fn tell(self, result: Result<(), Arc<StoreError>>) {
        match self {
            Self::Nobody => {}
            // Whoever asked may have been cancelled; then the answer is of no use.
            Self::Reply(reply) => drop(reply.send(result)),
            Self::Flushed(flushed) => flushed.io_completed(result.map_err(io::Error::other)),
        }
    }
}

pub(super) enum Job {
    Write(Op, Done),
    Close(oneshot::Sender<()>),
}

/// Requests that may wait for the disk; more than that wait in front of the queue.
const QUEUE: usize = 1024;
/// Most requests in one transaction.
const GROUP: usize = 256;

/// Who does the writing.
pub(super) enum Writing {
    /// A thread of its own. A transaction that takes longer than that is one of a disk that hangs.
    Thread(Duration),
    /// Whoever asks for it.
    Caller,
    /// A task of its own, which waits before each transaction.
    Task(Box<dyn FnMut() -> Duration + Send>),
}

/// A handle to the writer; copies share it.
#[derive(Clone)]
pub(super) enum Writer {
    Queue(mpsc::Sender<Job>),
    Inline(Arc<Mutex<Engine>>),
}

/// Owns the file. After the first failure it writes nothing any more.
pub(super) struct Engine {
    file: Option<StoreFile>,
    failed: Option<Arc<StoreError>>,
    failure: watch::Sender<Option<Failure>>,
    /// The last index on disk.
    tail: watch::Sender<Option<u64>>,
}

impl Writer {
    pub fn start(
        file: StoreFile,
        writing: Writing,
        failure: watch::Sender<Option<Failure>>,
        tail: watch::Sender<Option<u64>>,
    ) -> Result<Self, StoreError> {
        let mut engine = Engine { file: Some(file), failed: None, failure, tail };
        if let Writing::Caller = writing {
            return Ok(Self::Inline(Arc::new(Mutex::new(engine))));
        }
        let (queue, mut jobs) = mpsc::channel(QUEUE);
        let mut group = Vec::with_capacity(GROUP);
        if let Writing::Task(mut pace) = writing {
            // It ends, as the thread does, with the last handle; nobody has to wait for it.
            tokio::spawn(async move {
                while jobs.recv_many(&mut group, GROUP).await > 0 {
                    tokio::time::sleep(pace()).await;
                    engine.run(group.drain(..));
                }
            });
            return Ok(Self::Queue(queue));
        }
        let told = match writing {
            Writing::Thread(patience) => Some(stall::watch(patience, engine.failure.clone())?),
            // Those have returned above.
            Writing::Caller | Writing::Task(_) => None,
        };
        let thread = std::thread::Builder::new().name("stead-log-disk".into());
        let spawned = thread.spawn(move || {
            while let Some(job) = jobs.blocking_recv() {
                group.push(job);
                while group.len() < GROUP {
                    match jobs.try_recv() {
                        Ok(job) => group.push(job),
                        Err(_empty_or_closed) => break,
                    }
                }
                told.iter().for_each(stall::Told::begins);
                engine.run(group.drain(..));
                told.iter().for_each(stall::Told::ended);
            }
        });
        spawned.map_err(|error| StoreError::open(redb::Error::Io(error)))?;
        Ok(Self::Queue(queue))
    }

    /// Queues `op` and returns; a failure shows in the next request that is waited for.
    pub async fn submit(&self, op: Op) -> io::Result<()> {
        self.send(Job::Write(op, Done::Nobody)).await
    }

    /// Queues entries; `flushed` is called when they are on disk.
    pub async fn append(
        &self,
        entries: Vec<(u64, Vec<u8>)>,
        flushed: IOFlushed<Types>,
    ) -> io::Result<()> {
        self.send(Job::Write(Op::Append(entries), Done::Flushed(flushed))).await
    }

    /// Queues `op` and waits until it is on disk.
    pub async fn wait(&self, op: Op) -> io::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Write(op, Done::Reply(reply))).await?;
        match answer.await {
            Ok(result) => result.map_err(io::Error::other),
            Err(_gone) => Err(io::Error::other(StoreError::Closed)),
        }
    }

    /// Closes the file, after all that is queued.
    pub async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.send(Job::Close(reply)).await.is_ok() {
            // An error means that the thread is gone already, and the file with it.
            drop(answer.await);
        }
    }

    async fn send(&self, job: Job) -> io::Result<()> {
        match self {
            Self::Queue(queue) => {
                queue.send(job).await.map_err(|_| io::Error::other(StoreError::Closed))
            }
            Self::Inline(engine) => {
                let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
                engine.run(std::iter::once(job));
                Ok(())
            }
        }
    }
}

impl Engine {
    fn run(&mut self, jobs: impl Iterator<Item = Job>) {
        let mut ops = Vec::new();
        let mut waiting = Vec::new();
        let mut close = None;
        for job in jobs {
            match job {
                Job::Write(op, done) => {
                    ops.push(op);
                    waiting.push(done);
                }
                Job::Close(reply) => close = Some(reply),
            }
        }
        if !ops.is_empty() {
            let result = self.commit(&ops);
            for done in waiting {
                done.tell(result.clone());
            }
        }
        if let Some(reply) = close {
            self.file = None;
            // Whoever asked may have been cancelled.
            let _ = reply.send(());
        }
    }

    fn commit(&mut self, ops: &[Op]) -> Result<(), Arc<StoreError>> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        // The disk hung, and somebody else said so: it is back, too late.
        if let Some(Failure::Store(failed)) = &*self.failure.borrow() {
            return Err(failed.clone());
        }
        let Some(file) = &self.file else { return Err(Arc::new(StoreError::Closed)) };
        let committed = guarded(|| file.commit(ops.iter()));
        if committed.is_ok() {
            self.advance(ops);
        }
        committed.map_err(|failed| {
            error!(error = %failed, "the log's store failed; the log stops");
            let failed = Arc::new(failed);
            self.failed = Some(failed.clone());
            // The file is left as it is: closing it in an orderly way would write again.
            self.failure.send_if_modified(|failure| {
                let first = failure.is_none();
                failure.get_or_insert_with(|| Failure::Store(failed.clone()));
                first
            });
            failed
        })
    }

    /// Says up to where the entries on disk reach now.
    fn advance(&self, ops: &[Op]) {
        self.tail.send_if_modified(|tail| {
            let before = *tail;
            for op in ops {
                match op {
                    Op::Append(entries) => {
                        *tail = entries.last().map(|(index, _)| *index).or(*tail);
                    }
                    Op::TruncateFrom(first) => *tail = first.checked_sub(1),
                    // What is purged is in a snapshot, and that is on disk.
                    Op::Purge(upto) => *tail = (*tail).max(Some(upto.index)),
                    Op::Vote(_) | Op::Committed(_) | Op::Snapshot(_) => {}
                }
            }
            *tail != before
        });
    }
}
