//! A service with an executor, as its task sees it: pictures in, events out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::resource::Care;
use stead_core::state::config::{Look, ServiceConfig};

use crate::executor::{Line, Picture, State, Wanted};

/// The line to an executor, and what was told of what it shows.
#[derive(Debug)]
pub(super) struct Executed {
    line: Line,
    pub(super) newest: Option<Picture>,
    /// By what it was started; none until this daemon was told to start it.
    pub(super) config: Option<(ServiceConfig, Look)>,
    started: bool,
    failed: bool,
    /// How often each of its resources had failed when that was told last.
    failures: BTreeMap<String, u64>,
    /// Which of its resources fail and are left as they are, as was told last.
    unwell: BTreeSet<String>,
}

impl Executed {
    /// Begins to listen to the executor of that service.
    pub(super) fn new(folder: &Path, service: &ServiceId) -> Self {
        Self {
            line: Line::open(Wanted::socket(folder, service)),
            newest: None,
            config: None,
            started: false,
            failed: false,
            failures: BTreeMap::new(),
            unwell: BTreeSet::new(),
        }
    }

    /// It shall run: from here on what it shows is told.
    pub(super) fn begin(&mut self, config: ServiceConfig, look: Look) {
        self.config = Some((config, look));
        self.started = false;
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
        let mut events = Vec::new();
        let (Some((config, _)), Some(picture)) = (&self.config, &self.newest) else {
            return events;
        };
        let given_up = matches!(picture.state, State::Failed { .. });
        for part in &picture.resources {
            let known = self.failures.insert(part.name.clone(), part.all_failures).unwrap_or(0);
            if part.all_failures > known && !given_up {
                let (service, resource) = (service.clone(), part.name.clone());
                let reason = part.reason.clone().unwrap_or_default();
                events.push(Event::Restarting { service, epoch, resource, reason });
            }
            if !part.unwell {
                self.unwell.remove(&part.name);
            } else if self.unwell.insert(part.name.clone()) {
                let reason = part.reason.as_deref().unwrap_or_default();
                let detail = format!("{}: {reason}", part.name);
                events.push(Event::Unwell { service: service.clone(), epoch, detail });
            }
        }
        let service = service.clone();
        match &picture.state {
            State::Works | State::Restarting if !self.started => {
                self.started = true;
                events.push(Event::Started { service: service.clone(), epoch, failed: None });
                // They all worked: nobody else says that, if the service has no monitor of its own.
                if config.monitor.is_none() {
                    events.push(Event::Monitored { service, epoch, failed: None });
                }
            }
            State::Failed { resource, reason } if !self.failed => {
                self.failed = true;
                let detail = format!("{resource}: {reason}");
                events.push(if self.started {
                    Event::Ended { service, epoch, detail }
                } else {
                    Event::Started { service, epoch, failed: Some(detail) }
                });
            }
            // A former daemon was about to stop it.
            State::Stopping | State::Stopped if !self.failed => {
                self.failed = true;
                let detail = "it was being stopped".to_owned();
                events.push(Event::Ended { service, epoch, detail });
            }
            State::Starting
            | State::Works
            | State::Restarting
            | State::Failed { .. }
            | State::Stopping
            | State::Stopped => {}
        }
        events
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
