//! The node machine alone: a daemon that starts anew beside a guard that went on.

use std::collections::BTreeSet;

use stead_core::id::{Epoch, Index, Term};
use stead_core::lease::{Holding, Order};
use stead_core::node::{Command, Event, LogView, Node};
use stead_core::state::Change;
use stead_core::state::config::Config;
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;

use super::desk::{Desk, ME, PEER, log_of_both};
use super::wanted::address;

/// Whether this node was made to campaign.
fn campaigns(desk: &Desk) -> bool {
    desk.commands.iter().any(|it| matches!(it, Command::Campaign(node) if *node == ME))
}

/// The guard knows a later term than the log; that goes on for so long.
fn ahead_for(desk: &mut Desk, millis: u64) -> bool {
    let term = Term(desk.node.log().term.0 + 1);
    desk.report.coordinates = None;
    (0..millis / 10).any(|_| {
        desk.tell(10, |report| report.term = term);
        campaigns(desk)
    })
}

#[test]
fn a_log_behind_its_guard_comes_to_its_term() {
    let mut desk = Desk::begun();
    assert!(!ahead_for(&mut desk, 900), "an election under way is waited for");
    assert!(ahead_for(&mut desk, 300), "nobody else would ever mend it");
    assert!(!ahead_for(&mut desk, 900), "and once a second is often enough");
    let term = desk.node.log().term;
    desk.tell(10, |report| report.term = term);
    assert!(!ahead_for(&mut desk, 900), "it counts from when it is behind again");
}

#[test]
fn who_does_not_vote_disturbs_nobody_with_a_term_of_its_guard() {
    let mut desk = Desk::begun();
    let voters = vec![BTreeSet::from([PEER])];
    let view = desk.node.log().clone();
    desk.take(Event::Log(LogView { leader: Some(PEER), voters, ..view }));
    assert!(!ahead_for(&mut desk, 3_000));
}

/// A daemon that starts anew, whose guard held the address of s0 when it last reported, with a
/// lease up to that many milliseconds from now.
fn restarted(lease_left: i64) -> Vec<Command> {
    let epoch = Desk::begun().node.state().assignments[&"s0".into()].epoch;
    restarted_with(lease_left, vec![Holding { address: address(0), epoch }])
}

/// The same with what the guard holds.
fn restarted_with(lease_left: i64, held: Vec<Holding>) -> Vec<Command> {
    let (mut node, _) = node_with(lease_left, held);
    std::iter::from_fn(|| node.poll()).collect()
}

/// That daemon's machine, and the time.
fn node_with(lease_left: i64, held: Vec<Holding>) -> (Node, Instant) {
    let former = Desk::begun();
    let state = former.node.state().clone();
    let (now, index) = (former.now, state.applied);
    let mut report = former.report.clone();
    report.held = held;
    report.lapsed = Epoch(0);
    let left = Span::from_millis(lease_left.unsigned_abs());
    report.lease_until = if lease_left < 0 { now - left } else { now + left };
    let mut node = Node::new(ME, state);
    node.handle(now, Event::Log(log_of_both(Term(2), Some(PEER), index)));
    node.handle(now, Event::Report(report));
    node.handle(now, Event::Current(index));
    (node, now)
}

#[test]
fn what_a_former_run_left_half_started_and_fails_now_is_stopped() {
    let epoch = Desk::begun().node.state().assignments[&"s0".into()].epoch;
    let (mut node, now) = node_with(100, vec![Holding { address: address(0), epoch }]);
    let commands: Vec<Command> = std::iter::from_fn(|| node.poll()).collect();
    assert!(commands.contains(&Command::Start { service: "s0".into(), epoch }), "{commands:?}");
    // It was taken for running. Its parts had not all worked yet, and now they are given up.
    let failed = Some("data: it is not installed".to_owned());
    node.handle(now, Event::Started { service: "s0".into(), epoch, failed });
    let commands: Vec<Command> = std::iter::from_fn(|| node.poll()).collect();
    assert!(commands.contains(&Command::Stop { service: "s0".into(), epoch }), "{commands:?}");
}

#[test]
fn a_new_daemon_opens_nothing_that_its_guard_let_go() {
    // The former run may have proposed already that the service is stopped.
    let commands = restarted_with(100, Vec::new());
    for command in &commands {
        if let Command::Guard(Order::Hold { addresses, .. }) = command {
            assert!(addresses.is_empty(), "{commands:?}");
        }
    }
    assert!(!commands.is_empty());
}

