//! Who may speak to this node, live.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use stead_core::id::NodeId;
use tokio::sync::watch;

use super::identity::KeyHash;

/// One node: where it listens, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// One address per link, in order of preference. Each is tried if the one before is not quick.
    pub addresses: Vec<SocketAddr>,
    /// The hash of its public key.
    pub key: KeyHash,
}

/// The table of all nodes; copies share it.
///
/// What it says holds at once: a connection to or from a node that is taken out, or whose key is
/// changed, is closed.
#[derive(Clone, Debug)]
pub struct Members(Arc<watch::Sender<Arc<BTreeMap<NodeId, Member>>>>);

impl Members {
    /// A table with these nodes.
    #[must_use]
    pub fn new(members: BTreeMap<NodeId, Member>) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(members))))
    }

    /// Replaces the whole table.
    pub fn set(&self, members: BTreeMap<NodeId, Member>) {
        self.0.send_if_modified(|table| {
            let modified = **table != members;
            if modified {
                *table = Arc::new(members);
            }
            modified
        });
    }

    /// Adds or replaces one node.
    pub fn insert(&self, node: NodeId, member: Member) {
        self.0.send_modify(|table| {
            Arc::make_mut(table).insert(node, member);
        });
    }

    /// Takes one node out.
    pub fn remove(&self, node: NodeId) {
        self.0.send_modify(|table| {
            Arc::make_mut(table).remove(&node);
        });
    }

    /// All nodes in it.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.0.borrow().keys().copied().collect()
    }

    /// What the table says of `node`.
    #[must_use]
    pub fn get(&self, node: NodeId) -> Option<Member> {
        self.0.borrow().get(&node).cloned()
    }

    /// Whose key this is.
    #[must_use]
    pub fn owner(&self, key: KeyHash) -> Option<NodeId> {
        self.0.borrow().iter().find(|(_, member)| member.key == key).map(|(node, _)| *node)
    }

    /// Whether `key` is the key of `node`.
    #[must_use]
    pub fn trusts(&self, node: NodeId, key: KeyHash) -> bool {
        self.0.borrow().get(&node).is_some_and(|member| member.key == key)
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<BTreeMap<NodeId, Member>>> {
        self.0.subscribe()
    }
}
