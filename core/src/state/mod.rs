//! What every member agrees on.
pub mod config;
