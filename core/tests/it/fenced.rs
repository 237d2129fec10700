//! Fencing in the replicated state: what a record frees, whom it keeps out, and what is forgotten.

use stead_core::fencing::Proof;
use stead_core::id::{Incarnation, NodeId, Term};
use stead_core::state::config::{
    AfterFence, DeviceConfig, FenceAgent, NodeFencing, Plug, ProcessHow, ResourceConfig, Safety,
    ServiceMore, Stuck,
};
use stead_core::state::config::{Agent, ResourceTimes};
use stead_core::state::{
    Change, CycleEnd, FENCES_KEPT, FenceChange, FenceEnd, FenceSaid, Holder, PROTOCOL_0_6,
    ProofRecord, Refusal, Rehearsal, Takeover,
};
use stead_core::time::Span;

use super::state::Book;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

/// Two members with a device each; s0 has a file system, and is on b.
fn book() -> Book {
    let mut book = Book::founded();
    let mut config = book.state.config.clone().expect("it is founded");
    let mount = ResourceConfig {
        name: "data".into(),
        agent: Agent::Process {
            command: vec!["/bin/mount".into()],
            monitor: None,
            how: ProcessHow::default(),
        },
        needs: [].into(),
        times: ResourceTimes::default(),
        restarts: 0,
        forget_after: Span::from_millis(1),
        safety: Safety::Fence,
        stuck: Stuck::Wait,
    };
    let more = ServiceMore { resources: vec![mount], ..ServiceMore::default() };
    config.later.next.services.insert("s0".into(), more);
    let agent = FenceAgent::Exec { command: vec!["/bin/power".into()] };
    let device = DeviceConfig { agent, timeout: Span::from_millis(20_000), retries: 1 };
    config.later.fencing.devices.insert("power".into(), device);
    for name in ["a", "b"] {
        let plug = Plug { device: "power".into(), plug: Some(name.into()) };
        let fencing = NodeFencing { levels: vec![vec![plug]], ..NodeFencing::default() };
        config.later.fencing.nodes.insert(name.into(), fencing);
    }
    let base = book.state.revision;
    let configure = Change::Configure { base, config };
    assert_eq!(configure.protocol(), PROTOCOL_0_6);
    book.done(configure);
    let assign = book.assign("s0", 2);
    book.done(assign);
    book
}

/// The same, and b was lost.
fn lost() -> Book {
    let mut book = book();
    let takeover = book.takeover(2, &[("s0", Some(1))]);
    book.done(Change::Takeover(takeover));
    let holder = &book.state.assignments[&"s0".into()].holder;
    assert_eq!(holder.node(), Some(B), "it is bound");
    book
}

fn begins(term: u64) -> Change {
    let (node, by, incarnation) = (B, A, Incarnation(1));
    Change::Fence(FenceChange::Begins { node, term: Term(term), by, incarnation })
}

fn said(outcome: Result<&str, &str>) -> FenceSaid {
    let outcome = outcome.map(str::to_owned).map_err(str::to_owned);
    let took = Span::from_millis(300);
    FenceSaid { outcome, cut_off: false, steps: Vec::new(), took, wall: 1_790_000_000 }
}

/// What the attempt under way came to.
fn ends(book: &Book, outcome: Result<&str, &str>) -> Change {
    let begun = book.state.later.fencing.under_way.get(&B);
    let number = begun.map(|it| it.number);
    let (term, incarnation) = (book.state.term, Incarnation(1));
    let said = said(outcome);
    let end = FenceEnd { node: B, number, term, by: A, incarnation, given_up: false, said };
    Change::Fence(FenceChange::Ends(end))
}

fn admit(incarnation: u64) -> Change {
    Change::Admit { node: B, incarnation: Incarnation(incarnation) }
}

#[test]
fn what_waits_is_free_once_the_record_is_there_and_not_before() {
    let mut book = lost();
    let early = ends(&book, Ok("power"));
    book.refused(begins(7), Refusal::Stale);
    book.done(begins(1));
    book.refused(begins(1), Refusal::Stale);
    book.refused(early, Refusal::Stale);
    assert_eq!(book.state.assignments[&"s0".into()].holder.node(), Some(B));
    let failed = ends(&book, Err("no answer"));
    book.done(failed);
    assert_eq!(book.state.assignments[&"s0".into()].holder.node(), Some(B), "it failed");
    assert_eq!(book.state.later.fencing.failures[&B], 1);
    book.done(begins(1));
    let off = ends(&book, Ok("power"));
    book.done(off.clone());
    book.refused(off, Refusal::Stale);
    let assignment = &book.state.assignments[&"s0".into()];
    assert!(matches!(assignment.holder, Holder::Stopped { node: B, .. }), "{assignment:?}");
    assert!(book.state.later.fencing.failures.is_empty());
    let assign = book.assign("s0", 1);
    book.done(assign);
    book.refused(begins(1), Refusal::Stale);
}

