//! What votes, positions, entries, memberships and snapshots look like on disk and wire.
//!
//! Each converts to and from openraft's type of the same meaning. A change of openraft's own layout
//! between two releases can therefore not make a disk unreadable or two nodes misunderstand each
//! other; a change of ours shows in [`crate::codec::VERSION`].

use std::collections::{BTreeMap, BTreeSet};

use openraft::vote::RaftLeaderId;
use serde::{Deserialize, Serialize};
use stead_core::id::{NodeId, Term};

use crate::codec::DecodeError;
use crate::types;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vote {
    pub term: u64,
    pub candidate: NodeId,
    pub committed: bool,
}

impl Vote {
    /// The vote as the rest of stead names it.
    pub fn as_term(self) -> Term {
        Term(self.term)
    }
}

impl From<&types::Vote> for Vote {
    fn from(vote: &types::Vote) -> Self {
        Self {
            term: vote.leader_id.term,
            candidate: vote.leader_id.voted_for,
            committed: vote.committed,
        }
    }
}

impl From<Vote> for types::Vote {
    fn from(vote: Vote) -> Self {
        let leader_id = types::LeaderId::new(vote.term, vote.candidate);
        openraft::vote::RaftVote::from_leader_id(leader_id, vote.committed)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Position {
    pub term: u64,
    pub index: u64,
}

impl From<types::LogId> for Position {
    fn from(id: types::LogId) -> Self {
        Self { term: id.leader_id.term, index: id.index }
    }
}

impl From<Position> for types::LogId {
    fn from(position: Position) -> Self {
        Self { leader_id: types::CommittedLeaderId::new(position.term), index: position.index }
    }
}

/// Voter sets (two while a change by joint consensus is under way) and all members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    pub voters: Vec<BTreeSet<NodeId>>,
    pub members: BTreeSet<NodeId>,
}

impl From<&types::Membership> for Membership {
    fn from(membership: &types::Membership) -> Self {
        Self {
            voters: membership.get_joint_config().clone(),
            members: membership.nodes().map(|(node, ())| *node).collect(),
        }
    }
}

impl TryFrom<Membership> for types::Membership {
    type Error = DecodeError;

    fn try_from(record: Membership) -> Result<Self, DecodeError> {
        if record == Membership::default() {
            return Ok(Self::default());
        }
        let members: BTreeMap<_, _> = record.members.into_iter().map(|node| (node, ())).collect();
        Self::new(record.voters, members)
            .map_err(|error| DecodeError::Contradiction(error.to_string()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub position: Position,
    pub change: Option<Vec<u8>>,
    pub membership: Option<Membership>,
}

impl From<types::Entry> for Entry {
    fn from(entry: types::Entry) -> Self {
        Self {
            position: entry.log_id.into(),
            membership: entry.payload.membership.as_ref().map(Into::into),
            change: entry.payload.change.map(|change| change.0),
        }
    }
}

impl Entry {
    pub fn into_entry(self) -> Result<types::Entry, DecodeError> {
        if self.membership.as_ref().is_some_and(|membership| membership.voters.is_empty()) {
            return Err(DecodeError::Contradiction("a membership without voters".into()));
        }
        let membership = self.membership.map(TryInto::try_into).transpose()?;
        Ok(types::Entry {
            log_id: self.position.into(),
            payload: types::Payload { change: self.change.map(types::Change), membership },
        })
    }
}

/// Whether `entries` can stand behind `previous`: without gaps, and no term before an earlier one.
pub(crate) fn contiguous(previous: Option<Position>, entries: &[Entry]) -> Result<(), DecodeError> {
    let mut before = previous;
    for entry in entries {
        let next = before.map_or(Some(0), |before| before.index.checked_add(1));
        let later = before.is_none_or(|before| before.term <= entry.position.term);
        if next != Some(entry.position.index) || !later {
            let text = format!("entry {:?} behind {before:?}", entry.position);
            return Err(DecodeError::Contradiction(text));
        }
        before = Some(entry.position);
    }
    Ok(())
}

/// Whether a leader with this vote can have sent a log that ends there. The engine asserts it.
pub(crate) fn sent_by(vote: Vote, last: Option<Position>) -> Result<(), DecodeError> {
    if vote.committed && last.is_none_or(|last| last.term <= vote.term) {
        return Ok(());
    }
    Err(DecodeError::Contradiction(format!("{last:?} sent under {vote:?}")))
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub last: Option<Position>,
    pub membership_at: Option<Position>,
    pub membership: Membership,
    pub state: Vec<u8>,
}

impl Snapshot {
    pub fn new(meta: &types::SnapshotMeta, state: Vec<u8>) -> Self {
        Self {
            last: meta.last_log_id.map(Into::into),
            membership_at: meta.last_membership.log_id().map(Into::into),
            membership: meta.last_membership.membership().into(),
            state,
        }
    }

    pub fn into_parts(self) -> Result<(types::SnapshotMeta, Vec<u8>), DecodeError> {
        let last_membership = types::StoredMembership::new(
            self.membership_at.map(Into::into),
            self.membership.try_into()?,
        );
        let meta = types::SnapshotMeta { last_log_id: self.last.map(Into::into), last_membership };
        Ok((meta, self.state))
    }
}
