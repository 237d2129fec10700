//! Nodes without a vote: they serve, die, are cut off, are let vote, and lose their vote again.

use serde_json::Value;
use stead::demo::fleet::{Fleet, FleetError, Plan};

use super::{
    API, Must, WEB, assert_alone, assert_taken_over, assert_untouched, client, coordinator, mark,
    stead, wait_for, wait_moved, wait_preferred, web, whole,
};

/// A fleet of so many that a coordinator's successor may wait for a processor for as long as an
/// election may take by the default ride-out. How long it takes is no matter of these trials.
fn fleet_of(name: &str, nodes: usize) -> Plan {
    let mut plan = Plan::of(name, &stead(), nodes);
    plan.ride_out = Some("1s".to_owned());
    plan
}

/// The names of the nodes of which `key` is true, by the word of one of them.
fn those(fleet: &Fleet, by: &str, key: &str) -> Result<Vec<String>, FleetError> {
    let status = fleet.node(by)?.status()?;
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    let those = nodes.iter().filter(|node| node[key] == true && node["state"] == "in-view");
    Ok(those.filter_map(|node| node["name"].as_str()).map(str::to_owned).collect())
}

/// Waits until exactly these vote, and everybody knows it.
fn wait_votes(fleet: &Fleet, wanted: &[&str]) {
    wait_for(fleet, "the votes that the configuration gives", || {
        for node in fleet.nodes() {
            if those(fleet, node.name(), "votes")? != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    });
}

/// The fleet's configuration with exactly these nodes as satellites.
fn with_satellites(fleet: &Fleet, names: &[&str]) -> String {
    let mut plan = fleet.plan().clone();
    for node in &mut plan.nodes {
        node.satellite = names.contains(&node.name.as_str());
    }
    plan.configuration()
}

fn quorum(fleet: &Fleet, by: &str) -> Value {
    fleet.node(by).must().status().must()["quorum"].clone()
}

#[test]
fn satellites_serve_without_a_vote_and_are_taken_over_from() {
    let plan = fleet_of("satellites", 6).satellites(3);
    let plan = plan.service(web("web", WEB, &["node5", "node6"]));
    let fleet = Fleet::start(plan.service(web("api", API, &["node4"]))).must();
    let (one, two) = (client(&fleet, WEB), client(&fleet, API));
    wait_preferred(&fleet, &one, "node5");
    wait_votes(&fleet, &["node1", "node2", "node3"]);
    assert_eq!(those(&fleet, "node4", "satellite").must(), ["node4", "node5", "node6"]);
    for by in ["node1", "node5"] {
        let quorum = quorum(&fleet, by);
        assert_eq!((&quorum["voters"], &quorum["present"]), (&3.into(), &3.into()), "{by}");
        let problems = fleet.node(by).must().status().must()["problems"].clone();
        assert_eq!(problems.as_array().map(Vec::len), Some(0), "{by}: {problems}");
    }

    // Whoever coordinates dies: satellites never heard much of the next one.
    let began = mark();
    let lost = coordinator(&fleet, "node4");
    fleet.silence_then_kill(&lost).must();
    let voters = ["node1", "node2", "node3"];
    let survivor = voters.into_iter().find(|node| *node != lost).unwrap_or("node1");
    wait_for(&fleet, "another coordinator", || {
        let status = fleet.node(survivor)?.status()?;
        let view = status["nodes"].as_array().cloned().unwrap_or_default();
        let gone = view.iter().any(|it| it["name"] == lost.as_str() && it["state"] == "down");
        Ok(gone && status["cluster"]["coordinator"].is_string())
    });
    assert_untouched(one.seen_since(began));
    assert_untouched(two.seen_since(began));
    fleet.power_on(&lost).must();
    whole(&fleet);

    // A satellite dies, and is taken over from as any node.
    let began = mark();
    fleet.silence_then_kill("node5").must();
    wait_moved(&fleet, &one, "node5");
    assert_taken_over(one.seen_since(began));
    assert_untouched(two.seen_since(began));
    fleet.power_on("node5").must();
    whole(&fleet);

    // One that is cut off falls silent by itself, and comes back.
    let began = mark();
    fleet.cut_from_nodes("node4").must();
    wait_moved(&fleet, &two, "node4");
    assert_taken_over(two.seen_since(began));
    fleet.heal("node4").must();
    whole(&fleet);
    wait_votes(&fleet, &["node1", "node2", "node3"]);
    assert_alone(two.seen_since(began));
}

#[test]
fn votes_are_given_and_taken_while_it_serves() {
    let plan = fleet_of("promotion", 5).satellites(2);
    let plan = plan.service(web("web", WEB, &["node5"]));
    let fleet = Fleet::start(plan.service(web("api", API, &["node1"]))).must();
    let (one, two) = (client(&fleet, WEB), client(&fleet, API));
    wait_preferred(&fleet, &one, "node5");
    wait_preferred(&fleet, &two, "node1");
    let all = ["node1", "node2", "node3", "node4", "node5"];
    wait_votes(&fleet, &all[..3]);
    let began = mark();

    // Both satellites vote, one after the other.
    fleet.apply("node4", &with_satellites(&fleet, &[])).must();
    wait_votes(&fleet, &all);

    // The coordinator loses its vote: another one coordinates first.
    let before = coordinator(&fleet, "node1");
    fleet.apply("node2", &with_satellites(&fleet, &[&before])).must();
    let rest: Vec<_> = all.into_iter().filter(|node| *node != before).collect();
    wait_votes(&fleet, &rest);
    assert_ne!(coordinator(&fleet, rest[0]), before);
    whole(&fleet);
    assert_untouched(one.seen_since(began));
    assert_untouched(two.seen_since(began));

    // Somebody has to vote.
    let refused = fleet
        .apply("node1", &with_satellites(&fleet, &all))
        .expect_err("nobody would vote")
        .to_string();
    assert!(refused.contains("every node is a satellite"), "{refused}");

    // A satellite leaves for good: nothing of it is left in the log.
    let words = ["standby", before.as_str()];
    fleet.node(rest[0]).must().stead(&words).must().expect_success().must();
    wait_for(&fleet, "it serves nothing", || {
        Ok(!one.holders().contains(&before) && !two.holders().contains(&before))
    });
    let words = ["leave", before.as_str(), "--yes"];
    fleet.node(rest[0]).must().stead(&words).must().expect_success().must();
    wait_for(&fleet, "four members and four votes", || {
        let members = those(&fleet, rest[0], "votes")?;
        Ok(members == rest && quorum(&fleet, rest[0])["voters"] == 4)
    });
    assert_alone(one.seen_since(began));
    assert_alone(two.seen_since(began));
}

#[test]
fn a_satellite_begins_no_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan::of("first", &stead(), 3);
    let mut text = plan.configuration();
    text = text.replacen("site = \"home\"\n", "site = \"home\"\nsatellite = true\n", 1);
    std::fs::write(folder.path().join("cluster.toml"), text).expect("written");
    let begin = |node: &str| {
        let mut command = std::process::Command::new(stead());
        for (option, name) in [("--etc", ""), ("--state", "state"), ("--run", "run")] {
            command.arg(option).arg(folder.path().join(name));
        }
        command.args(["init", "--node", node]).output().expect("it runs")
    };
    let refused = begin("node1");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("node1 is a satellite"), "{said}");
    assert!(!folder.path().join("state").exists(), "nothing was changed");
    let begun = begin("node2");
    assert!(begun.status.success(), "{}", String::from_utf8_lossy(&begun.stderr));
}
