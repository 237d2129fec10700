//! What systemd is on a real node: guards and daemons that died are started again.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use stead_lab::{Host, Process};

use super::error::{FleetError, Step};

/// How often it looks who died.
const LOOK: Duration = Duration::from_millis(5);

/// One of the two processes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `stead guard`.
    Guard,
    /// `stead daemon`.
    Daemon,
}

impl Part {
    /// The command.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Daemon => "daemon",
        }
    }

    /// RestartSec of the unit.
    fn restart_after(self) -> Duration {
        match self {
            Self::Guard => Duration::from_millis(20),
            Self::Daemon => Duration::from_millis(100),
        }
    }
}

/// What runs or shall run.
struct Unit {
    node: String,
    part: Part,
    host: Host,
    /// Makes the command anew for each start.
    command: Box<dyn Fn() -> Command + Send>,
    log: PathBuf,
    process: Option<Process>,
    wanted: bool,
    died: Option<Instant>,
    restarts: u32,
}

type Units = Arc<Mutex<Vec<Unit>>>;

/// Starts what died. Ends when dropped; what runs goes on.
pub(super) struct Supervisor {
    units: Units,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn lock(units: &Units) -> MutexGuard<'_, Vec<Unit>> {
    units.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Supervisor {
    pub(super) fn start() -> Result<Self, FleetError> {
        let (units, stop) = (Units::default(), Arc::new(AtomicBool::new(false)));
        let (shared, told) = (Arc::clone(&units), Arc::clone(&stop));
        let body = move || {
            while !told.load(Ordering::Relaxed) {
                lock(&shared).iter_mut().for_each(Unit::look);
                std::thread::sleep(LOOK);
            }
        };
        let thread = std::thread::Builder::new().name("supervisor".to_owned()).spawn(body);
        let thread = thread.step(|| "cannot start the supervisor's thread".to_owned())?;
        Ok(Self { units, stop, thread: Some(thread) })
    }

    /// Starts a part of a node, and again whenever it dies.
    pub(super) fn run(
        &self,
        host: &Host,
        part: Part,
        log: PathBuf,
        command: impl Fn() -> Command + Send + 'static,
    ) -> Result<(), FleetError> {
        let mut units = lock(&self.units);
        let node = host.name().to_owned();
        let known = units.iter().position(|unit| unit.node == node && unit.part == part);
        let at = known.unwrap_or_else(|| {
            let (host, command) = (host.clone(), Box::new(command));
            let (process, died) = (None, None);
            units.push(Unit {
                node,
                part,
                host,
                command,
                log,
                process,
                wanted: true,
                died,
                restarts: 0,
            });
            units.len() - 1
        });
        let Some(unit) = units.get_mut(at) else { return Ok(()) };
        unit.wanted = true;
        if unit.runs() { Ok(()) } else { unit.begin() }
    }

    /// From here on the parts of a node stay dead once they died.
    pub(super) fn leave(&self, node: &str, part: Option<Part>) {
        let mut units = lock(&self.units);
        let meant = |unit: &&mut Unit| unit.node == node && part.is_none_or(|it| it == unit.part);
        for unit in units.iter_mut().filter(meant) {
            unit.wanted = false;
        }
    }

    /// The process of a part, if one was ever started.
    pub(super) fn process(&self, node: &str, part: Part) -> Option<Process> {
        let units = lock(&self.units);
        let unit = units.iter().find(|unit| unit.node == node && unit.part == part);
        unit.and_then(|unit| unit.process.clone())
    }

    /// How often a part was started again.
    pub(super) fn restarts(&self, node: &str, part: Part) -> u32 {
        let units = lock(&self.units);
        let unit = units.iter().find(|unit| unit.node == node && unit.part == part);
        unit.map_or(0, |unit| unit.restarts)
    }

    /// Ends it; what runs goes on.
    pub(super) fn end(mut self) {
        self.join();
    }

    fn join(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // a panic in there was printed
            drop(thread.join());
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.join();
    }
}

impl Unit {
    fn runs(&self) -> bool {
        self.process.as_ref().is_some_and(|it| matches!(it.ended(), Ok(None)))
    }

    fn begin(&mut self) -> Result<(), FleetError> {
        self.died = None;
        self.process = Some(self.host.spawn((self.command)(), &self.log)?);
        Ok(())
    }

    fn look(&mut self) {
        if !self.wanted || self.runs() {
            return;
        }
        let died = *self.died.get_or_insert_with(Instant::now);
        if died.elapsed() < self.part.restart_after() {
            return;
        }
        self.restarts += 1;
        if let Err(error) = self.begin() {
            // tried again at the next look
            eprintln!("{} of {}: {}", self.part.name(), self.node, stead_edge::chain(&error));
        }
    }
}
