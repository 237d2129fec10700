//! The lease: heartbeats, the coordinator's authority and the right to answer for addresses.
//!
//! This is the machine inside `stead guard`, on every node. It knows heartbeats, leases and
//! addresses; it never learns what a service is. The protocol and its reasons stand in
//! `docs/protocol.md`, sections 3 and 12; the rules' names are given where they are kept.
//!
//! ```text
//!            heartbeats, orders, time                 heartbeats, gate, reports
//!   network ────────────────────────▶ Lease::handle ─────────────────────────▶ network, kernel,
//!   daemon                                 │                                    daemon
//!                                          └── Authority   (when this node coordinates)
//! ```
//!
//! Happy path: every interval one datagram goes to each peer. The coordinator's guard counts which
//! of its own datagrams a majority has echoed; that makes its authority `Q`. It echoes the nodes
//! that were admitted and tells each how much of `Q` was left; that makes the node's lease. While
//! the lease holds, the gate of the held addresses is armed up to its end.
//!
//! Failures: without echoes the lease ends by itself, the held addresses are dropped and never come
//! back under the same epoch. A new start of the guard begins with nothing. A pause of any length
//! is harmless, since every lease is counted from this guard's own send times.
//!
//! Absent on purpose: sockets, keys, clocks (time is an argument), and every decision about who
//! should serve.

mod authority;
mod heartbeat;
mod holding;
mod order;
mod peer;
mod report;
mod sent;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::IpAddr;

use authority::Authority;
pub use authority::{Admission, VoterSets};
pub use heartbeat::{Echo, Heartbeat, LogTail, Receipt};
pub use holding::Holding;
use holding::Holdings;
pub use order::Order;
pub use peer::LinkId;
use peer::Peer;
pub use report::{PeerReport, Report};
use sent::Sent;

use crate::id::{Incarnation, Index, NodeId, Term};
use crate::time::{DRIFT_PER_MILLION, Instant, Span};
use crate::timers::Timers;

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Nothing but time.
    Tick,
    /// A heartbeat arrived and was opened.
    Heartbeat {
        /// The link it came by.
        link: LinkId,
        /// What it says.
        heartbeat: Heartbeat,
    },
    /// The daemon connected.
    DaemonConnected,
    /// The daemon's connection ended.
    DaemonGone,
    /// An order from the daemon.
    Order(Order),
    /// Whether the rate of this node's clock can be trusted (rule H6).
    ClockTrusted(bool),
}

/// What to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send this datagram to that node, on every link.
    Send {
        /// The addressee.
        to: NodeId,
        /// What to say.
        heartbeat: Heartbeat,
    },
    /// These addresses may answer until then, and no others.
    Enforce {
        /// The addresses.
        addresses: Vec<IpAddr>,
        /// The end of the lease.
        until: Instant,
    },
    /// Tell the daemon.
    Report(Report),
    /// Tell the daemon that the term of its vote is known (answer to [`Order::Vote`]).
    VoteKnown(Term),
}

/// The machine.
#[derive(Debug)]
pub struct Lease {
    me: NodeId,
    incarnation: Incarnation,
    started: Instant,
    slack: Span,
    timers: Timers,
    peers: BTreeMap<NodeId, Peer>,
    sent: Sent,
    term: Term,
    /// Nothing is echoed until the daemon has said its vote (rule T2).
    vote_known: bool,
    authority: Option<Authority>,
    /// The rest of an earlier authority, kept when a role ends (rule C5).
    kept_authority: Instant,
    /// When a coordinator's heartbeat was last received, or sent by this guard.
    coordinator_heard: Instant,
    /// The same, frozen when the present term was learned.
    earlier_coordinator: Instant,
    /// What the coordinator's echoes have given this node.
    lease: Instant,
    released: bool,
    clock_distrusted: bool,
    daemon_connected: bool,
    daemon_heard: Instant,
    applied: Index,
    log_tail: LogTail,
    holdings: Holdings,
    /// Up to when the gate is armed.
    armed: Instant,
    next_beat: Instant,
    heard_coordinator: bool,
    /// When the coordinator that is heard now will have been silent for too long.
    coordinator_silent_at: Instant,
    commands: VecDeque<Command>,
}

