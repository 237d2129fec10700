//! The whole of it: logs on disks, over TLS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::NodeId;
use stead_log::Role;

use crate::nodes::Nodes;
use crate::support::{Cluster, Member, Recipe, open, wait};

/// Three logs over TLS; the cluster's own hub is not used.
async fn start() -> (Nodes, Cluster) {
    let nodes = Nodes::start(3);
    let mut cluster = Cluster::empty();
    for node in [1, 2, 3].map(NodeId) {
        let recipe = Recipe::new(cluster.path(node));
        let member = open(node, nodes.peers[&node].clone(), recipe).await;
        cluster.members.insert(node, member);
    }
    cluster.member(1).log.initialize([1, 2, 3].map(NodeId)).await.unwrap();
    cluster.leader().await;
    (nodes, cluster)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_leader_is_replaced_by_the_designated_survivor_and_comes_back() {
    let (mut nodes, mut cluster) = start().await;
    let mut changes: Vec<String> = (0..10).map(|number| format!("before-{number}")).collect();
    for change in &changes {
        cluster.put(change).await;
    }
    cluster.all_hold(&changes).await;
    let dead = cluster.leader().await;
    let address = nodes.address(dead.0);
    nodes.stop(dead).await;
    drop(cluster.members.remove(&dead));
    let survivors: Vec<NodeId> = cluster.members.keys().copied().collect();
    for survivor in &survivors {
        // It may have noticed by itself already, and be in a newer term.
        drop(cluster.members[survivor].log.campaign(survivors[0]).await);
    }
    cluster.put("after").await;
    changes.push("after".into());

    nodes.open(dead, address);
    let peers = nodes.peers[&dead].clone();
    let member = wait("the file to be closed", || async {
        let path = cluster.path(dead).join("log.redb");
        std::fs::File::open(path).ok()?.try_lock().ok()
    });
    member.await;
    let recipe = Recipe::new(cluster.path(dead));
    cluster.members.insert(dead, open(dead, peers, recipe).await);
    cluster.put("together again").await;
    changes.push("together again".into());
    cluster.all_hold(&changes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_request_of_the_daemon_does_not_delay_the_log() {
    let (nodes, cluster) = start().await;
    let mut slow = Vec::new();
    for (from, peers) in &nodes.peers {
        for to in nodes.peers.keys().filter(|to| *to != from) {
            for _ in 0..40 {
                let (peers, to) = (peers.clone(), *to);
                slow.push(tokio::spawn(async move {
                    let request = b"wait 60000".to_vec();
                    peers.call(to, request, Duration::from_secs(50)).await
                }));
            }
        }
    }
    let changes: Vec<String> = (0..50).map(|number| format!("change-{number}")).collect();
    for change in &changes {
        cluster.put(change).await;
    }
    cluster.all_hold(&changes).await;
    assert!(slow.iter().all(|call| !call.is_finished()), "a slow request was not slow");
    for call in slow {
        call.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_joins_by_key_becomes_a_voter() {
    let (mut nodes, mut cluster) = start().await;
    cluster.put("before").await;
    nodes.identities.insert(NodeId(4), crate::nodes::identity());
    nodes.open(NodeId(4), crate::nodes::local());
    let peers: Arc<_> = nodes.peers[&NodeId(4)].clone();
    let recipe = Recipe::new(cluster.path(NodeId(4)));
    let member: Member = open(NodeId(4), peers, recipe).await;
    cluster.members.insert(NodeId(4), member);
    let leader = cluster.leader().await;
    let added =
        cluster.members[&leader].log.add_voter(NodeId(4), None, crate::support::PATIENCE).await;
    added.unwrap();
    cluster.all_hold(&["before".into()]).await;
    assert_eq!(cluster.member(4).role(), Role::Follower);
    let terms: BTreeMap<_, _> = cluster
        .members
        .iter()
        .map(|(node, member)| (*node, member.log.status().borrow().term))
        .collect();
    assert_eq!(terms.len(), 4);
}
