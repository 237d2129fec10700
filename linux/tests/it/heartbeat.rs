//! Heartbeat sockets, the poller, and the real-time wishes.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use stead_linux::clock::boottime;
use stead_linux::poller::Poller;
use stead_linux::realtime::{self, Refused};
use stead_linux::seqpacket::Connection;
use stead_linux::udp::{Heartbeats, UdpError};

use crate::pair::{CLIENT_V4, CLIENT_V6, NODE_V4, NODE_V6, Pair};

#[test]
fn heartbeats_cross_the_wire_in_both_families() {
    let pair = Pair::new();
    let link_local = |ns: &stead_linux::namespace::NetNs| {
        let mut netlink = ns.netlink().expect("a socket");
        let own = netlink.addresses().expect("listed");
        let found = own.iter().find(|a| a.addr.to_string().starts_with("fe80") && !a.tentative);
        found.map(|found| found.addr)
    };
    let mut locals = vec![(CLIENT_V4.into(), NODE_V4.into()), (CLIENT_V6.into(), NODE_V6.into())];
    let deadline = std::time::Instant::now() + crate::pair::PATIENCE;
    loop {
        if let Some(both) = link_local(&pair.client).zip(link_local(&pair.node)) {
            locals.push(both);
            break;
        }
        assert!(std::time::Instant::now() < deadline, "no link-local addresses");
    }
    for (client, node) in locals {
        let open = |ns: &stead_linux::namespace::NetNs, ip| {
            let open = || Heartbeats::open(SocketAddr::new(ip, 7000), "eth0");
            ns.run(open).expect("inside").expect("bound")
        };
        let (here, there) = (open(&pair.client, client), open(&pair.node, node));
        let mut to = there.local();
        if let SocketAddr::V6(v6) = &mut to
            && v6.scope_id() != 0
        {
            // The interface's number on our side, not on theirs.
            let SocketAddr::V6(own) = here.local() else { panic!("one family") };
            v6.set_scope_id(own.scope_id());
        }
        let mut buffer = [0; 2048];
        assert!(there.recv_from(&mut buffer).expect("readable").is_none());
        let poller = Poller::new().expect("a poller");
        poller.watch(there.as_fd(), 5).expect("watched");
        assert!(here.send_to(b"alive", to).expect("sent"));
        let mut ready = Vec::new();
        poller.wait(Some(boottime() + 30_000_000), &mut ready).expect("waited");
        assert_eq!(ready, [5]);
        let (length, from) = there.recv_from(&mut buffer).expect("readable").expect("one");
        assert_eq!((&buffer[..length], from.ip()), (&b"alive"[..], client));
    }
}

#[test]
fn a_socket_that_can_not_be_says_why() {
    let ns = stead_linux::namespace::NetNs::create().expect("these tests need root");
    ns.run(|| {
        let there: SocketAddr = "127.0.0.1:7000".parse().expect("an address");
        assert!(matches!(Heartbeats::open(there, "eth9"), Err(UdpError::NoDevice(_))));
        let elsewhere: SocketAddr = "192.0.2.1:7000".parse().expect("an address");
        assert!(matches!(Heartbeats::open(elsewhere, "lo"), Err(UdpError::Bind { .. })));
        let first = Heartbeats::open(there, "lo").expect("bound");
        assert!(matches!(Heartbeats::open(there, "lo"), Err(UdpError::Bind { .. })));
        let other_family: SocketAddr = "[::1]:7000".parse().expect("an address");
        assert!(matches!(first.send_to(b"x", other_family), Err(UdpError::Send { .. })));
        // A port on which nobody listens is no error, now or later.
        let nobody: SocketAddr = "127.0.0.1:7001".parse().expect("an address");
        assert!(first.send_to(b"x", nobody).expect("sent"));
        assert!(first.send_to(b"x", nobody).expect("sent"));
        assert!(first.recv_from(&mut [0; 64]).expect("readable").is_none());
    })
    .expect("inside");
}

#[test]
fn the_poller_wakes_at_its_moment_and_not_before() {
    let poller = Poller::new().expect("a poller");
    let mut ready = vec![1];
    for until in [0, 1, boottime(), boottime() + 20_000] {
        poller.wait(Some(until), &mut ready).expect("waited");
        assert!(ready.is_empty() && boottime() >= until);
    }
    let (near, far) = Connection::pair().expect("a pair");
    poller.watch(near.as_fd(), 9).expect("watched");
    far.send(b"x").expect("sent");
    poller.wait(None, &mut ready).expect("waited");
    assert_eq!(ready, [9]);
    poller.forget(near.as_fd()).expect("forgotten");
    poller.forget(near.as_fd()).expect("twice is fine");
    poller.wait(Some(boottime() + 1_000), &mut ready).expect("waited");
    assert!(ready.is_empty());
}

/// Granted or refused depends on the system; the text has to fit, and the thread goes on.
#[test]
fn real_time_wishes_are_granted_or_refused_with_a_reason() {
    let wishes = || {
        match realtime::set_fifo(10) {
            Ok(()) => {}
            Err(refused) => assert!(matches!(refused, Refused::Priority(_)), "{refused}"),
        }
        assert!(matches!(realtime::set_fifo(1_000), Err(Refused::Priority(_))));
        match realtime::lock_memory() {
            Ok(()) => realtime::unlock_memory().expect("undone"),
            Err(refused) => assert!(!matches!(refused, Refused::Priority(_)), "{refused}"),
        }
    };
    std::thread::spawn(wishes).join().expect("a thread of its own");
}
