//! What single parts promise: the lease machine alone, proofs, placement.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use stead_core::fencing::Proof;
use stead_core::id::{Epoch, Incarnation, Index, NodeId, Term};
use stead_core::lease::{
    Admission, Command, Echo, Event, Heartbeat, Holding, Lease, LogTail, Order, Receipt, Report,
    WatchdogAct,
};
use stead_core::placement::{self, Able, Sight};
use stead_core::points::Seen;
use stead_core::state::{Change, ProofRecord, State};
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;

use super::state::Book;

pub const PEER: NodeId = NodeId(2);
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100));

/// A guard alone, its clock, and the newest datagram that it sent.
pub struct Bench {
    pub lease: Lease,
    pub now: Instant,
    pub sent: Option<Heartbeat>,
    /// The newest that it reported.
    pub report: Option<Report>,
    /// Until when its gate was armed last.
    pub armed: Option<Instant>,
    /// What was to be done about the watchdog since that was last looked at.
    pub acts: Vec<WatchdogAct>,
    /// The peer's count of its own datagrams.
    said: u64,
}

impl Bench {
    pub fn new() -> Self {
        let now = Instant(10_000_000);
        let lease =
            Lease::new(NodeId(1), Incarnation(1), now, Span::from_millis(1), Timers::default());
        let (sent, report, armed) = (None, None, None);
        let mut bench = Self { lease, now, sent, report, armed, acts: Vec::new(), said: 0 };
        bench.take(Event::DaemonConnected);
        bench.order(Order::Vote(Term(1)));
        bench.order(Order::Peers(BTreeSet::from([PEER])));
        bench.after(20, Event::Tick);
        bench
    }

    pub fn take(&mut self, event: Event) {
        self.lease.handle(self.now, event);
        while let Some(command) = self.lease.poll() {
            match command {
                Command::Send { heartbeat, .. } => self.sent = Some(heartbeat),
                Command::Report(report) => {
                    let open = self.armed.is_some_and(|it| it > self.now);
                    assert!(open || report.held.is_empty(), "it says so, and its gate is shut");
                    self.report = Some(report);
                }
                Command::Enforce { until, .. } => self.armed = Some(until),
                Command::Watchdog(act) => self.acts.push(act),
                Command::VoteKnown(_) => {}
            }
        }
    }

    pub fn after(&mut self, millis: u64, event: Event) {
        self.now += Span::from_millis(millis);
        self.take(event);
    }

    pub fn order(&mut self, order: Order) {
        self.take(Event::Order(order));
    }

    /// A coordinator's answer to our newest datagram.
    pub fn answer(&mut self) -> Heartbeat {
        let sent = self.sent.expect("the guard has sent something");
        self.said += 1;
        let held = Span::ZERO;
        Heartbeat {
            from: PEER,
            incarnation: Incarnation(5),
            sequence: stead_core::id::Sequence(self.said),
            term: Term(1),
            coordinator: true,
            released: false,
            daemon_alive: true,
            hears_coordinator: true,
            slack: Span::from_millis(1),
            log_tail: LogTail::default(),
            receipt: Some(Receipt { incarnation: sent.incarnation, sequence: sent.sequence, held }),
            echo: Some(Echo { authority: Span::from_millis(380), admission: Index(7) }),
            earlier_coordinator: Span::ZERO,
            more: Default::default(),
            later: Default::default(),
        }
    }

    pub fn hear(&mut self, heartbeat: Heartbeat) {
        self.take(Event::Heartbeat { link: 0, heartbeat });
    }

    pub fn has_lease(&self) -> bool {
        self.lease.lease_until() > self.now
    }

    pub fn applied(&mut self, index: u64) {
        let (applied, log_tail) = (Index(index), LogTail::default());
        self.order(Order::Applied { applied, log_tail });
    }
}

#[test]
fn a_lease_needs_the_admission_to_be_applied() {
    let mut bench = Bench::new();
    let answer = bench.answer();
    bench.hear(answer);
    assert!(!bench.has_lease(), "rule H1");
    bench.applied(7);
    let answer = bench.answer();
    bench.hear(answer);
    assert!(bench.has_lease());
    assert!(bench.lease.lease_until() <= bench.now + Span::from_millis(380));
}

