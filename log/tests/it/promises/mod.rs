//! What the rest of stead, and its simulator's model of the log, may rely on: one test per promise.
//!
//! The numbers are those of `docs/reference/log-promises.md`; each test begins with its own. All of
//! them run the real openraft on the world of [`crate::seeded`], where every message, disk and
//! answer is judged besides (one leader per term, one vote per term, one content per place, nothing
//! refused is committed), so a test mostly has to bring about the moment that its promise is for.
//!
//! **Deliberately absent**: chance. What comes at any moment is what the seeds are for.

mod entries;
mod members;
mod terms;

use std::time::Duration;

use stead_core::id::NodeId;

use crate::seeded::world::{World, run_for};
use crate::wire::{Position, Request, Vote, write};

/// For a proposal that is not expected to come through.
pub const SHORT: Duration = Duration::from_millis(300);

/// All voters but these.
pub fn others(world: &World, not: &[NodeId]) -> Vec<NodeId> {
    world.running().into_iter().filter(|node| !not.contains(node)).collect()
}

/// Cuts `node` off, and makes the one of the others lead that has most of the log.
pub async fn depose(world: &World, node: NodeId) -> NodeId {
    let rest = others(world, &[node]);
    world.fabric.split(&[node], &rest);
    // What is on its way to them still comes.
    run_for(200).await;
    let most = rest.iter().copied().max_by_key(|node| (world.disk(node.0).last(), *node));
    let next = most.expect("someone is left");
    let term = world.status(node.0).term;
    for _ in 0..100 {
        if leads(world, next) && world.status(next.0).term > term {
            return next;
        }
        world.campaign(next);
        run_for(100).await;
        world.check();
    }
    panic!("node {next} does not lead");
}

pub fn leads(world: &World, node: NodeId) -> bool {
    world.claims_to_lead() == Some(node)
}

/// A request for the vote of whomever it is delivered to.
pub fn vote_request(term: u64, candidate: NodeId, last: Option<Position>, over: bool) -> Vec<u8> {
    let vote = Vote { term, candidate, committed: false };
    write(&Request::Vote { vote, last, transfer: over })
}
