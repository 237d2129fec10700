//! Asks the former holder's clients.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stead_core::id::{Epoch, ServiceId};
use stead_core::notice::Notice;
use stead_edge::chain;
use stead_linux::tcp::{Connection, Connections, Tickler, Turn, Which};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::{BURST, Known, List};

/// When the clients are asked, counted from the announcement, and with which number. Two questions
/// are further apart than the half second in which Linux answers one.
const ROUNDS: [(Duration, Turn); 3] = [
    (Duration::ZERO, Turn::First),
    (Duration::from_millis(600), Turn::Second),
    (Duration::from_millis(2_000), Turn::First),
];
/// Between two bursts.
const PAUSE: Duration = Duration::from_millis(10);

/// The clients that are being asked, by service: should this node fail meanwhile, the next one asks
/// them again.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(Arc<Mutex<BTreeMap<ServiceId, Arc<List>>>>);

impl Asked {
    fn set(&self, service: &ServiceId, list: Option<Arc<List>>) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match list {
            Some(list) => drop(asked.insert(service.clone(), list)),
            None => drop(asked.remove(service)),
        }
    }

    pub(super) fn of(&self, service: &ServiceId) -> Option<Arc<List>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(service).cloned()
    }
}

/// Tells the former holder's clients of the services that this node claims.
pub struct Resets {
    pub(crate) known: Known,
    pub(super) asked: Asked,
    notices: UnboundedSender<Notice>,
    running: BTreeMap<ServiceId, AbortHandle>,
}

impl Resets {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(known: Known, notices: UnboundedSender<Notice>) -> Self {
        Self { known, asked: Asked::default(), notices, running: BTreeMap::new() }
    }

    /// The service was claimed under that epoch and is announced: asks whoever was connected to its
    /// former holder. Returns at once.
    pub fn begin(&mut self, service: ServiceId, epoch: Epoch) {
        self.end(&service);
        let list = self.known.before(&service, epoch);
        if list.is_empty() {
            return;
        }
        self.asked.set(&service, Some(list.clone()));
        let (asked, notices) = (self.asked.clone(), self.notices.clone());
        let asking = ask_all(service.clone(), list, asked, notices);
        self.running.insert(service, tokio::spawn(asking).abort_handle());
    }

    /// The service's addresses are let go: nobody is asked any more.
    pub fn end(&mut self, service: &ServiceId) {
        if let Some(task) = self.running.remove(service) {
            task.abort();
        }
        self.asked.set(service, None);
    }
}

impl Drop for Resets {
    fn drop(&mut self) {
        self.running.values().for_each(AbortHandle::abort);
    }
}

async fn ask_all(
    service: ServiceId,
    list: Arc<List>,
    asked: Asked,
    notices: UnboundedSender<Notice>,
) {
    let began = Instant::now();
    for (number, (after, turn)) in ROUNDS.into_iter().enumerate() {
        sleep_until(began + after).await;
        let count = round(&strangers(&list).await, turn).await;
        if number == 0 && count > 0 {
            // Nobody listens any more only when the daemon ends.
            let _ = notices.send(Notice::ClientsTold(service.clone(), count));
        }
    }
    asked.set(&service, None);
}

/// Those of the list that this node's kernel does not know. What can't be found out is no reason
/// to ask nobody: a connection that the kernel knows survives the question.
async fn strangers(list: &Arc<List>) -> Vec<Connection> {
    let list = list.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let mut left = List::clone(&list);
        let listed = Connections::open().list(Which::Known, |it| {
            left.remove(&it.into());
        });
        if let Err(error) = listed {
            tracing::warn!("{}", chain(&error));
        }
        left.into_iter().map(Connection::from).collect()
    });
    looked.await.unwrap_or_default()
}

/// Asks all of them once; says how many segments left.
async fn round(connections: &[Connection], turn: Turn) -> u64 {
    let addresses: BTreeSet<IpAddr> = connections.iter().map(|it| it.local.ip()).collect();
    let mut ticklers = Vec::new();
    for address in addresses {
        match Tickler::open(address) {
            Ok(tickler) => ticklers.push(tickler),
            Err(error) => tracing::warn!("old connections stay: {}", chain(&error)),
        }
    }
    let mut left = 0;
    for burst in connections.chunks(BURST) {
        for connection in burst {
            let of = ticklers.iter().find(|it| it.from() == connection.local.ip());
            match of.map(|tickler| tickler.ask(connection, turn)) {
                Some(Ok(())) => left += 1,
                // Asked again in the next round.
                Some(Err(error)) => tracing::debug!("{} is not asked: {error}", connection.remote),
                None => {}
            }
        }
        sleep(PAUSE).await;
    }
    left
}
