//! One service on this node: a task that starts, watches and stops its program, one thing at a
//! time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::state::config::ServiceConfig;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::held::Held;
use super::kept::Page;
use super::monitor::Monitoring;
use super::place::Place;
use super::{output, stop};
use crate::chain::chain;
use crate::polled::Polled;

/// How often the length of the output is looked at.
const TRIM: Duration = Duration::from_secs(1);
/// How many of its last lines an end is told with.
const TOLD_LINES: usize = 3;

/// What a service is asked to do.
#[derive(Debug)]
pub(super) enum Ask {
    /// Start under that epoch, kept by that page.
    Start(Epoch, Box<ServiceConfig>, Option<Page>),
    /// Stop what was started under that epoch or before.
    Stop(Epoch),
}

/// What was started.
struct Current {
    epoch: Epoch,
    /// None: the service has no program.
    held: Option<Held>,
    /// Readable when the main process has ended. None: it has, or there is none.
    end: Option<Polled<std::os::fd::OwnedFd>>,
    /// How it ended by itself.
    ended: Option<String>,
    monitor: Option<Monitoring>,
}

/// The task's own.
pub(super) struct Service {
    name: ServiceId,
    place: Arc<Place>,
    asks: UnboundedReceiver<Ask>,
    current: Option<Current>,
    /// The newest epoch that was stopped: nothing is started under it or an older one.
    stopped: Option<Epoch>,
}

impl Service {
    /// A service of which nothing is there, or what an earlier run of the daemon left.
    pub(super) fn new(
        name: ServiceId,
        place: Arc<Place>,
        asks: UnboundedReceiver<Ask>,
        found: Option<Held>,
    ) -> Self {
        let current = found.map(|held| Current::new(held.epoch, Some(held)));
        Self { name, place, asks, current, stopped: None }
    }

