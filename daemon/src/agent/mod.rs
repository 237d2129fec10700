//! Runs and watches the programs behind services.
//!
//! # What it is for
//! The driver hands over what the core commands (`Start`, `Stop`) and gets events back (`Started`,
//! `Ended`, `Stopped`, `Monitored`, `Found`). Nothing here decides whether a program should run.
//!
//! # Happy path
//! ```text
//! find: notes of an earlier run ─▶ Found
//! start: output file ─▶ note ─▶ fork: enter the control group, new session, sign the note ─▶ exec
//!        ─▶ Started ─▶ monitor, until the first success every 20 ms and slower ─▶ Monitored
//! stop:  monitor killed ─▶ SIGTERM to all ─▶ all gone, or SIGKILL at the end of the patience
//!        ─▶ note and group removed ─▶ Stopped
//! ```
//! Each service has one task that does one thing at a time, so a stop that is asked for during a
//! start comes after it. Epochs only grow: a start under one that is over is refused, a stop does
//! not touch what was started under a later one.
//!
//! # Programs outlive the daemon
//! A daemon that is killed costs clients nothing: programs have a session of their own, print to
//! files, and are found again by their notes (`note`). The identity in a note is the process's
//! number with its start time, so a number that is used again fools nobody.
//!
//! # What a stop reaches
//! With a control group (version 2 mounted, writable): everything, unless root moves a process out
//! of it. Without one: the program's session, every process that has the program's environment
//! (`STEAD_NOTE` and `STEAD_EPOCH`; it is inherited), and the descendants of all these. A process
//! that leaves the session, throws its environment away *and* gives itself to another parent is not
//! found then. `Stopped` is said only when nothing is left of what can be found.
//!
//! # Failures
//! What can't be started is `Started` with the reason, and nothing of it runs. A main process that
//! ends is `Ended`, also if it left something behind: a program must stay in the foreground. If
//! /proc can't be read, a stop waits: silence is safer than a wrong word.
//!
//! # Several resources
//! A service that consists of more than one thing has an executor (`crate::executor`) as its
//! program. What that tells is turned into the same events (`executed`), and a stop is an order to
//! it; only what it leaves is stopped as above. An executor that ended before everything had
//! stopped (its lease was over) may leave what no process holds, a mount for one. If its resources
//! are of class `fence`, a stop has their agents look, and stop what is there (`clear`).
//!
//! # Hooks
//! What a service has for its coming and going is a program of its own, under a keeper and in a
//! control group of its own (`hook`). It has its time, and is ended with all that it started.
//!
//! # Copies
//! A service with copies has an executor on each of their nodes. `copy` and `end_copy` start and
//! stop it; `start` and `stop` promote and demote what runs. Before a promotion is asked for, a
//! file says so (`promotion`): whatever becomes of this daemon, the next one knows what may be
//! promoted, and under which assignment. `Stopped` is said when the executor shows that nothing is,
//! or when nothing of it is left.
//!
//! # Surroundings of a program
//! No shell; standard input is empty; output goes to `SERVICE.log`, cut down to its last 64 KiB
//! when it is longer than 1 MiB (while a daemon runs), the former run's to `SERVICE.log.old`. The
//! environment is PATH, STEAD_SERVICE, STEAD_EPOCH, STEAD_NODE, STEAD_ADDRESSES (separated by
//! spaces) and STEAD_NOTE; the folder is `/`.
//!
//! # Deliberately absent
//! Restarts (the core gives a failed service a new epoch, here or elsewhere), limits of resources,
//! the keeper that ends a program together with the node's lease.

pub(crate) mod beside;
pub(crate) mod cgroup;
mod clear;
mod copies;
mod ending;
mod executed;
mod held;
mod hook;
mod kept;
mod monitor;
mod note;
pub(crate) mod output;
mod place;
mod probe;
pub(crate) mod proc;
mod promotion;
pub(crate) mod run;
mod service;
mod stop;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::resource::Care;
use stead_core::state::config::{CopiesConfig, Look, ResourceConfig, ServiceConfig};
use stead_core::time::Span;
use stead_linux::process::Process;
use thiserror::Error;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use cgroup::{Group, Groups};
use held::{Held, Main};
pub use hook::HookRun;
use kept::Keepers;
pub use kept::{Keeper, Page};
use place::Place;
pub use place::Reboot;
pub(crate) use place::variables;
use service::{Ask, Service};

