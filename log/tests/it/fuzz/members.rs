//! Requests of another member: whatever it asks is answered, and the log goes on.
//!
//! The sender is a member, so its key was checked; its program may be of another release, or wrong.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::{Index, NodeId};
use stead_fuzz::{Sample, target};
use stead_log::network::inproc::Hub;
use stead_log::network::{CallError, Lane, Network};
use stead_log::{Log, Machine, NoListener, Options, RestoreError, Role, SnapshotError, Snapshots};

use crate::disk::Memory;
use crate::support::{CLUSTER, quick};
use crate::wire::{Entry, Membership, Position, Request, Snapshot, Vote, write};

/// A machine to which every change and every snapshot is good.
struct Anything;

impl Machine for Anything {
    fn apply(&mut self, _: Index, change: &[u8]) -> Vec<u8> {
        change.to_vec()
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        Ok(Vec::new())
    }

    fn restore(&mut self, _: &[u8]) -> Result<(), RestoreError> {
        Ok(())
    }
}

fn samples() -> Vec<Sample> {
    let all = || BTreeSet::from([NodeId(1), NodeId(2), NodeId(3)]);
    let membership = || Membership { voters: vec![all()], members: all() };
    let vote = |term, committed| Vote { term, candidate: NodeId(2), committed };
    let at = |term, index| Position { term, index };
    let entry = |position, change: &[u8]| {
        let change = (!change.is_empty()).then(|| change.to_vec());
        let membership = change.is_none().then(membership);
        Entry { position, change, membership }
    };
    let entries = vec![entry(at(0, 0), b""), entry(at(1, 1), b"one"), entry(at(1, 2), b"two")];
    let append =
        Request::Append { vote: vote(1, true), previous: None, entries, committed: Some(at(1, 1)) };
    let snapshot = Snapshot {
        last: Some(at(2, 9)),
        membership_at: Some(at(0, 0)),
        membership: membership(),
        state: b"1 one\n".to_vec(),
    };
    let ask = |request: &Request| {
        let bytes = write(request);
        let length = u8::try_from(bytes.len()).unwrap();
        [&[length], &bytes[..]].concat()
    };
    let append = ask(&append);
    let last = Some(at(1, 2));
    let vote_for = ask(&Request::Vote { vote: vote(2, false), last, transfer: true });
    let snapshot = ask(&Request::Snapshot { vote: vote(2, true), snapshot });
    let pre_vote = ask(&Request::PreVote { vote: vote(3, false), last, transfer: false });
    let transfer = ask(&Request::Transfer { from: vote(2, true), to: NodeId(1), last });
    let read = ask(&Request::ReadIndex { within_millis: 5 });
    vec![
        ("append-then-snapshot", [&append[..], &vote_for, &snapshot].concat()),
        ("votes", [&append[..], &pre_vote, &vote_for].concat()),
        ("transfer", [&append[..], &transfer].concat()),
        ("read", read),
    ]
}

/// The requests in an input, each behind its length.
fn requests(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (request, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        found.push(request.to_vec());
        bytes = rest;
    }
    found.truncate(4);
    found
}

/// Whether any of the requests was carried out: its answer is not that it failed.
async fn asked(requests: Vec<Vec<u8>>) -> bool {
    const FAILED: u8 = 5;
    let hub = Hub::new();
    let options = Options {
        node: NodeId(1),
        cluster: CLUSTER,
        disk: Memory::default().inline(),
        timers: quick(),
        snapshots: Snapshots::default(),
        machine: Box::new(Anything),
        listener: Arc::new(NoListener),
        network: hub.port(NodeId(1)),
    };
    let (log, _events) = Log::open(options).await.unwrap();
    let mut carried_out = false;
    for request in requests {
        let deadline = Duration::from_secs(10);
        let answer = hub.port(NodeId(2)).call(NodeId(1), Lane::Log, request, deadline).await;
        match answer {
            Ok(answer) => carried_out |= answer.get(1).is_some_and(|kind| *kind != FAILED),
            Err(CallError::Refused { .. }) => {}
            Err(error) => panic!("no answer: {error}"),
        }
    }
    let role = log.status().borrow().role;
    assert_ne!(role, Role::Stopped, "the log did not survive it");
    log.shutdown().await;
    carried_out
}

#[test]
fn any_request_of_a_member_is_answered_and_survived() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        // Virtual time: nothing waits for a timer that the test would have to wait for.
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let target = target!("rpc").samples(samples).count(1_500).longest(300);
    target.run(|bytes| runtime().block_on(asked(requests(bytes))));
}
