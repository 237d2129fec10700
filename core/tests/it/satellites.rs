//! Satellites: what the state says of them, whom guards speak to, and who gets and loses votes.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::id::{Index, NodeId, Term};
use stead_core::lease::{Admission, Heartbeat, LogTail, Order};
use stead_core::node::{Command, Event, LogView};
use stead_core::state::{Change, Outcome, Refusal};
use stead_core::time::Span;
use stead_core::timers::Timers;

use super::desk::Desk;
use super::guard::{Guard, ME};
use super::parts::PEER;
use super::state::Book;
use super::wanted::wanted;

/// The configuration with these nodes as satellites, decided upon that revision.
fn satellites(base: u64, names: &[&str]) -> Change {
    let mut config = wanted();
    config.later.satellites = names.iter().map(|name| (*name).to_owned()).collect();
    Change::Configure { base, config }
}

#[test]
fn somebody_always_votes() {
    let mut book = Book::founded();
    let nobody = Outcome::Refused(Refusal::LastVoter);
    assert_eq!(book.apply(satellites(1, &["a", "b"])), nobody, "c is no member yet");
    assert_eq!(book.state.revision, 1);
    book.done(satellites(1, &["b", "c"]));
    assert!(book.state.shall_vote(ME) && !book.state.shall_vote(PEER));
    assert!(book.state.is_satellite(PEER) && !book.state.is_satellite(NodeId(9)));
    assert_eq!(book.apply(Change::Leave { node: ME }), nobody);
    book.done(Change::Leave { node: PEER });
    let mut late = Book::new();
    let mut config = wanted();
    config.later.satellites.insert("a".into());
    let founded =
        Change::Found { cluster: Default::default(), config, node: "a".into(), key: [1; 32] };
    assert_eq!(late.apply(founded), nobody, "who founds it has to vote");
}

/// A guard alone that speaks to one peer in the slow rhythm.
fn slow_guard() -> Guard {
    let mut guard = Guard::new(&[PEER]);
    guard.order(Order::Slow(BTreeSet::from([PEER])));
    guard.pass(200);
    guard.sent.clear();
    guard
}

/// The peer is heard.
fn hear(guard: &mut Guard, coordinator: bool) {
    let heartbeat = guard.heartbeat(PEER, coordinator);
    guard.hear(heartbeat);
}

/// What it sent last is an echo.
fn echoes(guard: &Guard) -> bool {
    guard.sent.last().is_some_and(|(.., it)| it.echo.is_some())
}

#[test]
fn a_satellite_and_a_voter_speak_rarely_and_never_lose_touch() {
    let mut guard = slow_guard();
    let rhythm = Timers::default().slow_rhythm();
    guard.pass(2_400);
    let times = guard.sent_to(PEER);
    assert!((18..=20).contains(&times.len()), "an eighth of 160: {}", times.len());
    assert!(times.windows(2).all(|two| two[1].since(two[0]) >= rhythm), "{times:?}");
}

/// So many reports when the peer says something else each time.
fn reports_of_news(guard: &mut Guard) -> usize {
    hear(guard, false);
    guard.reports.clear();
    for index in 1..=20 {
        let log_tail = LogTail { term: Term(1), index: Index(index) };
        let heartbeat = Heartbeat { log_tail, ..guard.heartbeat(PEER, false) };
        guard.hear(heartbeat);
    }
    guard.reports.len()
}

#[test]
fn what_a_node_says_that_is_spoken_to_rarely_is_no_news() {
    assert_eq!(reports_of_news(&mut Guard::new(&[PEER])), 20);
    assert_eq!(reports_of_news(&mut slow_guard()), 0);
}

#[test]
fn whoever_says_that_it_coordinates_is_answered_at_once() {
    let mut guard = slow_guard();
    guard.pass(210);
    guard.sent.clear();
    hear(&mut guard, true);
    assert!(echoes(&guard), "it knows a datagram of ours");
    // One that has never heard us learns of a datagram within an interval.
    let mut guard = slow_guard();
    guard.pass(130);
    guard.sent.clear();
    let heartbeat = Heartbeat { receipt: None, ..guard.heartbeat(PEER, true) };
    guard.hear(heartbeat);
    assert_eq!(guard.sent.len(), 0, "that may be a recording");
    guard.pass(16);
    assert_eq!(guard.sent.len(), 1, "an interval at the most");
    hear(&mut guard, true);
    assert!(echoes(&guard));
    // Once it is silent there is no hurry any more.
    guard.pass(400);
    guard.sent.clear();
    guard.pass(240);
    assert!(guard.sent.len() <= 3, "{}", guard.sent.len());
}

