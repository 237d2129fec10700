//! Satellites: what the state says of them, whom guards speak to, and who gets and loses votes.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::id::{Incarnation, NodeId, Sequence, Term};
use stead_core::lease::{
    Admission, Command, Event, Heartbeat, Lease, LogTail, Order, Receipt, Report,
};
use stead_core::node::{Command as NodeCommand, Event as NodeEvent, LogView};
use stead_core::state::{Change, Outcome, Refusal};
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;

use super::desk::Desk;
use super::parts::PEER;
use super::state::Book;
use super::wanted::wanted;

const ME: NodeId = NodeId(1);
const MILLISECOND: Span = Span::from_millis(1);

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
struct Guard {
    lease: Lease,
    now: Instant,
    sent: Vec<(Instant, Heartbeat)>,
    reports: usize,
    report: Option<Report>,
    /// The peer's count of its own datagrams.
    said: u64,
}

impl Guard {
    fn new() -> Self {
        let now = Instant(10_000_000);
        let lease = Lease::new(ME, Incarnation(1), now, MILLISECOND, Timers::default());
        let mut guard = Self { lease, now, sent: Vec::new(), reports: 0, report: None, said: 0 };
        guard.take(Event::DaemonConnected);
        let peers = BTreeSet::from([PEER]);
        for order in [Order::Vote(Term(1)), Order::Peers(peers.clone()), Order::Slow(peers)] {
            guard.take(Event::Order(order));
        }
        guard.pass(200);
        (guard.sent, guard.reports) = (Vec::new(), 0);
        guard
    }

    fn take(&mut self, event: Event) {
        self.lease.handle(self.now, event);
        let mut reported = false;
        while let Some(command) = self.lease.poll() {
            match command {
                Command::Send { heartbeat, .. } => self.sent.push((self.now, heartbeat)),
                Command::Report(report) => {
                    self.report = Some(report);
                    reported = true;
                }
                Command::Enforce { .. } | Command::VoteKnown(_) => {}
            }
        }
        if reported {
            self.reports += 1;
            self.take(Event::Order(Order::Alive));
        }
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now += MILLISECOND;
            self.take(Event::Tick);
        }
    }

    /// The peer speaks; `knows` our newest datagram, or has never heard us.
    fn hear(&mut self, coordinator: bool, knows: Option<Sequence>) {
        self.said += 1;
        let receipt = knows.map(|sequence| Receipt {
            incarnation: Incarnation(1),
            sequence,
            held: Span::ZERO,
        });
        let heartbeat = Heartbeat {
            from: PEER,
            incarnation: Incarnation(1),
            sequence: Sequence(self.said),
            term: Term(1),
            coordinator,
            released: false,
            daemon_alive: true,
            hears_coordinator: true,
            slack: MILLISECOND,
            log_tail: LogTail::default(),
            receipt,
            echo: None,
            earlier_coordinator: Span::ZERO,
            more: Default::default(),
        };
        self.take(Event::Heartbeat { link: 0, heartbeat });
    }

    fn newest(&self) -> Option<Sequence> {
        self.sent.last().map(|(_, heartbeat)| heartbeat.sequence)
    }
}

#[test]
fn a_satellite_and_a_voter_speak_rarely_and_never_lose_touch() {
    let mut guard = Guard::new();
    let rhythm = Timers::default().slow_rhythm();
    guard.pass(2_400);
    let times: Vec<_> = guard.sent.iter().map(|(at, _)| *at).collect();
    assert!((18..=20).contains(&times.len()), "an eighth of 160: {}", times.len());
    assert!(times.windows(2).all(|two| two[1].since(two[0]) >= rhythm), "{times:?}");
    // What it says is no news for the daemon.
    let before = guard.reports;
    for _ in 0..20 {
        guard.hear(false, guard.newest());
    }
    assert_eq!(guard.reports, before);
}

