//! `timelines`: two sites and a quorum server in the five scenarios of the book, each as it ran.
//!
//! What it is for: the pictures of `docs/concepts/quorum.md`. They show when a fault came, who saw
//! a tie, who was granted, who fell silent and who answered, out of one run of real daemons, and
//! nothing that did not happen in it.
//!
//! Happy path: [`run`] builds the fleet that `stead demo --sites` shows (`stage`), plays each
//! scenario (`scenario`), and keeps a row with its timeline (`told`, `marks`): what was done here,
//! what probers saw, what the nodes' journals say. All of it is timed by one clock, since all of it
//! happens on one machine.
//!
//! Failures: a scenario that can't be brought to its end is a row with its reason, and ends the
//! bench: the next one would begin in a cluster that is not whole.
//!
//! Deliberately absent: judgement. That exactly one site goes on is what the tests assert.

mod marks;
mod scenario;
mod stage;
mod told;

use crate::error::BenchError;
use crate::report::{Results, Row};
use crate::tools::Tools;

pub use scenario::Scenario;
use stage::Stage;

/// The bench's name.
pub const NAME: &str = "timelines";

/// The name of a scenario's picture, without its ending.
#[must_use]
pub fn file(scenario: &str) -> String {
    format!("quorum-{}", scenario.replace(' ', "-"))
}

/// Plays every scenario once.
///
/// # Errors
/// The end was asked for, or results can't be written.
pub fn run(tools: &Tools, results: &mut Results) -> Result<(), BenchError> {
    play(tools, &Scenario::ALL, results)
}

/// Plays these scenarios on one fleet.
///
/// # Errors
/// See [`run`].
pub fn play(
    tools: &Tools,
    scenarios: &[Scenario],
    results: &mut Results,
) -> Result<(), BenchError> {
    let row = |scenario: Option<&Scenario>| {
        let (bench, subject) = (NAME.to_owned(), "stead".to_owned());
        let row = Row { bench, subject, config: stage::config(), run: 1, ..Row::default() };
        match scenario {
            Some(scenario) => row.with("scenario", scenario.name()),
            None => row,
        }
    };
    let stage = match Stage::build(tools) {
        Ok(stage) => stage,
        Err(error) => return super::told(results, row(None), Err(error)),
    };
    for scenario in scenarios {
        match stage.play(*scenario, row(Some(scenario))) {
            Ok(row) => results.add(row)?,
            Err(error) => return super::told(results, row(Some(scenario)), Err(error)),
        }
    }
    Ok(())
}
