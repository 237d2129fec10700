//! The part of stead that decides, and does nothing else.
//!
//! Everything here is a pure function of what it was told: no clock, no socket, no file, no thread,
//! no random number. `no_std` keeps it so. Two machines live here, each with two doors: events go
//! in, commands come out, and time is an argument.
//!
//! - [`lease::Lease`] runs inside `stead guard`: heartbeats, authority, the lease.
//! - [`node::Node`] runs inside `stead daemon`: suspicion, elections, proofs, takeovers.
//!
//! [`state::State`] is what every member agrees on; it changes only by [`state::Change`]s that the
//! log has committed. The same code runs in the daemon, in the simulator and in the tests.
#![no_std]

extern crate alloc;

pub mod fencing;
pub mod id;
pub mod lease;
pub mod node;
pub mod notice;
pub mod placement;
pub mod points;
pub mod quorum;
pub mod redirect;
pub mod resource;
pub mod state;
pub mod table;
pub mod tail;
pub mod time;
pub mod timers;
