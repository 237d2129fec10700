//! What the lease machine makes of another guard's heartbeat.

use super::Lease;
use super::heartbeat::Heartbeat;
use super::peer::LinkId;
use crate::time::{DRIFT_PER_MILLION, Instant, Span};

impl Lease {
    pub(super) fn on_heartbeat(&mut self, now: Instant, link: LinkId, heartbeat: &Heartbeat) {
        let ours = (self.incarnation, self.sent.newest());
        let Some(peer) = self.peers.get_mut(&heartbeat.from) else { return };
        let could_serve = peer.heard.as_ref().is_some_and(|heard| heard.daemon_alive);
        if !peer.note(now, link, heartbeat, ours) {
            return;
        }
        // A node whose daemon is away keeps its lease under a new coordinator (rule T4).
        if heartbeat.coordinator && self.vote_known {
            self.learn(heartbeat.term);
        }
        self.hear_counts(now, heartbeat);
        self.take_receipt(now, heartbeat);
        if could_serve && !heartbeat.daemon_alive && self.authority.is_some() {
            // The daemon here shall know before it hears that something stopped there.
            self.report(now);
        }
        if heartbeat.coordinator && heartbeat.term >= self.term {
            self.coordinator_heard = self.coordinator_heard.max(now);
            self.answer(now, heartbeat.from);
        }
    }

    /// Uses what a heartbeat says about one of our own.
    fn take_receipt(&mut self, now: Instant, heartbeat: &Heartbeat) {
        let Some(receipt) = heartbeat.receipt else { return };
        let Some(sent_at) = self.sent.time(receipt.sequence) else { return };
        if sent_at < self.started {
            // By a clock that was not to be trusted (rule H6).
            return;
        }
        if let Some(peer) = self.peers.get_mut(&heartbeat.from) {
            peer.acknowledged = peer.acknowledged.max(Some(sent_at));
            peer.measured(now.since(sent_at).saturating_sub(receipt.held));
        }
        let Some(echo) = heartbeat.echo else { return };
        if heartbeat.term != self.term {
            return;
        }
        if heartbeat.coordinator {
            let lease = self.timers.lease;
            let worth = if echo.authority < lease { echo.authority } else { lease };
            if self.applied >= echo.admission && worth > Span::ZERO {
                self.lease = self.lease.max(sent_at + worth);
            }
        } else if let Some(authority) = &mut self.authority
            && authority.term == heartbeat.term
        {
            // Its clock may run as fast as ours runs slow: count the age shorter, so later. The age
            // is what another says: it may be any number.
            let age = heartbeat.earlier_coordinator;
            let both = 2 * DRIFT_PER_MILLION;
            let (whole, part) = (age.0 / 1_000_000, age.0 % 1_000_000);
            let age = age.saturating_sub(Span(whole * both + part * both / 1_000_000 + 1));
            authority.echo(heartbeat.from, receipt.sequence, now - age);
        }
    }
}
