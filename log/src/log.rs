//! The facade: one node's part of the replicated log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, ForwardReason, ForwardToLeader, RaftError};
use openraft::raft::{TransferLeaderError, TransferLeaderRequest};
use stead_core::id::{Index, NodeId};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::applier::Applier;
use crate::error::{CampaignError, InitializeError, OpenError, ProposeError, ReadError};
use crate::machine::{Delivery, Events, Failure};
use crate::network::{Lane, Network};
use crate::options::{CHANGE_BYTES, Options};
use crate::rpc::client::Way;
use crate::rpc::server::{Server, read_index};
use crate::rpc::{NotRead, Request, Response};
use crate::status::{Role, Status, follow};
use crate::store::Store;
use crate::tie::Tie;
use crate::types::{Change, Raft, Types};

/// When a deadline is over; one that no clock can hold is a day.
pub(crate) fn end_of(deadline: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(deadline).unwrap_or(now + Duration::from_secs(86_400))
}

/// The wait before a majority is asked for again.
const QUORUM_RETRY: Duration = Duration::from_millis(5);

/// One node's part of the replicated log. Dropping it shuts it down without waiting.
pub struct Log {
    pub(crate) node: NodeId,
    pub(crate) raft: Raft,
    network: Arc<dyn Network>,
    pub(crate) tie: Arc<Tie>,
    status: watch::Receiver<Status>,
    closing: watch::Sender<bool>,
    ending: Mutex<Option<JoinHandle<()>>>,
    /// Held while the membership changes, so that it changes one step at a time.
    pub(crate) changing: Mutex<()>,
    /// Held while the tie vote changes.
    pub(crate) voting: Mutex<()>,
    /// How many proposals were committed here, and the microseconds that they took together.
    commits: [AtomicU64; 2],
}

/// What was proposed here and committed, since the log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commits {
    /// How many changes.
    pub count: u64,
    /// The time that they took together, each from its proposal until it was applied here.
    pub time: Duration,
}

impl Log {
    /// Opens the log on disk, or makes an empty one, and takes part from then on.
    ///
    /// Tells the guard the vote found on disk and waits until it has learnt it: a node whose guard
    /// does not answer takes no part. Drop the future to give up.
    ///
    /// # Errors
    /// The disk can't be used, the timers contradict each other.
    pub async fn open(options: Options) -> Result<(Self, Events), OpenError> {
        let Options { node, cluster, disk, timers, snapshots, machine, listener, network } =
            options;
        let config = timers.config(cluster, snapshots)?;
        let (closing, closed) = watch::channel(false);
        let (failure, failed) = watch::channel(None);
        let store = Store::open(disk, (node, cluster), listener, failure.clone(), closed.clone())?;
        if let Some(vote) = store.vote() {
            let told = store.tell(vote).await;
            told.map_err(|error| OpenError::Engine(error.to_string()))?;
        }
        let (delivery, line) = Delivery::new(closed.clone());
        let tie = Tie::new(node, store.clone(), machine.grants());
        let applier = Applier::new(machine, store.clone(), delivery.clone());
        let way = Way {
            node,
            network: network.clone(),
            append_ttl: timers.election_max,
            tie: tie.clone(),
        };
        let raft = match Raft::new(node, Arc::new(config), way, store.clone(), applier).await {
            Ok(raft) => raft,
            Err(error) => {
                store.close().await;
                return Err(OpenError::Engine(error.to_string()));
            }
        };
        let backlog = delivery.opened();
        network.serve_log(Some(Arc::new(Server::new(raft.clone()))));
        let (shown, status) = watch::channel(Status::default());
        tokio::spawn(follow(raft.clone(), store.clone(), shown, failure, closed.clone()));
        let ending = Ending { raft: raft.clone(), network: network.clone(), store };
        let ending = tokio::spawn(ending.run(closed, failed.clone()));
        let events = Events { backlog, line, failure: failed, failure_told: false };
        let log = Self {
            node,
            raft,
            network,
            tie,
            status,
            closing,
            ending: Mutex::new(Some(ending)),
            changing: Mutex::new(()),
            voting: Mutex::new(()),
            commits: Default::default(),
        };
        Ok((log, events))
    }

