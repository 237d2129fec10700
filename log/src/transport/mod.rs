//! Connections between daemons: TLS over TCP, keys instead of certificates, lanes.
//!
//! Every node listens on each of its addresses and connects to every other it has to say something
//! to; the one who connects asks, the other answers. Each pair has a connection per [`Lane`], so a
//! large snapshot or a slow request of the daemon never stands before a vote.
//!
//! **Happy path.** `dial` connects to the address that worked last (the others follow at short
//! intervals), `tls` checks that the other holds the key in the table of [`Members`], `hello`
//! agrees on a version; then requests go out with a number and answers come back in any order
//! (`link`). On the other side `accept` does the same from the other end and hands requests to the
//! log or to the daemon.
//!
//! **Failures.** A peer that is cut off without a word is noticed within about a second, by pings
//! and by `TCP_USER_TIMEOUT`; meanwhile requests to it run into their own deadlines and those to
//! others are not touched. It is tried again after 20 ms, at most every 500 ms, and at once when it
//! connects to us. A peer that can be reached but not talked to (another version, cluster or key)
//! is refused with a reason that both sides keep ([`Peers::refused`]). Strangers get a bounded
//! time, bounded memory, and one request: to join.
//!
//! **Deliberately absent**: certificates' names and dates, authorities, revocation (a key is
//! trusted while it stands in the table), session resumption, compression, and any meaning of what
//! is carried. Messages are not retried here. What is not about members (handshake, frames, the
//! bound on strangers) is open to other servers of ours: the quorum server stands on it. A tie vote
//! does not belong here but in `rpc::client::Peer::ask`, above any network.

mod accept;
mod dial;
mod frame;
mod hello;
mod identity;
mod join;
mod limits;
mod link;
mod members;
mod refusals;
mod shared;
mod tls;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stead_core::id::{ClusterId, NodeId};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use self::dial::prepare;
pub use self::frame::{FrameError, read_bytes, write_bytes};
pub use self::hello::HelloRefusal;
pub use self::identity::{Identity, IdentityError, KeyHash, NotAKeyHash};
pub use self::join::{JOIN_TIME, Join};
pub use self::limits::PROTOCOL;
use self::limits::body_bytes;
use self::link::Call;
pub use self::members::{Member, Members};
pub use self::refusals::{Refusal, RefusalReason};
use self::shared::Shared;
pub use self::shared::Strangers;
pub use self::tls::{ClientStream, HandshakeError, ServerStream, Tls};
use crate::listener::Boxed;
use crate::network::{CallError, Lane, Network, Service};

/// All that [`Peers::start`] needs.
pub struct PeersOptions {
    /// This node; for one that is about to join, any number.
    pub node: NodeId,
    /// This cluster; connections of others are refused.
    pub cluster: ClusterId,
    /// This node's key.
    pub identity: Identity,
    /// Where to listen, one address per link. An address that the machine does not have yet is no
    /// error. Empty for a node that is about to join.
    pub listen: Vec<SocketAddr>,
    /// Whom to trust. The caller keeps it up to date.
    pub members: Members,
    /// Answers requests on [`Lane::Daemon`].
    pub daemon: Arc<dyn Service>,
    /// Answers strangers who want to join; without it they are refused.
    pub join: Option<Arc<dyn Join>>,
    /// Name and version of this build, for the other side's `status`.
    pub software: String,
    /// The oldest and newest version of the protocol to speak: [`PROTOCOL`].
    pub versions: (u16, u16),
}

/// The transport could not be started. Nothing listens.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The node's key can't be used for TLS.
    #[error("the node's key can't be used")]
    Tls(#[source] rustls::Error),
}

/// A request to join got no answer. Except for `Unreachable` and `TooLong` it may have been heard.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The node can't be reached, does not hold the expected key, or takes no one in now.
    #[error("can't ask to join: {0}")]
    Unreachable(String),
    /// The connection was closed without an answer.
    #[error("the connection was closed without an answer")]
    Broken,
    /// No answer in time.
    #[error("no answer within {} ms", waited.as_millis())]
    Deadline {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The request is longer than strangers may send. It was not sent.
    #[error("a request of {bytes} bytes is too long, at most {most} go")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most that goes.
        most: usize,
    },
}

/// A live connection from this node to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// To whom.
    pub node: NodeId,
    /// What for.
    pub lane: Lane,
    /// Over which of its addresses.
    pub address: SocketAddr,
    /// The build that runs there, as it says.
    pub software: String,
    /// The version of the protocol that both speak.
    pub version: u16,
}

/// The transport of one node. Dropping it closes every connection without waiting.
pub struct Peers {
    shared: Arc<Shared>,
    listening: Vec<SocketAddr>,
    listeners: Mutex<Vec<(SocketAddr, JoinHandle<()>)>>,
}

