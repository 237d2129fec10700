//! A service with an executor, as its task sees it: pictures in, events out.

use std::path::Path;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::resource::{Care, Shown, Stage, Told};
use stead_core::state::config::{Look, ServiceConfig};

use super::place::Place;
use crate::executor::{Line, Others, Picture, State, Wanted};

/// The line to an executor, and what was told of what it shows.
#[derive(Debug)]
pub(super) struct Executed {
    line: Line,
    newest: Option<Picture>,
    /// By what it was started; none until this daemon was told to start it.
    pub(super) config: Option<(ServiceConfig, Look)>,
    told: Told,
    /// What of it is told as this node's copy, if it is one.
    copy: Option<Copy>,
    /// Under which assignment it shall be promoted.
    pub(super) promoted: Option<Epoch>,
}

impl Executed {
    /// Begins to listen to the executor of that service.
    pub(super) fn new(folder: &Path, service: &ServiceId) -> Self {
        Self {
            line: Line::open(Wanted::socket(folder, service)),
            newest: None,
            config: None,
            told: Told::default(),
            copy: None,
            promoted: None,
        }
    }

    /// It shall run as a copy: from here on what becomes of that is told.
    pub(super) fn begin_copy(&mut self) {
        self.copy = Some(Copy::default());
    }

    /// The copy shall be promoted.
    pub(super) fn promote(&mut self, epoch: Epoch, config: ServiceConfig, look: Look) {
        self.config = Some((config, look));
        self.told.begin_anew();
        self.promoted = Some(epoch);
        self.line.promote(epoch);
    }

    /// What was promoted of it under that epoch, or before, shall be so no more.
    pub(super) fn demote(&mut self, epoch: Epoch) {
        self.line.demote(epoch);
    }

    /// Nothing of it is promoted any more: nothing is told of that.
    pub(super) fn is_demoted(&mut self) {
        (self.promoted, self.config) = (None, None);
    }

    /// Whether it shows that nothing is promoted under that epoch.
    pub(super) fn has_released(&self, epoch: Epoch) -> bool {
        self.newest.as_ref().is_some_and(|picture| picture.released >= Some(epoch))
    }

    /// Tells it of the other copies.
    pub(super) fn tell_others(&self, others: Others) {
        self.line.others(others);
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

    /// This is how things are now. That a stop has to be forced is told at once, in the daemon's
    /// own journal: nobody else hears of it, for the resource is gone soon after, or stuck.
    pub(super) fn see(&mut self, place: &Place, service: &ServiceId, picture: Picture) {
        place.show(service, Some(&picture));
        let before = self.newest.take();
        let was_killed = |name: &str| {
            let mut parts = before.iter().flat_map(|it| &it.resources);
            parts.any(|part| part.name == name && part.stage == Stage::Killing.word())
        };
        for part in picture.resources.iter().filter(|part| part.stage == Stage::Killing.word()) {
            if !was_killed(&part.name) {
                let reason = part.reason.as_deref().unwrap_or("it did not stop");
                tracing::warn!("{service}: all of {} is killed: {reason}", part.name);
            }
        }
        if let Some(part) = picture.resources.iter().find(|part| part.reboots) {
            place.reboot(&format!("{} of {service} can't be stopped", part.name));
        }
        self.newest = Some(picture);
    }

    /// Whether all of it works, as far as it was told.
    pub(super) fn works(&self) -> bool {
        let whole = |picture: &Picture| picture.copy.is_none() || picture.promoted.is_some();
        self.newest.as_ref().is_some_and(|it| it.state == State::Works && whole(it))
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
        let mut events = self.copy_events(service, epoch);
        let (Some((config, _)), Some(picture)) = (&self.config, &self.newest) else {
            return events;
        };
        // It was demoted under that epoch already, by a former daemon.
        if let Some(promoted) = self.promoted.filter(|_| picture.released >= self.promoted) {
            if self.told.give_up() {
                let failed = Some("what runs here was demoted under that epoch already".to_owned());
                let service = service.clone();
                events.push(Event::Started { service, epoch: promoted, failed });
            }
            return events;
        }
        // Of a copy, only what is shown since it was told to be promoted.
        if picture.copy.is_some() && picture.promoted != self.promoted {
            return events;
        }
        let epoch = self.promoted.unwrap_or(epoch);
        let parts = picture.resources.iter().map(|part| Shown {
            name: &part.name,
            all_failures: part.all_failures,
            reason: part.reason.as_deref(),
            unwell: part.unwell,
        });
        let has_monitor = config.monitor.is_some();
        events.extend(self.told.events((service, epoch), has_monitor, &picture.whole(), parts));
        events
    }
}

impl Executed {
    /// What became of it as a copy, and was not told yet.
    fn copy_events(&mut self, service: &ServiceId, epoch: Epoch) -> Vec<Event> {
        let shown = self.newest.as_ref().and_then(|picture| picture.copy.as_ref());
        let (Some(copy), Some(shown)) = (&mut self.copy, shown) else { return Vec::new() };
        let service = service.clone();
        let failed = match shown {
            State::Works | State::Restarting if !copy.started => {
                copy.started = true;
                return vec![Event::CopyStarted { service, epoch, failed: None }];
            }
            State::Failed { resource, reason } => format!("{resource}: {reason}"),
            // A former daemon was about to stop it.
            State::Stopping | State::Stopped => "it was being stopped".to_owned(),
            State::Starting | State::Works | State::Restarting => return Vec::new(),
        };
        if std::mem::replace(&mut copy.failed, true) {
            return Vec::new();
        }
        vec![Event::CopyFailed { service, epoch, detail: failed }]
    }
}

/// What was told of a copy.
#[derive(Debug, Default)]
struct Copy {
    started: bool,
    failed: bool,
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
    matches!(
        event,
        Event::Ended { .. } | Event::Started { failed: Some(_), .. } | Event::CopyFailed { .. }
    )
}
