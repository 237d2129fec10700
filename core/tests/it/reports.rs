//! When a guard tells its daemon something, and what it makes of a daemon that says nothing.

use std::collections::BTreeSet;

use stead_core::id::{Incarnation, NodeId, Sequence, Term};
use stead_core::lease::{Command, Event, Heartbeat, Lease, LogTail, Order, Receipt, Report};
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;

const PEER: NodeId = NodeId(2);

/// A guard with one peer, and what it has reported since it was last asked.
struct Guard {
    lease: Lease,
    now: Instant,
    sent: Option<Heartbeat>,
    reports: Vec<Report>,
    said: u64,
    /// Its daemon answers each report.
    answered: bool,
}

impl Guard {
    fn new() -> Self {
        let now = Instant(10_000_000);
        let slack = Span::from_millis(1);
        let lease = Lease::new(NodeId(1), Incarnation(1), now, slack, Timers::default());
        let reports = Vec::new();
        let mut guard = Self { lease, now, sent: None, reports, said: 0, answered: true };
        guard.take(Event::DaemonConnected);
        guard.take(Event::Order(Order::Vote(Term(1))));
        guard.take(Event::Order(Order::Peers(BTreeSet::from([PEER]))));
        guard
    }

    fn take(&mut self, event: Event) {
        self.lease.handle(self.now, event);
        let before = self.reports.len();
        while let Some(command) = self.lease.poll() {
            match command {
                Command::Send { heartbeat, .. } => self.sent = Some(heartbeat),
                Command::Report(report) => self.reports.push(report),
                Command::Enforce { .. } | Command::VoteKnown(_) => {}
            }
        }
        if self.answered && self.reports.len() > before {
            self.take(Event::Order(Order::Alive));
        }
    }

    /// Time goes by, beat by beat.
    fn pass(&mut self, millis: u64, heard: bool) {
        for _ in 0..millis / 15 {
            self.now += Span::from_millis(15);
            self.take(Event::Tick);
            if heard {
                self.hear();
            }
        }
    }

    /// The peer says something that is news only by its time.
    fn hear(&mut self) {
        let sent = self.sent.expect("the guard has sent something");
        self.said += 1;
        let receipt =
            Receipt { incarnation: sent.incarnation, sequence: sent.sequence, held: Span::ZERO };
        let heartbeat = Heartbeat {
            from: PEER,
            incarnation: Incarnation(5),
            sequence: Sequence(self.said),
            term: Term(1),
            coordinator: false,
            released: false,
            daemon_alive: true,
            hears_coordinator: false,
            slack: Span::from_millis(1),
            log_tail: LogTail::default(),
            receipt: Some(receipt),
            echo: None,
            earlier_coordinator: Span::ZERO,
            more: Default::default(),
        };
        self.take(Event::Heartbeat { link: 0, heartbeat });
    }
}

#[test]
fn what_only_went_on_is_told_every_fifth_of_a_ride_out() {
    let mut guard = Guard::new();
    guard.pass(300, true);
    guard.reports.clear();
    guard.pass(3_000, true);
    let told: Vec<_> = guard.reports.iter().map(|report| report.at).collect();
    assert!((45..=55).contains(&told.len()), "{} reports", told.len());
    let most = Span(Timers::default().ride_out.0 / 2);
    assert!(told.windows(2).all(|two| two[1].since(two[0]) < most), "rule C2: {told:?}");
}

#[test]
fn a_peer_that_was_silent_and_is_heard_again_is_told_at_once() {
    let mut guard = Guard::new();
    guard.pass(300, true);
    guard.pass(255, false);
    guard.reports.clear();
    guard.hear();
    let heard = guard.reports.last().and_then(|report| report.peers.get(&PEER)?.heard);
    assert_eq!(heard, Some(guard.now));
}

#[test]
fn every_other_change_is_told_at_once() {
    let mut guard = Guard::new();
    guard.pass(300, true);
    guard.reports.clear();
    guard.take(Event::Order(Order::Peers(BTreeSet::from([PEER, NodeId(3)]))));
    assert_eq!(guard.reports.last().map(|it| it.peers.keys().count()), Some(2));
    guard.take(Event::ClockTrusted(false));
    assert!(guard.reports.last().is_some_and(|it| it.clock_distrusted));
    let timers = Timers::derive(Span::from_millis(100), Span::from_millis(1)).expect("timers");
    guard.take(Event::Order(Order::Timers(timers)));
    assert_eq!(guard.reports.last().map(|it| it.timers), Some(timers));
}

#[test]
fn a_daemon_is_dead_a_ride_out_after_the_first_report_that_it_does_not_answer() {
    let mut guard = Guard::new();
    let alive = |guard: &Guard| guard.sent.is_some_and(|sent| sent.daemon_alive);
    guard.pass(3_000, true);
    assert!(alive(&guard), "it answers all that there is to answer");
    guard.answered = false;
    guard.pass(285, true);
    assert!(alive(&guard), "a stall shorter than the ride-out costs nothing");
    guard.pass(105, true);
    assert!(!alive(&guard));
    guard.take(Event::Order(Order::Alive));
    guard.pass(30, true);
    assert!(alive(&guard), "it is back");
}
