//! `quorum`: what two nodes and a server that breaks their ties do when something fails.

use std::time::Duration;

use serde_json::{Map, Value};
use stead_lab::prober::now;

use super::{in_turn, row, told};
use crate::error::BenchError;
use crate::measure::Watch;
use crate::report::{Results, Row};
use crate::subject::{Failure, Spec, Tied};
use crate::tools::Tools;

/// The bench's name.
pub const NAME: &str = "quorum";

/// Failures come at any moment of so long a time, which no timer of a subject divides.
const PHASE: Duration = Duration::from_millis(1_117);
/// What is watched after a takeover: a former holder that lives on counts too.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// What is watched where nothing has to move: many times the wait of stead, and twice the time
/// after which Corosync's membership changes by its own timers.
const STEAD_WATCHED: Duration = Duration::from_secs(5);
const PEER_WATCHED: Duration = Duration::from_secs(16);

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The node that holds the address loses its power.
    NodeDead,
    /// The nodes don't reach each other; both reach the server and the client.
    LinkCut,
    /// As before, and the holder does not reach the server either.
    LinkCutHolderAlone,
    /// The server is killed.
    ServerDead,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::NodeDead, Self::LinkCut, Self::LinkCutHolderAlone, Self::ServerDead];

    /// Its name in rows and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NodeDead => "node dead",
            Self::LinkCut => "link cut",
            Self::LinkCutHolderAlone => "link cut, holder without server",
            Self::ServerDead => "server dead",
        }
    }

    /// Whether the address has to move, or may stay.
    fn has_to_move(self) -> bool {
        match self {
            Self::NodeDead | Self::LinkCutHolderAlone => true,
            Self::LinkCut | Self::ServerDead => false,
        }
    }

    fn inflict(self, cluster: &mut dyn Tied, holder: &str) -> Result<(), BenchError> {
        match self {
            Self::NodeDead => cluster.inflict(Failure::Dead, holder),
            Self::LinkCut => cluster.inflict(Failure::Apart, holder),
            Self::LinkCutHolderAlone => {
                cluster.lose_server(holder)?;
                cluster.inflict(Failure::Apart, holder)
            }
            Self::ServerDead => cluster.kill_server(),
        }
    }

    fn mend(self, cluster: &mut dyn Tied, holder: &str) -> Result<(), BenchError> {
        match self {
            Self::NodeDead => cluster.mend(Failure::Dead, holder),
            // that lays every cable of the node anew
            Self::LinkCut | Self::LinkCutHolderAlone => cluster.mend(Failure::Apart, holder),
            Self::ServerDead => cluster.start_server(),
        }
    }
}

/// Runs all subjects `runs` times, with every scenario.
///
/// # Errors
/// The end was asked for, or results can't be written.
pub fn run(
    tools: &Tools,
    specs: &[Spec],
    runs: u32,
    results: &mut Results,
) -> Result<(), BenchError> {
    in_turn(NAME, specs, runs, results, |spec, run, results| {
        round(tools, spec, &Scenario::ALL, run, results)
    })
}

/// One cluster, brought up for this, and one trial of each scenario.
///
/// # Errors
/// The end was asked for, or results can't be written.
pub fn round(
    tools: &Tools,
    spec: &Spec,
    scenarios: &[Scenario],
    run: u32,
    results: &mut Results,
) -> Result<(), BenchError> {
    let mut cluster = spec.start_tied(tools)?;
    let facts = cluster.facts()?;
    let watch = Watch::start(&cluster.client(), &cluster.macs())?;
    for &scenario in scenarios {
        let trial = Trial { tools, spec, scenario, run, facts: &facts };
        match trial.perform(cluster.as_mut(), &watch) {
            Ok(row) => {
                let over = row.error.is_some();
                results.add(row)?;
                if over {
                    break;
                }
            }
            // what comes after it would meet a cluster that is not whole
            Err(error) => return told(results, trial.row(), Err(error)),
        }
    }
    Ok(())
}

/// One scenario of one cluster.
struct Trial<'a> {
    tools: &'a Tools,
    spec: &'a Spec,
    scenario: Scenario,
    run: u32,
    facts: &'a Map<String, Value>,
}

impl Trial<'_> {
    fn row(&self) -> Row {
        row(NAME, self.spec, self.run).with("scenario", self.scenario.name())
    }

    fn perform(&self, cluster: &mut dyn Tied, watch: &Watch) -> Result<Row, BenchError> {
        let Self { tools, spec, scenario, .. } = *self;
        // in turn: the peer's server prefers the first where it has the choice
        let wanted = if self.run.is_multiple_of(2) { "node2" } else { "node1" };
        let holder = cluster.hand(watch, wanted)?.holder;
        tools.pause_by_chance(PHASE)?;
        let began = now();
        scenario.inflict(cluster, &holder)?;
        let in_vain = if scenario.has_to_move() {
            !watch.wait_other(tools, &holder, spec.limit())?
        } else {
            let peer = matches!(spec, Spec::Qdevice(_));
            tools.pause(if peer { PEER_WATCHED } else { STEAD_WATCHED })?;
            false
        };
        tools.pause(AFTERWARDS)?;
        let (seen, watched_us) = (watch.seen_since(began), now() - began);
        let moved = watch.answered_by().is_some_and(|by| by != holder);
        // who lost its power is out of everybody's sight
        let silent_ms = match scenario {
            Scenario::LinkCut | Scenario::LinkCutHolderAlone if moved => {
                watch.answered_until(&holder, began)
            }
            Scenario::LinkCut
            | Scenario::LinkCutHolderAlone
            | Scenario::NodeDead
            | Scenario::ServerDead => None,
        };
        let mut row = self.row();
        row.more.extend(self.facts.clone());
        row.outage_ms = Some(seen.outage_ms);
        row.double_ms = Some(seen.double_ms);
        row = row.with("silent_ms", silent_ms).with("holder", holder.as_str());
        row = row.with("moved", moved).with("stalled_ms", seen.stalled_ms);
        row = row.with("watched_ms", watched_us / 1_000);
        if in_vain {
            let limit = spec.limit().as_secs();
            let error = Some(format!("no other node answered within {limit} s"));
            // a lower bound is no figure
            return Ok(Row { outage_ms: None, error, ..row });
        }
        scenario.mend(cluster, &holder)?;
        Ok(row)
    }
}
