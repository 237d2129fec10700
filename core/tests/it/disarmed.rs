//! What each of the rules of being disarmed promises (`docs/protocol.md`, section 13), one
//! machine at a time.

use std::collections::BTreeSet;

use stead_core::fencing::Proof;
use stead_core::id::{Epoch, Incarnation, Index, NodeId, Term};
use stead_core::lease::{Counts, Echo, Heartbeat, Holding, Order, Report};
use stead_core::node::{Command, Event};
use stead_core::placement::{self, Able, Sight};
use stead_core::points::Seen;
use stead_core::state::{Change, Outcome, ProofRecord, Refusal};
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;

use super::desk::{self, Desk};
use super::parts::{ADDRESS, Bench, PEER, lead};
use super::state::Book;

const SPAN: Span = Span::from_millis(60_000);

fn timers(ride_out: u64) -> Timers {
    Timers::derive(Span::from_millis(ride_out), Span::from_millis(1)).expect("they follow")
}

/// A guard that counts by these timers since a revision, has a lease as long as they allow, and
/// holds an address.
fn holding_by(timers: Timers, revision: u64) -> Bench {
    let mut bench = Bench::new();
    bench.order(Order::Count { revision, timers });
    bench.applied(7);
    give(&mut bench, SPAN);
    let holding = Holding { address: ADDRESS, epoch: Epoch(4) };
    bench.order(Order::Hold { number: 1, addresses: vec![holding] });
    assert!(bench.armed.is_some());
    bench
}

/// The coordinator answers, and has so much authority left.
fn give(bench: &mut Bench, authority: Span) {
    let echo = Some(Echo { authority, admission: Index(7) });
    let answer = Heartbeat { echo, ..bench.answer() };
    bench.hear(answer);
}

fn said(bench: &Bench) -> Option<Counts> {
    bench.sent.and_then(|sent| sent.more.counts)
}

/// Nothing is heard for so long.
fn pass(bench: &mut Bench, millis: u64) {
    for _ in 0..millis / 10 {
        bench.after(10, stead_core::lease::Event::Tick);
    }
}

#[test]
fn a_disarmed_lease_is_long_and_its_gate_short() {
    let timers = timers(300);
    let mut bench = holding_by(timers.disarmed(SPAN), 3);
    for _ in 0..10 {
        pass(&mut bench, 1_000);
        assert!(bench.has_lease(), "rule M1");
        let armed = bench.armed.expect("it is held");
        assert!(armed > bench.now, "it is served");
        assert!(armed <= bench.now + timers.ordinary_lease(), "rule M4: {armed:?}");
    }
    pass(&mut bench, 60_000);
    assert!(!bench.has_lease(), "rule M1: and it ends");
}

#[test]
fn a_guard_that_stood_still_opens_its_gate_before_it_says_what_it_holds() {
    let mut bench = holding_by(timers(300).disarmed(SPAN), 3);
    bench.report = None;
    // the bench looks at the gate whenever something is reported
    bench.after(1_000, stead_core::lease::Event::Tick);
    assert!(bench.report.as_ref().is_some_and(|it| !it.held.is_empty()), "rule M4");
}

/// A guard that stood still tells first what it was about to tell: its gate has shut since.
#[test]
fn an_old_word_of_what_is_held_announces_nothing() {
    for (old, announces) in [(0, true), (380, true), (1_000, false)] {
        let mut desk = Desk::begun();
        desk.tell(1, |report| report.timers = timers(300).disarmed(SPAN));
        let state = desk.node.state();
        let (service, epoch) = state
            .held_by(desk::ME)
            .next()
            .map(|(service, it)| (service.clone(), it.epoch))
            .expect("it serves");
        desk.take(Event::Probed { service, epoch, conflict: None });
        let held = |it: &Command| {
            let Command::Guard(Order::Hold { number, addresses }) = it else { return None };
            Some((*number, addresses.clone()))
        };
        let asked = desk.commands.iter().find_map(held);
        let (number, addresses) = asked.expect("the guard is asked for it");
        desk.tell(1, |report| {
            report.at = Instant(report.at.0 - old * 1_000);
            (report.hold_number, report.held) = (number, addresses);
        });
        let told = desk.commands.iter().any(|it| matches!(it, Command::Announce { .. }));
        assert_eq!(told, announces, "{old} ms old: {:?}", desk.commands);
    }
}

