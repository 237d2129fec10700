//! When a guard speaks, and to whom.

use stead_core::id::NodeId;
use stead_core::lease::Event;
use stead_core::time::Span;
use stead_core::timers::Timers;

use super::guard::{Guard, MILLISECOND};

const COORDINATOR: NodeId = NodeId(2);
const OTHER: NodeId = NodeId(3);

/// A guard of three that does not coordinate.
fn of_three() -> Guard {
    Guard::new(&[COORDINATOR, OTHER])
}

/// The coordinator's beat arrives.
fn hear(guard: &mut Guard) {
    let heartbeat = guard.heartbeat(COORDINATOR, true);
    guard.hear(heartbeat);
}

/// So many milliseconds, one by one; the coordinator is heard at each fifteenth, and `late`
/// milliseconds after it at every second one.
fn pass(guard: &mut Guard, millis: u64, late: u64) {
    for each in 0..millis {
        guard.pass(1);
        let lateness = if each / 15 % 2 == 0 { 0 } else { late };
        if each % 15 == lateness {
            hear(guard);
        }
    }
}

#[test]
fn whoever_hears_a_coordinator_beats_once_an_interval_in_its_rhythm() {
    for late in [0, 4] {
        let mut guard = of_three();
        pass(&mut guard, 150, late);
        guard.sent.clear();
        pass(&mut guard, 1_500, late);
        for node in [COORDINATOR, OTHER] {
            assert_eq!(guard.sent_to(node).len(), 100, "to {node}, beats late by {late} ms");
        }
        assert_eq!(guard.sent_to(COORDINATOR), guard.sent_to(OTHER));
    }
}

#[test]
fn beats_of_a_coordinator_that_has_much_to_say_are_answered_to_it_alone() {
    let mut guard = of_three();
    pass(&mut guard, 150, 0);
    guard.sent.clear();
    for _ in 0..150 {
        guard.pass(2);
        hear(&mut guard);
    }
    assert_eq!(guard.sent_to(COORDINATOR).len(), 150);
    let others = guard.sent_to(OTHER).len();
    assert!((20..=40).contains(&others), "one an interval, and two at most: {others}");
}

#[test]
fn beats_go_on_when_a_coordinator_is_heard_no_more() {
    let mut guard = of_three();
    pass(&mut guard, 300, 0);
    hear(&mut guard);
    guard.sent.clear();
    let silent_since = guard.now;
    guard.pass(150);
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
    let mut guard = of_three();
    pass(&mut guard, 300, 0);
    hear(&mut guard);
    guard.sent.clear();
    guard.take(Event::DaemonGone);
    assert_eq!(guard.sent_to(COORDINATOR), [guard.now]);
    assert_eq!(guard.sent_to(OTHER), [guard.now]);
}
