//! Many clusters at once.

use std::sync::Arc;

use stead::quorum_server::wire::{Enrol, Members, Request, ToServer};
use stead_core::id::{ClusterId, Index};
use stead_core::quorum::ask::Question;
use stead_log::transport::{Identity, KeyHash};
use tokio::sync::Barrier;

use super::bed::{Stranger, server, until};
use super::numbers::METRICS;
use super::{Bed, ask};
use crate::cluster::Must;

/// Clusters that ask at once.
const MANY: u16 = 300;

/// One cluster of one node key: enrolled, trusted, and then it waits for the others and asks.
async fn one(
    identity: Identity,
    number: u16,
    secret: [u8; 16],
    key: KeyHash,
    all: Arc<Barrier>,
) -> Option<u64> {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    let cluster = ClusterId(id);
    let members = Members { at: Index(1), keys: vec![identity.key()] };
    let mut server = Stranger::connect(identity, server(), key).await;
    let name = format!("cluster {number}");
    let wish = ToServer::Enrol(Enrol { nonce: 1, secret, cluster, name, members });
    let standing = server.ask(&wish).await?.answer.must().standing;
    let challenge = standing.distrusted?;
    let trust = Question::Trust { challenge, known: standing.last };
    let request =
        |nonce, question| ToServer::Request(Request { nonce, cluster, members: None, question });
    server.ask(&request(2, trust)).await?.answer.must();
    all.wait().await;
    let answer = server.ask(&request(3, ask(0, &[1]))).await?.answer.must();
    super::granted(&answer)
}

#[test]
fn a_storm_of_grants_shares_a_few_writes_and_all_of_them_are_on_the_disk() {
    let more = ["--metrics", METRICS, "--connections-per-address", "1000"];
    let bed = Bed::start("quorum-storm", &more);
    let node = bed.node(1);
    let tokens: Vec<_> = (0..MANY).map(|_| bed.token(&["--ttl", "1h"])).collect();
    let all = Arc::new(Barrier::new(usize::from(MANY) + 1));
    let together = all.clone();
    let key = KeyHash(tokens[0].token.key);
    let identity = node.identity.clone();
    let (tell, told) = std::sync::mpsc::channel();
    node.spawn(async move {
        let mut asking = tokio::task::JoinSet::new();
        for (number, token) in (0..MANY).zip(tokens) {
            // Each is of a cluster of its own; a key is known only within one.
            let identity = identity_of(number, &identity);
            asking.spawn(one(identity, number, token.token.secret, key, together.clone()));
        }
        tell.send(asking.join_all().await).must();
    });
    let trusted = [("state", "trusted")];
    until("all are trusted", || bed.number("clusters", &trusted) >= f64::from(MANY));
    let resident = bed.number("resident_memory_bytes", &[]);
    println!("{} KiB with {MANY} connections", resident / 1_024.0);
    let (commits, changes) = (bed.number("commits_total", &[]), bed.number("changes_total", &[]));
    node.on_host(async move { all.wait().await });
    let grants = told.recv_timeout(super::bed::PATIENCE).must();
    assert_eq!(grants, vec![Some(1); usize::from(MANY)]);
    let commits = bed.number("commits_total", &[]) - commits;
    let changes = bed.number("changes_total", &[]) - changes;
    println!("{changes} grants in {commits} writes");
    assert!((changes - f64::from(MANY)).abs() < 0.5, "each is a change: {changes}");
    assert!(commits < f64::from(MANY) / 3.0, "writes are shared: {commits}");
    bed.kill();
    bed.run();
    let list = bed.json(&["list"]);
    let clusters = list["clusters"].as_array().expect("a list");
    assert_eq!(clusters.iter().filter(|it| it["last"] == 1).count(), usize::from(MANY));
}

/// A key for each: at most four connections hold the same.
fn identity_of(number: u16, first: &Identity) -> Identity {
    if number == 0 {
        return first.clone();
    }
    let folder = tempfile::tempdir().must();
    Identity::generate(folder.path()).must()
}
