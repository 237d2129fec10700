//! The holder lists its connections and tells the other daemons.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::node::Phase;
use stead_edge::chain;
use stead_linux::tcp::{Connections, Which};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::reset::{Asked, Resets};
use super::{Ends, Known, List, MOST, Taken, Told};
use crate::driver::handle::Handle;
use crate::driver::view::View;

/// Between two lists.
const PAUSE: Duration = Duration::from_millis(250);
/// How many times as long as a list took is waited before the next one.
const REST: u32 = 400;
/// How long a daemon may take to answer.
const DEADLINE: Duration = Duration::from_millis(500);

/// The way to the other daemons.
pub trait Others: Send + Sync + 'static {
    /// Those that can be told.
    fn able(&self) -> Vec<NodeId>;

    /// Tells one of them; nothing if no answer came in time.
    fn tell(
        &self,
        node: NodeId,
        told: Told,
        deadline: Duration,
    ) -> impl Future<Output = Option<Taken>> + Send;
}

/// A list that a daemon has taken.
#[derive(Clone)]
struct Kept {
    epoch: Epoch,
    number: u64,
    list: Arc<List>,
}

struct Teller<O> {
    me: NodeId,
    known: Known,
    asked: Asked,
    others: Arc<O>,
    connections: Connections,
    /// What this node has now.
    lists: BTreeMap<ServiceId, Kept>,
    /// What each daemon has taken last.
    taken: BTreeMap<(NodeId, ServiceId), Kept>,
}

/// Begins; it goes on as long as the daemon runs.
pub fn tell<O: Others>(me: NodeId, handle: Handle, known: Known, resets: &Resets, others: Arc<O>) {
    let teller = Teller {
        me,
        known,
        asked: resets.asked.clone(),
        others,
        connections: Connections::open(),
        lists: BTreeMap::new(),
        taken: BTreeMap::new(),
    };
    tokio::spawn(teller.run(handle));
}

impl<O: Others> Teller<O> {
    async fn run(mut self, handle: Handle) {
        let mut pause = PAUSE;
        loop {
            sleep(pause).await;
            let served = served(&handle.view());
            self.lists.retain(|service, _| served.contains_key(service));
            if served.is_empty() {
                self.taken.clear();
                continue;
            }
            let began = Instant::now();
            self = self.look(served).await;
            pause = PAUSE.max(began.elapsed() * REST);
            self.tell_all().await;
        }
    }

    /// Lists, off the threads that others wait for.
    async fn look(mut self, served: BTreeMap<ServiceId, (Epoch, Vec<IpAddr>)>) -> Self {
        let looked = tokio::task::spawn_blocking(move || {
            self.list(&served);
            self
        });
        match looked.await {
            Ok(teller) => teller,
            // It is not cancelled: it panicked, which is no less than a bug.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn list(&mut self, served: &BTreeMap<ServiceId, (Epoch, Vec<IpAddr>)>) {
        let mut lists: BTreeMap<&ServiceId, List> = BTreeMap::new();
        let of: BTreeMap<IpAddr, &ServiceId> = served
            .iter()
            .flat_map(|(service, (_, addresses))| addresses.iter().map(move |it| (*it, service)))
            .collect();
        let listed = self.connections.list(Which::Open, |connection| {
            let Some(service) = of.get(&connection.local.ip()) else { return };
            let list = lists.entry(*service).or_default();
            if list.len() < MOST {
                list.insert(Ends::from(connection));
            }
        });
        if let Err(error) = listed {
            tracing::debug!("{}", chain(&error));
            return;
        }
        for (service, (epoch, _)) in served {
            let mut list = lists.remove(service).unwrap_or_default();
            if let Some(asked) = self.asked.of(service) {
                list.extend(asked.iter().copied());
            }
            self.set(service, *epoch, list);
        }
    }

    fn set(&mut self, service: &ServiceId, epoch: Epoch, list: List) {
        let before = self.lists.get(service);
        if before.is_some_and(|it| it.epoch == epoch && *it.list == list) {
            return;
        }
        let number = before.map_or(1, |it| it.number + 1);
        let list = Arc::new(list);
        self.known.keep(self.me, service, epoch, list.clone());
        self.lists.insert(service.clone(), Kept { epoch, number, list });
    }

    /// Tells every daemon what it does not know yet.
    async fn tell_all(&mut self) {
        let mut telling = JoinSet::new();
        let able = self.others.able();
        self.taken
            .retain(|(node, service), _| able.contains(node) && self.lists.contains_key(service));
        for node in able {
            for (service, kept) in &self.lists {
                let taken = self.taken.get(&(node, service.clone()));
                let taken = taken.filter(|it| it.epoch == kept.epoch);
                if taken.is_some_and(|it| Arc::ptr_eq(&it.list, &kept.list)) {
                    continue;
                }
                let told = difference(service, kept, taken);
                let (others, kept) = (self.others.clone(), kept.clone());
                let service = service.clone();
                telling.spawn(async move {
                    let taken = others.tell(node, told, DEADLINE).await;
                    ((node, service), kept, taken)
                });
            }
        }
        while let Some(told) = telling.join_next().await {
            match told {
                Ok((place, kept, Some(Taken::Known))) => drop(self.taken.insert(place, kept)),
                // Whether it was taken is not known, or it was not: the whole, then.
                Ok((place, _, Some(Taken::Behind) | None)) => drop(self.taken.remove(&place)),
                Err(error) => tracing::error!("connections were not told: {error}"),
            }
        }
    }
}

/// What a daemon has to be told that has taken `taken`.
fn difference(service: &ServiceId, kept: &Kept, taken: Option<&Kept>) -> Told {
    let nothing = List::new();
    let before = taken.map_or(&nothing, |it| &*it.list);
    Told {
        service: service.clone(),
        epoch: kept.epoch,
        number: kept.number,
        base: taken.map(|it| it.number),
        added: kept.list.difference(before).copied().collect(),
        gone: before.difference(&kept.list).copied().collect(),
    }
}

/// The services whose addresses this node answers for, under which epoch, and these addresses.
fn served(view: &View) -> BTreeMap<ServiceId, (Epoch, Vec<IpAddr>)> {
    let mut served = BTreeMap::new();
    for (service, local) in &view.local {
        match local.phase {
            Phase::Starting | Phase::Running | Phase::Stopping(_) => {}
            Phase::Probing(_) | Phase::Claiming | Phase::Releasing(_) | Phase::Stopped(..) => {
                continue;
            }
        }
        let assigned = view.state.assignments.get(service);
        if let Some(assigned) = assigned.filter(|it| it.epoch == local.epoch) {
            served.insert(service.clone(), (local.epoch, assigned.addresses.clone()));
        }
    }
    served
}
