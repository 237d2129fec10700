//! Large clusters.

use stead_core::state::config::{NodeRules, Place, Strength};

use super::bed::{Cluster, Service};

/// A cluster as large as that.
fn large(nodes: usize, services: usize) -> Cluster {
    let mut cluster = Cluster::new();
    for node in 0..nodes {
        let mut rules = NodeRules::default();
        rules.labels.insert("rack".into(), format!("r{}", node % 16));
        rules.capacity.insert("memory".into(), 1_000);
        rules.capacity.insert("cpu".into(), 400);
        cluster.node(&format!("n{node:03}"), rules);
    }
    let name = |number: usize| format!("s{number:05}");
    for number in 0..services {
        let mut it = Service { importance: (number % 5 * 20 + 10) as u8, ..Service::default() };
        it.prefer = vec![format!("n{:03}", number * 7 % nodes), format!("rack=r{}", number % 16)];
        it.rules.uses.insert("memory".into(), 5 + (number % 30) as u64);
        it.rules.uses.insert("cpu".into(), 1 + (number % 11) as u64);
        if number % 10 == 1 {
            it.rules.together.insert(name(number - 1).as_str().into(), Strength::Must);
        }
        if number % 10 == 3 {
            it.rules.apart.insert(name(number - 1).as_str().into(), Strength::Must);
            it.rules.apart_by = Some("rack".into());
        }
        if number % 50 == 7 {
            it.rules.never.push(Place::of("rack=r3"));
        }
        cluster.service(&name(number), it);
    }
    cluster
}

#[test]
fn a_large_cluster_is_planned_by_the_rules() {
    let cluster = large(64, 2_500);
    let plan = cluster.plan();
    assert_eq!(cluster.broken(&plan), []);
    assert!(plan.decisions.values().all(|it| it.to.is_some()));
    let lost = cluster.carried_out(&plan).without(cluster.id("n003"));
    let again = lost.plan();
    assert_eq!(lost.broken(&again), []);
    let nowhere = again.decisions.values().filter(|it| it.to.is_none()).count();
    assert_eq!(nowhere, 0);
}
