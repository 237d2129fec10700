//! The proof that rests on a node's own watchdog (`docs/protocol.md`, section 18).

use super::Proof;
use crate::id::{Incarnation, NodeId};
use crate::lease::Report;
use crate::state::{ProofRecord, State};
use crate::time::{Instant, Span};
use crate::timers::Timers;

impl Proof {
    /// When the machine of a node that is out of the view will certainly have been reset, if
    /// nothing more is heard of it until then; nothing while its watchdog is not relied on.
    ///
    /// `since` is when this daemon knew that the node is out of the view. Its lease had ended then:
    /// only that had let it be removed. So the wait counts from there, and from what was heard of
    /// that start of its guard later, and not from before this guard's clock was right (rule W3).
    #[must_use]
    pub fn reset_due(
        state: &State,
        report: &Report,
        node: NodeId,
        since: Instant,
    ) -> Option<Instant> {
        let (incarnation, timeout) = relied_on(state, report, node)?;
        let heard = heard(report, node, incarnation).unwrap_or(Instant::START);
        Some(since.max(report.started).max(heard) + Timers::reset_within(timeout))
    }

    /// The machine of `node` has certainly been reset by its watchdog.
    #[must_use]
    pub fn watchdog_elapsed(
        now: Instant,
        state: &State,
        report: &Report,
        node: NodeId,
        since: Instant,
    ) -> Option<Self> {
        let due = Self::reset_due(state, report, node, since)?;
        (now > due).then_some(Self { record: ProofRecord::WatchdogElapsed })
    }

    /// Whether a node was heard, with something bound, when its watchdog should have reset it: then
    /// there is no proof, however long it is silent afterwards, and if there was one it was wrong
    /// (rule W4).
    ///
    /// `since` is when this daemon knew that the node is out of the view; or, if the proof was
    /// made, when it knew that.
    #[must_use]
    pub fn outlived(state: &State, report: &Report, node: NodeId, since: Instant) -> bool {
        let gone = !state.view.contains_key(&node);
        let known = state.watchdog(node).filter(|known| gone && !known.failed);
        let Some(known) = known else { return false };
        let due = match known.timeout {
            Some(timeout) => since.max(report.started) + Timers::reset_within(timeout),
            None if known.elapsed => since,
            None => return false,
        };
        heard(report, node, known.incarnation).is_some_and(|heard| heard > due)
    }
}

/// What is relied on of a node that is out of the view: the start of its guard that promised it,
/// and the timeout. Where that start's own last word is known, it has to be the same.
fn relied_on(state: &State, report: &Report, node: NodeId) -> Option<(Incarnation, Span)> {
    if state.view.contains_key(&node) {
        return None;
    }
    let (known, timeout) = state.relied_on(node)?;
    let incarnation = known.incarnation;
    let peer = report.peers.get(&node).filter(|it| it.incarnation == incarnation);
    let said = report.later.watch.peers.get(&node);
    let agrees = said.is_some_and(|said| said.timeout <= timeout);
    let heard = peer.is_some_and(|peer| peer.heard.is_some());
    (!heard || agrees).then_some((incarnation, timeout))
}

/// When that start of a node's guard was heard last, if it did not say then that nothing bound is
/// there any more.
fn heard(report: &Report, node: NodeId, incarnation: Incarnation) -> Option<Instant> {
    let said = report.later.watch.peers.get(&node);
    let empty = said.is_some_and(|said| !said.bound);
    let peer = report.peers.get(&node).filter(|peer| !empty && peer.incarnation == incarnation)?;
    peer.heard
}
