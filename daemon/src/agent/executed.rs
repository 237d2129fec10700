//! A service with an executor, as its task sees it: pictures in, events out.

use std::path::Path;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::resource::{Care, Shown, Told};
use stead_core::state::config::{Look, ServiceConfig};

use crate::executor::{Line, Picture, State, Wanted};

/// The line to an executor, and what was told of what it shows.
#[derive(Debug)]
pub(super) struct Executed {
    line: Line,
    pub(super) newest: Option<Picture>,
    /// By what it was started; none until this daemon was told to start it.
    pub(super) config: Option<(ServiceConfig, Look)>,
    told: Told,
}

impl Executed {
    /// Begins to listen to the executor of that service.
    pub(super) fn new(folder: &Path, service: &ServiceId) -> Self {
        Self {
            line: Line::open(Wanted::socket(folder, service)),
            newest: None,
            config: None,
            told: Told::default(),
        }
    }

    /// It shall run: from here on what it shows is told.
    pub(super) fn begin(&mut self, config: ServiceConfig, look: Look) {
        self.config = Some((config, look));
        self.told.begin();
    }

    /// It shall end.
    pub(super) fn stop(&self) {
        self.line.stop();
    }

    /// That may be done about what fails of it.
    pub(super) fn care(&self, care: Care) {
        self.line.care(care);
    }

    /// The failures of one of its resources are forgotten, or of all.
    pub(super) fn forget(&self, which: Option<String>) {
        self.line.forget(which);
    }

    /// Whether all of it works, as far as it was told.
    pub(super) fn works(&self) -> bool {
        self.newest.as_ref().is_some_and(|picture| picture.state == State::Works)
    }

    /// What of it is not stopped, in words.
    pub(super) fn left(&self) -> String {
        let Some(picture) = &self.newest else { return "its executor says nothing".to_owned() };
        let left = picture.resources.iter().filter(|part| part.stage != "stopped").map(|part| {
            let reason = part.reason.as_deref().unwrap_or_default();
            format!("{} is {} ({reason})", part.name, part.stage)
        });
        left.collect::<Vec<_>>().join(", ")
    }

    /// What the newest picture shows that was not told yet.
    pub(super) fn events(&mut self, service: &ServiceId, epoch: Epoch) -> Vec<Event> {
        let (Some((config, _)), Some(picture)) = (&self.config, &self.newest) else {
            return Vec::new();
        };
        let parts = picture.resources.iter().map(|part| Shown {
            name: &part.name,
            all_failures: part.all_failures,
            reason: part.reason.as_deref(),
            unwell: part.unwell,
        });
        let has_monitor = config.monitor.is_some();
        self.told.events((service, epoch), has_monitor, &picture.whole(), parts)
    }
}

/// The next picture; waits for ever if there is no executor.
pub(super) async fn next(executed: &mut Option<Executed>) -> Picture {
    match executed {
        Some(executed) => executed.line.next().await,
        None => std::future::pending().await,
    }
}

/// Whether an event tells that the service failed.
pub(super) fn is_failure(event: &Event) -> bool {
    matches!(event, Event::Ended { .. } | Event::Started { failed: Some(_), .. })
}
