//! A cluster becomes known to a quorum server, and each node is asked whether that answers it.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use stead::demo::fleet::{Family, Fleet, Part, client_address};

use super::{Must, stead, three, wait_for, whole};

/// The folder of a quorum server beside the client.
fn folder(fleet: &Fleet) -> PathBuf {
    fleet.folder().join("quorum-server")
}

/// A command of its operator: what it printed, if it succeeded.
fn operator(fleet: &Fleet, words: &[&str]) -> Option<String> {
    let mut command = Command::new(stead());
    command.arg("quorum-server").args(words).arg("--dir").arg(folder(fleet));
    let output = command.output().must();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the doctor of a node finds about the quorum server: how it is taken, and what was seen.
fn found(fleet: &Fleet, node: &str) -> (String, String) {
    let findings = fleet.node(node).must().json(&["doctor", "--json"]).must();
    let all = findings["findings"].as_array().cloned().unwrap_or_default();
    let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    let about = |it: &&Value| text(it, "check").starts_with("quorum server 10.77.");
    let it = all.iter().find(about).unwrap_or_else(|| panic!("nothing of it: {findings:#}"));
    (text(it, "verdict"), text(it, "seen"))
}

/// A member that nobody hears of might not understand what is new: the cluster is not enrolled, the
/// token was not shown, and the operator is told which member it is. Then it is there again.
#[test]
fn a_member_that_is_not_connected_is_named_and_nothing_is_changed() {
    let fleet = Fleet::start(three("enrol")).must();
    let mut command = Command::new(stead());
    command.args(["quorum-server", "run", "--dir"]).arg(folder(&fleet));
    let log = fleet.folder().join("quorum-server.log");
    let server = fleet.client().spawn(command, &log).must();
    wait_for(&fleet, "the server answers its operator", || {
        Ok(operator(&fleet, &["list"]).is_some())
    });
    let address = format!("{}:7745", client_address(Family::V4));
    let token = operator(&fleet, &["enrol", "--address", &address]).expect("a token");
    let by_node1 =
        |token: &str| fleet.node("node1").must().stead(&["quorum", "enrol", token]).must();
    let enrol = || by_node1(token.trim());

    fleet.stop_part("node3", Part::Daemon).must();
    // Until node1 has lost it, the refusal is that nobody is where this token leads.
    let (digits, _) = token.split_once('@').expect("where the server is");
    let nowhere = format!("{digits}@{}:1", client_address(Family::V4));
    wait_for(&fleet, "node1 has lost it", || {
        let refused = by_node1(&nowhere);
        assert!(!refused.status.success(), "{}", refused.stdout);
        Ok(refused.stderr.contains("node3 is not connected"))
    });
    let refused = enrol().stderr;
    assert!(!refused.contains("node2"), "only who is not there is named: {refused}");
    for words in ["nothing was changed", "the token was not shown and can be used"] {
        assert!(refused.contains(words), "{refused}");
    }
    let list: Value = serde_json::from_str(&operator(&fleet, &["list", "--json"]).expect("a list"))
        .expect("JSON");
    assert_eq!(list["clusters"], Value::Array(Vec::new()), "the server was not asked");
    let quorum = fleet.node("node1").must().json(&["quorum", "--json"]).must();
    assert_eq!(quorum["breaker"], Value::Null);

    fleet.start_part("node3", Part::Daemon).must();
    wait_for(&fleet, "the same token is good", || Ok(enrol().status.success()));
    whole(&fleet);
    for node in ["node1", "node2", "node3"] {
        wait_for(&fleet, "its doctor finds the server", || Ok(found(&fleet, node).0 == "good"));
    }
    let (_, seen) = found(&fleet, "node2");
    assert!(seen.contains("TLS with its key in") && seen.contains("newest grant"), "{seen}");
    server.kill().must();
    wait_for(&fleet, "its doctor misses the server", || {
        let (verdict, seen) = found(&fleet, "node2");
        Ok(verdict == "warning" && seen.contains("can't be reached"))
    });
}
