//! System calls tried on the real kernel, each test in network namespaces of its own. Needs root.
#![allow(missing_docs)]

mod files;
mod fuzz;
mod gate;
mod heartbeat;
mod namespace;
mod netlink;
mod packet;
mod pair;
mod process;
mod routes;
mod stations;
mod tcp;
