//! openraft's way out: one [`Peer`] per target.

use std::sync::Arc;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::v2::RaftNetworkV2;
use openraft::network::{Backoff, RPCOption, RPCTypes, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use stead_core::id::NodeId;

use super::{Appended, Request, Response, Transferred};
use crate::codec::{decode, encode};
use crate::network::{CallError, Lane, Network};
use crate::record;
use crate::types::{Snapshot, Types, Vote};

/// Makes a [`Peer`] for whomever openraft wants to speak to.
pub(crate) struct Way {
    pub node: NodeId,
    pub network: Arc<dyn Network>,
    /// How long a follower may take to write entries.
    pub append_ttl: Duration,
}

/// One target.
pub(crate) struct Peer {
    node: NodeId,
    target: NodeId,
    network: Arc<dyn Network>,
    append_ttl: Duration,
}

/// How long openraft leaves a node alone that can't be reached: short, since the transport itself
/// doesn't try more often than its own backoff lets it.
const BACKOFF: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(160),
    Duration::from_millis(320),
];

/// A whole snapshot must be through in this time.
pub(crate) const SNAPSHOT_TTL: Duration = Duration::from_secs(20);

impl RaftNetworkFactory<Types> for Way {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeId, _member: &()) -> Peer {
        Peer { node: self.node, target, network: self.network.clone(), append_ttl: self.append_ttl }
    }
}

impl Peer {
    /// Sends one message and returns its answer: the way of everything openraft says to others.
    async fn ask(
        &self,
        kind: RPCTypes,
        lane: Lane,
        request: &Request,
        ttl: Duration,
    ) -> Result<Response, RPCError<Types>> {
        let called = self.network.call(self.target, lane, encode(request), ttl).await;
        let bytes = called.map_err(|error| match error {
            CallError::Deadline { node, waited } => RPCError::Timeout(Timeout {
                action: kind,
                id: self.node,
                target: node,
                timeout: waited,
            }),
            CallError::Broken { .. } => RPCError::Network(NetworkError::new(&error)),
            CallError::Unreachable { .. }
            | CallError::Refused { .. }
            | CallError::TooLong { .. } => RPCError::Unreachable(Unreachable::new(&error)),
        })?;
        match decode(&bytes) {
            Ok(Response::Failed(reason)) => {
                Err(RPCError::Unreachable(Unreachable::from_string(reason)))
            }
            Ok(response) => Ok(response),
            Err(error) => Err(RPCError::Unreachable(Unreachable::new(&error))),
        }
    }

    async fn ask_vote(
        &self,
        request: &Request,
        ttl: Duration,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let response = self.ask(RPCTypes::Vote, Lane::Log, request, ttl).await?;
        let Response::Vote { vote, granted, last, reserved: _ } = response else {
            return Err(mismatch());
        };
        let vote = Vote::from(vote);
        Ok(VoteResponse::new(vote, last.map(Into::into), granted))
    }
}

/// An answer of the wrong kind: a broken peer.
fn mismatch() -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::from_string("the answer is to another question"))
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = Vec<u8>;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        // openraft gives every append one heartbeat's time. Entries have to be synced over there;
        // a slow disk must lead to slow commits, not to entries that are sent for ever.
        let ttl = if rpc.entries.is_empty() {
            option.soft_ttl()
        } else {
            option.soft_ttl().max(self.append_ttl)
        };
        let request = Request::Append {
            vote: (&rpc.vote).into(),
            previous: rpc.prev_log_id.map(Into::into),
            entries: rpc.entries.into_iter().map(Into::into).collect(),
            committed: rpc.leader_commit.map(Into::into),
        };
        let response = self.ask(RPCTypes::AppendEntries, Lane::Log, &request, ttl).await?;
        let Response::Append(appended) = response else { return Err(mismatch()) };
        Ok(match appended {
            Appended::All => AppendEntriesResponse::Success,
            Appended::UpTo(last) => AppendEntriesResponse::PartialSuccess(last.map(Into::into)),
            Appended::Conflict => AppendEntriesResponse::Conflict,
            Appended::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote.into()),
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let request = Request::Vote {
            vote: (&rpc.vote).into(),
            last: rpc.last_log_id.map(Into::into),
            transfer: rpc.leadership_transfer,
        };
        self.ask_vote(&request, option.soft_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let request = Request::PreVote {
            vote: (&rpc.vote).into(),
            last: rpc.last_log_id.map(Into::into),
            transfer: rpc.leadership_transfer,
        };
        self.ask_vote(&request, option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let request = Request::Snapshot {
            vote: (&vote).into(),
            snapshot: record::Snapshot::new(&snapshot.meta, snapshot.snapshot),
        };
        let asked = self.ask(RPCTypes::InstallSnapshot, Lane::Bulk, &request, SNAPSHOT_TTL);
        tokio::select! {
            response = asked => {
                let Response::Snapshot { vote } = response? else { return Err(mismatch().into()) };
                Ok(SnapshotResponse::new(vote.into()))
            }
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let request = Request::Transfer {
            from: req.from_leader().into(),
            to: *req.to_node_id(),
            last: req.last_log_id().copied().map(Into::into),
        };
        let ttl = option.soft_ttl();
        let response = self.ask(RPCTypes::TransferLeader, Lane::Log, &request, ttl).await?;
        let Response::Transfer(transferred) = response else { return Err(mismatch()) };
        Ok(match transferred {
            Transferred::Done => Ok(()),
            Transferred::VoteChanged { expected, actual } => {
                Err(TransferLeaderError::VoteChanged {
                    expected: expected.into(),
                    actual: actual.into(),
                })
            }
            Transferred::NotFlushed { expected, actual } => {
                Err(TransferLeaderError::LogNotFlushed {
                    expected: expected.map(Into::into),
                    actual: actual.map(Into::into),
                })
            }
        })
    }

    fn backoff(&self) -> Option<Backoff> {
        let last = BACKOFF[BACKOFF.len() - 1];
        Some(Backoff::new(BACKOFF.into_iter().chain(std::iter::repeat(last))))
    }
}
