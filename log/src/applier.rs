//! Applies what is committed to the machine, makes and installs snapshots, tells the driver.
//!
//! The machine lives in memory. After a start it is set to the snapshot on disk, and what was known
//! to be committed behind it is applied again, with the same events as the first time.

use std::io;
use std::sync::{Mutex, PoisonError};

use futures::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use stead_core::id::{Index, Term};

use crate::machine::{Committed, Delivery, Event, Machine, SnapshotError};
use crate::record;
use crate::store::Store;
use crate::types::{Entry, LogId, Snapshot, SnapshotMeta, StoredMembership, Types};

pub(crate) struct Applier {
    /// Never contended: openraft wants what it holds to be shareable, and a machine need not be.
    machine: Mutex<Box<dyn Machine>>,
    applied: Option<LogId>,
    membership: StoredMembership,
    store: Store,
    delivery: Delivery,
}

impl Applier {
    pub fn new(machine: Box<dyn Machine>, store: Store, delivery: Delivery) -> Self {
        let membership = StoredMembership::default();
        Self { machine: Mutex::new(machine), applied: None, membership, store, delivery }
    }

    fn machine(&mut self) -> &mut dyn Machine {
        &mut **self.machine.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() }
    }

    /// Applies one entry; returns the outcome for the proposer and the event for the driver.
    fn apply_one(&mut self, entry: Entry) -> (Vec<u8>, Event) {
        let index = Index(entry.log_id.index);
        let change = entry.payload.change.map(|change| change.0);
        let outcome =
            change.as_ref().map(|change| self.machine().apply(index, change)).unwrap_or_default();
        let committed = match (entry.payload.membership, change) {
            (Some(membership), change) => {
                let told = (&membership).into();
                self.machine().membership(index, &told);
                self.membership = StoredMembership::new(Some(entry.log_id), membership);
                Committed::Membership { membership: told, change }
            }
            (None, Some(change)) => Committed::Change(change),
            (None, None) => Committed::Noop,
        };
        self.applied = Some(entry.log_id);
        let term = Term(entry.log_id.leader_id.term);
        (outcome, Event::Applied { index, term, entry: committed })
    }
}

impl RaftStateMachine<Types> for Applier {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let (outcome, event) = self.apply_one(entry);
            if let Some(responder) = responder {
                responder.send(outcome);
            }
            self.delivery.deliver(event).await;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { meta: self.meta(), state: self.machine().snapshot(), store: self.store.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, state: Vec<u8>) -> io::Result<()> {
        self.machine().restore(&state).map_err(io::Error::other)?;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        let index = Index(meta.last_log_id.map_or(0, |last| last.index));
        self.store.save_snapshot(record::Snapshot::new(meta, state.clone())).await?;
        self.machine().membership(index, &meta.last_membership.membership().into());
        self.delivery.deliver(Event::Restored { index, snapshot: state }).await;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let Some(current) = self.store.snapshot() else { return Ok(None) };
        let (meta, snapshot) =
            record::Snapshot::clone(&current).into_parts().map_err(io::Error::other)?;
        Ok(Some(Snapshot { meta, snapshot }))
    }
}

/// The state as it was when the builder was asked for; writing it takes time and is done aside.
pub(crate) struct Builder {
    meta: SnapshotMeta,
    state: Result<Vec<u8>, SnapshotError>,
    store: Store,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let state = self.state.clone().map_err(io::Error::other)?;
        self.store.save_snapshot(record::Snapshot::new(&self.meta, state.clone())).await?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: state })
    }
}
