//! Trials on segments that are open, and on such that are locked in one way or another: the probe
//! is not told which.

mod locked;
mod open;
mod safety;
mod segment;
