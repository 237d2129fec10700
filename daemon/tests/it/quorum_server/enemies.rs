//! Whoever is no honest node: others must not notice.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use stead::quorum_server::wire::{Refused, ToServer};
use stead_core::state::QuorumServer;
use stead_fuzz::Chance;
use stead_lab::Host;
use stead_log::transport::{Identity, KeyHash};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::bed::{Stranger, server, until};
use super::numbers::METRICS;
use super::{Bed, Node, ask, cluster, granted, hear};
use crate::cluster::Must;

fn keep_alive(nonce: u64) -> ToServer {
    ToServer::KeepAlive { nonce, cluster: cluster(1) }
}

fn key(bed: &Bed) -> KeyHash {
    KeyHash(bed.token(&[]).token.key)
}

/// Connections without TLS, made on that host.
fn plain(host: &Host, count: usize) -> Vec<TcpStream> {
    let connect = || (0..count).filter_map(|_| TcpStream::connect(server()).ok()).collect();
    host.run(connect).must()
}

/// A node is answered, as if nobody else were there.
#[track_caller]
fn is_served(node: &Node) {
    for _ in 0..2 {
        // Slower than what counts as too fast.
        std::thread::sleep(Duration::from_millis(60));
        node.ask(hear(0));
    }
    assert!(node.trouble().is_empty(), "{}", node.trouble());
}

#[test]
fn a_wrong_key_on_either_side_gets_nothing() {
    let bed = Bed::start("quorum-keys", &[]);
    let (one, _two) = bed.pair(cluster(1));
    let stranger = bed.node(5);
    let (identity, key) = (stranger.identity.clone(), key(&bed));
    let replies = stranger.on_host(async move {
        let mut server = Stranger::connect(identity, server(), key).await;
        (server.ask(&keep_alive(7)).await, server.ask(&keep_alive(8)).await)
    });
    let (first, second) = replies;
    let first = first.expect("a reason");
    assert_eq!((first.nonce, first.answer), (7, Err(Refused::NotAMember)));
    assert_eq!(second, None, "and then the connection is over");
    // A server that is not the pinned one is not even told the secret.
    let mut token = bed.token(&[]);
    token.token.key[0] ^= 1;
    let wish = super::bed::members(1, &[&stranger]);
    let error = stranger.enrol(&token, cluster(2), "x", wish.clone()).unwrap_err();
    assert!(error.to_string().contains("which is not the quorum server's"), "{error}");
    token.token.key[0] ^= 1;
    stranger.enrol(&token, cluster(2), "x", wish).must();
    is_served(&one);
}

#[test]
fn garbage_is_cut_off_and_counted() {
    let bed = Bed::start("quorum-garbage", &["--metrics", METRICS]);
    let (one, _two) = bed.pair(cluster(1));
    let stranger = bed.host("stranger", 66);
    let mut chance = Chance::new(7);
    for mut stream in plain(&stranger, 40) {
        let bytes: Vec<u8> = (0..600).map(|_| chance.number().to_le_bytes()[0]).collect();
        // It may be closed before all is sent.
        let _closed = stream.write_all(&bytes);
        is_served(&one);
    }
    let reason = |it| bed.number("connections_refused_total", &[("reason", it)]);
    until("each is counted", || reason("tls") + reason("too-slow") >= 40.0);
    // Garbage by who can speak TLS.
    let (identity, key) = (one.identity.clone(), key(&bed));
    let replies = one.on_host(async move {
        let mut replies = Vec::new();
        for bytes in [&b""[..], b"\x09\x00", b"\x01\xff\xff\xff\xff\xff\xff", &[1; 4_000]] {
            let mut server = Stranger::connect(identity.clone(), server(), key).await;
            server.send(bytes).await;
            replies.push(server.next().await.map(|reply| reply.answer));
        }
        replies
    });
    let unreadable = || Some(Err(Refused::Unreadable));
    let version = Some(Err(Refused::Version(1)));
    assert_eq!(replies, [unreadable(), version, unreadable(), unreadable()]);
    is_served(&one);
}

#[test]
fn a_frame_that_is_too_long_is_not_read() {
    let bed = Bed::start("quorum-long", &["--metrics", METRICS]);
    let (one, _two) = bed.pair(cluster(1));
    let (identity, key) = (one.identity.clone(), key(&bed));
    let ended = one.on_host(async move {
        let mut first = Stranger::connect(identity.clone(), server(), key).await;
        first.stream().write_all(&u32::MAX.to_be_bytes()).await.must();
        first.stream().flush().await.must();
        let mut later = Stranger::connect(identity, server(), key).await;
        later.ask(&keep_alive(1)).await.expect("an answer");
        later.stream().write_all(&(16_385_u32).to_be_bytes()).await.must();
        later.stream().flush().await.must();
        (first.next().await, later.next().await)
    });
    assert_eq!(ended, (None, None));
    let garbage = [("reason", "garbage")];
    until("counted", || bed.number("connections_refused_total", &garbage) >= 1.0);
    is_served(&one);
}

#[test]
fn slow_ones_and_silent_ones_are_cut_off_while_others_are_served() {
    let bed = Bed::start("quorum-slow", &["--metrics", METRICS]);
    let (one, two) = bed.pair(cluster(1));
    let stranger = bed.host("stranger", 66);
    let mut streams = plain(&stranger, 100);
    let reason = |it| bed.number("connections_refused_total", &[("reason", it)]);
    until("all of them are cut off", || {
        // The beginning of a handshake, byte by byte; half of them say nothing at all.
        for stream in streams.iter_mut().step_by(2) {
            let _closed = stream.write_all(&[0x16]);
        }
        is_served(&one);
        // A second byte of a record that can't be one is noticed before the time is over.
        reason("too-slow") + reason("tls") >= 100.0 && reason("too-slow") >= 50.0
    });
    // A member that stops in the middle of a frame.
    let (identity, key) = (two.identity.clone(), key(&bed));
    let over = two.on_host(async move {
        let mut server = Stranger::connect(identity, server(), key).await;
        server.ask(&keep_alive(1)).await.expect("an answer");
        server.stream().write_all(&[0, 0]).await.must();
        server.stream().flush().await.must();
        server.next().await.is_none()
    });
    assert!(over);
    is_served(&two);
}

