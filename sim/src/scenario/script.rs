//! Reading and writing scripts.

use std::fmt;

use stead_core::time::Span;

use crate::fault::{Act, millis, read_service};
use crate::plan::{Gates, NAMES, Plan};
use crate::reader::{Reader, ScriptError};
use crate::world::Dogs;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything is as it should be.
    Healthy,
    /// The service's address is open somewhere.
    Served(usize),
    /// It is open nowhere.
    Silent(usize),
    /// Somebody said that, or something that contains it.
    Said(String),
}

/// One line of a script. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something is done to the world.
    Act(Act),
    /// Time passes.
    Run(u64),
    /// Time passes up to that moment of the script.
    Until(u64),
    /// It has to happen within that time.
    Await(u64, Wanted),
    /// A whole partition has to serve within that time.
    Lull(u64),
    /// All faults end.
    Heal,
}

/// A whole script.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it is for.
    pub intent: String,
    /// The cluster.
    pub plan: Plan,
    /// The script begins when the machines start, not when the cluster is calm.
    pub unsettled: bool,
    /// Each line, and its number.
    pub steps: Vec<(usize, Step)>,
}

/// The longest that a script may wait at a time: virtual, but somebody sits before it.
const LONGEST: u64 = 3_600_000_000;

impl Script {
    /// Reads a script, up to the rule.
    ///
    /// # Errors
    /// The first line that can't be read, with its column.
    pub fn read(text: &str) -> Result<Self, ScriptError> {
        let mut script =
            Self { intent: String::new(), plan: Plan::calm(3, 2), unsettled: false, steps: vec![] };
        let mut members = None;
        for (at, line) in text.lines().enumerate() {
            if line.starts_with("----") {
                break;
            }
            if let Some(comment) = line.strip_prefix('#') {
                if script.intent.is_empty() {
                    script.intent = comment.trim().to_string();
                }
                continue;
            }
            let mut words = Reader::new(at + 1, line);
            let Some(verb) = words.peek() else { continue };
            words.word("a verb")?;
            if script.read_plan(verb, &mut words, &mut members)? {
                if !script.steps.is_empty() {
                    let mut words = Reader::new(at + 1, line);
                    words.word("a verb")?;
                    return Err(words.wrong(&format!("{verb} must come before the first step")));
                }
            } else {
                let step = Step::read(verb, &mut words)?;
                script.steps.push((at + 1, step));
            }
            words.finish()?;
        }
        let end = Reader::new(1, "");
        if script.intent.is_empty() {
            return Err(end.error("the intent is missing: a first line `# In one sentence.`"));
        }
        script.plan.members = members.unwrap_or(script.plan.nodes);
        if script.plan.members > script.plan.nodes {
            return Err(end.error("there can't be more members than nodes"));
        }
        let services = 0..script.plan.services;
        if let Some(number) = script.plan.parts.services.keys().find(|it| !services.contains(it)) {
            return Err(end.error(&format!("there is no s{number}: say services N, a larger one")));
        }
        if script.plan.satellites >= script.plan.nodes {
            return Err(end.error("some nodes must vote: there are as many satellites"));
        }
        Ok(script)
    }

