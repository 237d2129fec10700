//! Reference points: who is behind, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::id::{NodeId, ServiceId};
use stead_core::lease::Report;
use stead_core::node::Command;
use stead_core::notice::Notice;
use stead_core::placement::{self, Able, Sight};
use stead_core::points::{MOST, Seen, View, Watch, Watched};
use stead_core::state::config::NetworkConfig;
use stead_core::state::{Cause, Change, State};
use stead_core::time::{Instant, Span};

use super::desk::{Desk, ME, PEER};

const RIDE_OUT: u64 = 300;

/// A network with a gateway and one address, in which both services are.
fn front() -> BTreeMap<String, NetworkConfig> {
    let network = NetworkConfig {
        network: [10, 0, 0, 0].into(),
        prefix: 8,
        interface: None,
        gateway: true,
        addresses: vec![[10, 0, 0, 1].into()],
    };
    BTreeMap::from([("front".to_owned(), network)])
}

fn watch(state: &mut State) {
    state.revision += 1;
    if let Some(config) = &mut state.config {
        config.more.networks = front();
    }
}

/// What a node tells: for each point, how long ago it answered and for how long it is missed.
fn told(state: &State, points: &[(u64, u64)]) -> Watched {
    let mut watched = Watched { revision: state.revision, points: [Watch::default(); MOST] };
    for (watch, (answered, missed)) in watched.points.iter_mut().zip(points) {
        *watch = Watch {
            answered: Some(NOW - Span::from_millis(*answered)),
            missed: Some(Span::from_millis(*missed)),
        };
    }
    watched
}

const NOW: Instant = Instant(100_000_000);

/// A desk whose report says what both nodes see.
struct Trial {
    state: State,
    report: Report,
    seen: Seen,
}

impl Trial {
    fn new() -> Self {
        let desk = Desk::begun();
        let mut state = desk.node.state().clone();
        watch(&mut state);
        let mut trial = Self { state, report: desk.report, seen: Seen::default() };
        // All was well for a while.
        trial.say(NOW - Span::from_millis(2 * RIDE_OUT), &[(0, 0), (0, 0)], &[(0, 0), (0, 0)]);
        trial
    }

    fn tell(&mut self, after: u64, mine: &[(u64, u64)], theirs: &[(u64, u64)]) {
        self.say(NOW + Span::from_millis(after), mine, theirs);
    }

    fn say(&mut self, at: Instant, mine: &[(u64, u64)], theirs: &[(u64, u64)]) {
        self.report.at = at;
        self.report.more.points = told(&self.state, mine).told(NOW);
        let peer = self.report.peers.get_mut(&PEER).expect("it is known");
        (peer.heard, peer.daemon_alive) = (Some(at), true);
        peer.more.points = told(&self.state, theirs).told(NOW);
        self.seen.note(ME, &self.state, &self.report);
    }

    fn moves(&self) -> Option<Change> {
        let able = Able::from(BTreeSet::from([ME, PEER]));
        placement::unreachable(Sight::new(&self.state, &able, &self.seen))
    }
}

fn holder(trial: &Trial, service: &ServiceId) -> Option<NodeId> {
    trial.state.assignments.get(service)?.holder.node()
}

#[test]
fn who_misses_for_a_ride_out_what_another_has_is_behind() {
    let mut trial = Trial::new();
    let service: ServiceId = "s0".into();
    assert_eq!(holder(&trial, &service), Some(ME));
    trial.tell(0, &[(5, 0), (290, 290)], &[(5, 0), (5, 0)]);
    assert_eq!(trial.moves(), None, "not yet a ride-out");
    trial.tell(0, &[(5, 0), (310, 310)], &[(5, 0), (5, 0)]);
    assert_eq!(trial.seen.view(ME, 1), View::Behind);
    assert_eq!((trial.seen.misses(ME, &service), trial.seen.misses(PEER, &service)), (1, 0));
    let moved = trial.moves();
    let Some(Change::Stop { cause: Cause::Unreachable, wish: Some(PEER), .. }) = moved else {
        panic!("{moved:?}");
    };
}

#[test]
fn a_point_that_dies_moves_nothing() {
    let mut trial = Trial::new();
    for missed in (0..2_000).step_by(10) {
        // The other one had its last answer nearly a question's time later.
        trial.tell(0, &[(missed, missed), (0, 0)], &[(missed.max(60) - 60, 0), (0, 0)]);
        assert_eq!(trial.moves(), None, "after {missed} ms");
    }
    assert_eq!(trial.seen.view(ME, 0), View::Missed);
}

