//! Half of the voters goes on by a grant: moment by moment.

use std::time::Duration;

use stead_core::id::{Grant, NodeId};
use stead_core::quorum::register::Half;
use stead_core::quorum::vote::TieVote;
use stead_log::{MembershipError, Role};

use super::history::Fate;
use super::world::{World, run_for, virtually};

const SHORT: Duration = Duration::from_millis(600);
const LONG: Duration = Duration::from_secs(10);

/// The vote of these for `absent`.
pub fn vote(grant: u64, present: &[NodeId], voters: &[NodeId], absent: NodeId) -> TieVote {
    let set = |nodes: &[NodeId]| nodes.iter().copied().collect();
    let half = Half { present: set(present), voters: set(voters) };
    TieVote { grant: Grant(grant), half, absent }
}

/// The change that uses a grant up.
pub fn used(grant: u64) -> Vec<u8> {
    format!("grant-{grant}").into_bytes()
}

/// The grant in a change.
pub fn grant_in(change: &[u8]) -> Option<Grant> {
    std::str::from_utf8(change).ok()?.strip_prefix("grant-")?.parse().ok().map(Grant)
}

fn all(count: u64) -> Vec<NodeId> {
    (1..=count).map(NodeId).collect()
}

/// A world of `count`, and who leads it.
async fn of(seed: u64, count: u64) -> (World, NodeId) {
    let world = World::of(seed, count).await;
    let leader = world.leader().await;
    (world, leader)
}

/// The others come back, are caught up, vote, and everybody is in one place.
async fn together_again(world: &mut World, back: &[NodeId]) {
    world.fabric.heal();
    for node in back {
        let mut added = Err(MembershipError::InProgress);
        for _ in 0..50 {
            let leader = world.leader().await;
            added = world.log(leader.0).add_voter(*node, None, LONG).await;
            if added.is_ok() {
                break;
            }
            run_for(50).await;
        }
        added.unwrap();
    }
    let last = world.put().await;
    world.wait("everybody in one place", |world| world.is_level(last)).await;
    world.check();
}

#[test]
fn one_of_two_that_leads_goes_on_and_commits_what_waited() {
    virtually(1, async {
        let (mut world, leader) = of(1, 2).await;
        let other = NodeId(3 - leader.0);
        world.fabric.split(&[leader], &[other]);
        let waiting = world.propose(leader, LONG);
        run_for(50).await;
        let vote = vote(1, &[leader], &all(2), other);
        let log = world.log(leader.0).clone();
        log.tie_vote(Some(vote.clone())).await.unwrap();
        let (fate, _) = waiting.await.unwrap();
        assert!(matches!(fate, Fate::Committed(_)), "{fate:?}");
        let term = world.status(leader.0).term;
        log.shrink(&vote, term, used(1), LONG).await.unwrap();
        log.tie_vote(None).await.unwrap();
        assert_eq!(world.status(leader.0).membership.voters, [leader].into());
        world.commit(leader).await;
        together_again(&mut world, &[other]).await;
    });
}

#[test]
fn one_of_two_whose_leader_is_gone_is_elected_and_the_gone_one_is_cut_back() {
    virtually(2, async {
        let (mut world, leader) = of(2, 2).await;
        let other = NodeId(3 - leader.0);
        world.fabric.split(&[leader], &[other]);
        // What only the old leader has is lost, and was never acknowledged.
        let (fate, _) = world.propose(leader, SHORT).await.unwrap();
        assert_eq!(fate, Fate::Unknown);
        let vote = vote(1, &[other], &all(2), leader);
        let log = world.log(other.0).clone();
        log.tie_vote(Some(vote.clone())).await.unwrap();
        log.campaign(other).await.unwrap();
        world.wait("the other leads", |world| world.status(other.0).role == Role::Leader).await;
        let term = world.status(other.0).term;
        log.shrink(&vote, term, used(1), LONG).await.unwrap();
        log.tie_vote(None).await.unwrap();
        world.commit(other).await;
        together_again(&mut world, &[leader]).await;
    });
}

