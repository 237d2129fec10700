//! The guard's machine and its watchdog: when it is armed, fed, stopped, and when the machine is
//! reset.

use stead_core::lease::{Armed, Event, Order, WatchdogAct};
use stead_core::time::{Instant, Span};
use stead_core::timers::{Timers, WATCHDOG_LATE};

use super::parts::Bench;

const LEAST: Span = Span::from_millis(2_000);
const TIMEOUT: Span = Span::from_millis(3_000);

/// The daemon's word, under the next number.
fn word(bench: &mut Bench, number: u64, least: Option<Span>, bound: bool) {
    bench.order(Order::Watch { number, least, bound });
}

/// A guard whose daemon has said that nothing bound is here, and whose device has that timeout.
fn armed() -> Bench {
    let mut bench = Bench::new();
    word(&mut bench, 1, Some(LEAST), false);
    assert_eq!(bench.acts, [WatchdogAct::Arm { least: LEAST, until: Instant::NEVER }]);
    bench.take(Event::Watchdog(Some(TIMEOUT)));
    bench.acts.clear();
    bench
}

/// A coordinator answers every ten milliseconds, for so long.
fn leased(bench: &mut Bench, millis: u64) {
    for _ in 0..millis / 10 {
        let answer = bench.answer();
        bench.hear(answer);
        bench.after(10, Event::Tick);
    }
    assert!(bench.has_lease());
}

fn pass(bench: &mut Bench, millis: u64) {
    for _ in 0..millis / 10 {
        bench.after(10, Event::Tick);
    }
}

#[test]
fn nothing_is_opened_before_it_is_known_what_is_here() {
    let mut bench = Bench::new();
    pass(&mut bench, 15_000);
    assert_eq!(bench.acts, [], "what a former guard left may be here, and to open is to feed");
    // The daemon says that something bound is here, and there is no lease.
    word(&mut bench, 1, Some(LEAST), true);
    pass(&mut bench, 15_000);
    assert_eq!(bench.acts, []);
    bench.applied(7);
    leased(&mut bench, 20);
    let [WatchdogAct::Arm { least: LEAST, until }] = bench.acts[..] else {
        panic!("{:?}", bench.acts)
    };
    assert!(until > bench.now - Span::from_millis(10) && until <= bench.lease.lease_until());
}

#[test]
fn a_device_that_can_t_be_had_is_asked_for_now_and_then() {
    let mut bench = Bench::new();
    word(&mut bench, 1, Some(LEAST), false);
    for _ in 0..3 {
        assert_eq!(bench.acts.len(), 1);
        bench.acts.clear();
        bench.take(Event::Watchdog(None));
        pass(&mut bench, 9_000);
        assert_eq!(bench.acts, []);
        pass(&mut bench, 1_100);
    }
}

#[test]
fn where_nothing_bound_is_it_is_fed_without_a_lease() {
    let mut bench = armed();
    pass(&mut bench, 60_000);
    assert!(!bench.has_lease());
    let feed = WatchdogAct::Feed { until: Instant::NEVER };
    assert!(bench.acts.iter().all(|act| *act == feed), "{:?}", bench.acts);
    let least = 60_000_000 / Timers::feed(TIMEOUT).0;
    assert!((least - 5..=least + 1).contains(&(bench.acts.len() as u64)), "{}", bench.acts.len());
}

#[test]
fn what_is_bound_is_fed_for_under_a_lease_and_no_longer() {
    let mut bench = armed();
    bench.applied(7);
    leased(&mut bench, 100);
    word(&mut bench, 2, Some(LEAST), true);
    bench.acts.clear();
    leased(&mut bench, 6_000);
    assert!(bench.acts.len() > 10);
    for act in &bench.acts {
        let WatchdogAct::Feed { until } = act else { panic!("{act:?}") };
        assert!(*until <= bench.lease.lease_until());
    }
    // The coordinator falls silent: fed to the end of the lease at the latest.
    bench.acts.clear();
    pass(&mut bench, 500);
    assert!(!bench.has_lease());
    bench.acts.clear();
    pass(&mut bench, 2_000);
    assert_eq!(bench.acts, []);
    // All of it has been stopped in order: no need to reset anything.
    word(&mut bench, 3, Some(LEAST), false);
    pass(&mut bench, 5_000);
    assert!(bench.acts.contains(&WatchdogAct::Feed { until: Instant::NEVER }));
    assert!(!bench.acts.contains(&WatchdogAct::Reset));
}