    fn read_plan(
        &mut self,
        verb: &str,
        words: &mut Reader<'_>,
        members: &mut Option<usize>,
    ) -> Result<bool, ScriptError> {
        let plan = &mut self.plan;
        let upto = |words: &mut Reader<'_>, most: usize| {
            let number = words.number("how many")?;
            let fits = (1..=most as u64).contains(&number);
            let wrong = || words.wrong(&format!("{number} is not between 1 and {most}"));
            fits.then_some(number as usize).ok_or_else(wrong)
        };
        match verb {
            "nodes" => plan.nodes = upto(words, NAMES.len())?,
            "members" => *members = Some(upto(words, NAMES.len())?),
            "satellites" => plan.satellites = upto(words, NAMES.len() - 1)?,
            "services" => plan.services = upto(words, 50)?,
            "links" => plan.links = upto(words, 4)?,
            "points" => plan.points = upto(words, 4)?,
            "failback" => plan.failback = Some(read_machine(words)?),
            "snapshot-gap" => plan.snapshot_gap = upto(words, 1_000_000)?,
            "start-behind" => plan.start_behind = words.number("how many entries")? as usize,
            "initial-ride-out" => plan.ride_out = Span(words.millis()?),
            "round-trip" => plan.round_trip = Span(words.millis()?),
            "grace" => plan.grace = Span(words.millis()?),
            "probe" => plan.probe = Span(words.millis()?.max(100)),
            "seed" => plan.seed = words.number("a seed")?,
            "quorum-server" => plan.register = true,
            "fenced" => plan.fenced = true,
            "devices" => plan.devices = true,
            "fence-ties" => (plan.devices, plan.fence_ties) = (true, true),
            "needs" => plan.needs = true,
            "room" => plan.room = upto(words, 1_000)? as u64,
            "copies" => plan.copies = true,
            "named" => plan.named = true,
            "watchdogs" if words.is_done() => plan.watchdogs = Some(Dogs::Outside),
            "watchdogs" => {
                let outside = words.either("outside", "inside")?;
                plan.watchdogs = Some(if outside { Dogs::Outside } else { Dogs::Inside });
            }
            "rough" => plan.rough = true,
            "unsettled" => self.unsettled = true,
            "gates" => {
                plan.gates = match words.word("relative, absolute or both")? {
                    "relative" => Gates::Relative,
                    "absolute" => Gates::Absolute,
                    "both" => Gates::Both,
                    other => {
                        let what = format!("gates are relative, absolute or both, not {other}");
                        return Err(words.wrong(&what));
                    }
                };
            }
            _ => return plan.parts.read(verb, words),
        }
        if let Err(error) = stead_core::timers::Timers::derive(plan.ride_out, plan.round_trip)
            && matches!(verb, "initial-ride-out" | "round-trip")
        {
            return Err(words.wrong(&error.to_string()));
        }
        Ok(true)
    }
}

fn read_machine(words: &mut Reader<'_>) -> Result<usize, ScriptError> {
    let name = words.word("a machine")?;
    let known = NAMES.iter().position(|it| *it == name);
    known.ok_or_else(|| words.wrong(&format!("there is no machine {name}")))
}

