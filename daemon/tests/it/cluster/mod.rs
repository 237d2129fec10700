//! Clusters of real daemons, broken in every way that one machine allows.
//!
//! What it is for: what the core promises holds with real sockets, disks, programs and a real
//! kernel in between. Each test has a fleet of its own (three nodes, as a rule) and a client that
//! asks a small web service every millisecond.
//!
//! No test asserts how fast something is: the machine is busy. Two bounds are used. [`SANE`] is ten
//! times the ride-out: a takeover that takes longer waits for something that it should not wait
//! for. [`RIDE_OUT`] itself is the bound where nothing may move: a longer gap means that it did.
//!
//! A test that fails prints the last words of every guard and daemon.

mod bound;
mod clients;
mod clock;
mod copies;
mod daemon;
mod death;
mod demo;
mod departure;
mod disarm;
mod disk;
mod enemies;
mod enrolment;
mod faults;
mod fencing;
mod interface;
mod links;
mod logind;
mod loss;
mod lost;
mod operator;
mod placed;
mod points;
mod postgres;
mod programs;
mod rehearse;
mod resources;
mod revised;
mod satellites;
mod scarce;
mod server;
mod servers;
mod sites;
mod stopped;
mod ties;
mod tokens;
mod upgrade;
mod verbs;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use stead::demo::fleet::{
    Client, Family, Fleet, FleetError, PATIENCE, Part, Plan, Seen, ServicePlan, service_address,
};
use stead_lab::Host;
use stead_lab::prober::now;

/// The default, and the bound where nothing may move.
pub const RIDE_OUT: Duration = Duration::from_millis(300);
/// The bound of a takeover.
pub const SANE: Duration = Duration::from_millis(3_000);

/// The last octet of the address of `web`.
pub const WEB: u8 = 100;
/// The last octet of the address of `api`.
pub const API: u8 = 101;

/// The program under test.
pub fn stead() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_stead"))
}

/// What must not fail.
pub trait Must<T> {
    /// The value; a panic that tells all causes if there is none.
    fn must(self) -> T;
}

impl<T, E: std::error::Error> Must<T> for Result<T, E> {
    #[track_caller]
    fn must(self) -> T {
        match self {
            Ok(value) => value,
            Err(error) => {
                let mut text = error.to_string();
                let mut next = error.source();
                while let Some(cause) = next {
                    text = format!("{text}: {cause}");
                    next = cause.source();
                }
                panic!("{text} (these tests need root)")
            }
        }
    }
}

/// Three nodes without services.
pub fn three(name: &str) -> Plan {
    Plan::of(name, &stead(), 3)
}

/// The small web service at 10.77.0.`octet`, which would rather run on these nodes.
pub fn web(name: &str, octet: u8, prefer: &[&str]) -> ServicePlan {
    ServicePlan::web(name, &stead(), Family::V4, octet).prefer(prefer)
}

/// The address of such a service.
pub fn address(octet: u8) -> IpAddr {
    service_address(Family::V4, octet)
}

/// A client of such a service that has been answered.
pub fn client(fleet: &Fleet, octet: u8) -> Client {
    let client = Client::start(fleet, address(octet)).must();
    client.wait_served(fleet).must();
    client
}

/// A moment.
pub fn mark() -> u64 {
    now()
}

/// Three nodes with `web`, which prefers `node`, and a client of it.
pub fn serving(name: &str, node: &str) -> (Fleet, Client) {
    let fleet = Fleet::start(three(name).service(web("web", WEB, &[node]))).must();
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, node);
    (fleet, client)
}

/// Waits until `web` is on the node that it prefers. On a machine so busy that this node was
/// suspected just when the service was assigned it is moved there, as an operator would.
#[track_caller]
pub fn wait_preferred(fleet: &Fleet, client: &Client, node: &str) {
    wait_for(fleet, "web where it prefers to be", || {
        let holders = client.holders();
        if holders.first().is_some_and(|holder| holder != node) {
            fleet.node(node)?.stead(&["move", "web", node])?;
        }
        Ok(holders == [node])
    });
}

