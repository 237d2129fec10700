//! A gate whose parts are taken away, as others can do on kernels before 6.9.

use std::process::Command;

use super::*;
use crate::namespace::NetNs;

const ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 100)), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];
const NEW: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 101));

/// A gate with both addresses open, and its namespace.
fn opened(form: Form) -> (NetNs, Gate) {
    let ns = NetNs::create().expect("these tests need root");
    let install = || Gate::install_form(form, "robbed", &["lo"]);
    let mut gate = ns.run(install).expect("inside").expect("a gate");
    gate.manage(&ADDRESSES).expect("managed");
    open(&mut gate, &ADDRESSES).expect("opened");
    (ns, gate)
}

fn open(gate: &mut Gate, addrs: &[IpAddr]) -> Result<(), GateError> {
    loop {
        match gate.open_until(addrs, crate::clock::boottime() + 600_000_000) {
            Err(GateError::Late { .. }) => {}
            done => return done,
        }
    }
}

fn nft(ns: &NetNs, words: &str) -> String {
    let run = || Command::new("nft").args(words.split(' ')).output();
    let output = ns.run(run).expect("inside").expect("it is installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What others do to the table, and what is left of it.
fn rob(ns: &NetNs, gate: &mut Gate, words: &str) {
    ns.run(|| gate.table.disown()).expect("inside");
    nft(ns, words);
}

/// The gate is whole again, with what it is to manage, and has forgotten nothing.
fn assert_repaired(ns: &NetNs, gate: &mut Gate, addrs: &[IpAddr]) {
    ns.run(|| gate.repair()).expect("inside").expect("repaired");
    open(gate, addrs).expect("opened");
    let list = nft(ns, "list table netdev stead-robbed");
    for addr in addrs {
        assert!(list.contains(&addr.to_string()), "{addr}: {list}");
    }
}

#[test]
fn a_table_that_is_gone_is_noticed_in_both_forms() {
    for form in Form::ALL {
        let (ns, mut gate) = opened(form);
        rob(&ns, &mut gate, "delete table netdev stead-robbed");
        let told = open(&mut gate, &ADDRESSES);
        assert!(matches!(told, Err(GateError::Gone)), "{form}: {told:?}");
        let again = open(&mut gate, &ADDRESSES);
        assert!(matches!(again, Err(GateError::Gone)), "{form}, until it is repaired: {again:?}");
        assert_repaired(&ns, &mut gate, &ADDRESSES);
    }
}

/// A successor would take over what the table says.
#[test]
fn a_table_that_has_forgotten_an_address_is_noticed_by_filters() {
    let (ns, mut gate) = opened(Form::Ebpf);
    rob(&ns, &mut gate, "flush set netdev stead-robbed managed4");
    let told = open(&mut gate, &ADDRESSES);
    assert!(matches!(told, Err(GateError::Gone)), "{told:?}");
    assert_repaired(&ns, &mut gate, &ADDRESSES);
}

/// So are the names of strict devices, and where they are hooked comes back.
#[test]
fn a_table_that_has_forgotten_a_strict_device_is_noticed_and_mended() {
    for (form, words) in [
        (Form::Ebpf, "flush set netdev stead-robbed strict"),
        (Form::Ebpf, "delete table netdev stead-robbed"),
        (Form::Nftables, "delete table netdev stead-robbed"),
    ] {
        let (ns, mut gate) = opened(form);
        ns.run(|| gate.be_strict_on(&["lo"])).expect("inside").expect("strict");
        open(&mut gate, &ADDRESSES).expect("opened");
        rob(&ns, &mut gate, words);
        let told = open(&mut gate, &ADDRESSES);
        assert!(matches!(told, Err(GateError::Gone)), "{form}, {words}: {told:?}");
        assert_repaired(&ns, &mut gate, &ADDRESSES);
        let list = nft(&ns, "list table netdev stead-robbed");
        assert!(list.contains("elements = { \"lo\" }"), "{form}, {words}: {list}");
        assert_eq!(list.contains("jump strict"), form == Form::Nftables, "{form}, {words}: {list}");
    }
}

#[test]
fn what_could_not_be_managed_is_managed_after_the_repair() {
    for form in Form::ALL {
        let (ns, mut gate) = opened(form);
        rob(&ns, &mut gate, "delete table netdev stead-robbed");
        let all = [ADDRESSES[0], ADDRESSES[1], NEW];
        assert!(gate.manage(&all).is_err(), "{form}");
        assert!(gate.managed().eq(BTreeSet::from(all)), "{form}");
        assert_repaired(&ns, &mut gate, &all);
    }
}
