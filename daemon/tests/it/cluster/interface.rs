//! Interfaces that fail under a service's address.

use super::{Must, assert_taken_over, mark, serving, wait_moved, whole};

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
