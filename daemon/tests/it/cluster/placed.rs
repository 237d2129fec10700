//! Rules of placement in a cluster: obeyed, explained, and seen before they are in force.

use serde_json::Value;
use stead::demo::fleet::Fleet;

use super::{API, Must, WEB, client, three, wait_for, web, whole};

/// The text of a plan with these lines in the tables of nodes and services.
fn ruled(plain: &str, lines: &[(&str, &str)]) -> String {
    lines.iter().fold(plain.to_owned(), |text, (head, line)| {
        assert!(text.contains(head), "{head}: {text}");
        text.replacen(head, &format!("{head}{line}\n"), 1)
    })
}

const ROOM: [(&str, &str); 5] = [
    ("[nodes.node1]\n", "capacity = { memory = 10 }\nlabels = { rack = \"r1\" }"),
    ("[nodes.node2]\n", "capacity = { memory = 10 }\nlabels = { rack = \"r1\" }"),
    ("[nodes.node3]\n", "capacity = { memory = 10 }\nlabels = { rack = \"r2\" }"),
    ("[services.web]\n", "uses = { memory = 6 }\nimportance = 80"),
    ("[services.api]\n", "uses = { memory = 6 }"),
];

fn typed(fleet: &Fleet, words: &[&str]) -> Value {
    let said = fleet.node("node2").must().stead(words).must();
    let said = said.expect_success().must();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn why(explained: &Value, node: &str) -> String {
    let nodes = explained["nodes"].as_array().expect("a list");
    let found = nodes.iter().find(|it| it["node"] == node).expect("each node");
    format!("{}: {}", found["standing"].as_str().unwrap_or_default(), found["why"])
}

#[test]
fn rules_are_obeyed_explained_and_seen_before_they_are_in_force() {
    let plan = three("placed").service(web("web", WEB, &["node1"]));
    let plan = plan.service(web("api", API, &["node1"]));
    let fleet = Fleet::start(plan.clone()).must();
    let (web_client, api) = (client(&fleet, WEB), client(&fleet, API));
    wait_for(&fleet, "both are on node1", || {
        Ok(web_client.holders() == ["node1"] && api.holders() == ["node1"])
    });

    // One of them has to go: there is no room for both, and web counts for more.
    let text = ruled(&plan.configuration(), &ROOM);
    let node = fleet.node("node2").must();
    node.write_configuration(&text).must();
    let planned = typed(&fleet, &["plan", "--json"]);
    let moves = planned["moves"].as_array().expect("a list");
    assert_eq!(moves.len(), 1, "{planned}");
    assert!(moves[0]["service"] == "api" && moves[0]["from"] == "node1", "{planned}");
    assert_eq!(api.holders(), ["node1"], "to plan changes nothing");
    fleet.apply("node2", &text).must();
    wait_for(&fleet, "api makes room", || {
        Ok(api.holders().len() == 1 && api.holders() != ["node1"])
    });
    assert_eq!(web_client.holders(), ["node1"]);
    let explained = typed(&fleet, &["explain", "api", "--json"]);
    let said = why(&explained, "node1");
    assert!(said.starts_with("barred") && said.contains("memory: 6 needed, 4 left"), "{said}");

    // The other way round: what names the reason, taken away, takes the reason away.
    let apart = ruled(
        &text,
        &[("[services.api]\n", "never = [\"node2\"]\napart = [\"web\"]\napart-by = \"rack\"")],
    );
    fleet.apply("node2", &apart).must();
    wait_for(&fleet, "api is in the other rack", || Ok(api.holders() == ["node3"]));
    let explained = typed(&fleet, &["explain", "api", "--json"]);
    assert!(why(&explained, "node2").contains("`only` or `never`"), "{explained}");
    fleet.apply("node2", &apart.replace("never = [\"node2\"]\n", "")).must();
    wait_for(&fleet, "it is in force everywhere", || {
        let explained = typed(&fleet, &["explain", "api", "--json"]);
        Ok(why(&explained, "node2").contains("apart"))
    });

    // What would be, without anything being done.
    let simulated = typed(&fleet, &["simulate", "--fail", "rack=r2", "--json"]);
    assert_eq!(simulated["fails"], serde_json::json!(["node3"]));
    let lost = &simulated["moves"][0];
    assert!(lost["service"] == "api" && lost["to"] == Value::Null, "{simulated}");
    assert_eq!(api.holders(), ["node3"]);
    let refused = node.stead(&["simulate", "--fail", "rack=r9"]).must();
    assert!(!refused.status.success() && refused.stderr.contains("rack=r9"), "{}", refused.stderr);
    let refused = node.stead(&["explain", "apy"]).must();
    assert!(!refused.status.success() && refused.stderr.contains("api"), "{}", refused.stderr);
    whole(&fleet);
}
