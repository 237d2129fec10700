use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use stead_lab::prober::{Prober, Target};
use stead_lab::{Bed, Host, LinkSpec};
use stead_linux::netlink::{AddressSpec, Destination, Event, Route};

use crate::helper::{PORT, ip, output, program, start_service, two_sites, wait_until};

/// Asks once in a while until the service at `to` answers; returns who it was.
fn who_answers(client: &Host, to: &str) -> String {
    let to = SocketAddr::new(ip(to), PORT);
    let ask = move || {
        let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(from).expect("a socket");
        socket.connect(to).expect("a route");
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
        let mut answer = [0; 64];
        for _ in 0..200 {
            let _ = socket.send(b"1");
            if let Ok(length) = socket.recv(&mut answer) {
                let text = String::from_utf8_lossy(&answer[..length]);
                return text.trim().trim_start_matches("1 ").to_owned();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        "nobody".to_owned()
    };
    client.run(ask).expect("inside")
}

#[test]
fn hosts_reach_each_other_over_the_trunk() {
    let sites = two_sites("reach");
    for node in &sites.nodes {
        start_service(node);
    }
    for number in 1..=3 {
        let name = format!("node{number}");
        assert_eq!(who_answers(&sites.client, &format!("10.0.0.{number}")), name);
        assert_eq!(who_answers(&sites.client, &format!("fd00::{number}")), name);
    }
    assert_eq!(sites.bed.hosts().len(), 4);
    assert_eq!(sites.west.name(), "west");
}

#[test]
fn a_router_joins_two_networks() {
    let bed = Bed::new("router").expect("these tests need root");
    let (left, right) = (bed.switch("left").expect("made"), bed.switch("right").expect("made"));
    let spec = |text: &str| LinkSpec::new("eth0").addr(ip(text), 24);
    let (a, b) = (bed.host("a").expect("made"), bed.host("b").expect("made"));
    bed.connect(&a, &left, spec("10.1.0.2")).expect("a cable");
    bed.connect(&b, &right, spec("10.2.0.2")).expect("a cable");
    let right_spec = LinkSpec::new("eth1").addr(ip("10.2.0.1"), 24);
    bed.router("r", &[(&left, spec("10.1.0.1")), (&right, right_spec)]).expect("a router");
    a.add_route(Route::default_via(ip("10.1.0.1"))).expect("a route");
    let back = Destination { addr: ip("10.1.0.0"), prefix: 24 };
    b.add_route(Route::via(back, ip("10.2.0.1"))).expect("a route");
    start_service(&b);
    assert_eq!(who_answers(&a, "10.2.0.2"), "b");

    bed.power_on(&a).expect("power cycle");
    assert_eq!(who_answers(&a, "10.2.0.2"), "b", "addresses and routes are back");
}

#[test]
fn power_on_gives_an_empty_room() {
    let sites = two_sites("power");
    let node = &sites.nodes[1];
    let index = node.links()[0].index();
    let vip = AddressSpec::new(ip("10.0.0.50"), 24);
    node.netlink().expect("a socket").add_address(index, &vip).expect("added");
    start_service(node);
    assert_eq!(who_answers(&sites.client, "10.0.0.50"), "node2");
    sites.bed.silence_then_kill(node).expect("dead");
    assert!(node.processes().expect("a list").is_empty());
    sites.bed.power_on(node).expect("alive");
    let has = |addr| {
        let found = node.netlink().expect("a socket").addresses().expect("a list");
        found.iter().any(|address| address.addr == addr)
    };
    assert!(has(ip("10.0.0.2")) && !has(ip("10.0.0.50")));
    assert_eq!(node.links()[0].mac().to_string(), "02:00:00:00:00:02");
    start_service(node);
    assert_eq!(who_answers(&sites.client, "10.0.0.2"), "node2");
}

#[test]
fn an_address_with_a_lifetime_ends_without_help() {
    let sites = two_sites("lifetime");
    let node = &sites.nodes[0];
    let index = node.links()[0].index();
    let mut monitor = node.namespace().monitor().expect("a monitor");
    let vip = AddressSpec::new(ip("10.0.0.50"), 24).for_seconds(1);
    node.netlink().expect("a socket").replace_address(index, &vip).expect("added");
    start_service(node);
    let target = Target::every_millisecond(SocketAddr::new(ip("10.0.0.50"), PORT));
    let prober = Prober::udp(&sites.client, target).expect("a prober");
    let gone = Event::AddressRemoved { index, addr: ip("10.0.0.50"), prefix: 24 };
    wait_until("the address's end", || {
        monitor.poll().expect("readable").is_some_and(|e| e == gone)
    });
    // the service still runs; only the address is gone
    wait_until("silence", || {
        prober.longest_gap_since(stead_lab::prober::now()) > Duration::from_millis(200)
    });
}

/// The role of a process that is killed in the middle of its work.
pub fn build_and_wait() {
    let bed = Bed::new("doomed").expect("these tests need root");
    let host = bed.host("host").expect("a host");
    let mut command = Command::new("sh");
    command.args(["-c", "setsid sleep 1000 & exec sleep 1000"]);
    host.spawn(command, &output()).expect("started");
    wait_until("both processes", || host.processes().is_ok_and(|all| all.len() == 2));
    println!("pids {:?}", host.processes().expect("a list"));
    std::io::stdout().flush().expect("told");
    std::thread::sleep(Duration::from_secs(1000));
}

#[test]
fn a_bed_ends_with_its_process_whatever_way_that_ends() {
    let mut command = program("bed", "");
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    let told = BufReader::new(child.stdout.take().expect("piped"));
    let line = told.lines().map_while(Result::ok).find(|line| line.contains("pids ["));
    let line = line.expect("the pids");
    let pids = line.rsplit('[').next().expect("a list").trim_end_matches(']');
    let pids: Vec<i32> = pids.split(", ").map(|pid| pid.parse().expect("a pid")).collect();
    assert_eq!(pids.len(), 2);
    child.kill().expect("SIGKILL");
    child.wait().expect("collected");
    let there = |pid: &i32| std::path::Path::new(&format!("/proc/{pid}")).exists();
    wait_until("the end of its programs", || !pids.iter().any(there));
}
