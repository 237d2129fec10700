use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use stead_linux::namespace::NetNs;
use stead_linux::tcp::{Connection, Connections, Tickler, Turn, Which};

use crate::pair::{CLIENT_V4, CLIENT_V6, NODE_V4, NODE_V6, Pair, SERVICE_V4, SERVICE_V6};

/// The longest that a client may take to learn of anything on a loopback.
const PATIENCE: Duration = Duration::from_secs(20);

/// Both ends of a connection: the client's, the server's, and how the server's kernel has it.
fn connected(listener: &TcpListener) -> (TcpStream, TcpStream, Connection) {
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (server, remote) = listener.accept().expect("accepted");
    let canonical = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
    let local = canonical(server.local_addr().expect("an address"));
    (client, server, Connection { local, remote: canonical(remote) })
}

/// Closes a socket so that nobody is told: as a machine that lost power.
fn vanish(socket: TcpStream) {
    const TCP_REPAIR: libc::c_int = 19;
    let on: libc::c_int = 1;
    // SAFETY: the option's value is a live int and its length is told.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            TCP_REPAIR,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "root may repair sockets");
}

fn list(which: Which) -> Vec<Connection> {
    let mut all = Vec::new();
    Connections::open().list(which, |connection| all.push(connection)).expect("listed");
    all
}

fn ask(connection: &Connection) {
    let tickler = Tickler::open(connection.local.ip()).expect("root may");
    for turn in [Turn::First, Turn::Second] {
        tickler.ask(connection, turn).expect("it leaves");
    }
}

#[test]
fn a_client_whose_connection_vanished_learns_of_it_and_one_whose_did_not_is_left_alone() {
    let ns = NetNs::create().expect("root makes a namespace");
    ns.run(|| {
        for address in ["127.0.0.1", "::1"] {
            let address: IpAddr = address.parse().expect("an address");
            let listener = TcpListener::bind((address, 0)).expect("bound");
            let (mut lost, server, of_lost) = connected(&listener);
            let (mut kept, mut serves, of_kept) = connected(&listener);
            let open = list(Which::Open);
            assert!(open.contains(&of_lost) && open.contains(&of_kept), "{open:?}");
            vanish(server);
            let open = list(Which::Open);
            assert!(!open.contains(&of_lost) && open.contains(&of_kept), "{open:?}");

            ask(&of_lost);
            ask(&of_kept);

            lost.set_read_timeout(Some(PATIENCE)).expect("set");
            let error = lost.read(&mut [0]).expect_err("nobody sends anything");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            serves.write_all(b"still here").expect("the connection stands");
            kept.set_read_timeout(Some(PATIENCE)).expect("set");
            let mut told = [0; 10];
            kept.read_exact(&mut told).expect("the connection stands");
            assert_eq!(&told, b"still here");
        }
    })
    .expect("inside");
}

#[test]
fn ipv4_over_a_socket_of_ipv6_is_told_as_ipv4() {
    let ns = NetNs::create().expect("root makes a namespace");
    ns.run(|| {
        let listener = TcpListener::bind("[::]:0").expect("bound to both families");
        let port = listener.local_addr().expect("bound").port();
        let client = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        let (_server, _) = listener.accept().expect("accepted");
        let remote = client.local_addr().expect("an address");
        let local = SocketAddr::from(([127, 0, 0, 1], port));
        for which in [Which::Open, Which::Known] {
            assert!(list(which).contains(&Connection { local, remote }), "{which:?}");
        }
        assert!(list(Which::Known).iter().all(|it| it.remote.port() != 0), "no listeners");
    })
    .expect("inside");
}

/// Asks one client from the service's address, and then from the node's own, which has no gate;
/// says whether the first question arrived.
fn arrives(pair: &Pair, ends: [IpAddr; 3]) -> bool {
    let [service, own, client] = ends;
    let family = socket2::Domain::for_address((client, 0).into());
    let raw = (socket2::Type::RAW, Some(socket2::Protocol::TCP));
    let open = || socket2::Socket::new(family, raw.0, raw.1).expect("root may");
    let hears = UdpSocket::from(pair.client.run(open).expect("inside"));
    hears.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
    let ask = |from: IpAddr, turn| {
        let connection = Connection { local: (from, 80).into(), remote: (client, 9).into() };
        // What the gate drops may come back as an error.
        let _ = Tickler::open(from).expect("root may").ask(&connection, turn);
    };
    pair.node.run(|| ask(service, Turn::First)).expect("inside");
    let deadline = Instant::now() + PATIENCE;
    let mut arrived = false;
    loop {
        assert!(Instant::now() < deadline, "the node's own question never arrived");
        pair.node.run(|| ask(own, Turn::Second)).expect("inside");
        while let Ok((_, from)) = hears.recv_from(&mut [0; 200]) {
            arrived |= from.ip() == service;
            if from.ip() == own {
                return arrived;
            }
        }
    }
}

/// One way of the gate: asked by [`crate::gate`] for both forms.
pub fn asked_only_while_open(pair: &Pair, mut turn_gate: impl FnMut(bool)) {
    let four = [SERVICE_V4.into(), NODE_V4.into(), CLIENT_V4.into()];
    let six = [SERVICE_V6.into(), NODE_V6.into(), CLIENT_V6.into()];
    for ends in [four, six] {
        for open in [false, true, false] {
            turn_gate(open);
            assert_eq!(arrives(pair, ends), open, "{ends:?}");
        }
    }
}
