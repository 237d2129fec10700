//! Whose machine is not switched off and on for a trial, and why.
//!
//! Refused is what would cost more than the machine: one that has something or may be given it, one
//! without which too few voters would be left. What is refused here has to be refused in the state
//! as well (rule X8); here it gets words.

use std::collections::BTreeSet;

use stead_core::id::NodeId;
use stead_core::quorum::{Verdict, majority};
use stead_core::state::State;
use stead_core::state::config::FencingConfig;

use crate::api::message::{Failure, Rehearse};
use crate::driver::rehearse::Rehearsals;
use crate::driver::view::View;

/// Why a machine is not switched off and on now.
pub(super) fn refusal(view: &View, id: NodeId, request: &Rehearse) -> Option<Failure> {
    let (state, node, me) = (&view.state, &request.node, &view.identity.name);
    let here = state.view.contains_key(&id);
    let again = format!("stead fence rehearse {node} --power-cycle");
    let (why, next) = if id == view.identity.node {
        (
            format!("{me} would switch itself off, and nobody would switch it on"),
            format!("on another node: {again}"),
        )
    } else if !state.view.contains_key(&view.identity.node) || !leased(view) {
        (
            format!("{me} takes no part in the cluster just now"),
            format!("see `stead status`, or on another node: {again}"),
        )
    } else if state.is_disarmed() {
        ("the cluster is disarmed".to_owned(), "stead disarm --off".to_owned())
    } else if state.is_node_maintained(id) {
        (
            format!("{node} is in maintenance: somebody may be working at it"),
            "see `stead status`; `stead maintenance` with --off ends it".to_owned(),
        )
    } else if here && !state.standby.contains(&id) {
        (
            format!("{node} is not on standby: it serves, or may be given something to serve"),
            format!("stead drain {node} && {again}"),
        )
    } else if let Some(held) = holds(state, id).filter(|_| here) {
        (format!("{node} still has {held}"), format!("stead drain {node} && {again}"))
    } else if !here && view.hears(id) {
        (
            format!("{node} is heard and about to be in the view again"),
            format!("when it is: stead drain {node} && {again}"),
        )
    } else if let Some(why) = too_few(view, id) {
        (
            why,
            format!(
                "stop it in order first, so that it counts as off: on {node}: systemctl stop \
                 stead-guard stead-daemon; then here: {again}"
            ),
        )
    } else {
        return None;
    };
    Some(Failure::unchanged(format!("{why}; nothing was switched"), next))
}

/// What a node in the view has.
fn holds(state: &State, id: NodeId) -> Option<String> {
    let held = state.held_by(id).map(|(service, _)| service);
    let copies = state.later.next.copies.iter();
    let copies = copies.filter(|(_, nodes)| nodes.contains_key(&id)).map(|(service, _)| service);
    let all: BTreeSet<_> = held.chain(copies).map(|service| service.0.as_str()).collect();
    let names: Vec<_> = all.into_iter().collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn leased(view: &View) -> bool {
    view.report.as_ref().is_some_and(|report| report.lease_until > view.at)
}

/// Why the loss of that node would stop the others, if it would.
fn too_few(view: &View, id: NodeId) -> Option<String> {
    let voters = &view.log.membership.voters;
    let me = view.identity.node;
    let heard = |node: &NodeId| *node == me || view.hears(*node);
    let now: BTreeSet<_> = voters.iter().copied().filter(heard).collect();
    let mut then = now.clone();
    then.remove(&id);
    if then == now || majority(&then, voters) == Verdict::HaveQuorum {
        return None;
    }
    let (name, count, left) = (view.state.name(id), voters.len(), then.len());
    if majority(&then, voters) == Verdict::QuorumTie {
        let chain = view.state.config.as_ref().map(|config| &config.later.quorum.chain);
        let ready = view.ties.answers == Some(true) && !view.ties.distrusted;
        if ready && chain.is_some_and(|chain| chain.register().is_some()) {
            return None;
        }
        if chain.is_some_and(|chain| chain.fences()) {
            return Some(format!(
                "without {name} only {left} of {count} voters are left, which go on only once \
                 they have fenced {name}: what they serve would pause for that"
            ));
        }
    }
    Some(format!(
        "without {name} only {left} of {count} voters are left, and what they serve would stop"
    ))
}

/// A device that leaves the machine on has no power to cycle.
pub(super) async fn cuts_off(
    rehearsals: &Rehearsals,
    config: &FencingConfig,
    request: &Rehearse,
) -> Option<Failure> {
    let node = &request.node;
    let levels = config.nodes.get(node).map_or(&[][..], |fencing| &fencing.levels);
    for (level, plugs) in (1..).zip(levels) {
        let meant = request.level.is_none_or(|it| it == level);
        for plug in plugs.iter().filter(|_| meant) {
            let Some(device) = config.devices.get(&plug.device) else { continue };
            let why = match rehearsals.devices().cuts_off(device).await {
                Ok(false) => continue,
                Ok(true) => {
                    format!(
                        "cuts {node} off from what it could write to, and leaves it on: there \
                             is no power to cycle"
                    )
                }
                // What it would do to that node nobody knows then.
                Err(why) => format!("does not say what it does: {why}"),
            };
            return Some(Failure::unchanged(
                format!("{} (level {level}) {why}; nothing was switched", plug.device),
                format!(
                    "name a level that switches it off (--level), or ask for its status only: \
                     stead fence rehearse {node}"
                ),
            ));
        }
    }
    None
}
