//! `failover`: how long clients wait when the node that serves them fails.

use std::time::Duration;

use serde_json::{Map, Value};
use stead_lab::prober::now;

use super::{in_turn, row, told};
use crate::error::BenchError;
use crate::measure::Watch;
use crate::report::{Results, Row};
use crate::subject::{Cluster, Failure, Settled, Spec};
use crate::tools::Tools;

/// The bench's name.
pub const NAME: &str = "failover";

/// Failures come at any moment of so long a time, which no timer of a subject divides.
const PHASE: Duration = Duration::from_millis(1_117);
/// What is watched after a takeover: a second gap, or a former holder that lives on, counts too.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// Runs all subjects `runs` times, with all of these failures.
///
/// # Errors
/// The end was asked for, or results can't be written.
pub fn run(
    tools: &Tools,
    specs: &[Spec],
    failures: &[Failure],
    runs: u32,
    results: &mut Results,
) -> Result<(), BenchError> {
    in_turn(NAME, specs, runs, results, |spec, run, results| {
        round(tools, spec, failures, run, results)
    })
}

/// One cluster, brought up for this, and one trial of each failure.
fn round(
    tools: &Tools,
    spec: &Spec,
    failures: &[Failure],
    run: u32,
    results: &mut Results,
) -> Result<(), BenchError> {
    let mut cluster = spec.start(tools)?;
    let facts = cluster.facts()?;
    let watch = Watch::start(&cluster.client(), &cluster.macs())?;
    for (number, &failure) in (0_u32..).zip(failures) {
        let trial = Trial { tools, spec, failure, run, facts: &facts };
        // in turn: the holder coordinates, or it doesn't
        let coordinator = (run + number).is_multiple_of(2);
        match trial.perform(cluster.as_mut(), &watch, coordinator) {
            Ok(row) => {
                let over = row.error.is_some();
                results.add(row)?;
                if over {
                    break;
                }
            }
            Err(error) => {
                let row = Row { failure: Some(failure.to_string()), ..row(NAME, spec, run) };
                // what comes after it would meet a cluster that is not whole
                return told(results, row, Err(error));
            }
        }
    }
    Ok(())
}

/// One failure of one cluster.
struct Trial<'a> {
    tools: &'a Tools,
    spec: &'a Spec,
    failure: Failure,
    run: u32,
    facts: &'a Map<String, Value>,
}

impl Trial<'_> {
    fn perform(
        &self,
        cluster: &mut dyn Cluster,
        watch: &Watch,
        coordinator: bool,
    ) -> Result<Row, BenchError> {
        let Self { tools, spec, failure, .. } = *self;
        let Settled { holder, coordinates } = cluster.settle(watch, coordinator)?;
        tools.pause_by_chance(PHASE)?;
        let began = now();
        cluster.inflict(failure, &holder)?;
        let moved = watch.wait_other(tools, &holder, spec.limit())?;
        tools.pause(AFTERWARDS)?;
        let (seen, watched_us) = (watch.seen_since(began), now() - began);
        let mut row = Row {
            failure: Some(failure.to_string()),
            outage_ms: Some(seen.outage_ms),
            double_ms: Some(seen.double_ms),
            more: self.facts.clone(),
            ..row(NAME, spec, self.run)
        };
        row = row.with("coordinator", coordinates).with("stalled_ms", seen.stalled_ms);
        row = row.with("watched_ms", watched_us / 1_000);
        if !moved {
            let limit = spec.limit().as_secs();
            let error = Some(format!("no other node answered within {limit} s"));
            // a lower bound is no figure
            return Ok(Row { outage_ms: None, error, ..row });
        }
        cluster.mend(failure, &holder)?;
        Ok(row)
    }
}
