//! A process namespace whose processes end with us, all of them, whatever way we end.
//!
//! Its first process is a copy of ours that does nothing but hold the reading end of a pipe. We
//! hold the other end. When we end, by any death, the pipe closes, the first process exits, and the
//! kernel kills everything else in the namespace: daemons with sessions of their own and programs
//! that lost their parents included. Zombies without parents are reaped there too.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};

use super::child::mount_own_proc;
use super::{NamespaceError, file, system};

const KEEP: u8 = b'k';
const PROC_OURS: u8 = b'p';
/// The kernel needs milliseconds.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// A process namespace on a leash.
#[derive(Debug)]
pub struct ProcessTree {
    namespace: OwnedFd,
    first: Pid,
    leash: Option<File>,
    own_proc: bool,
}

impl ProcessTree {
    /// Makes the namespace and its first process.
    pub fn create() -> Result<ProcessTree, NamespaceError> {
        // the namespace for future children is a property of the thread: take one for this
        thread::scope(|scope| {
            let helper = thread::Builder::new().name("new-pidns".to_owned());
            let helper = helper
                .spawn_scoped(scope, ProcessTree::create_in_this_thread)
                .map_err(NamespaceError::Thread)?;
            helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn create_in_this_thread() -> Result<ProcessTree, NamespaceError> {
        let (held, leash) = pipe()?;
        let (report, tell) = pipe()?;
        unshare(CloneFlags::CLONE_NEWPID).map_err(system("make a process namespace"))?;
        // SAFETY: other threads may hold locks at this moment, so the child makes nothing but
        // async-signal-safe system calls (see `first_process`) and never returns.
        let child = unsafe { libc::fork() };
        if child == 0 {
            first_process(held.as_raw_fd(), tell.as_raw_fd());
        }
        if child < 0 {
            return Err(system("fork")(nix::errno::Errno::last()));
        }
        let path = Path::new("/proc/thread-self/ns/pid_for_children");
        let mut tree = ProcessTree {
            namespace: File::open(path).map_err(file("open", path))?.into(),
            first: Pid::from_raw(child),
            leash: Some(File::from(leash)),
            own_proc: false,
        };
        drop(tell);
        let mut told = [0];
        let read = File::from(report).read_exact(&mut told);
        read.map_err(file("read the report of", Path::new("the first process")))?;
        tree.own_proc = told[0] == PROC_OURS;
        Ok(tree)
    }

    /// From here on every process that the calling thread starts is born in the namespace. The
    /// thread itself stays outside and can start no further threads.
    pub fn adopt_children_of_this_thread(&self) -> Result<(), NamespaceError> {
        setns(&self.namespace, CloneFlags::CLONE_NEWPID)
            .map_err(system("enter a process namespace"))
    }

    /// Its processes may mount a /proc of their own. Where a sandbox forbids that, they see ours,
    /// whose numbers are not theirs.
    pub fn own_proc(&self) -> bool {
        self.own_proc
    }

    /// Takes the namespace off the leash: it goes on after us. Returns the number of its first
    /// process; to kill that one ends them all.
    pub fn keep(mut self) -> Result<i32, NamespaceError> {
        if let Some(mut leash) = self.leash.take() {
            let told = leash.write_all(&[KEEP]);
            told.map_err(file("tell", Path::new("the first process")))?;
        }
        Ok(self.first.as_raw())
    }

    /// Kills every process in the namespace. The kernel is not done with it before the parents of
    /// all of them have collected them: collect yours (`Child::wait`) before dropping the tree.
    pub fn kill(&self) {
        // of a process that is gone already there is nothing to kill
        let _ = kill(self.first, Signal::SIGKILL);
    }
}

/// Kills what is inside and waits until it is gone; not for ever, should somebody have forgotten to
/// collect a child.
impl Drop for ProcessTree {
    fn drop(&mut self) {
        if self.leash.take().is_none() {
            return;
        }
        self.kill();
        let deadline = Instant::now() + GONE_WITHIN;
        while Instant::now() < deadline {
            match waitpid(self.first, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(1)),
                Ok(_) | Err(_) => break,
            }
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), NamespaceError> {
    pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(system("make a pipe"))
}

/// Life of the first process. Only system calls: the copy of a process with several threads may
/// not allocate, lock or panic.
fn first_process(held: RawFd, tell: RawFd) -> ! {
    // SAFETY: dup2, close_range, setsid, signal, pause and _exit are plain system calls; no file
    // descriptor of the copied process is used afterwards, for it never returns to Rust code that
    // owns one, and `ManuallyDrop` keeps the two files below from closing anything.
    unsafe {
        // both may be low numbers themselves: move them out of the way first
        let held = libc::fcntl(held, libc::F_DUPFD, 10);
        let tell = libc::fcntl(tell, libc::F_DUPFD, 10);
        libc::dup2(held, 0);
        libc::dup2(tell, 1);
        libc::syscall(libc::SYS_close_range, 2, u32::MAX, 0);
        libc::setsid();
        // orphans are reaped by the kernel then
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        let leash = std::mem::ManuallyDrop::new(OwnedFd::from_raw_fd(0));
        let report = std::mem::ManuallyDrop::new(OwnedFd::from_raw_fd(1));
        let told = if mount_own_proc().is_ok() { PROC_OURS } else { b'-' };
        let _ = nix::unistd::write(&*report, &[told]);
        libc::close(1);
        let mut word = [0_u8];
        loop {
            match nix::unistd::read(&*leash, &mut word) {
                Err(nix::errno::Errno::EINTR) => {}
                Ok(1) if word[0] == KEEP => loop {
                    libc::pause();
                },
                Ok(_) | Err(_) => libc::_exit(0),
            }
        }
    }
}
