//! Watchdogs: what this node's guard is told, what this node promises, and what a coordinator makes
//! of another's promise (`docs/protocol.md`, section 18).
//!
//! Three things that anybody may interrupt anywhere: the guard is told that something bound may be
//! here before it is, and told otherwise once nothing of it is left; the promise is committed while
//! the guard keeps it, and what it keeps is not changed before the promise is taken back; and a
//! coordinator relies on it when the node has been out of the view, and silent, for so long that
//! it has certainly been reset.

use alloc::collections::BTreeMap;

use super::local::{Local, Phase};
use super::orders::due;
use super::{Node, Purpose};
use crate::fencing::Proof;
use crate::id::{Incarnation, NodeId, ServiceId};
use crate::lease::{Order, Report, WatchReport};
use crate::notice::Notice;
use crate::state::config::Safety;
use crate::state::{Change, WatchdogWord};
use crate::time::{Instant, Span};

/// What this run keeps about watchdogs.
#[derive(Debug, Default)]
pub(super) struct Watchdogs {
    /// The guard's newest order: its number, the least timeout, whether something bound is here.
    order: (u64, Option<Span>, bool),
    /// Since when this run knows that a node is out of the view whose promise of that number waits
    /// to be relied on; or that it was relied on.
    gone: BTreeMap<NodeId, (u64, Instant)>,
}

impl Local {
    /// Whether something bound of it may be here, or is about to be.
    fn is_bound_here(&self) -> bool {
        let here = match self.phase {
            Phase::Probing(_)
            | Phase::Claiming
            | Phase::Starting
            | Phase::Running
            | Phase::Stopping(_) => true,
            Phase::Releasing(_) | Phase::Stopped(..) => false,
        };
        self.binds && here
    }
}

impl Node {
    /// Whether what is there of a service may outlive the lease. Of one that nobody knows any more
    /// it may.
    pub(super) fn binds(&self, service: &ServiceId) -> bool {
        let config = self.state.config.as_ref();
        let known = config.filter(|config| config.services.contains_key(service));
        let fenced = known.is_none_or(|config| config.safety(service) == Safety::Fence);
        fenced || self.state.is_bound(service)
    }

    /// Whether a service that is about to start may: nothing bound does before the guard has said
    /// that it knows (rule W1). One that knows nothing of watchdogs has promised nothing either.
    pub(super) fn is_watched(&self, service: &ServiceId) -> bool {
        let binds = self.local.get(service).is_some_and(|local| local.binds);
        let (number, _, bound) = self.watchdogs.order;
        let own = self.report.as_ref().and_then(|report| report.later.watch.own.as_ref());
        let own = own.filter(|own| binds && self.is_about_watchdogs(own));
        own.is_none_or(|own| bound && own.bound && own.number == number)
    }

    /// The order that makes the guard's watchdog what it should be; nothing if it is, or while this
    /// run does not know yet what a former one left.
    pub(super) fn watch_order(&mut self, now: Instant) -> Option<Order> {
        let report = self.report.as_ref().filter(|_| self.ready)?;
        let own = report.later.watch.own.as_ref().filter(|own| self.is_about_watchdogs(own))?;
        let bound = self.local.values().any(Local::is_bound_here);
        // As long as others rely on what it does, it does that (rule W2).
        let promised = self.promise(report.incarnation).is_some();
        let least = if promised { own.least } else { self.least_wanted() };
        let (number, ..) = self.watchdogs.order;
        if self.watchdogs.order != (number.max(1), least, bound) {
            self.watchdogs.order = (number + 1, least, bound);
        }
        let (number, ..) = self.watchdogs.order;
        if (own.number, own.least, own.bound) == (number, least, bound) {
            return None;
        }
        let patience = self.state.timers.heartbeat.times(2);
        let due = due(&mut self.told.watch, number, now, patience);
        due.then_some(Order::Watch { number, least, bound })
    }

    /// Whether there is anything to be said to the guard of its watchdog: one is wanted, or was.
    fn is_about_watchdogs(&self, own: &WatchReport) -> bool {
        self.least_wanted().is_some() || own.least.is_some() || own.armed.is_some()
    }

    /// The shortest timeout that this node's watchdog is to have, if it is to be armed.
    fn least_wanted(&self) -> Option<Span> {
        self.state.wants_watchdog(self.me).then(|| self.state.timers.watchdog())
    }

    /// What others rely on of this node's watchdog, by the word of that start of its guard.
    fn promise(&self, incarnation: Incarnation) -> Option<Span> {
        let known = self.state.watchdog(self.me).filter(|it| it.incarnation == incarnation)?;
        known.timeout
    }

