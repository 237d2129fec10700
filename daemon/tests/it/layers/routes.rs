//! Routes: real BIRD on the nodes and on the client's host, which is their router.

use stead::demo::fleet::Fleet;

use super::routes_bed::{
    V4, V6, behind_the_router, by_bird, node, route, routed, router, services,
};
use super::{answers, wait_elsewhere, wait_runs, wait_seen};
use crate::cluster::{Must, wait_for};

#[test]
fn a_route_leads_to_the_holder_and_to_nobody_else() {
    let fleet = Fleet::start(crate::cluster::three("routes")).must();
    let _router = router(&fleet);
    behind_the_router(&fleet);
    let _birds = [1, 2, 3].map(|number| node(&fleet, number));
    let text = services(&[V4, V6].map(routed), V4, &by_bird(&fleet));
    fleet.apply("node1", &(fleet.plan().configuration() + &text)).must();
    wait_runs(&fleet, "node1");
    wait_for(&fleet, "the router has the routes", || {
        Ok(route(&fleet).iter().all(|route| !route.is_empty()))
    });
    assert!(route(&fleet)[0].contains("via 10.77.0.1 "), "{:?}", route(&fleet));
    wait_for(&fleet, "clients behind it are served", || {
        Ok(answers(fleet.client(), &format!("{V4}:8080")))
    });
    wait_seen(&fleet, "node1", "route");
    let node = fleet.node("node1").must();
    // What it was made for a moment ago is not told as lost.
    let status = node.stead(&["status"]).must().stdout;
    assert!(!status.contains("lost its interface"), "{status}");
    let doctor = node.stead(&["doctor"]).must().stdout;
    assert!(doctor.contains("1 of 1 sessions stand"), "{doctor}");
    let example = node.stead(&["redirect", "routing-config"]).must().expect_success().must();
    assert!(example.contains("stead_announces()") && example.contains("bfd on"), "{example}");

    fleet.silence_then_kill("node1").must();
    let by = wait_elsewhere(&fleet, "node1");
    let via = format!("via 10.77.0.{} ", by.trim_start_matches("node"));
    wait_for(&fleet, "the route leads there", || Ok(route(&fleet)[0].contains(&via)));
    wait_for(&fleet, "clients behind it are served", || {
        Ok(answers(fleet.client(), &format!("{V4}:8080")))
    });
}
