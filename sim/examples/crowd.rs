//! What satellites cost the guard of a coordinator: its machine alone, without sockets and keys.
//!
//! `cargo run --release -p stead-sim --example crowd` prints a line for each size of a cluster: the
//! processor time for a second at the default ride-out, as a share of one core, and per datagram.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant as Wall;

use stead_core::id::{Incarnation, Index, NodeId, Sequence, Term};
use stead_core::lease::{Admission, Command, Event, Heartbeat, Lease, LogTail, Order, Receipt};
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;

const ME: NodeId = NodeId(1);
const VOTERS: u64 = 5;
/// Virtual milliseconds.
const TIME: u64 = 5_000;

fn main() {
    for nodes in [5, 16, 64, 128, 256] {
        let (datagrams, reports, took) = live(nodes);
        println!(
            "{nodes} nodes: {:.1} % of a core, {:.2} us for each datagram that comes, {} reports/s",
            100.0 * took / (TIME as f64 / 1_000.0),
            1e6 * took / datagrams as f64,
            reports * 1_000 / TIME,
        );
    }
}

/// A coordinator's guard for some seconds. Every heartbeat that it sends is answered at once.
fn live(nodes: u64) -> (u64, u64, f64) {
    let timers = Timers::default();
    let mut now = Instant(10_000_000);
    let mut lease = Lease::new(ME, Incarnation(1), now, Span::from_millis(1), timers);
    let others: BTreeSet<_> = (2..=nodes).map(NodeId).collect();
    let admission = Admission { incarnation: Incarnation(1), index: Index(1) };
    let admitted: BTreeMap<_, _> = (1..=nodes).map(|it| (NodeId(it), admission)).collect();
    let voters = vec![(1..=VOTERS.min(nodes)).map(NodeId).collect()];
    let slow = (VOTERS + 1..=nodes).map(NodeId).collect();
    lease.handle(now, Event::DaemonConnected);
    for order in [
        Order::Vote(Term(1)),
        Order::Peers(others),
        Order::Slow(slow),
        Order::Lead { term: Term(1), voters, admitted },
    ] {
        lease.handle(now, Event::Order(order));
    }
    let (mut datagrams, mut reports) = (0, 0);
    let began = Wall::now();
    for _ in 0..TIME {
        now += Span::from_millis(1);
        lease.handle(now, Event::Tick);
        while let Some(command) = lease.poll() {
            match command {
                Command::Send { to, heartbeat } => {
                    datagrams += 1;
                    let heartbeat = answer(to, &heartbeat);
                    lease.handle(now, Event::Heartbeat { link: 0, heartbeat });
                }
                Command::Report(_) => {
                    reports += 1;
                    lease.handle(now, Event::Order(Order::Alive));
                }
                Command::Enforce { .. } | Command::VoteKnown(_) | Command::Watchdog(_) => {}
            }
        }
    }
    (datagrams, reports, began.elapsed().as_secs_f64())
}

fn answer(from: NodeId, to: &Heartbeat) -> Heartbeat {
    let echo = stead_core::lease::Echo { authority: Span::ZERO, admission: Index(0) };
    Heartbeat {
        from,
        sequence: Sequence(to.sequence.0),
        coordinator: false,
        hears_coordinator: true,
        log_tail: LogTail::default(),
        receipt: Some(Receipt {
            incarnation: to.incarnation,
            sequence: to.sequence,
            held: Span::ZERO,
        }),
        echo: Some(echo),
        ..*to
    }
}