#[test]
fn a_point_that_comes_back_to_one_a_moment_earlier_moves_nothing() {
    let mut trial = Trial::new();
    let (lost, fine) = ([(2_000, 2_000), (0, 0)], [(0, 0), (0, 0)]);
    trial.tell(0, &lost, &lost);
    for after in (10..RIDE_OUT).step_by(10) {
        trial.tell(after, &lost, &fine);
        assert_eq!(trial.moves(), None, "{after} ms after the other had its first answer");
    }
    trial.tell(RIDE_OUT + 20, &lost, &fine);
    assert!(trial.moves().is_some(), "by then it is this node's own loss");
}

#[test]
fn a_daemon_that_stands_still_is_neither_behind_nor_ahead() {
    let mut trial = Trial::new();
    // It had its last answer long ago and did not ask since.
    trial.tell(0, &[(5_000, 20), (5_000, 20)], &[(5, 0), (5, 0)]);
    assert_eq!((trial.moves(), trial.seen.view(ME, 0)), (None, View::Answers));
    // The point is dead: this one knows, the other one has not looked.
    trial.tell(0, &[(900, 900), (0, 0)], &[(880, 10), (0, 0)]);
    assert_eq!((trial.moves(), trial.seen.view(ME, 0)), (None, View::Missed));
}

#[test]
fn who_says_nothing_or_of_another_revision_is_neither_behind_nor_ahead() {
    let mut trial = Trial::new();
    trial.tell(0, &[(900, 900), (900, 900)], &[(5, 0), (5, 0)]);
    assert!(trial.moves().is_some());
    trial.state.revision += 1;
    trial.seen.note(ME, &trial.state, &trial.report);
    assert_eq!(trial.moves(), None, "both speak of an older configuration");
    let mut trial = Trial::new();
    trial.tell(0, &[(900, 900), (900, 900)], &[]);
    assert_eq!(trial.moves(), None, "the other node is of an older version");
    assert_eq!(trial.seen.view(PEER, 0), View::Unknown);
}

#[test]
fn of_two_points_each_misses_one_and_nobody_moves() {
    let mut trial = Trial::new();
    trial.tell(0, &[(900, 900), (5, 0)], &[(5, 0), (900, 900)]);
    assert_eq!((trial.seen.view(ME, 0), trial.seen.view(PEER, 1)), (View::Behind, View::Behind));
    assert_eq!(trial.moves(), None);
    trial.tell(0, &[(900, 900), (5, 0)], &[(5, 0), (5, 0)]);
    assert_eq!(trial.moves(), None, "the other one has it back just now");
    trial.tell(0, &[(900, 900), (900, 900)], &[(5, 0), (5, 0)]);
    assert_eq!(trial.moves(), None, "the other one's may be the first answer of all");
    trial.tell(10 * RIDE_OUT, &[(900, 900), (900, 900)], &[(5, 0), (5, 0)]);
    assert!(trial.moves().is_some(), "and then both");
}

#[test]
fn a_network_that_comes_and_goes_is_held_down_for_longer_each_time() {
    let mut trial = Trial::new();
    let service: ServiceId = "s0".into();
    let mut now = 0;
    let mut tell = |trial: &mut Trial, after: u64, behind: bool| {
        now += after;
        let at = NOW + Span::from_millis(now);
        let fine = Watch { answered: Some(at), missed: Some(Span::ZERO) };
        let lost = Watch { answered: None, missed: Some(Span::from_millis(900)) };
        let mut watched = Watched { revision: trial.state.revision, ..Watched::default() };
        watched.points[..2].fill(fine);
        trial.report.at = at;
        trial.report.more.points = watched.told(at);
        watched.points[0] = if behind { lost } else { fine };
        let peer = trial.report.peers.get_mut(&PEER).expect("it is known");
        (peer.heard, peer.more.points) = (Some(at), watched.told(at));
        trial.seen.note(ME, &trial.state, &trial.report);
        trial.seen.doubts(PEER, &service)
    };
    assert_eq!(tell(&mut trial, 0, false), 0);
    let mut held = Vec::new();
    for _ in 0..9 {
        assert_eq!(tell(&mut trial, 100, true), 1);
        let again = (1..).find(|_| tell(&mut trial, 100, false) == 0);
        held.push(again.unwrap_or_default() / 3);
    }
    assert_eq!(held, [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000], "in ride-outs");
    assert_eq!(trial.seen.view(PEER, 0), View::Answers);
}

