//! Trials of the whole core in the simulator, and of the simulator itself.

mod agents;
mod any;
mod command;
mod digests;
mod own;
mod proofs;
mod scenarios;
mod seeds;
mod timing;