    /// Has committed what may be relied on of this node's watchdog, or that nothing may.
    pub(super) fn tell_watchdog(&mut self) {
        let Some(report) = self.report.as_ref().filter(|_| self.ready) else { return };
        let Some(own) = &report.later.watch.own else { return };
        let incarnation = report.incarnation;
        let kept = self.keeps(own, incarnation);
        if kept == self.promise(incarnation) || self.is_proposed(&Purpose::Watch) {
            return;
        }
        let word = WatchdogWord {
            node: self.me,
            base: self.state.watchdog(self.me).map_or(0, |known| known.number),
            revision: self.state.revision,
            incarnation,
            timeout: kept,
            device: own.device.clone(),
            stands_still: own.stands_still,
            failed: false,
        };
        self.propose(Purpose::Watch, Change::Watch(word));
    }

    /// What this node's guard keeps now, and goes on to keep: armed as it is wanted, and it did not
    /// fail in this start.
    fn keeps(&self, own: &WatchReport, incarnation: Incarnation) -> Option<Span> {
        let admitted =
            self.state.view.get(&self.me).is_some_and(|it| it.incarnation == incarnation);
        let wanted = own.least.is_some() && own.least == self.least_wanted();
        let fit = admitted && wanted;
        let known = self.state.watchdog(self.me);
        let failed = known.is_some_and(|it| it.failed && it.incarnation == incarnation);
        own.armed.filter(|_| fit && !failed)
    }

    /// Notes who is out of the view, and since when this run knows it. Asked after every event.
    pub(super) fn note_gone(&mut self, now: Instant) {
        let known = &self.state.later.fencing.watchdogs;
        if known.is_empty() && self.watchdogs.gone.is_empty() {
            return;
        }
        let view = &self.state.view;
        let gone = known.iter().filter(|(node, it)| {
            !view.contains_key(node) && (it.timeout.is_some() || it.elapsed && !it.failed)
        });
        let gone = gone.map(|(node, it)| {
            let since = self.watchdogs.gone.get(node).filter(|(number, _)| *number == it.number);
            (*node, (it.number, since.map_or(now, |(_, since)| *since)))
        });
        self.watchdogs.gone = gone.collect();
    }

    /// What a coordinator decides about nodes that are out of the view: that a watchdog has done
    /// its work, or that it evidently has not.
    pub(super) fn by_watchdog(&self, now: Instant, report: &Report) -> Option<Change> {
        // As with a removal: what is decided upon may be half a ride-out old (rule C2).
        if now.since(report.at) >= Span(self.state.timers.ride_out.0 / 2) {
            return None;
        }
        self.watchdogs.gone.iter().find_map(|(node, (number, since))| {
            if Proof::outlived(&self.state, report, *node, *since) {
                return self.distrust(*node);
            }
            self.state.waiting_for(*node).next()?;
            let proof = Proof::watchdog_elapsed(now, &self.state, report, *node, *since)?;
            Some(elapsed(*node, *number, proof))
        })
    }

    /// When a watchdog will have done its work.
    pub(super) fn watchdog_due(&self, report: &Report) -> Instant {
        let due = self.watchdogs.gone.iter().filter_map(|(node, (_, since))| {
            self.state.waiting_for(*node).next()?;
            Some(Proof::reset_due(&self.state, report, *node, *since)? + Span(1))
        });
        due.min().unwrap_or(Instant::NEVER)
    }

    /// Nothing is relied on of a node's watchdog any more.
    fn distrust(&self, node: NodeId) -> Option<Change> {
        let known = self.state.watchdog(node)?.clone();
        Some(Change::Watch(WatchdogWord {
            node,
            base: known.number,
            revision: self.state.revision,
            incarnation: known.incarnation,
            timeout: None,
            device: known.device,
            stands_still: known.stands_still,
            failed: true,
        }))
    }

    /// What people are told of committed words.
    pub(super) fn tell_of_watchdog(&mut self, change: &Change) {
        let name = |node: &NodeId| self.state.name(*node);
        let notice = if let Change::WatchdogElapsed { node, .. } = change {
            Notice::WatchdogElapsed(name(node))
        } else if let Change::Watch(WatchdogWord { node, failed: true, .. }) = change {
            Notice::WatchdogFailed(name(node))
        } else {
            return;
        };
        self.notice(notice);
    }
}

/// The change that lets go elsewhere what waits for a node. It takes the proof.
fn elapsed(node: NodeId, number: u64, _: Proof) -> Change {
    Change::WatchdogElapsed { node, number }
}
