//! Which layers are possible: found out by nodes that ask each other on real segments.

use serde_json::Value;
use stead::demo::fleet::Fleet;
use stead_lab::Host;

use super::{cluster, program, said, wait_runs};
use crate::cluster::{Must, wait_for};

/// Where `web` is served, and an address on networks of the same name that hang together nowhere.
const WEB: &str = "10.77.0.100";
const FAR: &str = "10.88.0.100";
/// The client's host.
const CLIENT: &str = "10.77.0.250";

fn advised(fleet: &Fleet, by: &str, words: &[&str]) -> Value {
    let words = [&["redirect", "advise", "--json"], words].concat();
    let ran = fleet.node(by).must().stead(&words).must();
    serde_json::from_str(&ran.expect_success().must()).must()
}

fn layer<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let layers = answer["layers"].as_array().into_iter().flatten();
    layers.into_iter().find(|it| it["layer"] == name).unwrap_or(&Value::Null)
}

fn fact<'a>(answer: &'a Value, what: &str) -> &'a Value {
    let facts = answer["facts"].as_array().into_iter().flatten();
    facts.into_iter().find(|it| it["what"] == what).unwrap_or(&Value::Null)
}

fn ip(host: &Host, words: &[&str]) {
    said(host, "ip", words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
}

#[test]
fn what_is_possible_is_found_out_on_the_segments_themselves() {
    let services = format!(
        "\n[services.web]\nprefer = [\"node1\"]\n\
         addresses = [{{ ip = \"{WEB}\", prefix = 24 }}]\n{}\
         \n[services.far]\nonly = [\"node1\", \"node3\"]\n\
         addresses = [{{ ip = \"{FAR}\", prefix = 24, interface = \"far\" }}]\n\
         \n[redirect]\nnot-permitted = {{ mac = \"network team\" }}\n",
        program(WEB)
    );
    let fleet = cluster("advise", &services);
    for (node, octet) in [("node1", 1), ("node3", 3)] {
        let host = fleet.node(node).must().host();
        let address = format!("10.88.0.{octet}/24");
        // A cable whose other end is in nothing.
        ip(host, &["link", "add", "far", "type", "veth", "peer", "name", "far-end"]);
        ip(host, &["addr", "add", &address, "dev", "far"]);
        ip(host, &["link", "set", "far", "up"]);
        ip(host, &["link", "set", "far-end", "up"]);
    }
    wait_runs(&fleet, "node1");

    // A node that has nothing of it asks the others, and all are on one segment.
    let mut answer = Value::Null;
    wait_for(&fleet, "all nodes are heard on the segment", || {
        answer = advised(&fleet, "node2", &["web", "--client", CLIENT]);
        Ok(layer(&answer, "arp")["possible"] == "yes")
    });
    let segment = fact(&answer, &format!("segment of {WEB}"));
    assert_eq!(segment["value"], "node1, node2 and node3", "{answer:#}");
    assert_eq!(segment["source"], "found by node2", "{answer:#}");
    let clients = &fact(&answer, "clients")["value"];
    assert_eq!(clients, &format!("{CLIENT}, on the segment"), "{answer:#}");
    assert_eq!(answer["ranking"][0]["layer"], "arp", "{answer:#}");
    let arp = layer(&answer, "arp");
    assert_eq!((&arp["used"], &arp["leads"]), (&true.into(), &true.into()), "{answer:#}");
    assert!(arp["unplanned"]["total-ms"].as_f64() >= arp["planned"]["total-ms"].as_f64());
    assert_eq!(layer(&answer, "mac")["not-permitted-by"], "network team", "{answer:#}");
    let words = answer["permissions"][0]["words"].as_str().unwrap_or_default();
    assert!(words.starts_with("To network team, about web and the layer mac."), "{words}");
    assert_eq!(layer(&answer, "dns")["possible"], "unknown", "{answer:#}");

    // Networks that look alike and are not joined.
    wait_for(&fleet, "both ends of the other network are looked at", || {
        answer = advised(&fleet, "node1", &["far"]);
        Ok(layer(&answer, "arp")["possible"] == "no")
    });
    let segment = fact(&answer, &format!("segment of {FAR}"));
    assert_eq!(segment["value"], "node1 | node3", "{answer:#}");
    let warnings = answer["warnings"].to_string();
    assert!(warnings.contains("moves between nodes of different segments"), "{answer:#}");

    let text = fleet.node("node1").must().stead(&["redirect", "advise", "web"]).must().stdout;
    assert!(text.contains("What a permission would buy"), "{text}");
    let wrong = fleet.node("node1").must().stead(&["redirect", "advise", "nothing"]).must();
    assert!(wrong.expect_success().is_err());
}