#[test]
fn too_many_connections_from_one_address_are_its_own_trouble() {
    let bed =
        Bed::start("quorum-crowd", &["--metrics", METRICS, "--connections-per-address", "50"]);
    let (one, two) = bed.pair(cluster(1));
    let stranger = bed.host("stranger", 66);
    let crowd = plain(&stranger, 400);
    until("most are turned away", || {
        let reason = |it| bed.number("connections_refused_total", &[("reason", it)]);
        reason("address-fast") + reason("address-full") >= 300.0
    });
    assert!(bed.number("connections", &[]) <= 60.0);
    is_served(&one);
    assert_eq!(granted(&two.ask(ask(0, &[2]))), Some(1));
    drop(crowd);
}

#[test]
fn who_asks_too_fast_is_refused_and_others_are_not() {
    let bed = Bed::start("quorum-fast", &["--metrics", METRICS]);
    let (one, two) = bed.pair(cluster(1));
    let (identity, key) = (two.identity.clone(), key(&bed));
    let (answered, refused) = two.on_host(async move {
        let mut server = Stranger::connect(identity, server(), key).await;
        for nonce in 1..=200 {
            assert!(server.send(&keep_alive(nonce).write()).await);
        }
        let (mut answered, mut refused) = (0, 0);
        for nonce in 1..=200 {
            let reply = server.next().await.expect("an answer to each");
            assert_eq!(reply.nonce, nonce);
            match reply.answer {
                Ok(_) => answered += 1,
                Err(Refused::TooFast) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        (answered, refused)
    });
    assert!(answered >= 20 && refused >= 20, "{answered} answered, {refused} refused");
    assert!(bed.number("refusals_total", &[("reason", "too-fast")]) >= 20.0);
    is_served(&one);
}

#[test]
fn what_was_recorded_is_worth_nothing_to_who_plays_it_again() {
    let bed = Bed::start("quorum-replay", &["--metrics", METRICS]);
    let (one, two) = bed.pair(cluster(1));
    // Somebody in the middle, who passes on every byte and keeps those of the node.
    let middle = bed.node(5);
    let at = "10.78.0.5:7745".parse().must();
    let (tell, told) = std::sync::mpsc::channel();
    let (ready, listening) = std::sync::mpsc::channel();
    middle.spawn(async move {
        let listener = tokio::net::TcpListener::bind("10.78.0.5:7745").await.must();
        ready.send(()).must();
        let (near, _) = listener.accept().await.must();
        let far = tokio::net::TcpStream::connect(server()).await.must();
        let ((mut near_in, mut near_out), (mut far_in, mut far_out)) =
            (near.into_split(), far.into_split());
        tokio::spawn(async move { tokio::io::copy(&mut far_in, &mut near_out).await });
        let mut buffer = [0; 4_096];
        while let Ok(count @ 1..) = near_in.read(&mut buffer).await {
            far_out.write_all(&buffer[..count]).await.must();
            tell.send(buffer[..count].to_vec()).must();
        }
    });
    listening.recv().must();
    let key = key(&bed);
    one.connect(QuorumServer { addresses: vec![at], key: key.0 }, cluster(1));
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    let recorded: Vec<Vec<u8>> = told.try_iter().collect();
    assert!(recorded.iter().map(Vec::len).sum::<usize>() > 500, "a handshake and questions");
    let before = bed.show(cluster(1));
    for _ in 0..3 {
        for mut stream in plain(&middle.host, 1) {
            for bytes in &recorded {
                let _closed = stream.write_all(bytes);
            }
        }
    }
    // One that was seen to have gone before its turn came is not even tried.
    let reason = |it| bed.number("connections_refused_total", &[("reason", it)]);
    until("each is cut off", || reason("tls") + reason("gave-up") >= 3.0);
    assert_eq!(bed.show(cluster(1))["granted"], before["granted"]);
    is_served(&two);
}

#[test]
fn a_node_that_is_cut_off_leaves_no_connection_behind() {
    let bed = Bed::start("quorum-half-open", &[]);
    let (one, two) = bed.pair(cluster(1));
    two.wait_up();
    until("two connections", || bed.show(cluster(1))["connections"] == 2);
    bed.cut(&two.host, true);
    until("one connection", || bed.show(cluster(1))["connections"] == 1);
    until("it is told", || !two.trouble().is_empty());
    is_served(&one);
    bed.cut(&two.host, false);
    two.wait_up();
}

#[test]
fn of_too_many_connections_with_one_key_the_oldest_ends() {
    let bed = Bed::start("quorum-oldest", &[]);
    let (one, _two) = bed.pair(cluster(1));
    let (identity, key): (Identity, _) = (one.identity.clone(), key(&bed));
    let first_is_over = one.on_host(async move {
        let mut connections = Vec::new();
        for nonce in 0..5 {
            let mut server = Stranger::connect(identity.clone(), server(), key).await;
            server.ask(&keep_alive(nonce)).await.expect("an answer");
            connections.push(server);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The client's own was the oldest; then this one.
        connections[0].next().await.is_none()
    });
    assert!(first_is_over);
    // Four of this key at most, and the other node's.
    until("the others are gone", || bed.show(cluster(1))["connections"].as_u64() <= Some(5));
}
