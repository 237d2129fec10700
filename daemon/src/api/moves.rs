//! Moving a service: at once and for good, or for a while.
//!
//! For a while, or where others have to go along with it, it is a visit ([`Visit`]): the plan takes
//! it there, and back. Else it is a stop with a wish, which needs no plan and is known to all
//! versions.

use stead_core::id::{NodeId, ServiceId};
use stead_core::placement::{self, Obstacle, Verdict};
use stead_core::points::{Seen, View as Seeing};
use stead_core::state::config::Strength;
use stead_core::state::{Cause, Change, Holder, State, Visit, WAY_BACK};

use super::lower::{MoveAnswer, lateness};
use super::message::{ChangeAnswer, Failure};
use super::requests::{Answered, member, submit};
use super::{Desk, placed, services};
use crate::driver::view::View;
use crate::journal::{stamp_of, wall};

/// The shortest and the longest visit, in seconds: what a move takes, and thirty days.
const VISITS: std::ops::RangeInclusive<u64> = 5..=30 * 86_400;

/// A move that may be made.
pub(super) struct Wanted {
    /// Of that service.
    pub(super) service: ServiceId,
    /// Where to.
    pub(super) to: NodeId,
    /// Where it is.
    pub(super) holder: Holder,
}

/// What is asked for, if it may be made now. A service that is there already may be held there.
pub(super) fn wanted(view: &View, service: &str, node: &str) -> Answered<Wanted> {
    let state = &view.state;
    let to = member(state, node)?;
    let id = services::known(state, service)?;
    services::untouched(state, [&id])?;
    if state.is_stopped(&id) {
        return Err(Failure::unchanged(
            format!("{service} is stopped by an operator; nothing was changed"),
            format!("`stead start {service}` first"),
        ));
    }
    takes(state, to, node)?;
    well(view, &id, to, node)?;
    let holder = state.assignments.get(&id).map(|it| it.holder.clone()).unwrap_or_default();
    if let Holder::Stopping { .. } = holder {
        return Err(stopping(state, &id, service));
    }
    if holder != Holder::Node(to) && !state.is_disarmed() {
        allowed(view, &id, to, node)?;
    }
    Ok(Wanted { service: id, to, holder })
}

/// Moves a service, for good or for so many seconds.
pub(super) async fn move_service(
    desk: &Desk,
    service: &str,
    node: &str,
    for_s: Option<u64>,
) -> Answered<MoveAnswer> {
    let view = desk.handle.view();
    let Wanted { service: id, to, holder } = wanted(&view, service, node)?;
    let from = holder.node().filter(|from| *from != to);
    let late = from.and_then(|from| lateness(&view.state, &id, from, to));
    let change = change(desk, &view.state, (id, service), (to, node), holder, for_s).await?;
    let (late_s, late) = late.map(|(seconds, why)| (seconds, Some(why))).unwrap_or_default();
    Ok(MoveAnswer { change, late_s, late })
}

async fn change(
    desk: &Desk,
    state: &State,
    (id, service): (ServiceId, &str),
    (to, node): (NodeId, &str),
    holder: Holder,
    for_s: Option<u64>,
) -> Answered<ChangeAnswer> {
    let there = holder == Holder::Node(to);
    if there && for_s.is_none() && state.visited_by(&id).is_none() {
        return Err(Failure::unchanged(
            format!("{service} is on {node} already; nothing was changed"),
            "",
        ));
    }
    if let Some(seconds) = for_s {
        return visit(desk, state, id, (to, node), seconds).await;
    }
    if goes_with_others(state, &id) && !state.is_disarmed() && holder.node().is_some() {
        let until = wall().saturating_add(WAY_BACK);
        let visit = Some(Visit { node: to, until, back: None, once: true });
        let index = submit(desk, Change::Visit { service: id, visit }).await?;
        return Ok(ChangeAnswer { index: Some(index.0), node: Some(node.into()), next: None });
    }
    if state.visited_by(&id).is_some() {
        // A newer word ends an older one.
        let index = submit(desk, Change::Visit { service: id.clone(), visit: None }).await?;
        if there {
            let next = Some(format!("its visit is over: {service} stays on {node}"));
            return Ok(ChangeAnswer { index: Some(index.0), node: Some(node.into()), next });
        }
    }
    let base = state.assignments.get(&id).map(|it| it.epoch).unwrap_or_default();
    let change = match holder {
        Holder::Node(_) => {
            Change::Stop { service: id, base, cause: Cause::Planned, wish: Some(to) }
        }
        Holder::Never | Holder::Stopped { .. } => Change::Assign { service: id, base, node: to },
        Holder::Stopping { .. } => return Err(stopping(state, &id, service)),
    };
    let index = submit(desk, change).await?;
    Ok(ChangeAnswer { index: Some(index.0), node: Some(node.to_owned()), next: None })
}

