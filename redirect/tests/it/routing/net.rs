//! Four subnets, three routers, two nodes and a client.
//!
//! ```text
//! client ── R0 ──┬── R1 ── node A
//!                └── R2 ── node B
//! ```
//! R0, R1 and R2 share a segment, and speak BGP each with each other. The nodes know their own
//! router only.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stead_lab::prober::{Prober, Target};
use stead_lab::{Bed, Host, LinkSpec, Waited, wait_until};
use stead_linux::netlink::{AddressSpec, Lifetime, Route};
use stead_redirect::routing::{Announce, Daemon, Prefix, Session, Source, Watched};

use super::{bird, frr};

/// Long enough for a machine that is busy with everything else.
pub const PATIENCE: Duration = Duration::from_secs(120);
pub const VIP4: &str = "10.99.0.1";
pub const VIP6: &str = "fd99::1";
/// An address with the network that is announced for it.
pub const WIDE: (&str, u8) = ("10.98.0.1", 24);
pub const INTERFACE: &str = "stead0";
const PORT: u16 = 7_000;

/// Which routing daemon runs everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bird,
    Frr,
}

/// A neighbour in a daemon's configuration.
pub struct Peer {
    pub name: &'static str,
    pub address: &'static str,
    pub number: u32,
    pub bfd: bool,
}

/// What a daemon is told on its machine.
pub struct Setup<'a> {
    pub id: &'a str,
    pub number: u32,
    pub peers: Vec<Peer>,
    /// A node has stead's part; a router passes on what it hears.
    pub node: Option<&'a Source>,
}

pub struct Net {
    pub bed: Bed,
    pub kind: Kind,
    pub folder: tempfile::TempDir,
    pub source: Source,
    pub r1: Host,
    pub a: Host,
    pub b: Host,
    pub client: Host,
    stop: Arc<AtomicBool>,
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

pub fn prefixes() -> Vec<Prefix> {
    vec![prefix("10.99.0.1/32"), prefix("fd99::1/128"), prefix("10.98.0.0/24")]
}

/// Waits for a condition, and says what it was.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let holds = || Ok::<_, ()>(holds());
    let waited = wait_until(&AtomicBool::new(false), PATIENCE, holds);
    assert!(matches!(waited, Waited::Held), "{what}");
}

/// Runs an async call on a host, in a thread that is in its namespace as a daemon would be.
pub fn on<T: Send, F: Future<Output = T>>(host: &Host, act: impl FnOnce() -> F + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(act())
    };
    host.run(run).expect("inside")
}

impl Net {
    /// All of it, daemons running, nothing announced.
    pub fn new(kind: Kind, source: Source, bfd: bool) -> Self {
        let bed = Bed::new("routing").expect("these tests need root");
        let [core, east, west, clients] =
            ["core", "east", "west", "clients"].map(|name| bed.switch(name).expect("a switch"));
        let end = |name: &str, net: u8, number: u8| {
            LinkSpec::new(name)
                .addr(ip(&format!("10.{net}.0.{number}")), 24)
                .addr(ip(&format!("fd00:{net}::{number}")), 64)
        };
        let router = |name: &str, number: u8, other, net: u8| {
            let cables = [(&core, end("eth0", 0, number)), (other, end("eth1", net, 1))];
            bed.router(name, &cables).expect("a router")
        };
        let r0 = router("r0", 10, &clients, 9);
        let r1 = router("r1", 1, &east, 1);
        let r2 = router("r2", 2, &west, 2);
        let host = |name: &str, switch, net: u8| {
            let host = bed.host(name).expect("a host");
            bed.connect(&host, switch, end("eth0", net, 2)).expect("a cable");
            for gateway in [format!("10.{net}.0.1"), format!("fd00:{net}::1")] {
                host.add_route(Route::default_via(ip(&gateway))).expect("a route");
            }
            host
        };
        let (a, b) = (host("node-a", &east, 1), host("node-b", &west, 2));
        let client = host("client", &clients, 9);
        // The nodes' own subnets are no matter of BGP here.
        for router in [&r1, &r2] {
            for gateway in ["10.0.0.10", "fd00:0::10"] {
                router.add_route(Route::default_via(ip(gateway))).expect("a route");
            }
        }
        for (net, by) in [(1, 1), (2, 2)] {
            for (to, by) in [
                (format!("10.{net}.0.0/24"), format!("10.0.0.{by}")),
                (format!("fd00:{net}::/64"), format!("fd00:0::{by}")),
            ] {
                let to = prefix(&to);
                let to =
                    stead_linux::netlink::Destination { addr: to.address(), prefix: to.length() };
                r0.add_route(Route::via(to, ip(&by))).expect("a route");
            }
        }
        let folder = tempfile::tempdir().expect("a folder");
        let stop = Arc::new(AtomicBool::new(false));
        let net = Self { bed, kind, folder, source, r1, a, b, client, stop };
        net.start_routers(&r0, &r2, bfd);
        net.start_node(&net.a, bfd);
        net.start_node(&net.b, bfd);
        for node in [&net.a, &net.b] {
            net.prepare(node);
        }
        net
    }

