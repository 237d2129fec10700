//! Everything of the daemon that needs the kernel.

mod agent;
pub mod cluster;
mod fuzz;
mod keeper;
mod metrics;
mod redirect;
