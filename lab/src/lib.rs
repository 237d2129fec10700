//! Networks to break: hosts, switches, routers, cables and faults, all out of network namespaces.
//!
//! What it is for: `stead demo`, the end-to-end tests and the benchmark stand on it. A [`Bed`] is
//! one such network. Its hosts are network namespaces that share this machine's disk; its switches
//! are bridges in namespaces of their own, so that no host can see or repair what was done to them.
//!
//! Happy path: [`Bed::new`], [`Bed::switch`], [`Bed::host`], [`Bed::connect`], [`Host::spawn`];
//! then a [`prober`] in the client's namespace measures what a client sees while faults are made:
//! [`Bed::cut`] (frames dropped in the switch while the carrier stays up),
//! [`Bed::silence_then_kill`] (power loss: nothing leaves the host any more, then every process is
//! killed), [`Host::freeze`], [`Bed::unplug`] (carrier lost), and a [`relay`] for delay, loss and
//! reordering. [`Bed::lock`] makes a switch refuse takeovers. Machines with kernels of their own
//! stand on the same switches ([`vm`]).
//!
//! Failures: [`LabError`] says which step of what failed. Whatever way the process ends, the bed
//! ends with it: namespaces are held by file descriptors, programs live in a process namespace that
//! dies with us. Only [`Bed::keep`] leaves it standing, and says how to enter it.
//!
//! Beds run side by side: nothing has a name outside of its namespace. An ordinary user calls
//! [`become_root`] first.
//!
//! Deliberately absent: anything about stead itself; the lab breaks networks for whoever lives in
//! them. Clocks and disks that fail: other tools do that.

mod bed;
mod chance;
mod error;
mod fault;
mod host;
mod keep;
mod launcher;
mod link;
mod lock;
pub mod prober;
pub mod relay;
mod root;
mod switch;
pub mod vm;
mod waiting;
pub mod web;

pub use bed::Bed;
pub use chance::Chance;
pub use error::LabError;
pub use host::{Host, Process};
pub use keep::Kept;
pub use link::{Link, LinkSpec};
pub use lock::{Lock, Locked, Pinned};
pub use root::{Power, become_root};
pub use stead_linux::netlink::Mac;
pub use switch::{Switch, Trunk};
pub use waiting::{Waited, wait_until};
