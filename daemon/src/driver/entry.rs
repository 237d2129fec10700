//! Letting this node in where a fence device cuts off from a storage or a network.
//!
//! Such a device leaves a machine on. Nobody lets it in again but the node itself, once a boot
//! ([`Devices::let_in`]), and it does so before anything starts here that is bound to its node: a
//! file system that can't be written to yet would count as one that fails.
//!
//! Happy path: with each configuration the devices of this node are asked, and what waited starts.
//!
//! Failures: a device that does not let it in is asked again every few seconds, and what waits for
//! that fails with the device's reason, so that another node can have it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::state::State;
use stead_core::state::config::{FencingConfig, Safety};
use stead_edge::chain;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::timeout;

use super::handle::Handle;
use crate::fence::{Devices, Said, Step};

/// How soon a device that did not let this node in is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// What came of asking the devices of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    /// The revision of that configuration.
    revision: u64,
    /// Why this node is not let in; nothing if it is.
    refused: Option<String>,
}

/// Whether this node is let in, and what waits for that.
pub(super) struct Entry {
    name: String,
    outcome: watch::Receiver<Option<Outcome>>,
    waiting: BTreeMap<ServiceId, Epoch>,
}

/// What may be done about a start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// It may begin.
    Granted,
    /// It is kept until the devices have answered ([`Entry::waiting`]).
    Waits,
    /// They do not let this node in.
    Refused(String),
}

impl Entry {
    /// Has the devices of that node asked for as long as the daemon runs; `note` remembers what
    /// was asked since it booted. A tick in `results` says that there is something new.
    pub(super) fn start(
        handle: Handle,
        devices: Arc<Devices>,
        note: PathBuf,
        results: UnboundedSender<Event>,
    ) -> Self {
        let name = handle.view().identity.name.clone();
        let (known, outcome) = watch::channel(None);
        tokio::spawn(ask(handle, devices, note, known, results));
        Self { name, outcome, waiting: BTreeMap::new() }
    }

    /// Whether a service may be started. Only what is bound to its node needs what a device could
    /// have cut off.
    pub(super) fn may(&mut self, state: &State, service: &ServiceId, epoch: Epoch) -> Leave {
        let Some(config) = &state.config else { return Leave::Granted };
        let fenced = config.fencing(&self.name).is_some_and(|it| !it.levels.is_empty());
        if !fenced || config.safety(service) != Safety::Fence {
            return Leave::Granted;
        }
        let outcome = self.outcome.borrow().clone();
        match outcome.filter(|it| it.revision >= state.revision) {
            Some(Outcome { refused: None, .. }) => Leave::Granted,
            Some(Outcome { refused: Some(why), .. }) => Leave::Refused(why),
            None => {
                self.waiting.insert(service.clone(), epoch);
                Leave::Waits
            }
        }
    }

    /// A start that is not wanted any more waits no longer.
    pub(super) fn forget(&mut self, service: &ServiceId, epoch: Epoch) {
        if self.waiting.get(service).is_some_and(|waits| *waits <= epoch) {
            self.waiting.remove(service);
        }
    }

    /// What waited, to be tried again.
    pub(super) fn waiting(&mut self) -> BTreeMap<ServiceId, Epoch> {
        std::mem::take(&mut self.waiting)
    }
}

async fn ask(
    mut handle: Handle,
    devices: Arc<Devices>,
    note: PathBuf,
    known: watch::Sender<Option<Outcome>>,
    results: UnboundedSender<Event>,
) {
    loop {
        let view = handle.view();
        let revision = view.state.revision;
        let config = view.state.config.as_ref().map(|config| &config.later.fencing);
        let settled = |it: &Outcome| it.revision == revision && it.refused.is_none();
        let asked = known.borrow().as_ref().is_some_and(settled);
        if let Some(config) = config.filter(|_| !asked) {
            let refused = let_in(&devices, config, &view.identity.name, &note).await;
            if let Some(why) = &refused {
                tracing::warn!("this node is cut off, and what needs a proof can't start: {why}");
            }
            known.send_replace(Some(Outcome { revision, refused }));
            drop(results.send(Event::Tick));
        }
        let shut = known.borrow().as_ref().is_some_and(|it| it.refused.is_some());
        if shut {
            tokio::time::sleep(AGAIN).await;
        } else if let Ok(false) = timeout(AGAIN, handle.changed()).await {
            return;
        }
    }
}

/// Asks who has not let this node in yet; why it is not let in, if it is not.
async fn let_in(
    devices: &Devices,
    config: &FencingConfig,
    name: &str,
    note: &Path,
) -> Option<String> {
    match devices.let_in(config, name, note).await {
        Ok(steps) => {
            for step in steps.iter().filter(|step| step.said == Said::Done) {
                tracing::info!("{} lets this node in", step.device);
            }
            let refused: Vec<_> = steps.iter().filter_map(refusal).collect();
            (!refused.is_empty()).then(|| refused.join("; "))
        }
        Err(error) => Some(format!("{}: {}", note.display(), chain(&error))),
    }
}

fn refusal(step: &Step) -> Option<String> {
    let Said::Failed(reason) = &step.said else { return None };
    Some(format!("{} does not let this node in: {reason}", step.device))
}
