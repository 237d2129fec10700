//! A disk that neither writes nor fails: the kernel waits for it, and with it whoever writes.
//!
//! No call returns, so nobody is told anything: somebody else has to look at the clock.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::watch;
use tracing::error;

use super::StoreError;
use crate::machine::Failure;

/// How long a transaction may take before the disk counts as one that hangs: long enough for a disk
/// that is only busy, or that is reached on another way now.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The writer's end: says when a transaction begins and ends.
pub(super) struct Told(Sender<Beat>);

#[derive(Clone, Copy, Debug)]
enum Beat {
    Begins,
    Ended,
}

impl Told {
    pub(super) fn begins(&self) {
        // Without anybody who looks the disk may hang unseen, as if there were no such thread.
        let _ = self.0.send(Beat::Begins);
    }

    pub(super) fn ended(&self) {
        let _ = self.0.send(Beat::Ended);
    }
}

/// Begins to look at the clock, in a thread of its own. It ends with the writer's end, or with a
/// disk that hangs: that is published, and the last thing that is.
pub(super) fn watch(
    patience: Duration,
    failure: watch::Sender<Option<Failure>>,
) -> Result<Told, StoreError> {
    let (told, beats) = channel();
    let thread = std::thread::Builder::new().name("stead-log-stall".into());
    let spawned = thread.spawn(move || look(&beats, patience, &failure));
    spawned.map_err(|error| StoreError::open(redb::Error::Io(error)))?;
    Ok(Told(told))
}

fn look(beats: &Receiver<Beat>, patience: Duration, failure: &watch::Sender<Option<Failure>>) {
    while let Ok(beat) = beats.recv() {
        match beat {
            Beat::Ended => continue,
            Beat::Begins => {}
        }
        match beats.recv_timeout(patience) {
            Ok(Beat::Ended | Beat::Begins) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                error!("the log's disk hangs; the log stops");
                failure.send_if_modified(|failure| {
                    let first = failure.is_none();
                    let hangs = || Failure::Store(Arc::new(StoreError::Hangs(patience)));
                    failure.get_or_insert_with(hangs);
                    first
                });
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};

    use redb::backends::InMemoryBackend;
    use stead_core::id::{ClusterId, NodeId};

    use super::super::Disk;
    use super::super::file::StoreFile;
    use super::super::writer::{Op, Writer, Writing};

    /// Whether the disk hangs.
    type Gate = Arc<(Mutex<bool>, Condvar)>;

    #[derive(Debug)]
    struct Hanging(InMemoryBackend, Gate);

    impl Hanging {
        fn wait(&self) {
            let (hangs, changed) = &*self.1;
            let held = hangs.lock().expect("sound");
            drop(changed.wait_while(held, |hangs| *hangs).expect("sound"));
        }
    }

    impl redb::StorageBackend for Hanging {
        fn len(&self) -> std::io::Result<u64> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
            self.0.read(offset, out)
        }
        fn set_len(&self, len: u64) -> std::io::Result<()> {
            self.0.set_len(len)
        }
        fn sync_data(&self) -> std::io::Result<()> {
            self.wait();
            self.0.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
            self.wait();
            self.0.write(offset, data)
        }
        fn close(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn set(gate: &Gate, hangs: bool) {
        *gate.0.lock().expect("sound") = hangs;
        gate.1.notify_all();
    }

    #[tokio::test]
    async fn a_disk_that_hangs_is_told_once_and_nothing_is_written_after_it() {
        let gate = Gate::default();
        let backend = Box::new(Hanging(InMemoryBackend::new(), gate.clone()));
        let disk = Disk::Backend { backend, threaded: true };
        let owner = (NodeId(1), ClusterId([7; 16]));
        let (file, _, writing) = StoreFile::open(disk, owner.0, owner.1).expect("opened");
        assert!(matches!(writing, Writing::Thread(PATIENCE)), "as a file has it");
        let (failure, mut failed) = watch::channel(None);
        let (tail, _) = watch::channel(None);
        let writing = Writing::Thread(Duration::from_millis(30));
        let writer = Writer::start(file, writing, failure, tail).expect("started");
        writer.wait(Op::Append(vec![(1, vec![1])])).await.expect("written");
        assert!(failed.borrow().is_none(), "a disk at rest does not hang");

        set(&gate, true);
        writer.submit(Op::Append(vec![(2, vec![2])])).await.expect("queued");
        failed.wait_for(Option::is_some).await.expect("published");
        let said = match &*failed.borrow() {
            Some(Failure::Store(error)) => error.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(said.contains("hangs"), "{said}");

        // It comes back: what was begun may be there, and nothing more.
        set(&gate, false);
        let refused = writer.wait(Op::Append(vec![(3, vec![3])])).await.expect_err("refused");
        assert!(refused.to_string().contains("hangs"), "{refused}");
    }
}
