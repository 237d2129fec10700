//! Two nodes, four nodes, and a quorum server on the client's machine: a third one, which both
//! halves reach while they don't reach each other.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stead::demo::fleet::{Fleet, FleetError, Plan, Seen};

use super::server::{Server, pair, quorum, voting, wait_verdict};
use super::{
    Must, WEB, assert_alone, assert_taken_over, assert_untouched, client, mark, stead, told,
    wait_for, wait_moved, wait_preferred, web, whole,
};

#[test]
fn the_link_between_two_is_cut_and_exactly_one_goes_on() {
    let fleet = pair("tie-cut");
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let server = Server::start(&fleet);
    server.enrol("node1");
    let began = mark();
    fleet.cut_from_nodes("node1").must();
    // The half that serves asks first, and goes on as if nothing had happened.
    wait_for(&fleet, "the half of node2 was granted", || {
        told(&fleet, "node2", "goes on under grant")
    });
    wait_verdict(&fleet, "node2", "HAVEQUORUM");
    wait_verdict(&fleet, "node1", "NOQUORUM");
    fleet.pause(Duration::from_secs(1)).must();
    assert_eq!(client.holders(), ["node2"]);
    fleet.heal("node1").must();
    whole(&fleet);
    wait_for(&fleet, "node1 votes again", || {
        let quorum = quorum(&fleet, "node2")?;
        Ok(quorum["voters"] == 2 && quorum["out"].as_array().is_some_and(Vec::is_empty))
    });
    assert_untouched(client.seen_since(began));
}

#[test]
fn one_of_two_loses_its_power_and_the_other_takes_over_and_it_comes_back() {
    let fleet = pair("tie-death");
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let server = Server::start(&fleet);
    server.enrol("node1");
    for (dies, takes) in [("node2", "node1"), ("node1", "node2")] {
        let began = mark();
        fleet.silence_then_kill(dies).must();
        assert_eq!(wait_moved(&fleet, &client, dies), takes);
        assert_taken_over(client.seen_since(began));
        fleet.power_on(dies).must();
        whole(&fleet);
        wait_for(&fleet, "both vote", || Ok(quorum(&fleet, takes)?["voters"] == 2));
    }
}

#[test]
fn without_the_server_only_a_half_stops_and_it_goes_on_when_the_server_is_back() {
    let fleet = pair("tie-server");
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let server = Server::start(&fleet);
    server.enrol("node1");
    let began = mark();
    server.kill();
    wait_for(&fleet, "both say that it does not answer", || {
        let status = |node: &str| fleet.node(node)?.status();
        let says = |status: Value| status["problems"].to_string().contains("breaks ties");
        Ok(says(status("node1")?) && says(status("node2")?))
    });
    assert_untouched(client.seen_since(began));
    fleet.silence_then_kill("node1").must();
    wait_verdict(&fleet, "node2", "NOQUORUM");
    wait_for(&fleet, "nobody serves", || Ok(client.holders().is_empty()));
    server.run();
    wait_for(&fleet, "node2 serves again", || Ok(client.holders() == ["node2"]));
    fleet.power_on("node1").must();
    whole(&fleet);
    assert_alone(client.seen_since(began));
}

#[test]
fn a_node_that_missed_what_was_decided_is_refused_and_says_so() {
    let fleet = pair("tie-stale");
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let server = Server::start(&fleet);
    server.enrol("node1");
    let began = mark();
    fleet.silence_then_kill("node2").must();
    wait_moved(&fleet, &client, "node2");
    wait_for(&fleet, "the grant is used up", || told(&fleet, "node1", "goes on under grant"));
    // The server has heard it by then.
    wait_for(&fleet, "node2 has no vote", || Ok(quorum(&fleet, "node1")?["voters"] == 1));
    fleet.pause(Duration::from_secs(2)).must();
    fleet.silence_then_kill("node1").must();
    fleet.power_on("node2").must();
    wait_for(&fleet, "node2 says what happened", || {
        let status = fleet.node("node2")?.status()?;
        Ok(status["problems"].to_string().contains("missed what was decided"))
    });
    assert!(client.holders().is_empty());
    fleet.power_on("node1").must();
    whole(&fleet);
    assert_alone(client.seen_since(began));
}

