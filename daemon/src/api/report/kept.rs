//! What an operator keeps from running, or from being touched, and what can't leave a node.

use serde::{Deserialize, Serialize};
use stead_core::id::{NodeId, ServiceId};
use stead_core::state::{Assignment, Holder, Maintenance};

use super::Sight;
use crate::journal::stamp_of;

/// Something that is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceReport {
    /// What: `the cluster`, or the name of a node or a service.
    pub what: String,
    /// `cluster`, `node` or `service`.
    pub kind: String,
    /// Why; empty if that was not said.
    pub reason: String,
    /// On which node that was asked for.
    pub by: String,
    /// When, by that node's wall clock: RFC 3339 in UTC.
    pub since: String,
}

fn report(kind: &str, what: &str, it: &Maintenance) -> MaintenanceReport {
    MaintenanceReport {
        what: what.to_owned(),
        kind: kind.to_owned(),
        reason: it.reason.clone(),
        by: it.by.clone(),
        since: stamp_of(it.wall),
    }
}

/// All that is in maintenance, the widest first.
pub(super) fn all(sight: &Sight<'_>) -> Vec<MaintenanceReport> {
    let state = &sight.view.state;
    let it = &state.later.next.maintenance;
    let cluster = it.cluster.iter().map(|it| report("cluster", "the cluster", it));
    let nodes = it.nodes.iter().map(|(node, it)| report("node", &state.name(*node), it));
    let services = it.services.iter().map(|(service, it)| report("service", &service.0, it));
    cluster.chain(nodes).chain(services).collect()
}

/// Why a service is left as it is, if it is.
pub(super) fn of_service(
    sight: &Sight<'_>,
    name: &ServiceId,
    assignment: &Assignment,
) -> Option<MaintenanceReport> {
    let state = &sight.view.state;
    if !state.is_maintained(name) {
        return None;
    }
    let it = &state.later.next.maintenance;
    let service = it.services.get(name).map(|it| report("service", &name.0, it));
    service.or_else(|| it.cluster.as_ref().map(|it| report("cluster", "the cluster", it))).or_else(
        || {
            let node = match &assignment.holder {
                Holder::Never => return None,
                Holder::Stopped { node, .. }
                | Holder::Node(node)
                | Holder::Stopping { node, .. } => *node,
            };
            it.nodes.get(&node).map(|it| report("node", &state.name(node), it))
        },
    )
}

/// Why a service can't leave its node though that is on standby: what keeps each other node from
/// taking it. Nothing if it can, or need not.
pub(super) fn why_it_stays(
    sight: &Sight<'_>,
    name: &ServiceId,
    assignment: &Assignment,
) -> Option<String> {
    let state = &sight.view.state;
    let Holder::Node(here) = assignment.holder else { return None };
    if !state.standby.contains(&here) {
        return None;
    }
    if state.is_disarmed() {
        return Some("the cluster is disarmed".to_owned());
    }
    if let Some(it) = of_service(sight, name, assignment) {
        return Some(format!("{} is in maintenance", it.what));
    }
    let others = state.members.keys().filter(|node| **node != here);
    let mut reasons = Vec::new();
    for node in others {
        match why_not(sight, *node) {
            Some(why) => reasons.push(format!("{} {why}", state.name(*node))),
            None => return None,
        }
    }
    if reasons.is_empty() {
        Some("there is no other node".to_owned())
    } else {
        Some(reasons.join(", "))
    }
}

/// What keeps a node from taking a service, if anything does.
fn why_not(sight: &Sight<'_>, node: NodeId) -> Option<&'static str> {
    let state = &sight.view.state;
    let away = |daemon: bool| node != sight.me() && !daemon;
    let report = sight.view.report.as_ref();
    let daemon = report.and_then(|it| it.peers.get(&node)).is_none_or(|it| it.daemon_alive);
    if !sight.hears(node) {
        Some("is not heard")
    } else if !state.view.contains_key(&node) {
        Some("is not in the view")
    } else if state.standby.contains(&node) {
        Some("is on standby")
    } else if state.is_halted(node) {
        Some("is stopped")
    } else if state.is_node_maintained(node) {
        Some("is in maintenance")
    } else if away(daemon) {
        Some("has no daemon")
    } else {
        None
    }
}
