//! openraft's way in: requests of other members become calls of the local instance.

use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{Fatal, LinearizableReadError, RaftError};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use openraft::{ReadPolicy, raft};
use stead_core::id::{Index, NodeId};
use tokio::sync::RwLock;
use tracing::debug;

use super::{Appended, NotRead, Request, Response, Transferred};
use crate::codec::{DecodeError, decode, encode};
use crate::listener::Boxed;
use crate::network::Service;
use crate::record::{self, Position, Vote};
use crate::types::{Raft, Snapshot, Types};

/// Answers for one local openraft.
#[derive(Clone)]
pub(crate) struct Server {
    raft: Raft,
    /// Entries come together, a snapshot alone: what was true of the log when a snapshot was asked
    /// about must be true when it is installed.
    installing: Arc<RwLock<()>>,
}

impl Server {
    pub fn new(raft: Raft) -> Self {
        Self { raft, installing: Arc::default() }
    }
}

impl Service for Server {
    fn handle(&self, from: NodeId, request: Vec<u8>) -> Boxed<'static, Vec<u8>> {
        let server = self.clone();
        Box::pin(async move {
            let response = match decode(&request) {
                Ok(request) => server.answer(request).await,
                Err(error) => {
                    debug!(%from, %error, "request refused");
                    Err(format!("request refused: {error}"))
                }
            };
            encode(&response.unwrap_or_else(Response::Failed))
        })
    }

    fn connected(&self, node: NodeId) {
        let raft = self.raft.clone();
        tokio::spawn(async move {
            // An error means that openraft has stopped; then there is no backoff either.
            drop(raft.trigger().reset_backoff([node]).await);
        });
    }
}

impl Server {
    async fn answer(&self, request: Request) -> Result<Response, String> {
        let raft = &self.raft;
        match request {
            Request::Append { vote, previous, entries, committed } => {
                let _with_others = self.installing.read().await;
                record::contiguous(previous, &entries).map_err(|error| error.to_string())?;
                let last = entries.last().map(|entry| entry.position).or(previous);
                record::sent_by(vote, last).map_err(|error| error.to_string())?;
                let entries: Result<_, DecodeError> =
                    entries.into_iter().map(record::Entry::into_entry).collect();
                let rpc = AppendEntriesRequest {
                    vote: vote.into(),
                    prev_log_id: previous.map(Into::into),
                    entries: entries.map_err(|error| error.to_string())?,
                    leader_commit: committed.map(Into::into),
                };
                let response = raft.append_entries(rpc).await.map_err(|error| error.to_string())?;
                Ok(Response::Append(appended(response)))
            }
            Request::Vote { vote, last, transfer } => {
                let response = raft.vote(vote_request(vote, last, transfer)).await;
                Ok(voted(&response.map_err(|error| error.to_string())?))
            }
            Request::PreVote { vote, last, transfer } => {
                let response = raft.pre_vote(vote_request(vote, last, transfer)).await;
                Ok(voted(&response.map_err(|error| error.to_string())?))
            }
            Request::Snapshot { vote, snapshot } => self.snapshot(vote, snapshot).await,
            Request::Transfer { from, to, last } => {
                let rpc = TransferLeaderRequest::new(from.into(), to, last.map(Into::into));
                let response = raft.handle_transfer_leader(rpc).await;
                let response = response.map_err(|error| error.to_string())?;
                Ok(Response::Transfer(transferred(response)))
            }
            Request::ReadIndex { within_millis } => {
                let read = read_index(raft, Duration::from_millis(within_millis)).await;
                Ok(Response::ReadIndex(read.map(|index| index.0)))
            }
        }
    }

    /// Installs a snapshot, unless the log here contains all of it.
    ///
    /// A snapshot that comes late may end before entries that overtook it. The engine does not bear
    /// to be set back to it, even where these entries are not known to be committed, so it is asked
    /// first whether it has the snapshot's last entry. If it has, knowing that all up to there is
    /// committed does what the snapshot would have done.
    async fn snapshot(&self, vote: Vote, snapshot: record::Snapshot) -> Result<Response, String> {
        let _alone = self.installing.write().await;
        let last = snapshot.last;
        record::sent_by(vote, last).map_err(|error| error.to_string())?;
        let (meta, state) = snapshot.into_parts().map_err(|error| error.to_string())?;
        let asked = AppendEntriesRequest {
            vote: vote.into(),
            prev_log_id: last.map(Into::into),
            entries: Vec::new(),
            leader_commit: last.map(Into::into),
        };
        let has = self.raft.append_entries(asked).await.map_err(|error| error.to_string())?;
        match has {
            AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_) => {
                return Ok(Response::Snapshot { vote });
            }
            AppendEntriesResponse::HigherVote(vote) => {
                return Ok(Response::Snapshot { vote: (&vote).into() });
            }
            AppendEntriesResponse::Conflict => {}
        }
        let snapshot = Snapshot { meta, snapshot: state };
        let response = self.raft.install_full_snapshot(vote.into(), snapshot).await;
        let response = response.map_err(|error| error.to_string())?;
        Ok(Response::Snapshot { vote: (&response.vote).into() })
    }
}

fn vote_request(vote: Vote, last: Option<Position>, transfer: bool) -> VoteRequest<Types> {
    let mut rpc = VoteRequest::new(vote.into(), last.map(Into::into));
    rpc.leadership_transfer = transfer;
    rpc
}

fn voted(response: &VoteResponse<Types>) -> Response {
    Response::Vote {
        vote: (&response.vote).into(),
        granted: response.vote_granted,
        last: response.last_log_id.map(Into::into),
        reserved: Vec::new(),
    }
}

fn appended(response: AppendEntriesResponse<Types>) -> Appended {
    match response {
        AppendEntriesResponse::Success => Appended::All,
        AppendEntriesResponse::PartialSuccess(last) => Appended::UpTo(last.map(Into::into)),
        AppendEntriesResponse::Conflict => Appended::Conflict,
        AppendEntriesResponse::HigherVote(vote) => Appended::HigherVote((&vote).into()),
    }
}

fn transferred(response: raft::TransferLeaderResponse<Types>) -> Transferred {
    match response {
        Ok(()) => Transferred::Done,
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            Transferred::VoteChanged { expected: (&expected).into(), actual: (&actual).into() }
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => Transferred::NotFlushed {
            expected: expected.map(Into::into),
            actual: actual.map(Into::into),
        },
    }
}

/// Asks a quorum whether this node still leads, and returns up to where a reader must have applied.
///
/// Never answered from the leader's lease: a transfer overrides it (`docs/protocol.md`, section 5).
pub(crate) async fn read_index(raft: &Raft, within: Duration) -> Result<Index, NotRead> {
    let asked = raft.get_read_log_id(ReadPolicy::ReadIndex);
    match tokio::time::timeout(within, asked).await {
        Ok(Ok((read, _applied))) => Ok(Index(read.index())),
        Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
            Err(NotRead::NotLeader { leader: forward.leader_id })
        }
        Ok(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) | Err(_) => {
            Err(NotRead::NoQuorum)
        }
        Ok(Err(RaftError::Fatal(Fatal::StorageError(_) | Fatal::Panicked | Fatal::Stopped))) => {
            Err(NotRead::Stopped)
        }
    }
}
