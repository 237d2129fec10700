//! Entries: proposed, replicated, committed, lost, read, in snapshots.

use std::collections::BTreeMap;
use std::time::Duration;

use stead_core::id::NodeId;
use stead_log::{ProposeError, ReadError, Snapshots};

use super::{SHORT, depose, leads, others};
use crate::seeded::history::Fate;
use crate::seeded::world::{World, run_for, virtually};
use crate::wire::{Answer, Appended, Entry, Membership, Request, Snapshot, Vote, write};

type Log = BTreeMap<u64, Entry>;

fn prefix(log: &Log, upto: u64) -> Vec<&Entry> {
    log.range(..=upto).map(|(_, entry)| entry).collect()
}

/// Leaves `count` proposals with a leader that nobody hears any more; returns the next one.
async fn orphans(world: &mut World, leader: NodeId, count: usize) -> NodeId {
    world.fabric.split(&[leader], &others(world, &[leader]));
    for _ in 0..count {
        drop(world.propose(leader, Duration::from_secs(20)));
    }
    depose(world, leader).await
}

#[test]
fn p03_same_index_and_term_is_the_same_entry_behind_the_same_prefix() {
    virtually(3, async {
        let mut world = World::of(3, 3).await;
        for _ in 0..4 {
            let leader = world.leader().await;
            world.commit(leader).await;
            let next = orphans(&mut world, leader, 3).await;
            world.commit(next).await;
            let logs: Vec<Log> =
                world.running().iter().map(|node| world.disk(node.0).log).collect();
            for (one, other) in logs.iter().flat_map(|one| logs.iter().map(move |it| (one, it))) {
                for (index, entry) in one {
                    let there = other.get(index).filter(|it| it.position == entry.position);
                    if there.is_some() {
                        assert_eq!(prefix(one, *index), prefix(other, *index));
                    }
                }
            }
            assert_ne!(logs[0].len() + logs[1].len(), 2 * logs[2].len(), "no tail differs");
            world.fabric.heal();
        }
        world.check();
    });
}

#[test]
fn p04_what_is_committed_is_in_every_later_leaders_log() {
    virtually(4, async {
        let mut world = World::of(4, 5).await;
        let mut committed = Log::new();
        for round in 0..8 {
            let leader = world.leader().await;
            let last = world.commit(leader).await;
            let log = world.disk(leader.0).log;
            for (index, entry) in &committed {
                assert_eq!(log.get(index), Some(entry), "in round {round}");
            }
            committed = log.into_iter().filter(|(index, _)| *index <= last).collect();
            orphans(&mut world, leader, 2).await;
            world.fabric.heal();
        }
        assert!(committed.len() > 8);
        let leader = world.leader().await;
        let last = world.commit(leader).await;
        world.wait("all in one place", |world| world.is_level(last)).await;
        for node in world.running() {
            let log = world.disk(node.0).log;
            assert!(committed.iter().all(|(index, entry)| log.get(index) == Some(entry)));
        }
    });
}

#[test]
fn p05_a_committed_proposal_stands_where_it_was_said_to_with_the_outcome_of_there() {
    virtually(5, async {
        let mut world = World::of(5, 3).await;
        let leader = world.leader().await;
        let all: Vec<_> = (0..30).map(|_| world.propose(leader, Duration::from_secs(5))).collect();
        for proposal in all {
            // Place and outcome are compared with the machine's when the answer comes.
            assert!(matches!(proposal.await.unwrap().0, Fate::Committed(_)));
        }
        world.check();
        let last = world.history().highest();
        world.wait("all in one place", |world| world.is_level(last)).await;
        let history = world.history();
        let mut compared = 0;
        for (change, fate) in history.fates() {
            let Fate::Committed(index) = fate else { panic!("{fate:?}") };
            for drive in world.nodes.values().map(|node| &node.drive) {
                assert_eq!(drive.contents().log[&index].change.as_ref(), Some(change));
                compared += 1;
            }
        }
        assert_eq!(compared, 90);
    });
}