/// Waits for a condition; a panic if it is in vain.
#[track_caller]
pub fn wait_for(fleet: &Fleet, what: &str, holds: impl FnMut() -> Result<bool, FleetError>) {
    fleet.wait_until(what, PATIENCE, holds).must();
}

/// Waits until one node other than `before` answers, and clients are served by it.
#[track_caller]
pub fn wait_moved(fleet: &Fleet, client: &Client, before: &str) -> String {
    let mut by = String::new();
    wait_for(fleet, &format!("the service moves away from {before}"), || {
        by = client.answered_by().unwrap_or_default();
        Ok(by != before && client.holders() == [by.as_str()])
    });
    client.wait_served(fleet).must();
    by
}

/// All is well again on every node.
#[track_caller]
pub fn whole(fleet: &Fleet) {
    fleet.wait_whole(PATIENCE).must();
}

/// Never two. A second try of the trial doesn't make up for it: `./test` reads the file that
/// `STEAD_DOUBLES` names, and fails if there is anything in it.
#[track_caller]
pub fn assert_alone(seen: Seen) {
    if seen.double_ms == 0.0 {
        return;
    }
    if let Some(path) = std::env::var_os("STEAD_DOUBLES") {
        let line = format!("{}: {seen:?}\n", std::panic::Location::caller());
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| std::io::Write::write_all(&mut file, line.as_bytes())).must();
    }
    panic!("two nodes answered: {seen:?}");
}

/// Nobody answered beside the holder, and a takeover took no more than it may.
#[track_caller]
pub fn assert_taken_over(seen: Seen) {
    println!("{seen:?}");
    assert_alone(seen);
    assert!(seen.outage < SANE, "{seen:?}");
}

/// Nothing moved.
#[track_caller]
pub fn assert_untouched(seen: Seen) {
    println!("{seen:?}");
    assert_alone(seen);
    assert!(seen.outage < RIDE_OUT, "{seen:?}");
    assert!(seen.udp_outage < RIDE_OUT, "{seen:?}");
}

/// Who coordinates, by the word of a node.
pub fn coordinator(fleet: &Fleet, by: &str) -> String {
    let status = fleet.node(by).must().status().must();
    status["cluster"]["coordinator"].as_str().unwrap_or_default().to_owned()
}

/// The report on a service in the status of a node.
pub fn service(status: &Value, name: &str) -> Value {
    let none = Vec::new();
    let services = status["services"].as_array().unwrap_or(&none);
    services.iter().find(|it| it["name"].as_str() == Some(name)).cloned().unwrap_or_default()
}

/// The journal of a node has a line with these words.
pub fn told(fleet: &Fleet, node: &str, words: &str) -> Result<bool, FleetError> {
    Ok(fleet.node(node)?.events()?.iter().any(|line| line.contains(words)))
}

/// The daemon of a node, or one before it, has printed these words.
pub fn daemon_said(fleet: &Fleet, node: &str, words: &str) -> Result<bool, FleetError> {
    let text = std::fs::read_to_string(fleet.node(node)?.log(Part::Daemon)).unwrap_or_default();
    Ok(text.contains(words))
}

/// Sends a signal to those of these processes that are still there.
pub fn send(pids: &[i32], signal: Signal) {
    for &pid in pids {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// What a program says on a host to one line.
pub fn run(host: &Host, line: &str) -> String {
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default().to_owned();
    let done = host.run(|| Command::new(program).args(words).output()).must().must();
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Whether that is the command line of a keeper.
fn is_keeper(path: &Path) -> bool {
    let words = std::fs::read(path).unwrap_or_default();
    words.split(|&octet| octet == 0).nth(1) == Some(b"keeper")
}

/// The numbers of the processes on a node that run the small web service.
pub fn web_programs(fleet: &Fleet, node: &str) -> Vec<i32> {
    let is_web = |pid: &i32| {
        let path = Path::new("/proc").join(pid.to_string()).join("cmdline");
        let words = std::fs::read(&path).unwrap_or_default();
        let mut words = words.split(|&octet| octet == 0);
        // Its keeper's two processes name it as well.
        words.any(|word| word == b"demo-web") && !is_keeper(&path)
    };
    let all = fleet.node(node).must().host().processes().must();
    all.into_iter().filter(is_web).collect()
}
