//! What the log is for: a state machine of the daemon's, and the events that tell of it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use stead_core::id::{Index, NodeId, Term};
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use crate::store::StoreError;
use crate::tie::Grants;

/// The replicated state: what [`crate::Log`] applies committed changes to.
///
/// It lives in the log's own task. Whoever drives the node follows it through [`Events`], or shares
/// it behind a lock of its own.
pub trait Machine: Send + 'static {
    /// Applies one committed change and returns the encoded outcome, for the proposer.
    ///
    /// A pure function of the state and the change: every member runs it, and all must arrive at
    /// the same state. Bytes that can't be decoded are an outcome too, never a panic: an entry that
    /// kills its reader would kill every member in turn.
    fn apply(&mut self, index: Index, change: &[u8]) -> Vec<u8>;

    /// A membership was committed. The default is for machines that need not know.
    fn membership(&mut self, index: Index, membership: &Membership) {
        let _ = (index, membership);
    }

    /// Which grant an encoded change carries, if it carries one: what the log looks for in what is
    /// not applied yet (rule G4). The default is for machines that know no grants.
    fn grants(&self) -> Grants {
        |_| None
    }

    /// The whole state, encoded. It must contain all that later changes depend on, and stay well
    /// below 64 MiB, since it goes to a member that lags behind in one message.
    ///
    /// # Errors
    /// The state can't be encoded. Nothing is written then, and the log stops: what is in place of
    /// a state would be all that is left of it once the entries behind it are gone.
    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError>;

    /// Replaces the state by one that [`Machine::snapshot`] encoded, here or on another member. On
    /// an error the state must be unchanged.
    ///
    /// # Errors
    /// The bytes are not a state of this build.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError>;
}

/// A snapshot that the machine can't read. The state is as it was; the log stops.
#[derive(Debug, Error)]
#[error("snapshot refused: {0}")]
pub struct RestoreError(pub String);

/// A state that the machine can't encode. Nothing was written; the log stops.
#[derive(Clone, Debug, Error)]
#[error("the state can't be encoded: {0}")]
pub struct SnapshotError(pub String);

/// Who votes and who only follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Members whose votes and acknowledgements count. While a change is under way by joint
    /// consensus, all of either set.
    pub voters: BTreeSet<NodeId>,
    /// Members that receive the log and do not count.
    pub learners: BTreeSet<NodeId>,
}

impl From<&crate::types::Membership> for Membership {
    fn from(membership: &crate::types::Membership) -> Self {
        Self {
            voters: membership.voter_ids().collect(),
            learners: membership.learner_ids().collect(),
        }
    }
}

/// What a committed entry was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The first entry of a new leader: it says nothing, but with it all before it is committed.
    Noop,
    /// A proposed change, as the proposer encoded it.
    Change(Vec<u8>),
    /// A new membership, with the change that was committed in the same entry, if one was.
    Membership {
        /// Who votes and who follows from here on.
        membership: Membership,
        /// A change in the same entry.
        change: Option<Vec<u8>>,
    },
}

/// What the driver is told, in the order in which it happened to the [`Machine`].
#[derive(Clone, Debug)]
pub enum Event {
    /// A committed entry was applied. Each index once per run, in order, without gaps after the
    /// last [`Event::Restored`].
    Applied {
        /// Where it stands.
        index: Index,
        /// The term it was proposed in.
        term: Term,
        /// What it was.
        entry: Committed,
    },
    /// The machine was set to a snapshot: all up to and including `index` is in it.
    Restored {
        /// The last entry the snapshot contains.
        index: Index,
        /// The state, as [`Machine::snapshot`] encoded it.
        snapshot: Vec<u8>,
    },
    /// The log has stopped for good and acknowledges nothing any more. Sent once, ahead of what
    /// still waits in line. The node must give up its services.
    Failed(Failure),
}

/// Why the log stopped by itself.
#[derive(Clone, Debug, Error)]
pub enum Failure {
    /// The disk under the log failed or holds what can't be. What was acknowledged before is on
    /// disk or on a majority; nothing was acknowledged since.
    #[error("the store failed")]
    Store(#[source] Arc<StoreError>),
    /// The consensus engine stopped: a broken invariant, or a snapshot that could not be read.
    #[error("the log's engine stopped: {0}")]
    Engine(String),
}

/// The events of one [`crate::Log`], in order.
///
/// The line is bounded: a driver that doesn't read makes applying wait, and with it the answers to
/// proposals (which have deadlines), but not elections or replication.
#[derive(Debug)]
pub struct Events {
    pub(crate) backlog: VecDeque<Event>,
    pub(crate) line: mpsc::Receiver<Event>,
    pub(crate) failure: watch::Receiver<Option<Failure>>,
    pub(crate) failure_told: bool,
}

impl Events {
    /// The next event, or `None` once the log is shut down and all is told. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        if !self.failure_told && self.failure.borrow().is_some() {
            return self.tell_failure();
        }
        if let Some(event) = self.backlog.pop_front() {
            return Some(event);
        }
        if self.failure_told {
            return self.line.recv().await;
        }
        let mut failure = self.failure.clone();
        let event = tokio::select! {
            biased;
            Ok(_) = failure.wait_for(Option::is_some) => None,
            event = self.line.recv() => event,
        };
        // At the end of the line, a failure that ended it has been published before.
        event.or_else(|| self.tell_failure())
    }

    fn tell_failure(&mut self) -> Option<Event> {
        let failure = self.failure.borrow().clone()?;
        self.failure_told = true;
        Some(Event::Failed(failure))
    }
}

/// The writing end of [`Events`].
///
/// While the log opens nobody reads yet, and all that the disk holds is applied again; those
/// events, no more than a snapshot and the log behind it, wait in the backlog.
#[derive(Clone)]
pub(crate) struct Delivery {
    backlog: Arc<Mutex<Option<VecDeque<Event>>>>,
    line: mpsc::Sender<Event>,
    closing: watch::Receiver<bool>,
}

/// Events that may wait in line before applying waits for the driver.
const LINE: usize = 1024;

impl Delivery {
    pub fn new(closing: watch::Receiver<bool>) -> (Self, mpsc::Receiver<Event>) {
        let (line, events) = mpsc::channel(LINE);
        let backlog = Arc::new(Mutex::new(Some(VecDeque::new())));
        (Self { backlog, line, closing }, events)
    }

    /// Ends the opening: what was collected is returned, what follows goes through the line.
    pub fn opened(&self) -> VecDeque<Event> {
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        backlog.take().unwrap_or_default()
    }

    /// Waits for a place in line. A driver that is gone, or a log that closes, ends the wait.
    pub async fn deliver(&self, event: Event) {
        {
            let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(backlog) = backlog.as_mut() {
                backlog.push_back(event);
                return;
            }
        }
        let mut closing = self.closing.clone();
        tokio::select! {
            biased;
            sent = self.line.send(event) => drop(sent),
            _ = closing.wait_for(|closing| *closing) => {}
        }
    }
}
