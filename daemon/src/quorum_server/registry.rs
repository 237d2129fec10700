//! Which connection is whose, so that it can be ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use stead_core::id::ClusterId;
use stead_log::transport::KeyHash;
use tokio::sync::Notify;

use super::admission::Bucket;
use super::limits::{CONNECTIONS_PER_KEY, PER_KEY};

/// A connection's number.
pub(super) type Number = u64;

#[derive(Default)]
struct Client {
    questions: Bucket,
    /// The oldest first.
    connections: VecDeque<(Number, Arc<Notify>)>,
}

#[derive(Default)]
struct Inner {
    clients: HashMap<KeyHash, Client>,
    clusters: HashMap<ClusterId, HashMap<Number, (KeyHash, Arc<Notify>)>>,
}

/// All connections that have said who they are.
#[derive(Default)]
pub(super) struct Registry(Mutex<Inner>);

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection holds that key and asks for that cluster; `end` ends it. The oldest of too many
    /// with one key is ended.
    pub fn bind(&self, number: Number, key: KeyHash, cluster: ClusterId, end: &Arc<Notify>) {
        let mut inner = self.lock();
        let of_cluster = inner.clusters.entry(cluster).or_default();
        of_cluster.insert(number, (key, end.clone()));
        let client = inner.clients.entry(key).or_default();
        client.connections.push_back((number, end.clone()));
        if client.connections.len() > CONNECTIONS_PER_KEY
            && let Some((_, oldest)) = client.connections.pop_front()
        {
            oldest.notify_one();
        }
    }

    /// That connection is gone.
    pub fn left(&self, number: Number, key: KeyHash, cluster: ClusterId) {
        let mut inner = self.lock();
        if let Some(of_cluster) = inner.clusters.get_mut(&cluster) {
            of_cluster.remove(&number);
            if of_cluster.is_empty() {
                inner.clusters.remove(&cluster);
            }
        }
        if let Some(client) = inner.clients.get_mut(&key) {
            client.connections.retain(|(other, _)| *other != number);
            if client.connections.is_empty() {
                inner.clients.remove(&key);
            }
        }
    }

    /// Whether one more question of that key is allowed now.
    pub fn may_ask(&self, key: KeyHash) -> bool {
        let mut inner = self.lock();
        let client = inner.clients.get_mut(&key);
        client.is_none_or(|client| client.questions.take(PER_KEY, Instant::now()))
    }

    /// Ends every connection for that cluster whose key is none of those. Returns how many.
    pub fn end_others(&self, cluster: ClusterId, keys: &[KeyHash]) -> usize {
        let inner = self.lock();
        let of_cluster = inner.clusters.get(&cluster).into_iter().flatten();
        let others = of_cluster.filter(|(_, (key, _))| !keys.contains(key));
        others.map(|(_, (_, end))| end.notify_one()).count()
    }

    /// How many connections there are for that cluster.
    pub fn connections(&self, cluster: ClusterId) -> usize {
        self.lock().clusters.get(&cluster).map_or(0, HashMap::len)
    }
}
