//! One service on this node: a task that starts, watches and stops its program, one thing at a
//! time.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::{Event, Hook};
use stead_core::resource::Care;
use stead_edge::chain;
use stead_edge::polled::Polled;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::executed::{self, Executed};
use super::held::Held;
use super::hook::{HookRun, Hooking};
use super::kept::Page;
use super::monitor::Monitoring;
use super::place::{Launch, Place};
use super::{Wish, output};
use crate::executor::{Others, Picture, Wanted};

/// How often the length of the output is looked at.
pub(super) const TRIM: Duration = Duration::from_secs(1);
/// How often it is told that something does not end.
pub(super) const COMPLAIN: Duration = Duration::from_secs(10);
/// How many of its last lines an end is told with.
const TOLD_LINES: usize = 3;

/// What a service is asked to do.
#[derive(Debug)]
pub(super) enum Ask {
    /// Start under that epoch, kept by that page.
    Start(Epoch, Box<Wish>, Option<Page>),
    /// Stop what was started under that epoch or before.
    Stop(Epoch),
    /// End a hook that an earlier run of the daemon left.
    EndHook(Held),
    /// No more than that may be done about what fails.
    Care(Epoch, Care),
    /// Forget the failures of that resource, or of all.
    Forget(Epoch, Option<String>),
    /// Run what the service has for that moment, kept by that page.
    Hook(Epoch, Box<HookRun>, Option<Page>),
    /// Start a copy under that epoch, kept by that page.
    Copy(Epoch, Box<Wish>, Option<Page>),
    /// Stop the copy of that epoch or before.
    EndCopy(Epoch),
    /// So the copies are now.
    Others(Others),
}

/// What was started.
pub(super) struct Current {
    pub(super) epoch: Epoch,
    /// None: the service has no program.
    pub(super) held: Option<Held>,
    /// Readable when the main process has ended. None: it has, or there is none.
    pub(super) end: Option<Polled<OwnedFd>>,
    /// How it ended by itself.
    pub(super) ended: Option<String>,
    pub(super) monitor: Option<Monitoring>,
    /// The executor of its resources, if it has any.
    pub(super) executed: Option<Executed>,
}

/// The task's own.
pub(super) struct Service {
    pub(super) name: ServiceId,
    pub(super) place: Arc<Place>,
    asks: UnboundedReceiver<Ask>,
    pub(super) current: Option<Current>,
    /// The newest epoch that was stopped: nothing is started under it or an older one.
    pub(super) stopped: Option<Epoch>,
    /// It is in maintenance: what ends is left so, and its monitor goes on.
    pub(super) left_alone: bool,
    /// What is run beside it.
    pub(super) hook: Option<Hooking>,
    /// The newest epoch of copies that was stopped.
    pub(super) ended_copy: Option<Epoch>,
    /// The copies, as they were told last.
    pub(super) others: Option<Others>,
}

impl Service {
    /// A service of which nothing is there, or what an earlier run of the daemon left.
    pub(super) fn new(
        name: ServiceId,
        place: Arc<Place>,
        asks: UnboundedReceiver<Ask>,
        found: Option<Held>,
    ) -> Self {
        let current = found.map(|held| Current::new(&place, &name, held.epoch, Some(held)));
        Self {
            name,
            place,
            asks,
            current,
            stopped: None,
            left_alone: false,
            hook: None,
            ended_copy: None,
            others: None,
        }
    }

