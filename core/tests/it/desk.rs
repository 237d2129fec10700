//! The node machine alone: what a coordinator may do, and when.

use std::collections::BTreeSet;

use stead_core::id::{Epoch, Incarnation, Index, NodeId, Term};
use stead_core::lease::{LogTail, Order, PeerReport, Report};
use stead_core::node::{Command, Event, Fate, LogView, Node};
use stead_core::notice::Notice;
use stead_core::state::{Change, Outcome, State};
use stead_core::table::Table;
use stead_core::time::{Instant, Span};

use super::state::Book;

pub const ME: NodeId = NodeId(1);
pub const PEER: NodeId = NodeId(2);

/// A daemon of the first of two members, its clock, and what its guard last reported.
pub struct Desk {
    pub node: Node,
    pub now: Instant,
    pub report: Report,
    pub commands: Vec<Command>,
}

fn peer(at: Instant) -> PeerReport {
    PeerReport {
        heard: Some(at),
        acknowledged: Some(at),
        incarnation: Incarnation(1),
        term: Term(2),
        coordinator: false,
        daemon_alive: true,
        hears_coordinator: true,
        released: None,
        revoked: None,
        slack: Span::from_millis(1),
        log_tail: LogTail::default(),
        round_trip: Span::ZERO,
        links: Table::new(),
        more: Default::default(),
    }
}

/// A log in which both vote, with its last entry there, of that term.
pub fn log_of_both(term: Term, leader: Option<NodeId>, index: Index) -> LogView {
    let voters = vec![BTreeSet::from([ME, PEER])];
    LogView { term, leader, voters, tail: LogTail { term, index }, ..LogView::default() }
}

impl Desk {
    /// It leads in term 2; the last coordinator that began was that of term 1.
    pub fn new() -> Self {
        Self::with(Book::founded().state)
    }

    /// The same, of that state.
    pub fn with(state: State) -> Self {
        let now = Instant(10_000_000);
        let voters = vec![BTreeSet::from([ME, PEER])];
        let report = Report {
            at: now,
            incarnation: Incarnation(1),
            started: Instant(1_000_000),
            term: Term(2),
            vote_known: true,
            coordinates: Some(Term(2)),
            voters: voters.clone(),
            lease_until: Instant::NEVER,
            quorate_until: Instant::NEVER,
            earlier_coordinator: Some(Instant(1_000_000)),
            hears_coordinator: true,
            released: false,
            clock_distrusted: false,
            held: Vec::new(),
            hold_number: 0,
            timers: state.timers,
            lapsed: Epoch(0),
            peers: Table::from([(PEER, peer(now))]),
            more: Default::default(),
            later: Default::default(),
        };
        let index = state.applied;
        let mut desk = Self { node: Node::new(ME, state), now, report, commands: Vec::new() };
        desk.take(Event::Log(log_of_both(Term(2), Some(ME), index)));
        desk.take(Event::Current(index));
        desk.tell(0, |_| {});
        desk
    }

    /// The same, and its term has begun.
    pub fn begun() -> Self {
        let mut desk = Self::new();
        desk.apply(Change::Lead { term: Term(2) });
        desk.commit_assignments();
        desk.tell(1, |_| {});
        desk
    }

    /// The log commits what is to be assigned, admitted or settled, until nothing is.
    pub fn commit_assignments(&mut self) {
        let assign = |it: &Command| {
            let Command::Propose { ticket, change } = it else { return None };
            let wanted = matches!(
                change,
                Change::Assign { .. } | Change::Admit { .. } | Change::Settle { .. }
            );
            wanted.then(|| (*ticket, change.clone()))
        };
        while let Some((ticket, change)) = self.commands.iter().find_map(assign) {
            self.apply(change);
            let committed = Fate::Committed(self.node.state().applied, Outcome::Done);
            self.take(Event::Proposed { ticket, fate: committed });
        }
    }

    pub fn take(&mut self, event: Event) {
        self.node.handle(self.now, event);
        self.commands = std::iter::from_fn(|| self.node.poll()).collect();
    }

    pub fn apply(&mut self, change: Change) {
        let index = Index(self.node.state().applied.0 + 1);
        self.take(Event::Applied { index, term: Term(2), change: Some(change) });
    }

    /// Time passes and the guard reports.
    pub fn tell(&mut self, millis: u64, change: impl FnOnce(&mut Report)) {
        self.now += Span::from_millis(millis);
        self.report.at = self.now;
        change(&mut self.report);
        let report = self.report.clone();
        self.take(Event::Report(report));
    }

    pub fn hear(report: &mut Report, at: Instant) {
        let it = report.peers.get_or_insert_with(PEER, || peer(at));
        (it.heard, it.acknowledged) = (Some(at), Some(at));
    }

    fn ordered(&self, wanted: &Order) -> bool {
        self.commands.iter().any(|it| matches!(it, Command::Guard(order) if order == wanted))
    }

