//! Daemons that die: the guard keeps the lease, programs run on.

use std::time::Duration;

use stead::demo::fleet::Part;
use stead_linux::netlink::{AddressSpec, Event};

use super::{
    Must, WEB, address, assert_taken_over, assert_untouched, coordinator, mark, serving, told,
    wait_for, web_programs, whole,
};

#[test]
fn a_killed_daemon_of_holder_and_coordinator_costs_clients_nothing() {
    let (fleet, client) = serving("daemon", "node1");
    assert_eq!(coordinator(&fleet, "node2"), "node1");
    let program = web_programs(&fleet, "node1");
    assert_eq!(program.len(), 1);
    let mut kernel = fleet.node("node1").must().host().namespace().monitor().must();
    let began = mark();
    for kills in 1..=3 {
        fleet.kill("node1", Part::Daemon).must();
        wait_for(&fleet, "a new daemon", || Ok(fleet.restarts("node1", Part::Daemon) == kills));
        whole(&fleet);
    }
    assert_untouched(client.seen_since(began));
    assert_eq!(client.holders(), ["node1"]);
    assert_eq!(web_programs(&fleet, "node1"), program, "the program was not started again");
    // A new daemon reads the log from its beginning, where there was no such service yet. Nothing
    // of that is for the guard, whose answer to it would be too short for a client to notice.
    while let Some(event) = kernel.poll().must() {
        let removed = matches!(event, Event::AddressRemoved { addr, .. } if addr == address(WEB));
        assert!(!removed, "the address was let go for a moment: {event:?}");
    }
}

/// Nobody is there to be elected for a moment: leases may run out, and come back.
#[test]
fn all_daemons_at_once_are_back_at_once() {
    let (fleet, client) = serving("daemons", "node2");
    let began = mark();
    for node in ["node1", "node2", "node3"] {
        fleet.kill(node, Part::Daemon).must();
    }
    for node in ["node1", "node2", "node3"] {
        wait_for(&fleet, "new daemons", || Ok(fleet.restarts(node, Part::Daemon) == 1));
    }
    whole(&fleet);
    client.wait_served(&fleet).must();
    assert_taken_over(client.seen_since(began));
}

#[test]
fn a_daemon_that_stays_away_loses_its_services_after_the_grace() {
    use stead::demo::fleet::Fleet;
    let mut plan = super::three("grace").service(super::web("web", WEB, &["node2"]));
    plan.cluster = "daemon-grace = \"2s\"\n".to_owned();
    let fleet = Fleet::start(plan).must();
    let client = super::client(&fleet, WEB);
    let began = mark();
    fleet.kill_for_good("node2", Part::Daemon).must();
    super::wait_moved(&fleet, &client, "node2");
    let seen = client.seen_since(began);
    assert_taken_over(seen);
    fleet.start_part("node2", Part::Daemon).must();
    whole(&fleet);

    // One that stands still is away as well, though it is there: nobody hears it answer its guard.
    let holder = client.answered_by().unwrap_or_default();
    let daemon = fleet.process(&holder, Part::Daemon).must();
    daemon.freeze().must();
    super::wait_moved(&fleet, &client, &holder);
    daemon.thaw().must();
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}

#[test]
fn an_address_removed_behind_its_back_is_there_again() {
    let (fleet, client) = serving("removed", "node2");
    let host = fleet.node("node2").must().host().clone();
    let index = host.link("front").map(|link| link.index()).unwrap_or_default();
    let began = mark();
    for _ in 0..3 {
        let spec = AddressSpec::new(address(WEB), 24);
        host.netlink().must().delete_address(index, spec.addr, spec.prefix).must();
        wait_for(&fleet, "the address is back", || {
            let there = host.netlink()?.addresses_of(index).unwrap_or_default();
            Ok(there.iter().any(|it| it.addr == address(WEB)))
        });
    }
    client.wait_served(&fleet).must();
    wait_for(&fleet, "the journal tells", || told(&fleet, "node2", "behind stead's back"));
    fleet.pause(Duration::from_millis(500)).must();
    assert_untouched(client.seen_since(began));
    assert_eq!(client.holders(), ["node2"]);
}
