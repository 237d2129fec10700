//! What daemons ask each other: to propose a change on behalf of one that does not lead; and what
//! they tell each other of their clients' connections.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::{Index, NodeId};
use stead_core::node::Fate;
use stead_core::state::config::{ConfigLater, ConfigMore};
use stead_core::state::{Change, Outcome, PROTOCOL_0_8};
use stead_core::tail::Tailed;
use stead_log::network::{CallError, Service};
use stead_log::transport::Peers;
use stead_log::{Boxed, Log, ProposeError};
use tokio::sync::watch;

use super::machine::{decode, encode, told};
use super::view::View;
use crate::connections::{Known, Others, Taken, Told};
use crate::layers::observe::{self, Eyes, Question, Sight};

/// How often a proposal that nobody took is tried again before its deadline.
const RETRY: Duration = Duration::from_millis(20);
/// How much of a deadline goes to the way there and back.
const ON_THE_WAY: Duration = Duration::from_millis(50);

/// A request between daemons.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "made once, written or read once, never kept")]
pub(super) enum Request {
    /// Propose this change, if you lead.
    Propose { change: Change, deadline_ms: u64 },
    /// The asker's clients. Only for who understands it: see [`Daemons`].
    Connections(Told),
    /// Look whether a layer leads to the asker. Only for who understands it, as well.
    Look(Question),
}

impl Tailed for Request {
    type More = ConfigMore;
    type Later = ConfigLater;

    fn more(&self) -> ConfigMore {
        match self {
            Self::Propose { change, .. } => change.more(),
            Self::Connections(_) | Self::Look(_) => ConfigMore::default(),
        }
    }

    fn later(&self) -> ConfigLater {
        match self {
            Self::Propose { change, .. } => change.later(),
            Self::Connections(_) | Self::Look(_) => ConfigLater::default(),
        }
    }

    fn add(&mut self, more: ConfigMore) {
        match self {
            Self::Propose { change, .. } => change.add(more),
            Self::Connections(_) | Self::Look(_) => {}
        }
    }

    fn add_later(&mut self, later: ConfigLater) {
        match self {
            Self::Propose { change, .. } => change.add_later(later),
            Self::Connections(_) | Self::Look(_) => {}
        }
    }
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Committed(Index, Outcome),
    /// Its fate is not known.
    Unknown(String),
    /// It was not proposed.
    Lost(String),
    /// The request can't be read.
    NotUnderstood(String),
    /// What became of the clients.
    Connections(Taken),
    /// What was seen.
    Seen(Sight),
}

stead_core::tailless!(Answer);

/// Proposes changes, here or at whoever leads.
#[derive(Clone)]
pub(super) struct Proposer {
    me: NodeId,
    log: Arc<OnceLock<Arc<Log>>>,
    view: Arc<OnceLock<watch::Receiver<Arc<View>>>>,
    clients: Known,
    /// What this node sees when another one asks.
    eyes: Eyes,
}

/// What became of a proposal, with the reason in words where it is not known to be committed.
pub(super) type Proposed = (Fate, String);

impl Proposer {
    pub(super) fn new(me: NodeId, clients: Known, eyes: Eyes) -> Self {
        Self { me, log: Arc::default(), view: Arc::default(), clients, eyes }
    }

    /// From now on there is a picture, and with it a state.
    pub(super) fn set_view(&self, view: watch::Receiver<Arc<View>>) {
        drop(self.view.set(view));
    }

    /// From now on there is a log.
    pub(super) fn set_log(&self, log: Arc<Log>) {
        drop(self.log.set(log));
    }