#[test]
fn one_loss_counts_once_though_what_is_told_is_old_each_time_by_some_more() {
    let mut trial = Trial::new();
    trial.tell(0, &[(310, 310), (0, 0)], &[(5, 0), (0, 0)]);
    // The same word again, while time goes by, and then a newer one.
    trial.say(NOW + Span::from_millis(45), &[(355, 310), (0, 0)], &[(30, 0), (0, 0)]);
    assert_eq!(trial.seen.view(ME, 0), View::Behind);
    trial.say(NOW + Span::from_millis(50), &[(360, 360), (0, 0)], &[(0, 0), (0, 0)]);
    trial.say(NOW + Span::from_millis(60), &[(0, 0), (0, 0)], &[(10, 0), (0, 0)]);
    assert_eq!(trial.seen.view(ME, 0), View::Again);
    let held = NOW + Span::from_millis(60 + 10 * RIDE_OUT);
    trial.say(held, &[(0, 0), (0, 0)], &[(0, 0), (0, 0)]);
    assert_eq!(trial.seen.view(ME, 0), View::Answers, "held as for a first loss");
}

#[test]
fn a_service_goes_where_its_network_is_seen_whatever_else_speaks_for_a_node() {
    let mut trial = Trial::new();
    let service: ServiceId = "s0".into();
    trial.tell(0, &[(5, 0), (900, 900)], &[(5, 0), (5, 0)]);
    let able = Able::from(BTreeSet::from([ME, PEER]));
    if let Some(assignment) = trial.state.assignments.get_mut(&service) {
        assignment.wish = Some(ME);
        assignment.failures.insert(PEER, 5);
    }
    let best = placement::best(Sight::new(&trial.state, &able, &trial.seen), &service, None);
    assert_eq!(best, Some(PEER));
    trial.state.standby.insert(PEER);
    assert_eq!(trial.moves(), None, "nobody else may take it");
}

#[test]
fn the_coordinator_stops_what_it_sees_less_of_and_says_what_it_lost() {
    let mut desk = Desk::begun();
    let config = desk.node.state().config.clone().expect("it is founded");
    let mut wanted = config;
    wanted.more.networks = front();
    let base = desk.node.state().revision;
    let index = stead_core::id::Index(desk.node.state().applied.0 + 1);
    let change = Some(Change::Configure { base, config: wanted });
    let term = stead_core::id::Term(2);
    desk.take(stead_core::node::Event::Applied { index, term, change });
    let state = desk.node.state().clone();
    let tell = |desk: &mut Desk, missed: u64| {
        desk.tell(15, |report| {
            let now = report.at;
            let fine = Watch { answered: Some(now), missed: Some(Span::ZERO) };
            let mut watched = Watched { revision: state.revision, ..Watched::default() };
            watched.points[..2].fill(fine);
            let peer = report.peers.get_mut(&PEER).expect("it is known");
            (peer.heard, peer.acknowledged) = (Some(now), Some(now));
            peer.more.points = watched.told(now);
            watched.points[1].missed = Some(Span::from_millis(missed));
            report.more.points = watched.told(now);
        });
        let stops = |it: &&Command| {
            matches!(
                it,
                Command::Propose { change: Change::Stop { cause: Cause::Unreachable, .. }, .. }
            )
        };
        desk.commands.iter().filter(stops).count()
    };
    for _ in 0..25 {
        assert_eq!(tell(&mut desk, 0), 0);
    }
    assert_eq!(tell(&mut desk, 200), 0);
    assert_eq!(tell(&mut desk, 320), 1);
    let lost = "the reference point 10.0.0.1 of the network front does not answer this node";
    let said = |desk: &Desk, text: &str| {
        let about = |it: &Command| {
            matches!(it, Command::Notice(notice @ (Notice::PointLost(_) | Notice::PointBack(_)))
                if notice.to_string() == text)
        };
        desk.commands.iter().any(about)
    };
    assert!(said(&desk, lost), "{:?}", desk.commands);
    tell(&mut desk, 0);
    assert!(said(
        &desk,
        "the reference point 10.0.0.1 of the network front answers this node again"
    ));
}
