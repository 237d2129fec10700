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
use crate::tie::{Round, Same, Tie};
use crate::types::{Snapshot, Types, Vote};

/// Makes a [`Peer`] for whomever openraft wants to speak to.
pub(crate) struct Way {
    pub node: NodeId,
    pub network: Arc<dyn Network>,
    /// How long a follower may take to write entries.
    pub append_ttl: Duration,
    /// What half of the voters may count beside its own.
    pub tie: Arc<Tie>,
}

/// One target.
pub(crate) struct Peer {
    node: NodeId,
    target: NodeId,
    network: Arc<dyn Network>,
    append_ttl: Duration,
    tie: Arc<Tie>,
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
        Peer {
            node: self.node,
            target,
            network: self.network.clone(),
            append_ttl: self.append_ttl,
            tie: self.tie.clone(),
        }
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
        rpc: &VoteRequest<Types>,
        round: Round,
        ttl: Duration,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let (vote, last) = (record::Vote::from(&rpc.vote), rpc.last_log_id.map(Into::into));
        if self.tie.stands_for(self.target) {
            self.instead(Same::Granted(vote, round), ttl).await?;
            return Ok(VoteResponse::new(rpc.vote, rpc.last_log_id, true));
        }
        let transfer = rpc.leadership_transfer;
        let request = match round {
            Round::Before => Request::PreVote { vote, last, transfer },
            Round::Vote => Request::Vote { vote, last, transfer },
        };
        let response = self.ask(RPCTypes::Vote, Lane::Log, &request, ttl).await?;
        let Response::Vote { vote: theirs, granted, last, reserved: _ } = response else {
            return Err(mismatch());
        };
        if granted {
            self.tie.granted(self.target, vote, round);
        }
        Ok(VoteResponse::new(Vote::from(theirs), last.map(Into::into), granted))
    }

    /// The answer of the absent voter: what all of the half have really answered, or none.
    async fn instead(&self, same: Same, ttl: Duration) -> Result<(), RPCError<Types>> {
        if self.tie.wait(same, ttl).await {
            return Ok(());
        }
        let reason = "it is absent, and the half that stands for it has not answered the same";
        Err(RPCError::Unreachable(Unreachable::from_string(reason)))
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
        let vote = record::Vote::from(&rpc.vote);
        let upto = rpc.entries.last().map(|entry| entry.log_id).or(rpc.prev_log_id);
        if self.tie.stands_for(self.target) {
            self.instead(Same::Stored(vote, upto), ttl).await?;
            return Ok(AppendEntriesResponse::Success);
        }
        let request = Request::Append {
            vote,
            previous: rpc.prev_log_id.map(Into::into),
            entries: rpc.entries.into_iter().map(Into::into).collect(),
            committed: rpc.leader_commit.map(Into::into),
        };
        let response = self.ask(RPCTypes::AppendEntries, Lane::Log, &request, ttl).await?;
        let Response::Append(appended) = response else { return Err(mismatch()) };
        Ok(match appended {
            Appended::All => {
                self.tie.stored(self.target, vote, upto);
                AppendEntriesResponse::Success
            }
            Appended::UpTo(last) => {
                let last = last.map(Into::into);
                self.tie.stored(self.target, vote, last);
                AppendEntriesResponse::PartialSuccess(last)
            }
            Appended::Conflict => AppendEntriesResponse::Conflict,
            Appended::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote.into()),
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(&rpc, Round::Vote, option.soft_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(&rpc, Round::Before, option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        if self.tie.stands_for(self.target) {
            // A snapshot can't be answered for (rule G9).
            let reason = "it is absent, and half of the voters stands for it";
            return Err(Unreachable::from_string(reason).into());
        }
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