    fn start_routers(&self, r0: &Host, r2: &Host, bfd: bool) {
        let peer = |name, address, number, bfd| Peer { name, address, number, bfd };
        let peers =
            vec![peer("r1", "10.0.0.1", 65_001, true), peer("r2", "10.0.0.2", 65_002, true)];
        self.start(r0, &Setup { id: "10.0.0.10", number: 65_000, peers, node: None });
        let peers = vec![
            peer("r0", "10.0.0.10", 65_000, true),
            peer("r2", "10.0.0.2", 65_002, true),
            peer("node", "10.1.0.2", 65_010, bfd),
        ];
        self.start(&self.r1, &Setup { id: "10.0.0.1", number: 65_001, peers, node: None });
        let peers = vec![
            peer("r0", "10.0.0.10", 65_000, true),
            peer("r1", "10.0.0.1", 65_001, true),
            peer("node", "10.2.0.2", 65_020, bfd),
        ];
        self.start(r2, &Setup { id: "10.0.0.2", number: 65_002, peers, node: None });
    }

    /// A node's daemon, as its operator configured it.
    pub fn start_node(&self, node: &Host, bfd: bool) {
        let (id, address, number, router) = if node.name() == "node-a" {
            ("10.1.0.2", "10.1.0.1", 65_010, 65_001)
        } else {
            ("10.2.0.2", "10.2.0.1", 65_020, 65_002)
        };
        let peers = vec![Peer { name: "up", address, number: router, bfd }];
        self.start(node, &Setup { id, number, peers, node: Some(&self.source) });
    }

    fn start(&self, host: &Host, setup: &Setup<'_>) {
        let folder = self.folder_of(host);
        std::fs::create_dir_all(&folder).expect("a folder");
        match self.kind {
            Kind::Bird => bird::start(host, setup, &folder),
            Kind::Frr => frr::start(host, setup, self.folder.path(), &folder),
        }
    }

    pub fn folder_of(&self, host: &Host) -> PathBuf {
        self.folder.path().join(host.name())
    }

    /// The daemon of a host, as the API has it.
    pub fn daemon(&self, host: &Host) -> Daemon {
        let folder: &Path = &self.folder_of(host);
        match self.kind {
            Kind::Bird => bird::daemon(folder),
            Kind::Frr => frr::daemon(folder),
        }
    }

    /// The interface of the addresses, and something that answers at them.
    fn prepare(&self, node: &Host) {
        let mut netlink = node.netlink().expect("a socket");
        let index = netlink.create_bridge(INTERFACE, None).expect("a bridge").index;
        netlink.set_up(index).expect("up");
        for setting in ["net/ipv4/ip_nonlocal_bind", "net/ipv6/ip_nonlocal_bind"] {
            node.namespace().write_sysctl(setting, "1").expect("a setting");
        }
        for address in [VIP4, VIP6, WIDE.0] {
            let at = SocketAddr::new(ip(address), PORT);
            let socket = node.run(|| UdpSocket::bind(at)).expect("inside").expect("a socket");
            socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a limit");
            let (stop, name) = (Arc::clone(&self.stop), node.name().to_owned());
            std::thread::spawn(move || answer(&socket, &name, &stop));
        }
    }

