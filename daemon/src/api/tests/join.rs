//! Letting new members in, over the real transport.

use std::net::SocketAddr;

use stead_log::Boxed;
use stead_log::network::Service;
use stead_log::transport::{
    Identity as Key, Join, KeyHash, Members, PROTOCOL, Peers, PeersOptions,
};

use super::super::join::{Desk, JoinAnswer, JoinFormError, JoinRequest, Welcome, decode, encode};
use super::super::token::{SECRET, Token, digest_of};
use super::*;

const HEARTBEAT: [u8; 32] = [9; 32];

fn from() -> SocketAddr {
    ([192, 0, 2, 13], 40_000).into()
}

async fn ask(desk: &Desk, key: [u8; 32], secret: [u8; SECRET]) -> JoinAnswer {
    let request = encode(&JoinRequest { secret }).unwrap();
    decode(&desk.join(from(), KeyHash(key), request).await).unwrap()
}

/// Two of three have joined, and a token for the third was made.
fn awaited() -> (Handle, Arc<Mutex<Vec<Change>>>) {
    let mut view = picture(CLUSTER, 2);
    change_state(&mut view, |state| {
        state.tokens.insert(digest_of(&[5; SECRET]), "node3".to_owned());
    });
    driver(view)
}

#[tokio::test]
async fn who_has_the_token_is_told_everything_once_more_if_asked_again() {
    let desk = Desk::new(HEARTBEAT);
    let closed = ask(&desk, key(3), [5; SECRET]).await;
    assert!(closed.is_err_and(|reason| reason.contains("still starting")));

    let (handle, submitted) = awaited();
    desk.open(handle);
    let Ok(welcome) = ask(&desk, key(3), [5; SECRET]).await else { panic!("not let in") };
    let Welcome { cluster, node, name, secret, members } = welcome.clone();
    assert_eq!((cluster, node, name.as_str()), (ClusterId([7; 16]), NodeId(3), "node3"));
    assert_eq!(secret, HEARTBEAT);
    let third = &members[2];
    assert_eq!((members.len(), third.node, third.key), (3, NodeId(3), key(3)));
    let addresses: Vec<String> = third.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["198.51.100.13:7744", "192.0.2.13:7744"]);

    // The answer was lost: the same key gets the same answer, and nothing is submitted for it.
    let again = ask(&desk, key(3), [5; SECRET]).await;
    assert!(again.is_ok_and(|again| again == welcome));
    assert_eq!(submitted.lock().unwrap().len(), 1);
    // Somebody else with the same token is not let in.
    let other = ask(&desk, key(4), [5; SECRET]).await;
    assert!(other.is_err_and(|reason| reason.contains("unknown or was used")));
}

#[tokio::test]
async fn what_is_wrong_is_said_and_changes_nothing() {
    let (handle, _) = awaited();
    let desk = Desk::new(HEARTBEAT);
    desk.open(handle.clone());
    let wrong = ask(&desk, key(3), [6; SECRET]).await;
    assert!(wrong.is_err_and(|reason| reason.contains("stead token NODE")));
    for garbage in [Vec::new(), vec![1], vec![2, 0, 0], vec![1; 16 << 10], vec![255; 300]] {
        let answer = desk.join(from(), KeyHash(key(3)), garbage).await;
        assert!(decode::<JoinAnswer>(&answer).unwrap().is_err());
    }
    assert!(matches!(decode::<JoinAnswer>(&[2, 0]), Err(JoinFormError::Version(2))));
    assert_eq!(handle.view().state.members.len(), 2);

    let lost = SubmitError::Unknown("cut".to_owned());
    let (handle, _shown) = stubborn(picture(CLUSTER, 2), lost);
    let desk = Desk::new(HEARTBEAT);
    desk.open(handle);
    let unknown = ask(&desk, key(3), [5; SECRET]).await;
    assert!(unknown.is_err_and(|reason| reason.contains("run the same command again")));
}

struct Nothing;

impl Service for Nothing {
    fn handle(&self, _from: NodeId, _request: Vec<u8>) -> Boxed<'static, Vec<u8>> {
        Box::pin(async { Vec::new() })
    }
}

fn options(key: &Key, cluster: ClusterId, listen: Vec<SocketAddr>) -> PeersOptions {
    PeersOptions {
        node: NodeId(1),
        cluster,
        identity: key.clone(),
        listen,
        members: Members::new(BTreeMap::new()),
        daemon: Arc::new(Nothing),
        join: None,
        software: "stead test".to_owned(),
        versions: PROTOCOL,
    }
}

#[tokio::test]
async fn a_stranger_joins_over_the_wire() {
    let folder = tempfile::tempdir().unwrap();
    let member = Key::generate(&folder.path().join("member")).unwrap();
    let stranger = Key::generate(&folder.path().join("stranger")).unwrap();
    let (handle, _) = awaited();
    let desk = Arc::new(Desk::new(HEARTBEAT));
    desk.open(handle.clone());
    let listen = vec![([127, 0, 0, 1], 0).into()];
    let door = PeersOptions { join: Some(desk), ..options(&member, ClusterId([7; 16]), listen) };
    let door = Peers::start(door).unwrap();
    let peers = Peers::start(options(&stranger, ClusterId::default(), Vec::new())).unwrap();
    let token = Token { key: member.key().0, secret: [5; SECRET] };
    let request = encode(&JoinRequest { secret: token.secret }).unwrap();
    let deadline = Duration::from_secs(20);
    let wrong = peers.join(door.listening()[0], KeyHash([1; 32]), &request, deadline).await;
    assert!(wrong.is_err(), "another key than the token's is not talked to");
    let answer = peers.join(door.listening()[0], KeyHash(token.key), &request, deadline).await;
    let Ok(welcome) = decode::<JoinAnswer>(&answer.unwrap()).unwrap() else { panic!("not let in") };
    assert_eq!(welcome.identity().node, NodeId(3));
    assert_eq!(handle.view().state.members[&NodeId(3)].key, stranger.key().0);
}
