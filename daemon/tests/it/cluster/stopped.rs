//! A site or everything stopped by an operator, machines switched off, and a cold start.

use stead::demo::fleet::{Fleet, FleetError};

use super::{Must, WEB, assert_alone, client, mark, three, wait_for, web, whole};

/// What a command of stead prints that works.
fn says(fleet: &Fleet, node: &str, words: &[&str]) -> String {
    fleet.node(node).must().stead(words).must().expect_success().must()
}

/// Every node is in the view, by the word of one of them.
fn all_here(fleet: &Fleet, by: &str) -> Result<bool, FleetError> {
    let status = fleet.node(by)?.status()?;
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    Ok(!nodes.is_empty() && nodes.iter().all(|node| node["state"] == "in-view"))
}

#[test]
fn what_a_stopped_site_held_moves_and_comes_back_when_it_is_started() {
    let mut plan = three("site");
    for (node, site) in plan.nodes.iter_mut().zip(["dc1", "dc2", "dc2"]) {
        node.site = site.to_owned();
    }
    let mut service = web("web", WEB, &["node2", "node3"]);
    service.failback = true;
    let fleet = Fleet::start(plan.service(service)).must();
    let client = client(&fleet, WEB);
    assert_eq!(client.holders(), ["node2"]);
    let began = mark();
    let said = says(&fleet, "node3", &["stop", "--site", "dc2", "--yes"]);
    assert!(said.contains("nothing is served by node2, node3 any more"), "{said}");
    assert!(said.contains("1 of 3 voters are left: fewer than half"), "{said}");
    wait_for(&fleet, "web is on node1", || Ok(client.holders() == ["node1"]));
    client.wait_served(&fleet).must();
    let status = says(&fleet, "node1", &["status"]);
    assert!(status.contains("Stopped by an operator: the site dc2"), "{status}");
    let refused = fleet.node("node1").must().stead(&["move", "web", "node2"]).must();
    assert!(refused.expect_success().is_err(), "node2 is stopped");
    let wrong = fleet.node("node1").must().stead(&["stop", "--site", "dc9", "--yes"]).must();
    let wrong = wrong.expect_success().expect_err("there is no such site").to_string();
    assert!(wrong.contains("the sites are: dc1, dc2"), "{wrong}");
    let started = says(&fleet, "node1", &["start", "--site", "dc2"]);
    assert!(started.contains("node2, node3 may serve"), "{started}");
    wait_for(&fleet, "web goes back", || Ok(client.holders() == ["node2"]));
    whole(&fleet);
    assert_alone(client.seen_since(began));
}

#[test]
fn everything_is_stopped_switched_off_and_started_cold() {
    let fleet = Fleet::start(three("cold").service(web("web", WEB, &["node1"]))).must();
    let client = client(&fleet, WEB);
    let began = mark();
    let said = says(&fleet, "node2", &["stop", "--all", "--yes"]);
    assert!(said.contains("nothing is served by node1, node2, node3 any more"), "{said}");
    assert!(client.holders().is_empty(), "{:?}", client.holders());
    for node in ["node1", "node2", "node3"] {
        fleet.silence_then_kill(node).must();
    }
    for node in ["node3", "node1", "node2"] {
        fleet.power_on(node).must();
    }
    // What a node says before it has caught up is older than what was committed last.
    wait_for(&fleet, "all nodes find each other and know what they were told", || {
        let status = fleet.node("node2")?.status()?;
        let knows = status["services"][0]["state"] == "stopped";
        Ok(all_here(&fleet, "node2")? && knows && status["cluster"]["coordinator"].is_string())
    });
    let status = fleet.node("node2").must().status().must();
    let first = status["problems"][0]["what"].as_str().unwrap_or_default();
    assert_eq!(first, "Stopped by an operator: everything, nothing is served", "{status:#}");
    assert!(client.holders().is_empty(), "nobody told them to serve");
    says(&fleet, "node3", &["start", "--all"]);
    client.wait_served(&fleet).must();
    whole(&fleet);
    assert_alone(client.seen_since(began));
}
