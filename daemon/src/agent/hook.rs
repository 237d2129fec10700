//! What is run beside a service when it comes to this node and before it goes in order.
//!
//! It is started as a program is: under a keeper, which ends it with the lease, in a control group
//! of its own, with a note by which it is found again. It gets its time and no more, and when it is
//! over everything that it started is ended, however it went. What it printed is in
//! `SERVICE.hook.log`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::{Event, Hook};
use stead_core::state::Cause;
use stead_core::state::config::{HookConfig, Program, ServiceConfig};
use stead_core::time::Span;
use stead_edge::chain;
use stead_edge::polled::Polled;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::held::Held;
use super::kept::Page;
use super::place::{Launch, Place};
use super::{duration, output, stop};
use crate::metrics::cause_name;

/// What the names of its files have more than those of its service.
const ENDING: &str = ".hook";
/// What `STEAD_CAUSE` has for a service that never ran before.
const FIRST: &str = "first";

/// What is to be run, and for what.
#[derive(Clone, Debug)]
pub struct HookRun {
    /// The service's addresses.
    pub config: ServiceConfig,
    /// The command and its time.
    pub command: HookConfig,
    /// For which moment.
    pub hook: Hook,
    /// Why the service came or goes; nothing if it never ran before.
    pub cause: Option<Cause>,
}

/// One under way.
#[derive(Debug)]
pub(super) struct Hooking {
    ended: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Hooking {
    /// Begins to run it.
    pub(super) fn begin(
        place: &Arc<Place>,
        service: &ServiceId,
        epoch: Epoch,
        what: HookRun,
        page: Option<Page>,
    ) -> Self {
        let (ended, ending) = watch::channel(false);
        let (place, service) = (place.clone(), service.clone());
        let task = tokio::spawn(async move {
            let hook = what.hook;
            if let Err(reason) = run(&place, &service, epoch, what, page, ending).await {
                place.tell(Event::HookFailed { service, hook, reason });
            }
        });
        Self { ended, task }
    }

    /// Waits until it is over, and nothing of it is left.
    pub(super) async fn over(self) {
        // Should its task break down, the keeper ends it with the lease, the next daemon before.
        let _ = self.task.await;
    }

    /// One that an earlier run of the daemon left: nobody watches its time any more, and it is too
    /// late to begin it again, so it is ended.
    pub(super) fn of_former(service: &ServiceId, mut held: Held) -> Self {
        held.patience = Duration::ZERO;
        let service = service.clone();
        let task = tokio::spawn(async move { stop::stop(&service, held).await });
        Self { ended: watch::Sender::new(true), task }
    }

    /// Has it end.
    pub(super) fn ask_to_end(&self) {
        self.ended.send_replace(true);
    }
}

async fn run(
    place: &Arc<Place>,
    service: &ServiceId,
    epoch: Epoch,
    what: HookRun,
    page: Option<Page>,
    mut ending: watch::Receiver<bool>,
) -> Result<(), String> {
    let within = duration(what.command.timeout);
    let held = launch(place, service, epoch, what, page).await?;
    let ended = tokio::select! {
        ended = timeout(within, end_of(&held)) => Some(ended.is_ok()),
        _ = ending.wait_for(|ended| *ended) => None,
    };
    let (how, good) = (held.how_it_ended(), held.succeeded());
    let log = place.log(&files(service));
    stop::stop(service, held).await;
    let failed = match ended {
        Some(true) if good => return Ok(()),
        Some(true) => how,
        Some(false) => format!("not over within {} s, and it was killed", within.as_secs_f64()),
        None => "it was killed: the service stops".to_owned(),
    };
    match output::last_lines(&log, 1).first() {
        Some(line) => Err(format!("{failed}, it said: {line}")),
        None => Err(failed),
    }
}

async fn launch(
    place: &Arc<Place>,
    service: &ServiceId,
    epoch: Epoch,
    what: HookRun,
    page: Option<Page>,
) -> Result<Held, String> {
    let (place, service) = (place.clone(), service.clone());
    let launch = move || {
        let cause = what.cause.map_or(FIRST, cause_name);
        let variables =
            [("STEAD_HOOK", what.hook.word().to_owned()), ("STEAD_CAUSE", cause.to_owned())];
        // When it is over nothing of it is asked to end.
        let program = Program { command: what.command.command, stop_timeout: Span::ZERO };
        let launch = Launch {
            config: &what.config,
            program: &program,
            executor: false,
            hook: Some(&variables),
            copy: false,
        };
        place.launch(&service, epoch, launch, page.as_ref())
    };
    match spawn_blocking(launch).await {
        Ok(Ok(held)) => Ok(held),
        Ok(Err(error)) => Err(chain(&error)),
        Err(error) => Err(format!("its start broke off: {error}")),
    }
}

/// Waits for the end of its main process.
async fn end_of(held: &Held) {
    // What can't be watched gets its time.
    match held.end().and_then(|end| end.map(Polled::new).transpose()) {
        Ok(Some(end)) => drop(end.readable().await),
        Ok(None) => {}
        Err(_) => std::future::pending().await,
    }
}

/// The name that its files go by.
pub(super) fn files(service: &ServiceId) -> ServiceId {
    ServiceId(format!("{service}{ENDING}"))
}

/// Its note.
pub(super) fn note(place: &Place, service: &ServiceId) -> PathBuf {
    place.note(&files(service))
}

/// Whether that note is of something that was run beside a service.
pub(super) fn is_one(note: &Path) -> bool {
    let stem = note.file_stem().and_then(|stem| stem.to_str());
    stem.is_some_and(|stem| stem.ends_with(ENDING))
}
