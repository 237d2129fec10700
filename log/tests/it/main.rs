//! Logs with real disks and real networks, in one process, and a child process to be killed.

mod consensus;
mod crash;
mod disk;
mod fuzz;
mod guard;
mod nodes;
mod promises;
mod raw;
mod seeded;
mod store;
mod support;
mod transport;
mod whole;
mod wire;