    pub fn announce(&self) -> Announce {
        let prefixes: BTreeSet<_> = prefixes().into_iter().collect();
        Announce::new(prefixes, self.source.clone()).expect("right")
    }

    pub fn watch(&self, node: &Host) -> Watched {
        let daemon = self.daemon(node);
        on(node, || async move { daemon.watch(&prefixes()).await }).expect("it answers")
    }

    /// Waits until the node's session is as wanted.
    pub fn until_session(&self, node: &Host, wanted: impl Fn(&Watched) -> bool) -> Watched {
        let daemon = self.daemon(node);
        let mut last = None;
        let waited = wait_until(&AtomicBool::new(false), PATIENCE, || {
            let daemon = daemon.clone();
            last = Some(on(node, || async move { daemon.watch(&prefixes()).await }));
            Ok::<_, ()>(last.as_ref().is_some_and(|it| it.as_ref().is_ok_and(&wanted)))
        });
        assert!(matches!(waited, Waited::Held), "not as wanted: {last:?}");
        last.expect("looked").expect("seen")
    }

    /// Sessions up, and both nodes told what they may announce.
    pub fn ready(&self, bfd: bool) {
        for node in [&self.a, &self.b] {
            let (daemon, announce) = (self.daemon(node), self.announce());
            let mut told = None;
            until("the daemon listens", || {
                let (daemon, announce) = (daemon.clone(), announce.clone());
                let result = on(node, || async move { daemon.configure(&announce).await });
                told = Some(result.map_err(|error| format!("{error}: {error:?}")));
                matches!(told, Some(Ok(_)))
            });
            println!("{}: {told:?}", node.name());
            let watched = self.until_session(node, |watched| up(watched, bfd));
            assert!(watched.configured, "{watched:?}");
            println!("{}: {watched:?}", node.name());
        }
    }

    /// What the guard does.
    pub fn hold(&self, node: &Host, seconds: Option<u32>) {
        let mut netlink = node.netlink().expect("a socket");
        let index = netlink.link_named(INTERFACE).expect("there").index;
        for (address, length) in [(VIP4, 32), (VIP6, 128), WIDE] {
            let spec = AddressSpec {
                valid: seconds.map_or(Lifetime::Forever, Lifetime::Seconds),
                preferred_seconds: Some(0),
                no_dad: true,
                ..AddressSpec::new(ip(address), length)
            };
            netlink.replace_address(index, &spec).expect("an address");
        }
    }

    pub fn drop(&self, node: &Host) {
        let mut netlink = node.netlink().expect("a socket");
        let index = netlink.link_named(INTERFACE).expect("there").index;
        for (address, length) in [(VIP4, 32), (VIP6, 128), WIDE] {
            netlink.delete_address(index, ip(address), length).expect("removed");
        }
    }

    /// Clients of all addresses.
    pub fn probers(&self) -> Vec<(&'static str, Prober)> {
        let start = |address| {
            let target = Target::every_millisecond(SocketAddr::new(ip(address), PORT));
            (address, Prober::udp(&self.client, target).expect("a prober"))
        };
        [VIP4, VIP6, WIDE.0].map(start).into()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

pub fn up(watched: &Watched, bfd: bool) -> bool {
    use stead_redirect::routing::Bfd;
    let fits = |it: &stead_redirect::routing::Neighbour| {
        it.session == Session::Established && matches!(it.bfd, Bfd::Up { .. }) == bfd
    };
    !watched.neighbours.is_empty() && watched.neighbours.iter().all(fits)
}

fn answer(socket: &UdpSocket, name: &str, stop: &AtomicBool) {
    let mut buffer = [0; 64];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let mut text = buffer[..length].to_vec();
        text.extend(format!(" {name}").bytes());
        // The way back may be away for a while.
        let _ = socket.send_to(&text, from);
    }
}
