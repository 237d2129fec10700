//! The services: where they are, and which failures of them would be noticed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::node::Phase;
use stead_core::placement::Importances;
use stead_core::state::config::{ServiceConfig, USUAL_IMPORTANCE};
use stead_core::state::{Assignment, Holder, Reached};

use super::Sight;
use super::copies::{self, CopyReport};
use super::kept::{self, MaintenanceReport};
use super::layers::{self, LayerReport};
use super::noticed::{Noticed, noticed};
use crate::executor::ResourceView;
use crate::journal::{parse, stamp_of};

/// Another node's start is believed to be under way for this long; then it is its own to tell.
const STARTING: Duration = Duration::from_secs(30);

/// One service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceReport {
    /// Its name.
    pub name: String,
    /// Where it is on its way up or down.
    pub state: ServiceState,
    /// Its holder.
    pub node: Option<String>,
    /// The number of its assignment.
    pub epoch: u64,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// It has a program.
    pub program: bool,
    /// It has a monitor.
    pub monitor: bool,
    /// Its monitor was good under this assignment; nothing if it has none or can't be known.
    pub verified: Option<bool>,
    /// What is wrong, if something is and this node knows.
    pub detail: Option<String>,
    /// Since when.
    pub since: Option<String>,
    /// Which failures are noticed.
    pub noticed: Vec<String>,
    /// Which are not.
    pub unnoticed: Vec<String>,
    /// Who is asked whether its network works.
    #[serde(default)]
    pub watched_by: Vec<String>,
    /// The nodes that it would rather run on, best first.
    pub prefers: Vec<String>,
    /// Where it is to be for a while, in words.
    #[serde(default)]
    pub visit: Option<String>,
    /// How its names may be kept, in words, if it is about to move.
    #[serde(default)]
    pub lowered: Option<String>,
    /// For which service's sake it counts for more than its own importance.
    #[serde(default)]
    pub counts_as: Option<String>,
    /// The lost node that it stays with until that is proven to be off.
    #[serde(default)]
    pub stays_with: Option<String>,
    /// How often it failed on which node since that was last cleared.
    pub failures: BTreeMap<String, u32>,
    /// An operator stopped it: it runs nowhere until it is started.
    #[serde(default)]
    pub stopped: bool,
    /// Why it is left as it is, if it, its node or everything is in maintenance.
    #[serde(default)]
    pub maintenance: Option<MaintenanceReport>,
    /// The services that it needs.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Which of them do not run.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Who comes first when many have to be recovered: 1 to 100.
    #[serde(default)]
    pub importance: u8,
    /// How long the newest good answer to its monitor took, if it runs on the node that shows this.
    #[serde(default)]
    pub answer_ms: Option<f64>,
    /// Why it can't leave its node, if that is on standby.
    #[serde(default)]
    pub stays: Option<String>,
    /// The last lines that its program printed before it failed on the node that shows this, oldest
    /// first; until the failures are cleared. Empty if it didn't, or not since the daemon started.
    #[serde(default)]
    pub output: Vec<String>,
    /// What it consists of, if that is more than one program and it runs on the node that shows
    /// this; in the order of the file.
    #[serde(default)]
    pub resources: Vec<ResourceView>,
    /// Its copies, if it has any.
    #[serde(default)]
    pub copies: Vec<CopyReport>,
    /// By which layers clients are led to it, if it runs on the node that shows this.
    #[serde(default)]
    pub layers: Vec<LayerReport>,
}

/// Where a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// It runs, and if it has a monitor that is good.
    Runs,
    /// Another node holds it, and its details are known there.
    Held,
    /// It is on its way up.
    Starting,
    /// Somebody else answers for an address of it.
    Conflict,
    /// It is on its way down.
    Stopping,
    /// It is nowhere.
    Stopped,
    /// Its node is not heard, or has no lease.
    Lost,
    /// This node is cut off from most others: it can't know.
    Unknown,
}

impl ServiceState {
    /// Whether clients are served, as far as is known.
    #[must_use]
    pub fn serves(self) -> bool {
        match self {
            Self::Runs | Self::Held => true,
            Self::Starting
            | Self::Conflict
            | Self::Stopping
            | Self::Stopped
            | Self::Lost
            | Self::Unknown => false,
        }
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Runs => "runs",
            Self::Held => "held",
            Self::Starting => "starting",
            Self::Conflict => "conflict",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        })
    }
}

