//! Trials of the whole core in the simulator, and of the simulator itself.

mod agents;
mod command;
mod digests;
mod proofs;
mod scenarios;
mod seeds;
mod timing;
