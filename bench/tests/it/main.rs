//! The bench tried on real clusters. Needs root.
#![allow(missing_docs)]

mod layers;
mod operations;
mod server;
mod timelines;
mod trial;