    /// Makes the first membership. Only once in the life of a cluster, on one node; the others join
    /// by [`Log::add_voter`], or are named here before any of them has a log.
    ///
    /// # Errors
    /// There is a log already, or this node is not among `members`.
    pub async fn initialize(
        &self,
        members: impl IntoIterator<Item = NodeId>,
    ) -> Result<(), InitializeError> {
        use openraft::errors::InitializeError as Raft;
        let members: std::collections::BTreeMap<_, _> =
            members.into_iter().map(|node| (node, ())).collect();
        self.raft.initialize(members).await.map_err(|error| match error {
            RaftError::APIError(Raft::NotAllowed(_)) => InitializeError::InUse,
            RaftError::APIError(Raft::NotInMembers(_)) => InitializeError::NotAMember,
            RaftError::Fatal(Fatal::StorageError(_) | Fatal::Panicked | Fatal::Stopped) => {
                InitializeError::Stopped
            }
        })
    }

    /// Proposes a change and waits until it is committed and applied here; returns its index and
    /// the machine's outcome. Returns by `deadline`, whatever happens. A leader that no majority
    /// answers at the moment is given until then to hear from one.
    ///
    /// # Errors
    /// See [`ProposeError`]; it tells apart what was not proposed from what may still be committed.
    pub async fn propose(
        &self,
        change: Vec<u8>,
        deadline: Duration,
    ) -> Result<(Index, Vec<u8>), ProposeError> {
        if change.len() > CHANGE_BYTES {
            return Err(ProposeError::TooLong { bytes: change.len(), most: CHANGE_BYTES });
        }
        let (began, end) = (Instant::now(), end_of(deadline));
        loop {
            // Dropping the future doesn't take the entry back: that is what the error says.
            let write = self.raft.client_write(Change(change.clone()));
            match tokio::time::timeout_at(end, write).await {
                Ok(Ok(written)) => {
                    self.note_commit(began.elapsed());
                    return Ok((Index(written.log_id.index), written.data));
                }
                Ok(Err(error)) => {
                    let error = not_written(error);
                    if !matches!(error, ProposeError::NoQuorum) {
                        return Err(error);
                    }
                    self.wait_for_quorum(end).await?;
                }
                Err(_elapsed) => return Err(ProposeError::Deadline { waited: deadline }),
            }
        }
    }

