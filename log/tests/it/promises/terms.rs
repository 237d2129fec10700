//! Terms, votes, elections.

use stead_core::id::NodeId;
use stead_log::Role;

use super::{depose, leads, others, vote_request};
use crate::seeded::drive::SLOW;
use crate::seeded::world::{World, run_for, virtually};
use crate::wire::Answer;

#[test]
fn p01_a_term_has_at_most_one_leader() {
    virtually(1, async {
        let mut world = World::of(1, 5).await;
        for round in 0..20 {
            // Two are called at once, and each half is told another name.
            world.campaign(NodeId(round % 5 + 1));
            world.campaign(NodeId((round + 2) % 5 + 1));
            run_for(30).await;
            let leader = world.leader().await;
            world.commit(leader).await;
        }
        world.check();
        assert!(world.history().counted("terms with a leader") > 10);
    });
}

#[test]
fn p02_the_term_is_on_disk_and_with_the_guard_before_a_vote_or_an_acceptance_leaves() {
    virtually(2, async {
        let mut world = World::new(2);
        world.history().audit = true;
        world.found(3).await;
        for node in world.running() {
            world.nodes[&node].drive.pace(SLOW);
        }
        for round in 0..6 {
            world.campaign(NodeId(round % 3 + 1));
            let leader = world.leader().await;
            world.commit(leader).await;
        }
        let given = world.history().counted("votes given");
        assert!(given >= 3, "{given} votes were looked at");

        // Without its guard a node gives no vote, however long it is asked.
        let leader = world.leader().await;
        let [one, other] = others(&world, &[leader])[..] else { panic!("three nodes") };
        world.fabric.split(&[leader], &[one, other]);
        world.silence_guard(one.0, true);
        world.campaign(other);
        run_for(3_000).await;
        world.check();
        assert!(!leads(&world, other));
        let term = world.status(other.0).term.0;
        assert_eq!(world.history().vote_of(one, term), None);
        world.silence_guard(one.0, false);
        world.campaign(other);
        world
            .wait("a leader when the guard is back", |world| {
                leads(world, one) || leads(world, other)
            })
            .await;
    });
}

#[test]
fn p13_a_campaign_makes_the_named_one_stand_at_once_over_all_leases() {
    virtually(13, async {
        let world = World::of(13, 5).await;
        run_for(1_000).await;
        for _ in 0..5 {
            let old = world.leader().await;
            let term = world.status(old.0).term.0;
            let next = others(&world, &[old])[0];
            // All of them hear the leader, which is alive.
            world.campaign(next);
            // Far less than any timer: the shortest lease is 600 ms.
            run_for(50).await;
            assert!(leads(&world, next), "the named node leads");
            assert_eq!(world.status(next.0).term.0, term + 1, "in the next term");
            for node in world.running() {
                let voted = world.history().vote_of(node, term + 1);
                assert!(voted.is_none_or(|candidate| candidate == next), "{node}: {voted:?}");
            }
            run_for(1_000).await;
        }
        // Named by the others only, it does not hear of it, and nobody else stands.
        let leader = world.leader().await;
        let term = world.status(leader.0).term;
        let named = others(&world, &[leader])[0];
        for node in others(&world, &[leader, named]) {
            world.log(node.0).campaign(named).await.unwrap();
        }
        run_for(1_000).await;
        assert_eq!(world.status(leader.0).term, term);
        assert!(leads(&world, leader));
    });
}

#[test]
fn p14_a_voter_that_hears_a_leader_refuses_everybody_else() {
    virtually(14, async {
        let world = World::of(14, 3).await;
        run_for(1_000).await;
        let leader = world.leader().await;
        let [voter, candidate] = others(&world, &[leader])[..] else { panic!("three nodes") };
        let before = world.status(voter.0);
        let last = world.disk(candidate.0).last();
        let term = before.term.0 + 7;
        let ask = |over| vote_request(term, candidate, last, over);
        let answer = world.fabric.deliver(candidate, voter, ask(false)).await;
        assert!(matches!(answer, Some(Answer::Vote { granted: false, .. })), "{answer:?}");
        run_for(50).await;
        assert_eq!(world.status(voter.0).term, before.term, "its term did not move");
        // Nor does the leader step down, as long as the others answer it.
        let answer = world.fabric.deliver(candidate, leader, ask(false)).await;
        assert!(matches!(answer, Some(Answer::Vote { granted: false, .. })), "{answer:?}");
        run_for(50).await;
        assert_eq!(world.status(leader.0).term, before.term, "the leader's did not move");
        // Asked in the name of a campaign, or once the leader is silent, it gives its vote.
        world.fabric.split(&[leader], &[voter, candidate]);
        let mut given = false;
        for _ in 0..100 {
            run_for(20).await;
            let answer = world.fabric.deliver(candidate, voter, ask(false)).await;
            given |= matches!(answer, Some(Answer::Vote { granted: true, .. }));
        }
        assert!(given, "the lease of a silent leader ends");
    });
}

#[test]
fn p15_a_restarted_leader_does_not_go_on_leading_its_term() {
    virtually(15, async {
        let mut world = World::of(15, 3).await;
        let leader = world.leader().await;
        let term = world.status(leader.0).term;
        world.power_cut(leader);
        world.start(leader).await.unwrap();
        for _ in 0..200 {
            let now = world.status(leader.0);
            assert!(now.role != Role::Leader || now.term > term, "{now:?}");
            run_for(5).await;
        }
        let next = world.leader().await;
        assert!(world.status(next.0).term > term);

        // Nor one that needs nobody else.
        let mut alone = World::of(15, 1).await;
        let term = alone.status(1).term;
        alone.power_cut(NodeId(1));
        alone.start(NodeId(1)).await.unwrap();
        alone.leader().await;
        assert!(alone.status(1).term > term);
    });
}

#[test]
fn p18_nothing_that_is_shown_is_ahead_of_the_disk() {
    virtually(18, async {
        let mut world = World::new(18);
        world.history().audit = true;
        world.found(3).await;
        for node in world.running() {
            world.nodes[&node].drive.pace(SLOW);
        }
        for _ in 0..4 {
            let leader = world.leader().await;
            for _ in 0..5 {
                drop(world.propose(leader, super::SHORT));
                run_for(7).await;
            }
            depose(&world, leader).await;
            world.fabric.heal();
        }
        let leader = world.leader().await;
        let last = world.commit(leader).await;
        world.wait("all in one place", |world| world.is_level(last)).await;
        let looks = world.history().counted("looks at a disk");
        assert!(looks > 50, "only {looks} looks");
    });
}
