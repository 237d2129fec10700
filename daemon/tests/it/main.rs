//! Everything of the daemon that needs the kernel.

mod agent;
pub mod cluster;
mod exec;
mod fence;
mod fuzz;
mod keeper;
mod layers;
mod machines;
mod metrics;
mod ocf;
mod quorum_server;
mod redirect;
