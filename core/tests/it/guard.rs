//! A guard alone, with a daemon that answers and others that speak: what it sends and reports.

use std::collections::BTreeSet;

use stead_core::id::{Incarnation, NodeId, Sequence, Term};
use stead_core::lease::{Command, Event, Heartbeat, Lease, LogTail, Order, Receipt, Report};
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;

pub const ME: NodeId = NodeId(1);
pub const MILLISECOND: Span = Span::from_millis(1);

/// A guard, its clock, and what came out of it since it was last emptied.
pub struct Guard {
    pub lease: Lease,
    pub now: Instant,
    /// When it sent what to whom.
    pub sent: Vec<(Instant, NodeId, Heartbeat)>,
    pub reports: Vec<Report>,
    /// Its daemon answers each report.
    pub answered: bool,
    /// The newest of all that it sent.
    pub newest: Option<Heartbeat>,
    /// The others' count of their datagrams.
    said: u64,
}

impl Guard {
    /// It knows these others, and the vote of its daemon, and has spoken to them.
    pub fn new(peers: &[NodeId]) -> Self {
        let now = Instant(10_000_000);
        let lease = Lease::new(ME, Incarnation(1), now, MILLISECOND, Timers::default());
        let (sent, reports) = (Vec::new(), Vec::new());
        let mut guard = Self { lease, now, sent, reports, answered: true, newest: None, said: 0 };
        guard.take(Event::DaemonConnected);
        guard.order(Order::Vote(Term(1)));
        guard.order(Order::Peers(peers.iter().copied().collect::<BTreeSet<_>>()));
        // An interval, so that it has spoken to them.
        guard.pass(16);
        guard
    }

    pub fn take(&mut self, event: Event) {
        self.lease.handle(self.now, event);
        let before = self.reports.len();
        while let Some(command) = self.lease.poll() {
            match command {
                Command::Send { to, heartbeat } => {
                    self.newest = Some(heartbeat);
                    self.sent.push((self.now, to, heartbeat));
                }
                Command::Report(report) => self.reports.push(report),
                Command::Enforce { .. } | Command::VoteKnown(_) | Command::Watchdog(_) => {}
            }
        }
        if self.answered && self.reports.len() > before {
            self.order(Order::Alive);
        }
    }

    pub fn order(&mut self, order: Order) {
        self.take(Event::Order(order));
    }

    /// So many milliseconds, one by one.
    pub fn pass(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now += MILLISECOND;
            self.take(Event::Tick);
        }
    }

    /// The next datagram of another one that has just received the newest of this guard's.
    pub fn heartbeat(&mut self, from: NodeId, coordinator: bool) -> Heartbeat {
        self.said += 1;
        let newest = self.newest.as_ref().expect("the guard has sent something");
        Heartbeat {
            from,
            incarnation: Incarnation(5),
            sequence: Sequence(self.said),
            term: Term(1),
            coordinator,
            released: false,
            daemon_alive: true,
            hears_coordinator: coordinator,
            slack: MILLISECOND,
            log_tail: LogTail::default(),
            receipt: Some(Receipt {
                incarnation: newest.incarnation,
                sequence: newest.sequence,
                held: Span::ZERO,
            }),
            echo: None,
            earlier_coordinator: Span::ZERO,
            more: Default::default(),
            later: Default::default(),
        }
    }

    pub fn hear(&mut self, heartbeat: Heartbeat) {
        self.take(Event::Heartbeat { link: 0, heartbeat });
    }

    /// When it spoke to that one.
    pub fn sent_to(&self, node: NodeId) -> Vec<Instant> {
        self.sent.iter().filter(|(_, to, _)| *to == node).map(|(at, ..)| *at).collect()
    }
}
