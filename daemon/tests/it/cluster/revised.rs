//! What changes for a while or is taken back, in a cluster: visits, times of the week, and the
//! history of configurations.

use serde_json::Value;
use stead::demo::fleet::Fleet;

use super::{Must, WEB, client, three, wait_for, web, whole};

fn said(fleet: &Fleet, node: &str, words: &[&str]) -> String {
    let said = fleet.node(node).must().stead(words).must();
    said.expect_success().must()
}

fn json(fleet: &Fleet, node: &str, words: &[&str]) -> Value {
    let said = said(fleet, node, words);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// The revisions that a node keeps, the newest first, each with what it changed.
fn kept(fleet: &Fleet, node: &str) -> Vec<(u64, String)> {
    let history = json(fleet, node, &["history", "--json"]);
    let kept = history["kept"].as_array().expect("a list").iter().rev();
    let kept =
        kept.map(|it| (it["number"].as_u64().unwrap_or_default(), it["changes"].to_string()));
    kept.collect()
}

#[test]
fn a_visit_begins_and_ends_by_itself() {
    let fleet = Fleet::start(three("visit").service(web("web", WEB, &["node1"]))).must();
    let client = client(&fleet, WEB);
    wait_for(&fleet, "web is on node1", || Ok(client.holders() == ["node1"]));
    let told = said(&fleet, "node3", &["move", "web", "node2", "--for", "8s"]);
    assert!(told.contains("web is on node2, until") && told.contains("back to node1"), "{told}");
    let status = json(&fleet, "node3", &["status", "--json"]);
    let visit = status["services"][0]["visit"].as_str().unwrap_or_default();
    assert!(visit.starts_with("on node2 until"), "{status}");
    wait_for(&fleet, "it is back", || Ok(client.holders() == ["node1"]));
    wait_for(&fleet, "the visit is forgotten", || {
        let status = json(&fleet, "node3", &["status", "--json"]);
        Ok(status["services"][0]["visit"] == Value::Null)
    });

    // A word for good ends a visit.
    said(&fleet, "node3", &["move", "web", "node2", "--for", "30d"]);
    said(&fleet, "node1", &["move", "web", "node3"]);
    let status = json(&fleet, "node1", &["status", "--json"]);
    assert_eq!(status["services"][0]["visit"], Value::Null);
    assert_eq!(client.holders(), ["node3"]);
    let refused = fleet.node("node1").must();
    let refused = refused.stead(&["move", "web", "node2", "--for", "1s"]).must();
    assert!(!refused.status.success() && refused.stderr.contains("5 s"), "{}", refused.stderr);
    whole(&fleet);
}

#[test]
fn by_times_it_is_elsewhere_and_what_was_in_force_can_be_had_again() {
    let plan = three("revised").service(web("web", WEB, &["node1"]));
    let fleet = Fleet::start(plan.clone()).must();
    let client = client(&fleet, WEB);
    wait_for(&fleet, "web is on node1", || Ok(client.holders() == ["node1"]));
    let plain = plan.configuration();
    // A time that is always open is so at once, on whichever day this runs.
    let timed = format!(
        "{plain}\n[services.web.during.now]\nonly = [\"node3\"]\n\n[times.now]\n\
         zone = \"Asia/Tokyo\"\n"
    );
    fleet.apply("node2", &timed).must();
    wait_for(&fleet, "web is where it may be now", || Ok(client.holders() == ["node3"]));
    let explained = json(&fleet, "node1", &["explain", "web", "--json"]);
    let nodes = explained["nodes"].as_array().expect("a list");
    let node1 = nodes.iter().find(|it| it["node"] == "node1").expect("each node");
    assert_eq!(node1["standing"], "barred", "{explained}");

    // What changed is kept on each node, and can be taken back.
    let newest = |node| kept(&fleet, node).first().map(|(_, changes)| changes.clone());
    let says = |node, word| newest(node).is_some_and(|it: String| it.contains(word));
    wait_for(&fleet, "all nodes keep it", || {
        Ok(["node1", "node2", "node3"].iter().all(|node| says(node, "only on node3")))
    });
    let told = said(&fleet, "node1", &["diff"]);
    assert!(told.contains("time now: open: never ->"), "{told}");
    let before = kept(&fleet, "node1")[1].0;
    let told = said(&fleet, "node1", &["rollback", "--yes"]);
    assert!(told.contains(&format!("Back to revision {before}.")), "{told}");
    assert!(told.contains("Applied: revision"), "{told}");
    wait_for(&fleet, "that is kept, too", || {
        Ok(["node1", "node3"].iter().all(|node| says(node, "-> the same")))
    });
    let first = said(&fleet, "node1", &["history", &before.to_string()]);
    let now = said(&fleet, "node3", &["config"]);
    let text = |said: &str| said.split_once("\n\n").expect("a head").1.to_owned();
    assert_eq!(text(&first), text(&now));
    // It works where it is, and nothing takes it from there.
    assert_eq!(client.holders(), ["node3"]);
    let refused = fleet.node("node1").must().stead(&["rollback", "77", "--yes"]).must();
    assert!(!refused.status.success(), "{}", refused.stdout);
    assert!(refused.stderr.contains("revision 77 is not kept here"), "{}", refused.stderr);
    whole(&fleet);
}