#[test]
fn a_new_daemon_takes_over_what_its_guard_holds_only_under_a_lease() {
    let starts = |commands: &[Command]| {
        commands
            .iter()
            .any(|it| matches!(it, Command::Start { service, .. } if *service == "s0".into()))
    };
    let announces = |commands: &[Command]| {
        commands
            .iter()
            .any(|it| matches!(it, Command::Announce { service, .. } if *service == "s0".into()))
    };
    let held = restarted(100);
    assert!(starts(&held) && announces(&held), "{held:?}");
    let lost = restarted(-1);
    assert!(!starts(&lost) && !announces(&lost), "{lost:?}");
    let stops = lost
        .iter()
        .any(|it| matches!(it, Command::Stop { service, .. } if *service == "s0".into()));
    assert!(stops, "{lost:?}");
}

fn with_ride_out(config: &Config, millis: u64) -> Config {
    Config { ride_out: Span::from_millis(millis), ..config.clone() }
}

fn timers_told(commands: &[Command]) -> Vec<Timers> {
    let told = commands.iter().filter_map(|it| {
        let Command::Guard(Order::Timers(timers)) = it else { return None };
        Some(*timers)
    });
    told.collect()
}

/// A daemon that starts anew reads the log from its snapshot on. Were the guard told what it reads,
/// it would count by timers that may be far longer than those that others wait for.
#[test]
fn timers_of_the_past_are_not_for_a_guard_that_has_a_lease() {
    let former = Desk::begun();
    let (now, state) = (former.now, former.node.state().clone());
    let index = state.applied;
    let shorter = Timers::derive(Span::from_millis(100), Span::from_millis(2)).expect("allowed");
    assert!(shorter.lease < state.timers.lease);
    let starts = |lease_until| {
        let mut report = former.report.clone();
        (report.timers, report.lease_until) = (shorter, lease_until);
        let mut node = Node::new(ME, state.clone());
        node.handle(now, Event::Log(log_of_both(Term(2), Some(PEER), index)));
        node.handle(now, Event::Report(report));
        let commands: Vec<_> = std::iter::from_fn(|| node.poll()).collect();
        (node, commands)
    };
    let (mut node, commands) = starts(now + Span::from_millis(50));
    assert_eq!(timers_told(&commands), [], "{commands:?}");
    node.handle(now, Event::Current(index));
    let commands: Vec<_> = std::iter::from_fn(|| node.poll()).collect();
    assert_eq!(timers_told(&commands), [state.timers], "as soon as it is current");
    // For a guard that just started they are better than none.
    assert_eq!(timers_told(&starts(Instant::START).1), [state.timers]);
}

/// The same daemon is elected before it has read what was committed. That its guard counted by the
/// timers of then says nothing.
#[test]
fn a_coordinator_waits_until_its_guard_counts_by_the_timers_in_force() {
    let former = Desk::begun();
    let (now, state) = (former.now, former.node.state().clone());
    let mut node = Node::new(ME, state.clone());
    let mut report = former.report.clone();
    (report.term, report.coordinates, report.lease_until) = (Term(3), None, Instant::START);
    let index = Index(state.applied.0 + 2);
    node.handle(now, Event::Log(log_of_both(Term(3), Some(ME), index)));
    node.handle(now, Event::Report(report.clone()));
    let config = with_ride_out(state.config.as_ref().expect("founded"), 100);
    let changes =
        [Change::Configure { base: state.revision, config }, Change::Lead { term: Term(3) }];
    for (change, at) in changes.into_iter().zip(1..) {
        let index = Index(state.applied.0 + at);
        node.handle(now, Event::Applied { index, term: Term(3), change: Some(change) });
    }
    node.handle(now, Event::Current(index));
    assert_ne!(node.state().timers, report.timers);
    let mut admitted = || {
        let commands: Vec<_> = std::iter::from_fn(|| node.poll()).collect();
        let admits = commands.iter().any(
            |it| matches!(it, Command::Guard(Order::Lead { admitted, .. }) if !admitted.is_empty()),
        );
        let timers = node.state().timers;
        report.timers = timers;
        (report.coordinates, report.at) = (Some(Term(3)), now);
        node.handle(now, Event::Report(report.clone()));
        admits
    };
    assert!(!admitted(), "its guard still counts by the longer ones");
    assert!(admitted(), "and does no more");
}
