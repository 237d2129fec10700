//! Proof that a node, or the holder of a service, can do no more harm.
//!
//! A [`Proof`] can only be made here, from facts that carry it. Whatever starts something elsewhere
//! asks for the value, so code that forgot to wait does not compile.
//!
//! | proof | from |
//! |---|---|
//! | `Stopped` | the holder's own committed record |
//! | `NeverHeld` | the committed record that nobody was ever given it |
//! | `LeaseExpired` | D after the last sign of life, or a later start; the node being revoked |
//! | `Released` | the word of the admitted start of its guard that it gave its lease up |
//! | `Fenced` | the committed record that its devices switched it off, and say that it is |
//! | `WatchdogElapsed` | out of the view and silent for longer than its watchdog counts |

mod watchdog;

use crate::id::{NodeId, ServiceId};
use crate::lease::{PeerReport, Report};
use crate::state::{Holder, ProofRecord, State};
use crate::time::Instant;
use crate::timers::UNKNOWN_SLACK;

/// The evidence. Its constructors are the only ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    record: ProofRecord,
}

impl Proof {
    /// What to write into the log.
    #[must_use]
    pub fn record(&self) -> ProofRecord {
        self.record
    }

    /// Until when `node` may still act, as far as this coordinator's guard can tell; nothing while
    /// the facts are missing.
    ///
    /// The later of (a) when the guard had last heard it when it was revoked, and (b) when a
    /// majority had last heard of an earlier coordinator, plus D (`docs/protocol.md`, section 3).
    /// While leases under longer timers may run on, D is theirs, but for a node that said that it
    /// counts by the present ones (rule M3). After a later start of its guard an ordinary D is
    /// enough (rule M7).
    #[must_use]
    pub fn due(state: &State, report: &Report, node: NodeId) -> Option<Instant> {
        // A guard that does not act for a coordinator has revoked nobody.
        report.coordinates.filter(|term| *term == report.term)?;
        let peer = report.peers.get(&node)?;
        let revoked = peer.revoked?;
        if let Some(since) = succeeded(state, peer, node) {
            // What the former guard held is shut, but the keepers of its programs still count by
            // the deadline that it showed them last, which is never further than an ordinary lease.
            let armed = [Some(state.timers), state.former_timers].into_iter().flatten();
            let armed = armed.map(|it| it.disarmed(it.ordinary_lease()).wait(slack(peer))).max();
            return Some(revoked.max(report.started).max(since) + armed?);
        }
        let earlier = report.earlier_coordinator?;
        let heard = revoked.max(report.started);
        let base = heard.max(earlier);
        let longest = base + state.wait(slack(peer));
        if !counts_by_present(state, report, node) {
            return Some(longest);
        }
        // It may have said so after it was revoked: what it had then ends a lease after its word.
        let said = base.max(peer.more.counts_since);
        Some(longest.min(said + state.timers.wait(slack(peer))))
    }

    /// The lease of `node` has certainly run out.
    #[must_use]
    pub fn lease_expired(
        now: Instant,
        state: &State,
        report: &Report,
        node: NodeId,
    ) -> Option<Self> {
        let due = Self::due(state, report, node)?;
        (now > due).then_some(Self { record: ProofRecord::LeaseExpired })
    }

    /// The admitted start of the node's guard gave its lease up.
    #[must_use]
    pub fn released(state: &State, report: &Report, node: NodeId) -> Option<Self> {
        let admitted = state.view.get(&node)?;
        let released = report.peers.get(&node)?.released?;
        (released == admitted.incarnation).then_some(Self { record: ProofRecord::Released })
    }

    /// The admitted start of the node was switched off: the committed record says so.
    #[must_use]
    pub fn fenced(state: &State, node: NodeId) -> Option<Self> {
        let admitted = state.view.get(&node)?;
        let off = state.is_fenced(node, admitted.incarnation);
        off.then_some(Self { record: ProofRecord::Fenced })
    }

    /// Nobody can be running the service: the committed state says so.
    #[must_use]
    pub fn unheld(state: &State, service: &ServiceId) -> Option<Self> {
        let record = match state.assignments.get(service)?.holder {
            Holder::Never => ProofRecord::NeverHeld,
            Holder::Stopped { .. } => ProofRecord::Stopped,
            Holder::Node(_) | Holder::Stopping { .. } => return None,
        };
        Some(Self { record })
    }
}

/// Whether the admitted start of a node's guard has said that it counts by the present timers.
///
/// In this very term: from its word on it takes echoes of this coordinator alone, and what it had
/// before ends where a lease of then would. In an earlier term another coordinator that counts by
/// longer timers may be giving it leases until now. Its word holds for ever, as it takes no timers
/// of an earlier revision any more.
#[must_use]
pub fn counts_by_present(state: &State, report: &Report, node: NodeId) -> bool {
    let (Some(peer), Some(admitted)) = (report.peers.get(&node), state.view.get(&node)) else {
        return false;
    };
    peer.heard.is_some()
        && peer.incarnation == admitted.incarnation
        && peer.term == report.term
        && peer.more.counts.is_some_and(|counts| counts.revision >= state.revision)
}

/// Since when it is known that the guard whose start was admitted is over, if it is: a later start
/// of it was heard. Two guards of one node exclude each other, and the later one begins by ending
/// all that the earlier one had (rule H5). It holds nothing itself before it is admitted.
fn succeeded(state: &State, peer: &PeerReport, node: NodeId) -> Option<Instant> {
    let admitted = state.view.get(&node)?.incarnation;
    let later = peer.heard.is_some() && peer.incarnation > admitted;
    // Since when this start says by what it counts: since it was first heard, in this term.
    peer.more.counts.filter(|_| later).map(|_| peer.more.counts_since)
}

/// How late the node's kernel may shut its gate: what it said, and never less than is assumed of
/// one that said nothing.
fn slack(peer: &PeerReport) -> crate::time::Span {
    if peer.slack == crate::time::Span::ZERO { UNKNOWN_SLACK } else { peer.slack }
}
