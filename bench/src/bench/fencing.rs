//! `fencing`: two nodes and nothing beside them but a power strip. Their link is cut, or one dies:
//! exactly one is switched off, and exactly one goes on.

use std::time::Duration;

use stead::demo::fleet::{Family, Fleet, Plan, PowerStrip, ServicePlan, WEB_PORT, strip_table};
use stead_lab::prober::now;

use super::told;
use crate::error::{BenchError, Step};
use crate::measure::Watch;
use crate::report::{Results, Row};
use crate::tools::{PATIENCE, SHARED, Tools};

/// The bench's name.
pub const NAME: &str = "fencing";

/// Failures come at any moment of so long a time, which no timer divides.
const PHASE: Duration = Duration::from_millis(1_117);
/// For so long it is watched from the cut on: the half that goes second begins 5 s after the first.
const WATCHED: Duration = Duration::from_secs(9);
/// What is watched after a takeover: a former holder that lives on counts too.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// In every so-manieth run the holder dies; in the others the link is cut.
const DEATHS: u32 = 5;
/// The node whose cables are cut.
const CUT: &str = "node1";

/// Makes a cluster of two, and has something happen to it `runs` times.
///
/// # Errors
/// The end was asked for, or results can't be written.
pub fn run(tools: &Tools, runs: u32, results: &mut Results) -> Result<(), BenchError> {
    let outcome = series(tools, runs, results);
    told(results, row(0, ""), outcome)
}

fn row(run: u32, scenario: &str) -> Row {
    let config = "2 nodes, ride-out 300 ms, chain majority, fence".to_owned();
    let (bench, subject) = (NAME.to_owned(), "stead".to_owned());
    Row { bench, subject, config, run, ..Row::default() }.with("scenario", scenario)
}

fn series(tools: &Tools, runs: u32, results: &mut Results) -> Result<(), BenchError> {
    let folder = tempfile::tempdir().step(|| "cannot make a folder".to_owned())?;
    let service = ServicePlan::web(crate::subject::SERVICE, &tools.stead, Family::V4, SHARED);
    let mut plan = Plan::of("bench-fencing", &tools.stead, 2).service(service);
    for node in &mut plan.nodes {
        node.lines = format!("fence = [\"strip:{}\"]\nfence-rehearse = \"1d\"\n", node.name);
    }
    plan.cluster.push_str(&strip_table(folder.path()));
    plan.cluster.push_str("\n[quorum]\nchain = [\"majority\", \"fence\"]\n");
    let fleet = Fleet::build(plan, tools.stop.clone())?;
    PowerStrip::beside(&fleet, folder.path(), |strip| {
        fleet.found()?;
        fleet.join_all()?;
        fleet.wait_votes()?;
        fleet.serve()?;
        fleet.wait_whole(PATIENCE)?;
        let watch = Watch::start_at(fleet.client(), &fleet.macs(), WEB_PORT)?;
        let bed = Bed { tools, fleet: &fleet, strip, watch };
        for run in 1..=runs {
            results.add(bed.trial(run)?)?;
        }
        Ok(())
    })?
}

struct Bed<'a> {
    tools: &'a Tools,
    fleet: &'a Fleet,
    strip: &'a PowerStrip<'a>,
    watch: Watch,
}

impl Bed<'_> {
    fn trial(&self, run: u32) -> Result<Row, BenchError> {
        let Self { tools, fleet, strip, watch } = self;
        fleet.wait_whole(PATIENCE)?;
        let holder = watch.wait_steady(tools)?;
        let dies = run.is_multiple_of(DEATHS);
        let scenario = if dies { "node dead" } else { "link cut" };
        let before = strip.switched().len();
        tools.pause_by_chance(PHASE)?;
        strip.keep_apart(CUT, !dies);
        let began = now();
        if dies {
            fleet.silence_then_kill(&holder)?;
            if !watch.wait_other(tools, &holder, PATIENCE)? {
                let error = Some("no other node answered".to_owned());
                return Ok(Row { error, ..row(run, scenario) });
            }
            tools.pause(AFTERWARDS)?;
        } else {
            fleet.cut_from_nodes(CUT)?;
            tools.pause(WATCHED)?;
        }
        tools.wait_until("one was switched off and on", PATIENCE, || {
            Ok(strip.switched().len() >= before + 2)
        })?;
        let seen = watch.seen_since(began);
        let moved = watch.answered_by().is_some_and(|by| by != holder);
        let silent = if dies { None } else { moved.then(|| watch.answered_until(&holder, began)) };
        let off: Vec<_> = strip.switched().split_off(before);
        let off: Vec<_> = off.into_iter().filter(|it| it.action == "off").collect();
        let names: Vec<_> = off.iter().map(|it| it.node.clone()).collect();
        let answer = watch.holders();
        let mut row = row(run, scenario);
        (row.outage_ms, row.double_ms) = (Some(seen.outage_ms), Some(seen.double_ms));
        row = row.with("holder", holder).with("moved", moved).with("silent_ms", silent.flatten());
        let took = off.first().map(|it| it.at.saturating_sub(began) as f64 / 1_000.0);
        row = row.with("off_ms", took).with("switched_off", names.clone());
        if names.len() != 1 || answer.len() != 1 || names == answer {
            let (off, answer) = (names.join(", "), answer.join(", "));
            row.error = Some(format!("switched off: {off}; answer in the end: {answer}"));
        }
        if !dies {
            fleet.heal(CUT)?;
        }
        Ok(row)
    }
}