    /// Runs until nobody can ask any more; the program is left running then.
    pub(super) async fn run(mut self) {
        self.note_end();
        let mut trim = interval(TRIM);
        trim.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(Ask::Start(epoch, wish, page)) => self.start(epoch, *wish, page).await,
                    Some(Ask::Stop(epoch)) => self.stop(epoch).await,
                    Some(Ask::EndHook(held)) => {
                        self.hook = Some(Hooking::of_former(&self.name, held));
                    }
                    Some(Ask::Care(epoch, care)) => self.care(epoch, care),
                    Some(Ask::Forget(epoch, which)) => self.forget(epoch, which),
                    Some(Ask::Hook(epoch, what, page)) => self.hook(epoch, *what, page).await,
                    Some(Ask::Copy(epoch, wish, page)) => self.copy(epoch, *wish, page).await,
                    Some(Ask::EndCopy(epoch)) => self.end_copy(epoch).await,
                    Some(Ask::Others(others)) => self.tell_others(others),
                    None => return,
                },
                news = news(&mut self.current) => match news {
                    News::End => self.on_end().await,
                    News::Picture(picture) => self.on_picture(picture).await,
                },
                _ = trim.tick(), if self.current.is_some() => self.trim().await,
            }
        }
    }

    async fn start(&mut self, epoch: Epoch, wish: Wish, page: Option<Page>) {
        if wish.copies.is_some() {
            self.promote(epoch, wish).await;
            return;
        }
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
            self.clear_away().await;
        }
        if self.current.is_none() && !matches!(Wanted::left(&self.place.dir, &self.name), Ok(None))
        {
            // A former daemon's, which ended unseen. It is stopped first, and counts as a failure.
            let failed = "an earlier run of it ended unseen and may have left something here";
            self.tell_started(epoch, Some(failed.to_owned()));
            return;
        }
        if self.current.is_none() {
            match self.launch(epoch, &wish, page).await {
                Ok(held) => {
                    self.current = Some(Current::new(&self.place, &self.name, epoch, held));
                }
                Err(failed) => {
                    self.last_words().await;
                    self.tell_started(epoch, Some(failed));
                    return;
                }
            }
        }
        if let Some(executed) = self.current.as_mut().and_then(|it| it.executed.as_mut()) {
            executed.begin(wish.config.clone(), wish.look.clone());
        } else {
            self.tell_started(epoch, None);
        }
        self.note_end();
        if let Some(detail) = self.current.as_ref().and_then(|current| current.ended.clone()) {
            self.last_words().await;
            self.place.tell(Event::Ended { service: self.name.clone(), epoch, detail });
            return;
        }
        self.show().await;
        let Some(current) = self.current.as_mut().filter(|it| it.executed.is_none()) else {
            return;
        };
        // The former one ends first: two would write to the same file.
        current.monitor = None;
        let (what, held) = ((&wish.config, &wish.look), current.held.as_ref());
        current.monitor = Monitoring::begin(&self.place, &self.name, epoch, what, held);
    }

    pub(super) async fn launch(
        &self,
        epoch: Epoch,
        wish: &Wish,
        page: Option<Page>,
    ) -> Result<Option<Held>, String> {
        if wish.config.program.is_none() && wish.resources.is_empty() {
            return Ok(None);
        }
        let (place, service, wish) = (self.place.clone(), self.name.clone(), wish.clone());
        let launch = move || match &wish.config.program {
            Some(program) => {
                let (executor, hook, copy) = (false, None, false);
                let what = Launch { config: &wish.config, program, executor, hook, copy };
                place.launch(&service, epoch, what, page.as_ref())
            }
            None => place.launch_executor(&service, epoch, &wish, page.as_ref()),
        };
        match spawn_blocking(launch).await {
            Ok(Ok(held)) => Ok(Some(held)),
            Ok(Err(error)) => Err(chain(&error)),
            Err(error) => Err(format!("the start itself broke off: {error}")),
        }
    }

    async fn stop(&mut self, epoch: Epoch) {
        if self.current.as_ref().is_some_and(Current::is_copy) {
            self.demote(epoch).await;
            return;
        }
        if self.current.as_ref().is_none_or(|current| current.epoch <= epoch) {
            self.end_current().await;
            self.clear_away().await;
            self.stopped = self.stopped.max(Some(epoch));
        }
        self.place.tell(Event::Stopped { service: self.name.clone(), epoch });
    }

    /// Tells that main process of a copy ended by itself.
    pub(super) fn tell_copy_ended(&self, epoch: Epoch, detail: &str) {
        let (service, detail) = (self.name.clone(), detail.to_owned());
        self.place.tell(Event::CopyFailed { service, epoch, detail });
    }

    fn care(&mut self, epoch: Epoch, care: Care) {
        let Some(current) = self.current.as_ref().filter(|it| it.is_of(epoch)) else { return };
        self.left_alone = care == Care::Nothing;
        if let Some(executed) = &current.executed {
            executed.care(care);
        }
    }

    fn forget(&self, epoch: Epoch, which: Option<String>) {
        let current = self.current.as_ref().filter(|it| it.is_of(epoch));
        if let Some(executed) = current.and_then(|it| it.executed.as_ref()) {
            executed.forget(which);
        }
    }

    /// Before it goes it waits for what is run, for as long as that may take; after it came it does
    /// not.
    async fn hook(&mut self, epoch: Epoch, what: HookRun, page: Option<Page>) {
        if let Some(former) = self.hook.take() {
            former.ask_to_end();
            former.over().await;
        }
        let hook = what.hook;
        let running = Hooking::begin(&self.place, &self.name, epoch, what, page);
        match hook {
            Hook::Takeover => self.hook = Some(running),
            Hook::Release => running.over().await,
        }
    }

    /// Looks whether the end of the main process can still be waited for.
    pub(super) fn note_end(&mut self) {
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
        if !self.left_alone {
            current.monitor = None;
        }
        let how = current.held.as_ref().map(Held::how_it_ended).unwrap_or_default();
        let detail =
            if lines.is_empty() { how } else { format!("{how}, it said: {}", lines.join(" / ")) };
        current.ended = Some(detail.clone());
        let (service, epoch, copy) = (self.name.clone(), current.epoch, current.is_copy());
        let promoted = current.executed.as_ref().and_then(|it| it.promoted);
        if copy {
            self.tell_copy_ended(epoch, &detail);
        }
        if let Some(epoch) = if copy { promoted } else { Some(epoch) } {
            self.place.tell(Event::Ended { service, epoch, detail });
        }
    }

    /// Its executor tells how things are.
    async fn on_picture(&mut self, picture: Picture) {
        let Some(current) = self.current.as_mut().filter(|it| it.epoch == picture.epoch) else {
            return;
        };
        if let Some(executed) = &mut current.executed {
            executed.see(&self.place, &self.name, picture);
        }
        self.show().await;
    }

    /// Tells what the newest picture shows and was not told yet.
    pub(super) async fn show(&mut self) {
        let Some(current) = &mut self.current else { return };
        let (epoch, executed) = (current.epoch, current.executed.as_mut());
        let Some(events) = executed.map(|it| it.events(&self.name, epoch)) else { return };
        for event in events {
            if executed::is_failure(&event) {
                self.last_words().await;
            }
            self.place.tell(event);
        }
        self.look_at_the_whole(epoch).await;
    }

    /// The monitor of the whole looks only while all parts work: what is being started again fails
    /// it, and is known to.
    async fn look_at_the_whole(&mut self, epoch: Epoch) {
        let Some(current) = &mut self.current else { return };
        let Some(executed) = &current.executed else { return };
        let (works, config) = (executed.works(), executed.config.as_ref());
        if !works {
            if let Some(monitor) = current.monitor.take() {
                monitor.end().await;
            }
        } else if let Some((config, look)) = config.filter(|_| current.monitor.is_none()) {
            let (what, held) = ((config, look), current.held.as_ref());
            let epoch = executed.promoted.unwrap_or(epoch);
            current.monitor = Monitoring::begin(&self.place, &self.name, epoch, what, held);
        }
    }

    /// Keeps what the program printed last: the service is about to be told to have failed.
    pub(super) async fn last_words(&self) -> Arc<[String]> {
        let (place, service) = (self.place.clone(), self.name.clone());
        let kept = spawn_blocking(move || place.keep_last_words(&service)).await;
        kept.unwrap_or_else(|_| Arc::default())
    }

    pub(super) async fn trim(&self) {
        let log = self.place.log(&self.name);
        if let Some(Err(error)) = on_side(&log, output::trim).await {
            tracing::warn!("can't shorten {}: {error}", log.display());
        }
    }

    pub(super) fn tell_started(&self, epoch: Epoch, failed: Option<String>) {
        self.place.tell(Event::Started { service: self.name.clone(), epoch, failed });
    }
}

