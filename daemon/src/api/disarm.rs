//! Disarming the cluster, and arming it again.

use stead_core::state::{Change, LONGEST_DISARMED};
use stead_core::time::Span;

use super::Desk;
use super::message::{ChangeAnswer, Failure};
use super::requests::{Answered, reason_of, submit};
use crate::driver::view::View;

/// The shortest time: whoever works on a network for less needs no help.
const SHORTEST: Span = Span::from_millis(60_000);

/// Lets nothing move for a while.
pub(super) async fn disarm(desk: &Desk, seconds: u64, reason: String) -> Answered<ChangeAnswer> {
    let span = Span::from_millis(seconds.saturating_mul(1_000));
    if span < SHORTEST || span > LONGEST_DISARMED {
        let message = format!(
            "the cluster can be disarmed for {} to {}, not for {}; nothing was changed",
            SHORTEST.in_words(),
            LONGEST_DISARMED.in_words(),
            span.in_words()
        );
        return Err(Failure::unchanged(message, "name another time with --for"));
    }
    let reason = reason_of(reason, None)?;
    let view = desk.handle.view();
    older_guards(&view)?;
    let (base, by) = (view.state.revision, view.identity.name.clone());
    let index = submit(desk, Change::Disarm { base, span, reason, by }).await?;
    let next = "do the work, then arm it again: stead disarm --off".to_owned();
    Ok(ChangeAnswer { index: Some(index.0), node: None, next: Some(next) })
}

/// A guard of 0.2 takes the long lease and never says that it has given it up: the others would
/// wait for it for hours.
fn older_guards(view: &View) -> Answered<()> {
    let peers = view.report.iter().flat_map(|report| &report.peers);
    let older = peers.filter(|(_, peer)| peer.heard.is_some() && peer.more.counts.is_none());
    let mut older: Vec<_> = older.map(|(node, _)| view.state.name(*node)).collect();
    if view.report.as_ref().is_some_and(|report| report.more.revision.is_none()) {
        older.push(view.identity.name.clone());
    }
    if older.is_empty() {
        return Ok(());
    }
    Err(Failure::unchanged(
        format!(
            "the guard of an older version runs on {}: it can't be armed again at once; nothing \
             was changed",
            older.join(", ")
        ),
        "restart it there, on standby: systemctl restart stead-guard; then try again",
    ))
}

/// Lets services move again.
pub(super) async fn arm(desk: &Desk) -> Answered<ChangeAnswer> {
    let view = desk.handle.view();
    if !view.state.is_disarmed() {
        return Ok(ChangeAnswer { index: None, node: None, next: None });
    }
    let (base, by) = (view.state.revision, Some(view.identity.name.clone()));
    let index = submit(desk, Change::Arm { base, by }).await?;
    let next = "see what had to wait: stead status".to_owned();
    Ok(ChangeAnswer { index: Some(index.0), node: None, next: Some(next) })
}
