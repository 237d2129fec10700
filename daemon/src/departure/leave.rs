//! The standby that a node sets for itself, and takes back.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use stead_core::id::ServiceId;
use stead_core::node::Event;
use stead_core::notice::Notice;
use stead_core::state::{Change, Holder};
use stead_edge::chain;
use stead_linux::durable::write_atomically;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Departure, Reasons};
use crate::driver::handle::Handle;
use crate::driver::view::View;

/// How long everything may stay where it is before no more is expected: an election and a decision
/// are over by then.
const STILL: Duration = Duration::from_secs(2);
/// How long services may take to move in all. The guard waits for half a minute, and what has not
/// moved by now still has to be stopped.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks where nothing changes.
const LOOK: Duration = Duration::from_millis(50);
/// How long one change may take, and how long is waited after one that came to nothing.
const DEADLINE: Duration = Duration::from_secs(1);

struct Leaver {
    departure: Departure,
    reasons: watch::Receiver<Reasons>,
    handle: Handle,
    /// Stands for as long as the standby is this node's own.
    mark: PathBuf,
    events: UnboundedSender<Event>,
    notices: UnboundedSender<Notice>,
    told: bool,
    retired: bool,
}

/// Begins to watch for reasons to go away.
pub fn start(
    handle: Handle,
    mark: PathBuf,
    (events, notices): (UnboundedSender<Event>, UnboundedSender<Notice>),
) -> Departure {
    let departure = Departure::default();
    super::logind::start(departure.clone());
    let reasons = departure.reasons.subscribe();
    let leaver = Leaver {
        departure: departure.clone(),
        reasons,
        handle,
        mark,
        events,
        notices,
        told: false,
        retired: false,
    };
    tokio::spawn(leaver.run());
    departure
}

impl Leaver {
    async fn run(mut self) {
        loop {
            let reasons = *self.reasons.borrow_and_update();
            if reasons.any() {
                self.leave(reasons).await;
            } else {
                self.stay().await;
            }
            // The machine may go after the guard was asked to end, or the other way round.
            if *self.reasons.borrow() == reasons && self.reasons.changed().await.is_err() {
                return;
            }
        }
    }

    async fn leave(&mut self, reasons: Reasons) {
        if !std::mem::replace(&mut self.told, true) {
            // Nobody listens any more only when the daemon ends.
            let _ = self.notices.send(Notice::Departing(reasons.text().to_owned()));
        }
        let moved = self.move_all();
        let _moved = tokio::time::timeout(PATIENCE, moved).await;
        if !self.reasons.borrow().any() {
            return;
        }
        self.departure.gone.send_replace(true);
        if reasons.guard && !std::mem::replace(&mut self.retired, true) {
            let _ = self.events.send(Event::Retire);
        }
    }

    /// Returns when nothing is left here, when nothing more moves, or when there is no more reason.
    async fn move_all(&mut self) {
        let mut asked = None;
        let mut mine = BTreeSet::new();
        let (mut known, mut since) = (Vec::new(), Instant::now());
        loop {
            let view = self.handle.view();
            let left = left(&view, &mut mine);
            if (left.is_empty() && view.local.is_empty()) || !self.reasons.borrow().any() {
                return;
            }
            if !has_other_place(&view) {
                return;
            }
            let stopping = left.iter().any(|(_, place)| *place == Place::Stopping);
            if stopping || left != known {
                (known, since) = (left, Instant::now());
            } else if since.elapsed() > STILL {
                return;
            }
            let standby = view.state.standby.contains(&view.identity.node);
            let due = asked.is_none_or(|at: Instant| at.elapsed() > DEADLINE);
            if !standby && due {
                asked = Some(Instant::now());
                self.go_on_standby(&view);
            }
            tokio::select! {
                seen = self.handle.changed() => if !seen { return },
                () = sleep(LOOK) => {}
            }
        }
    }

    fn go_on_standby(&self, view: &View) {
        // Before it is proposed: a standby that nobody takes back would be worse than a mark for
        // nothing.
        if let Err(error) = write_atomically(&self.mark, b"", 0o600) {
            tracing::warn!("{} can't be written: {}", self.mark.display(), chain(&error));
            return;
        }
        let (handle, node) = (self.handle.clone(), view.identity.node);
        tokio::spawn(async move {
            let change = Change::Standby { node, on: true };
            if let Err(error) = handle.submit(change, DEADLINE).await {
                tracing::debug!("not on standby: {}", chain(&error));
            }
        });
    }

    /// Takes back a standby of this node's own, once it can serve again.
    async fn stay(&mut self) {
        self.departure.gone.send_replace(false);
        (self.told, self.retired) = (false, false);
        while self.mark.exists() && !self.reasons.borrow().any() {
            let view = self.handle.view();
            let node = view.identity.node;
            let leased = view.report.as_ref().is_some_and(|it| it.lease_until > it.at);
            let changed = if !view.ready || !leased {
                false
            } else if view.state.standby.contains(&node) {
                let change = Change::Standby { node, on: false };
                let submitted = self.handle.submit(change, DEADLINE).await;
                submitted.is_ok()
            } else {
                true
            };
            if changed {
                if let Err(error) = std::fs::remove_file(&self.mark) {
                    tracing::warn!("{} can't be removed: {error}", self.mark.display());
                    return;
                }
                continue;
            }
            tokio::select! {
                seen = self.handle.changed() => if !seen { return },
                () = sleep(DEADLINE) => {}
            }
        }
    }
}

/// Where a service is that has not got away yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Here.
    Here,
    /// Here, and on its way out.
    Stopping,
    /// Nowhere: this node may be the one that has to give it to another.
    Nowhere,
}

/// What was this node's, and has no other holder yet. `mine` are those that it had since it began.
fn left(view: &View, mine: &mut BTreeSet<ServiceId>) -> Vec<(ServiceId, Place)> {
    let me = view.identity.node;
    mine.extend(view.state.held_by(me).map(|(service, _)| service.clone()));
    let place = |service: &ServiceId| match &view.state.assignments.get(service)?.holder {
        Holder::Stopping { node, .. } if *node == me => Some(Place::Stopping),
        Holder::Node(node) if *node == me => Some(Place::Here),
        Holder::Node(_) | Holder::Stopping { .. } => None,
        Holder::Never | Holder::Stopped { .. } => Some(Place::Nowhere),
    };
    mine.iter().filter_map(|service| Some((service.clone(), place(service)?))).collect()
}

/// Whether any other node may take services at all.
fn has_other_place(view: &View) -> bool {
    let me = view.identity.node;
    view.state.view.keys().any(|node| *node != me && !view.state.standby.contains(node))
}