#[test]
fn whoever_says_that_it_coordinates_is_answered_at_once() {
    let mut guard = Guard::new();
    guard.pass(200);
    let known = guard.newest();
    guard.pass(10);
    guard.sent.clear();
    guard.hear(true, known);
    assert!(guard.sent.last().is_some_and(|(_, it)| it.echo.is_some()), "it is echoed at once");
    // One that has never heard us learns of a datagram within an interval.
    let mut guard = Guard::new();
    guard.pass(130);
    guard.sent.clear();
    guard.hear(true, None);
    assert!(guard.sent.is_empty(), "that may be a recording");
    guard.pass(16);
    assert_eq!(guard.sent.len(), 1, "an interval at the most");
    guard.hear(true, guard.newest());
    assert!(guard.sent.last().is_some_and(|(_, it)| it.echo.is_some()));
    // Once it is silent there is no hurry any more.
    guard.pass(400);
    guard.sent.clear();
    guard.pass(240);
    assert!(guard.sent.len() <= 3, "{}", guard.sent.len());
}

#[test]
fn a_guard_that_acts_for_a_coordinator_speaks_to_satellites_at_every_heartbeat() {
    let mut guard = Guard::new();
    let voters = vec![BTreeSet::from([ME])];
    guard.take(Event::Order(Order::Lead { term: Term(1), voters, admitted: BTreeMap::new() }));
    guard.sent.clear();
    guard.pass(1_500);
    assert!((99..=101).contains(&guard.sent.len()), "{}", guard.sent.len());
}

#[test]
fn who_was_forgotten_and_is_known_again_may_have_had_a_lease_until_then() {
    let mut guard = Guard::new();
    let voters = vec![BTreeSet::from([ME])];
    let admission = Admission { incarnation: Incarnation(1), index: Default::default() };
    let admitted = BTreeMap::from([(PEER, admission)]);
    guard.take(Event::Order(Order::Lead { term: Term(1), voters, admitted }));
    guard.hear(false, guard.newest());
    guard.pass(20);
    let echo = guard.sent.last().and_then(|(_, it)| it.echo).expect("it is given a lease");
    assert!(echo.authority > Span::ZERO);
    for peers in [BTreeSet::new(), BTreeSet::from([PEER])] {
        guard.take(Event::Order(Order::Peers(peers)));
    }
    let known = guard.now;
    guard.pass(20);
    guard.take(Event::Order(Order::Revoke(PEER)));
    let report = guard.report.as_ref().expect("it reports");
    assert_eq!(report.peers[&PEER].revoked, Some(known), "not the start of the guard");
}

/// The desk, where these are satellites and those learners.
fn desk(names: &[&str], learners: &[NodeId]) -> Desk {
    let mut desk = Desk::begun();
    desk.apply(satellites(1, names));
    let view = desk.node.log().clone();
    let learners = learners.iter().copied().collect();
    desk.take(NodeEvent::Log(LogView { learners, ..view }));
    desk
}

/// What is done about votes within some seconds.
fn done(desk: &mut Desk, voters: &[NodeId]) -> Vec<NodeCommand> {
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
                        NodeCommand::AddVoter { .. }
                            | NodeCommand::RemoveVoter { .. }
                            | NodeCommand::AddLearner(_)
                            | NodeCommand::HandOver(_)
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
    let less = NodeCommand::RemoveVoter { node: PEER, stays: true, under: None };
    assert!(!done.is_empty() && done.iter().all(|it| *it == less), "{done:?}");
}

#[test]
fn a_coordinator_hands_over_before_it_loses_its_vote() {
    let mut desk = desk(&["a"], &[]);
    let done = done(&mut desk, &[ME, PEER]);
    let over = NodeCommand::HandOver(PEER);
    assert!(!done.is_empty() && done.iter().all(|it| *it == over), "{done:?}");
}

#[test]
fn a_learner_that_is_no_member_is_sent_nothing_any_more() {
    let mut desk = desk(&["c"], &[NodeId(7)]);
    let done = done(&mut desk, &[ME, PEER]);
    let gone = NodeCommand::RemoveVoter { node: NodeId(7), stays: false, under: None };
    assert!(!done.is_empty() && done.iter().all(|it| *it == gone), "{done:?}");
}

#[test]
fn a_satellite_that_joined_is_sent_the_log_and_given_no_vote() {
    let mut desk = desk(&["c"], &[]);
    let token = [3; 32];
    desk.apply(Change::AddToken { token, node: "c".into() });
    desk.apply(Change::Join { token, key: token });
    let done = done(&mut desk, &[ME, PEER]);
    let learns = NodeCommand::AddLearner(NodeId(3));
    assert!(!done.is_empty() && done.iter().all(|it| *it == learns), "{done:?}");
}
