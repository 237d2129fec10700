//! What carries messages between nodes, as the log sees it.
//!
//! Two implementations: [`crate::transport::Peers`] (TLS over TCP, the real one) and
//! [`inproc::Hub`] (all nodes in one process, for tests and simulation). Both carry bytes only, so
//! that encoding is exercised by either.
//!
//! The log never asks a network to be reliable: a message may be lost, late, or doubled by its
//! sender's retry. It asks that an answer belongs to its request, and that the sender is who the
//! network says it is.

pub mod inproc;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::NodeId;
use thiserror::Error;

use crate::listener::Boxed;

/// What a message is for. Lanes have connections of their own: none delays another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Consensus: votes, entries, heartbeats, reads.
    Log,
    /// Snapshots of the log.
    Bulk,
    /// The daemon's own requests.
    Daemon,
}

/// Why a request to another node got no answer.
#[derive(Debug, Error)]
pub enum CallError {
    /// No connection, and none to be had now. The request was not sent.
    #[error("node {node} can't be reached: {reason}")]
    Unreachable {
        /// The node that was called.
        node: NodeId,
        /// What the last attempt met with.
        reason: String,
    },
    /// The connection broke after the request was handed to it. Whether it was carried out is not
    /// known.
    #[error("the connection to node {node} broke before an answer came")]
    Broken {
        /// The node that was called.
        node: NodeId,
    },
    /// No answer by the deadline. Whether it was carried out is not known.
    #[error("no answer from node {node} within {} ms", waited.as_millis())]
    Deadline {
        /// The node that was called.
        node: NodeId,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The other side is up and did not carry it out: it has no use for such requests now, or too
    /// many of them.
    #[error("node {node} refused the request: {reason}")]
    Refused {
        /// The node that was called.
        node: NodeId,
        /// Its reason.
        reason: Refused,
    },
    /// The request is longer than the lane takes. It was not sent.
    #[error("a request of {bytes} bytes is too long, at most {most} go")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most that goes on this lane.
        most: usize,
    },
}

/// Why a request that arrived was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum Refused {
    /// Nobody answers such requests at present: the node is starting or stopping.
    #[error("it is not serving")]
    NotServing,
    /// Too many requests are under way.
    #[error("it is busy")]
    Busy,
    /// The answer would be longer than the lane takes.
    #[error("the answer is too long")]
    AnswerTooLong,
}

/// Carries requests of the log to other nodes, and theirs to it.
pub trait Network: Send + Sync + 'static {
    /// Sends `request` and returns the answer; always returns within `ttl`.
    fn call(
        &self,
        node: NodeId,
        lane: Lane,
        request: Vec<u8>,
        ttl: Duration,
    ) -> Boxed<'static, Result<Vec<u8>, CallError>>;

    /// From now on requests on [`Lane::Log`] and [`Lane::Bulk`] go to `service`, until the next
    /// call; with `None` they are refused as [`Refused::NotServing`].
    fn serve_log(&self, service: Option<std::sync::Arc<dyn Service>>);
}

/// Answers the requests of other nodes.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. The future is dropped when the caller's time is over.
    fn handle(&self, from: NodeId, request: Vec<u8>) -> Boxed<'static, Vec<u8>>;

    /// A connection to `node` has come up, after the start or after it was lost.
    fn connected(&self, node: NodeId) {
        let _ = node;
    }
}
