//! Power cuts at every single step of a disk, the step itself torn in several places.
//!
//! One voter's disk is watched through a life in which everything happens that is ever written:
//! votes, entries, a conflicting tail that goes, a snapshot from the leader, a purged log. For each
//! step of it the disk is put together as a power cut there may leave it, and opened again with the
//! real openraft. What the node had said to others by then must all be there.

use stead_core::id::NodeId;
use stead_log::Snapshots;

use super::drive::{Drive, contents};
use super::world::{World, run_for, virtually};
use crate::disk::{Step, perform};
use crate::wire::Position;

/// What others know of the node at some step of its disk.
#[derive(Clone, Copy, Debug)]
struct Said {
    step: usize,
    term: u64,
    /// The last entry that is known to be committed, and that the node has.
    committed: u64,
}

const WATCHED: NodeId = NodeId(3);

/// A life of the watched node; returns all steps of its disk, and what it said when.
async fn life(world: &mut World) -> (Vec<Step>, Vec<Said>) {
    let drive = Drive::new(9, WATCHED.0);
    drive.keep_steps();
    for node in (1..=3).map(NodeId) {
        world.add(node);
        if node == WATCHED {
            world.nodes.get_mut(&node).unwrap().drive = drive.clone();
        }
        world.start(node).await.unwrap();
    }
    world.log(1).initialize((1..=3).map(NodeId)).await.unwrap();
    let mut said = Vec::new();
    for round in 0..3 {
        world.campaign(NodeId(1));
        work(world, &drive, 4, &mut said).await;
        // It leads, is cut off with a tail of its own, and loses that to the next leader.
        while !crate::promises::leads(world, WATCHED) {
            world.campaign(WATCHED);
            run_for(100).await;
        }
        work(world, &drive, 2, &mut said).await;
        world.fabric.split(&[WATCHED], &[NodeId(1), NodeId(2)]);
        drop(world.propose(WATCHED, std::time::Duration::from_secs(1)));
        run_for(50).await;
        world.campaign(NodeId(round % 2 + 1));
        // In the second round it is away for long enough to be sent a snapshot.
        for _ in 0..if round == 1 { 16 } else { 1 } {
            world.put().await;
        }
        let tail = drive.contents().last().unwrap();
        world.fabric.heal();
        work(world, &drive, 3, &mut said).await;
        let there = drive.contents().log.get(&tail.index).map(|entry| entry.position);
        assert_ne!(there, Some(tail), "the tail was not in conflict");
    }
    (drive.steps(), said)
}

async fn work(world: &mut World, drive: &Drive, many: u64, said: &mut Vec<Said>) {
    for _ in 0..many {
        let committed = world.put().await;
        // Only what it has applied itself counts as had: a majority may be without it.
        world.wait("the watched node", |world| world.is_level(committed)).await;
        let term = world.history().promised(WATCHED);
        said.push(Said { step: drive.steps().len(), term, committed });
    }
}

/// The images a power cut in step `cut` may leave: all that is synced, and of the rest what the
/// `way` of tearing leaves.
fn torn(synced: &[u8], open: &[Step], way: usize) -> Vec<u8> {
    let mut image = synced.to_vec();
    let last = open.len().saturating_sub(1);
    for (at, step) in open.iter().enumerate() {
        let length = if let Step::Write(_, data) = step { data.len() } else { 0 };
        let part = match way {
            0 => length,
            1 if at == last => length / 2,
            2 if at == last => 1,
            3 if at == last => length / 1024 * 512,
            4 if at != last => 0,
            5 if at % 2 == 0 => 0,
            1..=5 => length,
            _ => 0,
        };
        perform(&mut image, step, part);
    }
    image
}

#[test]
fn a_power_cut_in_any_step_leaves_all_that_was_said() {
    virtually(9, async {
        let mut world = World::new(9);
        world.snapshots = Snapshots { every: 8, keep: 2 };
        let (steps, said) = life(&mut world).await;
        assert!(world.history().counted("snapshots sent") > 0, "no snapshot was sent");
        let mut synced = Vec::new();
        let mut open: Vec<Step> = Vec::new();
        let (mut tried, mut opened) = (0, 0);
        for (at, step) in steps.iter().enumerate() {
            let due = said.iter().rev().find(|said| said.step <= at);
            for way in 0..7 {
                let image = torn(&synced, &open, way);
                tried += 1;
                // The layout is read directly for each, and by openraft for some.
                look(image.clone(), due, at, way);
                // A file that was torn while it was made holds nothing yet, and may be refused.
                if way == at % 7 && due.is_some() {
                    reopen(&mut world, image, due, at).await;
                    opened += 1;
                }
            }
            if let Step::Sync = step {
                for step in std::mem::take(&mut open) {
                    perform(&mut synced, &step, usize::MAX);
                }
            } else {
                open.push(step.clone());
            }
        }
        println!("{} steps, {tried} images looked at, {opened} opened again", steps.len());
        assert!(opened > 100 && said.len() > 20, "{opened} opened, {} said", said.len());
    });
}

/// Vote, and every committed entry, in the log or in the snapshot.
fn look(image: Vec<u8>, due: Option<&Said>, at: usize, way: usize) {
    let Some(due) = due else { return };
    let found = contents(image);
    let term = found.vote.map_or(0, |vote| vote.term);
    assert!(term >= due.term, "step {at}, way {way}: term {term}, {due:?}");
    let from = found.snapshot.as_ref().and_then(|it| it.last).map_or(0, |last| last.index + 1);
    let whole = (from..=due.committed).all(|index| found.log.contains_key(&index));
    assert!(whole, "step {at}, way {way}: {due:?} is not all there: {:?}", found.last());
}

/// The real openraft on it, alone: it must open, and show what it should.
async fn reopen(world: &mut World, image: Vec<u8>, due: Option<&Said>, at: usize) {
    let before = contents(image.clone()).last();
    world.power_cut(WATCHED);
    world.fabric.split(&[WATCHED], &[NodeId(1), NodeId(2)]);
    world.forget_lives(WATCHED);
    let node = world.nodes.get_mut(&WATCHED).unwrap();
    node.drive = Drive::with_image(image, at as u64);
    world.start(WATCHED).await.unwrap_or_else(|error| panic!("step {at}: {error:?}"));
    run_for(1).await;
    let status = world.status(WATCHED.0);
    let last = status.last_log.map(|(term, index)| Position { term: term.0, index: index.0 });
    assert!(last >= before, "step {at}: {last:?}, on disk {before:?}");
    if let Some(due) = due {
        assert!(status.term.0 >= due.term, "step {at}: {status:?}, {due:?}");
        assert!(last.is_some_and(|last| last.index >= due.committed), "step {at}: {status:?}");
    }
    world.check();
}
