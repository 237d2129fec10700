//! Instruments, the same for every cluster.
//!
//! [`Watch`] is the client and the one who looks for two holders, [`Stalls`] notes when the machine
//! itself stood still, [`Usage`] reads what processes cost, [`Load`] makes a machine busy.
//!
//! Happy path: start, let things happen, read or finish. Failures: an instrument that can't start
//! says so; one that ends early makes the trial fail and no figure.
//!
//! Deliberately absent: anything that knows which cluster it looks at.

mod load;
mod moves;
mod stall;
mod usage;
mod watch;

pub use load::Load;
pub use moves::{Move, Verdict, judge, moves};
pub use stall::{Stall, StallReport, Stalls};
pub use usage::{Usage, between, of_process};
pub use watch::Watch;

/// A duration in milliseconds with three places.
#[must_use]
pub fn ms(duration: std::time::Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1e3)
}

/// A number with three places.
#[must_use]
pub fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
