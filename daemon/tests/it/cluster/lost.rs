//! A node whose log is gone, and its replacement as the runbook says.

use std::fs;

use stead::demo::fleet::{Fleet, FleetError, Part};

use super::{
    API, Must, WEB, assert_alone, assert_taken_over, assert_untouched, client, mark, three,
    wait_for, wait_moved, web, whole,
};

/// Which member a node is, by its own disk.
fn number(fleet: &Fleet, node: &str) -> String {
    let text = fs::read_to_string(fleet.node(node).must().paths().identity()).must();
    let identity: serde_json::Value = serde_json::from_str(&text).must();
    identity["node"].to_string()
}

#[test]
fn a_node_without_its_log_takes_no_part_until_it_is_replaced() {
    let plan = three("lost").service(web("web", WEB, &["node1"]));
    let fleet = Fleet::start(plan.service(web("api", API, &["node2"]))).must();
    let (web, api) = (client(&fleet, WEB), client(&fleet, API));
    let (node1, node2) = (fleet.node("node1").must(), fleet.node("node2").must());
    assert_eq!(api.holders(), ["node2"]);
    let former = number(&fleet, "node2");
    let began = mark();

    fleet.silence_then_kill("node2").must();
    wait_moved(&fleet, &api, "node2");
    let log = node2.paths().log();
    assert!(node2.paths().log_began().exists());
    fs::remove_dir_all(&log).must();
    fleet.power_on("node2").must();

    // it refuses, each time anew, and says what to do; the others could refill it, and must not
    wait_for(&fleet, "its daemon refuses", || Ok(fleet.restarts("node2", Part::Daemon) >= 3));
    let said = fs::read_to_string(node2.log(Part::Daemon)).must();
    let words = ["is gone", "Nothing was changed", "stead leave node2", "stead token node2"];
    for word in words.into_iter().chain([log.to_string_lossy().as_ref()]) {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!log.exists(), "no log was made in the place of the lost one");
    assert_eq!(number(&fleet, "node2"), former);
    let status = node1.status().must();
    assert_ne!(status["nodes"][1]["state"], "up", "{:#}", status["nodes"]);

    // it left the others alone, and is replaced: both services stopped, forgotten on both sides
    for part in [Part::Daemon, Part::Guard] {
        fleet.stop_part("node2", part).must();
    }
    node2.stead(&["leave", "--forget", "--yes"]).must().expect_success().must();
    node1.stead(&["leave", "node2", "--yes"]).must().expect_success().must();
    fleet.join("node1", "node2").must();
    whole(&fleet);
    assert_ne!(number(&fleet, "node2"), former, "a new member");
    wait_for(&fleet, "its new log counts", || Ok(node2.paths().log_began().exists()));
    assert_untouched(web.seen_since(began));
    assert_taken_over(api.seen_since(began));

    // it serves again, and its log is good for a second run
    node1.stead(&["move", "api", "node2"]).must().expect_success().must();
    wait_for(&fleet, "api is back", || Ok(api.holders() == ["node2"]));
    let before = fleet.restarts("node2", Part::Daemon);
    fleet.kill("node2", Part::Daemon).must();
    wait_for(&fleet, "another daemon", || {
        Ok::<_, FleetError>(fleet.restarts("node2", Part::Daemon) > before)
    });
    whole(&fleet);
    assert_alone(api.seen_since(began));
}
