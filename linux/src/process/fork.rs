//! A process that becomes two, for a program that is small enough to go on after that.

use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{ForkResult, Pid, fork as split};

/// Which of the two one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forked {
    /// The new process.
    Child,
    /// The one that was there, and the new one's number.
    Parent(i32),
}

/// Makes a copy of this process, which must have one thread: of several only one would be copied,
/// and the locks that the others hold would never be given back.
///
/// # Errors
/// There are more threads, or the kernel's.
pub fn fork() -> io::Result<Forked> {
    let threads = fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other("a process with several threads can't be copied"));
    }
    // SAFETY: this thread is the only one, so the copy is whole.
    Ok(match unsafe { split() }? {
        ForkResult::Child => Forked::Child,
        ForkResult::Parent { child } => Forked::Parent(child.as_raw()),
    })
}

/// Gives the next children of this process a process namespace, of which the first one is the init:
/// all others there end with it. The process itself stays where it is.
///
/// # Errors
/// The kernel's; nothing changed.
pub fn unshare_processes() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWPID)?)
}

/// Whether [`unshare_processes`] would be granted: tried in a thread that ends at once.
///
/// # Errors
/// The kernel's.
pub fn may_unshare_processes() -> io::Result<()> {
    let tried =
        std::thread::Builder::new().name("try-pidns".to_owned()).spawn(unshare_processes)?;
    tried.join().unwrap_or_else(|_| Err(io::Error::other("the thread that tried it ended")))
}

/// Takes a descriptor that our starter handed down under that number. It is not handed on.
///
/// # Errors
/// It is one of the standard three, or nothing is open there.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: no pointers; what it returns is new and nobody else's.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, number) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    // SAFETY: no pointers; the number was handed to us, so no value of this process owns it.
    unsafe { libc::close(number) };
    Ok(copy)
}

/// Ends this process by a signal, as another one was, so that its parent is told the same. Returns
/// only if that signal ends nobody.
pub fn end_by(number: i32) {
    // A copy of our memory would be of no use to anyone.
    let _ = nix::sys::prctl::set_dumpable(false);
    let Ok(name) = Signal::try_from(number) else { return };
    // SAFETY: as above; for SIGKILL, which needs it not, it is refused.
    let _ = unsafe { signal(name, SigHandler::SigDfl) };
    let mut only = SigSet::empty();
    only.add(name);
    let _ = only.thread_unblock();
    let _ = nix::sys::signal::kill(Pid::this(), name);
}
