//! Members that come and go, fail, and hear everything twice.

use std::collections::BTreeSet;
use std::time::Duration;

use stead_core::id::NodeId;
use stead_log::{MembershipError, OpenError, ProposeError, ReadError, StoreError};

use super::{SHORT, leads, others, vote_request};
use crate::seeded::history::Fate;
use crate::seeded::rng::Rng;
use crate::seeded::world::{World, run_for, virtually};
use crate::wire::{Answer, Request, read};

#[test]
fn p12_one_voter_at_a_time_and_learners_do_not_count() {
    virtually(12, async {
        let mut world = World::of(12, 3).await;
        let leader = world.leader().await;
        // Node 4 is not there: it becomes a learner, and no voter.
        let log = world.log(leader.0).clone();
        let added = log.add_voter(NodeId(4), None, SHORT).await;
        assert!(matches!(added, Err(MembershipError::NotCaughtUp { .. })), "{added:?}");
        world.add(NodeId(4));
        world.start(NodeId(4)).await.unwrap();
        let last = world.commit(leader).await;
        world.wait("the learner to follow", |world| world.is_level(last)).await;
        let now = world.status(leader.0).membership;
        assert_eq!((now.voters.len(), now.learners), (3, BTreeSet::from([NodeId(4)])));

        // Leader and learner are two of four, and one of three.
        let away = others(&world, &[leader, NodeId(4)]);
        world.fabric.split(&away, &[leader, NodeId(4)]);
        let (fate, _) = world.propose(leader, SHORT).await.unwrap();
        assert_eq!(fate, Fate::Unknown);
        let read = log.read_index(SHORT).await;
        assert!(matches!(read, Err(ReadError::NoQuorum)), "{read:?}");
        world.fabric.heal();

        // Two changes at once are one after the other; each moves one voter.
        let leader = world.leader().await;
        let log = world.log(leader.0).clone();
        let patience = Duration::from_secs(10);
        let voter = others(&world, &[leader, NodeId(4)])[0];
        let (added, removed) = tokio::join!(
            log.add_voter(NodeId(4), None, patience),
            log.remove_voter(voter, false, None, patience)
        );
        added.unwrap();
        assert!(matches!(removed, Err(MembershipError::InProgress)), "{removed:?}");
        log.remove_voter(voter, false, None, patience).await.unwrap();
        steps_by_one(&world, leader);
        for term in 0..world.status(leader.0).term.0 {
            assert_eq!(world.history().vote_of(NodeId(4), term), None, "the learner voted");
        }
    });
}

/// Every membership in the log of `node` differs from the one before by one voter at most.
#[test]
fn p12_a_voter_that_stays_goes_on_to_be_sent_the_log() {
    virtually(122, async {
        let mut world = World::of(122, 3).await;
        let leader = world.leader().await;
        let satellite = others(&world, &[leader])[0];
        let log = world.log(leader.0).clone();
        let patience = Duration::from_secs(5);
        log.remove_voter(satellite, true, None, patience).await.unwrap();
        // Once more is no other change.
        log.remove_voter(satellite, true, None, patience).await.unwrap();
        let last = world.commit(leader).await;
        world.wait("the learner to follow", |world| world.is_level(last)).await;
        let now = world.status(leader.0).membership;
        assert_eq!((now.voters.len(), now.learners), (2, BTreeSet::from([satellite])));
        // Two of two are needed, and the learner is none of them.
        let other = others(&world, &[leader, satellite])[0];
        world.fabric.split(&[other], &[leader, satellite]);
        let (fate, _) = world.propose(leader, SHORT).await.unwrap();
        assert_eq!(fate, Fate::Unknown);
        world.fabric.heal();
        let leader = world.leader().await;
        let log = world.log(leader.0).clone();
        log.add_voter(satellite, None, patience).await.unwrap();
        log.remove_voter(satellite, true, None, patience).await.unwrap();
        log.remove_voter(satellite, false, None, patience).await.unwrap();
        let now = world.status(leader.0).membership;
        assert!(now.voters.len() == 2 && now.learners.is_empty(), "{now:?}");
        steps_by_one(&world, leader);
    });
}

#[test]
fn p21_a_leader_hands_over_to_the_named_voter() {
    virtually(21, async {
        let mut world = World::of(21, 3).await;
        run_for(1_000).await;
        for _ in 0..3 {
            let old = world.leader().await;
            let term = world.status(old.0).term.0;
            let next = others(&world, &[old])[0];
            let last = world.commit(old).await;
            // On a node that does not lead it does nothing.
            world.log(next.0).hand_over(old).await.unwrap();
            world.log(old.0).hand_over(next).await.unwrap();
            // Far less than any timer: the shortest lease is 600 ms.
            run_for(100).await;
            assert!(leads(&world, next), "the named node leads");
            assert_eq!(world.status(next.0).term.0, term + 1, "in the next term");
            world.wait("all to have the whole log", |world| world.is_level(last)).await;
            run_for(1_000).await;
        }
        // To one that is away it comes to nothing, and the leader goes on.
        let leader = world.leader().await;
        let away = others(&world, &[leader])[0];
        world.fabric.split(&[away], &others(&world, &[away]));
        world.log(leader.0).hand_over(away).await.unwrap();
        run_for(3_000).await;
        let now = world.leader().await;
        assert_ne!(now, away);
        world.commit(now).await;
    });
}

