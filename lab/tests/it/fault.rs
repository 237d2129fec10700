use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use nix::sys::signal::Signal;
use stead_lab::Host;
use stead_linux::wire::{FRAME_MAX, Wire};

use crate::helper::{PORT, ip, start_service, two_sites, wait_until};

fn socket_on(host: &Host, addr: &str) -> UdpSocket {
    let socket = host.run(|| UdpSocket::bind(addr).expect("a socket")).expect("inside");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    socket
}

fn receive(socket: &UdpSocket) -> String {
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).expect("a datagram");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn a_cut_drops_both_ways_and_keeps_the_carrier() {
    let sites = two_sites("cut");
    let node = &sites.nodes[0];
    let client = socket_on(&sites.client, "10.0.0.100:9");
    let victim = socket_on(node, "10.0.0.1:9");
    let other = socket_on(&sites.nodes[1], "10.0.0.2:9");
    // everybody knows everybody's Ethernet address now
    for (from, to, to_addr) in
        [(&victim, &client, "10.0.0.100:9"), (&client, &victim, "10.0.0.1:9")]
    {
        from.send_to(b"before", to_addr).expect("sent");
        assert_eq!(receive(to), "before");
    }

    sites.bed.cut(node).expect("cut");
    assert!(node.links()[0].is_cut());
    let link = node.netlink().expect("a socket").link_named("eth0").expect("there");
    assert!(link.carrier && link.up, "{link:?}");
    victim.send_to(b"from the cut host", "10.0.0.100:9").expect("it notices nothing");
    client.send_to(b"to the cut host", "10.0.0.1:9").expect("sent");
    other.send_to(b"marker", "10.0.0.100:9").expect("sent");
    assert_eq!(receive(&client), "marker", "what was sent before it was dropped");

    sites.bed.heal(node).expect("healed");
    client.send_to(b"after", "10.0.0.1:9").expect("sent");
    assert_eq!(receive(&victim), "after", "what was sent before it was dropped");
    victim.send_to(b"after", "10.0.0.100:9").expect("sent");
    assert_eq!(receive(&client), "after");
}

#[test]
fn a_cut_trunk_parts_the_sites_only() {
    let sites = two_sites("trunk");
    let client = socket_on(&sites.client, "10.0.0.100:9");
    let near = socket_on(&sites.nodes[0], "10.0.0.1:9");
    let far = socket_on(&sites.nodes[1], "10.0.0.2:9");
    far.send_to(b"before", "10.0.0.100:9").expect("sent");
    assert_eq!(receive(&client), "before");
    sites.bed.cut_trunk(&sites.trunk).expect("cut");
    far.send_to(b"lost", "10.0.0.100:9").expect("sent");
    near.send_to(b"same site", "10.0.0.100:9").expect("sent");
    assert_eq!(receive(&client), "same site");
    sites.bed.heal_trunk(&sites.trunk).expect("healed");
    far.send_to(b"after", "10.0.0.100:9").expect("sent");
    assert_eq!(receive(&client), "after");
}

#[test]
fn an_unplugged_host_sees_no_carrier_and_a_cut_outlives_the_plug() {
    let sites = two_sites("plug");
    let node = &sites.nodes[0];
    let link = &node.links()[0];
    let carrier = || {
        let mut netlink = node.netlink().expect("a socket");
        netlink.link(link.index()).expect("there").carrier
    };
    sites.bed.unplug(link).expect("pulled");
    assert!(!carrier());
    sites.bed.plug_in(link).expect("plugged");
    assert!(carrier());

    sites.bed.cut_link(link).expect("cut");
    sites.bed.unplug(link).expect("pulled");
    sites.bed.plug_in(link).expect("plugged");
    let client = socket_on(&sites.client, "10.0.0.100:9");
    let victim = socket_on(node, "10.0.0.1:9");
    let other = socket_on(&sites.nodes[1], "10.0.0.2:9");
    victim.send_to(b"cut", "10.0.0.100:9").expect("sent");
    other.send_to(b"marker", "10.0.0.100:9").expect("sent");
    assert_eq!(receive(&client), "marker");
    sites.bed.heal_link(link).expect("healed");
    wait_until("a datagram gets through", || {
        victim.send_to(b"whole", "10.0.0.100:9").expect("sent");
        client.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
        client.recv(&mut [0; 64]).is_ok()
    });
}

