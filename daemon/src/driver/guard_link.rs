//! The daemon's end of the guard's door: connects, and connects again, as long as the daemon runs.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stead_core::id::Term;
use stead_core::lease::Order;
use stead_edge::chain;
use stead_edge::polled::Polled;
use stead_linux::seqpacket::{Connection, Received, SeqpacketError};
use stead_log::{Boxed, NotLearnt, TermListener};
use tokio::sync::{mpsc, watch};

use crate::agent::Page;
use crate::guard::ipc::{self, FromGuard, ToGuard};

/// The time between two attempts to reach the guard.
const RETRY: Duration = Duration::from_millis(20);
/// How long the guard may take to learn of a vote before it is told again.
const LEARN_PATIENCE: Duration = Duration::from_millis(50);

/// What the link tells the driver.
#[derive(Debug)]
pub(super) enum GuardEvent {
    /// The guard answers, at this door.
    Connected(Door),
    /// The page that it shows to keepers.
    Page(Page),
    /// Something from the guard.
    Said(Box<FromGuard>),
    /// The connection ended.
    Lost,
}

/// One connection to a guard.
pub(super) struct Door(Arc<Fd>);

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door")
    }
}

impl Door {
    /// Sends a message, if the guard takes it: whether it did. What is lost is said again by
    /// whoever needs it.
    pub(super) fn send(&self, message: &ToGuard) -> bool {
        let sent = match ipc::encode(message) {
            Ok(bytes) => self.0.0.send(&bytes),
            Err(error) => {
                tracing::error!("to the guard: {}", chain(&error));
                return false;
            }
        };
        match sent {
            Ok(true) => return true,
            Ok(false) => tracing::warn!("the guard's queue is full: an order was dropped"),
            // Its end shows where it is read from.
            Err(SeqpacketError::Closed) => {}
            Err(error) => tracing::error!("to the guard: {}", chain(&error)),
        }
        false
    }
}

/// The way to the guard that is there now, for votes. Copies share it.
#[derive(Clone)]
pub(super) struct GuardLink {
    connection: Arc<Mutex<Option<Arc<Fd>>>>,
    /// The term of the vote that the guard knows, in the present connection.
    vote_known: watch::Receiver<Option<Term>>,
}

struct Fd(Connection);

impl GuardLink {
    /// Begins to connect; what the guard says goes to `events`.
    pub(super) fn start(path: PathBuf, events: mpsc::Sender<GuardEvent>) -> Self {
        let (told, vote_known) = watch::channel(None);
        let connection = Arc::new(Mutex::new(None));
        let link = Self { connection: connection.clone(), vote_known };
        tokio::spawn(async move {
            let mut last = None;
            while !events.is_closed() {
                match Connection::connect(&path) {
                    Ok(connected) => {
                        last = None;
                        drop(serve(connected, &connection, &told, &events).await);
                        *connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
                        told.send_replace(None);
                        if events.send(GuardEvent::Lost).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        let text = chain(&error);
                        if last.as_ref() != Some(&text) {
                            tracing::warn!("the guard can't be reached: {text}");
                            last = Some(text);
                        }
                    }
                }
                tokio::time::sleep(RETRY).await;
            }
        });
        link
    }
}

/// Reads from one connection until it ends.
async fn serve(
    connected: Connection,
    slot: &Mutex<Option<Arc<Fd>>>,
    told: &watch::Sender<Option<Term>>,
    events: &mpsc::Sender<GuardEvent>,
) -> std::io::Result<()> {
    let fd = Arc::new(Fd(connected));
    let polled = Polled::new(Reading(fd.clone()))?;
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(fd.clone());
    if events.send(GuardEvent::Connected(Door(fd))).await.is_err() {
        return Ok(());
    }
    let mut buffer = vec![0; ipc::LONGEST];
    loop {
        let mut page = None;
        let received = polled.next(|reading| {
            let received = reading.0.0.receive_with(&mut buffer, &mut page);
            if matches!(received, Ok(Received::Nothing)) { None } else { Some(received) }
        });
        let length = match received.await? {
            Ok(Received::Message(length)) => length,
            Ok(Received::Nothing | Received::Closed) => return Ok(()),
            Err(error) => return Err(std::io::Error::other(error)),
        };
        let message: FromGuard = ipc::decode(&buffer[..length]).map_err(std::io::Error::other)?;
        if let FromGuard::VoteKnown(term) = message {
            told.send_replace(Some(term));
            continue;
        }
        if let Some(page) = page
            && events.send(GuardEvent::Page(Arc::new(page))).await.is_err()
        {
            return Ok(());
        }
        if events.send(GuardEvent::Said(Box::new(message))).await.is_err() {
            return Ok(());
        }
    }
}

/// The end that is read from.
struct Reading(Arc<Fd>);

impl AsFd for Reading {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl TermListener for GuardLink {
    /// The guard learns of every term before a vote in it leaves this node.
    fn learn(&self, term: Term) -> Boxed<'_, Result<(), NotLearnt>> {
        let mut known = self.vote_known.clone();
        Box::pin(async move {
            let door = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(fd) = door {
                Door(fd).send(&ToGuard::Order(Order::Vote(term)));
            }
            let learnt = known.wait_for(|known| known.is_some_and(|known| known >= term));
            match tokio::time::timeout(LEARN_PATIENCE, learnt).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(error.into()),
                Err(elapsed) => Err(elapsed.into()),
            }
        })
    }
}