impl Lease {
    /// A guard that just started.
    ///
    /// `slack` is how late this node's kernel may shut its gate.
    #[must_use]
    pub fn new(
        me: NodeId,
        incarnation: Incarnation,
        now: Instant,
        slack: Span,
        timers: Timers,
    ) -> Self {
        Self {
            me,
            incarnation,
            started: now,
            slack,
            timers,
            peers: BTreeMap::new(),
            sent: Sent::new(),
            term: Term::default(),
            vote_known: false,
            authority: None,
            kept_authority: Instant::START,
            coordinator_heard: now,
            earlier_coordinator: now,
            lease: Instant::START,
            released: false,
            clock_distrusted: false,
            daemon_connected: false,
            daemon_heard: now,
            applied: Index(0),
            log_tail: LogTail::default(),
            holdings: Holdings::default(),
            armed: Instant::START,
            next_beat: now,
            heard_coordinator: false,
            coordinator_silent_at: Instant::NEVER,
            commands: VecDeque::new(),
        }
    }

    /// Takes an event. Never fails, never waits.
    pub fn handle(&mut self, now: Instant, event: Event) {
        // Whatever woke us, first compare the clock with the lease: after a pause the messages that
        // waited must not find it standing.
        self.check_lease(now);
        match event {
            Event::Tick => {}
            Event::Heartbeat { link, heartbeat } => self.on_heartbeat(now, link, &heartbeat),
            Event::DaemonConnected => {
                self.daemon_connected = true;
                self.daemon_heard = now;
            }
            Event::DaemonGone => {
                self.daemon_connected = false;
                self.beat_all(now);
            }
            Event::Order(order) => self.on_order(now, order),
            Event::ClockTrusted(trusted) => self.on_clock_trusted(trusted),
        }
        if now >= self.next_beat {
            // After a pause the beats that were missed are not made up for.
            self.next_beat = now + self.timers.heartbeat;
            self.beat_all(now);
            self.report(now);
        }
        self.advance(now);
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call again at the latest. Calling earlier is harmless.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let next = self.next_beat.min(self.coordinator_silent_at);
        if self.holdings.held().is_empty() { next } else { next.min(self.lease_until()) }
    }

    /// Until when this node may answer for what it holds.
    #[must_use]
    pub fn lease_until(&self) -> Instant {
        if self.released || self.clock_distrusted {
            return Instant::START;
        }
        self.lease.max(self.kept_authority).max(self.own_authority())
    }

    /// What this node's own authority as a coordinator is worth as a lease: its own admission
    /// counts like everyone's (rules C1 and H1).
    fn own_authority(&self) -> Instant {
        let Some(authority) = &self.authority else { return Instant::START };
        match authority.admission(self.me, self.incarnation) {
            Some(admission) if self.applied >= admission.index => authority.until,
            Some(_) | None => Instant::START,
        }
    }

    /// A clock outside the bound can neither hold a lease nor give one.
    fn on_clock_trusted(&mut self, trusted: bool) {
        self.clock_distrusted = !trusted;
        if !trusted {
            self.authority = None;
        }
    }

    fn on_heartbeat(&mut self, now: Instant, link: LinkId, heartbeat: &Heartbeat) {
        let ours = (self.incarnation, self.sent.newest());
        let Some(peer) = self.peers.get_mut(&heartbeat.from) else { return };
        if !peer.note(now, link, heartbeat, ours) {
            return;
        }
        // A node whose daemon is away keeps its lease under a new coordinator (rule T4).
        if heartbeat.coordinator && self.vote_known {
            self.learn(heartbeat.term);
        }
        self.take_receipt(now, heartbeat);
        if heartbeat.coordinator && heartbeat.term >= self.term {
            self.coordinator_heard = self.coordinator_heard.max(now);
            self.beat(now, heartbeat.from);
        }
    }

    /// Uses what a heartbeat says about one of our own.
    fn take_receipt(&mut self, now: Instant, heartbeat: &Heartbeat) {
        let Some(receipt) = heartbeat.receipt else { return };
        let Some(sent_at) = self.sent.time(receipt.sequence) else { return };
        if let Some(peer) = self.peers.get_mut(&heartbeat.from) {
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
            // Its clock may run as fast as ours runs slow: count the age shorter, so later.
            let age = heartbeat.earlier_coordinator;
            let age = age.saturating_sub(Span(age.0 * 2 * DRIFT_PER_MILLION / 1_000_000 + 1));
            authority.echo(heartbeat.from, receipt.sequence, now - age);
        }
    }