/// Has a service be on a node for a while.
async fn visit(
    desk: &Desk,
    state: &State,
    id: ServiceId,
    (to, node): (NodeId, &str),
    seconds: u64,
) -> Answered<ChangeAnswer> {
    if !VISITS.contains(&seconds) {
        return Err(Failure::unchanged(
            "a service can be moved for 5 s to 30 days; nothing was changed",
            "name another time with --for, or none to move it for good",
        ));
    }
    if state.is_disarmed() {
        return Err(Failure::unchanged(
            "the cluster is disarmed: nothing comes back by itself; nothing was changed",
            "`stead disarm --off` first, or move it without --for",
        ));
    }
    // Who is on a visit already goes home from the next one, too.
    let here = state.assignments.get(&id).and_then(|it| it.holder.node());
    let visits = state.times().visits.get(&id);
    let back = visits.map_or(here, |it| it.back.or(here)).filter(|back| *back != to);
    let until = wall().saturating_add(seconds);
    let over = stamp_of(until);
    let next = match back {
        Some(back) => format!("until {over}, then back to {}", state.name(back)),
        None => format!("until {over}; then it goes by its rules"),
    };
    let visit = Some(Visit { node: to, until, back, once: false });
    let index = submit(desk, Change::Visit { service: id, visit }).await?;
    Ok(ChangeAnswer { index: Some(index.0), node: Some(node.to_owned()), next: Some(next) })
}

/// Whether others are where it is, by a rule that is not broken.
fn goes_with_others(state: &State, id: &ServiceId) -> bool {
    let Some(config) = &state.config else { return false };
    let rules = &config.later.fencing.rules.services;
    let must = |strength: Option<&Strength>| strength == Some(&Strength::Must);
    rules.iter().any(|(other, rules)| {
        let says = other == id && rules.together.values().any(|it| must(Some(it)));
        says || must(rules.together.get(id))
    })
}

/// A node that has not come and gone of late, and from which clients are reached.
fn well(view: &View, id: &ServiceId, to: NodeId, node: &str) -> Answered<()> {
    let quarantined = view.quarantined.get(&to).copied();
    if let Some(it) = quarantined.filter(|_| !view.state.is_disarmed()) {
        return Err(Failure::unchanged(
            format!(
                "{node} was lost {} times and is in quarantine (see `stead status`); nothing was \
                 changed",
                it.losses
            ),
            format!("if you know that it stays: `stead clear --node {node}` first"),
        ));
    }
    if let Some(point) = out_of_reach(&view.seen, &view.state, to, id) {
        return Err(Failure::unchanged(
            format!(
                "{node} has no answers from {point}, which others have: clients would not reach \
                 {id} there; nothing was changed"
            ),
            format!("mend {node}'s network (see `stead status`), or choose another node"),
        ));
    }
    Ok(())
}

/// A node that the service's rules let have it. Those it has to be together with go along.
fn allowed(view: &View, id: &ServiceId, to: NodeId, node: &str) -> Answered<()> {
    let able = placed::able(view);
    let sight = placement::Sight::new(&view.state, &able, &view.seen);
    let verdicts = placement::verdicts(sight, id);
    let barred = verdicts.into_iter().find_map(|(other, verdict)| match verdict {
        Verdict::Barred(obstacle) if other == to => Some(obstacle),
        Verdict::Barred(_) | Verdict::Worse(_) | Verdict::Best => None,
    });
    match barred {
        None | Some(Obstacle::Together(_)) => Ok(()),
        Some(obstacle) => Err(Failure::unchanged(
            format!("{node} can't have {id}: {obstacle}; nothing was changed"),
            format!("what would change that: stead explain {id}"),
        )),
    }
}

/// A node that no operator keeps from taking services.
fn takes(state: &State, to: NodeId, node: &str) -> Answered<()> {
    let (why, next) = if state.standby.contains(&to) {
        ("is on standby", format!("`stead standby {node} --off` first"))
    } else if state.is_halted(to) {
        let next = "`stead start --all` or `stead start --site SITE` first";
        ("is stopped by an operator", next.to_owned())
    } else if state.is_node_maintained(to) {
        let next = format!("`stead maintenance --node {node} --off` first");
        ("is in maintenance, and nothing comes to it", next)
    } else {
        return Ok(());
    };
    Err(Failure::unchanged(format!("{node} {why}; nothing was changed"), next))
}

/// Why a service can't be moved that is on its way down.
fn stopping(state: &State, id: &ServiceId, service: &str) -> Failure {
    let holder = state.assignments.get(id).and_then(|it| it.holder.node());
    let away = holder.filter(|node| state.waiting_for(*node).any(|it| it == id));
    match away.map(|node| state.name(node)) {
        Some(node) => Failure::unchanged(
            format!(
                "{service} stays with {node}, which is lost: only proof that {node} is off lets it \
                 start elsewhere; nothing was changed"
            ),
            format!(
                "bring {node} back, or make sure that it is off, then: stead fence confirm-off \
                 {node} --reason \"what you looked at\""
            ),
        ),
        None => Failure::unchanged(
            format!("{service} is being stopped just now; nothing was changed"),
            "wait a moment, then try again",
        ),
    }
}

/// The reference point at which a node is behind, if placement would send the service elsewhere for
/// that (rule P3 of the protocol). While nothing moves the operator's word is all that counts.
fn out_of_reach(seen: &Seen, state: &State, to: NodeId, service: &ServiceId) -> Option<String> {
    let behind = |number: &usize| seen.view(to, *number) == Seeing::Behind;
    let number = seen.points_of(service).find(behind).filter(|_| !state.is_disarmed())?;
    seen.points().get(number).map(ToString::to_string)
}
