//! Connecting: which address, which key, and the hello.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use stead_core::id::NodeId;
use thiserror::Error;
use tokio::net::TcpStream;

use super::frame::{FrameError, read_bytes, write_bytes};
use super::hello::{self, Hello, HelloAnswer, Purpose, agree};
use super::identity::KeyHash;
use super::limits::{CONNECT, HELLO_BYTES, STAGGER};
use super::refusals::RefusalReason;
use super::shared::Shared;
use super::tls::{ClientStream, HandshakeError};

/// Why there is no connection to an address.
#[derive(Debug, Error)]
pub(super) enum DialError {
    #[error("{0}: nobody answers")]
    Timeout(SocketAddr),
    #[error("{0}: {1}")]
    Io(SocketAddr, io::Error),
    #[error("{0}: {1}")]
    Refused(SocketAddr, RefusalReason),
    #[error("it has no address")]
    NoAddress,
}

/// A connection on which both have said who they are.
pub(super) struct Dialled {
    pub stream: ClientStream,
    pub address: SocketAddr,
    pub software: String,
    pub version: u16,
}

/// Sets what every connection of ours is set to. `silence` bounds how long sent data may go
/// without an acknowledgement (RFC 5482): the kernel's part in noticing a peer that is cut off.
///
/// # Errors
/// The kernel does not take it.
pub fn prepare(stream: &TcpStream, silence: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(silence))
}

impl Shared {
    /// Connects to the first of `addresses` that works; one that is slow delays the next only by
    /// the stagger. What could be reached but not talked to is noted.
    pub(super) async fn dial(
        self: &Arc<Self>,
        node: Option<NodeId>,
        addresses: &[SocketAddr],
        key: KeyHash,
        purpose: Purpose,
        silence: Duration,
    ) -> Result<Dialled, DialError> {
        let attempts = addresses.iter().zip(0u32..).map(|(address, place)| async move {
            tokio::time::sleep(STAGGER * place).await;
            let attempt = self.dial_one(node, *address, key, purpose, silence);
            tokio::time::timeout(CONNECT, attempt)
                .await
                .unwrap_or(Err(DialError::Timeout(*address)))
        });
        let mut attempts: FuturesUnordered<_> = attempts.collect();
        let mut worst = DialError::NoAddress;
        while let Some(attempt) = attempts.next().await {
            match attempt {
                Ok(dialled) => return Ok(dialled),
                Err(error) => {
                    if let DialError::Refused(address, reason) = &error {
                        self.refusals.note(node, *address, reason.clone());
                    }
                    worst = error;
                }
            }
        }
        Err(worst)
    }

    async fn dial_one(
        &self,
        node: Option<NodeId>,
        address: SocketAddr,
        key: KeyHash,
        purpose: Purpose,
        silence: Duration,
    ) -> Result<Dialled, DialError> {
        let io = |error| DialError::Io(address, error);
        let refused = |reason| DialError::Refused(address, reason);
        let tcp = TcpStream::connect(address).await.map_err(io)?;
        prepare(&tcp, silence).map_err(io)?;
        let handshake = self.tls.connect(tcp, address.ip(), key).await;
        let mut stream = handshake.map_err(|error| match error {
            HandshakeError::WrongKey(found) => refused(RefusalReason::WrongKey(found)),
            HandshakeError::Tls(text) => refused(RefusalReason::Tls(text)),
            HandshakeError::Io(error) => io(error),
        })?;
        let versions = self.versions();
        let own = Hello {
            oldest: versions.0,
            newest: versions.1,
            cluster: self.cluster,
            node: self.node,
            purpose,
            software: self.software.clone(),
        };
        write_bytes(&mut stream, &hello::encode(&own)).await.map_err(io)?;
        let answer = read_bytes(&mut stream, HELLO_BYTES).await.map_err(|error| match error {
            FrameError::Io(error) => io(error),
            FrameError::TooLong { .. } | FrameError::Decode(_) | FrameError::Unexpected => {
                refused(RefusalReason::Garbage(error.to_string()))
            }
        })?;
        let answer: HelloAnswer = hello::decode(&answer)
            .ok_or_else(|| refused(RefusalReason::Garbage("no answer to the hello".into())))?;
        let version = answer.verdict.map_err(|reason| refused(RefusalReason::ByThem(reason)))?;
        if agree(versions, (version, version)).is_none() {
            let text = format!("it chose protocol version {version}, which was not offered");
            return Err(refused(RefusalReason::Garbage(text)));
        }
        if node.is_some_and(|node| node != answer.node) {
            return Err(refused(RefusalReason::WrongNode(answer.node)));
        }
        Ok(Dialled { stream, address, software: answer.software, version })
    }
}
