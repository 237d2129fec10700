//! What can go wrong, one list per operation. Each says what became of the request.

use std::time::Duration;

use stead_core::id::NodeId;
use thiserror::Error;

use crate::network::CallError;
use crate::store::StoreError;

/// The log could not be opened. Nothing was changed on disk or told to anyone, except that the
/// guard may have learnt the vote found there.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The disk.
    #[error("the log can't be opened")]
    Store(#[from] StoreError),
    /// Timers that contradict each other.
    #[error("unusable timers: {0}")]
    Timers(String),
    /// The engine refused what the disk holds.
    #[error("the log's engine can't start on what the disk holds: {0}")]
    Engine(String),
}

/// The first member could not be made.
#[derive(Debug, Error)]
pub enum InitializeError {
    /// There is a log already. Nothing was changed.
    #[error("this log is in use already: it can't be initialized again")]
    InUse,
    /// This node is not among the first members. Nothing was changed.
    #[error("the first members must include this node")]
    NotAMember,
    /// The log has stopped. The fate of the initialization is not known.
    #[error("the log has stopped")]
    Stopped,
}

/// A proposal was not committed, or is not known to be.
#[derive(Debug, Error)]
pub enum ProposeError {
    /// This node does not lead. Nothing was proposed; ask `leader`, if it is known.
    #[error("this node does not lead{}", lead(*leader))]
    NotLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// This node leads, but no majority has answered it lately. Nothing was proposed.
    #[error("no majority answers this leader")]
    NoQuorum,
    /// Not committed by the deadline. **It may still be**: now or after a change of leader.
    #[error("not committed within {} ms; it may still be", waited.as_millis())]
    Deadline {
        /// How long it was waited for.
        waited: Duration,
    },
    /// Another leader came in between. **It may be committed or not.**
    #[error("leadership changed before the change was known to be committed{}", lead(*leader))]
    Superseded {
        /// Who leads now, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// Longer than [`crate::CHANGE_BYTES`]. Nothing was proposed.
    #[error("a change of {bytes} bytes is too long, at most {most} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most there may be.
        most: usize,
    },
    /// The log has stopped. If it stopped in the meantime the change's fate is not known.
    #[error("the log has stopped")]
    Stopped,
}

fn lead(leader: Option<NodeId>) -> String {
    leader.map(|node| format!(", node {node} does")).unwrap_or_default()
}

/// No read index; nothing was changed anywhere.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Nobody is known to lead, or the one who was asked does not.
    #[error("no leader is known{}", lead(*leader))]
    NoLeader {
        /// Whom the node that was asked takes for the leader.
        leader: Option<NodeId>,
    },
    /// The leader did not hear from a majority by the deadline.
    #[error("no majority answers the leader")]
    NoQuorum,
    /// The leader could not be asked.
    #[error("the leader can't be asked")]
    Call(#[from] CallError),
    /// The leader's answer can't be read: another release, or a broken node.
    #[error("the leader's answer can't be read: {0}")]
    Answer(String),
    /// The log, here or at the leader, has stopped.
    #[error("the log has stopped")]
    Stopped,
}

/// The membership was not changed, or is not known to be.
#[derive(Debug, Error)]
pub enum MembershipError {
    /// This node does not lead. Nothing was changed.
    #[error("this node does not lead{}", lead(*leader))]
    NotLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// Another change of the membership is under way. Nothing was changed.
    #[error("another change of the membership is under way")]
    InProgress,
    /// A majority of the present voters does not answer (rule G10). Nothing was changed.
    #[error("no majority of the present voters answers")]
    NoQuorum,
    /// The node is the last voter. Nothing was changed.
    #[error("node {0} is the last voter")]
    LastVoter(NodeId),
    /// The node did not catch up by the deadline. It stays a learner; ask again, or remove it.
    #[error("node {node} has not caught up within {} ms; it is a learner now", waited.as_millis())]
    NotCaughtUp {
        /// The node.
        node: NodeId,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Not committed by the deadline. **It may still be**; `status` will tell.
    #[error("not committed within {} ms; it may still be", waited.as_millis())]
    Deadline {
        /// How long it was waited for.
        waited: Duration,
    },
    /// Another leader came in between. **It may be committed or not**; `status` will tell.
    #[error("leadership changed before the change was known to be committed{}", lead(*leader))]
    Superseded {
        /// Who leads now, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// The engine refused. Nothing was changed.
    #[error("refused: {0}")]
    Refused(String),
    /// The log has stopped. If it stopped in the meantime the change's fate is not known.
    #[error("the log has stopped")]
    Stopped,
}

/// The election was not called here. Other nodes may have called it all the same.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CampaignError {
    /// The term changed meanwhile: somebody else is at it, or was.
    #[error("the term changed while the election was called")]
    TermChanged,
    /// What this node has of the log is not on its disk yet.
    #[error("this node's log is not on its disk yet")]
    NotFlushed,
    /// The log has stopped.
    #[error("the log has stopped")]
    Stopped,
}