    /// Runs until nobody can ask any more; the program is left running then.
    pub(super) async fn run(mut self) {
        self.note_end();
        let mut trim = interval(TRIM);
        trim.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(Ask::Start(epoch, config, page)) => self.start(epoch, *config, page).await,
                    Some(Ask::Stop(epoch)) => self.stop(epoch).await,
                    None => return,
                },
                () = main_end(self.current.as_ref()) => self.on_end().await,
                _ = trim.tick(), if self.current.is_some() => self.trim().await,
            }
        }
    }

    async fn start(&mut self, epoch: Epoch, config: ServiceConfig, page: Option<Page>) {
        let refusal = match (&self.current, self.stopped) {
            (Some(current), _) if current.epoch == epoch => None,
            (Some(current), _) if current.epoch > epoch => {
                Some(format!("it runs under the later epoch {}", current.epoch))
            }
            (_, Some(stopped)) if stopped >= epoch => {
                Some(format!("epoch {epoch} is over here: it was stopped already"))
            }
            (Some(_) | None, _) => None,
        };
        if let Some(failed) = refusal {
            self.tell_started(epoch, Some(failed));
            return;
        }
        if self.current.as_ref().is_some_and(|current| current.epoch < epoch) {
            // Left over from an earlier assignment.
            self.end_current().await;
        }
        if self.current.is_none() {
            match self.launch(epoch, &config, page).await {
                Ok(held) => self.current = Some(Current::new(epoch, held)),
                Err(failed) => {
                    self.last_words().await;
                    self.tell_started(epoch, Some(failed));
                    return;
                }
            }
        }
        self.tell_started(epoch, None);
        self.note_end();
        if let Some(detail) = self.current.as_ref().and_then(|current| current.ended.clone()) {
            self.last_words().await;
            self.place.tell(Event::Ended { service: self.name.clone(), epoch, detail });
            return;
        }
        let Some(current) = &mut self.current else { return };
        // The former one ends first: two would write to the same file.
        current.monitor = None;
        current.monitor =
            Monitoring::begin(&self.place, &self.name, epoch, &config, current.held.as_ref());
    }

    async fn launch(
        &self,
        epoch: Epoch,
        config: &ServiceConfig,
        page: Option<Page>,
    ) -> Result<Option<Held>, String> {
        let Some(program) = &config.program else { return Ok(None) };
        let (place, service) = (self.place.clone(), self.name.clone());
        let (program, config) = (program.clone(), config.clone());
        let launch = move || place.launch(&service, epoch, &config, &program, page.as_ref());
        match spawn_blocking(launch).await {
            Ok(Ok(held)) => Ok(Some(held)),
            Ok(Err(error)) => Err(chain(&error)),
            Err(error) => Err(format!("the start itself broke off: {error}")),
        }
    }

    async fn stop(&mut self, epoch: Epoch) {
        if self.current.as_ref().is_none_or(|current| current.epoch <= epoch) {
            self.end_current().await;
            self.stopped = self.stopped.max(Some(epoch));
        }
        self.place.tell(Event::Stopped { service: self.name.clone(), epoch });
    }

    /// Ends what was started, and waits until nothing of it is left.
    async fn end_current(&mut self) {
        let Some(mut current) = self.current.take() else { return };
        if let Some(monitor) = current.monitor.take() {
            monitor.end().await;
        }
        drop(current.end.take());
        if let Some(held) = current.held {
            stop::stop(&self.name, held).await;
        }
    }

    /// Looks whether the end of the main process can still be waited for.
    fn note_end(&mut self) {
        let Some(current) = &mut self.current else { return };
        let Some(held) = &current.held else { return };
        if current.end.is_some() || current.ended.is_some() {
            return;
        }
        match held.end().and_then(|end| end.map(Polled::new).transpose()) {
            Ok(Some(end)) => current.end = Some(end),
            Ok(None) => current.ended = Some(held.how_it_ended()),
            Err(error) => {
                // Better stopped and started again than one whose end nobody would see.
                current.ended = Some(format!("it can't be watched: {error}"));
            }
        }
    }

    async fn on_end(&mut self) {
        let words = self.last_words().await;
        let lines = &words[words.len().saturating_sub(TOLD_LINES)..];
        let Some(current) = &mut self.current else { return };
        current.end = None;
        current.monitor = None;
        let how = current.held.as_ref().map(Held::how_it_ended).unwrap_or_default();
        let detail =
            if lines.is_empty() { how } else { format!("{how}, it said: {}", lines.join(" / ")) };
        current.ended = Some(detail.clone());
        let (service, epoch) = (self.name.clone(), current.epoch);
        self.place.tell(Event::Ended { service, epoch, detail });
    }

    /// Keeps what the program printed last: the service is about to be told to have failed.
    async fn last_words(&self) -> Arc<[String]> {
        let (place, service) = (self.place.clone(), self.name.clone());
        let kept = spawn_blocking(move || place.keep_last_words(&service)).await;
        kept.unwrap_or_else(|_| Arc::default())
    }

    async fn trim(&self) {
        let log = self.place.log(&self.name);
        if let Some(Err(error)) = on_side(&log, output::trim).await {
            tracing::warn!("can't shorten {}: {error}", log.display());
        }
    }

    fn tell_started(&self, epoch: Epoch, failed: Option<String>) {
        self.place.tell(Event::Started { service: self.name.clone(), epoch, failed });
    }
}

impl Current {
    fn new(epoch: Epoch, held: Option<Held>) -> Self {
        Self { epoch, held, end: None, ended: None, monitor: None }
    }
}

/// Waits for the end of the main process; for ever if there is none.
async fn main_end(current: Option<&Current>) {
    match current.and_then(|current| current.end.as_ref()) {
        // An error ends the wait as well: the look that follows tells what is.
        Some(end) => drop(end.readable().await),
        None => std::future::pending().await,
    }
}

/// Touches a file on a thread that may block.
async fn on_side<T: Send + 'static>(
    path: &Path,
    act: impl FnOnce(&Path) -> T + Send + 'static,
) -> Option<T> {
    let path = path.to_owned();
    spawn_blocking(move || act(&path)).await.ok()
}
