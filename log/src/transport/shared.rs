//! What all connections of one transport have in common.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stead_core::id::{ClusterId, NodeId};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::join::{Door, Join};
use super::limits::{INCOMING_PER_LANE, STRANGERS};
use super::link::Link;
use super::refusals::Refusals;
use super::tls::Tls;
use super::{Connected, Members, PeersOptions};
use crate::network::{Lane, Service};

pub(super) struct Shared {
    pub node: NodeId,
    pub cluster: ClusterId,
    pub software: String,
    versions: (AtomicU16, u16),
    pub tls: Tls,
    pub members: Members,
    pub join: Option<Arc<dyn Join>>,
    pub door: Door,
    pub refusals: Refusals,
    pub strangers: Strangers,
    pub closing: watch::Sender<bool>,
    daemon: Arc<dyn Service>,
    log: Mutex<Option<Arc<dyn Service>>>,
    links: Mutex<HashMap<(NodeId, Lane), Link>>,
    connected: Mutex<BTreeMap<(NodeId, Lane), Connected>>,
    incoming: Mutex<HashMap<(NodeId, Lane), Queue>>,
}

/// Connections of one member for one purpose, the oldest first.
type Queue = VecDeque<(u64, AbortHandle)>;

/// Nothing that holds one of these locks can panic half way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn new(options: PeersOptions) -> Result<Arc<Self>, rustls::Error> {
        Ok(Arc::new(Self {
            node: options.node,
            cluster: options.cluster,
            // It has to fit into a hello.
            software: options.software.chars().take(100).collect(),
            versions: (AtomicU16::new(options.versions.0), options.versions.1),
            tls: Tls::new(&options.identity)?,
            members: options.members,
            door: Door::new(options.join.is_some()),
            join: options.join,
            refusals: Refusals::default(),
            strangers: Strangers::new(STRANGERS),
            closing: watch::Sender::new(false),
            daemon: options.daemon,
            log: Mutex::default(),
            links: Mutex::default(),
            connected: Mutex::default(),
            incoming: Mutex::default(),
        }))
    }

    /// The oldest and newest version of the protocol to speak.
    pub fn versions(&self) -> (u16, u16) {
        (self.versions.0.load(Ordering::Relaxed), self.versions.1)
    }

    /// Speaks no version below that one any more.
    pub fn require(&self, oldest: u16) {
        self.versions.0.fetch_max(oldest.min(self.versions.1), Ordering::Relaxed);
    }

    /// The link to a member, made if there is none.
    pub fn link(self: &Arc<Self>, node: NodeId, lane: Lane) -> Option<Link> {
        self.members.get(node)?;
        let mut links = lock(&self.links);
        if let Some(link) = links.get(&(node, lane)).filter(|link| !link.calls.is_closed()) {
            return Some(link.clone());
        }
        let link = Link::start(self.clone(), node, lane);
        links.insert((node, lane), link.clone());
        Some(link)
    }

    /// `node` has given a sign of life: links to it need not rest.
    pub fn wake(&self, node: NodeId) {
        for ((_, _), link) in lock(&self.links).iter().filter(|((to, _), _)| *to == node) {
            link.wake.notify_waiters();
        }
    }

    pub fn serve_log(&self, service: Option<Arc<dyn Service>>) {
        *lock(&self.log) = service;
    }

    /// Who answers requests on `lane`.
    pub fn service(&self, lane: Lane) -> Option<Arc<dyn Service>> {
        match lane {
            Lane::Log | Lane::Bulk => lock(&self.log).clone(),
            Lane::Daemon => Some(self.daemon.clone()),
        }
    }

    /// A link is up.
    pub fn arrived(&self, connected: Connected) {
        let (node, lane) = (connected.node, connected.lane);
        self.refusals.forget(node);
        lock(&self.connected).insert((node, lane), connected);
        match lane {
            Lane::Log | Lane::Daemon => {
                if let Some(service) = self.service(lane) {
                    service.connected(node);
                }
            }
            Lane::Bulk => {}
        }
    }

    /// A link is down.
    pub fn left(&self, place: (NodeId, Lane)) {
        lock(&self.connected).remove(&place);
    }

    pub fn connected(&self) -> Vec<Connected> {
        lock(&self.connected).values().cloned().collect()
    }

    /// Runs an incoming connection; the oldest of too many is taken for dead.
    pub async fn incoming(
        &self,
        place: (NodeId, Lane),
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        let number = self.strangers.number();
        let task = tokio::spawn(connection);
        let guard = AbortOnDrop(task.abort_handle());
        {
            let mut incoming = lock(&self.incoming);
            let queue = incoming.entry(place).or_default();
            queue.push_back((number, task.abort_handle()));
            if queue.len() > INCOMING_PER_LANE
                && let Some((_, oldest)) = queue.pop_front()
            {
                oldest.abort();
            }
        }
        // Ended, aborted or panicked: the connection is gone in any case.
        drop(task.await);
        drop(guard);
        let mut incoming = lock(&self.incoming);
        if let Some(queue) = incoming.get_mut(&place) {
            queue.retain(|(other, _)| *other != number);
            if queue.is_empty() {
                incoming.remove(&place);
            }
        }
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connections that have not yet said who they are, the oldest first.
#[derive(Debug)]
pub struct Strangers {
    most: usize,
    next: AtomicU64,
    waiting: Mutex<VecDeque<(u64, Arc<Notify>)>>,
}

impl Strangers {
    /// Room for that many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, next: AtomicU64::default(), waiting: Mutex::default() }
    }

    /// A number that is no one else's.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes one more in; it has to give way when the returned signal comes.
    pub fn add(&self, number: u64) -> Arc<Notify> {
        let give_way = Arc::new(Notify::new());
        let mut waiting = lock(&self.waiting);
        waiting.push_back((number, give_way.clone()));
        if waiting.len() > self.most
            && let Some((_, oldest)) = waiting.pop_front()
        {
            oldest.notify_one();
        }
        give_way
    }

    /// It is no stranger any more, or gone.
    pub fn met(&self, number: u64) {
        lock(&self.waiting).retain(|(other, _)| *other != number);
    }
}
