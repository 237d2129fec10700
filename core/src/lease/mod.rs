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
//!                                          ├── hear, obey  (heartbeats, orders)
//!                                          ├── Authority   (when this node coordinates)
//!                                          ├── counting    (by which length of lease)
//!                                          ├── watch       (when the watchdog is fed)
//!                                          ├── speak       (heartbeats, reports)
//!                                          └── told        (when a report is due)
//! ```
//!
//! Happy path: every interval one datagram goes to each peer, in the coordinator's rhythm: when its
//! own arrives, or by the guard's own clock where none does. The coordinator's guard counts which
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
mod counting;
mod gate;
mod hear;
mod heartbeat;
mod holding;
mod obey;
mod order;
mod peer;
mod report;
mod sent;
mod speak;
mod told;
mod watch;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;

use authority::Authority;
pub use authority::{Admission, VoterSets};
pub use counting::Counts;
pub use heartbeat::{Echo, GateForm, Heartbeat, HeartbeatLater, HeartbeatMore, LogTail, Receipt};
pub use holding::Holding;
use holding::Holdings;
pub use order::Order;
pub use peer::LinkId;
use peer::Peer;
pub use report::{
    PeerMore, PeerReport, Report, ReportLater, ReportMore, ReportNext, ReportTail, ReportWatch,
    Traffic,
};
use sent::Sent;
use told::Told;
use watch::Watch;
pub use watch::{Armed, WatchReport, WatchdogAct};

use crate::id::{Epoch, Incarnation, Index, NodeId, Term};
use crate::points::Watched;
use crate::table::Table;
use crate::time::{Instant, Span};
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
    /// The watchdog is armed, with that timeout, and was fed; or it is not, or no longer.
    Watchdog(Option<Span>),
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
    /// Do that about the watchdog.
    Watchdog(WatchdogAct),
}

/// How late a guard may look at the clock without a reason to ask what happened meanwhile.
const LATE: Span = Span::from_millis(2);