impl Current {
    /// Whether it is one of several copies.
    pub(super) fn is_copy(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.copy)
    }

    /// Whether it runs under that epoch, or is promoted under it.
    fn is_of(&self, epoch: Epoch) -> bool {
        let promoted = self.executed.as_ref().and_then(|it| it.promoted);
        self.epoch == epoch || promoted == Some(epoch)
    }

    pub(super) fn new(place: &Place, name: &ServiceId, epoch: Epoch, held: Option<Held>) -> Self {
        let has_executor = held.as_ref().is_some_and(|held| held.executor);
        let executed = has_executor.then(|| Executed::new(&place.dir, name));
        Self { epoch, held, end: None, ended: None, monitor: None, executed }
    }
}

/// What comes from a program without being asked for.
enum News {
    /// Its main process ended.
    End,
    /// Its executor tells how things are.
    Picture(Picture),
}

/// Waits for the end of the main process and for pictures; for ever if there is nothing to come.
async fn news(current: &mut Option<Current>) -> News {
    let Some(current) = current else { return std::future::pending().await };
    tokio::select! {
        () = main_end(current.end.as_ref()) => News::End,
        picture = executed::next(&mut current.executed) => News::Picture(picture),
    }
}

/// Waits for the end of a main process; for ever if there is none.
pub(super) async fn main_end(end: Option<&Polled<OwnedFd>>) {
    match end {
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
