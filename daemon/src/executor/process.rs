//! A program that stays in the foreground.

use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stead_core::resource::{Answer, Operation};
use stead_core::state::config::ResourceTimes;
use stead_core::time::Span;
use stead_linux::process::{Running, Signal, Spec, spawn};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::members;
use super::operator::{Ended, Report, command, signal_name};
use super::surroundings::Surroundings;
use crate::agent::{duration, output};
use crate::chain::chain;
use crate::config::{DEFAULT_MONITOR_TIMEOUT, DEFAULT_STOP_TIMEOUT};
use crate::polled::Polled;

/// How long a start may take, where the file doesn't say.
const START_TIMEOUT: Span = Span::from_millis(20_000);
/// The pause after the first failure of the monitor during a start, doubled with each: short,
/// because clients wait for the first success.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(1_000);

/// The program as it is now.
#[derive(Debug, Default)]
struct Slot {
    /// Which start it is from.
    start: u64,
    running: Option<Running>,
    /// How it ended by itself.
    ended: Option<String>,
}

/// A resource that is a program.
#[derive(Debug)]
pub(super) struct Program {
    command: Vec<String>,
    monitor: Option<Vec<String>>,
    times: ResourceTimes,
    surroundings: Surroundings,
    slot: Arc<Mutex<Slot>>,
    place: usize,
    reports: UnboundedSender<Report>,
}

impl Program {
    pub(super) fn new(
        command: Vec<String>,
        monitor: Option<Vec<String>>,
        times: ResourceTimes,
        surroundings: Surroundings,
        (place, reports): (usize, UnboundedSender<Report>),
    ) -> Self {
        let slot = Arc::default();
        Self { command, monitor, times, surroundings, slot, place, reports }
    }

    pub(super) async fn perform(&self, operation: Operation) -> Answer {
        match operation {
            // Only this process starts it, and it has begun.
            Operation::Probe => Answer::Stopped,
            Operation::Start => self.start().await,
            Operation::Monitor => self.look().await,
            Operation::Stop => self.stop().await,
            Operation::Promote | Operation::Demote | Operation::Notify => {
                Answer::Failed("a program has no copies".to_owned())
            }
            Operation::Kill => {
                self.next_start();
                match members::kill(&self.surroundings).await {
                    Ok(()) => self.gone(),
                    Err(reason) => Answer::Failed(format!("killed, and {reason}")),
                }
            }
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> Option<String> {
        self.slot().ended.clone()
    }

    async fn start(&self) -> Answer {
        let until = Instant::now() + duration(self.times.start.unwrap_or(START_TIMEOUT));
        if let Err(reason) = self.launch().await {
            return Answer::Failed(reason);
        }
        let mut pause = FIRST_PAUSE;
        loop {
            // One that ends at once says so before it counts as started.
            let reason = match self.look().await {
                Answer::Works if self.ended().is_none() => return Answer::Works,
                Answer::Failed(reason) => reason,
                Answer::Works | Answer::Promoted | Answer::Stopped | Answer::Hopeless(_) => {
                    let how = self.ended().unwrap_or_else(|| "it stopped at once".to_owned());
                    return Answer::Failed(how);
                }
            };
            if Instant::now() + pause >= until {
                return Answer::Failed(reason);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Starts it, and has its end told.
    async fn launch(&self) -> Result<(), String> {
        let spec = self.spec(&self.command, &self.surroundings.output, true)?;
        let start = self.next_start();
        let slot = self.slot.clone();
        // Under the lock: a stop that comes meanwhile waits, and finds what was started.
        let spawned = spawn_blocking(move || {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.start != start {
                return Err("it was stopped meanwhile".to_owned());
            }
            let running = spawn(spec).map_err(|error| chain(&error))?;
            let end = running.as_fd().try_clone_to_owned();
            (slot.running, slot.ended) = (Some(running), None);
            end.map_err(|error| format!("its end can't be watched: {error}"))
        });
        let end = spawned.await.map_err(|error| format!("it can't be started: {error}"))??;
        let end = Polled::new(end).map_err(|it| format!("its end can't be watched: {it}"))?;
        let (slot, place, reports) = (self.slot.clone(), self.place, self.reports.clone());
        tokio::spawn(async move {
            let _ = end.readable().await;
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.start != start {
                return;
            }
            let status = slot.running.as_mut().and_then(|running| running.try_wait().ok()?);
            let detail = status.map_or_else(|| "it ended".to_owned(), how);
            slot.ended = Some(detail.clone());
            drop(slot);
            let _ = reports.send(Report::Ended { place, detail });
        });
        Ok(())
    }

    /// No start that is under way counts any more, nor does the end of what was started.
    fn next_start(&self) -> u64 {
        let mut slot = self.slot();
        slot.start += 1;
        slot.start
    }

    fn spec(&self, command: &[String], output: &Path, keep_old: bool) -> Result<Spec, String> {
        let (program, args) = command.split_first().ok_or("its command is empty")?;
        let old = keep_old.then(|| output.with_extension("log.old"));
        let failed = |error| format!("can't begin {}: {error}", output.display());
        let file = output::begin(output, old.as_deref()).map_err(failed)?;
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Ok(self.surroundings.spec(Path::new(program), &args, Vec::new(), file))
    }

    /// Whether it works: it runs, and its monitor, if it has one, says so.
    async fn look(&self) -> Answer {
        {
            let slot = self.slot();
            if slot.running.is_none() || slot.ended.is_some() {
                return Answer::Stopped;
            }
        }
        let Some(monitor) = &self.monitor else { return Answer::Works };
        let output = self.surroundings.output.with_extension("monitor");
        let spec = match self.spec(monitor, &output, false) {
            Ok(spec) => spec,
            Err(reason) => return Answer::Failed(reason),
        };
        let within = self.times.monitor.unwrap_or(DEFAULT_MONITOR_TIMEOUT);
        let what = match command(spec, within).await {
            Ended::Status(0) => return Answer::Works,
            Ended::Status(status) => format!("its monitor: exit status {status}"),
            Ended::Signal(number) => format!("its monitor was killed by {}", signal_name(number)),
            Ended::Not(reason) => format!("its monitor: {reason}"),
        };
        match output::last_lines(&output, 1).first() {
            Some(line) => Answer::Failed(format!("{what}, it said: {line}")),
            None => Answer::Failed(what),
        }
    }

    async fn stop(&self) -> Answer {
        let within = self.times.stop.unwrap_or(DEFAULT_STOP_TIMEOUT);
        let until = Instant::now() + duration(within);
        self.next_start();
        match members::members(&self.surroundings) {
            Ok(all) => members::signal(&all, Signal::SIGTERM),
            Err(error) => return Answer::Failed(format!("can't see what to stop: {error}")),
        }
        match members::all_gone(&self.surroundings, until).await {
            Ok(()) => self.gone(),
            Err(left) => {
                Answer::Failed(format!("it did not end within {}: {left}", within.in_words()))
            }
        }
    }

    /// Nothing of it runs. Its end is nobody's news any more.
    fn gone(&self) -> Answer {
        let mut slot = self.slot();
        if let Some(mut running) = slot.running.take() {
            let _ = running.try_wait();
        }
        slot.ended = None;
        Answer::Stopped
    }
}

/// How it ended, in words.
fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended: exit status {code}"),
        (None, Some(number)) => format!("it ended: killed by {}", signal_name(number)),
        (None, None) => "it ended".to_owned(),
    }
}