pub(super) fn services(sight: &Sight<'_>) -> Vec<ServiceReport> {
    let state = &sight.view.state;
    let wanted = |name: &ServiceId| state.config.as_ref()?.services.get(name);
    let importances = state.config.as_ref().map(Importances::new);
    let report = |(name, assignment): (&ServiceId, &Assignment)| {
        let mut report = report(sight, name, assignment, wanted(name));
        report.counts_as =
            importances.as_ref().and_then(|importances| counts_as(importances, name));
        report
    };
    state.assignments.iter().map(report).collect()
}

fn report(
    sight: &Sight<'_>,
    name: &ServiceId,
    assignment: &Assignment,
    wanted: Option<&ServiceConfig>,
) -> ServiceReport {
    let config = sight.view.state.config.as_ref();
    let parts = config.map_or(&[][..], |it| it.resources(name));
    let monitored = !parts.is_empty() || wanted.is_some_and(|it| it.monitor.is_some());
    let (state, verified) = place(sight, name, assignment, monitored);
    let trouble = sight.history.service(name).filter(|_| !state.serves());
    let watched_by = super::points::watched_by(sight, name);
    let Noticed { noticed, unnoticed } = noticed(config, name, &watched_by);
    let lacks = lacks(sight, name, assignment);
    let copies = copies::copies(sight.view, name);
    let unpromoted = copies::why_none(&sight.view.state, name, &copies);
    let unpromoted = unpromoted.filter(|_| !sight.view.state.is_stopped(name));
    let name_of = |node: NodeId| sight.view.state.name(node);
    ServiceReport {
        name: name.0.clone(),
        state,
        node: assignment.holder.node().map(name_of),
        epoch: assignment.epoch.0,
        addresses: wanted
            .map(|it| it.addresses.iter().map(|at| format!("{}/{}", at.ip, at.prefix)).collect())
            .unwrap_or_default(),
        program: !parts.is_empty() || wanted.is_some_and(|it| it.program.is_some()),
        monitor: monitored,
        verified: verified.filter(|_| monitored),
        detail: waits(state, &lacks).or(unpromoted).or_else(|| trouble.map(|it| it.text.clone())),
        copies,
        since: trouble.map(|it| it.since.clone()),
        noticed,
        unnoticed,
        watched_by,
        prefers: sight.view.state.prefers(name).to_vec(),
        visit: visit(sight, name),
        lowered: crate::api::lower::in_words(&sight.view.state, name),
        counts_as: None,
        stays_with: assignment
            .holder
            .node()
            .filter(|node| sight.view.state.waits_for(name, *node))
            .map(name_of),
        failures: assignment
            .failures
            .iter()
            .map(|(node, count)| (sight.view.state.name(*node), *count))
            .collect(),
        stopped: sight.view.state.is_stopped(name),
        maintenance: kept::of_service(sight, name, assignment),
        needs: config.iter().flat_map(|it| it.needs(name)).map(ToString::to_string).collect(),
        lacks,
        importance: config.map_or(USUAL_IMPORTANCE, |it| it.importance(name)),
        answer_ms: sight.view.answers.get(name).map(|took| took.as_secs_f64() * 1_000.0),
        layers: layers::layers(sight, name),
        stays: kept::why_it_stays(sight, name, assignment),
        output: assignment
            .failures
            .get(&sight.me())
            .and_then(|_| sight.view.last_words.get(name))
            .map(|lines| lines.to_vec())
            .unwrap_or_default(),
        resources: sight.view.pictures.get(name).map_or_else(Vec::new, |it| it.resources.clone()),
    }
}

/// Where a service is to be for a while, and what then.
fn visit(sight: &Sight<'_>, name: &ServiceId) -> Option<String> {
    let state = &sight.view.state;
    let visit = state.times().visits.get(name)?;
    let node = state.name(visit.node);
    let until = stamp_of(visit.until);
    Some(match visit.back {
        Some(back) => format!("on {node} until {until}, then back to {}", state.name(back)),
        None if visit.once => format!("on {node} as soon as it can, until {until} at most"),
        None => format!("on {node} until {until}"),
    })
}

