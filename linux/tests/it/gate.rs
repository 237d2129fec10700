//! The lease gate under real traffic.

use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use stead_linux::gate::{self, Gate, GateError};
use stead_linux::namespace::NetNs;
use stead_linux::packet::{PacketError, PacketSocket, Wanted, arp, neighbor};

use crate::pair::{CLIENT_MAC, NODE_MAC, Pair, SERVICE_V4, SERVICE_V6, WAYS, Way};

const SERVICE: [IpAddr; 2] = [IpAddr::V4(SERVICE_V4), IpAddr::V6(SERVICE_V6)];
const LONG: Duration = Duration::from_secs(600);

fn gate_on(ns: &NetNs, instance: &str, devices: &[&str]) -> Gate {
    ns.run(|| Gate::install(instance, devices)).expect("inside").expect("a gate")
}

fn open_both(gate: &mut Gate, timeout: Duration) {
    gate.open_many(&SERVICE.map(|addr| (addr, timeout))).expect("opened");
}

fn all_answer(pair: &mut Pair) {
    for way in WAYS {
        assert!(pair.answers(way), "{way:?} ought to be answered");
    }
}

fn none_answers(pair: &mut Pair) {
    for way in WAYS {
        assert!(!pair.answers(way), "{way:?} ought to be silent");
    }
}