#[test]
fn p06_what_was_refused_is_never_committed() {
    virtually(6, async {
        let mut world = World::of(6, 3).await;
        let leader = world.leader().await;
        let follower = others(&world, &[leader])[0];
        let (fate, why) = world.propose(follower, SHORT).await.unwrap();
        assert!(matches!(why, Err(ProposeError::NotLeader { .. })), "{why:?}");
        assert_eq!(fate, Fate::Refused);
        // A leader that nobody has answered for longer than a lease.
        world.fabric.split(&[leader], &others(&world, &[leader]));
        run_for(700).await;
        let (fate, why) = world.propose(leader, SHORT).await.unwrap();
        assert!(matches!(why, Err(ProposeError::NoQuorum)), "{why:?}");
        assert_eq!(fate, Fate::Refused);
        world.fabric.heal();
        let leader = world.leader().await;
        let last = world.commit(leader).await;
        world.wait("all in one place", |world| world.is_level(last)).await;
        let history = world.history();
        for (change, _) in history.fates().filter(|(_, fate)| *fate == Fate::Refused) {
            for drive in world.nodes.values().map(|node| &node.drive) {
                let log = drive.contents().log;
                assert!(!log.values().any(|entry| entry.change.as_ref() == Some(change)));
            }
        }
    });
}

#[test]
fn p07_an_unknown_fate_is_never_or_later_and_once_for_each_time_it_was_handed_over() {
    virtually(7, async {
        let mut world = World::of(7, 3).await;
        // Never: the leader alone has it, and is deposed.
        let leader = world.leader().await;
        world.fabric.split(&[leader], &others(&world, &[leader]));
        let never = world.propose(leader, Duration::from_secs(20));
        let next = depose(&world, leader).await;
        world.commit(next).await;
        world.fabric.heal();
        let (fate, why) = never.await.unwrap();
        assert!(matches!(why, Err(ProposeError::Superseded { .. })), "{why:?}");
        assert_eq!(fate, Fate::Unknown);

        // Later: it reached the others, whose answers did not come back.
        let leader = world.leader().await;
        let before = world.history().highest();
        for other in others(&world, &[leader]) {
            world.fabric.cut(other, leader);
        }
        let later = world.propose(leader, Duration::from_millis(100)).await.unwrap();
        assert!(matches!(later.1, Err(ProposeError::Deadline { .. })), "{later:?}");
        assert_eq!(world.history().highest(), before, "not committed yet");
        let next = depose(&world, leader).await;
        world.commit(next).await;
        world.fabric.heal();
        assert_eq!(world.history().highest(), before + 3, "it, a first entry, and another");

        // Twice: the same bytes, handed over twice.
        let leader = world.leader().await;
        let log = world.log(leader.0).clone();
        let first = log.propose(b"twice".to_vec(), Duration::from_secs(5)).await.unwrap().0;
        let second = log.propose(b"twice".to_vec(), Duration::from_secs(5)).await.unwrap().0;
        assert!(first < second);
        world.wait("all in one place", |world| world.is_level(second.0)).await;
        let log = world.disk(leader.0).log;
        let many = log.values().filter(|entry| entry.change.as_deref() == Some(b"twice")).count();
        assert_eq!(many, 2);
    });
}

#[test]
fn p08_entries_are_applied_in_order_once_a_run_and_again_only_from_what_was_committed() {
    virtually(8, async {
        let mut world = World::new(8);
        world.snapshots = Snapshots { every: 10, keep: 3 };
        world.found(3).await;
        for round in 1..=6u64 {
            let leader = world.leader().await;
            for _ in 0..8 {
                world.commit(leader).await;
            }
            let node = NodeId(round % 3 + 1);
            let applied = world.status(node.0).applied;
            world.power_cut(node);
            world.start(node).await.unwrap();
            // Gaps, repetitions and a state that never was are judged as it is told of them.
            world.check();
            assert!(world.status(node.0).applied.map(|it| it.0) <= Some(world.history().highest()));
            world
                .wait("what it had applied", |world| world.status(node.0).applied >= applied)
                .await;
        }
        let leader = world.leader().await;
        let last = world.commit(leader).await;
        world.wait("all in one place", |world| world.is_level(last)).await;
        assert!(world.history().counted("snapshots restored") > 0);
    });
}

#[test]
fn p09_a_read_index_covers_all_that_was_committed_and_needs_a_majority() {
    virtually(9, async {
        let mut world = World::of(9, 3).await;
        for _ in 0..10 {
            let leader = world.leader().await;
            let last = world.commit(leader).await;
            for node in world.running() {
                let read = world.log(node.0).read_index(Duration::from_secs(2)).await.unwrap();
                assert!(read.0 >= last, "node {node} read {read}, {last} was committed");
            }
        }
        // A leader that does not know that it is deposed, within what its lease would be.
        let old = world.leader().await;
        let next = depose(&world, old).await;
        let last = world.commit(next).await;
        assert_eq!(world.nodes[&old].role(), stead_log::Role::Leader);
        let read = world.log(old.0).read_index(SHORT).await;
        assert!(matches!(read, Err(ReadError::NoQuorum)), "{read:?}");
        assert!(world.log(next.0).read_index(SHORT).await.unwrap().0 >= last);
    });
}

