//! The copies of a service: where one runs, how fit each says that it is, and why none is promoted.

use serde::{Deserialize, Serialize};
use stead_core::id::{NodeId, ServiceId};
use stead_core::state::{CopyStage, Holder, State};

use crate::driver::view::View;

/// A node's copy of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyReport {
    /// The node.
    pub node: String,
    /// `promoted`, `runs`, `starting` or `none`.
    pub state: String,
    /// How fit it says that it is to be promoted; nothing if it has not said so yet.
    pub score: Option<i32>,
    /// Why none runs, as far as the node that shows this knows.
    #[serde(default)]
    pub reason: Option<String>,
}

/// All copies of a service; none if it has no copies.
pub(super) fn copies(view: &View, service: &ServiceId) -> Vec<CopyReport> {
    let state = &view.state;
    let wanted = state.config.as_ref().and_then(|config| config.copies(service));
    let Some(wanted) = wanted else { return Vec::new() };
    let listed = state.members.iter().filter(|(_, member)| wanted.is_on(&member.name));
    listed.map(|(node, member)| report(view, service, *node, member.name.clone())).collect()
}

fn report(view: &View, service: &ServiceId, node: NodeId, name: String) -> CopyReport {
    let state = &view.state;
    let word = match state.copy(service, node).map(|copy| copy.stage) {
        Some(CopyStage::Promoted) => "promoted",
        Some(CopyStage::Runs) => "runs",
        Some(CopyStage::Begun) => "starting",
        None => "none",
    };
    let runs = matches!(word, "promoted" | "runs");
    let own = node == view.identity.node;
    let failed = view.copies.get(service).and_then(|copy| copy.reason.clone());
    let old_guard = view.report.as_ref().is_some_and(|report| report.later.next.kept.is_none());
    let reason = if runs {
        None
    } else if own && old_guard {
        Some("its guard is of an earlier version: restart stead-guard".to_owned())
    } else if own && failed.is_some() {
        failed
    } else if state.is_stopped(service) {
        Some("the service is stopped".to_owned())
    } else if state.standby.contains(&node) || state.is_halted(node) {
        Some("its node is to run nothing".to_owned())
    } else if !state.view.contains_key(&node) {
        Some("its node is not there".to_owned())
    } else {
        None
    };
    CopyReport { node: name, state: word.to_owned(), score: state.score(service, node), reason }
}

/// Why nothing of a service is promoted, if it has copies and is nowhere.
pub(super) fn why_none(
    state: &State,
    service: &ServiceId,
    copies: &[CopyReport],
) -> Option<String> {
    let holder = &state.assignments.get(service)?.holder;
    let nowhere = matches!(holder, Holder::Never | Holder::Stopped { .. });
    if copies.is_empty() || !nowhere {
        return None;
    }
    let one = |copy: &CopyReport| {
        let CopyReport { node, state, score, reason } = copy;
        match (state.as_str(), score, reason) {
            ("none" | "starting", _, Some(reason)) => format!("{node} has no copy ({reason})"),
            ("none" | "starting", _, None) => format!("{node} has no copy yet"),
            (_, None, _) => format!("{node} has no promotion score yet"),
            (_, Some(score), _) => format!("{node} has the promotion score {score}"),
        }
    };
    let all: Vec<_> = copies.iter().map(one).collect();
    Some(format!("nothing of it is promoted: {}", all.join("; ")))
}
