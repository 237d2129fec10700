//! Processes: started on their own, known again after our restart, ended as a whole.
//!
//! # What it is for
//! The guard starts the daemon, the daemon starts agents and services; each may be restarted while
//! the others run. So a program gets a session of its own, no descriptor but the standard three, an
//! ordinary priority, and is known by [`Identity`]: its number together with the time it started,
//! since numbers are used again.
//!
//! # Happy path
//! [`spawn`] returns a [`Running`] with a pidfd to poll. After our own restart, [`Process::find`]
//! opens the same process by its identity, or says that it is gone.
//!
//! # Failures
//! A program that can't be started is an error of `spawn`, not a child that ends at once. Signals
//! through a pidfd never reach another process. A group whose leader was waited for is not
//! signalled any more, since its number may be another's; its session's members are, one by one.
//!
//! # Deliberately absent
//! No double fork, no waiting: the caller's loop polls. Containment that a program can't leave
//! (control groups, the keeper) is elsewhere, with [`fork`] for the latter; a session can be left
//! by whoever calls setsid(2).

mod fork;
#[cfg(test)]
mod fuzz;
mod mark;
mod peer;
mod proc;
mod spawn;
mod user;

use std::io;

use thiserror::Error;

pub use fork::{Forked, end_by, fork, inherited, may_unshare_processes, unshare_processes};
pub use mark::Mark;
pub use nix::sys::signal::Signal;
pub use peer::{Peer, peer_of};
pub use proc::{Identity, Process, session_members, signal_session};
pub use spawn::{Rooms, Running, Spec, spawn};
pub use user::User;

/// What went wrong with a process.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// The program was not started.
    #[error("can't start {program}: {step}; nothing runs")]
    Spawn {
        /// The program.
        program: String,
        /// What was being done.
        step: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The process, or the group, is gone.
    #[error("process {0} is gone; there is nothing to do to it")]
    Gone(i32),
    /// The number can't be one of a process or group.
    #[error("{0} is no number of a process; nothing was done")]
    Number(i32),
    /// The kernel refused.
    #[error("can't {step} process {pid}; nothing was changed")]
    Refused {
        /// What was being done.
        step: &'static str,
        /// The process.
        pid: i32,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// /proc can't be read.
    #[error("can't read {path}; nothing was changed; /proc must be mounted")]
    Proc {
        /// The file or folder.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}
