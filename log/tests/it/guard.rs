//! No vote leaves a node whose guard has not learnt the term.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use stead_core::id::{NodeId, Term};
use stead_log::{Boxed, NotLearnt, Role, TermListener};

use crate::support::{Cluster, PATIENCE, Recipe, wait};

/// A guard that answers, or does not.
#[derive(Default)]
struct Guard {
    silent: AtomicBool,
    learnt: AtomicU64,
    asked: AtomicU64,
}

impl TermListener for Guard {
    fn learn(&self, term: Term) -> Boxed<'_, Result<(), NotLearnt>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.silent.load(Ordering::SeqCst) {
                return Err("no guard".into());
            }
            self.learnt.fetch_max(term.0, Ordering::SeqCst);
            Ok(())
        })
    }
}

async fn guarded(count: u64) -> (Cluster, Vec<Arc<Guard>>) {
    let mut cluster = Cluster::empty();
    let mut guards = Vec::new();
    for node in (1..=count).map(NodeId) {
        let guard = Arc::new(Guard::default());
        let recipe = Recipe { listener: guard.clone(), ..Recipe::new(cluster.path(node)) };
        cluster.start_with(node, recipe).await;
        guards.push(guard);
    }
    cluster.member(1).log.initialize((1..=count).map(NodeId)).await.unwrap();
    (cluster, guards)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_guard_learns_the_term_of_the_leader() {
    let (cluster, guards) = guarded(3).await;
    let leader = cluster.leader().await;
    let term = cluster.members[&leader].log.status().borrow().term;
    let at = |node: NodeId| &guards[usize::try_from(node.0).unwrap() - 1];
    for node in cluster.members.keys() {
        wait("every guard to learn the term", || async {
            (at(*node).learnt.load(Ordering::SeqCst) >= term.0).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_vote_leaves_while_the_guard_does_not_answer() {
    let (cluster, guards) = guarded(2).await;
    let old = cluster.leader().await;
    let other = cluster.members.keys().copied().find(|node| *node != old).unwrap();
    let guard = &guards[usize::try_from(old.0).unwrap() - 1];
    let before = cluster.members[&old].log.status().borrow().term;
    guard.silent.store(true, Ordering::SeqCst);
    let asked = guard.asked.load(Ordering::SeqCst);
    // Both let go of the leader, and the other campaigns; it needs the silent node's vote.
    wait("the other to campaign", || async {
        for member in cluster.members.values() {
            drop(member.log.campaign(other).await);
        }
        (guard.asked.load(Ordering::SeqCst) > asked + 3).then_some(())
    })
    .await;
    assert!(guard.learnt.load(Ordering::SeqCst) <= before.0 + 1);
    assert_ne!(cluster.members[&other].role(), Role::Leader);
    guard.silent.store(false, Ordering::SeqCst);
    cluster.put("after the guard came back").await;
    let now = cluster.members[&cluster.leader().await].log.status().borrow().term;
    assert!(now > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_guard_does_not_answer_does_not_open_and_can_be_shut_down() {
    let (mut cluster, guards) = guarded(1).await;
    cluster.put("kept").await;
    cluster.stop(NodeId(1)).await;
    guards[0].silent.store(true, Ordering::SeqCst);
    let asked = guards[0].asked.load(Ordering::SeqCst);
    let path = cluster.path(NodeId(1));
    let recipe = Recipe { listener: guards[0].clone(), ..Recipe::new(path.clone()) };
    let opening = cluster.start_with(NodeId(1), recipe);
    let opened = tokio::time::timeout(Duration::from_millis(500), opening).await;
    assert!(opened.is_err(), "it took part without its guard");
    assert!(guards[0].asked.load(Ordering::SeqCst) > asked);

    guards[0].silent.store(false, Ordering::SeqCst);
    wait("the file to be free again", || async {
        let free = std::fs::File::open(path.join("log.redb")).ok()?;
        free.try_lock().ok()
    })
    .await;
    let recipe = Recipe { listener: guards[0].clone(), ..Recipe::new(path) };
    cluster.start_with(NodeId(1), recipe).await;
    cluster.put("and on").await;
    cluster.all_hold(&["kept".into(), "and on".into()]).await;

    // Blocked in the middle of its own election: shutting down must not wait for the guard.
    cluster.stop(NodeId(1)).await;
    let recipe = Recipe { listener: guards[0].clone(), ..Recipe::new(cluster.path(NodeId(1))) };
    cluster.start_with(NodeId(1), recipe).await;
    let asked = guards[0].asked.load(Ordering::SeqCst);
    guards[0].silent.store(true, Ordering::SeqCst);
    wait("its election to wait for the guard", || async {
        (guards[0].asked.load(Ordering::SeqCst) > asked + 2).then_some(())
    })
    .await;
    let shut = tokio::time::timeout(PATIENCE, cluster.stop(NodeId(1))).await;
    assert!(shut.is_ok());
}
