//! Trying the ways by which nodes would be switched off, before they are needed.
//!
//! Where a node's configuration asks for that (`fence-rehearse`), whoever coordinates asks each of
//! its devices for its status now and then, and has it committed what they said: so every node
//! knows whether fencing works, and since when. An operator may ask for it at any time, and for
//! more: that the machine is really switched off and on.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stead_core::id::NodeId;
use stead_core::state::config::FencingConfig;
use stead_core::state::{Change, FenceChange, FenceSaid, Rehearsal, State};
use tokio::time::sleep;

use super::fences::said;
use super::handle::{Handle, SubmitError};
use crate::chain::chain;
use crate::fence::{Devices, Said, Step};

/// How often it is looked whether a trial is due.
const LOOK: Duration = Duration::from_secs(2);
/// How long the commit of what came of it may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Goes on for as long as the daemon runs.
pub(super) fn start(handle: Handle, devices: Arc<Devices>) {
    tokio::spawn(async move {
        loop {
            sleep(LOOK).await;
            let view = handle.view();
            let node = due(&view.state, now()).filter(|_| view.coordinating);
            let Some(node) = node else { continue };
            if let Err(error) = look(&handle, &devices, node).await {
                tracing::warn!("what a trial of fencing came to is not kept: {}", chain(&error));
            }
        }
    });
}

/// The first node whose ways are to be tried.
fn due(state: &State, now: u64) -> Option<NodeId> {
    let config = state.config.as_ref()?;
    let fencing = &state.later.fencing;
    let mut members = state.members.iter();
    let due = members.find(|(node, member)| {
        let every = config.fencing(&member.name).and_then(|it| it.rehearse);
        let last = fencing.rehearsed.get(node).map_or(0, |it| it.said.wall);
        let over = |every: stead_core::time::Span| {
            now.saturating_sub(last) >= every.as_micros() / 1_000_000
        };
        every.is_some_and(over) && !state.is_being_fenced(**node)
    });
    due.map(|(node, _)| *node)
}

/// Asks all devices of a node for its status; they switch nothing.
///
/// # Errors
/// What they said could not be committed.
pub async fn look(
    handle: &Handle,
    devices: &Devices,
    node: NodeId,
) -> Result<FenceSaid, SubmitError> {
    let (config, name) = described(handle, node);
    let began = Instant::now();
    let steps = devices.status_of(&config, &name).await;
    let said = said(all_answered(&steps), &steps, began);
    keep(handle, node, false, said).await
}

/// Switches a machine off and on again.
///
/// # Errors
/// What came of it could not be committed.
pub async fn power_cycle(
    handle: &Handle,
    devices: &Devices,
    node: NodeId,
) -> Result<FenceSaid, SubmitError> {
    let (config, name) = described(handle, node);
    let began = Instant::now();
    let attempt = devices.fence(&config, &name).await;
    let mut steps = attempt.steps.clone();
    let on = devices.switch_on(&config, &attempt).await;
    let stays_off = on.iter().find_map(failure);
    steps.extend(on);
    let outcome = match (attempt.outcome, stays_off) {
        (Ok(level), None) => Ok(format!("level {level} switched it off and on")),
        (Ok(level), Some(why)) => Ok(format!("level {level} switched it off; {why}")),
        (Err(why), _) => Err(why),
    };
    keep(handle, node, true, said(outcome, &steps, began)).await
}

async fn keep(
    handle: &Handle,
    node: NodeId,
    cycled: bool,
    said: FenceSaid,
) -> Result<FenceSaid, SubmitError> {
    let by = handle.view().identity.node;
    let rehearsal = Rehearsal { by, cycled, said: said.clone(), good: None };
    let change = Change::Fence(FenceChange::Rehearsed { node, rehearsal });
    handle.submit(change, DEADLINE).await?;
    Ok(said)
}

fn described(handle: &Handle, node: NodeId) -> (FencingConfig, String) {
    let state = &handle.view().state;
    let config = state.config.as_ref().map(|config| config.later.fencing.clone());
    (config.unwrap_or_default(), state.name(node))
}

/// Whether every device said how it is.
fn all_answered(steps: &[Step]) -> Result<String, String> {
    let failed: Vec<_> = steps.iter().filter_map(failure).collect();
    match (steps, &failed[..]) {
        ([], _) => Err("it has no fence device".to_owned()),
        (_, []) => Ok("every device answered".to_owned()),
        (_, failed) => Err(failed.join("; ")),
    }
}

fn failure(step: &Step) -> Option<String> {
    let Said::Failed(reason) = &step.said else { return None };
    Some(format!("{}: {reason}", step.device))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|it| it.as_secs()).unwrap_or(0)
}
