//! The house.
pub mod namespace;
pub mod netlink;
