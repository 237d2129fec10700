//! The edges: everything that touches the world, and the command line.

pub mod config;
pub mod driver;
pub mod guard;
pub mod identity;
pub mod journal;
pub mod paths;
