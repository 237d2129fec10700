//! Nodes that are cut off, frozen, or lose their guard.

use std::process::Command;
use std::time::Duration;

use stead::demo::fleet::{Fleet, Part};

use super::{Must, assert_taken_over, coordinator, mark, serving, wait_for, wait_moved, whole};

#[test]
fn a_node_cut_off_from_the_others_falls_silent_though_clients_reach_it() {
    let (fleet, client) = serving("cutoff", "node2");
    let began = mark();
    fleet.cut_from_nodes("node2").must();
    wait_moved(&fleet, &client, "node2");
    // it runs on and could answer: give it the time of some leases to do so
    fleet.pause(Duration::from_secs(1)).must();
    fleet.heal("node2").must();
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}

#[test]
fn a_coordinator_cut_off_from_everything_comes_back_as_a_member() {
    let (fleet, client) = serving("cut", "node1");
    let began = mark();
    fleet.cut("node1").must();
    wait_moved(&fleet, &client, "node1");
    fleet.heal("node1").must();
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}

#[test]
fn a_coordinator_that_is_heard_and_hears_nobody_is_replaced() {
    let (fleet, client) = serving("deaf", "node2");
    let before = coordinator(&fleet, "node3");
    let began = mark();
    deafen(&fleet, &before);
    let others = || fleet.nodes().iter().filter(|node| node.name() != before);
    wait_for(&fleet, "another node coordinates", || {
        let status = others().next().map(|node| node.status()).transpose()?.unwrap_or_default();
        let now = status["cluster"]["coordinator"].as_str().unwrap_or_default().to_owned();
        Ok(!now.is_empty() && now != before)
    });
    client.wait_served(&fleet).must();
    undeafen(&fleet, &before);
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}

/// Nothing that is sent to a node arrives; what it sends does.
fn deafen(fleet: &Fleet, name: &str) {
    nft(
        fleet,
        name,
        "table inet deaf { chain incoming { \
         type filter hook input priority -400; iifname != \"lo\" drop; }; }",
    );
}

fn undeafen(fleet: &Fleet, name: &str) {
    nft(fleet, name, "delete table inet deaf");
}

fn nft(fleet: &Fleet, name: &str, rules: &str) {
    let host = fleet.node(name).must().host();
    let run = || Command::new("nft").arg(rules).output();
    let done = host.run(run).must().expect("nft is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn one_link_of_two_is_enough() {
    let (fleet, client) = serving("onelink", "node2");
    let began = mark();
    fleet.cut_link("node2", "ring").must();
    wait_for(&fleet, "the silent link is named", || {
        let status = fleet.node("node1")?.status()?;
        let problems = status["problems"].to_string();
        Ok(problems.contains("link ring"))
    });
    fleet.heal("node2").must();
    whole(&fleet);
    super::assert_untouched(client.seen_since(began));
}

#[test]
fn a_frozen_node_does_not_answer_when_it_thaws() {
    let (fleet, client) = serving("frozen", "node2");
    let began = mark();
    fleet.freeze("node2").must();
    wait_moved(&fleet, &client, "node2");
    fleet.pause(Duration::from_millis(500)).must();
    fleet.thaw("node2").must();
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
    assert!(!client.holders().contains(&"node2".to_owned()));
}

#[test]
fn a_stall_shorter_than_the_ride_out_moves_nothing() {
    let (fleet, client) = serving("stall", "node2");
    let began = mark();
    let guard = fleet.process("node2", Part::Guard).must();
    guard.freeze().must();
    fleet.pause(Duration::from_millis(150)).must();
    guard.thaw().must();
    fleet.pause(Duration::from_secs(1)).must();
    assert_eq!(client.holders(), ["node2"]);
    super::assert_untouched(client.seen_since(began));
}

#[test]
fn a_killed_guard_costs_the_lease_and_nothing_else() {
    let (fleet, client) = serving("guard", "node2");
    let began = mark();
    fleet.kill("node2", Part::Guard).must();
    wait_for(&fleet, "a new guard", || Ok(fleet.restarts("node2", Part::Guard) == 1));
    whole(&fleet);
    client.wait_served(&fleet).must();
    assert_taken_over(client.seen_since(began));
}

#[test]
fn a_guard_killed_for_good_leaves_silence_within_the_lease() {
    let (fleet, client) = serving("noguard", "node2");
    let began = mark();
    fleet.kill_for_good("node2", Part::Guard).must();
    wait_moved(&fleet, &client, "node2");
    fleet.pause(Duration::from_millis(500)).must();
    assert_eq!(client.holders().len(), 1);
    fleet.start_part("node2", Part::Guard).must();
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}

#[test]
fn a_guard_that_is_asked_to_end_hands_over_without_waiting_for_the_lease() {
    let (fleet, client) = serving("stop", "node2");
    let began = mark();
    fleet.stop_part("node2", Part::Guard).must();
    wait_moved(&fleet, &client, "node2");
    let seen = client.seen_since(began);
    assert_taken_over(seen);
    let incident = fleet.node("node1").must().json(&["incident", "--json"]).must();
    assert_eq!(incident["node"], "node2", "{incident:#}");
    let cause = incident["cause"].as_str().unwrap_or_default();
    assert!(["the node stopped cleanly", "planned"].contains(&cause), "{incident:#}");
    fleet.start_part("node2", Part::Guard).must();
    whole(&fleet);
}
