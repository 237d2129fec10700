//! Nodes that go away in order: what they serve makes a planned move, whoever asks them to go.

use stead::demo::fleet::{Fleet, Part};

use super::{
    API, Must, WEB, assert_alone, assert_untouched, client, coordinator, mark, serving, three,
    told, wait_for, wait_moved, wait_preferred, web, whole,
};

/// The causes that a node gives for what it moved.
fn causes(fleet: &Fleet, node: &str) -> Vec<String> {
    let lines = fleet.node(node).must().events().unwrap_or_default();
    lines.into_iter().filter(|it| it.contains("has to stop here")).collect()
}

/// No lease ran out and nothing was lost: each service was stopped on purpose.
#[track_caller]
fn assert_planned(fleet: &Fleet, node: &str) {
    let causes = causes(fleet, node);
    assert!(!causes.is_empty() && causes.iter().all(|it| it.contains("planned")), "{causes:?}");
}

#[test]
fn a_guard_that_is_asked_to_end_lets_the_services_move_first_and_takes_part_when_it_is_back() {
    let (fleet, client) = serving("ends", "node1");
    // that coordinates as well: it goes on deciding until nothing is left on it
    wait_for(&fleet, "it coordinates", || Ok(coordinator(&fleet, "node1") == "node1"));
    let began = mark();
    fleet.stop_part("node1", Part::Guard).must();
    wait_moved(&fleet, &client, "node1");
    assert_planned(&fleet, "node1");
    assert!(told(&fleet, "node1", "the guard was asked to end").must());
    println!("moved: {:?}", client.seen_since(began));
    wait_for(&fleet, "the others know that it is gone", || {
        let status = fleet.node("node2")?.status()?;
        Ok(status["nodes"][0]["state"] == "down")
    });
    fleet.start_part("node1", Part::Guard).must();
    // and off its own standby
    whole(&fleet);
    wait_for(&fleet, "it may serve again", || {
        Ok(fleet.node("node2")?.status()?["nodes"][0]["standby"] == false)
    });
    let seen = client.seen_since(began);
    println!("{seen:?}");
    assert_untouched(seen);
}

#[test]
fn both_parts_of_a_node_that_are_asked_to_end_at_once_end_in_order() {
    let (fleet, client) = serving("both-end", "node2");
    let began = mark();
    std::thread::scope(|scope| {
        scope.spawn(|| fleet.stop_part("node2", Part::Daemon).must());
        fleet.stop_part("node2", Part::Guard).must();
    });
    wait_moved(&fleet, &client, "node2");
    assert_planned(&fleet, "node2");
    assert_untouched(client.seen_since(began));
    fleet.start_node("node2").must();
    whole(&fleet);
    wait_for(&fleet, "it may serve again", || {
        Ok(fleet.node("node1")?.status()?["nodes"][1]["standby"] == false)
    });
}

#[test]
fn a_standby_that_an_operator_set_stays_when_the_node_comes_back() {
    let (fleet, _client) = serving("stays", "node1");
    let node1 = fleet.node("node1").must();
    node1.stead(&["standby", "node3"]).must().expect_success().must();
    fleet.stop_part("node3", Part::Guard).must();
    fleet.start_part("node3", Part::Guard).must();
    wait_for(&fleet, "it is back", || Ok(node1.status()?["nodes"][2]["state"] == "in-view"));
    fleet.kill("node3", Part::Daemon).must();
    wait_for(&fleet, "its daemon too", || Ok(node1.status()?["nodes"][2]["daemon"] == true));
    assert_eq!(node1.status().must()["nodes"][2]["standby"], true);
}

#[test]
fn what_has_no_other_place_stops_with_the_lease_and_moves_when_there_is_one() {
    let plan = three("no-place").service(web("web", WEB, &["node1"]));
    let fleet = Fleet::start(plan.service(web("api", API, &["node1"]))).must();
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node1");
    for node in ["node2", "node3"] {
        fleet.node("node1").must().stead(&["standby", node]).must().expect_success().must();
    }
    fleet.stop_part("node1", Part::Guard).must();
    wait_for(&fleet, "nobody answers", || Ok(client.holders().is_empty()));
    let began = mark();
    fleet.node("node2").must().stead(&["standby", "node2", "--off"]).must().expect_success().must();
    wait_for(&fleet, "it is served again", || Ok(client.holders() == ["node2"]));
    assert_alone(client.seen_since(began));
}
