//! A node's side of a quorum server: one connection that is kept, and questions over it.
//!
//! [`QuorumClient`] keeps a connection to the first of the server's addresses that answers, says
//! once a second that it is there, and measures the round trip. [`QuorumClient::ask`] puts a
//! question to the register; [`enrol`] makes the server known to the cluster, with a token;
//! [`look`] tells whether a server answers this node.
//!
//! ```text
//!   ask ──▶ calls ──▶ task ──▶ TLS 1.3, the server's key pinned ──▶ server
//!    ▲                 │ ▲
//!    └── the answer ◀──┘ └── link(): up, or why not, in words
//! ```
//!
//! **Happy path.** The connection is there long before a tie; a question costs a round trip and a
//! durable write.
//!
//! **Failures.** No call here blocks: each has a deadline, and what runs into it is [`Unanswered`],
//! which for the cluster is a tie, never a yes. A connection that breaks is made anew, after a
//! pause that grows and differs from node to node; what was asked is asked again, since a register
//! answers a question that comes twice with the same. That a connection is lost is told at once
//! ([`QuorumClient::changes`]). An answer that was not asked for ends the connection.
//!
//! **Absent on purpose:** any meaning of an answer (that is the core's), names (addresses are
//! numbers: nothing here waits for a name server), and more than one server.

mod connect;
mod enrol;
mod probe;
mod task;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stead_core::id::ClusterId;
use stead_core::quorum::ask::{Answer, Question, Standing};
use stead_core::state::QuorumServer;
use stead_log::transport::{Identity, KeyHash};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use enrol::{EnrolError, enrol};
pub use probe::{Looked, look};
use task::Call;

use crate::quorum_server::wire::{Members, Refused};

/// Questions that may wait at once; a cluster has one at a time.
const WAITING: usize = 32;

/// All that a client needs.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// This node's key.
    pub identity: Identity,
    /// The server.
    pub server: QuorumServer,
    /// This cluster.
    pub cluster: ClusterId,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotConnected {
    /// No attempt has come to an end yet.
    #[error("the first attempt to connect is under way")]
    Starting,
    /// No address is known.
    #[error("no address of the server is known")]
    NoAddress,
    /// Nobody answers there, or the network does not get there.
    #[error("{address} can't be reached: {detail}")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        detail: String,
    },
    /// It did not answer in time, before or after the connection was there.
    #[error("{0} does not answer in time")]
    TooSlow(SocketAddr),
    /// Somebody else answers there, or the server was set up anew.
    #[error(
        "{address} holds the key {found}, which is not the quorum server's: either the address is \
         wrong, or the server was set up anew and the cluster has to be enrolled there again"
    )]
    WrongKey {
        /// Where.
        address: SocketAddr,
        /// Its key's digest.
        found: KeyHash,
    },
    /// It is something else, or of another version.
    #[error("{address} does not speak the quorum protocol: {detail}")]
    NoServer {
        /// Where.
        address: SocketAddr,
        /// What is wrong.
        detail: String,
    },
    /// This node's own key can't be used.
    #[error("{0}")]
    KeyUnusable(String),
    /// The server does not want to talk to this node.
    #[error("refused: {0}")]
    Refused(Refused),
}

/// The state of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// The server answers.
    Up {
        /// Where.
        address: SocketAddr,
        /// Since when.
        since: Instant,
        /// How long the newest answer took.
        round_trip: Duration,
        /// Where the register stood in it.
        standing: Standing,
    },
    /// It does not.
    Down {
        /// Why.
        why: NotConnected,
        /// Since when.
        since: Instant,
    },
}

/// There is no answer. For a question that asks for a grant this is a tie, and never a yes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The server does not answer this node.
    #[error("the quorum server refused: {0}")]
    Refused(Refused),
    /// There was no connection in time.
    #[error("no connection to the quorum server within {} ms: {why}", waited.as_millis())]
    NotConnected {
        /// How long it was waited for.
        waited: Duration,
        /// Why there is none.
        why: NotConnected,
    },
    /// There is a connection, and no answer came in time. The question may have been answered all
    /// the same: the register remembers.
    #[error("the quorum server did not answer within {} ms", waited.as_millis())]
    Deadline {
        /// How long it was waited for.
        waited: Duration,
    },
    /// Too many questions wait already.
    #[error("too many questions to the quorum server wait already")]
    Busy,
}

/// One node's connection to the quorum server. It ends when this is dropped.
#[derive(Debug)]
pub struct QuorumClient {
    calls: mpsc::Sender<Call>,
    link: watch::Receiver<Link>,
    task: JoinHandle<()>,
}

impl QuorumClient {
    /// Begins to connect. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// This node's key can't be used.
    pub fn start(options: ClientOptions) -> Result<Self, KeyUnusable> {
        let tls = connect::tls(&options.identity)?;
        let (calls, coming) = mpsc::channel(WAITING);
        let down = Link::Down { why: NotConnected::Starting, since: Instant::now() };
        let (shown, link) = watch::channel(down);
        let task = tokio::spawn(task::run(options, tls, coming, shown));
        Ok(Self { calls, link, task })
    }

    /// Puts a question to the register of this cluster. `members` says who the members are now;
    /// only a coordinator with quorum says that, and not with [`Question::Ask`]. Returns by
    /// `deadline`. While there is no connection, one is tried for at once, and waited for.
    ///
    /// # Errors
    /// See [`Unanswered`]. The question may have been answered all the same, except where it was
    /// refused: asked again, it is answered the same.
    pub async fn ask(
        &self,
        question: Question,
        members: Option<Members>,
        deadline: Duration,
    ) -> Result<Answer, Unanswered> {
        let (reply, answer) = oneshot::channel();
        let call = Call { question, members, reply };
        self.calls.try_send(call).map_err(|_| Unanswered::Busy)?;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(answer)) => answer.map_err(Unanswered::Refused),
            Ok(Err(_)) | Err(_) => Err(match &*self.link.borrow() {
                Link::Up { .. } => Unanswered::Deadline { waited: deadline },
                Link::Down { why, .. } => {
                    Unanswered::NotConnected { waited: deadline, why: why.clone() }
                }
            }),
        }
    }

    /// The state of the connection now.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link.borrow().clone()
    }

    /// Tells when the connection comes or goes, and when the register stands elsewhere.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }
}

impl Drop for QuorumClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// This node's key can't be used for TLS. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("this node's key can't be used to talk to a quorum server: {0}")]
pub struct KeyUnusable(String);