    fn on_order(&mut self, now: Instant, order: Order) {
        self.daemon_heard = now;
        match order {
            Order::Alive => {}
            Order::Vote(term) => {
                self.vote_known = true;
                self.learn(term);
                self.commands.push_back(Command::VoteKnown(self.term));
                self.beat_all(now);
            }
            Order::Lead { term, voters, admitted } => self.lead(now, term, voters, admitted),
            Order::Follow => self.lay_down_role(),
            Order::Revoke(node) => {
                let heard = self.peers.get(&node).and_then(|peer| peer.heard);
                let heard = heard.map_or(self.started, |heard| heard.at);
                if let Some(authority) = &mut self.authority {
                    authority.revoke(node, heard);
                }
                self.report(now);
            }
            Order::Readmit(node) => {
                if let Some(authority) = &mut self.authority {
                    authority.readmit(node);
                }
                self.report(now);
            }
            Order::Applied { applied, log_tail } => {
                self.applied = self.applied.max(applied);
                self.log_tail = log_tail;
            }
            Order::Timers(timers) => self.timers = timers,
            Order::Peers(peers) => {
                self.peers.retain(|node, _| peers.contains(node));
                for node in peers.into_iter().filter(|node| *node != self.me) {
                    self.peers.entry(node).or_default();
                }
            }
            Order::Hold(wanted) => self.hold(now, wanted),
            Order::Release => self.release(now),
        }
    }

    /// Learns of a term. From here on nothing is echoed to an older one.
    fn learn(&mut self, term: Term) {
        if term <= self.term {
            return;
        }
        self.term = term;
        self.earlier_coordinator = self.coordinator_heard;
        self.lay_down_role();
    }

    fn lay_down_role(&mut self) {
        self.kept_authority = self.kept_authority.max(self.own_authority());
        self.authority = None;
    }

    fn lead(
        &mut self,
        now: Instant,
        term: Term,
        voters: VoterSets,
        admitted: BTreeMap<NodeId, Admission>,
    ) {
        let may = self.vote_known && !self.released && !self.clock_distrusted;
        if term != self.term || !may {
            return;
        }
        if self.authority.as_ref().is_none_or(|authority| authority.term != term) {
            self.lay_down_role();
            let mut first = self.sent.newest();
            first.0 += 1;
            self.authority = Some(Authority::new(term, first));
        }
        if let Some(authority) = &mut self.authority {
            authority.set(voters, admitted);
        }
        // A new coordinator beats at once and is answered at once, so that no other node's address
        // blinks when the old one died.
        self.beat_all(now);
    }

    fn hold(&mut self, now: Instant, wanted: Vec<Holding>) {
        let may = self.lease_until() > now;
        let before = self.holdings.held().to_vec();
        if may {
            self.holdings.set(wanted);
        } else {
            // Without a lease things may only be let go.
            self.holdings.set(before.iter().copied().filter(|h| wanted.contains(h)).collect());
        }
        if self.holdings.held() != before {
            self.enforce();
        }
        self.report(now);
    }

    fn release(&mut self, now: Instant) {
        self.released = true;
        self.authority = None;
        self.holdings.lapse();
        self.enforce();
        self.beat_all(now);
        self.report(now);
    }

    /// Ends what the lease stood for, if it has run out.
    fn check_lease(&mut self, now: Instant) {
        if now >= self.lease_until() && self.holdings.lapse() {
            self.enforce();
            self.report(now);
        }
    }

    /// Draws the conclusions of whatever changed.
    fn advance(&mut self, now: Instant) {
        let (me, lease) = (self.me, self.timers.lease);
        let mut gained = false;
        if let Some(authority) = &mut self.authority {
            let before = authority.until;
            authority.advance(me, &self.sent, lease);
            gained = before <= now && authority.until > now;
        }
        if gained {
            self.beat_all(now);
            self.report(now);
        }
        self.check_lease(now);
        let held = !self.holdings.held().is_empty();
        let until = self.lease_until();
        // Arming costs a system call; half an interval of new lease is worth one.
        if held && until > self.armed + Span(self.timers.heartbeat.0 / 2) {
            self.enforce();
        }
        self.note_coordinator(now);
    }

