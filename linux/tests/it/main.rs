//! System calls tried on the real kernel, each test in network namespaces of its own. Needs root.
#![allow(missing_docs)]

mod gate;
mod namespace;
mod netlink;
mod packet;
mod pair;
