//! One incident with names in place of numbers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stead_core::state::{Incident, Stage, State};

use super::History;
use crate::journal::Entry;

/// One takeover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentReport {
    /// Its number, counted from 1.
    pub number: u64,
    /// When this node learned of it, if its journal reaches back: RFC 3339 in UTC.
    pub time: Option<String>,
    /// The node that lost the services.
    pub node: String,
    /// Why.
    pub cause: String,
    /// The services that moved.
    pub moved: Vec<MovedReport>,
    /// What was reached when, by time.
    pub stages: Vec<StageReport>,
}

/// One service's move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedReport {
    /// The service.
    pub service: String,
    /// Where it went; nothing if nobody could take it.
    pub to: Option<String>,
    /// The number of the new assignment.
    pub epoch: u64,
}

/// One stage as one node saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// Milliseconds since the last sign of life of the node that failed, as the reporting node
    /// saw it; of a planned move since that node learned of it.
    pub ms: f64,
    /// Who saw it.
    pub node: String,
    /// What was reached.
    pub reached: String,
    /// The service it is about; nothing if all of the incident's.
    pub service: Option<String>,
    /// More about it.
    pub detail: String,
}

/// The report of the incident with that number, or of the newest one.
#[must_use]
pub fn incident(
    state: &State,
    number: Option<u64>,
    entries: &[Arc<Entry>],
) -> Option<IncidentReport> {
    let incidents = &state.incidents;
    let incident = match number {
        Some(number) => incidents.iter().find(|it| it.number == number)?,
        None => incidents.back()?,
    };
    let history = History::of(entries);
    let Incident { number, node, cause, moved, stages, .. } = incident;
    let mut stages: Vec<_> = stages.iter().map(|it| stage(state, it)).collect();
    stages.sort_by(|a, b| a.ms.total_cmp(&b.ms));
    let time = moved.iter().find_map(|it| history.assigned(&it.service, it.epoch.0));
    Some(IncidentReport {
        number: *number,
        time: time.map(str::to_owned),
        node: state.name(*node),
        cause: cause.to_string(),
        moved: moved
            .iter()
            .map(|it| MovedReport {
                service: it.service.0.clone(),
                to: it.to.map(|to| state.name(to)),
                epoch: it.epoch.0,
            })
            .collect(),
        stages,
    })
}

fn stage(state: &State, stage: &Stage) -> StageReport {
    StageReport {
        ms: stage.after.as_millis_f64(),
        node: state.name(stage.node),
        reached: stage.reached.to_string(),
        service: stage.service.as_ref().map(|it| it.0.clone()),
        detail: stage.detail.clone(),
    }
}
