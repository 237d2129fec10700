//! What the lease machine says: heartbeats to the other guards, reports to its daemon.

use alloc::boxed::Box;

use super::heartbeat::{Echo, Heartbeat, HeartbeatLater, HeartbeatMore};
use super::peer::Peer;
use super::report::{
    PeerMore, PeerReport, Report, ReportLater, ReportMore, ReportNext, ReportWatch,
};
use super::watch::Armed;
use super::{Command, Lease};
use crate::id::{Index, NodeId};
use crate::table::Table;
use crate::time::{Instant, Span};

impl Lease {
    /// One datagram to each peer: there is news, or an interval is over.
    pub(super) fn beat_all(&mut self, now: Instant) {
        self.beat_those(now, |_| true);
    }

    /// A coordinator has beaten, and hears at once that it was heard. The others hear from this
    /// guard in the same moment, if half an interval has passed: all beat in the coordinator's
    /// rhythm, and each is woken once for many datagrams. The own one begins half an interval after
    /// a beat that does not come.
    pub(super) fn answer(&mut self, now: Instant, to: NodeId) {
        let interval = self.timers.heartbeat;
        if self.next_beat > now + interval {
            self.beat_those(now, |node| node == to);
        } else {
            self.next_beat = now + interval + Span(interval.0 / 2);
            self.beat_all(now);
            self.report_if_old(now);
        }
    }

    fn beat_those(&mut self, now: Instant, chosen: impl Fn(NodeId) -> bool) {
        let hears_coordinator = self.hears_coordinator(now);
        let leads = self.authority.is_some();
        let mut peers = core::mem::take(&mut self.peers);
        for (node, peer) in peers.iter_mut() {
            if chosen(*node) && peer.is_due(now, leads, &self.timers) {
                self.beat_peer(now, *node, peer, hears_coordinator);
            }
        }
        self.peers = peers;
    }

    /// Makes one datagram. Its time is read before it is handed over.
    fn beat_peer(&mut self, now: Instant, to: NodeId, peer: &Peer, hears_coordinator: bool) {
        let coordinator = self.authority.is_some();
        let heartbeat = Heartbeat {
            from: self.me,
            incarnation: self.incarnation,
            sequence: self.sent.next(now),
            term: self.term,
            coordinator,
            released: self.released,
            // With a clock that can't be trusted there is no lease to serve or to lead under.
            daemon_alive: self.daemon_alive(now) && !self.clock_distrusted,
            hears_coordinator,
            slack: self.slack,
            log_tail: self.log_tail,
            receipt: peer.receipt(now),
            echo: self.echo(to, peer),
            earlier_coordinator: self.age_of_earlier(now),
            more: HeartbeatMore {
                gate: self.gate,
                points: self.points.told(now),
                links: Some(peer.heard_on(now, self.timers.suspect_after)),
                counts: Some(self.said),
            },
            later: HeartbeatLater { watchdog: self.watch.said() },
        };
        if coordinator {
            self.coordinator_heard = self.coordinator_heard.max(now);
        }
        self.commands.push_back(Command::Send { to, heartbeat });
    }

    /// For how long at least no earlier coordinator was heard. What a clock that can't be trusted
    /// measures may be more than what went by, and a new coordinator waits for the rest (rule H6).
    fn age_of_earlier(&self, now: Instant) -> Span {
        if self.clock_distrusted { Span::ZERO } else { now.since(self.earlier_coordinator) }
    }

    /// Whether the receipt for that peer counts, and on what terms.
    fn echo(&self, to: NodeId, peer: &Peer) -> Option<Echo> {
        let heard = peer.heard_newest().filter(|_| self.vote_known)?;
        let Some(authority) = &self.authority else {
            let to_coordinator = heard.coordinator && heard.term == self.term;
            return to_coordinator
                .then_some(Echo { authority: Span::ZERO, admission: Index::default() });
        };
        let admission = authority.admission(to, heard.incarnation)?;
        // Counted from the receipt of what is echoed, which came after it was sent (rule C3).
        let left = heard.at.until(authority.until);
        // By the timers here, whatever the addressee still counts by: its daemon may be away when
        // the timers change.
        let most = self.timers.lease;
        let left = if left < most { left } else { most };
        Some(Echo { authority: left, admission: admission.index })
    }

