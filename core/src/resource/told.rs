//! What of a service's resources is news to its node: each thing once, whichever daemon is there.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Whole;
use crate::id::{Epoch, ServiceId};
use crate::node::Event;

/// A resource as whoever runs it shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// Its name.
    pub name: &'a str,
    /// How often it failed since its life began, forgotten failures included.
    pub all_failures: u64,
    /// Why it failed last.
    pub reason: Option<&'a str>,
    /// It fails, and is left as it is.
    pub unwell: bool,
}

/// What a daemon has told its node of a service's resources.
#[derive(Debug, Default)]
pub struct Told {
    started: bool,
    /// It was told that all work.
    verified: bool,
    failed: bool,
    /// How often each had failed when that was told last.
    failures: BTreeMap<String, u64>,
    /// Which fail and are left as they are, as was told last.
    unwell: BTreeSet<String>,
}

impl Told {
    /// The service is started: that it works is news again.
    pub fn begin(&mut self) {
        (self.started, self.verified) = (false, false);
    }

    /// The service is started under another assignment: that it fails is news again, too.
    pub fn begin_anew(&mut self) {
        self.begin();
        self.failed = false;
    }

    /// It failed for a reason that lies outside of its resources; whether that is news.
    pub fn give_up(&mut self) -> bool {
        !core::mem::replace(&mut self.failed, true)
    }

    /// What is news, of how things are now. That all have worked is a start; that they work, a good
    /// monitor, unless the service has one of its own.
    pub fn events<'a>(
        &mut self,
        (service, epoch): (&ServiceId, Epoch),
        has_monitor: bool,
        whole: &Whole,
        parts: impl Iterator<Item = Shown<'a>>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let given_up = match whole {
            Whole::Failed(place, _) => Some(*place),
            Whole::Starting
            | Whole::Works
            | Whole::Restarting
            | Whole::Stopping
            | Whole::Stopped => None,
        };
        let mut culprit = String::new();
        for (place, part) in parts.enumerate() {
            if given_up == Some(place) {
                culprit = part.name.to_string();
            }
            let known = self.failures.insert(part.name.to_string(), part.all_failures).unwrap_or(0);
            if part.all_failures > known && given_up.is_none() {
                let (service, resource) = (service.clone(), part.name.to_string());
                let reason = part.reason.unwrap_or_default().to_string();
                events.push(Event::Restarting { service, epoch, resource, reason });
            }
            if !part.unwell {
                self.unwell.remove(part.name);
            } else if self.unwell.insert(part.name.to_string()) {
                let detail = format!("{}: {}", part.name, part.reason.unwrap_or_default());
                events.push(Event::Unwell { service: service.clone(), epoch, detail });
            }
        }
        let service = service.clone();
        // They all worked once.
        let has_begun = matches!(whole, Whole::Works | Whole::Restarting);
        if has_begun && !core::mem::replace(&mut self.started, true) {
            events.push(Event::Started { service: service.clone(), epoch, failed: None });
        }
        match whole {
            // Nobody else says that, if the service has no monitor of its own.
            Whole::Works if !has_monitor && !self.verified => {
                self.verified = true;
                events.push(Event::Monitored { service, epoch, failed: None });
            }
            Whole::Failed(_, reason) if !self.failed => {
                self.failed = true;
                let detail = format!("{culprit}: {reason}");
                events.push(if self.started {
                    Event::Ended { service, epoch, detail }
                } else {
                    Event::Started { service, epoch, failed: Some(detail) }
                });
            }
            // A former daemon was about to stop it.
            Whole::Stopping | Whole::Stopped if !self.failed => {
                self.failed = true;
                let detail = "it was being stopped".to_string();
                events.push(Event::Ended { service, epoch, detail });
            }
            Whole::Starting
            | Whole::Works
            | Whole::Restarting
            | Whole::Failed(..)
            | Whole::Stopping
            | Whole::Stopped => {}
        }
        events
    }
}
