//! The benches.
//!
//! [`failover`] breaks the node that holds the address, [`quorum`] what two nodes and a server that
//! breaks their ties live by, [`fencing`] what two nodes and a power strip do, [`quiet`]
//! (`false`) breaks nothing and
//! counts what moves on a busy machine, [`idle`] looks at what a cluster at rest costs, [`stages`]
//! asks stead where the milliseconds of a takeover went, [`server`] asks what one quorum server
//! bears, [`timelines`] tells what happens to two sites, moment by moment,
//! [`layers`] asks by what clients are led, [`agents`] tries every resource agent, [`operations`]
//! does a hundred things to a cluster by chance, [`plans`] grows clusters until a planner takes
//! long. Each of the others takes the subjects one after the other, run by run, so that the machine's noise meets all of them
//! alike.
//!
//! Happy path: one row for each trial. Failures: a trial that fails is a row with its reason, and
//! the next subject has its turn; only a wish to end, or a file that can't be written, ends a
//! bench.
//!
//! Deliberately absent: trials of two subjects at once. They would measure each other.

pub mod agents;
pub mod failover;
pub mod fencing;
pub mod idle;
pub mod layers;
pub mod operations;
pub mod plans;
pub mod quiet;
pub mod quorum;
pub mod server;
pub mod stages;
pub mod timelines;

use crate::error::BenchError;
use crate::report::{Results, Row};
use crate::subject::Spec;

/// A row of a bench about a subject.
fn row(bench: &str, spec: &Spec, run: u32) -> Row {
    let (subject, config) = (spec.subject().to_owned(), spec.config());
    Row { bench: bench.to_owned(), subject, config, run, ..Row::default() }
}

/// All subjects in turn, so many times. What failed becomes a row; only the wish to end goes on.
fn in_turn(
    bench: &str,
    specs: &[Spec],
    runs: u32,
    results: &mut Results,
    mut trial: impl FnMut(&Spec, u32, &mut Results) -> Result<(), BenchError>,
) -> Result<(), BenchError> {
    for run in 1..=runs {
        for spec in specs {
            let outcome = trial(spec, run, results);
            told(results, row(bench, spec, run), outcome)?;
        }
    }
    Ok(())
}

/// What failed becomes a row. Only the wish to end goes on.
fn told(
    results: &mut Results,
    row: Row,
    outcome: Result<(), BenchError>,
) -> Result<(), BenchError> {
    match outcome {
        Ok(()) => Ok(()),
        Err(error) if error.is_interruption() => Err(error),
        Err(error) => results.add(Row { error: Some(error.told()), ..row }),
    }
}
