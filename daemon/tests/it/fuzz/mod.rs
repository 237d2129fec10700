//! Bytes from outside, in masses, on everything of the daemon that other crates may call, and on
//! the two machines of the core. What is private is tried beside its parser (`src/*/fuzz.rs`).

mod config;
mod layers;
mod lease;
mod messages;
mod node;
mod quorum;
mod rules;
mod state;
mod values;
