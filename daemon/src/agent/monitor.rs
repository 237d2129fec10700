//! Whether a service works: its monitor, run or asked again and again.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal as Name;
use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::state::config::{Look, Monitor, ServiceConfig};
use stead_edge::chain;
use stead_linux::process::{Mark, Rooms, spawn};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use super::cgroup::Group;
use super::held::Held;
use super::place::{LaunchError, Place, door};
use super::run::Run;
use super::{duration, output, probe};

/// The pause after the first failure during the start, doubled up to the interval: short, because
/// clients wait for the first success.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// A program may fail its monitor for at least this long after its start.
const SHORTEST_GRACE: Duration = Duration::from_secs(5);

/// Runs a service's monitor until it is dropped; a run that is under way is killed then.
#[derive(Debug)]
pub(super) struct Monitoring {
    task: AbortHandle,
    over: Over,
}

/// Whether no run may begin any more; held while one is being started.
type Over = Arc<Mutex<bool>>;

impl Drop for Monitoring {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a run needs.
struct Watch {
    place: Arc<Place>,
    service: ServiceId,
    epoch: Epoch,
    config: ServiceConfig,
    look: Look,
    group: Option<Group>,
    /// Whose rooms it is run in: where the program sees what it sees, so does its monitor.
    rooms: Option<(i32, i32)>,
    over: Over,
}

impl Monitoring {
    /// Begins to run the monitor that is configured; `None` if there is none.
    pub(super) fn begin(
        place: &Arc<Place>,
        service: &ServiceId,
        epoch: Epoch,
        (config, look): (&ServiceConfig, &Look),
        held: Option<&Held>,
    ) -> Option<Self> {
        let monitor = config.monitor.clone()?;
        let watch = Watch {
            place: place.clone(),
            service: service.clone(),
            epoch,
            config: config.clone(),
            look: look.clone(),
            group: held.and_then(|held| held.group.clone()),
            rooms: held.and_then(Held::rooms),
            over: Over::default(),
        };
        let over = watch.over.clone();
        Some(Self { task: tokio::spawn(Arc::new(watch).run(monitor)).abort_handle(), over })
    }

    /// Ends it. Afterwards no run begins; one that just had is found like the rest of the program.
    pub(super) async fn end(self) {
        self.task.abort();
        let over = self.over.clone();
        // A start that is under way holds the lock, on a thread that may block.
        let _ = spawn_blocking(move || {
            *over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        })
        .await;
    }
}

impl Watch {
    async fn run(self: Arc<Self>, monitor: Monitor) {
        let interval = duration(monitor.interval);
        let grace = duration(monitor.timeout).max(SHORTEST_GRACE);
        let began = Instant::now();
        let mut pause = FIRST_PAUSE.min(interval);
        let mut starting = true;
        let mut in_a_row = 0;
        loop {
            let asked = Instant::now();
            let answer = self.clone().once(&monitor).await;
            let failed = self.judge(answer, asked.elapsed()).err();
            starting &= failed.is_some() && began.elapsed() < grace;
            in_a_row = if failed.is_some() && !starting { in_a_row + 1 } else { 0 };
            // Fewer failures than are asked for are not told at all.
            let counts = failed.is_none() || in_a_row >= self.look.failures;
            if !starting && !counts {
                pause = interval;
            } else if !starting {
                let (service, epoch) = (self.service.clone(), self.epoch);
                if failed.is_some() {
                    let watch = self.clone();
                    // Should the reading break down, the failure is told all the same.
                    let keep = move || drop(watch.place.keep_last_words(&watch.service));
                    let _ = spawn_blocking(keep).await;
                }
                self.place.tell(Event::Monitored { service, epoch, failed });
                pause = interval;
            }
            sleep(pause).await;
            pause = (pause * 2).min(interval);
        }
    }

    /// Whether an answer that took so long is good; how long it took is shown in either case.
    fn judge(&self, answer: Result<(), String>, took: Duration) -> Result<(), String> {
        answer?;
        self.place.show_answer(&self.service, Some(took));
        match self.look.slower_than.map(duration).filter(|most| took > *most) {
            Some(most) => Err(format!(
                "its monitor was answered after {} ms, slower than {} ms",
                took.as_millis(),
                most.as_millis()
            )),
            None => Ok(()),
        }
    }

    /// One run; the error says why the service does not work.
    async fn once(self: Arc<Self>, monitor: &Monitor) -> Result<(), String> {
        if let Some(probe) = &self.look.probe {
            let within = duration(monitor.timeout);
            let asked = timeout(within, probe::ask(probe)).await;
            let late = |_| Err(format!("no answer to its monitor within {}", monitor.timeout));
            return asked.unwrap_or_else(late);
        }
        let command = monitor.command.clone();
        let watch = self.clone();
        let started = spawn_blocking(move || watch.start(&command)).await;
        let mut run = match started {
            Ok(Ok(run)) => run,
            Ok(Err(error)) => return Err(format!("its monitor can't be run: {}", chain(&error))),
            Err(error) => return Err(format!("its monitor can't be run: {error}")),
        };
        let Some(status) = run.status(duration(monitor.timeout)).await else {
            // Dropped here, it is killed.
            return Err(self.told(&format!("no answer of its monitor within {}", monitor.timeout)));
        };
        let status = status.map_err(|error| format!("its monitor is lost: {}", chain(&error)))?;
        if status.success() { Ok(()) } else { Err(self.told(&ending(status))) }
    }

    fn start(&self, command: &[String]) -> Result<Run, LaunchError> {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if *over {
            return Err(LaunchError::Over);
        }
        let path = self.place.monitor_output(&self.service);
        let file =
            output::begin(&path, None).map_err(|source| LaunchError::Output { path, source })?;
        let mut spec = self.place.spec(&self.service, self.epoch, &self.config, command, file)?;
        spec.mark = Mark { note: None, cgroup: door(self.group.as_ref()) };
        // If they are gone so is the program, and its monitor may say so from here.
        spec.rooms = self.rooms.and_then(|(parent, child)| Rooms::of(parent, child).ok());
        Ok(Run::of(spawn(spec)?))
    }

    fn told(&self, what: &str) -> String {
        let last = output::last_lines(&self.place.monitor_output(&self.service), 1);
        match last.first() {
            Some(line) => format!("{what}, it said: {line}"),
            None => what.to_owned(),
        }
    }
}

/// How a process ended, in words.
fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal().map(Name::try_from)) {
        (Some(code), _) => format!("exit status {code} of its monitor"),
        (None, Some(Ok(signal))) => format!("its monitor was killed by {signal}"),
        (None, Some(Err(_)) | None) => "its monitor was killed".to_owned(),
    }
}
