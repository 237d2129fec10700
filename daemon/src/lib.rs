//! The edges: everything that touches the world, and the command line.

pub mod agent;
pub mod api;
mod chain;
pub mod cli;
pub mod config;
pub mod demo;
pub mod driver;
pub mod guard;
pub mod identity;
pub mod journal;
pub mod paths;
mod polled;
pub mod redirect;
