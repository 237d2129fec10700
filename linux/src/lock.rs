//! A lock file that one process holds for its life: the old and the new guard exclude each other.
//!
//! The lock belongs to the open file (`F_OFD_SETLK`), so it ends with the process however that
//! ends; the file stays, for removing it would let two processes lock two files of one name. The
//! holder writes its process number into it, for people and for whoever wants to end it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use thiserror::Error;

/// The lock was not taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is held by {}; end that process first", path.display(), named(*pid))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The holder, where it has said so already.
        pid: Option<i32>,
    },
    /// The file can't be used.
    #[error("can't {step} the lock file {}; the lock was not taken", path.display())]
    File {
        /// What was being done.
        step: &'static str,
        /// The lock file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn named(pid: Option<i32>) -> String {
    pid.map_or_else(
        || "a process that has not said its number".to_owned(),
        |pid| format!("process {pid}"),
    )
}

/// A held lock. It ends when this goes, or with the process.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock without waiting.
    ///
    /// # Errors
    /// See [`LockError`]; the lock was not taken.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let failed = |step| move |source| LockError::File { step, path: path.to_owned(), source };
        let mut file = open(path, true).map_err(failed("open"))?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole(libc::F_WRLCK))) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => {
                return Err(LockError::Held { path: path.to_owned(), pid: read_pid(&mut file) });
            }
            Err(errno) => return Err(failed("lock")(errno.into())),
        }
        // Shorter first: a reader sees no number rather than a mixture of two.
        file.set_len(0).map_err(failed("empty"))?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(failed("write"))?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    /// Said expressly: a child that was forked a moment ago has the file open until its exec.
    fn drop(&mut self) {
        let _ = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&whole(libc::F_UNLCK)));
    }
}

/// Who holds the lock: `None` if nobody does, `Some(None)` if the holder has not said its number.
///
/// # Errors
/// [`LockError::File`].
pub fn holder(path: &Path) -> Result<Option<Option<i32>>, LockError> {
    let failed = |step| move |source| LockError::File { step, path: path.to_owned(), source };
    let mut file = match open(path, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open")(error)),
    };
    // Asks without taking, so a process that tries at this moment is not turned away.
    let mut asked = whole(libc::F_RDLCK);
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut asked)).map_err(|e| failed("ask")(e.into()))?;
    let free = i32::from(asked.l_type) == libc::F_UNLCK;
    Ok((!free).then(|| read_pid(&mut file)))
}

fn open(path: &Path, write: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(write)
        .create(write)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

fn whole(kind: libc::c_int) -> libc::flock {
    // The narrow types of the structure hold these small constants.
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn read_pid(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    // Without the line's end the number may still be growing.
    text.strip_suffix('\n')?.parse().ok().filter(|pid| *pid > 0)
}
