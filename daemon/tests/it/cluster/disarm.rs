//! Work on the network: nothing moves, nobody stops, and still never two.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead::demo::fleet::{Fleet, FleetError, Part};

use super::{
    Must, assert_alone, assert_taken_over, assert_untouched, mark, serving, told, wait_for,
    wait_moved, web_programs, whole,
};

/// Some ordinary leases.
const LONG: Duration = Duration::from_secs(3);

fn says(fleet: &Fleet, words: &[&str]) -> String {
    fleet.node("node1").must().stead(words).must().expect_success().must()
}

/// Every node says so in the first line of its status.
fn all_are(fleet: &Fleet, disarmed: bool) {
    for node in fleet.nodes() {
        wait_for(fleet, "every node knows", || {
            let text = node.stead(&["status"])?.stdout;
            let first = text.lines().next().unwrap_or_default();
            Ok(first.contains("Disarmed until ") == disarmed)
        });
    }
}

/// A node was told that nobody counts by the long lease any more (rule M3), after it was armed.
fn settled_since_armed(fleet: &Fleet, node: &str) -> Result<bool, FleetError> {
    let events = fleet.node(node)?.events()?;
    let armed = events.iter().rposition(|line| line.contains("armed again"));
    let since = armed.and_then(|at| events.get(at + 1..)).unwrap_or_default();
    Ok(since.iter().any(|line| line.contains("the configuration is at revision")))
}

#[test]
fn nodes_that_lose_each_other_while_disarmed_go_on_as_they_are() {
    let (fleet, client) = serving("disarm", "node2");
    let told_so = says(&fleet, &["disarm", "--for", "10min", "--reason", "switch firmware"]);
    assert!(told_so.starts_with("Disarmed for 10 min: nothing moves."), "{told_so}");
    all_are(&fleet, true);
    // Until the leases of now are the long ones: a few heartbeats.
    fleet.pause(Duration::from_millis(500)).must();
    let began = mark();
    for node in fleet.nodes() {
        fleet.cut_from_nodes(node.name()).must();
    }
    fleet.pause(LONG).must();
    for node in fleet.nodes() {
        fleet.heal(node.name()).must();
    }
    wait_for(&fleet, "node1 and node3 hear node2 again", || {
        let sees = |name: &str| fleet.holder("web", name);
        Ok([sees("node1")?, sees("node3")?].iter().all(|it| it.as_deref() == Some("node2")))
    });
    assert_untouched(client.seen_since(began));

    let armed = says(&fleet, &["disarm", "--off"]);
    assert!(armed.starts_with("Armed again: services move as usual."), "{armed}");
    all_are(&fleet, false);
    whole(&fleet);
    let again = says(&fleet, &["disarm", "--off"]);
    assert!(again.contains("armed already; nothing was changed"), "{again}");
    // From then on an ordinary lease is all that others wait for.
    wait_for(&fleet, "no lease of then runs any more", || settled_since_armed(&fleet, "node1"));
    let began = mark();
    fleet.silence_then_kill("node2").must();
    wait_moved(&fleet, &client, "node2");
    assert_taken_over(client.seen_since(began));
}

#[test]
fn a_program_that_ends_while_disarmed_is_started_again_where_it_was() {
    let (fleet, client) = serving("disarmed", "node2");
    says(&fleet, &["disarm"]);
    all_are(&fleet, true);
    let began = mark();
    for pid in web_programs(&fleet, "node2") {
        kill(Pid::from_raw(pid), Signal::SIGKILL).must();
    }
    wait_for(&fleet, "its end was told", || told(&fleet, "node2", "web ended by itself"));
    wait_for(&fleet, "it runs again", || Ok(!web_programs(&fleet, "node2").is_empty()));
    client.wait_served(&fleet).must();
    assert_eq!(fleet.holder("web", "node1").must().as_deref(), Some("node2"));
    assert_alone(client.seen_since(began));
}

#[test]
fn what_a_node_served_that_went_away_while_disarmed_waits_until_that_is_over() {
    let (fleet, client) = serving("disarmed-off", "node2");
    says(&fleet, &["disarm"]);
    all_are(&fleet, true);
    let began = mark();
    fleet.stop_part("node2", Part::Guard).must();
    wait_for(&fleet, "nobody answers", || Ok(client.holders().is_empty()));
    fleet.pause(LONG).must();
    assert!(client.holders().is_empty(), "it waits for its node: {:?}", client.holders());
    says(&fleet, &["disarm", "--off"]);
    wait_moved(&fleet, &client, "node2");
    fleet.start_part("node2", Part::Guard).must();
    whole(&fleet);
    assert_alone(client.seen_since(began));
}