    /// Whom the guard was told to let have a lease, if it was told.
    fn admitted(&self) -> Option<Vec<NodeId>> {
        self.commands.iter().find_map(|it| {
            let Command::Guard(Order::Lead { admitted, .. }) = it else { return None };
            Some(admitted.keys().copied().collect())
        })
    }

    pub fn proposed(&self, wanted: impl Fn(&Change) -> bool) -> Option<u64> {
        self.commands.iter().find_map(|it| {
            let Command::Propose { ticket, change } = it else { return None };
            wanted(change).then_some(*ticket)
        })
    }

    fn takeover(&self) -> Option<u64> {
        self.proposed(|change| matches!(change, Change::Takeover(_)))
    }

    /// The peer falls silent and is revoked; returns when it was last heard.
    fn suspect(&mut self) -> Instant {
        let heard = self.now;
        self.tell(0, |report| Self::hear(report, heard));
        self.tell(330, |_| {});
        assert!(self.ordered(&Order::Revoke(PEER)), "{:?}", self.commands);
        self.tell(1, |report| {
            report.peers.get_mut(&PEER).expect("it is known").revoked = Some(heard);
        });
        heard
    }
}

#[test]
fn nobody_gets_a_lease_before_the_own_term_began() {
    let mut desk = Desk::new();
    assert!(desk.node.is_ready());
    assert_eq!(desk.admitted().or(Some(Vec::new())), Some(Vec::new()), "rule C1");
    for _ in 0..20 {
        desk.tell(20, |_| {});
        assert_eq!(desk.admitted().unwrap_or_default(), [], "rule C1");
        assert_eq!(desk.takeover(), None);
    }
    desk.apply(Change::Lead { term: Term(2) });
    assert_eq!(desk.admitted(), Some(vec![ME, PEER]));
}

#[test]
fn nobody_gets_a_lease_by_timers_that_are_not_in_force() {
    let mut desk = Desk::new();
    desk.tell(20, |report| report.timers.lease = report.timers.lease.times(2));
    let mut later = Desk { commands: Vec::new(), ..desk };
    later.node = Node::new(ME, Book::founded().state);
    let index = later.node.state().applied;
    later.take(Event::Log(log_of_both(Term(2), Some(ME), index)));
    later.take(Event::Current(index));
    later.tell(1, |_| {});
    later.apply(Change::Lead { term: Term(2) });
    assert_eq!(later.admitted().unwrap_or_default(), []);
    later.tell(40, |report| {
        report.timers =
            stead_core::timers::Timers::derive(Span::from_millis(300), Span::from_millis(1))
                .expect("they follow")
    });
    assert_eq!(later.admitted(), Some(vec![ME, PEER]));
}

#[test]
fn a_takeover_waits_for_d_and_needs_the_revocation() {
    let mut desk = Desk::begun();
    let heard = desk.suspect();
    // What the guard has not confirmed proves nothing.
    let wait = desk.node.state().wait(Span::from_millis(1));
    while desk.now + Span::from_millis(2) < heard + wait {
        desk.tell(1, |_| {});
        assert_eq!(
            desk.takeover(),
            None,
            "{:?} after the last sign of life",
            desk.now.since(heard)
        );
    }
    desk.tell(3, |_| {});
    assert!(desk.takeover().is_some());
    // From here on it gets no echo.
    assert_eq!(desk.admitted(), None);
    desk.tell(1, |_| {});
    assert_eq!(desk.admitted(), Some(vec![ME]), "rule C2");

    let mut desk = Desk::begun();
    desk.suspect();
    desk.tell(0, |report| report.peers.get_mut(&PEER).expect("it is known").revoked = None);
    desk.tell(2_000, |_| {});
    assert_eq!(desk.takeover(), None, "not revoked");
}

#[test]
fn a_revocation_of_before_the_refutation_proves_nothing() {
    // Heard again after the guard revoked it, or just before.
    for before in [false, true] {
        let mut desk = Desk::begun();
        desk.suspect();
        let again = desk.now;
        desk.tell(1, |report| {
            Desk::hear(report, again);
            if before {
                report.peers.get_mut(&PEER).expect("it is known").revoked = Some(again);
            }
        });
        assert!(desk.ordered(&Order::Readmit(PEER)), "{:?}", desk.commands);
        // The guard hangs before it obeys, and its reports with it; or the daemon does, and looks
        // at the clock before it reads them.
        for _ in 0..60 {
            desk.now += Span::from_millis(20);
            desk.take(Event::Tick);
            assert_eq!(desk.takeover(), None, "rule C2");
        }
    }
}