    pub(super) fn report(&mut self, now: Instant) {
        let peers = self.peers.iter().map(|(node, peer)| (*node, self.report_peer(*node, peer)));
        let peers = peers.collect();
        let authority = self.authority.as_ref();
        let earlier = self.earlier_coordinator;
        let report = Report {
            at: now,
            incarnation: self.incarnation,
            started: self.started,
            term: self.term,
            vote_known: self.vote_known,
            coordinates: self.coordinates(),
            voters: authority.map(|it| it.settled_voters().to_vec()).unwrap_or_default(),
            lease_until: self.lease_until(),
            quorate_until: self.quorate_until(),
            earlier_coordinator: authority.and_then(|a| a.earlier_coordinator(self.me, earlier)),
            hears_coordinator: self.hears_coordinator(now),
            released: self.released,
            clock_distrusted: self.clock_distrusted,
            held: self.holdings.held().to_vec(),
            hold_number: self.hold_number,
            timers: self.timers,
            lapsed: self.holdings.lapsed(),
            peers,
            more: ReportMore {
                points: self.points.told(now),
                revision: Some(self.said.revision),
                // The guard's edge counts it.
                gate_errors: 0,
            },
            later: ReportLater {
                slow: Some(self.slow_peers().collect()),
                next: ReportNext { kept: Some(self.holdings.kept()) },
                watch: ReportWatch {
                    own: Some(Box::new(self.watch.report())),
                    peers: self.armed_peers().collect(),
                },
            },
        };
        self.note_told(&report);
        self.commands.push_back(Command::Report(report));
    }

    fn armed_peers(&self) -> impl Iterator<Item = (NodeId, Armed)> {
        let armed = |(node, peer): (&NodeId, &Peer)| Some((*node, peer.heard?.watchdog?));
        self.peers.iter().filter_map(armed)
    }

    fn slow_peers(&self) -> impl Iterator<Item = NodeId> {
        self.peers.iter().filter(|(_, peer)| peer.slow).map(|(node, _)| *node)
    }

    /// Until when this node's authority as a coordinator holds.
    pub(super) fn quorate_until(&self) -> Instant {
        self.authority.as_ref().map_or(Instant::START, |authority| authority.acting)
    }

    fn report_peer(&self, node: NodeId, peer: &Peer) -> PeerReport {
        let heard = peer.heard.as_ref();
        PeerReport {
            heard: heard.map(|heard| heard.at),
            acknowledged: peer.acknowledged,
            incarnation: heard.map(|heard| heard.incarnation).unwrap_or_default(),
            term: heard.map(|heard| heard.term).unwrap_or_default(),
            coordinator: heard.is_some_and(|heard| heard.coordinator),
            daemon_alive: heard.is_some_and(|heard| heard.daemon_alive),
            hears_coordinator: heard.is_some_and(|heard| heard.hears_coordinator),
            released: peer.released,
            revoked: self.authority.as_ref().and_then(|authority| authority.revoked(node)),
            slack: heard.map_or(Span::ZERO, |heard| heard.slack),
            log_tail: heard.map(|heard| heard.log_tail).unwrap_or_default(),
            round_trip: peer.round_trip,
            links: peer.links.iter().map(|(link, (_, at))| (*link, *at)).collect(),
            more: heard.map_or_else(PeerMore::default, |heard| PeerMore {
                gate: heard.gate,
                points: heard.points,
                hears_on: heard.hears_on,
                counts: heard.counts,
                counts_since: heard.counts_since,
                // The guard's edge counts it.
                traffic: Table::new(),
            }),
        }
    }
}
