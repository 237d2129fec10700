//! What goes wrong, and what people do: acts, which scripts write down and chance draws.
//!
//! An [`Act`] is one thing done to the world; its text is a line of a scenario. [`Chaos`] draws
//! acts by a seed's mix of kinds. Every act that is performed is kept with its time, so a seed that
//! fails can be played again, and made shorter, as a script.
//!
//! Happy path: an act does something to machines, networks, disks or clocks and is counted against
//! the phase of the protocol that it met. Failures: an act that can't be done now (nobody holds the
//! service, the machine has no power) says so; chance ignores that, a script ends with it.
//!
//! Absent on purpose: anything that the protocol does not claim to stand, as forged datagrams, or
//! clocks that are wrong and say nothing.

mod act;
mod agents;
mod chaos;
mod kind;
mod manner;
mod operate;
mod perform;
mod words;

pub use act::{Act, Care, Target};
pub use agents::AgentAct;
pub use chaos::{Chaos, Mix};
pub use kind::Kind;
pub use words::{ActError, millis, read_service};
