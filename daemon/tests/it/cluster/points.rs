//! The network of a service fails on its holder while the links are fine.

use std::process::Command;
use std::time::Duration;

use stead::demo::fleet::{Client, Family, Fleet, ServicePlan, service_address};

use super::{
    Must, WEB, assert_alone, assert_taken_over, assert_untouched, client, mark, run, stead, three,
    told, wait_for, wait_moved, wait_preferred, web, whole,
};

/// A machine on the first network that is no node: another address of the client's host.
const POINT: &str = "10.77.0.251";
const POINT6: &str = "fd77::251";

fn on_client(fleet: &Fleet, line: &str) -> String {
    run(fleet.client(), line)
}

/// Three nodes, a point, and `web` on node2 in a network that asks it.
fn watched(name: &str, networks: &str, service: ServicePlan, gateway: bool) -> Fleet {
    let mut plan = three(name).service(service.prefer(&["node2"]));
    plan.networks = networks.to_owned();
    let fleet = Fleet::build(plan, Default::default()).must();
    on_client(&fleet, &format!("ip address add {POINT}/24 dev front"));
    on_client(&fleet, &format!("ip address add {POINT6}/64 dev front nodad"));
    if gateway {
        for node in fleet.nodes() {
            run(node.host(), &format!("ip route add 203.0.113.0/24 via {POINT}"));
        }
    }
    fleet.found().must();
    fleet.join_all().must();
    whole(&fleet);
    fleet.serve().must();
    whole(&fleet);
    wait_for(&fleet, "every node has answers", || {
        let status = fleet.node("node1")?.status()?;
        let points = status["points"].as_array().cloned().unwrap_or_default();
        let seen = points.iter().flat_map(|it| it["nodes"].as_array().cloned().unwrap_or_default());
        let seen: Vec<_> = seen.collect();
        Ok(!seen.is_empty() && seen.iter().all(|it| it["sees"] == "answers"))
    });
    fleet
}

fn network(asked: &str) -> String {
    format!("\n[networks.front]\nprefix = \"10.77.0.0/24\"\n{asked}\n")
}

fn declared() -> String {
    network(&format!("addresses = [\"{POINT}\"]"))
}

/// It goes elsewhere when the port of its node passes nothing, in the time of a takeover.
fn assert_leaves_a_dead_port(fleet: &Fleet, client: &Client) {
    wait_preferred(fleet, client, "node2");
    let began = mark();
    fleet.cut_link("node2", "front").must();
    wait_moved(fleet, client, "node2");
    fleet.heal("node2").must();
    whole(fleet);
    assert_taken_over(client.seen_since(began));
}

/// The port of the switch passes nothing any more, in either direction. The carrier stays.
#[test]
fn a_port_that_passes_nothing_sends_the_service_elsewhere() {
    let fleet = watched("deadport", &declared(), web("web", WEB, &[]), false);
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let began = mark();
    fleet.cut_link("node2", "front").must();
    wait_moved(&fleet, &client, "node2");
    println!("a port that passes nothing: {:?}", client.seen_since(began));
    assert!(told(&fleet, "node2", "has to stop here: the node lost the service's network").must());
    assert!(told(&fleet, "node2", &format!("point {POINT} of the network front does not")).must());
    let node1 = fleet.node("node1").must();
    let problems = node1.status().must()["problems"].to_string();
    assert!(problems.contains("node2 has no answers from 10.77.0.251"), "{problems}");
    // nor does it go back because somebody asks for that
    let refused = node1.stead(&["move", "web", "node2"]).must().stderr;
    let why = "node2 has no answers from 10.77.0.251 of the network front, which others have";
    assert!(refused.contains(why) && refused.contains("nothing was changed"), "{refused}");
    fleet.heal("node2").must();
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}

#[test]
fn a_lost_carrier_counts_at_once() {
    let fleet = watched("pulledpoint", &declared(), web("web", WEB, &[]), false);
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let link = fleet.link("node2", "front").must();
    let began = mark();
    fleet.bed().unplug(&link).must();
    wait_moved(&fleet, &client, "node2");
    let seen = client.seen_since(began);
    println!("a lost carrier: {seen:?}");
    assert!(told(&fleet, "node2", "has to stop here: the node lost the service's network").must());
    fleet.bed().plug_in(&link).must();
    whole(&fleet);
    assert_taken_over(seen);
}

#[test]
fn a_gateway_of_the_routing_table_is_asked() {
    let fleet = watched("gateway", &network("gateway = true"), web("web", WEB, &[]), true);
    let client = client(&fleet, WEB);
    assert_leaves_a_dead_port(&fleet, &client);
}

