//! The judges of services that consist of several resources can be made to speak.

use stead_core::time::{Instant, Span};
use stead_sim::fault::{Act, Target};
use stead_sim::parts::{Part, Parts};
use stead_sim::plan::{Plan, service};
use stead_sim::world::{Permit, World};

fn with_resources() -> World {
    let part = |name: &str, needs: &[&str]| Part {
        name: name.to_owned(),
        needs: needs.iter().map(|it| (*it).to_owned()).collect(),
    };
    let all = vec![part("disk", &[]), part("web", &["disk"])];
    let interval = Span::from_millis(5);
    let parts = Parts { services: [(0, all)].into(), interval, ..Parts::default() };
    World::settled(Plan { parts, ..Plan::calm(3, 2) })
}

/// Runs until somebody says something, at most for a second. Whatever the guard of that machine
/// writes for keepers, they see no end.
fn run_without_keepers(world: &mut World, host: usize) {
    for _ in 0..1_000 {
        // Later than any clock here gets, and not so late that nobody can count with it.
        let never = Permit { until: Instant(1 << 50), ..Permit::default() };
        world.hosts[host].permits.values_mut().for_each(|permit| *permit = never);
        world.run(1);
        if world.judges.verdict.is_some() {
            return;
        }
    }
}

#[test]
fn what_outlives_its_lease_is_seen() {
    let mut world = with_resources();
    let holder = world.executor_of(0).expect("its resources run somewhere");
    world.kill_daemon(holder);
    world.act(&Act::Cut(None, vec![Target::Host(holder)])).expect("it is cut off");
    run_without_keepers(&mut world, holder);
    let verdict = world.judges.verdict.clone().expect("a judge speaks");
    // Whichever comes first: that it is there without a lease, or that it is there twice.
    assert!(["I1", "I2"].contains(&verdict.judge) && verdict.what.contains("s0"), "{verdict:?}");
}

#[test]
fn with_a_keeper_nothing_outlives_its_lease() {
    let mut world = with_resources();
    let holder = world.executor_of(0).expect("its resources run somewhere");
    world.kill_daemon(holder);
    world.act(&Act::Cut(None, vec![Target::Host(holder)])).expect("it is cut off");
    world.run(1_000);
    assert_eq!(world.judges.verdict, None);
    assert!(!world.hosts[holder].executors.contains_key(&service(0)));
    assert!(world.executor_of(0).is_some_and(|other| other != holder), "it runs elsewhere");
}