#[test]
fn a_server_without_its_disk_grants_nothing_until_a_majority_has_told_it() {
    let fleet = pair("tie-disk");
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let server = Server::start(&fleet);
    server.enrol("node1");
    let before = quorum(&fleet, "node1").must()["grant"].as_u64();
    let copy = fleet.folder().join("copy");
    let copy = copy.to_str().expect("a path in UTF-8");
    let (made, said) = server.operator(&["backup", copy]);
    assert!(made, "{said}");
    server.kill();
    let (put_back, said) = server.operator(&["restore", copy, "--replace"]);
    assert!(put_back, "{said}");
    server.run();
    wait_for(&fleet, "a majority told it a new number", || {
        Ok(quorum(&fleet, "node1")?["grant"].as_u64() > before)
    });
    server.ready();
    let began = mark();
    fleet.silence_then_kill("node2").must();
    wait_moved(&fleet, &client, "node2");
    let seen: Seen = client.seen_since(began);
    assert_taken_over(seen);
    fleet.power_on("node2").must();
    whole(&fleet);
}

#[test]
fn of_two_and_two_one_half_goes_on_and_the_other_votes_again_when_it_is_back() {
    let plan = Plan::of("tie-four", &stead(), 4).service(web("web", WEB, &["node2"]));
    let fleet = voting(plan);
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let server = Server::start(&fleet);
    server.enrol("node1");
    let began = mark();
    for node in ["node3", "node4"] {
        fleet.silence_then_kill(node).must();
    }
    wait_for(&fleet, "the half goes on", || told(&fleet, "node2", "goes on under grant"));
    // One of the absent has lost its vote: two of three are here.
    wait_for(&fleet, "three vote", || Ok(quorum(&fleet, "node1")?["voters"] == 3));
    wait_verdict(&fleet, "node1", "HAVEQUORUM");
    assert_untouched(client.seen_since(began));
    for node in ["node3", "node4"] {
        fleet.power_on(node).must();
    }
    whole(&fleet);
    wait_for(&fleet, "four vote", || Ok(quorum(&fleet, "node1")?["voters"] == 4));
    // And the next tie is broken as well.
    let began = mark();
    for node in ["node1", "node2"] {
        fleet.silence_then_kill(node).must();
    }
    wait_moved(&fleet, &client, "node2");
    assert_taken_over(client.seen_since(began));
    for node in ["node1", "node2"] {
        fleet.power_on(node).must();
    }
    whole(&fleet);
}

/// A third voter for two, and the leave of one of two: an even set changes with a number of the
/// server's, and not without it.
#[test]
fn a_third_node_joins_two_and_leaves_them_and_one_of_two_leaves_while_ties_are_broken() {
    let plan = Plan::of("tie-third", &stead(), 3).service(web("web", WEB, &["node1"]));
    let fleet = Fleet::build(plan, Arc::default()).must();
    fleet.found().must();
    fleet.join("node1", "node2").must();
    let vote = |count: u64| {
        wait_for(&fleet, &format!("{count} vote"), || {
            Ok(quorum(&fleet, "node1")?["voters"] == count)
        });
    };
    vote(2);
    fleet.serve().must();
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node1");
    let server = Server::start(&fleet);
    server.enrol_of("node1", &["node1", "node2"]);
    let began = mark();
    let number = || Ok::<_, FleetError>(quorum(&fleet, "node1")?["grant"].as_u64());
    let before = number().must();
    fleet.join("node1", "node3").must();
    vote(3);
    assert!(number().must() > before, "a number was taken");
    server.ready();

    let node1 = fleet.node("node1").must();
    node1.stead(&["leave", "node3", "--yes"]).must().expect_success().must();
    vote(2);
    server.kill();
    wait_for(&fleet, "node1 knows that nothing breaks ties", || {
        Ok(quorum(&fleet, "node1")?["breaker"]["answers"] == Value::Bool(false))
    });
    node1.stead(&["leave", "node2", "--yes"]).must().expect_success().must();
    wait_for(&fleet, "what left has a vote, and that is said", || {
        let problems = node1.status()?["problems"].to_string();
        Ok(problems.contains("a node that left still has a vote"))
    });
    assert_eq!(quorum(&fleet, "node1").must()["voters"], 2);
    server.run();
    vote(1);
    assert_untouched(client.seen_since(began));
}

