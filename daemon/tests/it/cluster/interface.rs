//! Interfaces that fail under a service's address.

use std::process::Command;

use stead::demo::fleet::Fleet;

use super::{Must, assert_taken_over, mark, serving, wait_for, wait_moved, whole};

/// What tc says on a node to one line.
fn tc(fleet: &Fleet, node: &str, line: &str) -> String {
    let host = fleet.node(node).must().host().clone();
    let run = || Command::new("tc").args(line.split(' ')).output();
    String::from_utf8_lossy(&host.run(run).must().must().stdout).into_owned()
}

#[test]
fn an_interface_that_is_turned_off_sends_the_service_elsewhere() {
    let (fleet, client) = serving("down", "node2");
    let host = fleet.node("node2").must().host().clone();
    let index = host.link("front").map(|link| link.index()).unwrap_or_default();
    let began = mark();
    host.netlink().must().set_down(index).must();
    wait_moved(&fleet, &client, "node2");
    host.netlink().must().set_up(index).must();
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}

#[test]
fn an_interface_that_is_gone_sends_the_service_elsewhere() {
    let (fleet, client) = serving("gone", "node2");
    let host = fleet.node("node2").must().host().clone();
    let index = host.link("front").map(|link| link.index()).unwrap_or_default();
    let began = mark();
    host.netlink().must().delete_link(index).must();
    wait_moved(&fleet, &client, "node2");
    assert_taken_over(client.seen_since(began));
}

#[test]
fn a_pulled_cable_sends_the_service_elsewhere() {
    let (fleet, client) = serving("pulled", "node2");
    let link = fleet.link("node2", "front").must();
    let began = mark();
    fleet.bed().unplug(&link).must();
    wait_moved(&fleet, &client, "node2");
    fleet.bed().plug_in(&link).must();
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}

/// Somebody else takes the place of the gate's filters.
#[test]
fn an_interface_on_which_the_gate_can_not_work_sends_the_service_elsewhere() {
    let (fleet, client) = serving("gateless", "node2");
    let status = fleet.node("node2").must().status().must();
    let mut nodes = status["nodes"].as_array().into_iter().flatten();
    assert!(nodes.any(|it| it["name"] == "node2" && it["gate"] == "ebpf"), "{status}");
    let began = mark();
    wait_for(&fleet, "the place is taken", || {
        // The guard may be quicker and take it back in between.
        tc(&fleet, "node2", "qdisc delete dev front clsact");
        tc(&fleet, "node2", "qdisc add dev front ingress");
        Ok(tc(&fleet, "node2", "qdisc show dev front").contains("ingress"))
    });
    wait_moved(&fleet, &client, "node2");
    let troubles = fleet.node("node2").must().stead(&["status"]).must();
    assert!(troubles.stdout.contains("the lease gate can't work on front"), "{troubles:?}");
    tc(&fleet, "node2", "qdisc delete dev front ingress");
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}