impl Step {
    fn read(verb: &str, words: &mut Reader<'_>) -> Result<Self, ScriptError> {
        let time = |words: &mut Reader<'_>| {
            let micros = words.millis()?;
            if micros > LONGEST {
                return Err(words.wrong("that is longer than an hour"));
            }
            Ok(micros)
        };
        Ok(match verb {
            "run" => Self::Run(time(words)?),
            "until" => Self::Until(time(words)?),
            "lull" => Self::Lull(time(words)?),
            "heal" => Self::Heal,
            "await" => {
                let within = time(words)?;
                let wanted = match words.word("healthy, served, silent or said")? {
                    "healthy" => Wanted::Healthy,
                    "served" => Wanted::Served(read_service(words)?),
                    "silent" => Wanted::Silent(read_service(words)?),
                    "said" if words.is_done() => {
                        return Err(words.error("the words that are waited for are missing"));
                    }
                    "said" => Wanted::Said(words.rest()),
                    other => {
                        let what =
                            format!("one waits for healthy, served, silent or said, not {other}");
                        return Err(words.wrong(&what));
                    }
                };
                Self::Await(within, wanted)
            }
            _ => match Act::read(verb, words)? {
                Some(act) => Self::Act(act),
                None => return Err(words.wrong(&format!("{verb} is no word of a script"))),
            },
        })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Served(number) => write!(f, "served s{number}"),
            Self::Silent(number) => write!(f, "silent s{number}"),
            Self::Said(words) => write!(f, "said {words}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Act(act) => write!(f, "{act}"),
            Self::Run(micros) => write!(f, "run {}", millis(*micros)),
            Self::Until(micros) => write!(f, "until {}", millis(*micros)),
            Self::Await(micros, wanted) => write!(f, "await {} {wanted}", millis(*micros)),
            Self::Lull(micros) => write!(f, "lull {}", millis(*micros)),
            Self::Heal => f.write_str("heal"),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        writeln!(f, "# {}", self.intent)?;
        writeln!(f, "seed {}\nnodes {}\nmembers {}", plan.seed, plan.nodes, plan.members)?;
        writeln!(f, "services {}\nlinks {}", plan.services, plan.links)?;
        if plan.satellites > 0 {
            writeln!(f, "satellites {}", plan.satellites)?;
        }
        if plan.register {
            writeln!(f, "quorum-server")?;
        }
        if plan.fenced {
            writeln!(f, "fenced")?;
        }
        match (plan.devices, plan.fence_ties) {
            (_, true) => writeln!(f, "fence-ties")?,
            (true, false) => writeln!(f, "devices")?,
            (false, false) => {}
        }
        if plan.needs {
            writeln!(f, "needs")?;
        }
        if plan.room > 0 {
            writeln!(f, "room {}", plan.room)?;
        }
        if plan.copies {
            writeln!(f, "copies")?;
        }
        if plan.named {
            writeln!(f, "named")?;
        }
        if let Some(dogs) = plan.watchdogs {
            let inside = if dogs == Dogs::Inside { " inside" } else { "" };
            writeln!(f, "watchdogs{inside}")?;
        }
        if let Some(machine) = plan.failback {
            writeln!(f, "failback {}", NAMES[machine])?;
        }
        if plan.points > 0 {
            writeln!(f, "points {}", plan.points)?;
        }
        writeln!(f, "initial-ride-out {}", millis(plan.ride_out.0))?;
        writeln!(f, "round-trip {}\ngrace {}", millis(plan.round_trip.0), millis(plan.grace.0))?;
        writeln!(f, "snapshot-gap {}\nstart-behind {}", plan.snapshot_gap, plan.start_behind)?;
        writeln!(f, "probe {}", millis(plan.probe.0))?;
        write!(f, "{}", plan.parts)?;
        let gates = match plan.gates {
            Gates::Relative => "relative",
            Gates::Absolute => "absolute",
            Gates::Both => "both",
        };
        writeln!(f, "gates {gates}")?;
        if plan.rough {
            writeln!(f, "rough")?;
        }
        if self.unsettled {
            writeln!(f, "unsettled")?;
        }
        self.steps.iter().try_for_each(|(_, step)| writeln!(f, "{step}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = "# Why.\nseed 7\nnodes 5\nmembers 4\nservices 3\nlinks 2\nsatellites 2\n\
                    watchdogs inside\n\
                    initial-ride-out 20\nround-trip 0.500\ngrace 1000\nsnapshot-gap 2\n\
                    start-behind 9\nprobe 25\ngates both\nrough\nunsettled\n\
                    until 12.007\npower-off a\nawait 5 served s0\n\
                    await 7 said a is suspected\nlull 20000\nheal\nrun 3\n";
        let script = Script::read(text).unwrap();
        assert_eq!(script.to_string(), text);
        assert_eq!(script.plan.members, 4);
    }

    #[test]
    fn what_cannot_be_read_names_line_and_column() {
        for (text, line, column) in [
            ("# x\nnodes 17", 2, 7),
            ("# x\nrun 5\nnodes 3", 3, 1),
            ("# x\nrun", 2, 4),
            ("# x\n\n  run 5 6", 3, 9),
            ("# x\nawait 5 rain", 2, 9),
            ("# x\nawait 5 said", 2, 13),
            ("# x\ndance", 2, 1),
            ("# x\ninitial-ride-out 5", 2, 18),
            ("# x\nrun 9999999999", 2, 5),
            ("run 5", 1, 1),
            ("# x\nnodes 2\nmembers 3", 1, 1),
            ("# x\nnodes 2\nsatellites 2", 1, 1),
        ] {
            let error = Script::read(text).unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
        }
    }
}
