//! What is told of a service's resources, and how often.

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::resource::{Answer, Command, Life, Operation, Resource, Shown, Told, Whole};
use stead_core::time::{Instant, Span};

fn resource(needs: &[usize]) -> Resource {
    let second = Span::from_millis(1_000);
    Resource { needs: needs.to_vec(), interval: second, restarts: 1, forget_after: second }
}

#[test]
fn a_start_that_fails_after_its_end_was_seen_is_one_failure() {
    // What needs it was found there, so it can't be stopped at once.
    let mut life = Life::begin(vec![resource(&[]), resource(&[0])]);
    let now = Instant(5);
    let asked = |life: &mut Life| match life.poll() {
        Some(Command::Ask { resource, operation, number }) => (resource, operation, number),
        None => panic!("nothing was asked: {life:?}"),
    };
    let (first, second) = (asked(&mut life), asked(&mut life));
    life.answered(now, 0, first.2, Answer::Stopped);
    life.answered(now, 1, second.2, Answer::Works);
    let start = asked(&mut life);
    assert_eq!((start.0, start.1), (0, Operation::Start));
    assert_eq!(asked(&mut life).1, Operation::Stop);
    life.ended(now, 0, "killed".to_owned());
    life.answered(now, 0, start.2, Answer::Failed("it ended".to_owned()));
    let view = life.views().next().expect("there are two");
    assert_eq!((view.failures, view.reason), (1, Some("killed")));
    assert_eq!(life.whole(), Whole::Starting);
}

#[test]
fn a_daemon_that_comes_to_a_restart_does_not_say_that_all_work() {
    let (service, epoch) = (ServiceId("web".to_owned()), Epoch(7));
    let mut told = Told::default();
    let mut events = |whole: &Whole, failures: u64| -> Vec<&str> {
        let part =
            Shown { name: "db", all_failures: failures, reason: Some("killed"), unwell: false };
        let events = told.events((&service, epoch), false, whole, [part].into_iter());
        let word = |event: &Event| {
            if matches!(event, Event::Restarting { reason, .. } if reason == "killed") {
                "db is restarted"
            } else if matches!(event, Event::Started { failed: None, .. }) {
                "started"
            } else if matches!(event, Event::Monitored { failed: None, .. }) {
                "works"
            } else if matches!(event, Event::Ended { detail, .. } if detail == "db: killed") {
                "given up"
            } else {
                panic!("{event:?}")
            }
        };
        events.iter().map(word).collect()
    };
    assert_eq!(events(&Whole::Restarting, 1), ["db is restarted", "started"]);
    assert!(events(&Whole::Restarting, 1).is_empty());
    assert_eq!(events(&Whole::Works, 1), ["works"]);
    assert!(events(&Whole::Works, 1).is_empty());
    assert_eq!(events(&Whole::Failed(0, "killed".to_owned()), 2), ["given up"]);
    assert!(events(&Whole::Stopping, 2).is_empty());
}