/// The machine.
#[derive(Debug)]
pub struct Lease {
    me: NodeId,
    incarnation: Incarnation,
    started: Instant,
    slack: Span,
    gate: GateForm,
    timers: Timers,
    /// The revision of the state that brought these timers; zero before its daemon has named one.
    /// It only grows (rule M3).
    revision: u64,
    /// What it says that it counts by: the same, or still what it counted by before (rule M3).
    said: Counts,
    /// The latest end of a lease that the gate, or a program's keeper, was ever shown.
    shown: Instant,
    peers: Table<NodeId, Peer>,
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
    /// When the first report was made that the daemon has not answered yet.
    unanswered: Option<Instant>,
    /// What the newest report said, so that only news is told at once.
    told: Option<Told>,
    applied: Index,
    log_tail: LogTail,
    /// What the daemon sees of the reference points. It is only passed on.
    points: Watched,
    holdings: Holdings,
    /// The newest order about holdings on the present connection; zero before the first.
    hold_number: u64,
    watch: Watch,
    /// Up to when the gate is armed.
    armed: Instant,
    /// When it last looked at the clock.
    looked: Instant,
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
            gate: GateForm::UNSAID,
            timers,
            revision: 0,
            said: Counts { revision: 0, lease: timers.lease },
            shown: Instant::START,
            peers: Table::new(),
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
            unanswered: None,
            told: None,
            applied: Index(0),
            log_tail: LogTail::default(),
            points: Watched::default(),
            holdings: Holdings::default(),
            hold_number: 0,
            watch: Watch::new(),
            armed: Instant::START,
            looked: now,
            next_beat: now,
            heard_coordinator: false,
            coordinator_silent_at: Instant::NEVER,
            commands: VecDeque::new(),
        }
    }

    /// Takes an event. Never fails, never waits.
    pub fn handle(&mut self, now: Instant, event: Event) {
        if now.since(self.looked) > self.timers.heartbeat + LATE {
            // Perhaps the machine was suspended. The clock went on, and a gate that counts ticks
            // stood still with it: it would stay open for too long, so it is armed anew.
            self.armed = Instant::START;
        }
        self.looked = now;
        self.say_counts(now);
        // Whatever woke us, first compare the clock with the lease: after a pause the messages that
        // waited must not find it standing.
        self.check_lease(now);
        if now >= self.armed {
            // A gate that shut by itself opens before anything is said of what is held.
            self.arm(now);
        }
        match event {
            Event::Tick => {}
            Event::Heartbeat { link, heartbeat } => self.on_heartbeat(now, link, &heartbeat),
            Event::DaemonConnected => {
                self.daemon_connected = true;
                self.hold_number = 0;
                self.watch.begin_to_count();
                self.unanswered = None;
                self.told = None;
            }
            Event::DaemonGone => {
                self.daemon_connected = false;
                self.beat_all(now);
            }
            Event::Order(order) => self.on_order(now, order),
            Event::ClockTrusted(trusted) => self.on_clock_trusted(now, trusted),
            Event::Watchdog(armed) => self.on_watchdog(now, armed),
        }
        if now >= self.next_beat {
            // After a pause the beats that were missed are not made up for.
            self.next_beat = now + self.timers.heartbeat;
            self.beat_all(now);
            self.report_if_old(now);
        }
        self.advance(now);
        self.tend_watchdog(now);
        self.report_news(now);
    }

    /// The next thing to do, until there is none.
    #[inline]
    pub fn poll(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call again at the latest. Calling earlier is harmless.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let next = self.next_beat.min(self.coordinator_silent_at).min(self.watchdog_deadline());
        if self.holdings.is_empty() { next } else { next.min(self.lease_until()) }
    }

    /// A guard that says which form its kernel's gate has.
    #[must_use]
    pub fn with_gate(self, gate: GateForm) -> Self {
        Self { gate, ..self }
    }

    /// Whether the lease was given up for good.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.released
    }

    /// What was held under this epoch or an earlier one ended with a lease, and never comes back.
    #[must_use]
    pub fn lapsed(&self) -> Epoch {
        self.holdings.lapsed()
    }

    /// The term in which this node coordinates, if it does.
    #[must_use]
    pub fn coordinates(&self) -> Option<Term> {
        self.authority.as_ref().map(|authority| authority.term)
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

    /// Ends what the lease stood for, if it has run out.
    fn check_lease(&mut self, now: Instant) {
        if now >= self.lease_until() && self.holdings.lapse() {
            self.enforce(now);
            self.report(now);
        }
    }

    /// Draws the conclusions of whatever changed.
    fn advance(&mut self, now: Instant) {
        let me = self.me;
        let mut gained = false;
        if let Some(authority) = &mut self.authority {
            let before = authority.acting;
            if self.peers.is_empty() {
                // Alone there is nobody to send to; the own count is what a majority consists of.
                self.sent.next(now);
            }
            authority.advance(me, &self.sent, &self.timers);
            gained = before <= now && authority.acting > now;
        }
        if gained {
            self.beat_all(now);
            self.report(now);
        }
        self.check_lease(now);
        self.arm(now);
        self.note_coordinator(now);
    }

    /// Says at once when the coordinator fell silent or is heard again: the election waits for it.
    fn note_coordinator(&mut self, now: Instant) {
        let heard = self.coordinator_until(now);
        self.coordinator_silent_at = heard.unwrap_or(Instant::NEVER);
        let hears = heard.is_some() || self.leads_itself(now);
        if hears != self.heard_coordinator {
            self.heard_coordinator = hears;
            self.beat_all(now);
            self.report(now);
        }
    }

    /// Whether a coordinator that can act is heard: this guard's own, or another's.
    fn hears_coordinator(&self, now: Instant) -> bool {
        self.leads_itself(now) || self.coordinator_until(now).is_some()
    }

    /// Until when another counts as a coordinator that can act, if one does now.
    fn coordinator_until(&self, now: Instant) -> Option<Instant> {
        let until = self.peers.values().filter_map(|it| it.coordinates(self.term, &self.timers));
        until.filter(|until| *until > now).max()
    }

    /// Whether this guard's own coordinator can act.
    fn leads_itself(&self, now: Instant) -> bool {
        let own = self.authority.as_ref();
        own.is_some_and(|authority| authority.acting > now && self.daemon_alive(now))
    }

    fn daemon_alive(&self, now: Instant) -> bool {
        // Every report is answered. Counted from the first one that is not: a daemon that has
        // nothing to answer is not late.
        let patience = self.timers.ride_out;
        self.daemon_connected && self.unanswered.is_none_or(|since| now.since(since) < patience)
    }
}