    fn note_commit(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let [count, time] = &self.commits;
        count.fetch_add(1, Ordering::Relaxed);
        time.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was proposed here and committed so far.
    #[must_use]
    pub fn commits(&self) -> Commits {
        let [count, time] = self.commits.each_ref().map(|it| it.load(Ordering::Relaxed));
        Commits { count, time: Duration::from_micros(time) }
    }

    /// A leader takes proposals only while a majority answers it, and a new one has not been
    /// answered yet: wait for that, rather than make every caller ask again.
    async fn wait_for_quorum(&self, end: Instant) -> Result<(), ProposeError> {
        let left = end.saturating_duration_since(Instant::now());
        match read_index(&self.raft, left).await {
            Ok(_) => {}
            // The engine may give up before our deadline; not to ask it in a tight loop:
            Err(NotRead::NoQuorum) => {
                tokio::time::sleep_until(end.min(Instant::now() + QUORUM_RETRY)).await;
            }
            Err(NotRead::NotLeader { leader }) => return Err(ProposeError::NotLeader { leader }),
            Err(NotRead::Stopped) => return Err(ProposeError::Stopped),
        }
        if Instant::now() < end { Ok(()) } else { Err(ProposeError::NoQuorum) }
    }

    /// Up to where a reader must have applied to see all that was committed before this call.
    ///
    /// The leader asks a majority whether it still leads; a follower asks the leader. Returns by
    /// `deadline`. The caller still has to wait for that index to be applied.
    ///
    /// # Errors
    /// No leader, no majority, or no answer in time.
    pub async fn read_index(&self, deadline: Duration) -> Result<Index, ReadError> {
        let start = Instant::now();
        let mut status = self.status.clone();
        let known =
            status.wait_for(|status| status.leader.is_some() || status.role == Role::Stopped);
        let leader = match tokio::time::timeout(deadline, known).await {
            Ok(Ok(status)) => status.leader.ok_or(ReadError::Stopped)?,
            Ok(Err(_)) => return Err(ReadError::Stopped),
            Err(_elapsed) => return Err(ReadError::NoLeader { leader: None }),
        };
        let left = deadline.saturating_sub(start.elapsed());
        let read = if leader == self.node {
            read_index(&self.raft, left).await
        } else {
            self.ask_read_index(leader, left).await?
        };
        read.map_err(|error| match error {
            NotRead::NotLeader { leader } => ReadError::NoLeader { leader },
            NotRead::NoQuorum => ReadError::NoQuorum,
            NotRead::Stopped => ReadError::Stopped,
        })
    }

    async fn ask_read_index(
        &self,
        leader: NodeId,
        within: Duration,
    ) -> Result<Result<Index, NotRead>, ReadError> {
        let within_millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let request = crate::codec::encode(&Request::ReadIndex { within_millis });
        let answer = self.network.call(leader, Lane::Log, request, within).await?;
        match crate::codec::decode(&answer) {
            Ok(Response::ReadIndex(read)) => Ok(read.map(Index)),
            Ok(other) => Err(ReadError::Answer(format!("unexpected answer {other:?}"))),
            Err(error) => Err(ReadError::Answer(error.to_string())),
        }
    }

    /// Makes `to` campaign, and this node vote in spite of a leader it believes alive.
    ///
    /// To be called on every survivor, with the same `to`, once a majority of the voters reports
    /// not to hear the coordinator (rule E1). On a node that is not `to` it only lets go of the
    /// leader; on `to` the election begins at once. A call that was wrong costs an election.
    ///
    /// # Errors
    /// The election was not called from here; see [`CampaignError`].
    pub async fn campaign(&self, to: NodeId) -> Result<(), CampaignError> {
        let vote = self.raft.server_metrics().borrow_watched().vote;
        let last = self.raft.data_metrics().borrow_watched().last_log;
        if to == self.node && !vote.committed {
            // A former campaign of this node's got nowhere: there is no leader whose place could be
            // handed over, and the voters' leases were dropped already. So a plain election.
            let elected = self.raft.trigger().elect(false).await;
            return elected.map_err(|_| CampaignError::Stopped);
        }
        // Only `to` judges the log, and only its own.
        let request = TransferLeaderRequest::<Types>::new(vote, to, last);
        match self.raft.handle_transfer_leader(request).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(TransferLeaderError::VoteChanged { .. })) => Err(CampaignError::TermChanged),
            Ok(Err(TransferLeaderError::LogNotFlushed { .. })) => Err(CampaignError::NotFlushed),
            Err(Fatal::StorageError(_) | Fatal::Panicked | Fatal::Stopped) => {
                Err(CampaignError::Stopped)
            }
        }
    }

    /// Has `to`, a voter, lead in this node's place: all voters are told to let go of this leader,
    /// and `to` campaigns once it has the whole log. Returns at once, and does nothing on a node
    /// that does not lead. It may come to nothing; then this node goes on leading.
    ///
    /// # Errors
    /// The log has stopped.
    pub async fn hand_over(&self, to: NodeId) -> Result<(), CampaignError> {
        let told = self.raft.trigger().transfer_leader(to).await;
        told.map_err(|_| CampaignError::Stopped)
    }

    /// What the log is at, live.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Takes a snapshot now, and shortens the log behind it as configured. Returns at once; the
    /// status shows when it is there.
    pub async fn snapshot(&self) {
        // An error means that the log has stopped, which the status shows as well.
        drop(self.raft.trigger().snapshot().await);
    }

    /// Stops taking part, and returns when all tasks have ended and the file is closed. Proposals
    /// under way fail with [`ProposeError::Stopped`].
    pub async fn shutdown(&self) {
        self.closing.send_replace(true);
        let mut ending = self.ending.lock().await;
        if let Some(task) = ending.take() {
            // It can't be cancelled, and if it panicked there is nothing left to end.
            drop(task.await);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}

/// What is left to do when the log closes or fails.
struct Ending {
    raft: Raft,
    network: Arc<dyn Network>,
    store: Store,
}

impl Ending {
    async fn run(
        self,
        mut closing: watch::Receiver<bool>,
        mut failed: watch::Receiver<Option<Failure>>,
    ) {
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => {}
            _ = failed.wait_for(Option::is_some) => {}
        }
        self.network.serve_log(None);
        // An error says that the core panicked, which its metrics have published.
        drop(self.raft.shutdown().await);
        self.store.close().await;
    }
}

fn not_written(error: RaftError<Types, ClientWriteError<Types>>) -> ProposeError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => forwarded(&forward),
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(forward)) => {
            ProposeError::Superseded { leader: forward.leader_id }
        }
        // Neither is ever an answer to an ordinary change.
        RaftError::APIError(
            ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_),
        )
        | RaftError::Fatal(Fatal::StorageError(_) | Fatal::Panicked | Fatal::Stopped) => {
            ProposeError::Stopped
        }
    }
}

fn forwarded(forward: &ForwardToLeader<Types>) -> ProposeError {
    match forward.reason {
        ForwardReason::NotLeader | ForwardReason::LeadershipTransfer => {
            ProposeError::NotLeader { leader: forward.leader_id }
        }
        ForwardReason::LeaseExpired => ProposeError::NoQuorum,
    }
}
