//! What all services of a node share: folder, names, surroundings of programs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::state::config::{Program, ServiceConfig};
use stead_core::time::Span;
use stead_linux::process::{Mark, ProcessError, Running, Spec, spawn};
use thiserror::Error;
use tokio::sync::mpsc::UnboundedSender;

use super::cgroup::{Group, Groups};
use super::held::{Held, Main};
use super::kept::{Keepers, Page};
use super::{Wish, beside, duration, hook, note, output};
use crate::executor::{self, Picture, Wanted, WantedError};
use crate::paths::SEARCH;

/// How long what an executor leaves behind may take to end after SIGTERM, once it is gone itself.
const EXECUTOR_PATIENCE: Span = Span::from_millis(2_000);

/// How many of its last lines are kept of a program that failed.
const LAST_LINES: usize = 10;

/// How the names of files end that say what is promoted.
const PROMOTED: &str = "promoted";

/// A program was not started, and nothing of it runs.
#[derive(Debug, Error)]
pub(super) enum LaunchError {
    /// The service's name can't be part of a file's.
    #[error("`{0}` can't be the name of a service with a program")]
    Name(ServiceId),
    /// There is no command.
    #[error("its command is empty, or not an absolute path")]
    Command,
    /// The file for its output.
    #[error("can't begin {}", path.display())]
    Output {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The note.
    #[error("can't write {}", path.display())]
    Note {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It was to be a run of a monitor that has been ended.
    #[error("its monitor was ended")]
    Over,
    /// What it shall run can't be told to its executor.
    #[error(transparent)]
    Wanted(#[from] WantedError),
    /// What an earlier run had others start.
    #[error("what an earlier run of it had others start can't be ended")]
    Beside(#[source] io::Error),
    /// The lease that permits it has ended.
    #[error("this node's lease ended before it began")]
    Lease,
    /// Nobody would end it with the lease.
    #[error("it can't be kept: {0}")]
    Keeper(String),
    /// The program.
    #[error(transparent)]
    Spawn(#[from] ProcessError),
}

/// What is started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Launch<'a> {
    pub(super) config: &'a ServiceConfig,
    pub(super) program: &'a Program,
    /// It is an executor.
    pub(super) executor: bool,
    /// It is a hook of the service, with these variables; nothing if it is the service's program.
    pub(super) hook: Option<&'a [(&'static str, String)]>,
    /// It is one of several copies of a service.
    pub(super) copy: bool,
}

/// What boots the machine anew; returns only if it can't.
pub type Reboot = fn() -> io::Error;

/// Where a node keeps its programs.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) node: String,
    pub(super) events: UnboundedSender<Event>,
    pub(super) groups: Option<Groups>,
    /// The beginning of its control groups' names: no two folders of one machine have the same.
    pub(super) prefix: String,
    /// What programs printed last before they failed, as far as this daemon saw it.
    pub(super) last_words: Mutex<BTreeMap<ServiceId, Arc<[String]>>>,
    /// How the resources of services are that have an executor.
    pub(super) pictures: Mutex<BTreeMap<ServiceId, Arc<Picture>>>,
    /// How long the newest good answers of monitors took.
    pub(super) answers: Mutex<BTreeMap<ServiceId, Duration>>,
    /// What keeps programs.
    pub(super) keepers: Keepers,
    /// How the machine is booted anew; not at all if nobody said so.
    pub(super) boots: OnceLock<Reboot>,
    /// Whether it may be now.
    pub(super) may_boot: AtomicBool,
}

impl Place {
    pub(super) fn tell(&self, event: Event) {
        // Nobody listens any more only when the daemon ends.
        let _ = self.events.send(event);
    }

    /// The service failed here: keeps what its program printed last, oldest first. To be called
    /// before the failure is told, on a thread that may block.
    pub(super) fn keep_last_words(&self, service: &ServiceId) -> Arc<[String]> {
        let lines: Arc<[String]> = output::last_lines(&self.log(service), LAST_LINES).into();
        let mut all = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(service.clone(), lines.clone());
        lines
    }

    /// Has the machine boot anew, for that reason: the last thing that can be done about what can't
    /// be stopped.
    pub(super) fn reboot(&self, reason: &str) {
        let Some(reboot) = self.boots.get() else { return };
        if !self.may_boot.load(Ordering::Relaxed) {
            tracing::warn!(
                "{reason}: this node does not boot itself anew in maintenance, nor \
                            while disarmed or not current"
            );
            return;
        }
        tracing::error!("{reason}: this node boots itself anew, as its configuration says");
        // What is in no file yet is lost; the kernel's own log has a console, perhaps more.
        let _ = std::fs::write("/dev/kmsg", format!("<0>stead: {reason}: booting anew\n"));
        let error = reboot();
        tracing::error!("{reason}, and this node can't boot itself anew: {error}");
    }