#[test]
fn frozen_processes_do_nothing_until_thawed() {
    let sites = two_sites("freeze");
    let node = &sites.nodes[0];
    let process = start_service(node);
    let client = socket_on(&sites.client, "10.0.0.100:9");
    client.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
    let answers = || {
        client.send_to(b"?", ("10.0.0.1", PORT)).expect("sent");
        client.recv(&mut [0; 64]).is_ok()
    };
    let state = || {
        let path = format!("/proc/{}/stat", process.pid());
        let stat = std::fs::read_to_string(path).expect("it exists");
        stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next())
    };
    wait_until("the service", answers);
    node.freeze().expect("frozen");
    wait_until("it is stopped", || state() == Some('T'));
    node.thaw().expect("thawed");
    wait_until("the service again", answers);
    assert_ne!(state(), Some('T'));
    process.freeze().expect("frozen");
    wait_until("it is stopped", || state() == Some('T'));
    process.thaw().expect("thawed");
    assert!(process.signal(Signal::SIGTERM).expect("sent"));
    assert!(process.wait(Duration::from_secs(60)).expect("waited").is_some());
    assert!(!process.signal(Signal::SIGTERM).expect("asked"), "it is gone");
}

/// A frame by which a host's end would be told to others: TCP with FIN or RST, or ICMP.
fn tells(frame: &[u8], from: [u8; 6]) -> bool {
    const OFFLOAD_HEADER: usize = 10;
    let Some(frame) = frame.get(OFFLOAD_HEADER..) else { return false };
    let (Some(source), Some(kind)) = (frame.get(6..12), frame.get(12..14)) else { return false };
    if source != from || kind != [0x08, 0x00] {
        return false;
    }
    let protocol = frame.get(14 + 9).copied();
    let flags = frame.get(14 + 20 + 13).copied().unwrap_or(0);
    protocol == Some(1) || (protocol == Some(6) && flags & 0b101 != 0)
}

#[test]
fn silence_then_kill_lets_nothing_out() {
    let sites = two_sites("silence");
    let (dead, killed) = (&sites.nodes[0], &sites.nodes[1]);
    let index = sites.client.links()[0].index();
    let wire = sites.client.run(|| Wire::open(index).expect("a wire")).expect("inside");
    let mut talks = Vec::new();
    for (node, addr) in [(dead, "10.0.0.1"), (killed, "10.0.0.2")] {
        start_service(node);
        let to = SocketAddr::new(ip(addr), PORT);
        let mut talk = None;
        wait_until("a connection", || {
            talk = sites.client.run(|| TcpStream::connect(to).ok()).expect("inside");
            talk.is_some()
        });
        let mut talk = talk.expect("connected");
        talk.write_all(b"hello\n").expect("said");
        let mut answer = [0; 12];
        talk.read_exact(&mut answer).expect("answered");
        assert_eq!(&answer[..11], format!("hello {}", node.name()).as_bytes());
        talks.push(talk);
    }
    // what the handshakes left behind (a refused first attempt) is not what we look for
    let mut buffer = vec![0; FRAME_MAX];
    while wire.receive(&mut buffer).expect("readable").is_some() {}

    sites.bed.silence_then_kill(dead).expect("dead");
    assert!(dead.processes().expect("a list").is_empty());
    killed.kill_all().expect("killed");
    let (mut from_dead, mut from_killed) = (0, 0);
    wait_until("the killed one's connection tells its end", || {
        while let Some(frame) = wire.receive(&mut buffer).expect("readable") {
            from_dead += usize::from(tells(frame, dead.links()[0].mac().0));
            from_killed += usize::from(tells(frame, killed.links()[0].mac().0));
        }
        from_killed > 0
    });
    assert_eq!(from_dead, 0, "the dead are silent");
    assert_eq!(talks[1].read(&mut [0; 16]).unwrap_or(0), 0, "this client was told");
    talks[0].set_read_timeout(Some(Duration::from_millis(100))).expect("set");
    let silence = talks[0].read(&mut [0; 16]).expect_err("this one was not");
    assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock);
}