#[test]
fn two_of_four_go_on_and_the_vote_is_what_both_really_answer() {
    virtually(3, async {
        let (mut world, leader) = of(3, 4).await;
        let rest: Vec<_> = all(4).into_iter().filter(|node| *node != leader).collect();
        let (here, away) = ([leader, rest[0]], [rest[1], rest[2]]);
        world.fabric.split(&here, &away);
        let vote = vote(1, &here, &all(4), away[0]);
        let log = world.log(leader.0).clone();
        log.tie_vote(Some(vote.clone())).await.unwrap();
        world.commit(leader).await;
        // The half is halved again: one of it and the tie vote are two of four.
        world.fabric.split(&[leader], &[rest[0]]);
        let (fate, _) = world.propose(leader, SHORT).await.unwrap();
        assert_eq!(fate, Fate::Unknown);
        let term = world.status(leader.0).term;
        let shrunk = log.shrink(&vote, term, used(1), SHORT).await;
        assert!(matches!(shrunk, Err(MembershipError::NoQuorum)), "{shrunk:?}");
        world.fabric.heal();
        world.fabric.split(&here, &away);
        log.shrink(&vote, term, used(1), LONG).await.unwrap();
        log.tie_vote(None).await.unwrap();
        assert_eq!(world.status(leader.0).membership.voters.len(), 3);
        together_again(&mut world, &[away[0]]).await;
    });
}

#[test]
fn a_vote_that_is_taken_back_without_a_shrink_harms_nobody() {
    virtually(4, async {
        for back_first in [false, true] {
            let (mut world, leader) = of(4, 2).await;
            let other = NodeId(3 - leader.0);
            world.fabric.split(&[leader], &[other]);
            let log = world.log(leader.0).clone();
            let vote = vote(1, &[leader], &all(2), other);
            log.tie_vote(Some(vote.clone())).await.unwrap();
            // Committed, as the engine sees it; the other one has nothing of it.
            world.commit(leader).await;
            if back_first {
                world.fabric.heal();
                run_for(300).await;
                log.tie_vote(None).await.unwrap();
            } else {
                log.tie_vote(None).await.unwrap();
                world.fabric.heal();
            }
            let last = world.put().await;
            world.wait("both in one place", |world| world.is_level(last)).await;
            world.check();
        }
    });
}

#[test]
fn a_vote_is_void_where_the_log_holds_a_grant_that_is_not_older() {
    virtually(5, async {
        let (mut world, leader) = of(5, 2).await;
        let other = NodeId(3 - leader.0);
        // Somebody used up 3, and this node does not know yet that it is committed.
        let log = world.log(leader.0).clone();
        log.propose(used(3), LONG).await.unwrap();
        world.fabric.split(&[leader], &[other]);
        for grant in [2, 3] {
            let vote = vote(grant, &[leader], &all(2), other);
            log.tie_vote(Some(vote.clone())).await.unwrap();
            let (fate, _) = world.propose(leader, SHORT).await.unwrap();
            assert!(!matches!(fate, Fate::Committed(_)), "{grant}: {fate:?}");
            let term = world.status(leader.0).term;
            let shrunk = log.shrink(&vote, term, used(grant), SHORT).await;
            assert!(shrunk.is_err());
        }
        let vote = vote(4, &[leader], &all(2), other);
        log.tie_vote(Some(vote)).await.unwrap();
        world.commit(leader).await;
    });
}

#[test]
fn a_vote_counts_for_its_own_half_and_voters_only() {
    virtually(6, async {
        let (mut world, leader) = of(6, 2).await;
        let other = NodeId(3 - leader.0);
        world.fabric.split(&[leader], &[other]);
        let log = world.log(leader.0).clone();
        let wrong = [
            // Another's half.
            vote(1, &[other], &all(2), leader),
            // Other voters.
            vote(1, &[leader, other], &all(4), NodeId(3)),
            // Nobody that is absent.
            vote(1, &[leader], &all(2), leader),
            // No half.
            vote(1, &all(2), &all(2), other),
        ];
        for vote in wrong {
            log.tie_vote(Some(vote)).await.unwrap();
            let (fate, _) = world.propose(leader, SHORT).await.unwrap();
            assert!(!matches!(fate, Fate::Committed(_)), "{fate:?}");
        }
        world.check();
    });
}