use crate::executor::{Others, Picture, Wanted};
use crate::keeper::report::Keeping;

/// The folder of programs can't be used. No program was touched.
#[derive(Debug, Error)]
#[error(
    "can't {step} {}; no program was touched; start the daemon again when it can be",
    path.display()
)]
pub struct ProgramsError {
    step: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// By what a program and all that it starts are held together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// By a control group where there can be one, and by session and environment.
    Group,
    /// By session and environment alone.
    Session,
}

/// What shall run of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its addresses, and its one program if it has one.
    pub config: ServiceConfig,
    /// What it consists of otherwise.
    pub resources: Vec<ResourceConfig>,
    /// How its monitor looks and judges.
    pub look: Look,
    /// Its copies, if it has any.
    pub copies: Option<CopiesConfig>,
}

/// A service of one program, or of addresses alone.
impl From<&ServiceConfig> for Wish {
    fn from(config: &ServiceConfig) -> Self {
        let (resources, look, copies) = Default::default();
        Self { config: config.clone(), resources, look, copies }
    }
}

/// The programs of this node.
///
/// All calls return at once, what comes of them are events. Dropped, it leaves programs running.
pub struct Programs {
    place: Arc<Place>,
    services: BTreeMap<ServiceId, UnboundedSender<Ask>>,
    page: Option<Page>,
    /// What was told of the copies of services.
    others: BTreeMap<ServiceId, Others>,
}

impl Programs {
    /// Keeps notes and output in `dir`, which is made if need be. To be called, like everything
    /// here, inside a tokio runtime.
    ///
    /// # Errors
    /// [`ProgramsError`]
    pub fn new(
        dir: PathBuf,
        node: &str,
        events: UnboundedSender<Event>,
    ) -> Result<Self, ProgramsError> {
        Self::confined(dir, node, Confinement::Group, Keeper::of_process(), events)
    }

