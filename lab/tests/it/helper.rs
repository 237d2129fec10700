//! What the tests share: two sites, waiting, and this very binary as a program to be killed.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use stead_lab::{Bed, Host, LinkSpec, Mac, Process, Switch, Trunk, web};

/// Long enough for a machine that is busy with everything else.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const PORT: u16 = 8080;

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// node1 and the client at one switch, node2 and node3 at another, a trunk between them.
pub struct TwoSites {
    pub bed: Bed,
    pub west: Switch,
    pub trunk: Trunk,
    pub client: Host,
    pub nodes: Vec<Host>,
}

pub fn two_sites(name: &str) -> TwoSites {
    let bed = Bed::new(name).expect("these tests need root");
    let west = bed.switch("west").expect("a switch");
    let east = bed.switch("east").expect("a switch");
    let trunk = bed.trunk(&west, &east).expect("a trunk");
    let client = bed.host("client").expect("a host");
    let spec = LinkSpec::new("eth0").addr(ip("10.0.0.100"), 24).addr(ip("fd00::100"), 64);
    bed.connect(&client, &west, spec).expect("a cable");
    let mut nodes = Vec::new();
    for (number, switch) in [(1, &west), (2, &east), (3, &east)] {
        let node = bed.host(&format!("node{number}")).expect("a host");
        let spec = LinkSpec::new("eth0")
            .addr(ip(&format!("10.0.0.{number}")), 24)
            .addr(ip(&format!("fd00::{number}")), 64)
            .mac(Mac([2, 0, 0, 0, 0, number]));
        bed.connect(&node, switch, spec).expect("a cable");
        nodes.push(node);
    }
    TwoSites { bed, west, trunk, client, nodes }
}

pub fn output() -> PathBuf {
    PathBuf::from("/dev/null")
}

/// This binary again, running only `as_program` below.
pub fn program(role: &str, argument: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("our own path"));
    command.args(["--exact", "helper::as_program", "--nocapture"]);
    command.env("LAB_TEST_ROLE", role).env("LAB_TEST_ARGUMENT", argument);
    command
}

/// Starts the web service as a process of its own.
pub fn start_service(host: &Host) -> Process {
    host.spawn(program("serve", host.name()), &output()).expect("started")
}

/// Not a test of its own: what this binary does when a test starts it as a program.
#[test]
fn as_program() {
    let argument = std::env::var("LAB_TEST_ARGUMENT").unwrap_or_default();
    match std::env::var("LAB_TEST_ROLE").as_deref() {
        Ok("serve") => web::serve(None, PORT, &argument).expect("served"),
        Ok("bed") => crate::bed::build_and_wait(),
        Ok(_) | Err(_) => {}
    }
}
