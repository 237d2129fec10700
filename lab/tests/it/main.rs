//! The lab tried on the real kernel, each test in a bed of its own. Needs root.
#![allow(missing_docs)]

mod bed;
mod double;
mod fault;
mod helper;
mod keep;
mod lock;
mod prober;
mod relay;
mod vm;
mod web;