/// One of two and the server are gone for good. People know that, and say so.
#[test]
fn an_operator_says_that_the_other_half_is_off_and_this_one_goes_on() {
    let fleet = pair("tie-word");
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let server = Server::start(&fleet);
    server.enrol("node1");
    let node1 = fleet.node("node1").must();
    let word = ["quorum", "override", "--reason", "the site burnt down", "--yes"];
    let refused = node1.stead(&word).must();
    assert!(!refused.status.success(), "there is quorum");
    assert!(refused.stderr.contains("nothing to override"), "{}", refused.stderr);

    server.kill();
    let began = mark();
    fleet.silence_then_kill("node2").must();
    wait_verdict(&fleet, "node1", "NOQUORUM");
    wait_for(&fleet, "status says what can be done", || {
        Ok(node1.status()?["problems"].to_string().contains("stead quorum override"))
    });
    assert!(client.holders().is_empty());
    node1.stead(&word).must().expect_success().must();
    wait_for(&fleet, "node1 serves", || Ok(client.holders() == ["node1"]));
    let last = quorum(&fleet, "node1").must()["overrides"][0].clone();
    assert_eq!((&last["reason"], &last["by"]), (&"the site burnt down".into(), &"node1".into()));

    server.run();
    server.ready_for(&["node1"]);
    fleet.power_on("node2").must();
    whole(&fleet);
    wait_for(&fleet, "both vote", || Ok(quorum(&fleet, "node1")?["voters"] == 2));
    server.ready();
    assert_alone(client.seen_since(began));
}

/// What was granted is lost for good with its half: the other one goes on by a second word, and
/// lets it in no more.
#[test]
fn a_half_that_missed_something_goes_on_by_a_second_word_only() {
    let fleet = pair("tie-twice");
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let server = Server::start(&fleet);
    server.enrol("node1");
    fleet.silence_then_kill("node2").must();
    wait_moved(&fleet, &client, "node2");
    wait_for(&fleet, "node2 has no vote", || Ok(quorum(&fleet, "node1")?["voters"] == 1));
    // The server has heard of it a second later.
    fleet.pause(Duration::from_secs(2)).must();
    fleet.silence_then_kill("node1").must();
    fleet.power_on("node2").must();
    wait_for(&fleet, "node2 says what happened", || {
        let status = fleet.node("node2")?.status()?;
        Ok(status["problems"].to_string().contains("missed what was decided"))
    });
    let node2 = fleet.node("node2").must();
    let word = ["quorum", "override", "--reason", "node1 was scrapped", "--yes"];
    let once = node2.stead(&word).must();
    assert!(!once.status.success() && once.stderr.contains("--force"), "{}", once.stderr);
    assert!(client.holders().is_empty());
    let twice = [&word[..], &["--force"]].concat();
    node2.stead(&twice).must().expect_success().must();
    wait_for(&fleet, "node2 serves", || Ok(client.holders() == ["node2"]));
    wait_for(&fleet, "node1 is no member any more", || {
        let status = node2.status()?;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        Ok(nodes.iter().any(|node| node["name"] == "node1" && node["state"] == "not-joined"))
    });
    server.ready_for(&["node2"]);
}
