//! `stages`: where the milliseconds of a takeover go, by stead's own account.

use std::time::Duration;

use serde_json::{Map, Value, json};
use stead::demo::fleet::{Family, ServicePlan, WEB_PORT};
use stead_lab::prober::now;

use super::{row, told};
use crate::error::BenchError;
use crate::measure::Watch;
use crate::report::{Results, Row};
use crate::subject::{Cluster, Failure, Settled, Spec, Stead, SteadCluster};
use crate::tools::{PATIENCE, SHARED, Tools};

/// The bench's name.
pub const NAME: &str = "stages";

/// Failures come at any moment of so long a time.
const PHASE: Duration = Duration::from_millis(1_117);
/// The last stage: the monitor's first good result.
const LAST: &str = "verified";

/// Kills the holder `runs` times for each of the settings.
///
/// # Errors
/// The end was asked for, or results can't be written.
pub fn run(
    tools: &Tools,
    settings: &[Stead],
    runs: u32,
    results: &mut Results,
) -> Result<(), BenchError> {
    for stead in settings {
        let spec = Spec::Stead(stead.clone());
        let outcome = series(tools, stead, &spec, runs, results);
        told(results, row(NAME, &spec, 0), outcome)?;
    }
    Ok(())
}

/// One cluster, whose service has a program and a monitor so that every stage is there.
fn series(
    tools: &Tools,
    stead: &Stead,
    spec: &Spec,
    runs: u32,
    results: &mut Results,
) -> Result<(), BenchError> {
    let service = ServicePlan::web(crate::subject::SERVICE, &tools.stead, Family::V4, SHARED);
    let mut cluster = stead.start_with(tools, service)?;
    let watch = Watch::start_at(&cluster.client(), &cluster.macs(), WEB_PORT)?;
    for run in 1..=runs {
        let row = row(NAME, spec, run);
        let row = trial(tools, spec, &mut cluster, &watch, row)?;
        results.add(row)?;
    }
    Ok(())
}

fn trial(
    tools: &Tools,
    spec: &Spec,
    cluster: &mut SteadCluster,
    watch: &Watch,
    mut row: Row,
) -> Result<Row, BenchError> {
    let coordinator = row.run.is_multiple_of(2);
    let Settled { holder, coordinates } = cluster.settle(watch, coordinator)?;
    let before = cluster.incident_number()?;
    tools.pause_by_chance(PHASE)?;
    let began = now();
    cluster.inflict(Failure::Dead, &holder)?;
    watch.wait_other(tools, &holder, spec.limit())?;
    let mut incident = Value::Null;
    tools.wait_until("the takeover is verified", PATIENCE, || {
        let mut others = cluster.fleet().nodes().iter().filter(|node| node.name() != holder);
        let Some(other) = others.next() else { return Ok(false) };
        incident = other.json(&["incident", "--json"])?;
        let newer = incident["number"].as_u64().is_some_and(|number| number > before);
        Ok(newer && incident["node"] == json!(holder) && stages(&incident).contains_key(LAST))
    })?;
    tools.wait_until("the client is answered", PATIENCE, || {
        Ok(watch.answered_by().is_some_and(|by| by != holder))
    })?;
    let seen = watch.seen_since(began);
    cluster.mend(Failure::Dead, &holder)?;
    (row.outage_ms, row.double_ms) = (Some(seen.outage_ms), Some(seen.double_ms));
    row.failure = Some(Failure::Dead.to_string());
    Ok(row.with("coordinator", coordinates).with("stages", stages(&incident)))
}

/// When each stage was reached first, by any node's account, in milliseconds since the last sign of
/// life of the node that failed.
fn stages(incident: &Value) -> Map<String, Value> {
    let mut first = Map::new();
    for stage in incident["stages"].as_array().into_iter().flatten() {
        let (Some(name), Some(ms)) = (stage["reached"].as_str(), stage["ms"].as_f64()) else {
            continue;
        };
        let earlier = first.get(name).and_then(Value::as_f64).is_none_or(|known| ms < known);
        if earlier {
            first.insert(name.to_owned(), json!(ms));
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_accounts_of_a_stage_the_first_counts() {
        let incident = json!({ "stages": [
            { "reached": "suspected", "ms": 320.5, "node": "node1" },
            { "reached": "suspected", "ms": 317.0, "node": "node3" },
            { "reached": "claimed", "ms": 400.0, "node": "node3" },
            { "reached": "odd" },
        ]});
        let found = stages(&incident);
        assert_eq!(Value::Object(found), json!({ "suspected": 317.0, "claimed": 400.0 }));
        assert!(stages(&Value::Null).is_empty());
    }
}