#[test]
fn p10_the_uncommitted_tail_of_a_deposed_leader_goes() {
    virtually(10, async {
        let mut world = World::of(10, 3).await;
        let old = world.leader().await;
        world.commit(old).await;
        let next = orphans(&mut world, old, 5).await;
        let tail = world.disk(old.0);
        let last = world.commit(next).await;
        assert!(tail.last().unwrap().index > last, "the old tail is the longer one");
        world.fabric.heal();
        world.wait("all in one place", |world| world.is_level(last)).await;
        run_for(200).await;
        let term = world.status(next.0).term.0;
        let now = world.disk(old.0);
        assert_eq!(now.last(), world.disk(next.0).last());
        assert_eq!(now.last().map(|last| last.term), Some(term));
        assert_eq!(now.log, world.disk(next.0).log);
        // The same across a restart: the tail does not come back.
        world.power_cut(old);
        world.start(old).await.unwrap();
        let last = world.commit(next).await;
        world.wait("all in one place", |world| world.is_level(last)).await;
    });
}

#[test]
fn p11_a_snapshot_is_the_state_of_its_entries_and_is_announced_as_a_replacement() {
    virtually(11, async {
        let mut world = World::new(11);
        world.snapshots = Snapshots { every: 10, keep: 2 };
        world.found(3).await;
        let leader = world.leader().await;
        let away = others(&world, &[leader])[0];
        world.power_cut(away);
        for _ in 0..60 {
            world.commit(leader).await;
        }
        let before = world.history().counted("snapshots restored");
        world.start(away).await.unwrap();
        let last = world.commit(leader).await;
        // States are compared at every snapshot and every change behind it.
        world.wait("all in one place", |world| world.is_level(last)).await;
        assert!(world.history().counted("snapshots restored") > before);
        assert!(world.history().counted("snapshots sent") > 0);
    });
}

#[test]
fn p11_a_snapshot_that_entries_have_overtaken_sets_nothing_back() {
    virtually(110, async {
        let mut world = World::of(110, 3).await;
        let leader = world.leader().await;
        let late = others(&world, &[leader])[0];
        world.fabric.split(&[late], &others(&world, &[late]));
        let mut last = 0;
        for _ in 0..10 {
            last = world.commit(leader).await;
        }
        let middle = last - 5;
        let log = world.disk(leader.0).log;
        let known = world.disk(late.0).last();
        let term = world.status(leader.0).term.0;
        let vote = Vote { term, candidate: leader, committed: true };
        let entries: Vec<Entry> = log
            .range(known.map_or(0, |known| known.index + 1)..)
            .map(|(_, entry)| entry.clone())
            .collect();
        assert!(entries.len() >= 10);
        // The entries come, and not yet that they are committed; then a snapshot of half of them.
        let append = Request::Append { vote, previous: known, entries, committed: None };
        let answer = world.fabric.deliver(leader, late, write(&append)).await;
        assert!(matches!(answer, Some(Answer::Append(Appended::All))), "{answer:?}");
        let state = world.history().state_at(middle).unwrap();
        let members = (1..=3).map(NodeId).collect();
        let snapshot = Snapshot {
            last: Some(log[&middle].position),
            membership_at: Some(log[&0].position),
            membership: Membership { voters: vec![(1..=3).map(NodeId).collect()], members },
            state: [middle.to_le_bytes(), state.to_le_bytes()].concat(),
        };
        let request = write(&Request::Snapshot { vote, snapshot });
        let answer = world.fabric.deliver(leader, late, request).await;
        assert!(matches!(answer, Some(Answer::Snapshot { vote: is }) if is == vote), "{answer:?}");
        run_for(50).await;
        world.check();
        let now = world.status(late.0);
        assert!(now.applied.is_some_and(|it| it.0 >= middle), "{now:?}");
        assert_eq!(now.last_log.map(|(_, index)| index.0), Some(last), "nothing is gone");
        world.fabric.heal();
        let leader = world.leader().await;
        let last = world.commit(leader).await;
        world.wait("all in one place", |world| world.is_level(last)).await;
        assert!(leads(&world, leader));
    });
}
