//! The lease gate under real traffic. What holds for both forms is tried with both: `ebpf::` and
//! `nftables::` say which.

mod guards;
mod segment;
mod strict;

use std::net::IpAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use stead_linux::clock::boottime;
use stead_linux::gate::{Form, Gate, GateError, Watched};
use stead_linux::namespace::NetNs;
use stead_linux::packet::{PacketError, PacketSocket, Wanted, arp, neighbor};

use crate::pair::{CLIENT_MAC, NODE_MAC, Pair, SERVICE_V4, SERVICE_V6, WAYS, Way};

const SERVICE: [IpAddr; 2] = [IpAddr::V4(SERVICE_V4), IpAddr::V6(SERVICE_V6)];
const LONG: Duration = Duration::from_secs(600);

/// Each of these tests once for each form.
macro_rules! for_both_forms {
    ($($name:ident),* $(,)?) => {
        mod ebpf {
            $(#[test] fn $name() { super::$name(stead_linux::gate::Form::Ebpf); })*
        }
        mod nftables {
            $(#[test] fn $name() { super::$name(stead_linux::gate::Form::Nftables); })*
        }
    };
}
use for_both_forms;

for_both_forms!(
    an_address_answers_only_while_it_is_open,
    an_unmanaged_address_can_not_be_opened,
    opening_until_a_deadline_never_outlives_it,
    rearming_under_traffic_loses_nothing,
    a_shut_address_can_be_probed_but_not_announced,
    a_stranger_s_claim_is_seen_while_the_gate_is_shut,
    a_client_is_asked_only_while_the_gate_is_open,
    a_device_that_comes_back_is_watched_again,
    a_thousand_addresses_are_opened_shut_and_taken_over,
);

fn gate_on(ns: &NetNs, form: Form, instance: &str, devices: &[&str]) -> Gate {
    let install = || Gate::install_form(form, instance, devices);
    let gate = ns.run(install).expect("inside").expect("a gate");
    assert_eq!(gate.form(), form);
    gate
}

fn after(span: Duration) -> u64 {
    boottime() + u64::try_from(span.as_micros()).expect("a short time")
}

fn open_both(gate: &mut Gate, timeout: Duration) {
    open(gate, &SERVICE, timeout);
}

/// On a busy machine the relative form may be held up again and again; then it says so.
fn open(gate: &mut Gate, addrs: &[IpAddr], timeout: Duration) {
    let patience = after(crate::pair::PATIENCE);
    loop {
        match gate.open_until(addrs, after(timeout)) {
            Err(GateError::Late { .. }) if boottime() < patience => {}
            done => return done.expect("opened"),
        }
    }
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

/// Meddles as an administrator would.
fn administer(ns: &NetNs, program: &str, words: &[&str]) -> String {
    let run = || Command::new(program).args(words).output();
    let output = ns.run(run).expect("inside").expect("it is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn nft(ns: &NetNs, words: &[&str]) -> String {
    administer(ns, "nft", words)
}

/// Whether this kernel lets a table belong to a process and outlive it.
fn tables_have_owners() -> bool {
    let release = nix::sys::utsname::uname().expect("uname");
    let release = release.release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(9))
}

fn an_address_answers_only_while_it_is_open(form: Form) {
    let mut pair = Pair::new();
    let mut gate = gate_on(&pair.node, form, "story", &["eth0"]);
    all_answer(&mut pair); // nothing is managed yet
    gate.manage(&SERVICE).expect("managed");
    none_answers(&mut pair);
    open_both(&mut gate, LONG);
    all_answer(&mut pair);
    gate.shut(&SERVICE[..1]).expect("shut");
    assert!(!pair.answers(Way::Arp) && !pair.answers(Way::Ping));
    assert!(pair.answers(Way::Solicitation) && pair.answers(Way::Ping6));
    gate.shut_all().expect("shut");
    none_answers(&mut pair);
    open_both(&mut gate, LONG);
    all_answer(&mut pair);
    open_both(&mut gate, Duration::from_millis(50)); // shorter than what it had
    pair.wait_until("it closes by itself", |pair| !WAYS.iter().any(|way| pair.answers(*way)));
    open_both(&mut gate, Duration::from_millis(1)); // would be "for ever" to nftables
    pair.wait_until("that was short", |pair| !WAYS.iter().any(|way| pair.answers(*way)));
    gate.manage(&[]).expect("released");
    all_answer(&mut pair);
    gate.manage(&SERVICE).expect("managed again");
    none_answers(&mut pair);
    gate.remove().expect("removed");
    all_answer(&mut pair);
}

fn an_unmanaged_address_can_not_be_opened(form: Form) {
    let ns = NetNs::create().expect("these tests need root");
    let mut gate = gate_on(&ns, form, "strict", &[]);
    assert!(matches!(gate.open_until(&SERVICE, after(LONG)), Err(GateError::NotManaged(_))));
    for name in ["", "Upper", "a/b", &"x".repeat(33)] {
        assert!(matches!(Gate::install_form(form, name, &[]), Err(GateError::Name(_))), "{name}");
    }
}

fn opening_until_a_deadline_never_outlives_it(form: Form) {
    let mut pair = Pair::new();
    let mut gate = gate_on(&pair.node, form, "deadline", &["eth0"]);
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, LONG);
    all_answer(&mut pair);
    gate.open_until(&SERVICE, boottime()).expect("a deadline in the past shuts");
    none_answers(&mut pair);
    open_both(&mut gate, Duration::from_millis(100));
    let deadline = after(Duration::from_millis(100));
    let late = deadline + u64::try_from(gate.slack().as_micros()).expect("short");
    pair.wait_until("the deadline has passed", |_| boottime() > late);
    none_answers(&mut pair);
}

fn rearming_under_traffic_loses_nothing(form: Form) {
    let pair = Pair::new();
    let mut gate = gate_on(&pair.node, form, "rearm", &["eth0"]);
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, LONG);
    let before = gate.dropped();
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
    match form {
        Form::Ebpf => assert_eq!(gate.dropped(), before),
        Form::Nftables => {
            let table = nft(&pair.node, &["list", "table", "netdev", "stead-rearm"]);
            assert_eq!(table.matches("counter packets 0 bytes 0 drop").count(), 10, "{table}");
        }
    }
}

fn a_shut_address_can_be_probed_but_not_announced(form: Form) {
    let pair = Pair::new();
    let mut gate = gate_on(&pair.node, form, "announce", &["eth0"]);
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

fn a_client_is_asked_only_while_the_gate_is_open(form: Form) {
    let pair = Pair::new();
    let mut gate = gate_on(&pair.node, form, "asks", &["eth0"]);
    gate.manage(&SERVICE).expect("managed");
    crate::tcp::asked_only_while_open(&pair, |opened| {
        if opened {
            open_both(&mut gate, LONG);
        } else {
            gate.shut(&SERVICE).expect("shut");
        }
    });
}

fn a_stranger_s_claim_is_seen_while_the_gate_is_shut(form: Form) {
    let pair = Pair::new();
    let mut gate = gate_on(&pair.node, form, "claim", &["eth0"]);
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

fn a_device_that_comes_back_is_watched_again(form: Form) {
    let mut pair = Pair::new();
    let mut gate = gate_on(&pair.node, form, "devices", &["eth0", "eth7"]);
    gate.manage(&SERVICE).expect("managed");
    none_answers(&mut pair);
    let watch = |gate: &mut Gate, names: &[&str]| {
        pair.node.run(|| gate.watch(names)).expect("inside").expect("watched").missing
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
    assert_eq!(watched, Watched::default());
    pair.wait_until("the renamed device is shut", |pair| {
        !pair.answers(Way::Arp) && !pair.answers(Way::Ping)
    });
}

#[test]
fn a_table_that_somebody_removed_is_told_and_repaired() {
    let pair = Pair::new();
    let mut gate = gate_on(&pair.node, Form::Nftables, "repair", &["eth0"]);
    gate.manage(&SERVICE).expect("managed");
    if tables_have_owners() {
        nft(&pair.node, &["flush", "ruleset"]);
        nft(&pair.node, &["delete", "table", "netdev", "stead-repair"]);
        open_both(&mut gate, LONG); // nobody could
        return;
    }
    nft(&pair.node, &["delete", "table", "netdev", "stead-repair"]);
    assert!(matches!(gate.open_until(&SERVICE, after(LONG)), Err(GateError::Gone)));
    pair.node.run(|| gate.repair()).expect("inside").expect("repaired");
    assert_eq!(gate.managed().count(), 2);
    open_both(&mut gate, LONG);
}

#[test]
fn filters_that_somebody_removed_are_told_and_repaired() {
    let mut pair = Pair::new();
    let mut gate = gate_on(&pair.node, Form::Ebpf, "repair", &["eth0"]);
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, LONG);
    nft(&pair.node, &["flush", "ruleset"]);
    open_both(&mut gate, LONG); // what others do to tables is nothing to filters
    administer(&pair.node, "tc", &["qdisc", "delete", "dev", "eth0", "clsact"]);
    assert!(matches!(gate.open_until(&SERVICE, after(LONG)), Err(GateError::Gone)));
    pair.node.run(|| gate.repair()).expect("inside").expect("repaired");
    none_answers(&mut pair);
    open_both(&mut gate, LONG);
    all_answer(&mut pair);
}

#[test]
fn a_filter_of_somebody_else_is_left_alone() {
    let mut pair = Pair::new();
    administer(&pair.node, "tc", &["qdisc", "add", "dev", "eth0", "clsact"]);
    let stranger = "filter add dev eth0 ingress pref 9 protocol all bpf bytecode";
    let mut words: Vec<_> = stranger.split(' ').collect();
    words.push("1,6 0 0 0"); // matches nothing
    administer(&pair.node, "tc", &words);
    let node = pair.node.clone();
    let list = || administer(&node, "tc", &["filter", "show", "dev", "eth0", "ingress"]);
    let before = list();
    assert!(before.contains("pref 9"), "{before}");
    let mut gate = gate_on(&pair.node, Form::Ebpf, "polite", &["eth0"]);
    let other = gate_on(&pair.node, Form::Ebpf, "second", &["eth0"]);
    assert!(list().contains("stead-polite") && list().contains("stead-second"), "{}", list());
    gate.manage(&SERVICE).expect("managed");
    other.remove().expect("removed");
    assert!(list().contains("stead-polite") && !list().contains("stead-second"), "{}", list());
    none_answers(&mut pair);
    gate.remove().expect("removed");
    assert_eq!(list(), before);
    all_answer(&mut pair);
}

#[test]
fn a_device_that_can_have_no_filters_is_shut_by_the_table() {
    let mut pair = Pair::new();
    administer(&pair.node, "tc", &["qdisc", "add", "dev", "eth0", "ingress"]);
    let refused = pair.node.run(|| Gate::install_form(Form::Ebpf, "other-qdisc", &["eth0"]));
    assert!(matches!(refused.expect("inside"), Err(GateError::Ebpf { .. })));
    // By itself it takes the form that works, and says why.
    let gate = pair.node.run(|| Gate::install("other-qdisc", &["eth0"])).expect("inside");
    let gate = gate.expect("a gate");
    assert_eq!(gate.form(), Form::Nftables);
    assert!(gate.fallback().is_some());
    gate.remove().expect("removed");
    // A device that comes later must not take the form from the others.
    let mut gate = gate_on(&pair.node, Form::Ebpf, "other-qdisc", &["lo"]);
    gate.manage(&SERVICE).expect("managed");
    open_both(&mut gate, LONG);
    all_answer(&mut pair);
    let watched = pair.node.run(|| gate.watch(&["lo", "eth0"])).expect("inside");
    assert_eq!(watched.expect("watched").refused, ["eth0"]);
    assert_eq!(gate.form(), Form::Ebpf);
    none_answers(&mut pair);
    // Once its place is free it is taken.
    administer(&pair.node, "tc", &["qdisc", "delete", "dev", "eth0", "ingress"]);
    let watched = pair.node.run(|| gate.watch(&["lo", "eth0"])).expect("inside");
    assert_eq!(watched.expect("watched"), Watched::default());
    all_answer(&mut pair);
    gate.remove().expect("removed");
    all_answer(&mut pair);
}

/// More than fits into one message of the kernel's answer, and into one of our own.
fn a_thousand_addresses_are_opened_shut_and_taken_over(form: Form) {
    let ns = NetNs::create().expect("these tests need root");
    let mut gate = gate_on(&ns, form, "many", &["lo"]);
    let v4 = (0..1_000u32).map(|number| IpAddr::V4((0x0a00_0000 + number).into()));
    let v6 = (0..1_000u128).map(|number| IpAddr::V6(((0xfd00 << 112) + number).into()));
    let all: Vec<IpAddr> = v4.chain(v6).collect();
    gate.manage(&all).expect("managed");
    for _ in 0..2 {
        // As many as the relative form can arm within the time it may be held up for.
        all.chunks(200).for_each(|some| open(&mut gate, some, LONG));
    }
    gate.shut(&all[..500]).expect("shut");
    drop(gate);
    let next = gate_on(&ns, form, "many", &["lo"]);
    assert_eq!(next.managed().count(), all.len());
}
