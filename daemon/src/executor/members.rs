//! The processes of one resource, and their end.

use std::io;
use std::time::Duration;

use stead_linux::process::Signal;
use tokio::time::{Instant, sleep};

use super::say;
use super::surroundings::Surroundings;
use crate::agent::cgroup::Group;
use crate::agent::proc::{self, Stat};

/// The pause between two looks at what is left, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// How long what was killed may take to go: longer, and it sits in the kernel.
const GOING: Duration = Duration::from_secs(10);

/// All that still runs of it: in its control group, with its environment, and what these started.
pub(super) fn members(surroundings: &Surroundings) -> io::Result<Vec<Stat>> {
    let group = surroundings.group.as_ref().map(Group::members).transpose()?.unwrap_or_default();
    let variables = surroundings.variables();
    let is_of_it = |stat: &Stat| {
        let pid = stat.identity.pid;
        group.contains(&pid) || proc::has_variables(pid, &variables)
    };
    Ok(proc::with_descendants(proc::all()?, is_of_it))
}

/// Sends a signal to each of them.
pub(super) fn signal(all: &[Stat], signal: Signal) {
    for stat in all {
        if let Err(error) = proc::signal(stat, signal) {
            say(format_args!("{}", stead_edge::chain(&error)));
        }
    }
}

/// Waits until none is left; says what is, if the time is over before that.
pub(super) async fn all_gone(surroundings: &Surroundings, until: Instant) -> Result<(), String> {
    let mut pause = FIRST_PAUSE;
    loop {
        let left = members(surroundings).map_err(|it| format!("can't see what is left: {it}"))?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= until {
            let pids: Vec<_> = left.iter().map(|it| it.identity.pid.to_string()).collect();
            return Err(format!("process {} is left", pids.join(", ")));
        }
        sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Kills all of them, and what they start meanwhile, until none is left.
pub(super) async fn kill(surroundings: &Surroundings) -> Result<(), String> {
    let until = Instant::now() + GOING;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(group) = &surroundings.group {
            group.kill();
        }
        let left = members(surroundings).map_err(|it| format!("can't see what is left: {it}"))?;
        if left.is_empty() {
            return Ok(());
        }
        signal(&left, Signal::SIGKILL);
        if Instant::now() >= until {
            return all_gone(surroundings, until).await;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
