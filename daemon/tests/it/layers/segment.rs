//! The segment as other nodes see it: announcements that do not arrive, and entries set by hand.

use std::process::Command;

use stead::demo::fleet::{Fleet, PATIENCE};

use super::{cluster, layer, program, said, wait_runs};
use crate::cluster::{Must, wait_for};

const ADDRESS: &str = "10.77.0.100";

/// No switch carries gratuitous ARP for the service's address.
fn swallow(fleet: &Fleet) {
    let rules = format!(
        "table bridge quiet {{ chain c {{ type filter hook forward priority 0; policy accept; \
         arp saddr ip {ADDRESS} arp daddr ip {ADDRESS} counter drop; }}; }}"
    );
    for switch in fleet.bed().switches() {
        let output = switch.namespace().run(|| Command::new("nft").arg(&rules).output());
        let output = output.must().must();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Moves the service to and fro until its new holder shows that text of its segment.
fn moved_until(fleet: &Fleet, text: &str, field: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let here = fleet.holder("web", "node3").must();
        let node = if here.as_deref() == Some("node2") { "node1" } else { "node2" };
        assert!(std::time::Instant::now() < deadline, "never seen: {text}");
        // Where the machine is busy, something else may have changed meanwhile: once more.
        if fleet.node(node).must().stead(&["move", "web", node]).must().expect_success().is_err() {
            continue;
        }
        wait_runs(fleet, node);
        let mut last = serde_json::Value::Null;
        wait_for(fleet, &format!("{node} knows what others see"), || {
            last = layer(fleet, node, "arp");
            Ok(last["seen-by"].is_string() || last["trouble"].is_string())
        });
        if last[field].as_str().is_some_and(|it| it.contains(text)) {
            return;
        }
        eprintln!("{node}: {last}");
    }
}

#[test]
fn what_keeps_neighbours_from_following_is_named() {
    let services = format!(
        "\n[services.web]\nprefer = [\"node1\"]\n\
         addresses = [{{ ip = \"{ADDRESS}\", prefix = 24 }}]\n{}",
        program(ADDRESS)
    );
    let fleet = cluster("segment", &services);
    wait_runs(&fleet, "node1");
    swallow(&fleet);
    // Who listens only since a moment ago can't say; a later move shows it.
    let words = "gratuitous ARP does not arrive on this segment; told one by one";
    moved_until(&fleet, words, "seen-by");
    let node = fleet.node("node1").must();
    let advice = node.stead(&["redirect", "advise", "web"]).must().expect_success().must();
    let words = advice.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("suppresses announcements, as takeovers showed"), "{advice}");

    for node in ["node1", "node2", "node3"] {
        let entry = ["neigh", "replace", ADDRESS, "lladdr", "02:00:00:00:00:66", "dev", "front"];
        let words = [&entry[..], &["nud", "permanent"]].concat();
        let set = said(fleet.node(node).must().host(), "ip", &words);
        assert!(set.is_ok(), "{set:?}");
    }
    moved_until(&fleet, "set by hand in its neighbour table", "trouble");
}
