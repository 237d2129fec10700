//! Resources that are in maintenance, or of a cluster that is disarmed: looked at, and left alone.

use stead_core::resource::{Answer, Care, Command, Life, Operation, Resource, Whole};
use stead_core::time::{Instant, Span};

/// Asks all that is due, and answers it: everything works but what is down.
fn settle(life: &mut Life, now: Instant, down: &[usize]) -> Vec<(usize, Operation)> {
    let mut asked = Vec::new();
    while let Some(Command::Ask { resource, operation, number }) = life.poll() {
        asked.push((resource, operation));
        let answer = match operation {
            Operation::Probe | Operation::Stop | Operation::Kill => Answer::Stopped,
            Operation::Start => Answer::Works,
            Operation::Monitor if down.contains(&resource) => Answer::Failed("it is sick".into()),
            Operation::Monitor | Operation::Promote | Operation::Demote | Operation::Notify => {
                Answer::Works
            }
        };
        life.answered(now, resource, number, answer);
    }
    asked
}

#[test]
fn what_is_left_alone_is_asked_and_not_touched() {
    let resource = |needs| Resource {
        needs,
        interval: Span::from_millis(1_000),
        restarts: 1,
        forget_after: Span::from_millis(600_000),
    };
    let mut now = Instant::default();
    let mut life = Life::begin(vec![resource(vec![]), resource(vec![0])]);
    settle(&mut life, now, &[]);
    assert_eq!(life.whole(), Whole::Works);
    let mut later = |life: &mut Life, down: &[usize]| {
        now += Span::from_millis(1_001);
        life.tick(now);
        (now, settle(life, now, down))
    };
    for care in [Care::Nothing, Care::Ended] {
        life.care(Instant::default(), care);
        settle(&mut life, Instant::default(), &[]);
        for _ in 0..5 {
            let (_, asked) = later(&mut life, &[0]);
            let monitored = |it: &(usize, Operation)| it.1 == Operation::Monitor;
            assert!(!asked.is_empty() && asked.iter().all(monitored), "{care:?}: {asked:?}");
        }
        let view = life.views().next().expect("it is there");
        assert!(view.unwell && view.failures == 0 && view.reason == Some("it is sick"));
        assert_eq!(life.whole(), Whole::Works, "nobody is told to do anything about it");
    }
    // It ends: nothing in maintenance, a new start while the cluster is disarmed.
    let (now, _) = later(&mut life, &[]);
    life.care(now, Care::Nothing);
    settle(&mut life, now, &[]);
    life.ended(now, 0, "killed".into());
    assert_eq!(settle(&mut life, now, &[]), []);
    assert!(life.views().next().expect("there").unwell);
    life.care(now, Care::Ended);
    let asked = settle(&mut life, now, &[]);
    assert!(asked.iter().all(|it| it.1 == Operation::Monitor), "all are looked at anew: {asked:?}");
    life.ended(now, 0, "killed".into());
    let asked = settle(&mut life, now, &[]);
    let wanted = [
        (1, Operation::Stop),
        (0, Operation::Stop),
        (0, Operation::Start),
        (0, Operation::Monitor),
        (1, Operation::Start),
        (1, Operation::Monitor),
    ];
    assert_eq!(asked, wanted);
    // One restart is allowed. Forgotten, it counts no more; not forgotten, that was all.
    life.care(now, Care::Full);
    settle(&mut life, now, &[]);
    life.forget(now, Some(0));
    life.ended(now, 0, "killed".into());
    settle(&mut life, now, &[]);
    assert_eq!(life.whole(), Whole::Works);
    life.ended(now, 0, "killed".into());
    settle(&mut life, now, &[]);
    assert!(matches!(life.whole(), Whole::Failed(0, _)));
    // What was given up is tried again at once.
    life.forget(now, None);
    settle(&mut life, now, &[]);
    assert_eq!(life.whole(), Whole::Works);
    // And the end is the end, whatever is left alone.
    life.care(now, Care::Nothing);
    settle(&mut life, now, &[]);
    life.stop(now);
    assert_eq!(settle(&mut life, now, &[]), [(1, Operation::Stop), (0, Operation::Stop)]);
    assert_eq!(life.whole(), Whole::Stopped);
}

#[test]
fn who_only_stops_takes_no_agent_that_cannot_look_for_a_look() {
    // What a lease's end left is there or not: an agent that is not installed can't say.
    let one = Resource {
        needs: vec![],
        interval: Span::from_millis(1_000),
        restarts: 1,
        forget_after: Span::from_millis(600_000),
    };
    let now = Instant(5);
    let mut life = Life::begin(vec![one.clone()]).clearing();
    let answer = |life: &mut Life, now, answer| match life.poll() {
        Some(Command::Ask { resource, operation, number }) => {
            life.answered(now, resource, number, answer);
            operation
        }
        None => panic!("nothing was asked"),
    };
    let missing = || Answer::Hopeless("it is not installed".into());
    assert_eq!(answer(&mut life, now, missing()), Operation::Probe);
    assert_eq!(life.whole(), Whole::Stopping, "nobody knows");
    assert_eq!(answer(&mut life, now, missing()), Operation::Stop);
    assert_eq!(answer(&mut life, now, missing()), Operation::Kill);
    assert_eq!(life.whole(), Whole::Stopping);
    let later = life.next_deadline();
    life.tick(later);
    assert_eq!(answer(&mut life, later, Answer::Stopped), Operation::Stop, "it is there again");
    assert_eq!(life.whole(), Whole::Stopped);
    // Nothing is there: nothing is asked but that.
    let mut life = Life::begin(vec![one.clone()]).clearing();
    assert_eq!(answer(&mut life, now, Answer::Stopped), Operation::Probe);
    assert_eq!((life.whole(), life.poll()), (Whole::Stopped, None));
    // Where it was to be started, nothing of it can have been.
    let mut life = Life::begin(vec![one]);
    life.stop(now);
    assert_eq!(answer(&mut life, now, missing()), Operation::Probe);
    assert_eq!(life.whole(), Whole::Stopped);
}

#[test]
fn a_time_unwell_is_no_time_of_work() {
    let one = Resource {
        needs: vec![],
        interval: Span::from_millis(1_000),
        restarts: 5,
        forget_after: Span::from_millis(10_000),
    };
    let mut life = Life::begin(vec![one]);
    let mut now = Instant::default();
    settle(&mut life, now, &[]);
    life.ended(now, 0, "killed".into());
    settle(&mut life, now, &[]);
    assert_eq!(life.views().next().expect("there").failures, 1);
    life.care(now, Care::Nothing);
    for _ in 0..20 {
        now += Span::from_millis(1_001);
        life.tick(now);
        settle(&mut life, now, &[0]);
    }
    life.care(now, Care::Full);
    life.ended(now, 0, "killed".into());
    assert_eq!(life.views().next().expect("there").failures, 2, "the first is not forgotten");
}
