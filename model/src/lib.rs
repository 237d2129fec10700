//! The protocol in every order of events, within bounds: `stead-model`.
//!
//! The simulator plays long stories and draws lots. This crate does the opposite: a small part, few
//! steps, and *all* of them, breadth first. So what it finds is the shortest way to what must never
//! be, and what it doesn't find is not there, within the bounds. `docs/concepts/model.md` says
//! what was searched and what came of it.
//!
//! ```text
//!   rules      what can be left out
//!   ties       the register, the tie vote and the log
//!   lease      the guards, and the proof that a lease is over
//!   search     runs a model, counts states, tells a counterexample
//! ```
//!
//! What decides is the core's own where it can be called: the register
//! (`core::quorum::register`) and the guard (`core::lease`). What stands beside is modelled.
//!
//! Absent on purpose: progress. The model knows what must never be, not what must come to be; that
//! is the simulator's.

pub mod lease;
pub mod rules;
pub mod search;
pub mod ties;
