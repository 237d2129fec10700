//! Clients that are led to the new holder by each layer: switches, name servers, routing daemons
//! and documents, all of them real, and a cluster of real daemons.

mod advise;
mod cloud;
mod mac;
mod names;
mod names_bed;
mod names_faults;
mod prepared;
mod probed;
mod registers;
mod routes;
mod routes_bed;
mod routes_faults;
mod routes_frr;
mod segment;
mod told;

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use stead::demo::fleet::{Fleet, Plan};
use stead_lab::{Host, Process};

use crate::cluster::{Must, service, three, wait_for};

/// What failed is tried again after a minute at most, and looked at after another one.
const TRIED_AGAIN: Duration = Duration::from_secs(180);

/// A cluster of three whose services are as this text says.
fn cluster(name: &str, services: &str) -> Fleet {
    let plan: Plan = three(name);
    let text = plan.configuration() + services;
    let fleet = Fleet::start(plan).must();
    fleet.apply("node1", &text).must();
    fleet
}

/// The line of the small web service.
fn program_alone() -> String {
    let stead = crate::cluster::stead().display().to_string();
    format!("program = [\"{stead}\", \"demo-web\", \"8080\"]\n")
}

/// The same with its check at that address.
fn program(address: &str) -> String {
    let stead = crate::cluster::stead().display().to_string();
    format!("{}monitor = [\"{stead}\", \"demo-check\", \"{address}:8080\"]\n", program_alone())
}

/// What a program says on a host; its standard error if it fails.
fn said(host: &Host, program: &str, words: &[&str]) -> Result<String, String> {
    let output = host.run(|| Command::new(program).args(words).output()).must().must();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Starts a program on a host, with its output in a file.
fn start(host: &Host, program: &str, words: &[&str], log: &Path) -> Process {
    let mut command = Command::new(program);
    command.args(words);
    host.spawn(command, log).must()
}

/// A layer of `web`, as the node that has it shows it.
fn layer(fleet: &Fleet, by: &str, layer: &str) -> Value {
    let status = fleet.node(by).must().status().must();
    let web = service(&status, "web");
    let layers = web["layers"].as_array().cloned().unwrap_or_default();
    layers.into_iter().find(|it| it["layer"] == layer).unwrap_or_default()
}

/// Waits until somebody else sees by that layer that `web` is on that node.
#[track_caller]
fn wait_seen(fleet: &Fleet, by: &str, name: &str) {
    let mut last = Value::Null;
    let waited =
        fleet.wait_until(&format!("{name} leads to {by}"), stead::demo::fleet::PATIENCE, || {
            last = layer(fleet, by, name);
            Ok(last["seen-by"].is_string())
        });
    assert!(waited.is_ok(), "{name} does not lead to {by}: {last}");
}

/// Waits until a layer of `web` is in trouble, in these words; they stand in what `stead status`
/// prints and in the journal as well.
#[track_caller]
fn wait_trouble(fleet: &Fleet, by: &str, name: &str, words: &[&str]) {
    let has = |text: &str| words.iter().all(|it| text.contains(it));
    let mut last = Value::Null;
    let waited = fleet.wait_until(&format!("{name} is in trouble on {by}"), TRIED_AGAIN, || {
        last = layer(fleet, by, name);
        Ok(last["trouble"].as_str().is_some_and(has))
    });
    assert!(waited.is_ok(), "{name} on {by} does not say {words:?}: {last}");
    let node = fleet.node(by).must();
    let led = format!("not all clients are led there by {name}:");
    let status = node.stead(&["status"]).must().stdout;
    // Printed for a screen, line by line.
    let flat = status.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(&led) && has(&flat), "{status}");
    let events = node.events().must();
    assert!(events.iter().any(|it| it.starts_with("web: ") && has(it)), "{events:?}");
}

/// Waits until somebody else sees by that layer that `web` is on that node, and nothing is wrong
/// with it; also when it was in trouble before.
#[track_caller]
fn wait_well(fleet: &Fleet, by: &str, name: &str) {
    let mut last = Value::Null;
    let waited = fleet.wait_until(&format!("{name} leads to {by}"), TRIED_AGAIN, || {
        last = layer(fleet, by, name);
        Ok(last["seen-by"].is_string() && last["trouble"].is_null())
    });
    assert!(waited.is_ok(), "{name} does not lead to {by}: {last}");
}

/// Moves `web` as planned; what the command says.
#[track_caller]
fn move_to(fleet: &Fleet, node: &str) -> String {
    let moved = fleet.node(node).must().stead(&["move", "web", node]).must();
    let said = moved.expect_success().must();
    wait_runs(fleet, node);
    said
}

/// Waits until `web` runs on that node, by that node's own word.
#[track_caller]
fn wait_runs(fleet: &Fleet, node: &str) {
    wait_for(fleet, &format!("web runs on {node}"), || {
        let web = service(&fleet.node(node)?.status()?, "web");
        Ok(web["state"] == "runs" && web["node"] == node)
    });
}

/// Waits until `web` runs on a node other than that one; which.
#[track_caller]
fn wait_elsewhere(fleet: &Fleet, before: &str) -> String {
    let others: Vec<_> =
        ["node1", "node2", "node3"].into_iter().filter(|node| *node != before).collect();
    let mut found = String::new();
    wait_for(fleet, &format!("web goes from {before} to another node"), || {
        for node in &others {
            let web = service(&fleet.node(node)?.status()?, "web");
            if web["state"] == "runs" && web["node"] == *node {
                found = (*node).to_owned();
                return Ok(true);
            }
        }
        Ok(false)
    });
    found
}

/// The MAC that a host has for an address in its table.
fn known_mac(host: &Host, address: IpAddr) -> Option<String> {
    let text = said(host, "ip", &["neigh", "show", &address.to_string()]).ok()?;
    let mut words = text.split_whitespace();
    words.find(|word| *word == "lladdr")?;
    words.next().map(str::to_owned)
}

/// Whether the web service there answers a client.
fn answers(host: &Host, at: &str) -> bool {
    said(host, &crate::cluster::stead().display().to_string(), &["demo-check", at]).is_ok()
}

/// Waits until clients are served at that address.
#[track_caller]
fn wait_answers(fleet: &Fleet, address: &str) {
    let at = format!("{address}:8080");
    wait_for(fleet, &format!("clients are served at {at}"), || Ok(answers(fleet.client(), &at)));
}