fn nft(ns: &NetNs, words: &[&str]) -> String {
    let run = || Command::new("nft").args(words).output();
    let output = ns.run(run).expect("inside").expect("nft is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether this kernel lets a table belong to a process and outlive it.
fn tables_have_owners() -> bool {
    let release = nix::sys::utsname::uname().expect("uname");
    let release = release.release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(9))
}

#[test]
fn an_address_answers_only_while_it_is_open() {
    let mut pair = Pair::new();
    let mut gate = gate_on(&pair.node, "story", &["eth0"]);
    all_answer(&mut pair); // nothing is managed yet
    gate.manage(&SERVICE).expect("managed");
    none_answers(&mut pair);
    open_both(&mut gate, LONG);
    all_answer(&mut pair);
    gate.shut(SERVICE[0]).expect("shut");
    assert!(!pair.answers(Way::Arp) && !pair.answers(Way::Ping));
    assert!(pair.answers(Way::Solicitation) && pair.answers(Way::Ping6));
    gate.shut_all().expect("shut");
    none_answers(&mut pair);
    open_both(&mut gate, LONG);
    all_answer(&mut pair);
    open_both(&mut gate, Duration::from_millis(50)); // shorter than what it had
    pair.wait_until("it closes by itself", |pair| !WAYS.iter().any(|way| pair.answers(*way)));
    open_both(&mut gate, Duration::from_millis(1)); // would be "for ever" to the kernel
    none_answers(&mut pair);
    gate.manage(&[]).expect("released");
    all_answer(&mut pair);
    gate.manage(&SERVICE).expect("managed again");
    none_answers(&mut pair);
    gate.remove().expect("removed");
    all_answer(&mut pair);
}

#[test]
fn an_unmanaged_address_can_not_be_opened() {
    let ns = NetNs::create().expect("these tests need root");
    let mut gate = gate_on(&ns, "strict", &[]);
    assert!(matches!(gate.open(SERVICE[0], LONG), Err(GateError::NotManaged(_))));
    for name in ["", "Upper", "a/b", &"x".repeat(33)] {
        assert!(matches!(Gate::install(name, &[]), Err(GateError::Name(_))), "{name}");
    }
}

#[test]
fn opening_until_a_deadline_never_outlives_it() {
    let mut pair = Pair::new();
    let mut gate = gate_on(&pair.node, "deadline", &["eth0"]);
    gate.manage(&SERVICE).expect("managed");
    let now = stead_linux::clock::boottime();
    gate.open_until(&SERVICE, now + 600_000_000, LONG).expect("opened");
    all_answer(&mut pair);
    gate.open_until(&SERVICE, now, LONG).expect("a deadline in the past shuts");
    none_answers(&mut pair);
    // No process is as fast as that: three attempts, then shut.
    let late = gate.open_until(&SERVICE, now + 600_000_000, Duration::ZERO);
    assert!(matches!(late, Err(GateError::Late { .. })), "{late:?}");
    none_answers(&mut pair);
}

#[test]
fn rearming_under_traffic_loses_nothing() {
    let pair = Pair::new();
    let mut gate = gate_on(&pair.node, "rearm", &["eth0"]);
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, LONG);
    let frame = arp::request(CLIENT_MAC, crate::pair::CLIENT_V4, SERVICE_V4, NODE_MAC);
    let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let flood = || {
        while !done.load(Ordering::Relaxed) {
            if pair.wire.send(&frame).is_ok() {
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(flood);
        let mut rearms = 0;
        // Both sides have to come to speak, however busy the machine is.
        while rearms < 5_000 || sent.load(Ordering::Relaxed) < 20_000 {
            open_both(&mut gate, LONG);
            rearms += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
    let table = nft(&pair.node, &["list", "table", "netdev", "stead-rearm"]);
    assert_eq!(table.matches("counter packets 0 bytes 0 drop").count(), 8, "{table}");
}

#[test]
fn a_shut_address_can_be_probed_but_not_announced() {
    let pair = Pair::new();
    let mut gate = gate_on(&pair.node, "announce", &["eth0"]);
    gate.manage(&SERVICE).expect("managed");
    let node = pair.node_wire(Wanted::Neighbors);
    let announcements = [
        arp::announcement(NODE_MAC, SERVICE_V4),
        arp::announcement_as_reply(NODE_MAC, SERVICE_V4),
        neighbor::announcement(NODE_MAC, SERVICE_V6, false),
    ];
    for frame in &announcements {
        assert!(matches!(node.send(frame), Err(PacketError::Dropped)));
    }
    node.send(&arp::probe(NODE_MAC, SERVICE_V4)).expect("a probe passes");
    node.send(&neighbor::probe(NODE_MAC, SERVICE_V6, [1; 6])).expect("a probe passes");
    open_both(&mut gate, LONG);
    for frame in &announcements {
        node.send(frame).expect("passes");
        wait_for_frame(&pair.wire, frame);
    }
}

#[test]
fn a_stranger_s_claim_is_seen_while_the_gate_is_shut() {
    let pair = Pair::new();
    let mut gate = gate_on(&pair.node, "claim", &["eth0"]);
    gate.manage(&SERVICE).expect("managed");
    let node = pair.node_wire(Wanted::Neighbors);
    let claims = [
        arp::announcement(CLIENT_MAC, SERVICE_V4),
        arp::probe(CLIENT_MAC, SERVICE_V4),
        neighbor::announcement(CLIENT_MAC, SERVICE_V6, false),
        neighbor::probe(CLIENT_MAC, SERVICE_V6, [2; 6]),
    ];
    for frame in &claims {
        pair.wire.send(frame).expect("sent");
        wait_for_frame(&node, frame);
    }
}

fn wait_for_frame(socket: &PacketSocket, wanted: &[u8]) {
    let deadline = std::time::Instant::now() + crate::pair::PATIENCE;
    let mut buffer = [0; 2048];
    while std::time::Instant::now() < deadline {
        if socket.receive(&mut buffer).expect("readable") == Some(wanted) {
            return;
        }
        std::thread::yield_now();
    }
    panic!("the frame did not come: {wanted:02x?}");
}

/// Runs one of the helpers below as a process of its own inside `ns`.
fn helper(
    ns: &NetNs,
    before: &[&str],
    name: &str,
) -> (Child, BufReader<std::process::ChildStdout>) {
    let exe = std::env::current_exe().expect("our own path");
    let name = format!("gate::{name}");
    let spawn = || {
        let mut words = before.iter().map(std::ffi::OsStr::new).collect::<Vec<_>>();
        words.push(exe.as_os_str());
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args([&name, "--exact", "--ignored", "--nocapture"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    };
    let mut child = ns.run(spawn).expect("inside").expect("a process");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    (child, stdout)
}

fn wait_for_line(output: &mut impl BufRead, wanted: &str) {
    let mut line = String::new();
    while output.read_line(&mut line).expect("readable") > 0 {
        if line.trim_end().ends_with(wanted) {
            return;
        }
        line.clear();
    }
    panic!("the helper ended without saying {wanted:?}");
}

#[test]
#[ignore = "a helper process of the test below"]
fn arms_and_waits() {
    let mut gate = Gate::install("killed", &["eth0"]).expect("a gate");
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, Duration::from_secs(4));
    println!("\narmed");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn it_closes_though_its_guard_was_killed() {
    let mut pair = Pair::new();
    let (mut guard, mut output) = helper(&pair.node, &[], "arms_and_waits");
    wait_for_line(&mut output, "armed");
    if tables_have_owners() {
        let refused = pair.node.run(|| Gate::install("killed", &["eth0"])).expect("inside");
        assert!(matches!(refused, Err(GateError::Owned)), "it belongs to the first");
        nft(&pair.node, &["flush", "ruleset"]);
    }
    guard.kill().expect("killed");
    guard.wait().expect("gone");
    pair.wait_until("the kernel closes it", |pair| !WAYS.iter().any(|way| pair.answers(*way)));
    let mut next = gate_on(&pair.node, "killed", &["eth0"]);
    assert_eq!(next.managed().count(), 2, "taken over");
    none_answers(&mut pair);
    open_both(&mut next, LONG);
    all_answer(&mut pair);
    drop(next);
    let other = gate_on(&pair.node, "other", &["eth0"]);
    let gone = pair.node.run(|| gate::uninstall_leftovers("killed")).expect("inside");
    assert!(gone.expect("removed"));
    all_answer(&mut pair);
    other.remove().expect("removed");
}

#[test]
#[ignore = "a helper process of the test below"]
fn works_in_here() {
    let mut gate = Gate::install("rootless", &["lo"]).expect("a gate");
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, LONG);
    gate.shut_all().expect("shut");
    gate.remove().expect("removed");
    println!("\nworks");
    std::io::stdout().flush().expect("said");
}

#[test]
fn it_works_in_a_user_namespace() {
    let ns = NetNs::create().expect("these tests need root");
    let (mut child, mut output) = helper(&ns, &["unshare", "-Urn"], "works_in_here");
    wait_for_line(&mut output, "works");
    assert!(child.wait().expect("ended").success());
}

#[test]
fn a_device_that_comes_back_is_watched_again() {
    let mut pair = Pair::new();
    let mut gate = gate_on(&pair.node, "devices", &["eth0", "eth7"]);
    gate.manage(&SERVICE).expect("managed");
    none_answers(&mut pair);
    let watch = |gate: &mut Gate, names: &[&str]| {
        pair.node.run(|| gate.watch(names)).expect("inside").expect("watched")
    };
    assert_eq!(watch(&mut gate, &["eth7", "eth0"]), ["eth7"]);
    assert_eq!(watch(&mut gate, &["eth7"]), ["eth7"]);
    let mut netlink = pair.node.netlink().expect("a socket");
    let index = netlink.link_named("eth0").expect("eth0").index;
    all_answer(&mut pair); // no longer watched
    netlink.set_down(index).expect("down");
    netlink.rename(index, "eth7").expect("renamed");
    netlink.set_up(index).expect("up");
    pair.node.write_sysctl("net/ipv6/conf/eth7/accept_dad", "0").expect("written");
    let watched = pair.node.run(|| gate.watch(&["eth7"])).expect("inside").expect("watched");
    assert!(watched.is_empty());
    pair.wait_until("the renamed device is shut", |pair| {
        !pair.answers(Way::Arp) && !pair.answers(Way::Ping)
    });
}

#[test]
fn a_table_that_somebody_removed_is_told_and_repaired() {
    let pair = Pair::new();
    let mut gate = gate_on(&pair.node, "repair", &["eth0"]);
    gate.manage(&SERVICE).expect("managed");
    if tables_have_owners() {
        nft(&pair.node, &["flush", "ruleset"]);
        nft(&pair.node, &["delete", "table", "netdev", "stead-repair"]);
        open_both(&mut gate, LONG); // nobody could
        return;
    }
    nft(&pair.node, &["delete", "table", "netdev", "stead-repair"]);
    assert!(matches!(gate.open(SERVICE[0], LONG), Err(GateError::Gone)));
    pair.node.run(|| gate.repair()).expect("inside").expect("repaired");
    assert_eq!(gate.managed().count(), 2);
    open_both(&mut gate, LONG);
}

/// More than fits into one message of the kernel's answer, and into one of our own.
#[test]
fn a_thousand_addresses_are_opened_shut_and_taken_over() {
    let ns = NetNs::create().expect("these tests need root");
    let mut gate = gate_on(&ns, "many", &["lo"]);
    let v4 = (0..1_000u32).map(|number| IpAddr::V4((0x0a00_0000 + number).into()));
    let v6 = (0..1_000u128).map(|number| IpAddr::V6(((0xfd00 << 112) + number).into()));
    let all: Vec<IpAddr> = v4.chain(v6).collect();
    gate.manage(&all).expect("managed");
    let open: Vec<_> = all.iter().map(|addr| (*addr, LONG)).collect();
    gate.open_many(&open).expect("opened");
    gate.open_many(&open).expect("opened again");
    gate.shut_many(&all[..500]).expect("shut");
    drop(gate);
    let next = gate_on(&ns, "many", &["lo"]);
    assert_eq!(next.managed().count(), all.len());
}
