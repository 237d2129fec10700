//! `false`: what moves on a busy machine, though nothing fails.

use std::time::Duration;

use super::{in_turn, row};
use crate::error::BenchError;
use crate::measure::{Load, Stalls, Watch, judge, moves, ms, rounded};
use crate::report::Results;
use crate::subject::Spec;
use crate::tools::Tools;

/// The bench's name.
pub const NAME: &str = "false";

const SECONDS_PER_MINUTE: f64 = 60.0;

/// Watches each subject for so many minutes under load, `runs` times.
///
/// # Errors
/// The end was asked for, or results can't be written.
pub fn run(
    tools: &Tools,
    specs: &[Spec],
    minutes: f64,
    runs: u32,
    results: &mut Results,
) -> Result<(), BenchError> {
    in_turn(NAME, specs, runs, results, |spec, run, results| {
        watch(tools, spec, minutes, run, results)
    })
}

fn watch(
    tools: &Tools,
    spec: &Spec,
    minutes: f64,
    run: u32,
    results: &mut Results,
) -> Result<(), BenchError> {
    let mut cluster = spec.start(tools)?;
    let watch = Watch::start(&cluster.client(), &cluster.macs())?;
    cluster.settle(&watch, true)?;
    drop(watch);

    // what happens from here on counts; how the cluster came up does not
    let (before, stalls) = (cluster.changes()?, Stalls::start()?);
    let watch = Watch::start(&cluster.client(), &cluster.macs())?;
    let load = Load::start(tools)?;
    tools.pause(Duration::from_secs_f64(minutes * SECONDS_PER_MINUTE))?;
    if !load.runs()? {
        let text = "the load ended before its time: is the disk of temporary files full?";
        return Err(BenchError::Nothing(text.to_owned()));
    }
    let (seen, double) = watch.finish()?;
    let stalls = stalls.finish()?;
    drop(load);
    let own_changes = cluster.changes()?.saturating_sub(before);

    let verdict = judge(&moves(&seen), &stalls, spec.tolerates());
    let longest = seen.longest_gap_between(0, u64::MAX);
    let mut row = row(NAME, spec, run);
    row.outage_ms = Some(ms(longest));
    row.double_ms = Some(rounded(double.double_ms));
    row.more = cluster.facts()?;
    let row = row
        .with("minutes", minutes)
        .with("moves", verdict.counted)
        .with("excused_moves", verdict.excused)
        .with("own_changes", own_changes)
        .with("tolerated_ms", ms(spec.tolerates()))
        .with("longest_stall_ms", ms(stalls.longest()))
        .with("stalls_longer_than_tolerated", stalls.longer_than(spec.tolerates()))
        .with("timers_realtime", stalls.realtime);
    results.add(row)
}
