//! Playing a script, and telling what happened.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::script::{Script, Step, Wanted};
use crate::check::Verdict;
use crate::fault::ActError;
use crate::plan::address;
use crate::swarm;
use crate::world::World;

/// A script that can't be played to its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlayError {
    /// An act can't be done when its turn comes.
    #[error("line {line}: `{step}` can't be done: {why}")]
    Act {
        /// The line.
        line: usize,
        /// What is there.
        step: String,
        /// Why not.
        why: ActError,
    },
    /// What was waited for never came.
    #[error("line {line}: waited in vain for `{wanted}`. The last notices:\n{last}")]
    InVain {
        /// The line.
        line: usize,
        /// What was waited for.
        wanted: String,
        /// What happened last.
        last: String,
    },
}

/// How a script went.
#[derive(Debug)]
pub struct Played {
    /// The world at its end.
    pub world: World,
    /// When it began, in the world's microseconds.
    pub begin: u64,
}

/// So many of the last notices are shown with an error.
const LAST: usize = 20;

/// Plays a script from its beginning; a judge's word ends it.
///
/// # Errors
/// If an act can't be done, or what is waited for never comes.
pub fn play(script: &Script) -> Result<Played, PlayError> {
    let mut world = if script.unsettled {
        World::new(script.plan.clone())
    } else {
        World::settled(script.plan.clone())
    };
    world.tracing = true;
    let begin = if script.unsettled { 0 } else { world.now };
    let steps = AssertUnwindSafe(|| play_steps(&mut world, begin, &script.steps));
    match catch_unwind(steps) {
        Ok(result) => result?,
        Err(panic) => swarm::panicked(&mut world, panic.as_ref()),
    }
    Ok(Played { world, begin })
}

/// Plays these steps in a world; `begin` is when the script began.
///
/// # Errors
/// If an act can't be done, or what is waited for never comes.
pub fn play_steps(world: &mut World, begin: u64, steps: &[(usize, Step)]) -> Result<(), PlayError> {
    for (line, step) in steps {
        if world.judges.verdict.is_some() {
            return Ok(());
        }
        match step {
            Step::Act(act) => world.act(act).map_err(|why| {
                let step = step.to_string();
                PlayError::Act { line: *line, step, why }
            })?,
            Step::Run(micros) => world.run_micros(*micros),
            Step::Until(moment) => {
                let moment = begin + moment;
                world.run_micros(moment.saturating_sub(world.now));
            }
            Step::Await(micros, wanted) => await_it(world, begin, *line, *micros, wanted)?,
            Step::Lull(micros) => world.judge_lull(micros / 1_000),
            Step::Heal => swarm::heal(world),
        }
    }
    Ok(())
}

fn await_it(
    world: &mut World,
    begin: u64,
    line: usize,
    micros: u64,
    wanted: &Wanted,
) -> Result<(), PlayError> {
    let known = world.trace.len();
    let reached = |world: &World| match wanted {
        Wanted::Healthy => world.is_healthy(),
        Wanted::Served(number) => world.server(*number).is_some(),
        Wanted::Silent(number) => world.server(*number).is_none(),
        Wanted::Said(words) => world.trace[known..].iter().any(|line| line.2.contains(words)),
    };
    let end = world.now + micros;
    while !reached(world) && world.now < end && world.judges.verdict.is_none() {
        world.run_micros(1_000.min(end - world.now));
    }
    if reached(world) || world.judges.verdict.is_some() {
        return Ok(());
    }
    let from = world.trace.len().saturating_sub(LAST);
    let last: Vec<_> = world.trace[from..].iter().map(|it| world.line(begin, it)).collect();
    Err(PlayError::InVain { line, wanted: wanted.to_string(), last: last.join("\n") })
}

impl Played {
    /// What a judge saw, if one did.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.world.judges.verdict.as_ref()
    }

    /// What happened, and how it ended. Of lines that several nodes say, only the first is kept.
    #[must_use]
    pub fn transcript(&self) -> String {
        let world = &self.world;
        let mut text = String::new();
        let mut said: Vec<(u64, &str)> = Vec::new();
        for entry in &world.trace {
            let (time, _, line) = entry;
            let again = said.iter().any(|(at, old)| old == line && time - at < 1_500_000);
            said.push((*time, line));
            if !again {
                let _ = writeln!(text, "{}", world.line(self.begin, entry).trim_end());
            }
        }
        text.push_str("in the end:");
        let members = world.state().map(|state| state.members.len()).unwrap_or_default();
        let view = world.state().map(|state| {
            state.view.keys().map(|node| world.name(*node)).collect::<Vec<_>>().join(" ")
        });
        let _ = writeln!(text, " view {} of {members}", view.unwrap_or_default());
        for number in 0..world.plan.services {
            let server = world.server(number).map_or("nobody", |host| world.hosts[host].name);
            let silent = tenths(world.judges.address.longest_gap(number));
            let waited = tenths(world.lan.clients[number].longest);
            let address = address(number);
            let _ = writeln!(
                text,
                "  s{number} {address} {server}, silent for {silent} ms, its client waited \
                 {waited} ms"
            );
        }
        for (why, (times, longest)) in &world.judges.excused {
            let longest = tenths(*longest);
            let _ = writeln!(text, "  excused, {why:?}: {times} times, for {longest} ms at most");
        }
        match self.verdict() {
            Some(verdict) => {
                let _ = writeln!(text, "  {}: {}", verdict.judge, verdict.what);
            }
            None => text.push_str("  the judges have nothing to say\n"),
        }
        text
    }
}

fn tenths(micros: u64) -> String {
    format!("{}.{}", micros / 1_000, micros % 1_000 / 100)
}
