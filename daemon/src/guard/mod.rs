//! `stead guard`: the small process that holds the lease.
//!
//! One thread, one loop, no allocation to speak of, memory locked and real-time priority where the
//! system grants them. Everything it decides is decided by [`stead_core::lease::Lease`]; here are
//! its ears and hands:
//!
//! ```text
//!   links  ── datagrams ──▶ seal ──▶ ┌───────┐ ──▶ seal ──▶ links
//!   door   ── orders ──────────────▶ │ Lease │ ──▶ reports ──▶ door
//!   kernel ── what others changed ─▶ └───────┘ ──▶ gate, addresses, watchdog ──▶ kernel
//! ```
//!
//! Happy path: it takes over from a former guard (one lock, everything shut), waits for its daemon
//! at the door, is told the network, beats, and keeps the gate of what the daemon wants held open
//! for as long as the lease lasts.
//!
//! Failures: the daemon may come and go, the lease stays. A guard that is killed leaves the gate
//! running out, and a watchdog if one is armed. A frozen one finds its lease expired before it
//! looks at anything else. Asked to end, it has the daemon stop what it runs, gives the lease up
//! and says so, so that others need not wait. Where something bound can't be stopped then, it does
//! not end: the machine is reset.
//!
//! Absent on purpose: every notion of services, programs, votes or whom to trust with what.

#[cfg(test)]
mod fuzz;
pub mod ipc;
mod kernel;
mod links;
mod run;
mod seal;
pub(crate) mod watchdog;

pub use kernel::reach;
pub use run::{GuardError, run};
pub use seal::Rejected;