#[test]
fn what_was_cut_off_may_be_heard_and_is_no_lie() {
    let cuts = |book: &Book| {
        let mut change = ends(book, Ok("storage"));
        if let Change::Fence(FenceChange::Ends(end)) = &mut change {
            end.said.cut_off = true;
        }
        change
    };
    let doubted = || {
        let (node, incarnation, why) = (B, Incarnation(1), "heard".to_owned());
        Change::Fence(FenceChange::Doubted { node, incarnation, why })
    };
    let mut book = lost();
    book.done(begins(1));
    let off = cuts(&book);
    book.done(off);
    assert!(book.state.is_cut_off(B) && book.state.is_fenced(B, Incarnation(1)));
    book.refused(doubted(), Refusal::Stale);
    book.refused(admit(1), Refusal::Fenced(B));
    assert!(book.state.is_fenceable(B));
    // A later start is here with all that it lets in again, and what takes its power takes that.
    book.done(admit(2));
    assert!(!book.state.is_cut_off(B));
    let mut book = lost();
    book.done(begins(1));
    let off = ends(&book, Ok("power"));
    book.done(off);
    assert!(!book.state.is_cut_off(B));
    book.done(doubted());
}

#[test]
fn nobody_is_admitted_in_the_middle_of_it_nor_the_start_that_is_over() {
    let mut book = lost();
    book.done(begins(1));
    book.refused(admit(2), Refusal::Fenced(B));
    let failed = ends(&book, Err("no answer"));
    book.done(failed);
    book.done(admit(2));
    let takeover = book.takeover(2, &[]);
    book.done(Change::Takeover(takeover));
    let begins = FenceChange::Begins { node: B, term: Term(1), by: A, incarnation: Incarnation(3) };
    book.done(Change::Fence(begins));
    let mut off = ends(&book, Ok("power"));
    if let Change::Fence(FenceChange::Ends(end)) = &mut off {
        end.incarnation = Incarnation(3);
    }
    book.done(off);
    for old in 1..=3 {
        book.refused(admit(old), Refusal::Fenced(B));
    }
    book.done(admit(4));
    assert!(!book.state.is_fenced(B, Incarnation(1)), "what is over is forgotten");
}

#[test]
fn a_half_tells_of_it_after_it_has_gone_on() {
    let mut book = book();
    assert!(Proof::fenced(&book.state, B).is_none());
    // The node is in the view; nothing can be committed before the tie is broken.
    let off = ends(&book, Ok("power"));
    book.done(off.clone());
    let proof = Proof::fenced(&book.state, B).expect("it is off");
    assert_eq!(proof.record(), ProofRecord::Fenced);
    let mut takeover = book.takeover(2, &[("s0", Some(1))]);
    takeover.proof = ProofRecord::Fenced;
    book.done(Change::Takeover(takeover));
    let holder = &book.state.assignments[&"s0".into()].holder;
    assert_eq!(holder.node(), Some(A), "nothing is mounted on what is off");
    // It is back, and what was said of its former start proves nothing of this one.
    book.done(admit(2));
    book.refused(off, Refusal::Stale);
    let mut takeover = book.takeover(2, &[]);
    takeover.proof = ProofRecord::Fenced;
    book.refused(Change::Takeover(takeover), Refusal::Stale);
}

#[test]
fn a_device_that_lied_is_believed_again_once_the_machine_was_seen_to_go_off() {
    let mut book = lost();
    book.done(begins(1));
    let off = ends(&book, Ok("power"));
    book.done(off);
    let (node, incarnation, why) = (B, Incarnation(1), "it goes on".to_owned());
    let doubt = Change::Fence(FenceChange::Doubted { node, incarnation, why });
    book.done(doubt.clone());
    book.refused(doubt, Refusal::Stale);
    assert!(!book.state.is_fenceable(B));
    book.done(admit(2));
    let takeover = book.takeover(2, &[]);
    book.done(Change::Takeover(takeover));
    book.refused(begins(1), Refusal::Stale);
    let looked = |outcome| {
        // Whatever it says of itself: it switched nothing.
        let rehearsal = Rehearsal { by: A, cycled: true, said: said(outcome), good: None };
        Change::Fence(FenceChange::Rehearsed { node: B, rehearsal })
    };
    let mut cycled = |seen, outcome| {
        book.done(cycle(A));
        let ended = cycle_ends(&book, seen, outcome);
        book.done(ended);
        book.state.is_fenceable(B)
    };
    assert!(!cycled(true, Err("no answer")), "it went off, and not by its devices");
    assert!(!cycled(false, Ok("power")), "they say so again");
    book.done(looked(Ok("power")));
    assert!(!book.state.is_fenceable(B), "a status shows nothing");
    let mut cycled = |seen, outcome| {
        book.done(cycle(A));
        let ended = cycle_ends(&book, seen, outcome);
        book.done(ended);
        book.state.is_fenceable(B)
    };
    assert!(cycled(true, Ok("power")), "it was seen to go off");
    book.done(looked(Err("no answer")));
    let fencing = &book.state.later.fencing;
    let last = &fencing.rehearsed[&B];
    assert_eq!(last.good, Some(1_790_000_000), "when it worked is remembered");
    assert!(!last.cycled && fencing.cycles.last[&B].said.outcome.is_ok(), "and so is the cycle");
}

