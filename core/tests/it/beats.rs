//! When a guard speaks, and to whom.

use std::collections::BTreeSet;

use stead_core::id::{Incarnation, NodeId, Sequence, Term};
use stead_core::lease::{Command, Event, Heartbeat, Lease, LogTail, Order, Receipt};
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;

const COORDINATOR: NodeId = NodeId(2);
const OTHER: NodeId = NodeId(3);
const MILLISECOND: Span = Span::from_millis(1);

/// A guard of three that does not coordinate, and when it sent what to whom.
struct Guard {
    lease: Lease,
    now: Instant,
    newest: Sequence,
    heard: u64,
    sent: Vec<(Instant, NodeId)>,
}

impl Guard {
    fn new() -> Self {
        let now = Instant(10_000_000);
        let lease = Lease::new(NodeId(1), Incarnation(1), now, MILLISECOND, Timers::default());
        let mut guard = Self { lease, now, newest: Sequence(0), heard: 0, sent: Vec::new() };
        guard.take(Event::DaemonConnected);
        guard.take(Event::Order(Order::Vote(Term(1))));
        guard.take(Event::Order(Order::Peers(BTreeSet::from([COORDINATOR, OTHER]))));
        guard.take(Event::Tick);
        guard
    }

    fn take(&mut self, event: Event) {
        self.lease.handle(self.now, event);
        let mut reported = false;
        while let Some(command) = self.lease.poll() {
            match command {
                Command::Send { to, heartbeat } => {
                    self.newest = heartbeat.sequence;
                    self.sent.push((self.now, to));
                }
                Command::Report(_) => reported = true,
                Command::Enforce { .. } | Command::VoteKnown(_) => {}
            }
        }
        if reported {
            self.take(Event::Order(Order::Alive));
        }
    }

    /// The coordinator's beat arrives.
    fn hear(&mut self) {
        self.heard += 1;
        let receipt =
            Receipt { incarnation: Incarnation(1), sequence: self.newest, held: Span::ZERO };
        let heartbeat = Heartbeat {
            from: COORDINATOR,
            incarnation: Incarnation(5),
            sequence: Sequence(self.heard),
            term: Term(1),
            coordinator: true,
            released: false,
            daemon_alive: true,
            hears_coordinator: true,
            slack: MILLISECOND,
            log_tail: LogTail::default(),
            receipt: Some(receipt),
            echo: None,
            earlier_coordinator: Span::ZERO,
            more: Default::default(),
        };
        self.take(Event::Heartbeat { link: 0, heartbeat });
    }

    /// So many milliseconds, one by one; the coordinator is heard at each fifteenth, and `late`
    /// milliseconds after it at every second one.
    fn pass(&mut self, millis: u64, heard: bool, late: u64) {
        for each in 0..millis {
            self.now += MILLISECOND;
            self.take(Event::Tick);
            let lateness = if each / 15 % 2 == 0 { 0 } else { late };
            if heard && each % 15 == lateness {
                self.hear();
            }
        }
    }

    fn sent_to(&self, node: NodeId) -> Vec<Instant> {
        self.sent.iter().filter(|(_, to)| *to == node).map(|(at, _)| *at).collect()
    }
}

#[test]
fn whoever_hears_a_coordinator_beats_once_an_interval_in_its_rhythm() {
    for late in [0, 4] {
        let mut guard = Guard::new();
        guard.pass(150, true, late);
        guard.sent.clear();
        guard.pass(1_500, true, late);
        for node in [COORDINATOR, OTHER] {
            assert_eq!(guard.sent_to(node).len(), 100, "to {node}, beats late by {late} ms");
        }
        assert_eq!(guard.sent_to(COORDINATOR), guard.sent_to(OTHER));
    }
}

#[test]
fn beats_of_a_coordinator_that_has_much_to_say_are_answered_to_it_alone() {
    let mut guard = Guard::new();
    guard.pass(150, true, 0);
    guard.sent.clear();
    for _ in 0..150 {
        guard.pass(2, false, 0);
        guard.hear();
    }
    assert_eq!(guard.sent_to(COORDINATOR).len(), 150);
    let others = guard.sent_to(OTHER).len();
    assert!((20..=40).contains(&others), "one an interval, and two at most: {others}");
}

#[test]
fn beats_go_on_when_a_coordinator_is_heard_no_more() {
    let mut guard = Guard::new();
    guard.pass(300, true, 0);
    guard.hear();
    guard.sent.clear();
    let silent_since = guard.now;
    guard.pass(150, false, 0);
    let interval = Timers::default().heartbeat;
    for node in [COORDINATOR, OTHER] {
        let sent = guard.sent_to(node);
        let first = sent.first().expect("it is spoken to");
        assert!(first.since(silent_since) <= Span(interval.0 * 3 / 2) + MILLISECOND, "{first:?}");
        assert!(sent.windows(2).all(|two| two[1].since(two[0]) <= interval), "{sent:?}");
        assert!(guard.now < *sent.last().expect("some") + interval);
    }
}

#[test]
fn what_is_new_is_said_at_once() {
    let mut guard = Guard::new();
    guard.pass(300, true, 0);
    guard.hear();
    guard.sent.clear();
    guard.take(Event::DaemonGone);
    assert_eq!(guard.sent_to(COORDINATOR), [guard.now]);
    assert_eq!(guard.sent_to(OTHER), [guard.now]);
}
