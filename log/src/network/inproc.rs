//! All nodes in one process: requests are handed over as bytes, nothing is sent.
//!
//! Uses nothing but the runtime's timers, so it is deterministic where the runtime is. A pair can
//! be cut in one direction or both: what goes that way is lost without a word, as in a switch, and
//! the caller waits for its deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_core::id::NodeId;

use super::{CallError, Lane, Network, Refused, Service};
use crate::listener::Boxed;

/// The switch that all nodes hang on; copies are the same switch.
#[derive(Clone, Default)]
pub struct Hub {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    services: BTreeMap<NodeId, Arc<dyn Service>>,
    cut: BTreeSet<(NodeId, NodeId)>,
}

impl Hub {
    /// A switch without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The network as `node` sees it.
    #[must_use]
    pub fn port(&self, node: NodeId) -> Arc<Port> {
        Arc::new(Port { node, hub: self.clone() })
    }

    /// Loses from now on all that goes from `from` to `to`, answers included.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.state().cut.insert((from, to));
    }

    /// Cuts `node` off from all of `others`, in both directions.
    pub fn isolate(&self, node: NodeId, others: impl IntoIterator<Item = NodeId>) {
        for other in others.into_iter().filter(|other| *other != node) {
            self.cut(node, other);
            self.cut(other, node);
        }
    }

    /// Carries everything again.
    pub fn heal(&self) {
        let services = {
            let mut state = self.state();
            state.cut.clear();
            state.services.clone()
        };
        for (node, service) in &services {
            for other in services.keys().filter(|other| *other != node) {
                service.connected(*other);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carries(&self, from: NodeId, to: NodeId) -> bool {
        !self.state().cut.contains(&(from, to))
    }

    async fn carry(self, from: NodeId, to: NodeId, request: Vec<u8>) -> Result<Vec<u8>, CallError> {
        if !self.carries(from, to) {
            return std::future::pending().await;
        }
        let service = self.state().services.get(&to).cloned();
        let Some(service) = service else {
            return Err(CallError::Refused { node: to, reason: Refused::NotServing });
        };
        let answer = service.handle(from, request).await;
        if !self.carries(to, from) {
            return std::future::pending().await;
        }
        Ok(answer)
    }
}

/// One node's place at a [`Hub`].
pub struct Port {
    node: NodeId,
    hub: Hub,
}

impl Network for Port {
    fn call(
        &self,
        node: NodeId,
        _lane: Lane,
        request: Vec<u8>,
        ttl: Duration,
    ) -> Boxed<'static, Result<Vec<u8>, CallError>> {
        let carried = self.hub.clone().carry(self.node, node, request);
        Box::pin(async move {
            tokio::time::timeout(ttl, carried)
                .await
                .unwrap_or(Err(CallError::Deadline { node, waited: ttl }))
        })
    }

    fn serve_log(&self, service: Option<Arc<dyn Service>>) {
        let mut state = self.hub.state();
        let others: Vec<_> = match service {
            Some(service) => {
                state.services.insert(self.node, service);
                let others = state.services.iter().filter(|(node, _)| **node != self.node);
                others.map(|(_, service)| service.clone()).collect()
            }
            None => {
                state.services.remove(&self.node);
                Vec::new()
            }
        };
        drop(state);
        for other in others {
            other.connected(self.node);
        }
    }
}
