//! The guard.

pub mod ipc;
mod seal;

pub use seal::Rejected;
