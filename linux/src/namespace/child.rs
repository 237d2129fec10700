//! What a child process does between fork and exec.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::setsid;

use super::NetNs;

/// Where and how a program is started. By default like any child.
#[derive(Debug, Clone, Default)]
pub struct ChildSetup {
    /// Starts in this network namespace.
    pub network: Option<NetNs>,
    /// Starts its own session: no terminal signal reaches it, and its process group is its own.
    pub session: bool,
    /// Is killed when the *thread* that starts it ends (PR_SET_PDEATHSIG).
    pub dies_with_thread: bool,
    /// Sees a /proc of its own process namespace, in a mount namespace of its own.
    pub own_proc: bool,
}

impl ChildSetup {
    /// Makes `command` obey at its next start. A failing step fails the start with its errno.
    pub fn apply(self, command: &mut Command) {
        // SAFETY: between fork and exec the closure makes plain system calls by way of `nix`
        // (setsid, prctl, setns, unshare, mount with constant strings): no lock, no allocation.
        unsafe {
            command.pre_exec(move || self.obey());
        }
    }

    fn obey(&self) -> io::Result<()> {
        if self.session {
            setsid()?;
        }
        if self.dies_with_thread {
            set_pdeathsig(Signal::SIGKILL)?;
        }
        if let Some(network) = &self.network {
            setns(network, CloneFlags::CLONE_NEWNET)?;
        }
        if self.own_proc {
            mount_own_proc()?;
        }
        Ok(())
    }
}

/// Replaces /proc by that of the calling process's own process namespace. Makes only system calls
/// with constant strings, so it may run between fork and exec.
pub(super) fn mount_own_proc() -> nix::Result<()> {
    let nothing = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), quiet, nothing)
}

/// Gives the calling process mounts of its own, so that a [`proc_of_own`] there is nobody else's.
/// All else that is mounted is seen on both sides, as before.
///
/// # Errors
/// The kernel's; nothing changed, or no more than that copy was made.
pub fn mounts_of_own() -> io::Result<()> {
    let nothing = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    Ok(mount(nothing, "/proc", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?)
}

/// Nothing that is mounted here from now on is seen elsewhere; what others mount still is seen.
/// Only for a process with mounts of its own ([`mounts_of_own`]): without, it is the whole machine
/// that would no longer be told.
///
/// # Errors
/// The kernel's; nothing changed.
pub fn mounts_for_us_only() -> io::Result<()> {
    let nothing = None::<&str>;
    Ok(mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_SLAVE, nothing)?)
}

/// Replaces /proc by that of the calling process's own process namespace, after [`mounts_of_own`].
///
/// # Errors
/// The kernel's; nothing changed.
pub fn proc_of_own() -> io::Result<()> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount(Some("proc"), "/proc", Some("proc"), quiet, None::<&str>)?)
}
