//! A MAC of its own: a move leaves the caches of clients as they are, and no two nodes have it.

use std::net::IpAddr;

use stead::demo::fleet::Fleet;

use super::{answers, cluster, known_mac, program, said, wait_elsewhere, wait_runs, wait_seen};
use crate::cluster::{Must, wait_for};

const V4: &str = "10.77.0.100";
const V6: &str = "fd77::100";

fn begin(name: &str) -> Fleet {
    let services = format!(
        "\n[services.web]\nprefer = [\"node1\"]\n\
         addresses = [{{ ip = \"{V4}\", prefix = 24, layers = [\"mac\"] }}, \
         {{ ip = \"{V6}\", prefix = 64, layers = [\"mac\"] }}]\n{}",
        program(V4)
    );
    cluster(name, &services)
}

/// The interfaces of a node with a MAC of their own.
fn devices(fleet: &Fleet, node: &str) -> Vec<String> {
    let host = fleet.node(node).must().host();
    let links = said(host, "ip", &["-brief", "link", "show", "type", "macvlan"]).must_be_said();
    links.lines().filter_map(|line| line.split('@').next().map(str::to_owned)).collect()
}

trait Said {
    fn must_be_said(self) -> String;
}

impl Said for Result<String, String> {
    fn must_be_said(self) -> String {
        self.unwrap_or_else(|error| panic!("{error}"))
    }
}

fn macs(fleet: &Fleet) -> [Option<String>; 2] {
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    [V4, V6].map(|it| known_mac(fleet.client(), address(it)))
}

/// Clients are answered in both families, and so have the MAC in their tables.
fn wait_answered(fleet: &Fleet) {
    wait_for(fleet, "both families answer", || {
        let host = fleet.client();
        Ok(answers(host, &format!("{V4}:8080")) && answers(host, &format!("[{V6}]:8080")))
    });
}

#[test]
fn a_move_leaves_clients_caches_as_they_are() {
    let fleet = begin("mac");
    wait_runs(&fleet, "node1");
    wait_answered(&fleet);
    let before = macs(&fleet);
    assert!(before[0].as_ref().is_some_and(|mac| mac.starts_with("02:")), "{before:?}");
    assert_eq!(before[0], before[1], "one MAC for all addresses of the service");
    let card = said(fleet.node("node1").must().host(), "ip", &["-brief", "link", "show", "front"]);
    let card = card.must_be_said();
    wait_seen(&fleet, "node1", "mac");

    // As planned: the old node has the interface no longer, the new one has it.
    fleet.node("node2").must().stead(&["move", "web", "node2"]).must().expect_success().must();
    wait_runs(&fleet, "node2");
    assert_eq!(devices(&fleet, "node1"), Vec::<String>::new());
    assert_eq!(devices(&fleet, "node2").len(), 1);
    wait_answered(&fleet);
    assert_eq!(macs(&fleet), before);
    wait_seen(&fleet, "node2", "mac");
    let after = said(fleet.node("node1").must().host(), "ip", &["-brief", "link", "show", "front"]);
    assert_eq!(after.must_be_said(), card, "the card has its own MAC for ever");

    // And when its node loses its power.
    fleet.silence_then_kill("node2").must();
    let by = wait_elsewhere(&fleet, "node2");
    wait_answered(&fleet);
    assert_eq!(macs(&fleet), before);
    wait_seen(&fleet, &by, "mac");
    let others: Vec<_> = ["node1", "node3"].into_iter().filter(|it| *it != by).collect();
    for node in others {
        assert_eq!(devices(&fleet, node), Vec::<String>::new());
    }
}