#[test]
fn a_guard_that_acts_for_a_coordinator_speaks_to_satellites_at_every_heartbeat() {
    let mut guard = slow_guard();
    let voters = vec![BTreeSet::from([ME])];
    guard.order(Order::Lead { term: Term(1), voters, admitted: BTreeMap::new() });
    guard.sent.clear();
    guard.pass(1_500);
    assert!((99..=101).contains(&guard.sent.len()), "{}", guard.sent.len());
}

#[test]
fn who_was_forgotten_and_is_known_again_may_have_had_a_lease_until_then() {
    let mut guard = slow_guard();
    let voters = vec![BTreeSet::from([ME])];
    hear(&mut guard, false);
    let incarnation = guard.heartbeat(PEER, false).incarnation;
    let admission = Admission { incarnation, index: Index::default() };
    let admitted = BTreeMap::from([(PEER, admission)]);
    guard.order(Order::Lead { term: Term(1), voters, admitted });
    hear(&mut guard, false);
    guard.pass(20);
    let echo = guard.newest.and_then(|it| it.echo).expect("it is given a lease");
    assert!(echo.authority > Span::ZERO);
    for peers in [BTreeSet::new(), BTreeSet::from([PEER])] {
        guard.order(Order::Peers(peers));
    }
    let known = guard.now;
    guard.pass(20);
    guard.order(Order::Revoke(PEER));
    let report = guard.reports.last().expect("it reports");
    assert_eq!(report.peers[&PEER].revoked, Some(known), "not the start of the guard");
}

/// The desk, where these are satellites and those learners.
fn desk(names: &[&str], learners: &[NodeId]) -> Desk {
    let mut desk = Desk::begun();
    desk.apply(satellites(1, names));
    let view = desk.node.log().clone();
    let learners = learners.iter().copied().collect();
    desk.take(Event::Log(LogView { learners, ..view }));
    desk
}

/// What is done about votes within some seconds.
fn done(desk: &mut Desk, voters: &[NodeId]) -> Vec<Command> {
    let mut done = Vec::new();
    for _ in 0..200 {
        desk.tell(20, |report| {
            let now = report.at;
            report.voters = vec![voters.iter().copied().collect()];
            Desk::hear(report, now);
        });
        done.extend(
            desk.commands
                .iter()
                .filter(|it| {
                    matches!(
                        it,
                        Command::AddVoter { .. }
                            | Command::RemoveVoter { .. }
                            | Command::AddLearner(_)
                            | Command::HandOver(_)
                    )
                })
                .cloned(),
        );
        desk.commit_assignments();
    }
    done
}

#[test]
fn a_satellite_keeps_the_log_and_loses_its_vote() {
    let mut desk = desk(&["b"], &[]);
    let done = done(&mut desk, &[ME, PEER]);
    let less = Command::RemoveVoter { node: PEER, stays: true, under: None };
    assert!(!done.is_empty() && done.iter().all(|it| *it == less), "{done:?}");
}

#[test]
fn a_coordinator_hands_over_before_it_loses_its_vote() {
    let mut desk = desk(&["a"], &[]);
    let done = done(&mut desk, &[ME, PEER]);
    let over = Command::HandOver(PEER);
    assert!(!done.is_empty() && done.iter().all(|it| *it == over), "{done:?}");
}

#[test]
fn a_learner_that_is_no_member_is_sent_nothing_any_more() {
    let mut desk = desk(&["c"], &[NodeId(7)]);
    let done = done(&mut desk, &[ME, PEER]);
    let gone = Command::RemoveVoter { node: NodeId(7), stays: false, under: None };
    assert!(!done.is_empty() && done.iter().all(|it| *it == gone), "{done:?}");
}

#[test]
fn a_satellite_that_joined_is_sent_the_log_and_given_no_vote() {
    let mut desk = desk(&["c"], &[]);
    let token = [3; 32];
    desk.apply(Change::AddToken { token, node: "c".into() });
    desk.apply(Change::Join { token, key: token });
    let done = done(&mut desk, &[ME, PEER]);
    let learns = Command::AddLearner(NodeId(3));
    assert!(!done.is_empty() && done.iter().all(|it| *it == learns), "{done:?}");
}
