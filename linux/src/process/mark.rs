//! What a child leaves behind before it becomes the program, so that it can be found without us.
//!
//! A starter that is killed between fork and its own next line would leave a program that nobody
//! knows of. So the child says itself who it is, and becomes the program only if its starter still
//! lived after that: either the note is there, or the program never ran.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// What the child does between fork and exec; by default nothing.
#[derive(Debug, Default)]
pub struct Mark {
    /// Open for appending: the child adds its own line of /proc/self/stat (proc(5)) in one write.
    pub note: Option<File>,
    /// An open `cgroup.procs` of a version 2 hierarchy: the child enters that group first.
    pub cgroup: Option<File>,
}

/// Longer than any line of /proc/self/stat: 52 numbers of up to 20 digits, and a name of 15 octets.
const STAT_MAX: usize = 2_048;

impl Mark {
    /// Runs in the forked child: system calls only, no lock, no allocation. `starter` is the number
    /// of the process that forked.
    pub(super) fn leave(&self, starter: libc::pid_t) -> io::Result<()> {
        if let Some(group) = &self.cgroup {
            // 0 stands for whoever writes it.
            write(group.as_raw_fd(), b"0")?;
        }
        let Some(note) = &self.note else { return Ok(()) };
        let mut line = [0; STAT_MAX];
        let length = read_stat(&mut line)?;
        write(note.as_raw_fd(), line.get(..length).unwrap_or_default())?;
        // SAFETY: no pointers, can't fail.
        if unsafe { libc::getppid() } == starter {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::ESRCH))
        }
    }
}

fn read_stat(line: &mut [u8; STAT_MAX]) -> io::Result<usize> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: the path is a constant that ends with zero. The descriptor closes on exec.
    let fd = unsafe { libc::open(c"/proc/self/stat".as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the pointer and the length describe `line`, which lives through the call.
    let length = unsafe { libc::read(fd, line.as_mut_ptr().cast(), line.len()) };
    usize::try_from(length).map_err(|_| io::Error::last_os_error())
}

fn write(fd: RawFd, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `bytes`, which live through the call.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    match usize::try_from(written) {
        Ok(length) if length == bytes.len() => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
