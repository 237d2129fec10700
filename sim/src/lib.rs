//! The simulator: a whole cluster in virtual time, decided by one number.
//!
//! ```text
//!   swarm    a seed: a plan, a mix of faults, then the end of all of them
//!   scenario a script: intent, acts, what is expected
//!   own      somebody's own configuration: each fault alone, then many at once
//!      └─▶ world   machines with the real core; log, net, fault, check stand around it
//!             └─▶ check   a judge for each invariant
//! ```
//!
//! Happy path: a seed is run, no judge says anything, and its counters are added to the others'.
//! Failures: a judge's [`check::Verdict`] with the seed; `stead-sim replay SEED` tells it again,
//! `stead-sim shrink SEED` makes a script of it.
//!
//! Absent on purpose: threads, clocks, files and sockets of the machine that it runs on.

pub mod check;
mod clock;
pub mod cover;
pub mod fault;
pub mod log;
pub mod net;
pub mod own;
pub mod parts;
pub mod plan;
mod queue;
pub mod reader;
pub mod register;
mod rng;
pub mod scenario;
pub mod shrink;
pub mod swarm;
pub mod world;