impl Peers {
    /// Starts to listen. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// An address can't be listened on, or the key can't be used.
    pub fn start(options: PeersOptions) -> Result<Self, StartError> {
        let listen = options.listen.clone();
        let shared = Shared::new(options).map_err(StartError::Tls)?;
        let mut listeners = Vec::new();
        let mut listening = Vec::new();
        for address in listen {
            let failed = |source| StartError::Listen { address, source };
            let listener = bind(address).map_err(failed)?;
            listening.push(listener.local_addr().map_err(failed)?);
            listeners.push((address, listener));
        }
        let listeners = listeners
            .into_iter()
            .map(|(at, listener)| (at, tokio::spawn(accept::listen(shared.clone(), listener))))
            .collect();
        Ok(Self { shared, listening, listeners: Mutex::new(listeners) })
    }

    /// Listens on these addresses from now on, and on no others. Connections that were accepted on
    /// one that is left stay. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Each address that can't be listened on yet, and why. The others are; call it again later.
    pub fn listen_on(&self, wanted: &[SocketAddr]) -> Result<(), Vec<StartError>> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|(address, task)| {
            let stays = wanted.contains(address);
            if !stays {
                task.abort();
            }
            stays
        });
        let mut failed = Vec::new();
        for address in wanted {
            if listeners.iter().any(|(known, _)| known == address) {
                continue;
            }
            match bind(*address) {
                Ok(listener) => {
                    let task = tokio::spawn(accept::listen(self.shared.clone(), listener));
                    listeners.push((*address, task));
                }
                Err(source) => failed.push(StartError::Listen { address: *address, source }),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    /// Where this node listened first; ports that were left to the kernel are filled in.
    #[must_use]
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Sends a request of the daemon's to another node's daemon. Returns by `deadline`.
    ///
    /// # Errors
    /// See [`CallError`]; it tells apart what was not sent from what may have been carried out.
    pub async fn call(
        &self,
        node: NodeId,
        request: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, CallError> {
        Network::call(self, node, Lane::Daemon, request, deadline).await
    }

    /// Who could be reached but not talked to lately, and why.
    #[must_use]
    pub fn refused(&self) -> Vec<Refusal> {
        self.shared.refusals.list()
    }

    /// The connections that this node has made and that are up.
    #[must_use]
    pub fn connected(&self) -> Vec<Connected> {
        self.shared.connected()
    }

    /// Connects to a member's daemon, if that is not done yet, to learn which build runs there.
    /// Returns at once.
    pub fn meet(&self, node: NodeId) {
        drop(self.shared.link(node, Lane::Daemon));
    }

    /// Speaks no version of the protocol below that one any more, for the rest of this run: what is
    /// replicated holds things that older members would read otherwise. One of them that comes is
    /// refused, and both sides can name it.
    pub fn require(&self, oldest: u16) {
        self.shared.require(oldest);
    }

    /// The table of members this was started with.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.shared.members
    }

    /// Closes every connection and stops listening. When this returns the addresses are free.
    pub async fn shutdown(&self) {
        self.shared.closing.send_replace(true);
        let listeners =
            std::mem::take(&mut *self.listeners.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, listener) in listeners {
            // It is not cancelled, and one that panicked listens no more either.
            drop(listener.await);
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.shared.closing.send_replace(true);
    }
}

/// A listening socket. `IP_FREEBIND` lets it wait for an address that the machine gets later. One
/// of IPv6 takes no connections of IPv4.
///
/// # Errors
/// The address can't be listened on.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
    } else {
        socket.set_freebind_v4(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

impl Network for Peers {
    fn call(
        &self,
        node: NodeId,
        lane: Lane,
        request: Vec<u8>,
        ttl: Duration,
    ) -> Boxed<'static, Result<Vec<u8>, CallError>> {
        let most = body_bytes(lane);
        if request.len() > most {
            let bytes = request.len();
            return Box::pin(std::future::ready(Err(CallError::TooLong { bytes, most })));
        }
        let link = self.shared.link(node, lane);
        Box::pin(async move {
            let unreachable =
                |reason: &str| CallError::Unreachable { node, reason: reason.to_string() };
            let link = link.ok_or_else(|| unreachable("it is not in the table of members"))?;
            let (reply, answer) = oneshot::channel();
            let call = Call { body: request, ttl, reply };
            if link.calls.try_send(call).is_err() {
                return Err(unreachable("too many requests to it are in line"));
            }
            match tokio::time::timeout(ttl, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_gone)) => Err(CallError::Broken { node }),
                Err(_elapsed) => Err(CallError::Deadline { node, waited: ttl }),
            }
        })
    }

    fn serve_log(&self, service: Option<Arc<dyn Service>>) {
        self.shared.serve_log(service);
    }
}
