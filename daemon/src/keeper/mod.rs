//! `stead keeper`: what stands between a program and the lease that permits it.
//!
//! # What it is for
//! The daemon stops programs when the lease is lost. Where daemon and guard are killed, stopped or
//! kept from running, nobody would: the gate silences the address, and the program runs on unheard.
//! So every program has a keeper that needs neither of them.
//!
//! # Happy path
//! ```text
//!   guard ──── deadline, lapsed epoch ────▶ page (shared memory, no name)
//!                                            │ read at the deadline, by both
//!   daemon ─▶ outer ─▶ inner ─▶ the program  ▼
//!             │ waits, tells how it ended    ends everything when the deadline has passed
//!             └──────── second pair of eyes
//! ```
//! The daemon starts [`outer`] as it would start the program: its session, its control group, its
//! name in the note. That makes a process namespace with a /proc of its own; [`inner`] is the init
//! there and starts the program. Both sleep until the deadline that the page shows, read it again,
//! and sleep on. When the deadline has passed, or the program's epoch is among those that lapsed,
//! the inner one exits, and the kernel kills whatever lives in the namespace and lets nobody fork.
//! Should somebody have stopped the inner one, the outer one kills it, and the control group too.
//!
//! # Failures
//! Each ends when the other does: neither runs a program that only one watches (see [`outer`] for
//! what a program leaves behind). What the keeper can't have (real time, locked memory, mounts) it
//! says, and goes on. Without a process namespace ([`Form::Group`]) the control group and what can
//! be found ([`sweep`]) have to do; without a page there is no keeper at all, and the daemon says
//! so.
//!
//! # Beside the program
//! What systemd or a container engine runs for the program lives elsewhere. In which control groups
//! stands in a file ([`crate::agent::beside`]); both processes seal these when the time is up, each
//! by a few writes to the kernel. Who has groups beside is kept for as long as anything runs in
//! them, also when the program itself has ended.
//!
//! # A stop
//! SIGTERM does nothing to either; the daemon sends it to each process of the program, as without a
//! keeper. When the program is gone, so are they.
//!
//! # Deliberately absent
//! Every decision: the guard computes the deadline, the daemon starts and stops. A runtime,
//! threads, an argument parser: they are small, and locked in memory where that is allowed. Rights:
//! the program gets those that the daemon gives it, no descriptor, no priority.

mod args;
mod inner;
mod outer;
pub mod page;
pub mod report;
mod sweep;
mod watch;

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use args::Args;

/// The word on the command line.
pub const COMMAND: &str = "keeper";
/// What both processes call themselves.
pub(crate) const NAME: &str = "stead-keeper";
/// The real-time priority of both: above the programs, below the guard.
const PRIORITY: i32 = 49;
/// How a keeper ends whose program was ended with the lease.
const LAPSED: i32 = 75;
/// How one ends that could not keep anything.
const BROKEN: i32 = 70;

/// By what a keeper holds a program together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// A process namespace: the kernel leaves nothing of it.
    Namespace,
    /// The control group, and the processes that can be found to be the program's.
    Group,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespace => "namespace",
            Self::Group => "group",
        })
    }
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Namespace, Self::Group]
            .into_iter()
            .find(|it| it.to_string() == text)
            .ok_or_else(|| format!("`{text}` is no form of the keeper: namespace, group"))
    }
}

/// Runs the keeper that this process was started as, if it was; else nothing happens. To be called
/// before anything else: it has to be alone in its process.
pub fn run_if_asked() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|word| word == COMMAND) {
        let args: Vec<OsString> = args.collect();
        std::process::exit(outer::run(&args));
    }
}
