//! What may rest on a node's watchdog: the committed word, the coordinator's wait, and what the
//! node itself does first.

use stead_core::id::{Incarnation, NodeId, ServiceId, Term};
use stead_core::lease::{Armed, Order, Report, WatchReport};
use stead_core::node::{Command, Event, Fate};
use stead_core::notice::Notice;
use stead_core::state::config::{Config, FencingConfig, NodeFencing, Safety};
use stead_core::state::{
    Cause, Change, Holder, Outcome, PROTOCOL_0_6, ProofRecord, Refusal, State, Takeover,
    WatchdogWord,
};
use stead_core::time::Span;
use stead_core::timers::{SHORTEST_WATCHDOG, Timers};

use super::bound::mount;
use super::desk::{Desk, ME, PEER};
use super::state::{Book, admit};
use super::wanted::wanted;

const TIMEOUT: Span = Span::from_millis(3_000);

/// What stays with its node, and watchdogs that are relied on, or not.
fn config(watchdog: bool) -> Config {
    let mut config = wanted();
    config.later.next.services = [("s1".into(), mount(Safety::Fence))].into();
    let fencing = NodeFencing { watchdog, ..NodeFencing::default() };
    let nodes = ["a", "b"].map(|name| (name.to_owned(), fencing.clone())).into();
    config.later.fencing = FencingConfig { nodes, ..FencingConfig::default() };
    config
}

/// The service is with that node.
fn book(holder: u64) -> Book {
    let mut book = Book::founded();
    book.done(Change::Configure { base: book.state.revision, config: config(true) });
    let assign = book.assign("s1", holder);
    book.done(assign);
    book
}

fn word(state: &State, node: u64, timeout: Option<Span>) -> WatchdogWord {
    let node = NodeId(node);
    WatchdogWord {
        node,
        base: state.watchdog(node).map_or(0, |known| known.number),
        revision: state.revision,
        incarnation: Incarnation(1),
        timeout,
        device: "i6300ESB timer".into(),
        stands_still: false,
        failed: false,
    }
}

fn promised(holder: u64) -> Book {
    let mut book = book(holder);
    let word = word(&book.state, holder, Some(TIMEOUT));
    book.done(Change::Watch(word));
    book
}

fn lost(book: &mut Book) {
    let takeover = book.takeover(2, &[("s1", Some(1))]);
    book.done(Change::Takeover(Takeover { proof: ProofRecord::LeaseExpired, ..takeover }));
}

fn elapsed(book: &Book) -> Change {
    let number = book.state.watchdog(NodeId(2)).map_or(0, |known| known.number);
    Change::WatchdogElapsed { node: NodeId(2), number }
}

#[test]
fn a_word_is_of_the_admitted_start_and_of_the_present_configuration() {
    let mut book = book(2);
    let good = word(&book.state, 2, Some(TIMEOUT));
    assert_eq!(Change::Watch(good.clone()).protocol(), PROTOCOL_0_6);
    for wrong in [
        WatchdogWord { base: 1, ..good.clone() },
        WatchdogWord { revision: good.revision - 1, ..good.clone() },
        WatchdogWord { incarnation: Incarnation(2), ..good.clone() },
    ] {
        book.refused(Change::Watch(wrong), Refusal::Stale);
    }
    let unknown = WatchdogWord { node: NodeId(9), ..good.clone() };
    book.refused(Change::Watch(unknown), Refusal::NoSuchNode);
    book.done(Change::Watch(good.clone()));
    let (known, timeout) = book.state.relied_on(NodeId(2)).expect("it is relied on");
    assert_eq!((known.number, timeout), (1, TIMEOUT));
    // The same word again, late.
    book.refused(Change::Watch(good), Refusal::Stale);
    let taken_back = word(&book.state, 2, None);
    book.done(Change::Watch(taken_back));
    assert_eq!(book.state.relied_on(NodeId(2)), None);
}

#[test]
fn another_start_or_a_configuration_without_it_ends_what_was_relied_on() {
    let mut again = promised(2);
    again.done(admit(2, 2));
    assert_eq!(again.state.relied_on(NodeId(2)), None);
    let mut book = promised(2);
    book.done(Change::Configure { base: book.state.revision, config: config(false) });
    book.done(Change::Configure { base: book.state.revision, config: config(true) });
    assert_eq!(book.state.relied_on(NodeId(2)), None, "its node may have let go meanwhile");
    // A configuration that goes on wanting it changes nothing.
    let mut book = promised(2);
    book.done(Change::Configure { base: book.state.revision, config: config(true) });
    assert!(book.state.relied_on(NodeId(2)).is_some());
}