#[test]
fn a_removal_that_may_come_is_not_taken_back() {
    let mut desk = Desk::begun();
    desk.suspect();
    desk.tell(400, |_| {});
    let ticket = desk.takeover().expect("it is proven");
    let again = desk.now;
    desk.tell(5, |report| {
        Desk::hear(report, again);
        report.peers.get_mut(&PEER).expect("it is known").revoked = None;
    });
    desk.take(Event::Proposed { ticket, fate: Fate::Unknown });
    assert!(!desk.ordered(&Order::Readmit(PEER)), "rule C2");
    // It goes through with it instead, though the guard started anew and revoked nobody.
    let mut removed = false;
    for _ in 0..100 {
        let now = desk.now;
        desk.tell(20, |report| {
            report.incarnation = Incarnation(2);
            report.coordinates = Some(Term(2));
            Desk::hear(report, now);
            let peer = report.peers.get_mut(&PEER).expect("it is known");
            peer.revoked = peer.revoked.filter(|at| *at >= again);
        });
        assert!(desk.admitted().is_none_or(|nodes| !nodes.contains(&PEER)), "rule C2");
        if desk.ordered(&Order::Revoke(PEER)) {
            desk.report.peers.get_mut(&PEER).expect("it is known").revoked = Some(now);
        }
        removed |= desk.takeover().is_some();
        desk.commit_assignments();
    }
    assert!(removed, "it is neither in nor out");
}

#[test]
fn one_voter_at_a_time_and_only_when_the_guard_counts_the_last() {
    let mut desk = Desk::begun();
    let token = [3; 32];
    desk.apply(Change::AddToken { token, node: "c".into() });
    desk.apply(Change::Join { token, key: token });
    let adds = |desk: &Desk| desk.commands.iter().any(|it| matches!(it, Command::AddVoter { .. }));
    let mut added = false;
    for _ in 0..200 {
        desk.tell(20, |report| report.voters = vec![BTreeSet::from([ME])]);
        assert!(!adds(&desk), "rule C4");
    }
    for _ in 0..200 {
        desk.tell(20, |report| report.voters = vec![BTreeSet::from([ME, PEER])]);
        added |= adds(&desk);
    }
    assert!(added);
}

#[test]
fn former_timers_count_until_the_guard_counts_by_the_new() {
    let mut desk = Desk::begun();
    let mut wanted = desk.node.state().config.clone().expect("it is configured");
    wanted.ride_out = Span::from_millis(100);
    desk.apply(Change::Configure { base: 1, config: wanted });
    let settles = |desk: &Desk| desk.proposed(|change| matches!(change, Change::Settle { .. }));
    let alive = |report: &mut Report| {
        let now = report.at;
        Desk::hear(report, now);
    };
    for _ in 0..200 {
        desk.tell(10, alive);
        assert_eq!(settles(&desk), None, "leases by the former timers may be given yet");
    }
    let timers = desk.node.state().timers;
    let mut settled = false;
    for _ in 0..200 {
        desk.tell(10, |report| {
            report.timers = timers;
            alive(report);
        });
        settled |= settles(&desk).is_some();
    }
    assert!(settled);
}

/// How often a round trip was told to be too long while the guard reported these, 20 ms apart.
fn told(desk: &mut Desk, round_trips: impl IntoIterator<Item = Span>) -> usize {
    let mut count = 0;
    for round_trip in round_trips {
        desk.tell(20, |report| {
            Desk::hear(report, report.at);
            report.peers.get_mut(&PEER).expect("it is known").round_trip = round_trip;
        });
        let long = |it: &&Command| {
            matches!(it, Command::Notice(Notice::RoundTripExceeded(name, span))
                if name == "b" && *span == round_trip)
        };
        count += desk.commands.iter().filter(long).count();
        desk.commit_assignments();
    }
    count
}

#[test]
fn a_long_round_trip_is_told_once_and_again_only_after_a_good_minute() {
    let mut desk = Desk::begun();
    let allowed = desk.node.state().timers.round_trip;
    let (long, nearly, good) = (allowed.times(2), Span(allowed.0 - 1), Span(allowed.0 / 2));
    let for_seconds = |seconds: usize, span| std::iter::repeat_n(span, 50 * seconds);
    assert_eq!(told(&mut desk, for_seconds(5, allowed)), 0, "as configured");
    let fading = |span: &Span| (span.0 > good.0).then(|| Span(span.0 - span.0 / 64));
    let stall = std::iter::successors(Some(Span::from_millis(100)), fading);
    assert_eq!(told(&mut desk, stall), 0, "a machine stood still");
    assert_eq!(told(&mut desk, for_seconds(61, good)), 0);
    assert_eq!(told(&mut desk, for_seconds(5, long)), 1);
    assert_eq!(told(&mut desk, for_seconds(61, nearly)), 0);
    assert_eq!(told(&mut desk, for_seconds(5, long)), 0, "it was not good in between");
    assert_eq!(told(&mut desk, for_seconds(30, good)), 0);
    assert_eq!(told(&mut desk, for_seconds(5, long)), 0, "nor for long enough");
    assert_eq!(told(&mut desk, for_seconds(61, good)), 0);
    assert_eq!(told(&mut desk, for_seconds(5, long)), 1);
}