    /// Proposes until it is committed, its fate is unknown, or the deadline has come.
    pub(super) async fn propose(
        &self,
        peers: &Peers,
        change: Change,
        deadline: Duration,
    ) -> Proposed {
        let end = tokio::time::Instant::now() + deadline;
        loop {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let proposed = self.try_once(peers, change.clone(), left).await;
            let again = proposed.0 == Fate::Lost && left > RETRY * 2;
            if !again {
                return proposed;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_once(&self, peers: &Peers, change: Change, deadline: Duration) -> Proposed {
        let Some(log) = self.log.get() else {
            return (Fate::Lost, "the log is not open yet".into());
        };
        let leader = log.status().borrow().leader;
        match leader {
            None => (Fate::Lost, "nobody leads the log".into()),
            Some(leader) if leader == self.me => self.propose_here(change, deadline).await,
            Some(leader) => propose_there(peers, leader, change, deadline).await,
        }
    }

    async fn propose_here(&self, change: Change, deadline: Duration) -> Proposed {
        let Some(log) = self.log.get() else {
            return (Fate::Lost, "the log is not open yet".into());
        };
        let bytes = match encode(&change) {
            Ok(bytes) => bytes,
            Err(error) => return (Fate::Lost, error.to_string()),
        };
        match log.propose(bytes, deadline).await {
            Ok((index, outcome)) => match decode(&outcome) {
                Ok(outcome) => (Fate::Committed(index, outcome), String::new()),
                Err(error) => (Fate::Unknown, error.to_string()),
            },
            Err(error) => (fate_of(&error), error.to_string()),
        }
    }
}

fn fate_of(error: &ProposeError) -> Fate {
    match error {
        ProposeError::NotLeader { .. } | ProposeError::NoQuorum | ProposeError::TooLong { .. } => {
            Fate::Lost
        }
        ProposeError::Deadline { .. } | ProposeError::Superseded { .. } | ProposeError::Stopped => {
            Fate::Unknown
        }
    }
}

async fn propose_there(
    peers: &Peers,
    leader: NodeId,
    change: Change,
    deadline: Duration,
) -> Proposed {
    let there = deadline.saturating_sub(ON_THE_WAY).max(ON_THE_WAY);
    let deadline_ms = u64::try_from(there.as_millis()).unwrap_or(u64::MAX);
    let request = match encode(&Request::Propose { change, deadline_ms }) {
        Ok(request) => request,
        Err(error) => return (Fate::Lost, error.to_string()),
    };
    let answer = match peers.call(leader, request, deadline).await {
        Ok(answer) => answer,
        Err(error) => {
            let fate = match &error {
                CallError::Unreachable { .. }
                | CallError::Refused { .. }
                | CallError::TooLong { .. } => Fate::Lost,
                CallError::Broken { .. } | CallError::Deadline { .. } => Fate::Unknown,
            };
            return (fate, error.to_string());
        }
    };
    match decode(&answer) {
        Ok(Answer::Committed(index, outcome)) => (Fate::Committed(index, outcome), String::new()),
        Ok(Answer::Unknown(detail)) => (Fate::Unknown, detail),
        Ok(Answer::Lost(detail) | Answer::NotUnderstood(detail)) => (Fate::Lost, detail),
        Ok(Answer::Connections(_) | Answer::Seen(_)) => {
            (Fate::Unknown, "an answer to something else".to_owned())
        }
        Err(error) => (Fate::Unknown, error.to_string()),
    }
}

/// Answers the other daemons. Only members get here: the transport has checked their keys.
impl Service for Proposer {
    fn handle(&self, from: NodeId, request: Vec<u8>) -> Boxed<'static, Vec<u8>> {
        let proposer = self.clone();
        Box::pin(async move {
            let answer = match decode::<Request>(&request) {
                Ok(Request::Propose { change, deadline_ms }) => {
                    let deadline = Duration::from_millis(deadline_ms.min(60_000));
                    match proposer.propose_here(change, deadline).await {
                        (Fate::Committed(index, outcome), _) => Answer::Committed(index, outcome),
                        (Fate::Unknown, detail) => Answer::Unknown(detail),
                        (Fate::Lost, detail) => Answer::Lost(detail),
                    }
                }
                Ok(Request::Connections(clients)) => {
                    let state = proposer.view.get().map(|view| view.borrow().state.clone());
                    let taken = state.map(|state| proposer.clients.take(from, clients, &state));
                    Answer::Connections(taken.unwrap_or(Taken::Behind))
                }
                Ok(Request::Look(question)) => {
                    let state = proposer.view.get().map(|view| view.borrow().state.clone());
                    Answer::Seen(match state {
                        Some(state) => proposer.eyes.look(&state, question).await,
                        None => Sight::Blind("this node has only just started".to_owned()),
                    })
                }
                Err(error) => Answer::NotUnderstood(error.to_string()),
            };
            told("the answer to another daemon", &answer)
        })
    }
}

/// The first version of the protocol whose daemons take [`Request::Connections`].
const CONNECTIONS_SINCE: u16 = 2;

/// The first version of the protocol whose daemons take [`Request::Look`].
const LOOK_SINCE: u16 = PROTOCOL_0_8;

/// The other daemons, to be told of this one's clients, and to be asked what they see.
pub(super) struct Daemons {
    pub(super) me: NodeId,
    pub(super) peers: Arc<Peers>,
}

impl Daemons {
    /// Those that are known to speak that version. To know that takes a connection.
    fn able_since(&self, version: u16) -> Vec<NodeId> {
        let connected = self.peers.connected();
        let able = |node: &NodeId| {
            let its = connected.iter().find(|it| it.node == *node);
            its.map(|it| it.version >= version)
        };
        let others = self.peers.members().nodes().into_iter().filter(|node| *node != self.me);
        let mut ready = Vec::new();
        for node in others {
            match able(&node) {
                Some(true) => ready.push(node),
                Some(false) => {}
                None => self.peers.meet(node),
            }
        }
        ready
    }
}

impl observe::Others for Daemons {
    fn able(&self) -> Vec<NodeId> {
        self.able_since(LOOK_SINCE)
    }

    fn look(
        &self,
        node: NodeId,
        question: Question,
        deadline: tokio::time::Instant,
    ) -> Boxed<'static, Option<Sight>> {
        let peers = self.peers.clone();
        Box::pin(async move {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let request = encode(&Request::Look(question)).ok()?;
            let answer = peers.call(node, request, left).await.ok()?;
            match decode(&answer).ok()? {
                Answer::Seen(sight) => Some(sight),
                Answer::Committed(..)
                | Answer::Unknown(_)
                | Answer::Lost(_)
                | Answer::NotUnderstood(_)
                | Answer::Connections(_) => None,
            }
        })
    }
}

impl Others for Daemons {
    fn able(&self) -> Vec<NodeId> {
        self.able_since(CONNECTIONS_SINCE)
    }

    async fn tell(&self, node: NodeId, told: Told, deadline: Duration) -> Option<Taken> {
        let request = encode(&Request::Connections(told)).ok()?;
        let answer = self.peers.call(node, request, deadline).await.ok()?;
        match decode(&answer).ok()? {
            Answer::Connections(taken) => Some(taken),
            Answer::Committed(..)
            | Answer::Unknown(_)
            | Answer::Lost(_)
            | Answer::Seen(_)
            | Answer::NotUnderstood(_) => None,
        }
    }
}
