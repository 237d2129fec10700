//! `idle`: what a cluster at rest costs, process by process.

use std::time::{Duration, Instant};

use super::{in_turn, row};
use crate::error::BenchError;
use crate::measure::{Usage, Watch, between, of_process, rounded};
use crate::report::{Results, Row};
use crate::subject::{Running, Spec};
use crate::tools::Tools;

/// The bench's name.
pub const NAME: &str = "idle";
/// The name of the sum over a node's processes.
pub const SUM: &str = "all";

/// What a cluster may take to calm down after its start.
const REST: Duration = Duration::from_secs(10);

/// Watches each subject at rest, `runs` times.
///
/// # Errors
/// The end was asked for, or results can't be written.
pub fn run(
    tools: &Tools,
    specs: &[Spec],
    time: Duration,
    runs: u32,
    results: &mut Results,
) -> Result<(), BenchError> {
    in_turn(NAME, specs, runs, results, |spec, run, results| rest(tools, spec, time, run, results))
}

fn rest(
    tools: &Tools,
    spec: &Spec,
    time: Duration,
    run: u32,
    results: &mut Results,
) -> Result<(), BenchError> {
    let mut cluster = spec.start(tools)?;
    let watch = Watch::start(&cluster.client(), &cluster.macs())?;
    cluster.settle(&watch, true)?;
    // nobody asks while it rests
    drop(watch);
    tools.pause(REST)?;

    let nodes = cluster.processes()?;
    let began = Instant::now();
    let mut first = Vec::new();
    for (_, pid) in nodes.iter().flat_map(|it| &it.processes) {
        first.push(of_process(*pid)?);
    }
    tools.pause(time)?;
    let seconds = began.elapsed().as_secs_f64();
    let mut first = first.into_iter();
    for Running { node, processes } in &nodes {
        let mut sum = (0.0, Usage::default());
        for ((part, pid), first) in processes.iter().zip(first.by_ref()) {
            let (percent, usage) = between(first, of_process(*pid)?, seconds);
            sum.0 += percent;
            sum.1.rss_mib += usage.rss_mib;
            sum.1.pss_mib += usage.pss_mib;
            results.add(costs(row(NAME, spec, run), node, part, (percent, usage), seconds))?;
        }
        results.add(costs(row(NAME, spec, run), node, SUM, sum, seconds))?;
    }
    Ok(())
}

fn costs(row: Row, node: &str, part: &str, (percent, usage): (f64, Usage), seconds: f64) -> Row {
    row.with("node", node)
        .with("part", part)
        .with("cpu_percent", rounded(percent))
        .with("rss_mib", rounded(usage.rss_mib))
        .with("pss_mib", rounded(usage.pss_mib))
        .with("seconds", rounded(seconds))
}
