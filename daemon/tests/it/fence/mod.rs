//! Fence devices: agents of Debian's as they are, a simulated management board, programs and
//! servers of our own, some of which misbehave.

pub mod bed;
pub mod bmc;
mod command;
mod debian;
mod kinds;
mod levels;
mod runs;