fn steps_by_one(world: &World, node: NodeId) {
    let mut before: Option<BTreeSet<NodeId>> = None;
    for entry in world.disk(node.0).log.into_values() {
        let Some(membership) = entry.membership else { continue };
        let [voters] = &membership.voters[..] else { panic!("joint: {membership:?}") };
        if let Some(before) = before.replace(voters.clone()) {
            assert!(before.symmetric_difference(voters).count() <= 1, "{before:?} to {voters:?}");
        }
    }
}

#[test]
fn p12_a_leader_that_removed_itself_changes_nothing_any_more() {
    virtually(120, async {
        let mut world = World::of(120, 3).await;
        let leader = world.leader().await;
        world.add(NodeId(4));
        world.start(NodeId(4)).await.unwrap();
        let log = world.log(leader.0).clone();
        log.remove_voter(leader, false, None, Duration::from_secs(5)).await.unwrap();
        let added = log.add_voter(NodeId(4), None, SHORT).await;
        assert!(
            matches!(added, Err(MembershipError::NotLeader { .. } | MembershipError::NoQuorum)),
            "{added:?}"
        );
        run_for(3_000).await;
        world.check();
        let next = world.leader().await;
        assert_ne!(next, leader);
        world.log(next.0).add_voter(NodeId(4), None, Duration::from_secs(5)).await.unwrap();
    });
}

#[test]
fn p16_a_node_whose_store_failed_says_so_once_and_takes_no_further_part() {
    virtually(16, async {
        let mut world = World::of(16, 3).await;
        let leader = world.leader().await;
        let broken = others(&world, &[leader])[0];
        let candidate = others(&world, &[leader, broken])[0];
        world.nodes[&broken].drive.fail_syncs();
        let disk = world.disk(broken.0).last();
        let last = world.commit(leader).await;
        world
            .wait("the log to stop", |world| {
                world.nodes[&broken].role() == stead_log::Role::Stopped
            })
            .await;
        run_for(500).await;
        let ask = vote_request(99, candidate, world.disk(candidate.0).last(), true);
        let answer = world.fabric.deliver(candidate, broken, ask).await;
        assert!(!matches!(answer, Some(Answer::Vote { granted: true, .. })), "{answer:?}");
        let stopped = world.log(broken.0).propose(b"more".to_vec(), SHORT).await;
        assert!(matches!(stopped, Err(ProposeError::Stopped)), "{stopped:?}");
        assert_eq!(world.disk(broken.0).last(), disk, "nothing was written after the failure");
        assert_eq!(world.history().counted("failures told"), 1);

        world.commit(leader).await;
        world.power_cut(broken);
        world.start(broken).await.unwrap();
        world.wait("all in one place", |world| world.is_level(last)).await;
    });
}

#[test]
fn p17_messages_that_come_again_late_and_in_another_order_change_nothing() {
    virtually(17, async {
        let mut world = World::new(17);
        world.snapshots = stead_log::Snapshots { every: 10, keep: 3 };
        world.fabric.record();
        world.found(3).await;
        for round in 0..6 {
            let leader = world.leader().await;
            for _ in 0..6 {
                world.commit(leader).await;
            }
            let away = others(&world, &[leader])[round % 2];
            if round % 2 == 0 {
                world.power_cut(away);
                for _ in 0..20 {
                    world.commit(leader).await;
                }
                world.start(away).await.unwrap();
            } else {
                world.campaign(away);
            }
            run_for(200).await;
        }
        let leader = world.leader().await;
        let last = world.commit(leader).await;
        world.wait("all in one place", |world| world.is_level(last)).await;
        let term = world.status(leader.0).term;
        let before: Vec<_> = world.running().iter().map(|node| world.disk(node.0).log).collect();

        let mut tape = world.fabric.recorded();
        assert!(tape.iter().any(|it| matches!(read(&it.2), Request::Snapshot { .. })));
        assert!(tape.len() > 200, "{} messages", tape.len());
        tape.reverse();
        let mut rng = Rng::new(17, 0);
        for count in 0..tape.len() as u64 * 2 {
            let at = if count < tape.len() as u64 { count } else { rng.below(tape.len() as u64) };
            let (from, to, request) = tape[usize::try_from(at).unwrap()].clone();
            // A read index is no part of what is agreed on, and asks others again.
            if matches!(read(&request), Request::ReadIndex { .. } | Request::Transfer { .. }) {
                continue;
            }
            world.fabric.deliver(from, to, request).await.expect("it is served");
        }
        run_for(2_000).await;
        world.check();
        assert!(leads(&world, leader));
        assert_eq!(world.status(leader.0).term, term, "no election");
        let after: Vec<_> = world.running().iter().map(|node| world.disk(node.0).log).collect();
        for (before, after) in before.iter().zip(&after) {
            let kept = after.iter().all(|(index, entry)| before.get(index) == Some(entry));
            assert!(kept && !after.is_empty(), "the log on a disk is another one");
        }
        world.commit(leader).await;
    });
}

#[test]
fn p02_a_node_whose_log_is_lost_takes_no_part() {
    virtually(200, async {
        let mut world = World::of(200, 3).await;
        let leader = world.leader().await;
        world.commit(leader).await;
        let lost = others(&world, &[leader])[0];
        world.power_cut(lost);
        world.add(lost);
        let opened = world.start(lost).await;
        assert!(matches!(opened, Err(OpenError::Store(StoreError::Lost))), "{opened:?}");
        let ask = vote_request(50, lost, None, true);
        assert!(world.fabric.deliver(leader, lost, ask).await.is_none(), "it answered");
        world.commit(leader).await;
    });
}
