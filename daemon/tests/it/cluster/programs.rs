//! Programs behind the addresses: those that die, and those that only pretend to live.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead::demo::fleet::{Fleet, FleetError, Node};

use super::{
    Must, WEB, assert_taken_over, client, mark, three, told, wait_for, web, web_programs, whole,
};

#[test]
fn a_program_that_dies_is_started_again() {
    let mut service = web("web", WEB, &["node2"]);
    let script = format!("echo it serves on $STEAD_NODE; exec {}", service.program.join(" "));
    service.program = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    let fleet = Fleet::start(three("program").service(service)).must();
    let client = client(&fleet, WEB);
    assert_eq!(client.holders(), ["node2"]);
    let before = web_programs(&fleet, "node2");
    let began = mark();
    for &pid in &before {
        kill(Pid::from_raw(pid), Signal::SIGKILL).must();
    }
    wait_for(&fleet, "a node runs it again", || {
        let nodes = ["node1", "node2", "node3"];
        let all: Vec<i32> = nodes.iter().flat_map(|node| web_programs(&fleet, node)).collect();
        Ok(all.len() == 1 && all != before)
    });
    client.wait_served(&fleet).must();
    wait_for(&fleet, "the journal tells", || told(&fleet, "node2", "ended by itself"));
    assert_taken_over(client.seen_since(began));

    // The node where it failed shows what it printed last, until that is cleared.
    let (node1, node2) = (fleet.node("node1").must(), fleet.node("node2").must());
    let printed = |node: &Node| -> Result<_, FleetError> {
        Ok(super::service(&node.status()?, "web")["output"].clone())
    };
    let words = serde_json::json!(["it serves on node2"]);
    wait_for(&fleet, "its last words", || Ok(printed(node2)? == words));
    let screen = node2.stead(&["status"]).must().stdout;
    assert!(screen.contains("web failed on node2; the last that it printed:"), "{screen}");
    assert!(screen.contains("  it serves on node2"), "{screen}");
    assert_eq!(printed(node1).must(), serde_json::json!([]), "it didn't fail there");
    node1.stead(&["clear", "web"]).must().expect_success().must();
    wait_for(&fleet, "they are gone", || Ok(printed(node2)? == serde_json::json!([])));
}

#[test]
fn a_service_whose_monitor_fails_on_a_node_works_elsewhere() {
    let mut service = web("web", WEB, &["node2"]);
    let folder = tempfile::tempdir().expect("a folder");
    let sick = folder.path().join("node2-is-sick");
    let script = format!("test \"$STEAD_NODE\" != node2 || test ! -e {}", sick.display());
    service.monitor = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    service.interval = Some("200ms".to_owned());
    let fleet = Fleet::start(three("monitor").service(service)).must();
    let client = client(&fleet, WEB);
    assert_eq!(client.holders(), ["node2"]);
    let began = mark();
    std::fs::write(&sick, "").expect("written");
    super::wait_moved(&fleet, &client, "node2");
    wait_for(&fleet, "the journal tells", || told(&fleet, "node2", "does not work"));
    super::assert_alone(client.seen_since(began));
    std::fs::remove_file(&sick).expect("removed");
    let node1 = fleet.node("node1").must();
    node1.stead(&["clear", "web"]).must().expect_success().must();
    whole(&fleet);
    node1.stead(&["move", "web", "node2"]).must().expect_success().must();
    wait_for(&fleet, "it works there again", || Ok(client.holders() == ["node2"]));
}
