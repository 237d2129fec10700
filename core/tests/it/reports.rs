//! When a guard tells its daemon something, and what it makes of a daemon that says nothing.

use std::collections::BTreeSet;

use stead_core::id::NodeId;
use stead_core::lease::{Event, Order};
use stead_core::time::Span;
use stead_core::timers::Timers;

use super::guard::Guard;

const PEER: NodeId = NodeId(2);

/// The peer says something that is news only by its time.
fn hear(guard: &mut Guard) {
    let heartbeat = guard.heartbeat(PEER, false);
    guard.hear(heartbeat);
}

/// Time goes by, beat by beat.
fn pass(guard: &mut Guard, millis: u64, heard: bool) {
    for _ in 0..millis / 15 {
        guard.now += Span::from_millis(15);
        guard.take(Event::Tick);
        if heard {
            hear(guard);
        }
    }
}

#[test]
fn what_only_went_on_is_told_every_fifth_of_a_ride_out() {
    let mut guard = Guard::new(&[PEER]);
    pass(&mut guard, 300, true);
    guard.reports.clear();
    pass(&mut guard, 3_000, true);
    let told: Vec<_> = guard.reports.iter().map(|report| report.at).collect();
    assert!((45..=55).contains(&told.len()), "{} reports", told.len());
    let most = Span(Timers::default().ride_out.0 / 2);
    assert!(told.windows(2).all(|two| two[1].since(two[0]) < most), "rule C2: {told:?}");
}

#[test]
fn a_peer_that_was_silent_and_is_heard_again_is_told_at_once() {
    let mut guard = Guard::new(&[PEER]);
    pass(&mut guard, 300, true);
    pass(&mut guard, 255, false);
    guard.reports.clear();
    hear(&mut guard);
    let heard = guard.reports.last().and_then(|report| report.peers.get(&PEER)?.heard);
    assert_eq!(heard, Some(guard.now));
}

#[test]
fn every_other_change_is_told_at_once() {
    let mut guard = Guard::new(&[PEER]);
    pass(&mut guard, 300, true);
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
    let mut guard = Guard::new(&[PEER]);
    let alive = |guard: &Guard| guard.newest.is_some_and(|sent| sent.daemon_alive);
    pass(&mut guard, 3_000, true);
    assert!(alive(&guard), "it answers all that there is to answer");
    guard.answered = false;
    pass(&mut guard, 285, true);
    assert!(alive(&guard), "a stall shorter than the ride-out costs nothing");
    pass(&mut guard, 105, true);
    assert!(!alive(&guard));
    guard.take(Event::Order(Order::Alive));
    pass(&mut guard, 30, true);
    assert!(alive(&guard), "it is back");
}