    /// Keeps how the resources of a service are; nothing if it has none here any more.
    pub(super) fn show(&self, service: &ServiceId, picture: Option<&Picture>) {
        let mut all = self.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        match picture {
            Some(picture) => drop(all.insert(service.clone(), Arc::new(picture.clone()))),
            None => drop(all.remove(service)),
        }
    }

    /// Keeps how long a monitor's answer took; nothing if the service is here no more.
    pub(super) fn show_answer(&self, service: &ServiceId, took: Option<Duration>) {
        let mut all = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        match took {
            Some(took) => drop(all.insert(service.clone(), took)),
            None => drop(all.remove(service)),
        }
    }

    fn file(&self, service: &ServiceId, ending: &str) -> PathBuf {
        self.dir.join(format!("{service}.{ending}"))
    }

    pub(super) fn log(&self, service: &ServiceId) -> PathBuf {
        self.file(service, "log")
    }

    pub(super) fn note(&self, service: &ServiceId) -> PathBuf {
        self.file(service, note::ENDING)
    }

    /// Says under which assignment the service's copy here is promoted, or may be.
    pub(super) fn promoted(&self, service: &ServiceId) -> PathBuf {
        self.file(service, PROMOTED)
    }

    pub(super) fn monitor_output(&self, service: &ServiceId) -> PathBuf {
        self.file(service, "monitor")
    }

    /// Starts the executor of a service's resources, as [`Place::launch`] starts a program.
    pub(super) fn launch_executor(
        &self,
        service: &ServiceId,
        epoch: Epoch,
        wish: &Wish,
        page: Option<&Page>,
    ) -> Result<Held, LaunchError> {
        if !is_file_name(service) {
            return Err(LaunchError::Name(service.clone()));
        }
        let wanted = Wanted {
            service: service.clone(),
            epoch,
            node: self.node.clone(),
            resources: wish.resources.clone(),
            copies: wish.copies.as_ref().map(|copies| copies.promotable.clone()),
            folder: self.dir.clone(),
            note: self.note(service),
            group: self.group(service).map(|group| group.folder().to_owned()),
            ending: false,
        };
        let path = wanted.write()?;
        let begun = self.launch_wanted(&path, &wanted, &wish.config, page);
        // What is bound may have come far enough to leave something: a stop looks for that.
        if begun.is_err() && !wanted.binds() {
            Wanted::forget(&self.dir, service);
        }
        begun
    }

    /// Starts the executor that reads what it shall do in that file.
    pub(super) fn launch_wanted(
        &self,
        path: &Path,
        wanted: &Wanted,
        config: &ServiceConfig,
        page: Option<&Page>,
    ) -> Result<Held, LaunchError> {
        // The same program that keeps programs. Both paths are text, or nothing could be named.
        let [program, path] =
            [self.keepers.keeper.program.as_path(), path].map(|path| path.to_str());
        let (Some(program), Some(path)) = (program, path) else { return Err(LaunchError::Command) };
        let command = [program, executor::COMMAND, path].map(str::to_owned).to_vec();
        let program = Program { command, stop_timeout: EXECUTOR_PATIENCE };
        let copy = wanted.copies.is_some();
        let what = Launch { config, program: &program, executor: true, hook: None, copy };
        self.launch(&wanted.service, wanted.epoch, what, page)
    }