/// For whose sake it counts for more than its own importance.
fn counts_as(importances: &Importances<'_>, name: &ServiceId) -> Option<String> {
    importances.raised_by(name).map(|by| format!("{}, since {by} needs it", importances.of(name)))
}

/// What a service needs that does not run. What was stopped lacks nothing.
fn lacks(sight: &Sight<'_>, name: &ServiceId, assignment: &Assignment) -> Vec<String> {
    let held = assignment.holder.node().is_some();
    if held { sight.view.state.lacks(name) } else { Vec::new() }
}

/// What a service that does not run waits for, in words.
fn waits(state: ServiceState, lacks: &[String]) -> Option<String> {
    let waits = state == ServiceState::Starting && !lacks.is_empty();
    waits.then(|| format!("it waits for {}, which it needs", lacks.join(", ")))
}

/// Where it is, and whether its monitor was good.
fn place(
    sight: &Sight<'_>,
    name: &ServiceId,
    assignment: &Assignment,
    monitored: bool,
) -> (ServiceState, Option<bool>) {
    let node = match assignment.holder {
        Holder::Never | Holder::Stopped { .. } => return (ServiceState::Stopped, None),
        // Bound to a node that was lost: nothing is stopping there that anybody could see.
        Holder::Stopping { node, .. } if sight.view.state.waits_for(name, node) => node,
        Holder::Stopping { .. } => return (ServiceState::Stopping, None),
        Holder::Node(node) => node,
    };
    if !sight.hears(node) || !sight.view.state.view.contains_key(&node) {
        let state = if sight.decides() { ServiceState::Lost } else { ServiceState::Unknown };
        return (state, None);
    }
    if node != sight.me() {
        return elsewhere(sight, name, assignment.epoch, monitored);
    }
    let Some(local) = sight.view.local.get(name).filter(|it| it.epoch == assignment.epoch) else {
        let state = if sight.leased() { ServiceState::Starting } else { ServiceState::Lost };
        return (state, Some(false));
    };
    let state = match local.phase {
        Phase::Running if local.verified || !monitored => ServiceState::Runs,
        Phase::Running | Phase::Probing(None) | Phase::Claiming | Phase::Starting => {
            ServiceState::Starting
        }
        Phase::Probing(Some(_)) => ServiceState::Conflict,
        Phase::Stopping(_) | Phase::Releasing(_) => ServiceState::Stopping,
        Phase::Stopped(..) => ServiceState::Stopped,
    };
    (state, Some(local.verified))
}

/// Where a service of another node is, by what that node committed of it.
fn elsewhere(
    sight: &Sight<'_>,
    name: &ServiceId,
    epoch: Epoch,
    monitored: bool,
) -> (ServiceState, Option<bool>) {
    let state = &sight.view.state;
    if state.config.as_ref().is_some_and(|it| it.waits_or_is_waited_for(name)) {
        let works = state.works(name);
        return if works {
            (ServiceState::Runs, monitored.then_some(true))
        } else {
            (ServiceState::Starting, monitored.then_some(false))
        };
    }
    let incidents = &state.incidents;
    let about = |it: &stead_core::state::Moved| it.service == *name && it.epoch == epoch;
    let incident = incidents.iter().rev().find(|it| it.moved.iter().any(about));
    let reached = |stage: Reached| {
        incident.is_some_and(|it| {
            it.stages.iter().any(|at| at.reached == stage && at.service.as_ref() == Some(name))
        })
    };
    if reached(Reached::Verified) {
        return (ServiceState::Runs, Some(true));
    }
    if reached(Reached::Started) && !monitored {
        return (ServiceState::Runs, None);
    }
    let assigned = sight.history.assigned(name, epoch.0).and_then(parse);
    let fresh = assigned
        .is_some_and(|at| sight.view.wall.duration_since(at).is_ok_and(|since| since < STARTING));
    if fresh && incident.is_some() {
        return (ServiceState::Starting, Some(false));
    }
    (ServiceState::Held, None)
}
