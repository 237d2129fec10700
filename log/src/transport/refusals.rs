//! Who could not be talked to, and why: for `status`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use stead_core::id::NodeId;
use thiserror::Error;

use super::hello::HelloRefusal;
use super::identity::KeyHash;

/// A node or a stranger that this node can't talk to, though it can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which node, if its key told.
    pub node: Option<NodeId>,
    /// Where it was called, or where it called from last.
    pub address: SocketAddr,
    /// What is wrong.
    pub reason: RefusalReason,
    /// When this was first seen.
    pub since: Instant,
    /// When it was last seen.
    pub last: Instant,
    /// How often.
    pub count: u64,
}

/// What is wrong between this node and another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum RefusalReason {
    /// The other was refused here.
    #[error("refused here: {0}")]
    ByUs(HelloRefusal),
    /// This node was refused there.
    #[error("refused there: {0}")]
    ByThem(HelloRefusal),
    /// Another key than the table of members says. Either the table is old, or this is not the
    /// node it claims to be.
    #[error("it holds the key {0}, not the one in the table of members")]
    WrongKey(KeyHash),
    /// It answered as another node.
    #[error("it says it is node {0}")]
    WrongNode(NodeId),
    /// The TLS handshake failed.
    #[error("no TLS handshake: {0}")]
    Tls(String),
    /// What it said is not of this protocol.
    #[error("it does not speak this protocol: {0}")]
    Garbage(String),
    /// It connected and then said too little for too long.
    #[error("it was too slow to say who it is")]
    TooSlow,
}

/// Most refusals that are kept; strangers must not fill the memory.
const KEPT: usize = 64;
/// One that was not seen again for this long is over.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// The same thing seen again. A stranger's port is another one each time.
type Key = (Option<NodeId>, IpAddr, RefusalReason);

#[derive(Default)]
pub(super) struct Refusals(Mutex<BTreeMap<Key, Refusal>>);

impl Refusals {
    pub fn note(&self, node: Option<NodeId>, address: SocketAddr, reason: RefusalReason) {
        let now = Instant::now();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, refusal| now.duration_since(refusal.last) < FORGOTTEN);
        let key = (node, address.ip(), reason);
        if kept.len() >= KEPT && !kept.contains_key(&key) {
            let oldest = kept.iter().min_by_key(|(_, refusal)| refusal.last);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                kept.remove(&oldest);
            }
        }
        let reason = key.2.clone();
        let refusal = kept.entry(key).or_insert_with(|| {
            tracing::warn!(?node, %address, %reason, "refused");
            Refusal { node, address, reason, since: now, last: now, count: 0 }
        });
        refusal.last = now;
        refusal.address = address;
        refusal.count += 1;
    }

    /// `node` can be talked to.
    pub fn forget(&self, node: NodeId) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, refusal| refusal.node != Some(node));
    }

    pub fn list(&self) -> Vec<Refusal> {
        let now = Instant::now();
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = kept.values().filter(|refusal| now.duration_since(refusal.last) < FORGOTTEN);
        fresh.cloned().collect()
    }
}
