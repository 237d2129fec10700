//! Who a process is, told by /proc, and a hold on it that never slips to another.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::ProcessError;

/// One process, also across restarts of ours and reuse of its number (until the machine restarts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its number.
    pub pid: i32,
    /// When it started, in the kernel's clock ticks since the machine did (proc(5), field 22).
    pub start: u64,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (started at tick {})", self.pid, self.start)
    }
}

/// The fields of /proc/PID/stat that are used here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stat {
    state: char,
    session: i32,
    start: u64,
}

impl Stat {
    /// The second field is the program's name in parentheses and may contain anything, so the
    /// fields are counted from the last closing one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(bytes.get(end + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            state: fields.first()?.chars().next()?,
            session: fields.get(3)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }

    /// `None` if there is no such process.
    fn read(pid: i32) -> Result<Option<Self>, ProcessError> {
        let path = format!("/proc/{pid}/stat");
        match fs::read(&path) {
            Ok(bytes) => Ok(Self::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // It ended between opening and reading.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            Err(source) => Err(ProcessError::Proc { path, source }),
        }
    }
}

impl Identity {
    /// The identity of the process that has this number now.
    ///
    /// # Errors
    /// [`ProcessError::Gone`] if there is none.
    pub fn of(pid: i32) -> Result<Self, ProcessError> {
        let stat = Stat::read(pid)?.ok_or(ProcessError::Gone(pid))?;
        Ok(Self { pid, start: stat.start })
    }

    /// Our own.
    ///
    /// # Errors
    /// [`ProcessError::Proc`].
    pub fn own() -> Result<Self, ProcessError> {
        Self::of(std::process::id().try_into().unwrap_or(0))
    }
}

/// A process held by a pidfd: signals reach it or nobody. It needs not be a child of ours.
#[derive(Debug)]
pub struct Process {
    fd: OwnedFd,
    identity: Identity,
}

impl Process {
    /// The process of that identity; `None` if it is gone (or a zombie).
    ///
    /// # Errors
    /// See [`ProcessError`].
    pub fn find(identity: Identity) -> Result<Option<Self>, ProcessError> {
        let Some(fd) = pidfd_open(identity.pid)? else { return Ok(None) };
        // Looked at after opening: if the number is still its own now, the hold is on it.
        let stat = Stat::read(identity.pid)?;
        let same = stat.is_some_and(|stat| stat.start == identity.start && stat.state != 'Z');
        let process = Self { fd, identity };
        Ok((same && !process.has_ended()?).then_some(process))
    }

    /// Which process it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether it has ended. Its descriptor can be polled for the same: it then becomes readable.
    ///
    /// # Errors
    /// See [`ProcessError`].
    pub fn has_ended(&self) -> Result<bool, ProcessError> {
        loop {
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::ZERO) {
                Ok(count) => return Ok(count > 0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(refused("look at", self.identity.pid, errno)),
            }
        }
    }

    /// Sends a signal to it alone.
    ///
    /// # Errors
    /// [`ProcessError::Gone`], or [`ProcessError::Refused`].
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        let no_info: *const libc::siginfo_t = std::ptr::null();
        // SAFETY: the descriptor is a live pidfd; a null siginfo is allowed and means kill(2)'s.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.fd.as_raw_fd(),
                signal as libc::c_int,
                no_info,
                0,
            )
        };
        match Errno::result(sent) {
            Ok(_) => Ok(()),
            Err(Errno::ESRCH) => Err(ProcessError::Gone(self.identity.pid)),
            Err(errno) => Err(refused("signal", self.identity.pid, errno)),
        }
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Sends a signal to all members of a process group. For a group whose leader still is held, or not
/// yet waited for: else its number may be another's by now.
pub(super) fn signal_group(group: i32, signal: Signal) -> Result<(), ProcessError> {
    // 0 is our own group, 1 is init's (and -1 everybody).
    if group <= 1 {
        return Err(ProcessError::Number(group));
    }
    match killpg(Pid::from_raw(group), signal) {
        Ok(()) => Ok(()),
        Err(Errno::ESRCH) => Err(ProcessError::Gone(group)),
        Err(errno) => Err(refused("signal the group of", group, errno)),
    }
}

/// All processes of a session that still run (zombies do not), in no particular order. A snapshot:
/// one that forks at this moment may be missed, so whoever ends a session asks until it is empty.
///
/// # Errors
/// [`ProcessError::Proc`].
pub fn session_members(session: i32) -> Result<Vec<Identity>, ProcessError> {
    let failed = |source| ProcessError::Proc { path: "/proc".to_owned(), source };
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc").map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if let Some(stat) = Stat::read(pid)?
            && stat.session == session
            && !matches!(stat.state, 'Z' | 'X')
        {
            members.push(Identity { pid, start: stat.start });
        }
    }
    Ok(members)
}

/// Sends a signal to every process of a session, each by its identity, and returns how many there
/// were: to be repeated until there are none. The session's number must be known to be the right
/// one: it is not used again as long as a member lives, but afterwards it is.
///
/// # Errors
/// See [`ProcessError`]; some may have been signalled.
pub fn signal_session(session: i32, signal: Signal) -> Result<usize, ProcessError> {
    if session <= 1 {
        return Err(ProcessError::Number(session));
    }
    let members = session_members(session)?;
    for member in &members {
        let Some(process) = Process::find(*member)? else { continue };
        match process.signal(signal) {
            Ok(()) | Err(ProcessError::Gone(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(members.len())
}

/// `None` if there is no such process.
pub(super) fn pidfd_open(pid: i32) -> Result<Option<OwnedFd>, ProcessError> {
    if pid <= 0 {
        return Err(ProcessError::Number(pid));
    }
    // SAFETY: a call without pointers; its result is checked. The descriptor closes on exec.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match Errno::result(raw) {
        Ok(raw) => {
            let raw = i32::try_from(raw).map_err(|_| ProcessError::Number(pid))?;
            // SAFETY: the kernel has just made this descriptor for us alone.
            Ok(Some(unsafe { OwnedFd::from_raw_fd(raw) }))
        }
        // EINVAL: the number is a thread's, not a process's.
        Err(Errno::ESRCH | Errno::EINVAL) => Ok(None),
        Err(errno) => Err(refused("open", pid, errno)),
    }
}

fn refused(step: &'static str, pid: i32, errno: Errno) -> ProcessError {
    ProcessError::Refused { step, pid, source: errno.into() }
}

impl Process {
    pub(super) fn from_parts(fd: OwnedFd, identity: Identity) -> Self {
        Self { fd, identity }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_traps_does_not_shift_the_fields() {
        let line = b"42 (evil) R 1 (\xff) S 1 40 7 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 9876 1 2";
        let wanted = Stat { state: 'S', session: 7, start: 9876 };
        assert_eq!(Stat::parse(line), Some(wanted));
        for cut in 0..line.len() {
            let _ = Stat::parse(&line[..cut]);
        }
    }
}
