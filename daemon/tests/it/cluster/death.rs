//! Nodes that die, one or more of them.

use stead::demo::fleet::Fleet;

use super::{
    API, Must, WEB, assert_taken_over, assert_untouched, client, coordinator, mark, service,
    serving, three, wait_for, wait_moved, web, whole,
};

#[test]
fn a_dead_holder_is_replaced_and_others_notice_nothing() {
    let plan = three("death").service(web("web", WEB, &["node2", "node3"]));
    let fleet = Fleet::start(plan.service(web("api", API, &["node3"]))).must();
    let (web, api) = (client(&fleet, WEB), client(&fleet, API));
    assert_eq!(web.holders(), ["node2"]);
    let began = mark();
    fleet.silence_then_kill("node2").must();
    assert_eq!(wait_moved(&fleet, &web, "node2"), "node3", "its second choice");
    fleet.power_on("node2").must();
    whole(&fleet);
    assert_taken_over(web.seen_since(began));
    assert_untouched(api.seen_since(began));
    let incident = fleet.node("node1").must().json(&["incident", "--json"]).must();
    assert_eq!(incident["node"], "node2", "{incident:#}");
    assert_eq!(incident["cause"], "the node fell silent", "{incident:#}");
    let stages = incident["stages"].as_array().cloned().unwrap_or_default();
    for reached in ["suspected", "proven", "claimed", "announced", "verified"] {
        assert!(stages.iter().any(|stage| stage["reached"] == reached), "{reached}: {incident:#}");
    }
}

#[test]
fn a_dead_coordinator_that_held_the_service_is_replaced_in_both() {
    let plan = three("both").service(web("web", WEB, &["node1", "node3"]));
    let fleet = Fleet::start(plan.service(web("api", API, &["node3"]))).must();
    let (web, api) = (client(&fleet, WEB), client(&fleet, API));
    assert_eq!(coordinator(&fleet, "node2"), "node1");
    assert_eq!(web.holders(), ["node1"]);
    let began = mark();
    fleet.silence_then_kill("node1").must();
    wait_moved(&fleet, &web, "node1");
    fleet.power_on("node1").must();
    whole(&fleet);
    assert_taken_over(web.seen_since(began));
    // scenario 19: the other node's address does not blink when the coordinator dies
    assert_untouched(api.seen_since(began));
}

#[test]
fn a_dead_coordinator_that_held_nothing_is_missed_by_no_client() {
    let plan = three("idle").service(web("web", WEB, &["node2"]));
    let fleet = Fleet::start(plan.service(web("api", API, &["node3"]))).must();
    let (web, api) = (client(&fleet, WEB), client(&fleet, API));
    assert_eq!(coordinator(&fleet, "node2"), "node1");
    let began = mark();
    fleet.silence_then_kill("node1").must();
    wait_for(&fleet, "another coordinator, and node1 out of the view", || {
        let status = fleet.node("node2")?.status()?;
        let by = status["cluster"]["coordinator"].as_str().unwrap_or_default();
        Ok(["node2", "node3"].contains(&by) && status["nodes"][0]["state"] == "down")
    });
    fleet.power_on("node1").must();
    whole(&fleet);
    assert_untouched(web.seen_since(began));
    assert_untouched(api.seen_since(began));
    assert_eq!(web.holders(), ["node2"]);
    assert_eq!(api.holders(), ["node3"]);
}

#[test]
fn a_minority_stops_and_serves_again_when_others_return() {
    let (fleet, client) = serving("minority", "node1");
    fleet.silence_then_kill("node2").must();
    fleet.silence_then_kill("node3").must();
    wait_for(&fleet, "the survivor stops answering", || Ok(client.holders().is_empty()));
    wait_for(&fleet, "the survivor says why", || {
        let status = fleet.node("node1")?.status()?;
        let held = service(&status, "web")["state"] == "runs";
        Ok(status["quorum"]["verdict"] == "NOQUORUM" && !held)
    });
    let began = mark();
    fleet.power_on("node3").must();
    wait_for(&fleet, "two of three serve", || Ok(client.holders().len() == 1));
    client.wait_served(&fleet).must();
    fleet.power_on("node2").must();
    whole(&fleet);
    super::assert_alone(client.seen_since(began));
}

#[test]
fn an_address_of_ipv6_moves_as_well() {
    use stead::demo::fleet::{Client, Family, ServicePlan, service_address};
    let service = ServicePlan::web("six", &super::stead(), Family::V6, WEB).prefer(&["node2"]);
    let fleet = Fleet::start(three("six").service(service)).must();
    let client = Client::start(&fleet, service_address(Family::V6, WEB)).must();
    client.wait_served(&fleet).must();
    assert_eq!(client.holders(), ["node2"]);
    let began = mark();
    fleet.silence_then_kill("node2").must();
    wait_moved(&fleet, &client, "node2");
    fleet.power_on("node2").must();
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}