#[test]
fn nothing_but_an_answer_of_this_term_to_this_start_gives_a_lease() {
    type Spoil = fn(&mut Heartbeat);
    let spoils: [(&str, Spoil); 6] = [
        ("an older term", |it| it.term = Term(0)),
        ("no coordinator", |it| it.coordinator = false),
        ("another start", |it| {
            it.receipt = it.receipt.map(|old| Receipt { incarnation: Incarnation(9), ..old });
        }),
        ("never sent", |it| {
            let sequence = stead_core::id::Sequence(1_000);
            it.receipt = it.receipt.map(|old| Receipt { sequence, ..old });
        }),
        ("no echo", |it| it.echo = None),
        ("a stranger", |it| it.from = NodeId(9)),
    ];
    for (what, spoil) in spoils {
        let mut bench = Bench::new();
        bench.applied(7);
        let mut answer = bench.answer();
        spoil(&mut answer);
        bench.hear(answer);
        assert!(!bench.has_lease(), "{what}");
    }
}

#[test]
fn the_remaining_authority_bounds_a_lease() {
    let mut bench = Bench::new();
    bench.applied(7);
    let mut answer = bench.answer();
    answer.echo = Some(Echo { authority: Span::from_millis(50), admission: Index(7) });
    bench.hear(answer);
    assert!(bench.has_lease() && bench.lease.lease_until() <= bench.now + Span::from_millis(50));
}

#[test]
fn what_lapsed_never_comes_back_under_its_epoch() {
    let mut bench = Bench::new();
    bench.applied(7);
    let answer = bench.answer();
    bench.hear(answer);
    let hold = |epoch| {
        let holding = Holding { address: ADDRESS, epoch: Epoch(epoch) };
        Order::Hold { number: 1, addresses: vec![holding] }
    };
    bench.order(hold(4));
    let waiting = bench.answer();
    // A pause longer than the lease; an answer waited meanwhile.
    bench.now += Span::from_millis(1_000);
    bench.hear(waiting);
    bench.after(20, Event::Tick);
    let answer = bench.answer();
    bench.hear(answer);
    assert!(bench.has_lease());
    let held = |bench: &mut Bench, epoch| {
        bench.order(hold(epoch));
        bench.lease.handle(bench.now, Event::Order(Order::Readmit(PEER)));
        let mut held = Vec::new();
        while let Some(command) = bench.lease.poll() {
            if let Command::Report(report) = command {
                held = report.held;
            }
        }
        held.len()
    };
    assert_eq!(held(&mut bench, 4), 0);
    assert_eq!(held(&mut bench, 5), 1);
}

/// This guard leads in term 1, itself admitted at that index.
pub fn lead(voters: &[u64], index: u64) -> Order {
    let voters = vec![voters.iter().copied().map(NodeId).collect()];
    let admission = Admission { incarnation: Incarnation(1), index: Index(index) };
    Order::Lead { term: Term(1), voters, admitted: BTreeMap::from([(NodeId(1), admission)]) }
}

#[test]
fn a_coordinator_needs_its_own_admission_to_be_applied() {
    let mut bench = Bench::new();
    bench.applied(7);
    bench.order(lead(&[1], 9));
    bench.after(20, Event::Tick);
    assert!(!bench.has_lease(), "rule H1");
    bench.applied(9);
    assert!(bench.has_lease());
}

#[test]
fn nobody_is_given_more_than_a_lease_whatever_it_counts_by() {
    let mut bench = Bench::new();
    bench.applied(9);
    let heartbeat = Heartbeat { coordinator: false, echo: None, ..bench.answer() };
    bench.hear(heartbeat);
    let admission = Admission { incarnation: Incarnation(5), index: Index(9) };
    let voters = vec![BTreeSet::from([NodeId(1)])];
    let admitted = BTreeMap::from([(PEER, admission)]);
    bench.order(Order::Lead { term: Term(1), voters, admitted });
    bench.after(200, Event::Tick);
    bench.after(20, Event::Tick);
    let echo = bench.sent.and_then(|sent| sent.echo).expect("it was admitted");
    assert!(echo.authority > Span::ZERO && echo.authority <= Timers::default().lease);
}

#[test]
fn a_datagram_that_names_none_of_ours_is_no_sign_of_life() {
    let mut bench = Bench::new();
    let recorded = Heartbeat { receipt: None, echo: None, ..bench.answer() };
    let now = bench.now;
    let heard = |bench: &mut Bench, heartbeat| {
        bench.lease.handle(now, Event::Heartbeat { link: 0, heartbeat });
        bench.lease.handle(now, Event::Order(Order::Readmit(PEER)));
        let mut heard = None;
        while let Some(command) = bench.lease.poll() {
            if let Command::Report(report) = command {
                heard = report.peers[&PEER].heard;
            }
        }
        heard
    };
    assert_eq!(heard(&mut bench, recorded), None, "it may be a recording");
    let answer = bench.answer();
    assert_eq!(heard(&mut bench, answer), Some(now));
}

