//! Stopping what an executor left: agents look whether something is there, and stop it.
//!
//! The end of a lease kills an executor and all processes of its resources. What agents did beside
//! that (a mount, a volume, an export) is known to the kernel alone. The file that told the former
//! executor what to run is still there, since only an executor that saw everything stopped removes
//! it; another one reads it, starts nothing, and stops what it finds. It needs no lease for that,
//! and is kept by a page of its own that never ends: rooms and mounts are like those of the
//! former one.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::{Epoch, ServiceId};
use stead_core::state::config::ServiceConfig;
use stead_core::time::{Instant, Span};
use stead_edge::chain;
use stead_linux::clock::boottime;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::held::Held;
use super::kept::Page;
use super::place::{LaunchError, Place};
use super::service::{Current, Service};
use crate::executor::Wanted;
use crate::keeper::page::LeasePage;

/// The pause before it is tried again, doubled each time.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// For longer than any machine runs.
const EVER: Span = Span::from_millis(100 * 365 * 24 * 3_600_000);

impl Place {
    /// Starts an executor that stops what is left of a service; nothing if nothing can be left.
    fn launch_ending(&self, service: &ServiceId) -> Result<Option<Held>, LaunchError> {
        let Some(left) = Wanted::left(&self.dir, service)? else { return Ok(None) };
        let group = self.group(service).map(|group| group.folder().to_owned());
        let wanted = Wanted { group, ending: true, ..left };
        let path = wanted.write()?;
        let page = endless().map_err(|error| LaunchError::Keeper(error.to_string()))?;
        let config = ServiceConfig::default();
        self.launch_wanted(&path, &wanted, &config, Some(&page)).map(Some)
    }
}

impl Service {
    /// Has the agents stop what an executor left that ended before its time, with the lease for
    /// one: a mount, a volume. Waits for that, however long it takes.
    pub(super) async fn clear_away(&mut self) {
        let mut pause = PAUSE;
        loop {
            let (place, service) = (self.place.clone(), self.name.clone());
            let begun = spawn_blocking(move || place.launch_ending(&service)).await;
            match begun {
                Ok(Ok(None)) => return,
                Ok(Ok(Some(held))) => {
                    let epoch = held.epoch;
                    self.current = Some(Current::new(&self.place, &self.name, epoch, Some(held)));
                    self.note_end();
                    self.end_current().await;
                    if matches!(Wanted::left(&self.place.dir, &self.name), Ok(None)) {
                        return;
                    }
                    self.complain("its executor ended before it was done");
                }
                Ok(Err(error)) => self.complain(&chain(&error)),
                Err(error) => self.complain(&error.to_string()),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn complain(&self, detail: &str) {
        tracing::warn!("what is left of {} can't be stopped yet: {detail}", self.name);
    }
}

/// A page that permits everything, for ever.
fn endless() -> std::io::Result<Page> {
    let page = LeasePage::create()?;
    page.set(Instant(boottime()) + EVER, Epoch(0));
    page.as_fd().try_clone_to_owned().map(Arc::new)
}
