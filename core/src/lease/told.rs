//! When the daemon is told: at once what is news, now and then what only went on.
//!
//! At rest nothing changes but times: when each peer was last heard, until when the lease holds. A
//! daemon that is told of them at every heartbeat wakes for nothing. So they are told every fifth
//! of a ride-out ([`Timers::report`](crate::timers::Timers::report)). Whatever a decision could
//! turn on is told at once: every other fact, and a time that moved by more than that interval. A
//! peer that was silent for longer and is heard again is therefore known before anyone suspects it;
//! a peer that falls silent needs no report, as the daemon has a clock.

use super::counting::Counts;
use super::heartbeat::LogTail;
use super::peer::Peer;
use super::watch::{Armed, WatchReport};
use super::{Lease, Report};
use crate::id::{Epoch, Incarnation, NodeId, Sequence, Term};
use crate::table::Table;
use crate::time::{Instant, Span};
use crate::timers::Timers;

/// What the newest report said.
#[derive(Debug)]
pub(super) struct Told {
    at: Instant,
    own: Own,
    lease_until: Instant,
    quorate_until: Instant,
    peers: Table<NodeId, Seen>,
}

/// Facts about this guard. Any difference is news.
#[derive(Debug, PartialEq, Eq)]
struct Own {
    term: Term,
    vote_known: bool,
    coordinates: Option<Term>,
    /// Stands for the voters that it counts by.
    voters: Option<Sequence>,
    /// Stands for what is known of earlier coordinators.
    earlier: usize,
    hears_coordinator: bool,
    released: bool,
    clock_distrusted: bool,
    hold_number: u64,
    timers: Timers,
    revision: u64,
    lapsed: Epoch,
    watch: WatchReport,
}

/// Facts and times of a peer.
#[derive(Debug)]
struct Seen {
    facts: Facts,
    heard: Option<Instant>,
    acknowledged: Option<Instant>,
}

/// Facts about a peer. Any difference is news.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    incarnation: Incarnation,
    term: Term,
    coordinator: bool,
    daemon_alive: bool,
    hears_coordinator: bool,
    slack: Span,
    log_tail: LogTail,
    released: Option<Incarnation>,
    revoked: Option<Instant>,
    /// The order of the points, those that it has answers from, and those that it misses for a
    /// ride-out, a bit for each.
    points: (u64, u8, u8),
    hears_on: Option<u8>,
    counts: Option<Counts>,
    counts_since: Instant,
    watchdog: Option<Armed>,
}

impl Lease {
    /// Notes what a report says.
    pub(super) fn note_told(&mut self, report: &Report) {
        let seen = |(node, peer): (&NodeId, &Peer)| {
            let (heard, acknowledged) = (peer.heard.map(|heard| heard.at), peer.acknowledged);
            (*node, Seen { facts: self.facts(*node, peer), heard, acknowledged })
        };
        let told = Told {
            at: report.at,
            own: self.own_facts(report.hears_coordinator),
            lease_until: report.lease_until,
            quorate_until: report.quorate_until,
            peers: self.peers.iter().map(seen).collect(),
        };
        self.told = Some(told);
        if self.daemon_connected {
            self.unanswered.get_or_insert(report.at);
        }
    }

    /// Tells the daemon how far the times have gone, if it was not told for long enough. Asked at
    /// every beat.
    pub(super) fn report_if_old(&mut self, now: Instant) {
        // Beats come a little late, and never early.
        let soon = now + Span(self.timers.heartbeat.0 / 2);
        let old = |told: &Told| told.at + self.timers.report() <= soon;
        if self.told.as_ref().is_none_or(old) {
            self.report(now);
        }
    }

    /// Tells the daemon what it does not know yet. Asked after every event.
    pub(super) fn report_news(&mut self, now: Instant) {
        if self.daemon_connected && self.told.as_ref().is_none_or(|told| self.differs(told)) {
            self.report(now);
        }
    }

    fn differs(&self, told: &Told) -> bool {
        let interval = self.timers.report();
        let moved = |told: Instant, is: Instant| is < told || is > told + interval;
        let heard_of = |told: Option<Instant>, is: Option<Instant>| {
            is.is_some_and(|is| told.is_none_or(|told| is > told + interval))
        };
        told.own != self.own_facts(self.heard_coordinator)
            || moved(told.lease_until, self.lease_until())
            || moved(told.quorate_until, self.quorate_until())
            || !told.peers.keys().eq(self.peers.keys())
            || self.peers.iter().zip(told.peers.values()).any(|((node, peer), told)| {
                // Of the many that nothing depends on here is told with the rest.
                !peer.is_far(self.authority.is_some())
                    && (told.facts != self.facts(*node, peer)
                        || heard_of(told.heard, peer.heard.map(|heard| heard.at))
                        || heard_of(told.acknowledged, peer.acknowledged))
            })
    }

    fn own_facts(&self, hears_coordinator: bool) -> Own {
        let authority = self.authority.as_ref();
        Own {
            term: self.term,
            vote_known: self.vote_known,
            coordinates: self.coordinates(),
            voters: authority.and_then(|it| it.settled()),
            earlier: authority.map_or(0, |it| it.earlier_known()),
            hears_coordinator,
            released: self.released,
            clock_distrusted: self.clock_distrusted,
            hold_number: self.hold_number,
            timers: self.timers,
            revision: self.said.revision,
            lapsed: self.holdings.lapsed(),
            watch: self.watch.report(),
        }
    }

    fn facts(&self, node: NodeId, peer: &Peer) -> Facts {
        let known = Facts {
            released: peer.released,
            revoked: self.authority.as_ref().and_then(|authority| authority.revoked(node)),
            ..Facts::default()
        };
        let Some(heard) = &peer.heard else { return known };
        Facts {
            incarnation: heard.incarnation,
            term: heard.term,
            coordinator: heard.coordinator,
            daemon_alive: heard.daemon_alive,
            hears_coordinator: heard.hears_coordinator,
            slack: heard.slack,
            log_tail: heard.log_tail,
            points: heard.points.outline(self.timers.ride_out),
            hears_on: heard.hears_on,
            counts: heard.counts,
            counts_since: heard.counts_since,
            watchdog: heard.watchdog,
            ..known
        }
    }
}
