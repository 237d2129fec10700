//! The guard's machine: heartbeats and orders in any order, with any values.

use stead_core::id::{Incarnation, NodeId, Term};
use stead_core::lease::{Command, Event, Heartbeat, Lease, Order, WatchdogAct};
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;
use stead_fuzz::{Draw, Sample, target};

use super::values;

/// The longest story. More events only repeat themselves.
const EVENTS: usize = 400;

/// A guard, what it sent last, and the newest term that it spoke of.
struct Guard {
    lease: Lease,
    now: Instant,
    sent: u64,
    heard: u64,
    term: Term,
    /// Something bound may be there, and the watchdog is wanted.
    strict: bool,
    /// It had a lease or an authority at some time.
    lived: bool,
}

impl Guard {
    fn new() -> Self {
        let (now, slack) = (Instant(1_000_000), Span::from_millis(4));
        let lease = Lease::new(NodeId(1), Incarnation(1), now, slack, Timers::default());
        Self { lease, now, sent: 0, heard: 0, term: Term(0), strict: false, lived: false }
    }

    fn take(&mut self, event: Event) {
        if let Event::Order(Order::Watch { least, bound, .. }) = &event {
            self.strict = *bound && least.is_some();
        } else if matches!(&event, Event::Order(Order::Release)) {
            self.strict = false;
        }
        self.lease.handle(self.now, event);
        while let Some(command) = self.lease.poll() {
            match command {
                Command::Send { heartbeat, .. } => self.check_sent(&heartbeat),
                Command::Enforce { addresses, until } => {
                    let held = !addresses.is_empty();
                    assert!(!held || until > self.now, "a gate is armed into the past");
                    self.lived |= held;
                }
                Command::Report(report) => {
                    assert!(report.term >= self.term, "a report takes a term back");
                    self.term = report.term;
                    self.lived |= report.lease_until > self.now;
                }
                Command::VoteKnown(term) => {
                    assert!(term >= self.term);
                    self.term = term;
                }
                Command::Watchdog(act) => self.check_watchdog(act),
            }
        }
        assert!(!self.lease.is_released() || self.lease.lease_until() == Instant::START);
    }

    /// What is bound is never fed for without a lease.
    fn check_watchdog(&self, act: WatchdogAct) {
        if let WatchdogAct::Arm { until, .. } | WatchdogAct::Feed { until } = act {
            assert!(until > self.now, "a watchdog is fed too late");
            let most = if self.strict { self.lease.lease_until() } else { Instant::NEVER };
            assert_eq!(until, most, "it is fed by another rule");
        }
    }

    fn check_sent(&mut self, heartbeat: &Heartbeat) {
        assert!(heartbeat.sequence.0 > self.sent, "a number was given twice");
        assert!(heartbeat.term >= self.term, "a term went back");
        self.sent = heartbeat.sequence.0;
        self.term = heartbeat.term;
        // A postcard heartbeat that could not be sent would be one that is missing.
        assert!(postcard::to_allocvec(heartbeat).expect("it can be encoded").len() < 300);
    }

    fn step(&mut self, draw: &mut Draw<'_>) {
        let event = match draw.below(16) {
            0 => Event::Tick,
            1 => Event::DaemonConnected,
            2 if draw.flag() => Event::DaemonGone,
            3 => Event::ClockTrusted(draw.below(8) != 0),
            2 | 4..10 => Event::Order(values::order(draw, self.term)),
            15 => Event::Watchdog(draw.flag().then(|| values::span(draw))),
            _ => {
                self.heard += 1;
                let numbers = (self.sent, self.heard);
                let link = draw.byte();
                Event::Heartbeat { link, heartbeat: values::heartbeat(draw, numbers, self.term) }
            }
        };
        self.now += match draw.byte() {
            byte @ 0..250 => Span(u64::from(byte) * 50),
            250..=255 => values::span(draw),
        };
        self.take(event);
    }
}

/// Vote, peers, lead, then echoes of a majority, in the words of [`Guard::step`]: what is made of
/// it begins deep inside.
fn stories() -> Vec<Sample> {
    let vote = [4, 0, 192, 10];
    let peers = [4, 7, 0, 10];
    let lead = [&[4, 1, 0, 0, 0, 0][..], &[0; 6], &[10]].concat();
    let follower = [&[1, 10][..], &vote, &peers].concat();
    let leader = [&follower[..], &lead, &[4, 5, 5, 0, 0, 10]].concat();
    // With receipt and echo of our newest, by node 2 or 3, in the present term.
    let echo = |from: u8, coordinator: u8| {
        let (receipt, echo) = ([1, 0, 0, 5], [1, 50, 1]);
        let (start, numbers) = ([coordinator, from - 1, 0, 0, 0, 4], [1, 1, 20, 10]);
        [&[10, 0][..], &receipt, &echo, &start, &numbers].concat()
    };
    let hold = [4, 8, 1, 1, 0, 1, 10];
    let echoes = |coordinator| {
        let one = |at: u8| echo(2 + at % 2, coordinator);
        [(0..6).flat_map(one).collect(), hold.to_vec(), (0..6).flat_map(one).collect::<Vec<_>>()]
            .concat()
    };
    vec![
        ("leads", [leader.clone(), echoes(0)].concat()),
        ("follows", [&follower[..], &[4, 5, 5, 0, 0, 10], &echoes(1)].concat()),
        ("short", leader),
    ]
}

#[test]
fn the_guards_machine_takes_everything_in_any_order() {
    let target = target!("lease").samples(stories).count(12_000).longest(3_000);
    target.run(|bytes| {
        let (mut draw, mut guard) = (Draw::new(bytes), Guard::new());
        for _ in 0..EVENTS {
            if draw.is_empty() {
                break;
            }
            guard.step(&mut draw);
        }
        // Whatever it was told, it goes on beating.
        for _ in 0..3 {
            guard.now = guard.lease.next_deadline().max(guard.now + Span(1));
            guard.take(Event::Tick);
        }
        guard.lived
    });
}
