//! A number that only grows, across crashes and on a full disk.
//!
//! Two slots in one file that was allocated when it was made, each in a block of its own with a
//! checksum. Counting overwrites the slot with the smaller number, so a torn write leaves the other
//! one, and the number is returned only after the disk has it. Where one slot is damaged, a number
//! is left out, for the lost one may have been in use. Two damaged slots are an error, never
//! a new start from zero. (On a copy-on-write file system overwriting may need space after all;
//! then counting fails, and says so.)

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{WriteError, write_atomically};

const MAGIC: [u8; 8] = *b"steadcnt";
const SLOT: u64 = 4096;
const RECORD: usize = 24;

/// The counter could not be used. The number it stood at is not lost, save with `Damaged`.
#[derive(Debug, Error)]
pub enum CounterError {
    /// The file could not be made.
    #[error("can't make the counter {}; there is none", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: WriteError,
    },
    /// The file can't be used.
    #[error("can't {step} the counter {}; nothing was counted", path.display())]
    File {
        /// What was being done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another process has it open.
    #[error("another process uses the counter {}; end it first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Neither slot can be trusted.
    #[error(
        "the counter {} is damaged in both places; its number is lost; this node must be added \
         again as a new one",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// After 2^64 - 1 there is nothing.
    #[error("the counter {} is at its end", path.display())]
    Exhausted {
        /// The file.
        path: PathBuf,
    },
}

/// An open counter, locked against other processes.
#[derive(Debug)]
pub struct Counter {
    file: File,
    path: PathBuf,
}

impl Counter {
    /// Makes a counter that stands at zero. To be done once, when the node is made: a counter that
    /// is gone later must not silently begin again.
    ///
    /// # Errors
    /// See [`CounterError`]; an existing file is left alone.
    pub fn create(path: &Path) -> Result<Self, CounterError> {
        if path.symlink_metadata().is_ok() {
            let source = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(CounterError::File { step: "make", path: path.to_owned(), source });
        }
        let mut bytes = vec![0; 2 * SLOT as usize];
        for start in [0, SLOT as usize] {
            bytes[start..start + RECORD].copy_from_slice(&encode(0));
        }
        write_atomically(path, &bytes, 0o600)
            .map_err(|source| CounterError::Make { path: path.to_owned(), source })?;
        Self::open(path)
    }

    /// Opens an existing counter.
    ///
    /// # Errors
    /// See [`CounterError`].
    pub fn open(path: &Path) -> Result<Self, CounterError> {
        let failed = |step| {
            let path = path.to_owned();
            move |source| CounterError::File { step, path, source }
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(path).map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path: path.to_owned() }),
            Err(TryLockError::WouldBlock) => Err(CounterError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed("lock")(error)),
        }
    }

    /// The number it stands at.
    ///
    /// # Errors
    /// See [`CounterError`].
    pub fn value(&self) -> Result<u64, CounterError> {
        let [first, second] = self.slots()?;
        first.max(second).ok_or_else(|| CounterError::Damaged { path: self.path.clone() })
    }

    /// Counts up and returns the new number, which is on the disk then. A number is never returned
    /// twice; after an error or damage one may be left out.
    ///
    /// # Errors
    /// See [`CounterError`].
    pub fn increment(&mut self) -> Result<u64, CounterError> {
        let [first, second] = self.slots()?;
        let damaged = || CounterError::Damaged { path: self.path.clone() };
        let present = first.max(second).ok_or_else(damaged)?;
        let exhausted = || CounterError::Exhausted { path: self.path.clone() };
        // A damaged slot may have held the next number already, and somebody may have seen it.
        let step = if first.is_some() && second.is_some() { 1 } else { 2 };
        let next = present.checked_add(step).ok_or_else(exhausted)?;
        // The slot that is damaged or behind; `None` is less than any number.
        let at = if first < second { 0 } else { SLOT };
        self.file.write_all_at(&encode(next), at).map_err(|e| self.failed("write", e))?;
        self.file.sync_data().map_err(|e| self.failed("flush", e))?;
        Ok(next)
    }

    fn slots(&self) -> Result<[Option<u64>; 2], CounterError> {
        let mut slots = [None; 2];
        for (slot, at) in slots.iter_mut().zip([0, SLOT]) {
            let mut record = [0; RECORD];
            match self.file.read_exact_at(&mut record, at) {
                Ok(()) => *slot = decode(&record),
                // A file that was cut: this slot is damaged.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                // So is one that the disk can't read any more; the other one may do.
                Err(error) if error.raw_os_error() == Some(libc::EIO) => {}
                Err(error) => return Err(self.failed("read", error)),
            }
        }
        Ok(slots)
    }

    fn failed(&self, step: &'static str, source: io::Error) -> CounterError {
        CounterError::File { step, path: self.path.clone(), source }
    }
}

impl Drop for Counter {
    /// Said expressly: a child that was forked a moment ago has the file open until its exec.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn encode(value: u64) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..8].copy_from_slice(&MAGIC);
    record[8..16].copy_from_slice(&value.to_le_bytes());
    let sum = checksum(&record[..16]);
    record[16..].copy_from_slice(&sum.to_le_bytes());
    record
}

fn decode(record: &[u8; RECORD]) -> Option<u64> {
    let value = u64::from_le_bytes(record[8..16].try_into().ok()?);
    (*record == encode(value)).then_some(value)
}

/// FNV-1a with 64 bits: finds torn and stray writes, which is all it is for.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