#[test]
fn it_frees_what_waits_once() {
    let mut book = promised(2);
    let change = elapsed(&book);
    book.refused(change, Refusal::StillHere);
    lost(&mut book);
    assert_eq!(book.state.waiting_for(NodeId(2)).count(), 1);
    let change = elapsed(&book);
    book.refused(Change::WatchdogElapsed { node: NodeId(2), number: 0 }, Refusal::Stale);
    book.done(change.clone());
    let holder = book.state.assignments[&"s1".into()].holder.clone();
    let (node, cause, took) = (NodeId(2), Cause::Silent, Span::ZERO);
    assert_eq!(holder, Holder::Stopped { node, cause, took });
    book.refused(change, Refusal::Stale);
    // Back again, it may have stopped all that itself, and arms anew.
    book.done(admit(2, 1));
    let word = word(&book.state, 2, Some(TIMEOUT));
    book.done(Change::Watch(word));
}

#[test]
fn a_start_that_was_not_reset_is_relied_on_no_more() {
    let mut book = promised(2);
    let failed = WatchdogWord { failed: true, ..word(&book.state, 2, None) };
    book.done(Change::Watch(failed));
    let again = word(&book.state, 2, Some(TIMEOUT));
    book.refused(Change::Watch(again.clone()), Refusal::Stale);
    book.done(admit(2, 2));
    let base = book.state.watchdog(NodeId(2)).expect("it is known").number;
    book.done(Change::Watch(WatchdogWord { incarnation: Incarnation(2), base, ..again }));
    assert!(book.state.relied_on(NodeId(2)).is_some());
}

#[test]
fn nothing_is_freed_that_the_configuration_does_not_want_freed_like_this() {
    let mut book = promised(2);
    lost(&mut book);
    let change = elapsed(&book);
    book.done(Change::Configure { base: book.state.revision, config: config(false) });
    book.refused(change, Refusal::Stale);
}

fn proposed(desk: &Desk) -> Option<Change> {
    desk.commands.iter().find_map(|it| {
        let Command::Propose { change, .. } = it else { return None };
        matches!(change, Change::WatchdogElapsed { .. } | Change::Watch(_)).then(|| change.clone())
    })
}

/// The first node coordinates; the second, which has something bound, is out of the view and was
/// never heard by this guard.
fn waiting(book: Book) -> Desk {
    let mut desk = Desk::with(book.state);
    desk.tell(1, |report| {
        report.peers.remove(&PEER);
    });
    desk.apply(Change::Lead { term: Term(2) });
    desk.commit_assignments();
    desk
}

/// Time passes until something is proposed; says how much.
fn until_proposed(desk: &mut Desk, step: impl Fn(&mut Report)) -> (Span, Change) {
    let begin = desk.now;
    for _ in 0..20_000 {
        desk.tell(1, &step);
        if let Some(change) = proposed(desk) {
            return (desk.now.since(begin), change);
        }
    }
    panic!("nothing was proposed");
}

#[test]
fn a_coordinator_waits_for_twice_the_timeout_from_when_it_knew() {
    let mut book = promised(2);
    lost(&mut book);
    let expected = elapsed(&book);
    let mut desk = waiting(book);
    // The guard's clock is right, and known to be, for less long than this daemon knows of it.
    let started = desk.now;
    let (waited, change) = until_proposed(&mut desk, |report| report.started = started);
    assert_eq!(change, expected);
    let wait = Timers::reset_within(TIMEOUT);
    assert!(waited >= wait && waited <= wait + Span::from_millis(3), "{waited}, not {wait}");
    assert!(wait > TIMEOUT.times(2) + Span::from_millis(1_000), "rule W3");
    desk.apply(change);
    let said = Command::Notice(Notice::WatchdogElapsed("b".into()));
    assert!(desk.commands.contains(&said), "{:?}", desk.commands);
}

/// Its guard is heard, in the admitted start, without its daemon, and says that of its watchdog.
fn hear(desk: &mut Desk, said: Option<Armed>) {
    let at = desk.now;
    desk.tell(1, |report| {
        Desk::hear(report, at);
        report.peers.get_mut(&PEER).expect("it was heard").daemon_alive = false;
        report.later.watch.peers = said.map(|said| (PEER, said)).into_iter().collect();
    });
}