    /// The same, with a choice of what holds programs together, and of their keepers.
    ///
    /// # Errors
    /// [`ProgramsError`]
    pub fn confined(
        dir: PathBuf,
        node: &str,
        confinement: Confinement,
        keeper: Keeper,
        events: UnboundedSender<Event>,
    ) -> Result<Self, ProgramsError> {
        let failed = |step, source| ProgramsError { step, path: dir.clone(), source };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&dir).map_err(|it| failed("make", it))?;
        // The path is part of every program's environment, by which it may be found.
        let dir = fs::canonicalize(&dir).map_err(|it| failed("resolve", it))?;
        let meta = fs::metadata(&dir).map_err(|it| failed("look at", it))?;
        let prefix = format!("{}{:x}-{:x}-", cgroup::PREFIX, meta.dev(), meta.ino());
        let groups = match confinement {
            Confinement::Group => Groups::detect(),
            Confinement::Session => None,
        };
        if let Some(groups) = &groups {
            groups.tidy();
        }
        let (node, last_words) = (node.to_owned(), Default::default());
        let keepers = Keepers::new(keeper);
        let (pictures, answers) = Default::default();
        let (boots, may_boot) = Default::default();
        let place = Place {
            dir,
            node,
            events,
            groups,
            prefix,
            last_words,
            pictures,
            answers,
            keepers,
            boots,
            may_boot,
        };
        let (services, others) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { place: Arc::new(place), services, page: None, others })
    }

    /// From here on the machine may be booted anew by that, where it is written that it shall be.
    pub fn reboot_by(&self, reboot: Reboot) {
        // The first word on it holds.
        let _ = self.place.boots.set(reboot);
    }

    /// From here on it may be, or not: it may not before that is said.
    pub fn may_boot(&self, may: bool) {
        self.place.may_boot.store(may, Ordering::Relaxed);
    }

    /// From here on programs are started under a keeper that watches this page; without one they
    /// are started without a keeper. It is the page of the guard that decisions rest on now.
    pub fn keep_by(&mut self, page: Option<Page>) {
        self.page = page;
    }

    /// How programs are kept that are started now.
    #[must_use]
    pub fn keeping(&self) -> Keeping {
        if self.page.is_none() {
            return Keeping::none("its guard shows no deadline: it is of an earlier version");
        }
        let keepers = &self.place.keepers;
        let newest = keepers.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().map_or_else(|| keepers.expected.clone(), Keeping::from)
    }

    /// Takes over what an earlier run of the daemon left: `Found` is sent for each service of which
    /// anything runs, or something may be left, before this returns. To be called once, before all
    /// else.
    ///
    /// # Errors
    /// [`ProgramsError`]
    pub fn find(&mut self) -> Result<(), ProgramsError> {
        let dir = self.place.dir.clone();
        let failed = |source| ProgramsError { step: "list", path: dir.clone(), source };
        let mut hooks = Vec::new();
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == note::ENDING) {
                hooks.extend(self.take_over(&path)?);
            }
        }
        for (service, epoch) in Wanted::all_left(&dir).map_err(failed)? {
            // What runs was told of above. This is stopped first: a start of it is refused.
            if !self.services.contains_key(&service) {
                self.place.tell(Event::Found { service, epoch });
            }
        }
        for (service, hook) in hooks {
            self.ask(&service, Ask::EndHook(hook));
        }
        Ok(())
    }

    /// Takes over what that note is about; returns it if it is a hook.
    fn take_over(&mut self, path: &Path) -> Result<Option<(ServiceId, Held)>, ProgramsError> {
        let failed = |step, source| ProgramsError { step, path: path.to_owned(), source };
        let found = note::read(path).map_err(|it| failed("read", it))?;
        let whole = found.filter(|it| {
            let (place, service) = (&self.place, &it.header.service);
            let ours = place.note(service) == path || hook::note(place, service) == path;
            ours && it.header.boot == note::boot()
        });
        let Some(note::Note { header, process, .. }) = whole else {
            return note::remove(path).map(|()| None).map_err(|it| failed("remove", it));
        };
        let process = process.map(Process::find).transpose();
        let process = process.map_err(|it| failed("find the process of", io::Error::other(it)))?;
        let held = Held {
            main: process.flatten().map_or(Main::Gone, Main::Adopted),
            epoch: header.epoch,
            patience: Duration::from_micros(header.patience),
            note: path.to_owned(),
            group: header.group.map(Group::at),
            executor: header.executor,
            copy: header.copy,
        };
        let left = held.left(held.leads()).map_err(|it| failed("find what runs of", it))?;
        let (service, epoch) = (header.service, held.epoch);
        let promoted = self.place.promoted(&service);
        if left.is_empty() && held.seal().is_ok() {
            held.forget();
            if !hook::is_one(path) {
                note::remove(&promoted).map_err(|it| failed("remove the promotion of", it))?;
            }
            return Ok(None);
        }
        if hook::is_one(path) {
            return Ok(Some((service, held)));
        }
        let copy = held.copy;
        self.begin(&service, Some(held));
        if !copy {
            self.place.tell(Event::Found { service, epoch });
            return Ok(None);
        }
        // What is promoted, or may be, is what the service itself is.
        if let Some(epoch) = promotion::read(&promoted).map_err(|it| failed("read", it))? {
            self.place.tell(Event::Found { service: service.clone(), epoch });
        }
        self.place.tell(Event::CopyFound { service, epoch });
        Ok(None)
    }

    /// Starts the service's program or resources, if it has any, and watches them. If they run
    /// under that epoch already, watching is all. `Started` comes, later perhaps `Monitored` and
    /// `Ended`.
    pub fn start(&mut self, service: ServiceId, epoch: Epoch, wish: Wish) {
        let page = self.page.clone();
        self.ask(&service, Ask::Start(epoch, Box::new(wish), page));
    }

    /// Stops what was started under that epoch or an earlier one: asked to end, killed after
    /// the program's time to stop. `Stopped` comes when nothing of it is left; at once if nothing
    /// was there.
    pub fn stop(&mut self, service: ServiceId, epoch: Epoch) {
        self.ask(&service, Ask::Stop(epoch));
    }

    /// From here on no more than that may be done about what fails of a service.
    pub fn care(&mut self, service: &ServiceId, epoch: Epoch, care: Care) {
        self.ask(service, Ask::Care(epoch, care));
    }

    /// Has the failures of a service's resource forgotten, or of all of them.
    pub fn forget(&mut self, service: &ServiceId, epoch: Epoch, which: Option<String>) {
        self.ask(service, Ask::Forget(epoch, which));
    }

    /// Runs what a service has for a moment of its life, kept as its program is. `HookFailed` comes
    /// if it fails or takes too long. A start that is asked for afterwards does not wait for it, a
    /// stop does.
    pub fn hook(&mut self, service: &ServiceId, epoch: Epoch, what: HookRun) {
        let page = self.page.clone();
        self.ask(service, Ask::Hook(epoch, Box::new(what), page));
    }

    /// Starts this node's copy of a service, of which nothing is promoted, or goes on with it.
    /// `CopyStarted` comes when it runs, later perhaps `CopyFailed`.
    pub fn copy(&mut self, service: ServiceId, epoch: Epoch, wish: Wish) {
        let page = self.page.clone();
        self.ask(&service, Ask::Copy(epoch, Box::new(wish), page));
    }

    /// Stops the copy of that epoch or an earlier one. `CopyEnded` comes when nothing is left.
    pub fn end_copy(&mut self, service: ServiceId, epoch: Epoch) {
        self.ask(&service, Ask::EndCopy(epoch));
    }

    /// Tells the copy here which others there are, if that is new.
    pub fn tell_others(&mut self, service: &ServiceId, others: Others) {
        if self.others.get(service) != Some(&others) {
            self.others.insert(service.clone(), others.clone());
            self.ask(service, Ask::Others(others));
        }
    }

    /// The last lines that programs printed before they failed, oldest first: their start, their
    /// monitor, or by ending. Each is there before the event that tells of the failure, and until
    /// the next failure of the same service. Does not wait for a disk.
    #[must_use]
    pub fn last_words(&self) -> BTreeMap<ServiceId, Arc<[String]>> {
        self.place.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the resources of services are, of those that have an executor here.
    #[must_use]
    pub fn pictures(&self) -> BTreeMap<ServiceId, Arc<Picture>> {
        self.place.pictures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long the newest good answers of monitors took, of services that run here.
    #[must_use]
    pub fn answers(&self) -> BTreeMap<ServiceId, Duration> {
        self.place.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ask(&mut self, service: &ServiceId, ask: Ask) {
        let asks = match self.services.get(service) {
            Some(asks) if !asks.is_closed() => asks.clone(),
            Some(_) => self.begin_again(service),
            None => self.begin(service, None),
        };
        // Its task takes what is asked; should it break down now, the next question finds out.
        let _ = asks.send(ask);
    }

    /// The service's task broke down: another one takes over what is there.
    fn begin_again(&mut self, service: &ServiceId) -> UnboundedSender<Ask> {
        tracing::error!("the task of {service} broke down and is begun again");
        self.services.remove(service);
        let mut hooks = Vec::new();
        for path in [self.place.note(service), hook::note(&self.place, service)] {
            if !path.exists() {
                continue;
            }
            match self.take_over(&path) {
                Ok(hook) => hooks.extend(hook),
                Err(error) => tracing::error!("{}", stead_edge::chain(&error)),
            }
        }
        let asks = match self.services.get(service) {
            Some(asks) => asks.clone(),
            None => self.begin(service, None),
        };
        for (_, hook) in hooks {
            // The task was begun just now; should it break down too, the next question finds out.
            let _ = asks.send(Ask::EndHook(hook));
        }
        asks
    }

    fn begin(&mut self, service: &ServiceId, found: Option<Held>) -> UnboundedSender<Ask> {
        let (asks, asked) = unbounded_channel();
        let task = Service::new(service.clone(), self.place.clone(), asked, found);
        tokio::spawn(task.run());
        self.services.insert(service.clone(), asks.clone());
        asks
    }
}

/// The same length of time, as the standard library has it.
pub(crate) fn duration(span: Span) -> Duration {
    Duration::from_micros(span.as_micros())
}
