//! What a log shows of itself, live.

use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use stead_core::id::{Index, NodeId, Term};
use tokio::sync::watch;

use crate::machine::{Failure, Membership};
use crate::record::Vote;
use crate::store::Store;
use crate::types::{LogId, Raft};

/// What this node's log is at.
///
/// Nothing in here is a licence to act. `role` in particular says what this node last knew: a
/// leader that is cut off goes on calling itself one (`docs/protocol.md`, section 5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The newest term this node has voted in or accepted a leader of.
    pub term: Term,
    /// For whom: the leader or candidate of that term.
    pub voted_for: Option<NodeId>,
    /// What this node does.
    pub role: Role,
    /// Who leads, as far as this node knows.
    pub leader: Option<NodeId>,
    /// The last entry on this node's disk: the term it was proposed in, and its index. Elections
    /// compare the same, with what is on its way to the disk.
    pub last_log: Option<(Term, Index)>,
    /// Up to where the log is known here to be committed.
    pub committed: Option<Index>,
    /// Up to where the machine has got.
    pub applied: Option<Index>,
    /// Up to where the newest snapshot reaches.
    pub snapshot: Option<Index>,
    /// Up to where the log is gone from this node's disk.
    pub purged: Option<Index>,
    /// Voters and learners by the newest membership in the log, committed or not, on disk or on its
    /// way there: it counts from the moment it is in the log.
    pub membership: Membership,
}

/// What a node does in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It has no vote, and follows or waits to be told of a cluster.
    #[default]
    Learner,
    /// It has a vote and follows.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It leads, or did when it last heard from the others.
    Leader,
    /// The log has stopped.
    Stopped,
}

fn index(id: Option<LogId>) -> Option<Index> {
    id.map(|id| Index(id.index))
}

fn look(raft: &Raft, store: &Store) -> Status {
    let server = raft.server_metrics().borrow_watched().clone();
    let data = raft.data_metrics().borrow_watched().clone();
    let role = match server.state {
        ServerState::Learner => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Stopped,
    };
    let vote = Vote::from(&server.vote);
    Status {
        term: vote.as_term(),
        voted_for: (vote.term > 0).then_some(vote.candidate),
        role,
        leader: server.current_leader,
        last_log: store.durable_last().map(|id| (Term(id.leader_id.term), Index(id.index))),
        committed: index(data.local_committed),
        applied: index(data.last_applied),
        snapshot: index(data.snapshot),
        purged: index(data.purged),
        membership: server.membership_config.membership().into(),
    }
}

/// Keeps `status` at what openraft says until openraft ends; an end that nobody asked for is
/// published as a failure.
pub(crate) async fn follow(
    raft: Raft,
    store: Store,
    status: watch::Sender<Status>,
    failure: watch::Sender<Option<Failure>>,
    closing: watch::Receiver<bool>,
) {
    let mut server = raft.server_metrics();
    let mut data = raft.data_metrics();
    let mut all = raft.metrics();
    let mut durable = store.watch_durable();
    let reason = loop {
        let now = look(&raft, &store);
        status.send_if_modified(|status| {
            let modified = *status != now;
            *status = now;
            modified
        });
        if let Err(fatal) = &all.borrow_watched().running_state {
            break fatal.to_string();
        }
        let alive = tokio::select! {
            changed = server.changed() => changed.is_ok(),
            changed = data.changed() => changed.is_ok(),
            changed = all.changed() => changed.is_ok(),
            changed = durable.changed() => changed.is_ok(),
        };
        if !alive {
            break "it ended without a reason".to_string();
        }
    };
    status.send_modify(|status| {
        status.role = Role::Stopped;
        status.leader = None;
    });
    if !*closing.borrow() {
        failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert(Failure::Engine(reason));
            first
        });
    }
}