#[test]
fn what_was_sent_before_the_role_gives_no_authority() {
    let mut bench = Bench::new();
    bench.applied(9);
    let echo = |bench: &mut Bench| {
        let answer = bench.answer();
        let echo = Some(Echo { authority: Span::ZERO, admission: Index(0) });
        Heartbeat { coordinator: false, echo, ..answer }
    };
    let early = echo(&mut bench);
    bench.order(lead(&[1, 2], 9));
    bench.hear(early);
    assert!(!bench.has_lease(), "that was not sent as coordinator");
    let now = echo(&mut bench);
    bench.hear(now);
    assert!(bench.has_lease());
}

#[test]
fn other_voters_count_once_they_have_echoed_what_was_sent_since() {
    let mut bench = Bench::new();
    bench.applied(9);
    bench.order(lead(&[1, 2], 9));
    let echoed = |bench: &mut Bench| {
        let answer = bench.answer();
        let echo = Some(Echo { authority: Span::ZERO, admission: Index(0) });
        bench.hear(Heartbeat { coordinator: false, echo, ..answer });
        bench.after(20, Event::Tick);
    };
    let reported = |bench: &Bench| bench.report.as_ref().map(|it| it.voters.clone());
    echoed(&mut bench);
    assert_eq!(reported(&bench), Some(vec![BTreeSet::from([NodeId(1), PEER])]));
    bench.order(lead(&[1, 2, 3], 9));
    bench.after(20, Event::Tick);
    assert!(bench.has_lease(), "what the former voters gave is not taken back");
    assert_eq!(reported(&bench), Some(Vec::new()), "a majority of the new ones has to know first");
    echoed(&mut bench);
    echoed(&mut bench);
    let all = BTreeSet::from([NodeId(1), PEER, NodeId(3)]);
    assert_eq!(reported(&bench), Some(vec![all]));
}

#[test]
fn what_was_sent_by_a_wrong_clock_earns_no_lease_when_the_clock_is_right_again() {
    let mut bench = Bench::new();
    bench.applied(7);
    bench.take(Event::ClockTrusted(false));
    bench.after(20, Event::Tick);
    let late = bench.answer();
    bench.after(20, Event::ClockTrusted(true));
    bench.hear(late);
    assert!(!bench.has_lease(), "it counted from a time that the wrong clock showed");
    bench.after(20, Event::Tick);
    let answer = bench.answer();
    bench.hear(answer);
    assert!(bench.has_lease());
}

#[test]
fn a_released_guard_holds_nothing_for_ever() {
    let mut bench = Bench::new();
    bench.applied(7);
    bench.order(Order::Release);
    let answer = bench.answer();
    assert!(bench.sent.is_some_and(|sent| sent.released));
    bench.hear(answer);
    bench.order(Order::Vote(Term(2)));
    let voters = vec![BTreeSet::from([NodeId(1)])];
    let admission = Admission { incarnation: Incarnation(1), index: Index(0) };
    let admitted = BTreeMap::from([(NodeId(1), admission)]);
    bench.order(Order::Lead { term: Term(2), voters, admitted });
    bench.after(20, Event::Tick);
    assert!(!bench.has_lease(), "rule H4");
}

#[test]
fn a_clock_that_can_not_be_trusted_ends_the_lease() {
    let mut bench = Bench::new();
    bench.applied(7);
    let answer = bench.answer();
    bench.hear(answer);
    bench.take(Event::ClockTrusted(false));
    assert!(!bench.has_lease(), "rule H6");
    let answer = bench.answer();
    bench.hear(answer);
    assert!(!bench.has_lease());
    bench.take(Event::ClockTrusted(true));
    assert!(!bench.has_lease(), "what was measured by it counts for nothing");
    bench.after(20, Event::Tick);
    let answer = bench.answer();
    bench.hear(answer);
    assert!(bench.has_lease());
}

#[test]
fn nothing_is_echoed_before_the_vote_is_known() {
    let now = Instant(10_000_000);
    let timers = Timers::default();
    let lease = Lease::new(NodeId(1), Incarnation(1), now, Span::from_millis(1), timers);
    let (sent, report, armed) = (None, None, None);
    let mut bench = Bench { lease, now, sent, report, armed, acts: Vec::new(), said: 0 };
    bench.order(Order::Peers(BTreeSet::from([PEER])));
    bench.after(20, Event::Tick);
    let answer = bench.answer();
    bench.hear(answer);
    bench.after(20, Event::Tick);
    assert!(bench.sent.is_some_and(|sent| sent.echo.is_none()), "rule T2");
    bench.order(Order::Vote(Term(1)));
    let answer = bench.answer();
    bench.hear(answer);
    assert!(bench.sent.is_some_and(|sent| sent.echo.is_some()));
    bench.order(Order::Vote(Term(2)));
    assert!(bench.sent.is_some_and(|sent| sent.echo.is_none()), "nothing to an older term");
}