    /// Says at once when the coordinator fell silent or is heard again: the election waits for it.
    fn note_coordinator(&mut self, now: Instant) {
        let (term, limit) = (self.term, self.timers.elect_after);
        let heard = self.peers.values().filter(|peer| peer.coordinates(term, now, limit));
        let heard =
            heard.filter_map(|peer| peer.heard.as_ref()).map(|heard| heard.at + limit).max();
        self.coordinator_silent_at = heard.unwrap_or(Instant::NEVER);
        let hears = self.hears_coordinator(now);
        if hears != self.heard_coordinator {
            self.heard_coordinator = hears;
            self.beat_all(now);
            self.report(now);
        }
    }

    fn enforce(&mut self) {
        let addresses: Vec<_> = self.holdings.held().iter().map(|h| h.address).collect();
        self.armed = if addresses.is_empty() { Instant::START } else { self.lease_until() };
        self.commands.push_back(Command::Enforce { addresses, until: self.armed });
    }

    /// Whether a coordinator that can act is heard: this guard's own, or another's.
    fn hears_coordinator(&self, now: Instant) -> bool {
        let own = self.authority.as_ref();
        own.is_some_and(|authority| authority.until > now && self.daemon_alive(now))
            || self
                .peers
                .values()
                .any(|peer| peer.coordinates(self.term, now, self.timers.elect_after))
    }

    fn daemon_alive(&self, now: Instant) -> bool {
        self.daemon_connected && now.since(self.daemon_heard) < self.timers.ride_out
    }

    fn beat_all(&mut self, now: Instant) {
        for node in self.peers.keys().copied().collect::<Vec<_>>() {
            self.beat(now, node);
        }
    }

    /// Makes one datagram. Its time is read before it is handed over.
    fn beat(&mut self, now: Instant, to: NodeId) {
        let Some(peer) = self.peers.get(&to) else { return };
        let coordinator = self.authority.is_some();
        let heartbeat = Heartbeat {
            from: self.me,
            incarnation: self.incarnation,
            sequence: self.sent.next(now),
            term: self.term,
            coordinator,
            released: self.released,
            daemon_alive: self.daemon_alive(now),
            hears_coordinator: self.hears_coordinator(now),
            slack: self.slack,
            log_tail: self.log_tail,
            receipt: peer.receipt(now),
            echo: self.echo(to, peer),
            earlier_coordinator: now.since(self.earlier_coordinator),
        };
        if coordinator {
            self.coordinator_heard = self.coordinator_heard.max(now);
        }
        self.commands.push_back(Command::Send { to, heartbeat });
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
        Some(Echo { authority: left, admission: admission.index })
    }

    fn report(&mut self, now: Instant) {
        let peers = self.peers.iter().map(|(node, peer)| (*node, self.report_peer(*node, peer)));
        let peers = peers.collect();
        let authority = self.authority.as_ref();
        let earlier = self.earlier_coordinator;
        self.commands.push_back(Command::Report(Report {
            at: now,
            incarnation: self.incarnation,
            started: self.started,
            term: self.term,
            vote_known: self.vote_known,
            coordinates: authority.map(|authority| authority.term),
            voters: authority.map(|authority| authority.voters.clone()).unwrap_or_default(),
            lease_until: self.lease_until(),
            quorate_until: authority.map_or(Instant::START, |authority| authority.until),
            earlier_coordinator: authority.and_then(|a| a.earlier_coordinator(self.me, earlier)),
            hears_coordinator: self.hears_coordinator(now),
            released: self.released,
            clock_distrusted: self.clock_distrusted,
            held: self.holdings.held().to_vec(),
            lapsed: self.holdings.lapsed(),
            peers,
        }));
    }

    fn report_peer(&self, node: NodeId, peer: &Peer) -> PeerReport {
        let heard = peer.heard.as_ref();
        PeerReport {
            heard: heard.map(|heard| heard.at),
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
        }
    }
}