const ARMED: Armed = Armed { timeout: TIMEOUT, bound: true };

/// The guard's clock is right, and known to be, for longer than all of this takes.
fn lost_and_waiting() -> Desk {
    let mut book = promised(2);
    lost(&mut book);
    waiting(book)
}

#[test]
fn what_is_heard_of_it_is_waited_from_and_what_is_heard_too_late_ends_it() {
    let mut desk = lost_and_waiting();
    let wait = Timers::reset_within(TIMEOUT).0 / 1_000;
    desk.tell(2_000, |_| {});
    hear(&mut desk, Some(ARMED));
    desk.tell(wait - 100, |_| {});
    assert_eq!(proposed(&desk), None, "it is waited for from its last word on");
    // It is heard when it should have been reset.
    hear(&mut desk, Some(ARMED));
    let Some(Change::Watch(word)) = proposed(&desk) else { panic!("{:?}", desk.commands) };
    assert_eq!((word.node, word.timeout, word.failed), (PEER, None, true), "rule W4");
    desk.apply(Change::Watch(word));
    let said = Command::Notice(Notice::WatchdogFailed("b".into()));
    assert!(desk.commands.contains(&said), "{:?}", desk.commands);
    for _ in 0..100 {
        desk.tell(1_000, |_| {});
        assert_eq!(proposed(&desk), None);
    }
}

#[test]
fn who_says_that_nothing_is_left_may_be_heard_for_ever() {
    let mut desk = lost_and_waiting();
    let empty = Armed { bound: false, ..ARMED };
    let wait = Timers::reset_within(TIMEOUT).0 / 1_000;
    for _ in 1..wait {
        hear(&mut desk, Some(empty));
        assert_eq!(proposed(&desk), None);
    }
    for _ in 0..5 {
        hear(&mut desk, Some(empty));
        if let Some(change) = proposed(&desk) {
            assert!(matches!(change, Change::WatchdogElapsed { .. }), "{change:?}");
            return;
        }
    }
    panic!("nothing was proposed");
}

#[test]
fn a_proof_that_was_wrong_is_told() {
    let mut desk = lost_and_waiting();
    let (_, change) = until_proposed(&mut desk, |_| {});
    let ticket = desk.proposed(|it| *it == change).expect("it is proposed");
    desk.apply(change);
    let fate = Fate::Committed(desk.node.state().applied, Outcome::Done);
    desk.take(Event::Proposed { ticket, fate });
    desk.commit_assignments();
    // It stood still, with its watchdog, and goes on.
    desk.tell(500, |_| {});
    hear(&mut desk, Some(ARMED));
    let failed = |it: &Change| matches!(it, Change::Watch(word) if word.failed);
    assert!(desk.proposed(failed).is_some(), "{:?}", desk.commands);
}

#[test]
fn where_the_guards_own_word_is_another_there_is_no_proof() {
    for said in [None, Some(Armed { timeout: TIMEOUT + Span(1), bound: true })] {
        let mut desk = lost_and_waiting();
        hear(&mut desk, said);
        for _ in 0..100 {
            desk.tell(1_000, |_| {});
            assert_eq!(proposed(&desk), None, "{said:?}");
        }
    }
}

#[test]
fn without_a_word_nothing_is_proposed() {
    let mut book = book(2);
    lost(&mut book);
    let mut desk = waiting(book);
    for _ in 0..100 {
        desk.tell(1_000, |_| {});
        assert_eq!(proposed(&desk), None);
    }
}

/// What this node's guard says of its watchdog.
fn own(report: &mut Report) -> &mut WatchReport {
    report.later.watch.own.get_or_insert_default()
}

/// The newest order about it.
fn ordered(desk: &Desk) -> Option<(u64, Option<Span>, bool)> {
    desk.commands.iter().find_map(|it| {
        let Command::Guard(Order::Watch { number, least, bound }) = it else { return None };
        Some((*number, *least, *bound))
    })
}

