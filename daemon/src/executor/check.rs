//! A command that tells whether a resource works.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use stead_core::resource::Answer;
use stead_core::state::config::ResourceTimes;
use stead_linux::process::Spec;
use tokio::time::{Instant, sleep};

use super::operator::{Ended, command, signal_name};
use super::surroundings::Surroundings;
use crate::agent::output;
use crate::config::DEFAULT_MONITOR_TIMEOUT;

/// The pause after the first failure of a check during a start, doubled with each: short, because
/// clients wait for the first success.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(1_000);

/// What a command of a resource runs as, with an output of its own and what it is told beside what
/// all are told.
pub(super) fn spec(
    surroundings: &Surroundings,
    command: &[String],
    told: Vec<(OsString, OsString)>,
    output: &Path,
    keep_old: bool,
) -> Result<Spec, String> {
    let (program, args) = command.split_first().ok_or("its command is empty")?;
    let old = keep_old.then(|| output.with_extension("log.old"));
    let failed = |error| format!("can't begin {}: {error}", output.display());
    let file = output::begin(output, old.as_deref()).map_err(failed)?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Ok(surroundings.spec(Path::new(program), &args, told, file))
}

/// Runs it once.
pub(super) async fn look(
    surroundings: &Surroundings,
    monitor: &[String],
    times: &ResourceTimes,
) -> Answer {
    let output = surroundings.output.with_extension("monitor");
    let spec = match spec(surroundings, monitor, Vec::new(), &output, false) {
        Ok(spec) => spec,
        Err(reason) => return Answer::Failed(reason),
    };
    let within = times.monitor.unwrap_or(DEFAULT_MONITOR_TIMEOUT);
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

/// Tries until a start's time is over, with growing pauses.
pub(super) struct Tries {
    until: Instant,
    pause: Duration,
}

impl Tries {
    pub(super) fn until(until: Instant) -> Self {
        Self { until, pause: FIRST_PAUSE }
    }

    /// Waits for the next try; says whether there is time for one.
    pub(super) async fn again(&mut self) -> bool {
        if Instant::now() + self.pause >= self.until {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}
