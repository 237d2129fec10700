//! Who may speak to whom, and what strangers can't do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use stead_core::id::NodeId;
use stead_log::network::CallError;
use stead_log::transport::{
    HelloRefusal, Identity, IdentityError, JoinError, Member, Members, PROTOCOL, Peers,
    PeersOptions, RefusalReason,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::nodes::{Nodes, Wire, foreign, identity, local, options};
use crate::raw::{self, Papers};
use crate::support::{CLUSTER, PATIENCE, wait};

/// Waits until `peers` has noted a refusal for this reason.
async fn noted(peers: &Peers, want: impl Fn(&RefusalReason) -> bool) -> Option<NodeId> {
    wait("the refusal to be noted", || async {
        peers.refused().iter().find(|refusal| want(&refusal.reason)).map(|refusal| refusal.node)
    })
    .await
}

/// A node that knows node 1 of `nodes` and is not known to it, unless `known`.
fn outsider(nodes: &Nodes, known: bool, change: impl FnOnce(&mut PeersOptions)) -> Peers {
    let first = nodes.members.get(NodeId(1)).unwrap();
    let papers = identity();
    let key = papers.key();
    let members = Members::new(BTreeMap::from([(NodeId(1), first)]));
    let mut options = options(9, papers, members);
    change(&mut options);
    let peers = Peers::start(options).unwrap();
    if known {
        nodes.members.insert(NodeId(9), Member { addresses: peers.listening().to_vec(), key });
    }
    peers
}

async fn refused_at(peers: &Peers) -> CallError {
    peers.call(NodeId(1), b"let me in".to_vec(), Duration::from_secs(5)).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_ask_and_answer_and_many_requests_share_a_connection() {
    let nodes = Nodes::start(3);
    assert_eq!(nodes.says(1, 2, "hello").await.unwrap(), "1 said hello");
    assert_eq!(nodes.says(3, 1, "hello").await.unwrap(), "3 said hello");
    let slow = nodes.at(1).call(NodeId(2), b"wait 60000".to_vec(), Duration::from_secs(50));
    let quick = async {
        for number in 0..200 {
            let answer = nodes.says(1, 2, &number.to_string()).await.unwrap();
            assert_eq!(answer, format!("1 said {number}"));
        }
    };
    tokio::select! {
        _ = slow => panic!("the slow request overtook the quick ones"),
        () = quick => {}
    }
    let connected = nodes.at(1).connected();
    assert_eq!(connected.len(), 1);
    assert_eq!(connected[0].software, "stead test");
    let unknown = nodes.at(1).call(NodeId(77), Vec::new(), PATIENCE).await;
    assert!(matches!(unknown, Err(CallError::Unreachable { .. })), "{unknown:?}");
    let long = nodes.at(1).call(NodeId(2), vec![b'x'; 5 << 20], PATIENCE).await;
    assert!(matches!(long, Err(CallError::TooLong { .. })), "{long:?}");
    let late = nodes.at(1).call(NodeId(2), b"wait 60000".to_vec(), Duration::from_millis(50)).await;
    assert!(matches!(late, Err(CallError::Deadline { .. })), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_refused_and_both_sides_say_so() {
    let nodes = Nodes::start(1);
    let stranger = outsider(&nodes, false, |_| {});
    let error = refused_at(&stranger).await;
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    let theirs = RefusalReason::ByThem(HelloRefusal::UnknownKey);
    assert_eq!(noted(&stranger, |reason| *reason == theirs).await, Some(NodeId(1)));
    let ours = RefusalReason::ByUs(HelloRefusal::UnknownKey);
    assert_eq!(noted(nodes.at(1), |reason| *reason == ours).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_sees_whether_somebody_listens_is_no_refusal() {
    let nodes = Nodes::start(1);
    let mut looking = TcpStream::connect(nodes.address(1)).await.unwrap();
    looking.shutdown().await.unwrap();
    // The other side has heard it out.
    assert_eq!(looking.read(&mut [0]).await.unwrap(), 0);
    assert!(nodes.at(1).refused().is_empty(), "{:?}", nodes.at(1).refused());
    let mut talking = TcpStream::connect(nodes.address(1)).await.unwrap();
    talking.write_all(b"let me in").await.unwrap();
    talking.shutdown().await.unwrap();
    noted(nodes.at(1), |reason| matches!(reason, RefusalReason::Tls(_))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_key_under_another_name_is_refused() {
    let nodes = Nodes::start(1);
    let liar = outsider(&nodes, true, |options| options.node = NodeId(5));
    refused_at(&liar).await;
    let ours = RefusalReason::ByUs(HelloRefusal::OtherNode(NodeId(9)));
    assert_eq!(noted(nodes.at(1), |reason| *reason == ours).await, Some(NodeId(9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_cluster_and_an_unknown_version_are_refused_with_the_reason() {
    let nodes = Nodes::start(1);
    let other = outsider(&nodes, true, |options| options.cluster = foreign());
    refused_at(&other).await;
    let theirs = RefusalReason::ByThem(HelloRefusal::ForeignCluster(CLUSTER));
    noted(&other, |reason| *reason == theirs).await;
    let ours = RefusalReason::ByUs(HelloRefusal::ForeignCluster(CLUSTER));
    assert_eq!(noted(nodes.at(1), |reason| *reason == ours).await, Some(NodeId(9)));

    let future = outsider(&nodes, true, |options| options.versions = (8, 10));
    refused_at(&future).await;
    let why = HelloRefusal::Version { oldest: 1, newest: PROTOCOL.1 };
    noted(&future, |reason| *reason == RefusalReason::ByThem(why.clone())).await;
    noted(nodes.at(1), |reason| *reason == RefusalReason::ByUs(why.clone())).await;
    // A newer release that still speaks the old version is welcome, and the refusals are over.
    let newer = outsider(&nodes, true, |options| options.versions = (1, 10));
    newer.call(NodeId(1), b"hello".to_vec(), PATIENCE).await.unwrap();
    assert!(nodes.at(1).refused().iter().all(|refusal| refusal.node != Some(NodeId(9))));
}

/// Once the replicated state holds what an older version would read otherwise, one that comes back
/// with the older program is kept out, and named.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_is_welcome_until_a_newer_one_is_required() {
    let nodes = Nodes::start(1);
    let older = outsider(&nodes, true, |options| options.versions = (1, 1));
    older.call(NodeId(1), b"hello".to_vec(), PATIENCE).await.unwrap();
    let connected = older.connected();
    assert!(connected.iter().all(|it| it.version == 1) && !connected.is_empty(), "{connected:?}");
    older.shutdown().await;
    nodes.at(1).require(2);
    // Nothing that says less takes it back.
    nodes.at(1).require(0);
    let older = outsider(&nodes, true, |options| options.versions = (1, 1));
    refused_at(&older).await;
    let why = HelloRefusal::Version { oldest: 2, newest: PROTOCOL.1 };
    noted(nodes.at(1), |reason| *reason == RefusalReason::ByUs(why.clone())).await;
    let present = outsider(&nodes, true, |options| options.versions = (1, 2));
    present.call(NodeId(1), b"hello".to_vec(), PATIENCE).await.unwrap();
    assert!(present.connected().iter().all(|it| it.version == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_the_wrong_key_is_not_spoken_to() {
    let nodes = Nodes::start(2);
    let address = nodes.address(2);
    let expected = identity().key();
    nodes.members.insert(NodeId(2), Member { addresses: vec![address], key: expected });
    assert_eq!(nodes.says(1, 2, "hello").await, None);
    let found = nodes.identities[&NodeId(2)].key();
    let node = noted(nodes.at(1), |reason| *reason == RefusalReason::WrongKey(found)).await;
    assert_eq!(node, Some(NodeId(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_and_names_in_certificates_do_not_matter() {
    let mut nodes = Nodes::start(1);
    // Long expired, and not valid for years: whatever the clock says, one of them is out of date.
    for (node, papers) in [(2, Papers::dated(1980, 1990)), (3, Papers::dated(3000, 3100))] {
        nodes.identities.insert(NodeId(node), papers.identity());
        nodes.open(NodeId(node), local());
        assert!(nodes.says(1, node, "out").await.is_some());
        assert!(nodes.says(node, 1, "in").await.is_some());
    }
    assert!(nodes.says(2, 3, "among themselves").await.is_some());
}

/// A certificate is public. Whoever shows another's must not pass for it without its key.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_its_key_is_worth_nothing() {
    let nodes = Nodes::start(2);
    let papers = Papers::dated(2000, 2100);
    let key = papers.identity().key();
    let thief = papers.stolen();
    let address = raw::serve(&thief).await;
    nodes.members.insert(NodeId(9), Member { addresses: vec![address], key });
    assert_eq!(nodes.says(1, 9, "hello").await, None);
    let node = noted(nodes.at(1), |reason| matches!(reason, RefusalReason::Tls(_))).await;
    assert_eq!(node, Some(NodeId(9)));

    let greeting = raw::hello((1, 1), CLUSTER, NodeId(9), &[0, 0]);
    if let Ok(mut stream) = raw::connect(nodes.address(2), Some(&thief)).await {
        // It may be closed before all is said.
        drop(raw::try_send(&mut stream, &greeting).await);
        assert!(raw::receive(&mut stream).await.is_err(), "the thief was answered");
    }
    noted(nodes.at(2), |reason| matches!(reason, RefusalReason::Tls(_))).await;
    let mut owner = raw::connect(nodes.address(2), Some(&papers)).await.unwrap();
    raw::send(&mut owner, &greeting).await;
    raw::receive(&mut owner).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_members_holds_at_once() {
    let nodes = Nodes::start(2);
    assert!(nodes.says(1, 2, "member").await.is_some());
    assert!(nodes.says(2, 1, "member").await.is_some());
    let second = nodes.members.get(NodeId(2)).unwrap();
    nodes.members.remove(NodeId(2));
    wait("the connections to end", || async {
        (nodes.says(1, 2, "gone").await.is_none() && nodes.says(2, 1, "gone").await.is_none())
            .then_some(())
    })
    .await;
    nodes.members.insert(NodeId(2), second);
    wait("both to speak again", || async {
        let there = nodes.says(1, 2, "back").await?;
        nodes.says(2, 1, "back").await.map(|_| there)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_silence_and_crowds_keep_no_member_out() {
    let nodes = Nodes::start(2);
    let address = nodes.address(1);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], &[0x16, 3, 1, 0xff, 0xff, 1]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may be closed while we write.
        drop(stream.write_all(garbage).await);
        drop(stream.shutdown().await);
    }
    noted(nodes.at(1), |reason| matches!(reason, RefusalReason::Tls(_))).await;
    // No key at all: TLS itself ends it, at the latest with the first answer.
    let mut keyless = raw::connect(address, None).await.unwrap();
    raw::closed(&mut keyless).await;

    let mut crowd = Vec::new();
    for _ in 0..400 {
        crowd.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(nodes.says(2, 1, "through the crowd").await.is_some());
    noted(nodes.at(1), |reason| matches!(reason, RefusalReason::TooSlow)).await;
    drop(crowd);
}

/// What a member's own connection may not do either: it is closed, and nothing else is.
#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_too_long_or_unreadable_end_their_connection_only() {
    let nodes = Nodes::start(2);
    let papers = Papers::dated(2000, 2100);
    let key = papers.identity().key();
    nodes.members.insert(NodeId(9), Member { addresses: Vec::new(), key });
    let greeting = raw::hello((1, 1), CLUSTER, NodeId(9), &[0, 0]);
    let bodies: [&[u8]; 5] = [
        &u32::MAX.to_be_bytes(),
        // Another version of the frame; no frame; a request cut short; an answer to no question.
        &[0, 0, 0, 2, 9, 2],
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 1, 0, 200],
        &[0, 0, 0, 4, 1, 1, 5, 0],
    ];
    for body in bodies {
        let mut stream = raw::connect(nodes.address(1), Some(&papers)).await.unwrap();
        raw::send(&mut stream, &greeting).await;
        raw::receive(&mut stream).await.unwrap();
        stream.write_all(body).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::timeout(PATIENCE, raw::closed(&mut stream)).await.expect("still open");
        assert!(nodes.says(2, 1, "unimpressed").await.is_some());
    }
    // A hello that is too long, or none.
    for bytes in [vec![b'x'; 2000], b"hello".to_vec()] {
        let mut stream = raw::connect(nodes.address(1), Some(&papers)).await.unwrap();
        raw::send(&mut stream, &bytes).await;
        tokio::time::timeout(PATIENCE, raw::closed(&mut stream)).await.expect("still open");
    }
    let node = noted(nodes.at(1), |reason| matches!(reason, RefusalReason::Garbage(_))).await;
    assert_eq!(node, Some(NodeId(9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wire_that_is_cut_without_a_word_is_noticed_and_mended() {
    let nodes = Nodes::start(3);
    let wire = Wire::to(nodes.address(2)).await;
    let second = nodes.members.get(NodeId(2)).unwrap();
    nodes.members.insert(NodeId(2), Member { addresses: vec![wire.address], ..second });
    assert!(nodes.says(1, 2, "over the wire").await.is_some());
    wire.cut(true);
    wait("the loss to be noticed", || async { nodes.at(1).connected().is_empty().then_some(()) })
        .await;
    assert!(nodes.says(1, 2, "into the void").await.is_none());
    assert!(nodes.says(1, 3, "not concerned").await.is_some());
    wire.cut(false);
    wait("the wire to be used again", || nodes.says(1, 2, "again")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_leads_nowhere_does_not_keep_the_next_from_working() {
    let nodes = Nodes::start(2);
    let dead = Wire::to(nodes.address(2)).await;
    dead.cut(true);
    let closed: SocketAddr = {
        let gone = std::net::TcpListener::bind(local()).unwrap();
        gone.local_addr().unwrap()
    };
    let second = nodes.members.get(NodeId(2)).unwrap();
    let addresses = vec![dead.address, closed, nodes.address(2)];
    nodes.members.insert(NodeId(2), Member { addresses, ..second });
    assert!(nodes.says(1, 2, "round about").await.is_some());
    assert_eq!(nodes.at(1).connected()[0].address, nodes.address(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_is_found_again() {
    let mut nodes = Nodes::start(2);
    assert!(nodes.says(1, 2, "before").await.is_some());
    let address = nodes.address(2);
    nodes.stop(NodeId(2)).await;
    wait("the loss to be noticed", || async { nodes.at(1).connected().is_empty().then_some(()) })
        .await;
    nodes.open(NodeId(2), address);
    wait("it to be found", || nodes.says(1, 2, "after")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_may_ask_to_join_once_and_nothing_else() {
    let nodes = Nodes::start(1);
    let address = nodes.address(1);
    let pinned = nodes.identities[&NodeId(1)].key();
    let stranger = outsider(&nodes, false, |options| {
        options.cluster = foreign();
        options.listen = Vec::new();
    });
    let answer = stranger.join(address, pinned, b"token", PATIENCE).await.unwrap();
    assert!(String::from_utf8(answer).unwrap().starts_with("token "));
    let wrong = stranger.join(address, identity().key(), b"token", PATIENCE).await;
    assert!(matches!(wrong, Err(JoinError::Unreachable(_))), "{wrong:?}");
    let long = stranger.join(address, pinned, &[b'x'; 20_000], PATIENCE).await;
    assert!(matches!(long, Err(JoinError::TooLong { .. })), "{long:?}");

    // The same with a client that does not keep to the rules.
    let papers = Papers::dated(2000, 2100);
    let mut stream = raw::connect(address, Some(&papers)).await.unwrap();
    raw::send(&mut stream, &raw::hello((1, 1), foreign(), NodeId(0), &[1])).await;
    raw::receive(&mut stream).await.unwrap();
    stream.write_all(&20_000u32.to_be_bytes()).await.unwrap();
    tokio::time::timeout(PATIENCE, raw::closed(&mut stream)).await.expect("still open");

    let mut busy = false;
    for _ in 0..30 {
        busy |= stranger.join(address, pinned, b"guess", PATIENCE).await.is_err();
    }
    assert!(busy, "tokens can be guessed without end");
    noted(nodes.at(1), |reason| *reason == RefusalReason::ByUs(HelloRefusal::JoinBusy)).await;

    let closing = identity();
    let closed = Peers::start(PeersOptions {
        join: None,
        ..options(2, closing.clone(), Members::new(BTreeMap::new()))
    })
    .unwrap();
    let (at, key) = (closed.listening()[0], closing.key());
    let refused = stranger.join(at, key, b"token", PATIENCE).await;
    assert!(matches!(refused, Err(JoinError::Unreachable(_))), "{refused:?}");
    noted(&closed, |reason| *reason == RefusalReason::ByUs(HelloRefusal::JoinClosed)).await;
}

#[test]
fn a_key_is_made_once_and_read_by_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let made = Identity::generate(&path).unwrap();
    assert_eq!(Identity::load(&path).unwrap().key(), made.key());
    assert_eq!(made.key().to_string().parse(), Ok(made.key()));
    assert!(matches!(Identity::generate(&path), Err(IdentityError::Exists(_))));
    let file = path.join("node.key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1, "something was left aside");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Identity::load(&path), Err(IdentityError::Exposed { mode: 0o640, .. })));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, "no key").unwrap();
    assert!(matches!(Identity::load(&path), Err(IdentityError::Unusable(_))));
    assert!(matches!(Identity::load(dir.path()), Err(IdentityError::File { .. })));
}
