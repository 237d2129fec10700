//! Elections, proposals, reads, membership, snapshots: on the in-process network, with real disks.

use std::time::Duration;

use stead_core::id::NodeId;
use stead_log::{InitializeError, MembershipError, ProposeError, ReadError, Role, Snapshots};

use crate::support::{ATTEMPT, Cluster, PATIENCE, Recipe, wait};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("change-{number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proposed_is_applied_everywhere_in_one_order() {
    let cluster = Cluster::of(3).await;
    let changes = names(20);
    for change in &changes {
        cluster.put(change).await;
    }
    cluster.all_hold(&changes).await;
    let status = cluster.member(1).log.status().borrow().clone();
    assert_eq!(status.membership.voters, [1, 2, 3].map(NodeId).into());
    assert!(status.term.0 >= 1 && status.voted_for.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_refuses_and_names_the_leader_and_reads_through_it() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let index = cluster.put("written").await;
    let follower = cluster.members.iter().find(|(node, _)| **node != leader).unwrap().1;
    wait("the follower to know the leader", || async {
        let error = follower.log.propose(b"x".to_vec(), ATTEMPT).await.unwrap_err();
        let ProposeError::NotLeader { leader: named } = error else { panic!("{error}") };
        (named == Some(leader)).then_some(())
    })
    .await;
    assert!(follower.log.read_index(ATTEMPT).await.unwrap() >= index);
}

#[tokio::test(flavor = "multi_thread")]
async fn survivors_elect_whom_they_are_told_to_when_the_leader_is_cut_off() {
    let cluster = Cluster::of(3).await;
    cluster.put("before").await;
    let old = cluster.leader().await;
    let survivors: Vec<NodeId> =
        cluster.members.keys().copied().filter(|node| *node != old).collect();
    for survivor in &survivors {
        wait("the change at the survivor", || async {
            cluster.members[survivor].book.contains(b"before").then_some(())
        })
        .await;
    }
    cluster.hub.isolate(old, cluster.members.keys().copied());
    for survivor in &survivors {
        cluster.members[survivor].log.campaign(survivors[0]).await.unwrap();
    }
    let new = &cluster.members[&survivors[0]];
    wait("the designated survivor to lead", || async {
        (new.role() == Role::Leader).then_some(())
    })
    .await;
    new.log.propose(b"after".to_vec(), PATIENCE).await.unwrap();

    let alone = &cluster.members[&old];
    let error = alone.log.propose(b"lost".to_vec(), Duration::from_millis(300)).await.unwrap_err();
    assert!(
        matches!(error, ProposeError::Deadline { .. } | ProposeError::NoQuorum),
        "a proposal without a majority must end by its deadline: {error}"
    );
    assert!(matches!(
        alone.log.read_index(Duration::from_millis(300)).await,
        Err(ReadError::NoQuorum)
    ));
    cluster.hub.heal();
    cluster.all_hold(&["before".into(), "after".into()]).await;
    assert_eq!(alone.role(), Role::Follower);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_gone_is_replaced_without_being_told() {
    let mut cluster = Cluster::of(3).await;
    cluster.put("one").await;
    let old = cluster.leader().await;
    drop(cluster.members.remove(&old));
    cluster.put("two").await;
    cluster.start(old).await;
    cluster.put("three").await;
    cluster.all_hold(&["one".into(), "two".into(), "three".into()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_every_acknowledged_change() {
    let mut cluster = Cluster::of(3).await;
    let changes = names(30);
    for change in &changes {
        cluster.put(change).await;
    }
    for node in [1, 2, 3].map(NodeId) {
        cluster.stop(node).await;
    }
    for node in [1, 2, 3].map(NodeId) {
        cluster.start(node).await;
    }
    cluster.leader().await;
    cluster.all_hold(&changes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lags_behind_the_log_is_sent_a_snapshot() {
    let snapshots = Snapshots { every: 10, keep: 5 };
    let mut cluster = Cluster::empty();
    for node in [1, 2, 3].map(NodeId) {
        let recipe = Recipe { snapshots, ..Recipe::new(cluster.path(node)) };
        cluster.start_with(node, recipe).await;
    }
    cluster.member(1).log.initialize([1, 2, 3].map(NodeId)).await.unwrap();
    let leader = cluster.leader().await;
    let away = cluster.members.keys().copied().find(|node| *node != leader).unwrap();
    cluster.stop(away).await;
    let changes = names(60);
    for change in &changes {
        cluster.put(change).await;
    }
    wait("the log to be purged", || async {
        let purged = cluster.members[&leader].log.status().borrow().purged;
        purged.filter(|index| index.0 > 20)
    })
    .await;
    let recipe = Recipe { snapshots, ..Recipe::new(cluster.path(away)) };
    cluster.start_with(away, recipe).await;
    cluster.all_hold(&changes).await;
    let told = cluster.members[&away].told.lock().unwrap().clone();
    assert!(told.iter().any(|event| matches!(event, stead_log::Event::Restored { .. })));

    // The same from its own disk.
    cluster.stop(away).await;
    let recipe = Recipe { snapshots, ..Recipe::new(cluster.path(away)) };
    cluster.start_with(away, recipe).await;
    cluster.all_hold(&changes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn voters_come_and_go_one_at_a_time() {
    let mut cluster = Cluster::of(1).await;
    cluster.put("alone").await;
    for node in [2, 3].map(NodeId) {
        cluster.start(node).await;
        cluster.member(1).log.add_voter(node, None, PATIENCE).await.unwrap();
    }
    cluster.put("together").await;
    cluster.all_hold(&["alone".into(), "together".into()]).await;
    let leader = cluster.leader().await;
    let other = cluster.members.keys().copied().find(|node| *node != leader).unwrap();
    let leading = &cluster.members[&leader].log;
    let refused = cluster.members[&other].log.remove_voter(leader, false, None, ATTEMPT).await;
    assert!(matches!(refused, Err(MembershipError::NotLeader { .. })), "{refused:?}");
    leading.remove_voter(other, false, None, PATIENCE).await.unwrap();
    let voters = leading.status().borrow().membership.voters.clone();
    assert_eq!(voters.len(), 2);
    assert!(!voters.contains(&other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_leader_of_two_can_not_remove_the_other() {
    let cluster = Cluster::of(2).await;
    let leader = cluster.leader().await;
    let other = cluster.members.keys().copied().find(|node| *node != leader).unwrap();
    cluster.hub.isolate(leader, [other]);
    let removed =
        cluster.members[&leader].log.remove_voter(other, false, None, Duration::from_secs(1)).await;
    assert!(matches!(removed, Err(MembershipError::NoQuorum)), "{removed:?}");
    assert_eq!(cluster.members[&leader].log.status().borrow().membership.voters.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_that_never_answers_does_not_become_a_voter() {
    let cluster = Cluster::of(1).await;
    let added = cluster.member(1).log.add_voter(NodeId(9), None, Duration::from_millis(500)).await;
    assert!(matches!(added, Err(MembershipError::NotCaughtUp { .. })), "{added:?}");
    cluster.put("still working").await;
    cluster.member(1).log.remove_voter(NodeId(9), false, None, PATIENCE).await.unwrap();
    let membership = cluster.member(1).log.status().borrow().membership.clone();
    assert_eq!((membership.voters.len(), membership.learners.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_leader_does_not_resume_its_term() {
    let mut cluster = Cluster::of(1).await;
    let before = cluster.member(1).log.status().borrow().term;
    cluster.stop(NodeId(1)).await;
    cluster.start(NodeId(1)).await;
    cluster.leader().await;
    assert!(cluster.member(1).log.status().borrow().term > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_is_refused_before_anything_happens() {
    let cluster = Cluster::of(1).await;
    let log = &cluster.member(1).log;
    let long = log.propose(vec![0; stead_log::CHANGE_BYTES + 1], ATTEMPT).await;
    assert!(matches!(long, Err(ProposeError::TooLong { .. })), "{long:?}");
    let again = log.initialize([NodeId(1)]).await;
    assert!(matches!(again, Err(InitializeError::InUse)), "{again:?}");
    let last = log.remove_voter(NodeId(1), false, None, ATTEMPT).await;
    assert!(matches!(last, Err(MembershipError::LastVoter(NodeId(1)))), "{last:?}");
    log.add_voter(NodeId(1), None, ATTEMPT).await.unwrap();
    log.remove_voter(NodeId(42), false, None, ATTEMPT).await.unwrap();
    log.propose(b"as long as the clock goes".to_vec(), Duration::MAX).await.unwrap();

    let mut fresh = Cluster::empty();
    fresh.start(NodeId(1)).await;
    let other = fresh.member(1).log.initialize([NodeId(2)]).await;
    assert!(matches!(other, Err(InitializeError::NotAMember)), "{other:?}");
    let nobody = fresh.member(1).log.read_index(Duration::from_millis(50)).await;
    assert!(matches!(nobody, Err(ReadError::NoLeader { leader: None })), "{nobody:?}");
    let nobody = fresh.member(1).log.propose(b"x".to_vec(), ATTEMPT).await;
    assert!(matches!(nobody, Err(ProposeError::NotLeader { leader: None })), "{nobody:?}");
}
