//! The real openraft in one thread and virtual time, where a seed decides everything.
//!
//! A [`world::World`] is a cluster of logs as the daemon opens them, on disks that lose power
//! ([`drive`]), over a network that is late, lossy, doubling and cut ([`fabric`]). What leaves a
//! node, what its machine applies, what its driver is told and what clients are answered is judged
//! as it happens ([`history`]).
//!
//! **Happy path.** [`seeds`] makes a plan out of each seed: sizes, kinds of faults, how often.
//! Twenty virtual seconds of them, then all are lifted, and every node must be where the others
//! are.
//! [`ties`] and [`halves`] are about halves that go on by a grant. [`torn`] cuts the power at every
//! single write instead.
//!
//! **Failures.** The first contradiction names the seed. `SEED=n TRACE=1` tells its story. A panic
//! of openraft's own assertions shows as a node that failed without a fault of its disk, which is a
//! contradiction too.
//!
//! **Deliberately absent**: threads, sockets, files and real time (the other modules have those),
//! disks that lie about a sync, and nodes that lie.

pub mod drive;
pub mod fabric;
mod halves;
pub mod history;
pub mod node;
pub mod rng;
mod seeds;
mod ties;
mod torn;
pub mod world;

/// Shared by everything in one world.
pub type Records = std::sync::Arc<std::sync::Mutex<history::History>>;
