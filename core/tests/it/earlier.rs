//! What a coordinator's guard knows of coordinators before it, while the voters change.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::id::{Incarnation, Index, NodeId, Sequence, Term};
use stead_core::lease::{Command, Echo, Event, Heartbeat, Lease, LogTail, Order, Receipt, Report};
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;

const ME: NodeId = NodeId(1);
const TERM: Term = Term(2);

/// The guard of node 1, which leads term 2.
struct Coordinator {
    lease: Lease,
    now: Instant,
    sent: Option<Heartbeat>,
    reported: Option<Report>,
    said: u64,
}

impl Coordinator {
    fn new() -> Self {
        let now = Instant(10_000_000);
        let lease = Lease::new(ME, Incarnation(1), now, Span::from_millis(1), Timers::default());
        let mut guard = Self { lease, now, sent: None, reported: None, said: 0 };
        guard.take(Event::DaemonConnected);
        guard.take(Event::Order(Order::Vote(TERM)));
        guard.take(Event::Order(Order::Peers((2..=6).map(NodeId).collect())));
        guard
    }

    fn take(&mut self, event: Event) {
        self.lease.handle(self.now, event);
        while let Some(command) = self.lease.poll() {
            match command {
                Command::Send { heartbeat, .. } => self.sent = Some(heartbeat),
                Command::Report(report) => self.reported = Some(report),
                Command::Enforce { .. } | Command::VoteKnown(_) | Command::Watchdog(_) => {}
            }
        }
    }

    fn count_by<const N: usize>(&mut self, voters: [u64; N]) {
        let voters = vec![voters.into_iter().map(NodeId).collect::<BTreeSet<_>>()];
        let admitted = BTreeMap::new();
        self.take(Event::Order(Order::Lead { term: TERM, voters, admitted }));
    }

    /// Those nodes echo the newest heartbeat; they heard an earlier coordinator then.
    fn echoed_by<const N: usize>(&mut self, voters: [u64; N], earlier: Instant) {
        // So long that there is a report again.
        self.now += Span::from_millis(70);
        let earlier = self.now.since(earlier);
        let sent = self.sent.expect("a coordinator beats");
        for from in voters.map(NodeId) {
            self.said += 1;
            let heartbeat = Heartbeat {
                from,
                incarnation: Incarnation(5),
                sequence: Sequence(self.said),
                term: TERM,
                coordinator: false,
                released: false,
                daemon_alive: true,
                hears_coordinator: true,
                slack: Span::from_millis(1),
                log_tail: LogTail::default(),
                receipt: Some(Receipt {
                    incarnation: sent.incarnation,
                    sequence: sent.sequence,
                    held: Span::ZERO,
                }),
                echo: Some(Echo { authority: Span::ZERO, admission: Index(0) }),
                earlier_coordinator: earlier,
                more: Default::default(),
                later: Default::default(),
            };
            self.take(Event::Heartbeat { link: 0, heartbeat });
        }
        self.take(Event::Order(Order::Alive));
        self.take(Event::Tick);
    }

    /// When this node itself last heard of an earlier coordinator.
    fn mine(&self) -> Instant {
        self.now - self.sent.expect("a coordinator beats").earlier_coordinator
    }

    fn bound(&self) -> Option<Instant> {
        self.reported.as_ref().and_then(|report| report.earlier_coordinator)
    }
}

/// Node 4 led {1,2,3,4} by what 2 and 3 echoed to it. Node 1 leads after it, takes 4's vote away
/// and gives votes to 5 and 6, who never heard of 4, all of it within a lease. Of those five, three
/// know nothing of 4; its lease runs all the same.
#[test]
fn a_bound_that_the_voters_of_before_gave_outlives_their_vote() {
    let mut guard = Coordinator::new();
    let long_ago = guard.now;
    guard.now += Span::from_millis(3_000);
    let heard = guard.now;
    guard.count_by([1, 2, 3, 4]);
    guard.echoed_by([2, 3], heard);
    let bound = guard.bound().expect("three of four have said");
    assert!(bound >= heard, "{bound:?} before {heard:?}");
    assert_eq!(guard.mine(), long_ago, "this node never heard of node 4 either");
    guard.count_by([1, 2, 3]);
    guard.echoed_by([2, 3], heard);
    guard.count_by([1, 2, 3, 5]);
    guard.echoed_by([2, 3, 5], long_ago);
    guard.count_by([1, 2, 3, 5, 6]);
    guard.echoed_by([2, 3, 5, 6], long_ago);
    assert_eq!(guard.bound(), Some(bound));
}

/// As long as too few of the present voters have said there is no bound, whatever was kept.
#[test]
fn what_is_kept_is_no_answer_for_voters_who_have_not_said() {
    let mut guard = Coordinator::new();
    let heard = guard.now;
    guard.count_by([1, 2, 3]);
    guard.echoed_by([2, 3], heard);
    assert!(guard.bound().is_some());
    guard.count_by([4, 5, 6]);
    guard.echoed_by([4], heard);
    assert_eq!(guard.bound(), None);
}
