//! What `stead status`, `timers` and `incident` show: made from one picture and the journal.
//!
//! The happy path: [`status`] takes a [`View`] and the journal's newest lines and says first
//! whether everything is protected; if not, what isn't, since when, and what to do. Everything else
//! in a [`StatusReport`] is the evidence for that. The same report is `--json` and the screen.
//!
//! Failures: none. What this node can't know is `None`, never a guess: another node's services are
//! known by what it committed of them, its links by what arrived here.
//!
//! Deliberately absent: asking other nodes (the screen must come when they are away), clocks (the
//! picture has its own time), and words of the terminal (`cli/status` draws).

mod concerns;
mod copies;
mod fence_history;
mod fencing;
mod history;
mod incident;
mod kept;
mod layers;
mod nodes;
mod notes;
mod noticed;
mod points;
mod quorum;
mod services;
mod timers;
mod watchdog;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stead_core::id::NodeId;
use stead_core::quorum::{Verdict, majority};

use crate::driver::view::View;
use crate::journal::{Entry, stamp};

pub use copies::CopyReport;
pub use fence_history::{FenceHistoryReport, FenceKind, FenceRecord, FenceUnderWay, fence_history};
pub use fencing::{FencingReport, FencingState, UNPROVABLE};
use history::History;
pub use incident::{IncidentReport, MovedReport, StageReport, incident};
pub use kept::MaintenanceReport;
pub use layers::LayerReport;
pub use nodes::{LinkReport, NodeReport, NodeState, QuarantineReport};
pub use points::{PointReport, PointSeen};
pub use quorum::{BreakerReport, ModuleReport, QuorumReport};
pub use services::{ServiceReport, ServiceState};
pub use timers::{TimerReport, TimersReport, timers};
pub use watchdog::WatchdogReport;

/// The version of the reports' form. Fields are only ever added within one.
pub const VERSION: u32 = 1;

/// The state of the cluster as one node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The version of this form.
    pub v: u32,
    /// When it was taken, RFC 3339 in UTC.
    pub taken: String,
    /// The node that shows it.
    pub seen_by: String,
    /// Every service runs, and goes on when any one node or link fails.
    pub protected: bool,
    /// Why that is not so, worst first; empty if it is.
    pub problems: Vec<Concern>,
    /// What deserves a look all the same.
    pub warnings: Vec<Concern>,
    /// What stead leaves as it is for work by hand, the widest first.
    #[serde(default)]
    pub maintenance: Vec<MaintenanceReport>,
    /// The cluster as a whole.
    pub cluster: ClusterReport,
    /// Whether enough voters are here.
    pub quorum: QuorumReport,
    /// Every configured node, by name.
    pub nodes: Vec<NodeReport>,
    /// Every service, by name.
    pub services: Vec<ServiceReport>,
    /// Every reference point of the services' networks, by their order.
    #[serde(default)]
    pub points: Vec<PointReport>,
}

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concern {
    /// How bad it is.
    pub level: Level,
    /// What it is.
    pub what: String,
    /// Since when, if this node knows: RFC 3339 in UTC.
    pub since: Option<String>,
    /// What to do.
    pub next: String,
}

/// How bad a concern is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Clients are not served.
    Outage,
    /// Clients are served, and one more failure may end that.
    Risk,
    /// All is protected.
    Note,
}

/// The cluster as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// Its name; empty before it is founded.
    pub name: String,
    /// Its identity, in hexadecimal digits.
    pub id: String,
    /// Which version of the configuration is in force.
    pub revision: u64,
    /// The number of the view.
    pub epoch: u64,
    /// Who coordinates, as far as this node knows.
    pub coordinator: Option<String>,
    /// In which term.
    pub term: u64,
    /// How many incidents there were.
    pub incidents: u64,
}

/// The report of a picture; `entries` are the journal's newest lines, oldest first.
#[must_use]
pub fn status(view: &View, entries: &[Arc<Entry>]) -> StatusReport {
    let history = History::of(entries);
    let sight = Sight { view, history: &history };
    let quorum = quorum::quorum(&sight);
    let nodes = nodes::nodes(&sight);
    let services = services::services(&sight);
    let points = points::points(&sight);
    let problems = concerns::concerns(&sight, &quorum, &nodes, &services, &points);
    let mut warnings = notes::notes(&sight, &nodes, &services);
    warnings.extend(quorum::notes(&quorum));
    warnings.extend(points::notes(&points));
    warnings.extend(watchdog::notes(&nodes));
    StatusReport {
        v: VERSION,
        taken: stamp(view.wall),
        seen_by: view.identity.name.clone(),
        protected: problems.is_empty(),
        problems,
        warnings,
        maintenance: kept::all(&sight),
        cluster: sight.cluster(),
        quorum,
        nodes,
        services,
        points,
    }
}

/// One picture with what the journal remembers, and the questions that every part asks.
struct Sight<'a> {
    view: &'a View,
    history: &'a History,
}

impl Sight<'_> {
    fn me(&self) -> NodeId {
        self.view.identity.node
    }

    /// Whether the node's guard is heard now.
    fn hears(&self, node: NodeId) -> bool {
        if node == self.me() {
            return true;
        }
        let Some(report) = &self.view.report else {
            // Without the guard a live connection is the only sign of life.
            return self.view.connected.iter().any(|it| it.node == node);
        };
        let state = &self.view.state;
        if state.is_satellite(node) && state.is_satellite(self.me()) {
            // Satellites say nothing to each other: who coordinates knows.
            return state.view.contains_key(&node);
        }
        let patience = report.patience(node, state.timers.suspect_after);
        let heard = report.peers.get(&node).and_then(|peer| peer.heard);
        heard.is_some_and(|heard| report.at.since(heard) <= patience)
    }

    /// Whether the nodes that are heard may decide for the cluster.
    fn decides(&self) -> bool {
        let voters = &self.view.log.membership.voters;
        let present: BTreeSet<_> = voters.iter().copied().filter(|it| self.hears(*it)).collect();
        majority(&present, voters) == Verdict::HaveQuorum
    }

    /// Whether this node has a lease.
    fn leased(&self) -> bool {
        self.view.report.as_ref().is_some_and(|report| report.lease_until > report.at)
    }

    fn cluster(&self) -> ClusterReport {
        let View { state, log, .. } = self.view;
        ClusterReport {
            name: state.config.as_ref().map(|it| it.name.clone()).unwrap_or_default(),
            id: self.view.identity.cluster.to_string(),
            revision: state.revision,
            epoch: state.epoch.0,
            coordinator: log.leader.map(|node| state.name(node)),
            term: log.term.0,
            incidents: state.incident_count,
        }
    }
}
