//! `stead executor`: runs the resources of one service on its node, and nothing else.
//!
//! # What it is for
//! A service that is more than one program needs somebody who starts its parts in order, looks
//! after each, starts one again that failed, and stops all in the opposite order. That is a process
//! of its own, for three reasons. It outlives a daemon that is killed, and so do agents that it was
//! just running: the next daemon asks it how things are. It is what the keeper keeps: when the
//! node's lease ends it ends, with everything that agents started, at once. And no service waits
//! for another one's agents.
//!
//! # Happy path
//! ```text
//!   daemon ──▶ keeper ──▶ executor ──┬─▶ agent start, monitor, stop ─▶ what agents leave running
//!     ▲                   core::     ├─▶ program ◀── monitor
//!     └──── socket ────── resource:: ├─▶ systemd ─▶ unit, in a group that the keeper knows
//!                         Life       └─▶ engine ─▶ container, in such a group
//!       pictures ▲  ▼ stop, care, forget
//! ```
//! The daemon writes what is wanted into a file ([`Wanted`]) and starts this as the service's
//! program. `stead_core::resource::Life` decides; [`operator`] has agents do it, each within its
//! time. Whoever connects to the socket is sent a [`Picture`] at once and after each change, and
//! can say three things: stop everything, what may be done about failures from here on, and that
//! failures are forgotten. When all have stopped, this ends with status 0.
//!
//! # Copies
//! The executor of a service with copies begins as a copy of which nothing is promoted. The daemon
//! says `promote EPOCH` and `demote EPOCH`, and `others` with the other copies. An epoch is
//! promoted once, must be newer than the copy's own (rule K2) and than all that was demoted,
//! whatever came late over the socket of a daemon that is gone.
//!
//! # Failures
//! An agent that takes too long is killed with its session. What an agent printed last is part of
//! the reason of a failure and is printed here, so that it stands in the service's own log. A
//! resource that can't be stopped keeps this process, and with it the service, from ending: it is
//! never told to be gone while it is not. SIGTERM is a stop. If this process ends otherwise, the
//! daemon stops what is left, as it does with any program.
//!
//! # Deliberately absent
//! Decisions about nodes, leases and epochs; the network.

mod beside;
mod check;
mod container;
mod drop_in;
mod followed;
#[cfg(test)]
mod fuzz;
mod members;
mod ocf;
mod operator;
mod others;
mod process;
mod promoted;
mod ready;
mod run;
mod surroundings;
mod systemd;
mod unit;
mod wanted;
mod wire;

pub use ocf::TIMEOUT as AGENT_TIMEOUT;
pub use others::Others;
pub use run::MONITOR_INTERVAL;
pub use wanted::{Wanted, WantedError};
pub use wire::{Line, Picture, ResourceView, State};

/// Says a line in the service's own log. One that can't be written (its disk is full) is lost, and
/// nothing else is.
fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The word on the command line.
pub const COMMAND: &str = "executor";

/// Runs the executor that this process was started as, if it was; else nothing happens.
pub fn run_if_asked() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|word| word == COMMAND) {
        let code = run::run(args.next().as_deref().map(std::path::Path::new));
        std::process::exit(code);
    }
}
