//! The driver: everything around the node machine of a daemon.
//!
//! ```text
//!   guard's door ─┐                              ┌─▶ guard's door   (orders)
//!   log's events ─┼─▶ Driver ─▶ Node ─▶ perform ─┼─▶ log, peers     (proposals, reads, votes)
//!   performers  ──┤     │                        ├─▶ redirect, agent (claims, programs)
//!   clock       ──┘     └─▶ View (status, API)   └─▶ journal        (notices)
//! ```
//!
//! One task owns the machine. It takes one event at a time, reads the clock, and performs what the
//! machine says before it takes the next; nothing it performs waits. What takes time (a proposal, a
//! probe, a program's end) runs in tasks of its own and comes back as an event.
//!
//! Failures: the guard may be away (nothing is decided without its reports), the log may stop (the
//! node gives up its services), performers answer with what went wrong. A panic anywhere else does
//! not reach this task; one in it ends the process, and the guard keeps the lease meanwhile.
//!
//! Absent on purpose: every decision.

mod elections;
mod entry;
mod fences;
#[cfg(test)]
mod fuzz;
mod guard_link;
pub mod handle;
mod machine;
mod network;
mod peers;
mod perform;
pub mod rehearse;
mod start;
mod task;
pub(crate) mod times;
pub mod view;

pub use start::{DaemonError, run};
