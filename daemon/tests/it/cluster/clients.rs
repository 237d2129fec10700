//! Clients with open connections: whatever happens to the holder, one that only waits learns that
//! its connection is gone; one that connected to the new holder is left alone.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use stead::demo::fleet::{
    Client, Family, Fleet, Part, ServicePlan, WEB_PORT, client_address, service_address,
};
use stead_lab::Host;

use super::{
    Must, WEB, address, assert_alone, mark, serving, stead, three, told, wait_for, wait_moved,
    wait_preferred, whole,
};

/// The bound within which a client that waits has to learn of it, counted from the fault. It is
/// asked for the last time two seconds after the takeover.
const BOUND: Duration = Duration::from_secs(20);

/// A client that has been answered once, and now waits.
struct Idle(TcpStream);

impl Idle {
    fn connect(host: &Host, to: SocketAddr) -> Self {
        let mut stream = host.run(|| TcpStream::connect(to)).must().must();
        stream.set_read_timeout(Some(BOUND)).must();
        ask(&mut stream);
        Self(stream)
    }

    /// Waits, sending nothing, for whatever comes: a reset or an end. Says how long that took.
    #[track_caller]
    fn learns(mut self) -> Duration {
        let began = Instant::now();
        match self.0.read(&mut [0; 64]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("it did not learn that its connection is gone: {other:?}"),
        }
        began.elapsed()
    }
}

/// A question and its answer on an open connection; says who answered.
#[track_caller]
fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"are you there\n").must();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).must();
        answer.push(octet[0]);
    }
    String::from_utf8_lossy(&answer).trim().rsplit(' ').next().unwrap_or_default().to_owned()
}