    /// Starts a program, under a keeper if there is a page for it; blocks until it runs.
    pub(super) fn launch(
        &self,
        service: &ServiceId,
        epoch: Epoch,
        what: Launch<'_>,
        page: Option<&Page>,
    ) -> Result<Held, LaunchError> {
        let Launch { config, program, executor, hook: told, copy } = what;
        if !is_file_name(service) {
            return Err(LaunchError::Name(service.clone()));
        }
        // No service has a dot in its name, so a hook's files are no other service's.
        let files = match told {
            Some(_) => hook::files(service),
            None => service.clone(),
        };
        let path = self.log(&files);
        let old = self.file(&files, "log.old");
        let log = output::begin(&path, Some(&old))
            .map_err(|source| LaunchError::Output { path, source })?;
        let mut spec = self.spec(service, epoch, config, &program.command, log)?;
        let variables = spec.environment.get_or_insert_default();
        for (name, value) in told.into_iter().flatten() {
            variables.push(((*name).into(), value.into()));
        }
        if told.is_some() {
            variables.retain(|(name, _)| name != NOTE);
            variables.push((NOTE.into(), self.note(&files).into()));
        }
        let group = self.group(&files);
        let header = note::Header {
            service: service.clone(),
            epoch,
            command: program.command.clone(),
            patience: program.stop_timeout.as_micros(),
            boot: note::boot(),
            group: group.as_ref().map(|group| group.folder().to_owned()),
            executor,
            copy,
        };
        let path = self.note(&files);
        // Its note was lost, or it would have been ended with that.
        beside::seal(&path).and_then(|()| beside::forget(&path)).map_err(LaunchError::Beside)?;
        let failed = |source| LaunchError::Note { path: path.clone(), source };
        let written = note::create(&path, &header).map_err(failed)?;
        spec.mark = Mark { note: Some(written), cgroup: door(group.as_ref()) };
        let begun = self.begin(spec, epoch, page, &path, group.as_ref());
        let patience = duration(program.stop_timeout);
        let note = path.clone();
        let held = |main| Held { main, epoch, patience, note, group, executor, copy };
        match begun {
            Ok(running) => Ok(held(Main::Child(running))),
            Err(error) => {
                held(Main::Gone).forget();
                Err(error)
            }
        }
    }

    fn begin(
        &self,
        mut spec: Spec,
        epoch: Epoch,
        page: Option<&Page>,
        note: &Path,
        group: Option<&Group>,
    ) -> Result<Running, LaunchError> {
        let Some(page) = page else { return Ok(spawn(spec)?) };
        let starting = self.keepers.put_before(&mut spec, page, epoch, note, group)?;
        let mut running = spawn(spec)?;
        self.keepers.hear(starting, &mut running, group)?;
        Ok(running)
    }

    /// The control group of a service's program; `None` where there can't be one.
    pub(super) fn group(&self, service: &ServiceId) -> Option<Group> {
        let name = format!("{}{service}", self.prefix);
        match self.groups.as_ref()?.create(&name) {
            Ok(group) => {
                // What an earlier program left there, if its note was lost.
                group.kill();
                Some(group)
            }
            Err(error) => {
                tracing::warn!("no control group for {service}: {error}");
                None
            }
        }
    }

    /// A command of the service in its surroundings.
    pub(super) fn spec(
        &self,
        service: &ServiceId,
        epoch: Epoch,
        config: &ServiceConfig,
        command: &[String],
        output: File,
    ) -> Result<Spec, LaunchError> {
        let (program, args) = command.split_first().ok_or(LaunchError::Command)?;
        if !program.starts_with('/') {
            return Err(LaunchError::Command);
        }
        let addresses: Vec<_> = config.addresses.iter().map(|it| it.ip.to_string()).collect();
        let mut environment: Vec<(OsString, OsString)> = [
            ("PATH", SEARCH.to_owned()),
            ("STEAD_SERVICE", service.0.clone()),
            ("STEAD_NODE", self.node.clone()),
            ("STEAD_ADDRESSES", addresses.join(" ")),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        environment.push((EPOCH.into(), epoch.to_string().into()));
        environment.push((NOTE.into(), self.note(service).into()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut spec = Spec::new(program, &args);
        spec.environment = Some(environment);
        spec.folder = Some("/".into());
        spec.output = Some(output);
        Ok(spec)
    }
}

const EPOCH: &str = "STEAD_EPOCH";
const NOTE: &str = "STEAD_NOTE";

/// The two variables that only this program's processes have, as /proc shows them.
pub(crate) fn variables(note: &Path, epoch: Epoch) -> [Vec<u8>; 2] {
    let mut named = format!("{NOTE}=").into_bytes();
    named.extend_from_slice(note.as_os_str().as_bytes());
    [named, format!("{EPOCH}={epoch}").into_bytes()]
}

/// The way into a group, for a child; without it the child is found by session and environment.
pub(super) fn door(group: Option<&Group>) -> Option<File> {
    let group = group?;
    match group.door() {
        Ok(door) => Some(door),
        Err(error) => {
            tracing::warn!("can't enter {}: {error}", group.folder().display());
            None
        }
    }
}

/// The reader of `cluster.toml` accepts no other names; this is for what came over the network.
fn is_file_name(service: &ServiceId) -> bool {
    let name = &service.0;
    // A dot would make one service's files those of another, or of its hook.
    let odd = |c: char| c == '/' || c == '.' || c.is_control();
    !name.is_empty() && name.len() <= 200 && !name.contains(odd)
}
