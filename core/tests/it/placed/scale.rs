//! Large clusters.

use std::time::Instant;

use stead_core::state::config::{NodeRules, Place, Strength};

use super::bed::{Cluster, Service};

/// A cluster as large as that.
pub fn large(nodes: usize, services: usize) -> Cluster {
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
#[ignore = "a measurement"]
fn how_long() {
    for (nodes, services) in [(16, 600), (64, 2_500), (256, 10_000)] {
        let cluster = large(nodes, services);
        let begun = Instant::now();
        let plan = cluster.plan();
        let full = begun.elapsed();
        let down = plan.decisions.values().filter(|it| it.to.is_none()).count();
        let after = cluster.carried_out(&plan);
        let lost = after.without(after.id("n003"));
        let begun = Instant::now();
        let again = lost.plan();
        let change = begun.elapsed();
        let moved = again.decisions.values().filter(|it| it.is_change()).count();
        println!(
            "{nodes} x {services}: full {full:?}, {down} nowhere; one lost {change:?}, {moved} moved"
        );
    }
}