#[test]
fn a_node_that_was_never_heard_counts_as_heard_when_the_guard_started() {
    let mut bench = Bench::new();
    let started = Instant(10_000_000);
    let voters = vec![BTreeSet::from([NodeId(1)])];
    bench.order(Order::Lead { term: Term(1), voters, admitted: BTreeMap::new() });
    bench.lease.handle(bench.now, Event::Order(Order::Revoke(PEER)));
    let reports = std::iter::from_fn(|| bench.lease.poll()).filter_map(|it| match it {
        Command::Report(report) => Some(report),
        Command::Send { .. }
        | Command::Enforce { .. }
        | Command::VoteKnown(_)
        | Command::Watchdog(_) => None,
    });
    let report = reports.last().expect("it reports a revocation at once");
    assert_eq!(report.peers[&PEER].revoked, Some(started), "rule C1");
    let mut book = Book::founded();
    book.state.timers = Timers::default();
    let mut report = report;
    report.earlier_coordinator = Some(Instant::START);
    if let Some(peer) = report.peers.get_mut(&PEER) {
        peer.revoked = Some(Instant::START);
    }
    let due = Proof::due(&book.state, &report, PEER);
    assert!(due.is_some_and(|due| due > started + Timers::default().lease), "rule C1: {due:?}");
}

#[test]
fn only_what_nobody_holds_is_proven_unheld() {
    let mut book = Book::founded();
    let proof = Proof::unheld(&book.state, &"s0".into());
    assert_eq!(proof.map(|proof| proof.record()), Some(ProofRecord::NeverHeld));
    let assign = book.assign("s0", 1);
    book.done(assign);
    assert_eq!(Proof::unheld(&book.state, &"s0".into()), None);
    assert_eq!(Proof::unheld(&book.state, &"no".into()), None);
}

#[test]
fn placement_prefers_the_wish_then_fewer_failures_then_less_load() {
    let mut book = Book::founded();
    let (able, seen) =
        (Able::from(BTreeSet::from([NodeId(1), NodeId(2), NodeId(3)])), Seen::default());
    let best = |state: &State, without| {
        placement::best(Sight::new(state, &able, &seen), &"s0".into(), without)
    };
    assert_eq!(best(&book.state, None), Some(NodeId(1)), "the lowest number among equals");
    assert_eq!(best(&book.state, Some(NodeId(1))), Some(NodeId(2)), "3 is not in the view");
    let assign = book.assign("s1", 1);
    book.done(assign);
    assert_eq!(best(&book.state, None), Some(NodeId(2)), "the one with fewer services");
    let assignment = book.state.assignments.get_mut(&"s0".into()).expect("it is there");
    assignment.failures.insert(NodeId(2), 1);
    assert_eq!(best(&book.state, None), Some(NodeId(1)));
    let assignment = book.state.assignments.get_mut(&"s0".into()).expect("it is there");
    assignment.wish = Some(NodeId(2));
    assert_eq!(best(&book.state, None), Some(NodeId(2)));
    book.done(Change::Standby { node: NodeId(2), on: true });
    assert_eq!(best(&book.state, None), Some(NodeId(1)));
    let change = super::placed::assignment(Sight::new(&book.state, &able, &seen));
    assert!(matches!(change, Some(Change::Assign { node: NodeId(1), .. })), "{change:?}");
}

#[test]
fn a_service_leaves_a_node_on_standby_only_if_another_can_take_it() {
    let mut book = Book::founded();
    for service in ["s0", "s1"] {
        let assign = book.assign(service, 1);
        book.done(assign);
    }
    let (able, seen) = (Able::from(BTreeSet::from([NodeId(1), NodeId(2)])), Seen::default());
    assert_eq!(super::placed::departure(Sight::new(&book.state, &able, &seen)), None);
    book.done(Change::Standby { node: NodeId(1), on: true });
    let change = super::placed::departure(Sight::new(&book.state, &able, &seen));
    assert!(matches!(change, Some(Change::Stop { wish: Some(NodeId(2)), .. })), "{change:?}");
    let alone = Able::from(BTreeSet::from([NodeId(1)]));
    assert_eq!(
        super::placed::departure(Sight::new(&book.state, &alone, &seen)),
        None,
        "better here than nowhere"
    );
    let moves = placement::successors(
        Sight::new(&book.state, &able, &seen),
        NodeId(1),
        ProofRecord::LeaseExpired,
    );
    assert!(moves.iter().all(|(_, to)| *to == Some(NodeId(2))), "{moves:?}");
}
