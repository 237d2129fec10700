//! What operators do: move, drain, change the configuration.

use stead::demo::fleet::Fleet;

use super::{
    API, Must, WEB, assert_taken_over, assert_untouched, client, mark, serving, three, wait_for,
    wait_moved, web, whole,
};

#[test]
fn a_service_moves_to_where_it_is_told() {
    let (fleet, client) = serving("move", "node1");
    let began = mark();
    for to in ["node2", "node3", "node1"] {
        let moved = fleet.node("node2").must().stead(&["move", "web", to]).must();
        moved.expect_success().must();
        wait_for(&fleet, "it answers there", || Ok(client.holders() == [to]));
    }
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
    let wrong = fleet.node("node2").must().stead(&["move", "web", "node9"]).must();
    assert!(!wrong.status.success());
    assert!(wrong.stderr.contains("node9"), "{}", wrong.stderr);
    assert_eq!(client.holders(), ["node1"]);
}

#[test]
fn a_node_on_standby_serves_nothing_until_it_is_off_again() {
    let (fleet, client) = serving("standby", "node2");
    let node1 = fleet.node("node1").must();
    let began = mark();
    node1.stead(&["standby", "node2"]).must().expect_success().must();
    wait_moved(&fleet, &client, "node2");
    let refused = node1.stead(&["move", "web", "node2", "--wait", "2"]).must();
    assert!(!refused.status.success() || client.holders() != ["node2"]);
    node1.stead(&["standby", "node2", "--off"]).must().expect_success().must();
    whole(&fleet);
    node1.stead(&["move", "web", "node2"]).must().expect_success().must();
    wait_for(&fleet, "it is back", || Ok(client.holders() == ["node2"]));
    client.wait_served(&fleet).must();
    assert_taken_over(client.seen_since(began));
}

#[test]
fn a_changed_configuration_is_applied_live() {
    let (fleet, web_client) = serving("apply", "node1");
    let began = mark();

    // a service more
    let mut plan = fleet.plan().clone().service(web("api", API, &["node3"]));
    fleet.apply("node2", &plan.configuration()).must();
    let api = client(&fleet, API);
    let api_began = mark();
    assert_eq!(api.holders(), ["node3"]);
    assert_untouched(web_client.seen_since(began));

    // another ride-out, in both directions
    for ride_out in ["500ms", "200ms"] {
        plan.ride_out = Some(ride_out.to_owned());
        // refused until the leases under the timers before have run out
        wait_for(&fleet, "it is applied", || {
            fleet.apply("node3", &plan.configuration()).map(|()| true)
        });
        whole(&fleet);
        assert_untouched(web_client.seen_since(began));
        assert_untouched(api.seen_since(api_began));
    }

    // another address
    plan.services[1] = web("api", API + 1, &["node3"]);
    fleet.apply("node1", &plan.configuration()).must();
    let moved = client(&fleet, API + 1);
    assert_eq!(moved.holders(), ["node3"]);
    wait_for(&fleet, "nobody has the old address", || Ok(api.holders().is_empty()));
    assert_untouched(web_client.seen_since(began));

    // a service less
    plan.services.pop();
    fleet.apply("node1", &plan.configuration()).must();
    wait_for(&fleet, "nobody has its address", || Ok(moved.holders().is_empty()));

    // nonsense changes nothing
    let node = fleet.node("node1").must();
    let broken = plan.configuration().replace("ride-out", "rideout");
    node.write_configuration(&broken).must();
    let refused = node.stead(&["apply", "--yes"]).must();
    assert!(!refused.status.success());
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("ride-out"), "it proposes the right word: {said}");
    whole(&fleet);
    assert_untouched(web_client.seen_since(began));
}

#[test]
fn a_service_goes_back_to_a_better_node_if_it_is_told_so() {
    let mut service = web("web", WEB, &["node2", "node1"]);
    service.failback = true;
    let fleet = Fleet::start(three("failback").service(service)).must();
    let client = client(&fleet, WEB);
    let began = mark();
    fleet.silence_then_kill("node2").must();
    assert_eq!(wait_moved(&fleet, &client, "node2"), "node1");
    fleet.power_on("node2").must();
    wait_for(&fleet, "it goes back", || Ok(client.holders() == ["node2"]));
    whole(&fleet);
    let seen = client.seen_since(began);
    assert_taken_over(seen);
}

#[test]
fn a_node_that_comes_and_goes_is_a_last_resort_until_it_is_said_to_be_steady() {
    let mut service = web("web", WEB, &["node2", "node1"]);
    service.failback = true;
    let fleet = Fleet::start(three("flaps").service(service)).must();
    let client = client(&fleet, WEB);
    let began = mark();
    for back in [true, true, false] {
        wait_for(&fleet, "node2 serves", || Ok(client.holders() == ["node2"]));
        fleet.silence_then_kill("node2").must();
        assert_eq!(wait_moved(&fleet, &client, "node2"), "node1");
        fleet.power_on("node2").must();
        whole(&fleet);
        if back {
            wait_for(&fleet, "it goes back", || Ok(client.holders() == ["node2"]));
        }
    }
    let node1 = fleet.node("node1").must();
    let quarantine = || node1.status().must()["nodes"][1]["quarantine"].clone();
    assert_eq!(quarantine()["losses"], 3, "{:#}", quarantine());
    let status = node1.stead(&["status"]).must().expect_success().must();
    assert!(status.contains("in view, quarantine"), "{status}");
    assert!(status.contains("stead clear --node node2"), "{status}");
    let refused = node1.stead(&["move", "web", "node2"]).must();
    assert!(refused.expect_success().is_err(), "it is in quarantine");
    assert_eq!(client.holders(), ["node1"]);
    // Lifted on another node than the one that coordinates, which alone decides.
    let node3 = fleet.node("node3").must();
    node3.stead(&["clear", "--node", "node2"]).must().expect_success().must();
    wait_for(&fleet, "it goes back", || Ok(client.holders() == ["node2"]));
    assert!(quarantine().is_null(), "{:#}", quarantine());
    assert_taken_over(client.seen_since(began));
}

#[test]
fn the_doctor_finds_a_running_node_fit_and_its_cluster_in_reach() {
    let fleet = Fleet::start(three("doctor")).must();
    let node = fleet.node("node1").must();
    let findings = node.json(&["doctor", "--json"]).must();
    let all = findings["findings"].as_array().cloned().unwrap_or_default();
    let of = |check: &str| {
        let found = all.iter().find(|it| it["check"] == check);
        found.map_or("missing", |it| it["verdict"].as_str().unwrap_or_default())
    };
    for check in ["gate", "secrets", "disk speed", "node2 by ring", "node3 by back"] {
        assert!(["good", "warning"].contains(&of(check)), "{check}: {findings:#}");
    }
    assert_ne!(findings["worst"], "bad", "{findings:#}");
    let wrong = node.stead(&["doctor", "nobody"]).must();
    assert!(wrong.stderr.contains("nobody is no node of the configuration"), "{}", wrong.stderr);
}