#[test]
fn a_disarmed_coordinator_that_hears_nobody_keeps_its_lease_and_decides_nothing() {
    let mut bench = Bench::new();
    let timers = timers(300).disarmed(SPAN);
    bench.order(Order::Count { revision: 3, timers });
    bench.applied(9);
    bench.order(lead(&[1, 2], 9));
    let answer = bench.answer();
    let echo = Some(Echo { authority: Span::ZERO, admission: Index(0) });
    bench.hear(Heartbeat { coordinator: false, echo, ..answer });
    assert!(bench.report.as_ref().is_some_and(|it| it.quorate_until > bench.now));
    pass(&mut bench, 1_000);
    let report = bench.report.as_ref().expect("it reports");
    assert!(bench.has_lease(), "rule M1");
    assert!(report.quorate_until <= bench.now && !report.hears_coordinator, "rule M2");
    assert!(bench.sent.is_some_and(|sent| sent.coordinator && !sent.hears_coordinator), "rule E1");
}

#[test]
fn a_fall_caps_what_was_given_and_no_earlier_timers_come_back() {
    let (short, long) = (timers(300), timers(300).disarmed(SPAN));
    let mut bench = holding_by(long, 3);
    bench.order(Order::Count { revision: 4, timers: short });
    let most = bench.now + short.lease;
    assert!(bench.lease.lease_until() <= most, "rule M3");
    assert!(bench.armed.is_some_and(|armed| armed <= most), "rule M3");
    assert_eq!(said(&bench), Some(Counts { revision: 4, lease: short.lease }));
    bench.order(Order::Count { revision: 3, timers: long });
    assert!(bench.has_lease());
    bench.after(20, stead_core::lease::Event::Tick);
    give(&mut bench, SPAN);
    assert!(bench.lease.lease_until() <= bench.now + short.lease, "rule M3: of the past");
    assert_eq!(said(&bench).map(|it| it.revision), Some(4));
}

#[test]
fn a_fall_is_said_when_the_keepers_of_programs_have_seen_it() {
    let (short, long) = (timers(300), timers(2_000));
    let mut bench = holding_by(long, 3);
    let shown = bench.armed.expect("it is held");
    bench.order(Order::Count { revision: 4, timers: short });
    assert!(bench.armed.is_some_and(|armed| armed <= bench.now + short.lease), "capped at once");
    let mut rounds = 0;
    while bench.now + short.lease < shown {
        assert_eq!(said(&bench), Some(Counts { revision: 3, lease: long.lease }), "rule M3");
        assert_eq!(bench.report.as_ref().and_then(|it| it.more.revision), Some(3));
        bench.after(15, stead_core::lease::Event::Tick);
        give(&mut bench, short.lease);
        rounds += 1;
    }
    assert!(rounds > 50, "a keeper may sleep for long: {rounds}");
    bench.after(15, stead_core::lease::Event::Tick);
    assert_eq!(said(&bench), Some(Counts { revision: 4, lease: short.lease }));
    assert_eq!(bench.report.as_ref().and_then(|it| it.more.revision), Some(4));
}

#[test]
fn a_coordinator_of_the_own_term_alone_makes_a_lease_shorter() {
    type Spoil = fn(&mut Heartbeat);
    let spoils: [(&str, Spoil, bool); 4] = [
        ("as it is", |_| {}, true),
        ("no coordinator", |it| it.coordinator = false, false),
        ("an older term", |it| it.term = Term(0), false),
        ("what is longer", |it| it.more.counts = counts(4, SPAN.times(2)), false),
    ];
    for (what, spoil, shorter) in spoils {
        let mut bench = holding_by(timers(300).disarmed(SPAN), 3);
        let mut heartbeat = bench.answer();
        heartbeat.more.counts = counts(4, timers(300).lease);
        spoil(&mut heartbeat);
        bench.hear(heartbeat);
        let most = bench.now + timers(300).lease;
        assert_eq!(bench.lease.lease_until() <= most, shorter, "rule M3: {what}");
        assert_eq!(said(&bench).map(|it| it.revision), Some(if shorter { 4 } else { 3 }), "{what}");
    }
}

fn counts(revision: u64, lease: Span) -> Option<Counts> {
    Some(Counts { revision, lease })
}

fn disarm(book: &Book, span: Span) -> Change {
    let (base, text) = (book.state.revision, String::from);
    Change::Disarm { base, span, reason: text("a switch"), by: text("a") }
}

