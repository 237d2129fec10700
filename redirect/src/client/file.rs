//! The one who keeps a file up to date: at each change, and again after a failure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stead_edge::chain;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::agent::place;
use super::apply::{Applied, Applier};
use super::status::{FileState, FileStatus};
use crate::growing::Growing;
use crate::knowledge::{Document, Envelope, Stamp};

/// The pause after a first failure, and the longest. A program may just be starting; a template is
/// repaired by people.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(300);

/// What is known, by service.
pub(super) type Snapshot = Arc<BTreeMap<String, Arc<Envelope>>>;

/// What came of an attempt.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Which of the configured files.
    pub(super) number: usize,
    /// How it stands now.
    pub(super) status: FileStatus,
    /// Its content was replaced or read anew.
    pub(super) changed: bool,
}

/// Keeps it up to date until nobody tells what is known any more.
pub(super) async fn keep(
    number: usize,
    applier: Applier,
    mut known: watch::Receiver<Snapshot>,
    outcomes: mpsc::Sender<Outcome>,
) {
    let mut pauses = Growing::new(FIRST, LONGEST);
    let mut failures = 0_u32;
    loop {
        let snapshot = known.borrow_and_update().clone();
        let mut tried = BTreeMap::new();
        let result = match wanted(&applier, &snapshot) {
            Some(documents) => {
                let orders = documents.iter().map(|(name, it)| (name.clone(), it.order));
                tried = orders.collect();
                Some(applier.apply(documents).await)
            }
            None => None,
        };
        let (state, error, changed) = match &result {
            None => (FileState::Waiting, None, false),
            Some(Ok(Applied::Already)) => (FileState::Current, None, false),
            Some(Ok(Applied::Now)) => (FileState::Current, None, true),
            Some(Err(error)) => (error.state(), Some(chain(error)), false),
        };
        let failed = error.is_some();
        failures = if failed { failures.saturating_add(1) } else { 0 };
        let target = applier.settings().target.clone();
        let status = FileStatus { target, state, at: Stamp::now(), error, failures, tried };
        if outcomes.send(Outcome { number, status, changed }).await.is_err() {
            return;
        }
        if !failed {
            pauses.reset();
            if known.changed().await.is_err() {
                return;
            }
            continue;
        }
        let again = sleep(pauses.next());
        tokio::pin!(again);
        loop {
            tokio::select! {
                changed = known.changed() => if changed.is_err() { return },
                () = &mut again => break,
            }
            // Documents are renewed all the time: what says nothing new is no reason to hurry.
            if places(&applier, &known.borrow()) != places(&applier, &snapshot) {
                pauses.reset();
                break;
            }
        }
    }
}

/// Where all services are that it is made of.
fn places<'a>(applier: &'a Applier, snapshot: &'a Snapshot) -> Vec<Option<impl PartialEq + 'a>> {
    let services = applier.settings().services.iter();
    services.map(|service| Some(place(snapshot.get(service)?.document()))).collect()
}

/// The documents that it is made of, if all are there.
fn wanted(applier: &Applier, snapshot: &Snapshot) -> Option<BTreeMap<String, Document>> {
    let services = applier.settings().services.iter();
    let document = |service: &String| {
        let envelope = snapshot.get(service)?;
        Some((service.clone(), envelope.document().clone()))
    };
    services.map(document).collect()
}