/// One of two next hops is nobody; then the port passes nothing.
#[test]
fn the_doctor_asks_the_points() {
    let asked = format!("gateway = true\naddresses = [\"{POINT}\"]");
    let fleet = watched("doctorpoint", &network(&asked), web("web", WEB, &[]), true);
    let node = fleet.node("node3").must();
    let line = format!("ip route add 198.51.100.0/24 nexthop via 10.77.0.252 nexthop via {POINT}");
    run(node.host(), "ip route delete 203.0.113.0/24");
    run(node.host(), &line);
    let found = |check: &str| {
        let findings = node.json(&["doctor", "--json"]).must();
        let all = findings["findings"].as_array().expect("a list");
        let found = all.iter().find(|it| it["check"] == check);
        let found = found.unwrap_or_else(|| panic!("no {check} in {findings}"));
        (found["verdict"].clone(), found["seen"].to_string())
    };
    let (verdict, seen) = found("10.77.0.251 of front");
    assert!(verdict == "good" && seen.contains("10 of 10 questions answered"), "{seen}");
    let (verdict, seen) = found("gateway of front");
    assert!(verdict == "good" && seen.contains("10.77.0.252"), "both are asked: {seen}");
    fleet.cut_link("node3", "front").must();
    for check in ["10.77.0.251 of front", "gateway of front"] {
        let (verdict, seen) = found(check);
        assert!(verdict == "warning" && seen.contains("0 of 10 questions answered"), "{seen}");
    }
    run(node.host(), "ip link set front down");
    let (verdict, seen) = found("10.77.0.251 of front");
    assert!(verdict == "warning" && seen.contains("front is down"), "{seen}");
}

#[test]
fn a_point_is_asked_by_neighbour_discovery() {
    let address = service_address(Family::V6, WEB);
    let prefix = address.to_string();
    let prefix = prefix.split("::").next().unwrap_or_default().to_owned();
    let networks =
        format!("\n[networks.front]\nprefix = \"{prefix}::/64\"\naddresses = [\"{POINT6}\"]\n");
    let service = ServicePlan::web("web", &stead(), Family::V6, WEB);
    let fleet = watched("ndpoint", &networks, service, false);
    let client = Client::start(&fleet, address).must();
    client.wait_served(&fleet).must();
    assert_leaves_a_dead_port(&fleet, &client);
}

#[test]
fn when_all_lose_the_point_nobody_moves() {
    let fleet = watched("deadpoint", &declared(), web("web", WEB, &[]), false);
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let began = mark();
    on_client(&fleet, &format!("ip address delete {POINT}/24 dev front"));
    wait_for(&fleet, "it is said", || {
        let problems = fleet.node("node1")?.status()?["problems"].to_string();
        Ok(problems.contains("answers no node"))
    });
    fleet.pause(Duration::from_secs(2)).must();
    on_client(&fleet, &format!("ip address add {POINT}/24 dev front"));
    whole(&fleet);
    assert_eq!(client.holders(), ["node2"]);
    assert_untouched(client.seen_since(began));
    for node in ["node1", "node2", "node3"] {
        assert!(!told(&fleet, node, "lost the service's network").must(), "{node}");
    }
}

/// What node1 sends on one link does not arrive at node2; all else does.
#[test]
fn one_way_of_one_link_is_named() {
    let fleet = watched("oneway", &declared(), web("web", WEB, &[]), false);
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let began = mark();
    let mac = fleet.link("node1", "ring").must().mac();
    let rules = format!(
        "table netdev oneway {{ chain incoming {{ type filter hook ingress device \"ring\" \
         priority 0; ether saddr {mac} drop; }}; }}"
    );
    let host = fleet.node("node2").must().host().clone();
    let nft = |rules: &str| {
        let done = host.run(|| Command::new("nft").arg(rules).output()).must().must();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    nft(&rules);
    for node in ["node1", "node2"] {
        wait_for(&fleet, "the direction is named", || {
            let problems = fleet.node(node)?.status()?["problems"].to_string();
            Ok(problems.contains("ring: node2 hears node1, node1 does not hear node2")
                || problems.contains("ring: node1 hears node2, node2 does not hear node1"))
        });
    }
    let status = fleet.node("node1").must().status().must();
    let problems = status["problems"].to_string();
    assert!(problems.contains("ring: node1 hears node2, node2 does not hear node1"), "{problems}");
    let numbers = fleet.node("node1").must().stead(&["metrics"]).must().stdout;
    let line = "stead_link_heard_by_peer{peer=\"node2\",link=\"ring\"} 0";
    assert!(numbers.contains(line), "{numbers}");
    nft("delete table netdev oneway");
    whole(&fleet);
    assert_alone(client.seen_since(began));
    assert_untouched(client.seen_since(began));
}
