//! Everything of the daemon that needs the kernel.

mod agent;
mod cluster;
mod fuzz;
mod metrics;
mod redirect;
