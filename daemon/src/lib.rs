//! The edges: everything that touches the world, and the command line.

pub mod config;