#[test]
fn nothing_moves_while_a_cluster_is_disarmed() {
    let mut book = Book::founded();
    let assign = book.assign("s0", 1);
    book.done(assign);
    book.done(Change::Standby { node: NodeId(1), on: true });
    let (able, seen) = (Able::from(BTreeSet::from([NodeId(1), NodeId(2)])), Seen::default());
    let change = disarm(&book, SPAN);
    book.done(change);
    assert_eq!(super::placed::departure(Sight::new(&book.state, &able, &seen)), None, "rule M5");
    let successors = placement::successors(
        Sight::new(&book.state, &able, &seen),
        NodeId(1),
        ProofRecord::LeaseExpired,
    );
    assert!(successors.iter().all(|(_, to)| to.is_none()), "rule M5: {successors:?}");
    let change = Change::Arm { base: book.state.revision, by: None };
    book.done(change);
    assert!(super::placed::departure(Sight::new(&book.state, &able, &seen)).is_some());
    let successors = placement::successors(
        Sight::new(&book.state, &able, &seen),
        NodeId(1),
        ProofRecord::LeaseExpired,
    );
    assert!(successors.iter().all(|(_, to)| *to == Some(NodeId(2))), "{successors:?}");
}

#[test]
fn a_span_that_can_not_be_and_a_state_that_has_changed_are_refused() {
    let mut book = Book::founded();
    let before = book.state.clone();
    for span in [Span::ZERO, before.timers.lease, Span::from_millis(25 * 3_600_000)] {
        let change = disarm(&book, span);
        assert_eq!(book.apply(change), Outcome::Refused(Refusal::SpanUnusable(span)));
    }
    let change = Change::Arm { base: before.revision, by: None };
    assert_eq!(book.apply(change), Outcome::Refused(Refusal::Armed));
    let stale = disarm(&book, SPAN);
    let change = disarm(&book, SPAN);
    book.done(change);
    assert_eq!(book.apply(stale), Outcome::Refused(Refusal::Stale));
    let mut config = book.state.config.clone().expect("it is configured");
    config.ride_out = Span::from_millis(100);
    let change = Change::Configure { base: book.state.revision, config };
    assert_eq!(book.apply(change), Outcome::Refused(Refusal::Disarmed));
}

#[test]
fn the_coordinator_arms_the_cluster_when_its_span_is_over() {
    let mut desk = Desk::begun();
    let span = Span::from_millis(5_000);
    let text = String::from;
    let base = desk.node.state().revision;
    desk.apply(Change::Disarm { base, span, reason: text("a switch"), by: text("a") });
    let timers = desk.node.state().timers;
    let arms = |desk: &Desk| desk.proposed(|change| matches!(change, Change::Arm { .. }));
    let until = desk.now + span;
    while desk.now + Span::from_millis(100) < until {
        desk.tell(100, |report| {
            report.timers = timers;
            Desk::hear(report, report.at);
        });
        assert_eq!(arms(&desk), None, "rule M6");
        desk.commit_assignments();
    }
    let mut armed = false;
    for _ in 0..5 {
        desk.tell(100, |report| Desk::hear(report, report.at));
        armed |= arms(&desk).is_some();
    }
    assert!(armed, "rule M6");
}

#[test]
fn after_a_later_start_an_ordinary_wait_is_enough_and_none_of_those_in_force_is_forgotten() {
    // The ride-out becomes shorter, then the cluster is disarmed and armed again, and nobody has
    // settled anything: programs may run yet by the first, longest timers.
    let mut book = Book::founded();
    let first = book.state.timers;
    let mut config = book.state.config.clone().expect("it is configured");
    config.ride_out = Span::from_millis(50);
    let base = book.state.revision;
    book.done(Change::Configure { base, config });
    let change = disarm(&book, SPAN);
    book.done(change);
    let change = Change::Arm { base: book.state.revision, by: None };
    book.done(change);

    let mut report = Desk::begun().report;
    let (revoked, started) = (Instant(10_000_000), Instant(20_000_000));
    let peer = report.peers.get_mut(&desk::PEER).expect("it is known");
    peer.revoked = Some(revoked);
    let due = |report: &Report| Proof::due(&book.state, report, PEER).expect("it is revoked");
    assert!(due(&report) > revoked + SPAN, "rule M1: the same start may have a long lease");
    let peer = report.peers.get_mut(&desk::PEER).expect("it is known");
    peer.incarnation = Incarnation(2);
    (peer.more.counts, peer.more.counts_since) = (counts(9, SPAN), started);
    let (due, least) = (due(&report), started + first.wait(Span::from_millis(1)));
    assert!(due >= least, "rule M7: {due:?} is before {least:?}");
    assert!(due < started + SPAN, "rule M7: {due:?}");
}
