//! Stopping a site or the whole cluster, and starting it again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use stead_core::id::NodeId;
use stead_core::state::{Change, State};

use super::Desk;
use super::message::Failure;
use super::requests::{Answered, config_of, submit};
use super::services;
use crate::driver::view::View;

/// What was stopped or started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltAnswer {
    /// The nodes.
    pub nodes: Vec<String>,
    /// It was so already: nothing was changed.
    pub already: bool,
    /// What becomes of the quorum when their machines are switched off.
    pub quorum: Option<String>,
}

/// Has nodes hold nothing, or lets them serve again.
pub(super) async fn halt(desk: &Desk, site: Option<&str>, on: bool) -> Answered<HaltAnswer> {
    let view = desk.handle.view();
    let state = &view.state;
    let nodes = nodes_of(state, site)?;
    let answer = HaltAnswer {
        nodes: nodes.iter().map(|node| state.name(*node)).collect(),
        already: nodes.iter().all(|node| state.is_halted(*node) == on),
        quorum: on.then(|| without(&view, &nodes)).flatten(),
    };
    if answer.already {
        return Ok(answer);
    }
    if on && state.is_disarmed() {
        return Err(Failure::unchanged(
            "the cluster is disarmed, so nothing moves or stops; nothing was changed",
            "`stead disarm --off` first",
        ));
    }
    let held = nodes.iter().flat_map(|node| state.held_by(*node)).map(|(service, _)| service);
    services::untouched(state, held.filter(|_| on))?;
    // Of several some may be stopped already: only the others change.
    let changed = nodes.into_iter().filter(|node| state.is_halted(*node) != on).collect();
    submit(desk, Change::Halt { nodes: changed, on }).await?;
    Ok(answer)
}

/// The members at a site; all of them without one.
fn nodes_of(state: &State, site: Option<&str>) -> Answered<BTreeSet<NodeId>> {
    let Some(wanted) = site else { return Ok(state.members.keys().copied().collect()) };
    let config = config_of(state)?;
    let site_of = |name: &str| config.nodes.get(name)?.site.as_deref();
    let at =
        |(_, member): &(&NodeId, &stead_core::state::Member)| site_of(&member.name) == Some(wanted);
    let nodes: BTreeSet<_> = state.members.iter().filter(at).map(|(node, _)| *node).collect();
    if !nodes.is_empty() {
        return Ok(nodes);
    }
    let sites: BTreeSet<_> = state.members.values().filter_map(|it| site_of(&it.name)).collect();
    let known: Vec<_> = sites.into_iter().collect();
    Err(Failure::unchanged(
        format!("no member is at a site {wanted}; nothing was changed"),
        if known.is_empty() {
            "give nodes a `site` in cluster.toml, or name no site: --all".to_owned()
        } else {
            format!("the sites are: {}", known.join(", "))
        },
    ))
}

/// What is left of the quorum without these nodes, if that is less than one would hope for.
fn without(view: &View, nodes: &BTreeSet<NodeId>) -> Option<String> {
    let voters = &view.log.membership.voters;
    let left = voters.iter().filter(|node| !nodes.contains(node)).count();
    let all = voters.len();
    if left == 0 || left * 2 > all {
        return None;
    }
    let quorum = view.state.config.as_ref().map(|config| &config.later.quorum);
    let breaks = quorum.and_then(|quorum| quorum.chain.register()).is_some();
    Some(match (left * 2 == all, breaks) {
        (true, true) => format!(
            "when they are off, {left} of {all} voters are left: a tie, which the tie-breaker has \
             to break (`stead quorum` says whether it answers)"
        ),
        (true, false) => format!(
            "when they are off, {left} of {all} voters are left: a tie that nothing breaks, so \
             the rest stops too"
        ),
        (false, _) => format!(
            "when they are off, {left} of {all} voters are left: fewer than half, so the rest \
             stops too"
        ),
    })
}
