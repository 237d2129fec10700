//! Rules that change nothing, and services that hang on one node.

use expect_test::expect;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use stead_core::id::{NodeId, ServiceId};
use stead_core::placement::{Idle, Narrow, Paper, Plan, Rule, alone, idle};
use stead_core::state::config::Config;

use super::bed::Cluster;
use super::properties::cluster;

/// More than any of these clusters takes.
const ENOUGH: usize = 10_000_000;

fn config(story: &str) -> Config {
    Cluster::told(story).config().clone()
}

fn told(story: &str) -> String {
    let config = config(story);
    let idle = idle(&config, ENOUGH);
    let mut text: String = idle.rules.iter().map(|rule| format!("{rule:?}\n")).collect();
    for it in alone(&config, ENOUGH).all {
        text += &format!("{} on {}: {:?}\n", it.service, it.nodes.join(", "), it.by);
    }
    text
}

#[test]
fn what_changes_nothing_is_found_and_what_changes_something_is_not() {
    expect![[r#"
        Only(ServiceId("api"))
        Together(ServiceId("cache"), ServiceId("db"))
        Prefer(ServiceId("shop"))
        Never(ServiceId("web"), Node("n9"))
        Prefer(ServiceId("web"))
    "#]]
    .assert_eq(&told(
        "node n1 rack=r1
         node n2 rack=r1
         node n3 rack=r2
         service api only=n1,n2,n3
         service cache together=db
         service db together=cache importance=80
         service web never=n1,n9 prefer=n3
         service shop apart=web prefer=n3",
    ));
}

#[test]
fn what_counts_only_once_a_node_is_back_is_not_idle() {
    // Without it the service would stay where it went.
    expect![""].assert_eq(&told("node n1\nnode n2\nnode n3\nservice a prefer=n2 failback"));
    expect![[r#"
        Failback(ServiceId("a"))
        Prefer(ServiceId("a"))
        a on n2: Places
    "#]]
    .assert_eq(&told("node n1\nnode n2\nservice a only=n2 prefer=n2 failback"));
}

#[test]
fn what_hangs_on_one_node_is_told_with_what_makes_it_so() {
    expect![[r#"
        a on n1: Places
        b on n2: Capacity("memory")
        c on n1: Together(ServiceId("a"))
    "#]]
    .assert_eq(&told(
        "node n1 memory=4 rack=r1
         node n2 memory=20 rack=r2
         node n3 memory=4 rack=r3
         service a only=rack:r1 uses=memory:2
         service b uses=memory:12
         service c together=a uses=memory:1",
    ));
    // Each could be on both nodes; two are too many for one.
    expect![[r#"
        a on n1: Room(Some(Full { quantity: "memory", left: 2, needed: 8 }))
        b on n2: Room(Some(Full { quantity: "memory", left: 2, needed: 8 }))
    "#]]
    .assert_eq(&told(
        "node n1 memory=10
         node n2 memory=10
         service a uses=memory:8
         service b uses=memory:8",
    ));
    assert!(alone(&config("node n1\nservice a"), ENOUGH).all.is_empty(), "all are");
}

#[test]
fn what_takes_too_long_is_left_out_and_counted() {
    let config = config("node n1\nnode n2\nnode n3\nservice a only=n1,n2,n3\nservice b prefer=n2");
    assert_eq!(idle(&config, 10), Idle { rules: Vec::new(), untried: 2 });
    // Each course is seven plans.
    let Idle { rules, untried } = idle(&config, 64 * 14);
    assert_eq!((rules, untried), (vec![Rule::Only("a".into())], 1));
    assert!(alone(&config, 10).unplanned && !alone(&config, ENOUGH).unplanned);
}

/// What becomes of everything: at the start, when each node is lost, and once it is back.
fn course(config: &Config) -> Vec<Vec<(ServiceId, Option<NodeId>)>> {
    let at = |plan: Plan| plan.decisions.into_iter().map(|(id, it)| (id, it.to)).collect();
    let mut paper = Paper::new(config);
    let mut all = vec![at(paper.settle())];
    for node in paper.state().members.keys() {
        let mut lost = paper.clone();
        lost.lose(*node);
        all.push(at(lost.settle()));
        lost.regain(*node);
        all.push(at(lost.settle()));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 600,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn without_all_that_is_idle_everything_goes_where_it_went(mut cluster in cluster(5, 8)) {
        let config = cluster.config().clone();
        let found = idle(&config, ENOUGH);
        prop_assert_eq!(found.untried, 0);
        let less = found.rules.iter().fold(config.clone(), |it, rule| rule.left_out_of(&it));
        prop_assert_eq!(course(&less), course(&config), "{:?}", found.rules);
        for rule in &found.rules {
            prop_assert!(rule.left_out_of(&config) != config, "{:?} is no rule of it", rule);
        }
    }

    #[test]
    fn what_can_run_on_one_node_is_nowhere_without_it(mut cluster in cluster(5, 8)) {
        let config = cluster.config().clone();
        let mut paper = Paper::new(&config);
        let start = paper.settle();
        for it in alone(&config, ENOUGH).all {
            for name in &it.nodes {
                let mut lost = paper.clone();
                let node = lost.state().node(name).expect("it is one of them");
                lost.lose(node);
                let to = lost.settle().decisions[&it.service].to;
                let alone = !matches!(it.by, Narrow::Together(_));
                prop_assert!(!alone || to.is_none(), "{:?} goes to {:?}", it, to);
            }
            let room = matches!(it.by, Narrow::Room(_));
            prop_assert!(!room || start.decisions[&it.service].to.is_some());
        }
    }
}
