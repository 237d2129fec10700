//! Bytes from the disk and from other members, in masses.
//!
//! Frames and hellos are tried over real connections beside this (`transport.rs`); here is what
//! they carry.

mod disk;
mod identity;
mod members;
