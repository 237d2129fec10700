//! openraft, configured for us. Nothing here leaves the crate.

use std::fmt;

use openraft::entry::RaftPayload;
use openraft::type_config::alias;
use serde::{Deserialize, Serialize};
use stead_core::id::NodeId;

/// One proposed change, as the proposer encoded it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change(pub Vec<u8>);

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "change of {} bytes", self.0.len())
    }
}

/// What an entry carries: a change, a membership, both, or nothing (a new leader's first entry).
///
/// openraft's own payload holds one *or* the other; a shrink of the membership under a grant must
/// carry the grant's number in the same entry (`docs/protocol.md`, G5), so ours holds both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Payload {
    pub change: Option<Change>,
    pub membership: Option<Membership>,
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.change, &self.membership) {
            (None, None) => f.write_str("blank"),
            (Some(change), None) => change.fmt(f),
            (None, Some(membership)) => membership.fmt(f),
            (Some(change), Some(membership)) => write!(f, "{change} with {membership}"),
        }
    }
}

impl RaftPayload for Payload {
    type D = Change;
    type NodeId = NodeId;
    type Node = ();

    fn blank() -> Self {
        Self::default()
    }

    fn with_normal(mut self, data: Change) -> Self {
        self.change = Some(data);
        self
    }

    fn with_membership(mut self, membership: Membership) -> Self {
        self.membership = Some(membership);
        self
    }

    fn get_membership(&self) -> Option<Membership> {
        self.membership.clone()
    }
}

openraft::declare_raft_types!(
    /// Our choice of every type openraft leaves open. One leader per term (rule T1).
    pub(crate) Types:
        D = Change,
        R = Vec<u8>,
        NodeId = NodeId,
        Node = (),
        Term = u64,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, NodeId>,
        Payload = Payload,
        AsyncRuntime = crate::runtime::Runtime,
);

pub(crate) type Raft = openraft::Raft<Types, crate::applier::Applier>;
pub(crate) type LeaderId = alias::LeaderIdOf<Types>;
pub(crate) type CommittedLeaderId = alias::CommittedLeaderIdOf<Types>;
pub(crate) type Vote = alias::VoteOf<Types>;
pub(crate) type LogId = alias::LogIdOf<Types>;
pub(crate) type Entry = alias::EntryOf<Types>;
pub(crate) type Membership = openraft::Membership<NodeId, ()>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<Types>;
pub(crate) type Snapshot = alias::SnapshotOf<Types, Vec<u8>>;