#[test]
fn this_node_arms_promises_and_changes_nothing_before_the_promise_is_taken_back() {
    let mut book = book(2);
    book.done(Change::Lead { term: Term(2) });
    let mut desk = Desk::with(book.state);
    desk.tell(1, |report| *own(report) = WatchReport::default());
    assert_eq!(ordered(&desk), Some((1, Some(SHORTEST_WATCHDOG), false)));
    desk.tell(1, |report| {
        let least = Some(SHORTEST_WATCHDOG);
        *own(report) = WatchReport { number: 1, least, ..WatchReport::default() };
    });
    assert_eq!((ordered(&desk), proposed(&desk)), (None, None), "it is not armed yet");
    desk.tell(1, |report| {
        own(report).armed = Some(TIMEOUT);
        own(report).device = "a board's".into();
    });
    let Some(Change::Watch(word)) = proposed(&desk) else { panic!("{:?}", desk.commands) };
    assert_eq!((word.node, word.timeout), (ME, Some(TIMEOUT)));
    commit(&mut desk, Change::Watch(word));
    // A longer ride-out wants a longer timeout. Others rely on the present one until that is over.
    let mut longer = config(true);
    longer.ride_out = Span::from_millis(10_000);
    let base = desk.node.state().revision;
    desk.apply(Change::Configure { base, config: longer });
    let (least, proposal) = (ordered(&desk), proposed(&desk));
    let Some(Change::Watch(word)) = proposal else { panic!("{:?}", desk.commands) };
    assert_eq!((least, word.timeout), (None, None), "rule W2");
    commit(&mut desk, Change::Watch(word));
    let least = desk.node.state().timers.watchdog();
    assert!(least > Span::from_millis(13_000));
    assert_eq!(ordered(&desk), Some((2, Some(least), false)));
}

/// What was proposed is committed and applied.
fn commit(desk: &mut Desk, change: Change) {
    let ticket = desk.proposed(|proposed| *proposed == change).expect("it is proposed");
    desk.apply(change);
    let committed = Fate::Committed(desk.node.state().applied, Outcome::Done);
    let said = std::mem::take(&mut desk.commands);
    desk.take(Event::Proposed { ticket, fate: committed });
    desk.commands.splice(0..0, said);
}

#[test]
fn nothing_bound_starts_before_the_guard_has_said_that_it_knows() {
    let mut book = book(1);
    book.done(Change::Lead { term: Term(2) });
    let s1 = ServiceId::from("s1");
    let epoch = book.epoch("s1");
    // This run began before it was assigned.
    let mut before = self::book(2);
    before.done(Change::Lead { term: Term(2) });
    before.done(before.stopped("s1", 2));
    let mut desk = Desk::with(before.state.clone());
    desk.tell(1, |report| *own(report) = WatchReport::default());
    assert_eq!(ordered(&desk).map(|(number, _, bound)| (number, bound)), Some((1, false)));
    let assign = before.assign("s1", 1);
    desk.apply(assign);
    let epoch = desk.node.state().assignments[&s1].epoch.max(epoch);
    assert_eq!(ordered(&desk).map(|(number, _, bound)| (number, bound)), Some((2, true)));
    desk.take(Event::Probed { service: s1.clone(), epoch, conflict: None });
    let started = |desk: &Desk| {
        let start = |it: &Command| matches!(it, Command::Start { service, .. } if *service == s1);
        desk.commands.iter().any(start)
    };
    let held = desk.commands.iter().find_map(|it| {
        let Command::Guard(Order::Hold { number, addresses }) = it else { return None };
        Some((*number, addresses.clone()))
    });
    let (hold_number, held) = held.expect("its address is to be held");
    // The guard holds the address, and its word about what is here is still an older one.
    let at_least = Some(SHORTEST_WATCHDOG);
    for number in [0, 1] {
        desk.tell(1, |report| {
            (report.held, report.hold_number) = (held.clone(), hold_number);
            *own(report) =
                WatchReport { number, bound: true, least: at_least, ..WatchReport::default() };
        });
        assert!(!started(&desk), "rule W1: {number}");
    }
    desk.tell(1, |report| own(report).number = 2);
    assert!(started(&desk));
    // Once nothing is left of it, the guard is told so.
    desk.take(Event::Started { service: s1.clone(), epoch, failed: None });
    let ended = "it exited".to_string();
    desk.take(Event::Ended { service: s1.clone(), epoch, detail: ended });
    assert_eq!(ordered(&desk), None);
    desk.take(Event::Stopped { service: s1, epoch });
    assert_eq!(ordered(&desk).map(|(number, _, bound)| (number, bound)), Some((3, false)));
}
