//! What goes over a wire or onto a disk comes back as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stead_core::id::{Epoch, Incarnation, Index, NodeId, Sequence, Term};
use stead_core::lease::{
    Admission, Command, Echo, Event, Heartbeat, Holding, Lease, LogTail, Order, Receipt, Report,
};
use stead_core::state::{Change, Outcome, Refusal};
use stead_core::tail::Tailed;
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;

use super::state::Book;
use super::wanted::address;

#[track_caller]
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let bytes = postcard::to_allocvec(value).expect("it can be encoded");
    let back: T = postcard::from_bytes(&bytes).expect("it can be decoded");
    assert_eq!(back, *value);
    // What was cut short is an error and no panic.
    for length in 0..bytes.len() {
        assert!(
            postcard::from_bytes::<T>(&bytes[..length]).is_err(),
            "{length} bytes of {value:?}"
        );
    }
}

#[test]
fn heartbeats() {
    let mut heartbeat = Heartbeat {
        from: NodeId(3),
        incarnation: Incarnation(7),
        sequence: Sequence(u64::MAX),
        term: Term(9),
        coordinator: true,
        released: false,
        daemon_alive: true,
        hears_coordinator: false,
        slack: Span::from_millis(10),
        log_tail: LogTail { term: Term(8), index: Index(1_000) },
        receipt: None,
        echo: None,
        earlier_coordinator: Span(u64::MAX),
        more: Default::default(),
        later: Default::default(),
    };
    comes_back(&heartbeat);
    let (incarnation, sequence) = (Incarnation(1), Sequence(5));
    heartbeat.receipt = Some(Receipt { incarnation, sequence, held: Span(3) });
    heartbeat.echo = Some(Echo { authority: Span(1), admission: Index(2) });
    comes_back(&heartbeat);
}

#[test]
fn orders() {
    let node = NodeId(1);
    let admission = Admission { incarnation: Incarnation(1), index: Index(4) };
    let lead = Order::Lead {
        term: Term(2),
        voters: vec![BTreeSet::from([node]), BTreeSet::from([node, NodeId(2)])],
        admitted: BTreeMap::from([(node, admission)]),
    };
    let holding = Holding { address: address(0), epoch: Epoch(3) };
    let log_tail = LogTail::default();
    for order in [
        Order::Alive,
        Order::Vote(Term(1)),
        lead,
        Order::Follow,
        Order::Revoke(node),
        Order::Readmit(node),
        Order::Applied { applied: Index(3), log_tail },
        Order::Timers(Timers::default()),
        Order::Peers(BTreeSet::from([node])),
        Order::Hold { number: 3, addresses: vec![holding] },
        Order::Release,
        Order::Slow(BTreeSet::from([node])),
        Order::Watch { number: 3, least: Some(Span(2_000_000)), bound: true },
    ] {
        comes_back(&order);
    }
}

/// What a guard says of itself after it was told a vote and heard of a peer.
fn report() -> Report {
    let now = Instant(5_000_000);
    let slack = Span::from_millis(1);
    let mut lease = Lease::new(NodeId(1), Incarnation(1), now, slack, Timers::default());
    lease.handle(now, Event::DaemonConnected);
    lease.handle(now, Event::Order(Order::Vote(Term(1))));
    lease.handle(now, Event::Order(Order::Peers(BTreeSet::from([NodeId(2)]))));
    lease.handle(now + Span::from_millis(20), Event::Tick);
    let reports = std::iter::from_fn(|| lease.poll()).filter_map(|command| match command {
        Command::Report(report) => Some(report),
        Command::Send { .. }
        | Command::Enforce { .. }
        | Command::VoteKnown(_)
        | Command::Watchdog(_) => None,
    });
    reports.last().expect("the guard has reported")
}

#[test]
fn reports_states_and_outcomes() {
    // What 0.2 doesn't read is written behind it, by the edge.
    let mut report = report();
    let (more, mut later) = (report.more(), report.later());
    assert!(later.slow.is_some(), "it knows the slow rhythm");
    // What 0.4 doesn't read is behind that again.
    let next = std::mem::take(&mut later.next);
    assert!(next.kept.is_some(), "it shows the deadline to copies");
    // And what 0.5 doesn't read, behind that.
    let watch = std::mem::take(&mut later.watch);
    assert!(watch.own.is_some(), "it knows of watchdogs");
    (report.more, report.later) = Default::default();
    report.peers.values_mut().for_each(|peer| peer.more = Default::default());
    comes_back(&report);
    comes_back(&more);
    comes_back(&later);
    comes_back(&next);
    comes_back(&watch);
    later.add(next);
    later.add_later(watch);
    let whole = postcard::to_allocvec(&more).expect("it can be encoded");
    report.add(postcard::from_bytes(&whole).expect("it can be decoded"));
    report.add_later(later.clone());
    assert_eq!((report.more(), report.later()), (more, later));
    let mut book = Book::founded();
    let assign = book.assign("s1", 2);
    book.done(assign);
    let state = book.state;
    let bytes = postcard::to_allocvec(&state).expect("it can be encoded");
    assert_eq!(postcard::from_bytes(&bytes), Ok(state));
    let mut book = Book::founded();
    let assign = book.assign("s0", 1);
    comes_back(&assign);
    comes_back(&Change::Lead { term: Term(3) });
    for outcome in [
        Outcome::Done,
        Outcome::Joined(NodeId(4)),
        Outcome::Refused(Refusal::StillServes("s0".into())),
    ] {
        comes_back(&outcome);
    }
}