/// How many connections of `web` a node knows.
fn known(fleet: &Fleet, node: &str) -> f64 {
    let metrics = fleet.node(node).and_then(|it| it.stead(&["metrics"]));
    let text = metrics.map(|it| it.stdout).unwrap_or_default();
    let line =
        text.lines().find_map(|it| it.strip_prefix("stead_service_connections{service=\"web\"} "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

/// Clients that wait on open connections, and every node that may take over knows of them.
///
/// Nodes say only how many they know, and the client that asks all the time has a few as well. So
/// more of them than it has come later, and go again: who knows of one of those knows of all that
/// were there before.
fn waiting(fleet: &Fleet, to: SocketAddr, count: usize) -> Vec<Idle> {
    let open = |count| (0..count).map(|_| Idle::connect(fleet.client(), to)).collect::<Vec<_>>();
    let idle = open(count);
    let later = open(30);
    let all = (idle.len() + later.len()) as f64;
    for node in fleet.nodes() {
        wait_for(fleet, "every node knows of the clients", || Ok(known(fleet, node.name()) >= all));
    }
    idle
}

fn at(octet: u8) -> SocketAddr {
    SocketAddr::new(address(octet), WEB_PORT)
}

#[test]
fn a_client_that_waits_learns_that_the_holder_lost_power() {
    let (fleet, client) = serving("idle-dead", "node1");
    let idle = waiting(&fleet, at(WEB), 3);
    let began = mark();
    fleet.silence_then_kill("node1").must();
    for idle in idle {
        println!("learnt after {:?}", idle.learns());
    }
    let by = wait_moved(&fleet, &client, "node1");
    assert_alone(client.seen_since(began));
    wait_for(&fleet, "the new holder's journal tells it", || {
        told(&fleet, &by, "clients are told that their connections are gone")
    });
}

#[test]
fn a_client_that_waits_learns_that_the_holder_was_cut_off_and_what_it_has_anew_stays() {
    let (fleet, client) = serving("idle-cut", "node1");
    let idle = waiting(&fleet, at(WEB), 3);
    let began = mark();
    fleet.cut_from_nodes("node1").must();
    let by = wait_moved(&fleet, &client, "node1");
    // fresh ones, while the old ones are still being asked about
    let mut fresh: Vec<_> = (0..3).map(|_| Idle::connect(fleet.client(), at(WEB))).collect();
    for idle in idle {
        println!("learnt after {:?}", idle.learns());
    }
    // longer than anybody is asked
    fleet.pause(Duration::from_secs(3)).must();
    for fresh in &mut fresh {
        assert_eq!(ask(&mut fresh.0), by);
    }
    assert_alone(client.seen_since(began));
    fleet.heal("node1").must();
    whole(&fleet);
    for fresh in &mut fresh {
        assert_eq!(ask(&mut fresh.0), by, "the former holder is back, and nothing is lost");
    }
}

#[test]
fn a_client_over_ipv6_learns_it_too() {
    let web = ServicePlan::web("web", &stead(), Family::V6, WEB).prefer(&["node1"]);
    let fleet = Fleet::start(three("idle-six").service(web)).must();
    let client = Client::start(&fleet, service_address(Family::V6, WEB)).must();
    client.wait_served(&fleet).must();
    wait_preferred(&fleet, &client, "node1");
    let to = SocketAddr::new(service_address(Family::V6, WEB), WEB_PORT);
    let idle = waiting(&fleet, to, 3);
    fleet.silence_then_kill("node1").must();
    for idle in idle {
        println!("learnt after {:?}", idle.learns());
    }
    wait_moved(&fleet, &client, "node1");
}

#[test]
fn a_client_that_waits_learns_of_every_other_way_to_lose_the_holder() {
    let (fleet, client) = serving("idle-all", "node1");
    let began = mark();

    let idle = waiting(&fleet, at(WEB), 2);
    fleet.freeze("node1").must();
    let by = wait_moved(&fleet, &client, "node1");
    for idle in idle {
        println!("frozen: learnt after {:?}", idle.learns());
    }
    fleet.thaw("node1").must();
    whole(&fleet);

    let idle = waiting(&fleet, at(WEB), 2);
    fleet.kill(&by, Part::Guard).must();
    for idle in idle {
        println!("guard killed: learnt after {:?}", idle.learns());
    }
    whole(&fleet);
    client.wait_served(&fleet).must();

    let idle = waiting(&fleet, at(WEB), 2);
    let holder = client.answered_by().expect("somebody serves");
    let to = if holder == "node2" { "node3" } else { "node2" };
    fleet.node("node1").must().stead(&["move", "web", to]).must().expect_success().must();
    for idle in idle {
        println!("moved: learnt after {:?}", idle.learns());
    }
    whole(&fleet);
    assert_alone(client.seen_since(began));
}

#[test]
fn a_client_that_connects_anew_from_the_same_port_keeps_its_new_connection() {
    let (fleet, client) = serving("idle-port", "node1");
    let mut idle = waiting(&fleet, at(WEB), 1);
    let old = idle.pop().expect("one").0;
    let port = old.local_addr().must().port();
    fleet.cut_from_nodes("node1").must();
    let by = wait_moved(&fleet, &client, "node1");
    // it gives up by itself, at once, and comes again with the very same ends
    let mut anew = fleet.client().run(|| again(old, port)).must();
    assert_eq!(ask(&mut anew), by);
    fleet.pause(Duration::from_secs(3)).must();
    assert_eq!(ask(&mut anew), by, "it was asked about, and was left alone");
    fleet.heal("node1").must();
    whole(&fleet);
}

/// A new connection from the same port; the old one ends with a reset.
fn again(old: TcpStream, port: u16) -> TcpStream {
    let socket2 = |stream: TcpStream| socket2::Socket::from(stream);
    let old = socket2(old);
    old.set_linger(Some(Duration::ZERO)).must();
    drop(old);
    let from = SocketAddr::new(client_address(Family::V4), port);
    let kind = socket2::Type::STREAM;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, kind, None).must();
    socket.set_reuse_address(true).must();
    socket.bind(&from.into()).must();
    socket.connect(&at(WEB).into()).must();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(BOUND)).must();
    stream
}