fn cycle(by: NodeId) -> Change {
    Change::Fence(FenceChange::CycleBegins { node: B, by, wall: 1_790_000_000 })
}

/// What the trial under way came to.
fn cycle_ends(book: &Book, seen: bool, outcome: Result<&str, &str>) -> Change {
    let number = book.state.cycle(B).map(|it| it.number).unwrap_or_default();
    let end = CycleEnd { number, by: A, said: said(outcome), seen, given_up: false };
    Change::Fence(FenceChange::CycleEnds { node: B, end })
}

fn standby(on: bool) -> Change {
    Change::Standby { node: B, on }
}

#[test]
fn only_what_is_empty_and_on_standby_is_switched_off_for_a_trial() {
    let mut book = book();
    book.refused(cycle(A), Refusal::Stale);
    book.done(standby(true));
    book.refused(cycle(A), Refusal::StillServes("s0".into()));
    let stop = book.stop("s0", Some(1));
    book.done(stop);
    book.refused(cycle(A), Refusal::StillServes("s0".into()));
    let stopped = book.stopped("s0", 2);
    book.done(stopped);
    book.refused(cycle(B), Refusal::NotEligible(B));
    book.refused(cycle(NodeId(7)), Refusal::NotEligible(NodeId(7)));
    book.done(cycle(A));
    book.refused(cycle(A), Refusal::Fenced(B));
}

#[test]
fn what_is_switched_off_for_a_trial_gets_nothing_and_is_not_let_in_until_that_is_over() {
    let mut book = lost();
    book.done(cycle(A));
    book.refused(admit(2), Refusal::Fenced(B));
    book.refused(begins(1), Refusal::Stale);
    book.refused(standby(false), Refusal::BeingCycled(B));
    let late = cycle_ends(&book, true, Ok("power"));
    book.done(late.clone());
    book.refused(late, Refusal::Stale);
    assert_eq!(book.state.assignments[&"s0".into()].holder.node(), Some(B), "it frees nothing");
    book.done(begins(1));
    book.refused(cycle(A), Refusal::Fenced(B));
}

#[test]
fn an_assignment_that_comes_late_does_not_reach_a_machine_that_goes_off() {
    let mut book = book();
    let stop = book.stop("s0", None);
    book.done(stop);
    let stopped = book.stopped("s0", 2);
    book.done(stopped);
    let assign = book.assign("s0", 2);
    book.done(standby(true));
    book.done(cycle(A));
    book.refused(assign, Refusal::Stale);
}

#[test]
fn a_trial_ends_with_the_place_of_whoever_makes_it() {
    let mut book = book();
    let takeover = book.takeover(1, &[]);
    let stop = book.stop("s0", Some(1));
    book.done(stop);
    let stopped = book.stopped("s0", 2);
    book.done(stopped);
    book.done(standby(true));
    book.done(cycle(A));
    let late = cycle_ends(&book, true, Ok("power"));
    let takeover = Takeover { base: book.state.epoch, ..takeover };
    book.done(Change::Takeover(takeover));
    assert_eq!(book.state.cycle(B), None);
    book.refused(late, Refusal::Stale);
    let kept = &book.state.later.fencing.cycles.last[&B];
    let why = kept.said.outcome.as_ref().expect_err("nobody knows what came of it");
    assert!(why.starts_with("given up: a was lost in the middle of it"), "{why}");
    assert!(!book.state.later.fencing.rehearsed.contains_key(&B), "no device failed");
    book.done(standby(false));
}

#[test]
fn what_is_known_of_a_way_ends_with_its_description() {
    let mut book = lost();
    book.done(begins(1));
    let failed = ends(&book, Err("no answer"));
    book.done(failed);
    let mut config = book.state.config.clone().expect("it is founded");
    let fencing = &mut config.later.fencing;
    fencing.nodes.get_mut("a").expect("it has one").after = AfterFence::StayOff;
    let base = book.state.revision;
    book.done(Change::Configure { base, config: config.clone() });
    assert_eq!(book.state.later.fencing.failures[&B], 1, "nothing of its own is new");
    let device = config.later.fencing.devices.get_mut("power").expect("it is there");
    device.timeout = Span::from_millis(40_000);
    let base = book.state.revision;
    book.done(Change::Configure { base, config });
    assert!(book.state.later.fencing.failures.is_empty());
}

#[test]
fn the_last_attempts_are_remembered() {
    let mut book = lost();
    for _ in 0..FENCES_KEPT + 3 {
        book.done(begins(1));
        let failed = ends(&book, Err("no answer"));
        book.done(failed);
    }
    assert_eq!(book.state.later.fencing.records.len(), FENCES_KEPT);
}