#[test]
fn a_machine_that_should_have_been_reset_is_reset() {
    let mut bench = armed();
    bench.applied(7);
    leased(&mut bench, 100);
    word(&mut bench, 2, Some(LEAST), true);
    leased(&mut bench, 1_000);
    bench.acts.clear();
    // It was suspended, and its device with it: the first thing that it sees is that it is late.
    let long = TIMEOUT + WATCHDOG_LATE;
    bench.now += long;
    bench.take(Event::Tick);
    assert_eq!(bench.acts, [WatchdogAct::Reset]);
    // Asked again if that did not work, and not all the time.
    pass(&mut bench, 3_900);
    assert_eq!(bench.acts, [WatchdogAct::Reset]);
    pass(&mut bench, 200);
    assert_eq!(bench.acts, [WatchdogAct::Reset; 2]);
}

#[test]
fn the_guard_says_which_word_it_obeys_and_others_hear_what_it_counts_to() {
    let mut bench = Bench::new();
    let own = |bench: &Bench| {
        let report = bench.report.clone().expect("it reports");
        *report.later.watch.own.expect("it knows of watchdogs")
    };
    assert!(own(&bench).bound && own(&bench).number == 0);
    word(&mut bench, 7, Some(LEAST), false);
    let said = own(&bench);
    assert_eq!((said.number, said.bound, said.least), (7, false, Some(LEAST)));
    assert_eq!((said.armed, bench.sent.expect("it beats").later.watchdog), (None, None));
    bench.take(Event::Watchdog(Some(TIMEOUT)));
    assert_eq!(own(&bench).armed, Some(TIMEOUT));
    let told = Some(Armed { timeout: TIMEOUT, bound: false });
    assert_eq!(bench.sent.expect("it beats").later.watchdog, told);
    // Another daemon counts from the beginning.
    bench.take(Event::DaemonGone);
    bench.take(Event::DaemonConnected);
    assert_eq!((own(&bench).number, own(&bench).bound), (0, false));
    // What another says of its own is passed on.
    let mut answer = bench.answer();
    answer.later.watchdog = told;
    bench.hear(answer);
    bench.after(100, Event::Tick);
    let report = bench.report.expect("it reports");
    assert_eq!(report.later.watch.peers.get(&super::parts::PEER), told.as_ref());
}

#[test]
fn one_that_is_wanted_no_more_is_stopped_and_fed_as_long_as_it_can_t_be() {
    let mut bench = armed();
    word(&mut bench, 2, None, true);
    assert_eq!(bench.acts, [WatchdogAct::Disarm]);
    pass(&mut bench, 20);
    assert_eq!(bench.sent.expect("it beats").later.watchdog, None, "nobody shall rely on it");
    bench.take(Event::Watchdog(Some(TIMEOUT)));
    bench.acts.clear();
    pass(&mut bench, 9_000);
    let feed = WatchdogAct::Feed { until: Instant::NEVER };
    assert!(!bench.acts.is_empty() && bench.acts.iter().all(|act| *act == feed));
    pass(&mut bench, 1_100);
    assert!(bench.acts.contains(&WatchdogAct::Disarm));
    bench.take(Event::Watchdog(None));
    bench.acts.clear();
    pass(&mut bench, 20_000);
    assert_eq!(bench.acts, []);
}

#[test]
fn another_timeout_is_set_at_once() {
    let mut bench = armed();
    let longer = Span::from_millis(9_000);
    word(&mut bench, 2, Some(longer), false);
    assert_eq!(bench.acts, [WatchdogAct::Arm { least: longer, until: Instant::NEVER }]);
}

#[test]
fn a_released_guard_feeds_what_is_empty() {
    let mut bench = armed();
    word(&mut bench, 2, Some(LEAST), true);
    bench.order(Order::Release);
    bench.acts.clear();
    pass(&mut bench, 2_000);
    assert!(bench.acts.contains(&WatchdogAct::Feed { until: Instant::NEVER }), "rule H4");
}
