//! Two sites with routers between, delay on every line, and the quorum server at a third place.
//!
//! Clients reach both sites whatever happens between these: whoever may not answer must be silent
//! by itself.

use std::time::Duration;

use stead::demo::fleet::{Fleet, Plan, ServicePlan};

use super::server::{Server, quorum, voting, wait_verdict, wait_voters};
use super::{
    API, Must, WEB, assert_alone, assert_taken_over, assert_untouched, client, mark, stead,
    wait_for, wait_moved, wait_preferred, web, whole,
};

/// There and back on every line.
const ROUND_TRIP: Duration = Duration::from_millis(5);
const SITES: [&str; 2] = ["east", "west"];

/// So many nodes at each of two sites.
fn at_sites(name: &str, each: usize, services: &[ServicePlan]) -> Fleet {
    let mut plan = Plan::of_sites(name, &stead(), &SITES.map(|site| (site, each)), ROUND_TRIP);
    plan.services = services.to_vec();
    voting(plan)
}

/// Each site has a service of its own, and both nodes of it. One half goes on with what it had, the
/// other one is silent before its service moves.
#[test]
fn the_line_between_two_sites_is_cut_and_one_of_them_serves_all() {
    let services = [web("web", WEB, &["node1", "node2"]), web("api", API, &["node3", "node4"])];
    let fleet = at_sites("sites-cut", 2, &services);
    let (east, west) = (client(&fleet, WEB), client(&fleet, API));
    let _server = Server::enrolled(&fleet);
    wait_for(&fleet, "each site serves", || {
        let (of_east, of_west) = (east.holders(), west.holders());
        Ok(["node1", "node2"].iter().any(|node| of_east == [*node])
            && ["node3", "node4"].iter().any(|node| of_west == [*node]))
    });
    let began = mark();
    fleet.cut_sites("east", "west").must();
    let side = |holders: &[String]| {
        let [one] = holders else { return None };
        SITES.into_iter().find(|site| fleet.nodes_at(site).any(|node| node == one))
    };
    let mut granted = "";
    wait_for(&fleet, "one site serves all", || {
        let (one, other) = (side(&east.holders()), side(&west.holders()));
        granted = one.unwrap_or_default();
        Ok(one.is_some() && one == other)
    });
    east.wait_served(&fleet).must();
    west.wait_served(&fleet).must();
    for site in SITES {
        let verdict = if site == granted { "HAVEQUORUM" } else { "NOQUORUM" };
        fleet.nodes_at(site).for_each(|node| wait_verdict(&fleet, node, verdict));
    }
    let (stays, moves) = if granted == "east" { (&east, &west) } else { (&west, &east) };
    assert_untouched(stays.seen_since(began));
    fleet.heal_sites("east", "west").must();
    whole(&fleet);
    wait_voters(&fleet, "node1", 4);
    assert_alone(stays.seen_since(began));
    assert_taken_over(moves.seen_since(began));
}

#[test]
fn a_whole_site_dies_and_the_other_takes_over_and_it_comes_back() {
    let fleet = at_sites("sites-dead", 1, &[web("web", WEB, &["node2"])]);
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let _server = Server::enrolled(&fleet);
    let began = mark();
    fleet.kill_site("west").must();
    assert_eq!(wait_moved(&fleet, &client, "node2"), "node1");
    assert_taken_over(client.seen_since(began));
    wait_for(&fleet, "the site that is left is a majority", || {
        Ok(quorum(&fleet, "node1")?["voters"] == 1)
    });
    fleet.revive_site("west").must();
    whole(&fleet);
    wait_voters(&fleet, "node1", 2);
    assert_taken_over(client.seen_since(began));
}

/// Scenario 6: the server is seen by one half only, and that is not the one that serves.
#[test]
fn a_site_without_its_lines_is_silent_before_the_other_serves() {
    let fleet = at_sites("sites-lines", 1, &[web("web", WEB, &["node2"])]);
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let _server = Server::enrolled(&fleet);
    let began = mark();
    fleet.cut_from_third("west").must();
    wait_for(&fleet, "node2 says that the server does not answer it", || {
        Ok(quorum(&fleet, "node2")?["breaker"]["answers"] == false)
    });
    assert_untouched(client.seen_since(began));
    fleet.cut_sites("east", "west").must();
    assert_eq!(wait_moved(&fleet, &client, "node2"), "node1");
    wait_verdict(&fleet, "node2", "NOQUORUM");
    assert_taken_over(client.seen_since(began));
    fleet.heal_sites("east", "west").must();
    fleet.heal_to_third("west").must();
    whole(&fleet);
    wait_voters(&fleet, "node1", 2);
    assert_taken_over(client.seen_since(began));
}

/// Scenarios 4 and 5: nothing happens without the server, and after it no half goes on.
#[test]
fn without_the_server_a_site_that_lost_the_other_stops_until_the_server_is_back() {
    let fleet = at_sites("sites-server", 1, &[web("web", WEB, &["node1"])]);
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node1");
    let server = Server::enrolled(&fleet);
    let began = mark();
    server.kill();
    wait_for(&fleet, "both say that a tie would not be survived", || {
        let says = |node: &str| {
            let problems = fleet.node(node)?.status()?["problems"].to_string();
            Ok::<_, stead::demo::fleet::FleetError>(problems.contains("breaks ties"))
        };
        Ok(says("node1")? && says("node2")?)
    });
    assert_untouched(client.seen_since(began));
    fleet.kill_site("west").must();
    wait_verdict(&fleet, "node1", "NOQUORUM");
    wait_for(&fleet, "nobody serves", || Ok(client.holders().is_empty()));
    server.run();
    wait_for(&fleet, "node1 serves again", || Ok(client.holders() == ["node1"]));
    fleet.revive_site("west").must();
    whole(&fleet);
    wait_voters(&fleet, "node1", 2);
    assert_alone(client.seen_since(began));
}
