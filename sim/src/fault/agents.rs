//! What goes wrong with agents and with what they look after.

use std::fmt;

use stead_core::resource::Operation;

use super::{Act, ActError, Kind, Target, read_service};
use crate::reader::{Reader, ScriptError};
use crate::rng::Rng;
use crate::world::{Habit, Habitual, Harm, World};

/// One thing that is done to an agent, a resource, or an executor. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentAct {
    /// From now on an agent goes about an operation so, on that machine.
    Habit(Target, usize, String, Operation, Habit),
    /// All agents of that machine are good again.
    Honest(Target),
    /// Something happens to a resource, where its service runs.
    Harm(usize, String, Harm),
    /// The executor of a service is killed, where it runs; its resources are left.
    KillExecutor(usize),
}

impl AgentAct {
    /// The kind it counts as.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Habit(.., Habit::Good) | Self::Honest(_) => None,
            Self::Habit(..) => Some(Kind::Agent),
            Self::Harm(..) => Some(Kind::Part),
            Self::KillExecutor(_) => Some(Kind::Executor),
        }
    }

    /// The act whose verb was just read; nothing if that is none of these.
    ///
    /// # Errors
    /// At the word that doesn't fit.
    pub fn read(verb: &str, words: &mut Reader<'_>) -> Result<Option<Self>, ScriptError> {
        Ok(Some(match verb {
            "agent" => {
                let it = Target::read(words)?;
                let (number, part) = read_part(words)?;
                Self::Habit(it, number, part, read_operation(words)?, read_habit(words)?)
            }
            "agents-good" => Self::Honest(Target::read(words)?),
            "part" => {
                let (number, part) = read_part(words)?;
                let harm = match words.word("ends, vanishes or breaks")? {
                    "ends" => Harm::Ends,
                    "vanishes" => Harm::Vanishes,
                    "breaks" => Harm::Breaks,
                    other => {
                        let what = format!("a resource ends, vanishes or breaks, not {other}");
                        return Err(words.wrong(&what));
                    }
                };
                Self::Harm(number, part, harm)
            }
            "kill-executor" => Self::KillExecutor(read_service(words)?),
            _ => return Ok(None),
        }))
    }

    fn draw(kind: Kind, world: &mut World) -> Option<Self> {
        let numbers: Vec<_> = world.plan.parts.services.keys().copied().collect();
        let rng = &mut world.chance.faults;
        let number = rng.pick(&numbers)?;
        let parts = world.plan.parts.services.get(&number)?;
        let part = parts.get(rng.index(parts.len()))?.name.clone();
        let harm = [Harm::Ends, Harm::Vanishes, Harm::Breaks][rng.index(3)];
        if kind == Kind::Part {
            return Some(Self::Harm(number, part, harm));
        }
        if kind == Kind::Executor {
            return Some(Self::KillExecutor(number));
        }
        let operations = [
            Operation::Start,
            Operation::Start,
            Operation::Stop,
            Operation::Stop,
            Operation::Monitor,
            Operation::Kill,
            Operation::Probe,
        ];
        let operation = rng.pick(&operations)?;
        let habit = draw_habit(rng);
        let any = rng.index(world.hosts.len());
        let aimed = rng.chance(2);
        if rng.chance(3)
            && let Some((host, part)) = world.bad_stop(number)
        {
            // What can't be stopped is worst where it can't be killed either.
            return Some(Self::Habit(Target::Host(host), number, part, Operation::Kill, habit));
        }
        let there = world.executor_of(number).filter(|_| aimed);
        Some(Self::Habit(Target::Host(there.unwrap_or(any)), number, part, operation, habit))
    }
}

fn draw_habit(rng: &mut Rng) -> Habit {
    let slow = rng.between(20_000, 1_500_000);
    let habits = [
        Habit::Slow(slow),
        Habit::Fails,
        Habit::Half,
        Habit::Half,
        Habit::Hangs,
        Habit::Hangs,
        Habit::Lies,
        Habit::Hopeless,
    ];
    habits[rng.index(habits.len())]
}

/// `sN.NAME`
fn read_part(words: &mut Reader<'_>) -> Result<(usize, String), ScriptError> {
    let word = words.word("a resource")?;
    let read = || {
        let (number, part) = word.strip_prefix('s')?.split_once('.')?;
        let number = number.parse().ok().filter(|number| *number < 100)?;
        (!part.is_empty()).then(|| (number, part.to_string()))
    };
    read().ok_or_else(|| {
        words.wrong(&format!("{word} is no resource: they are called s0.NAME and so on"))
    })
}

fn read_operation(words: &mut Reader<'_>) -> Result<Operation, ScriptError> {
    let all =
        [Operation::Probe, Operation::Start, Operation::Monitor, Operation::Stop, Operation::Kill];
    let word = words.word("an operation")?;
    let known = all.into_iter().find(|it| it.word() == word);
    known.ok_or_else(|| {
        words.wrong(&format!("an operation is probe, start, monitor, stop or kill, not {word}"))
    })
}

fn read_habit(words: &mut Reader<'_>) -> Result<Habit, ScriptError> {
    let what = "good, slow, fails, half, hangs, lies or hopeless";
    Ok(match words.word(what)? {
        "good" => Habit::Good,
        "slow" => Habit::Slow(words.millis()?),
        "fails" => Habit::Fails,
        "half" => Habit::Half,
        "hangs" => Habit::Hangs,
        "lies" => Habit::Lies,
        "hopeless" => Habit::Hopeless,
        other => return Err(words.wrong(&format!("an agent is {what}, not {other}"))),
    })
}

impl fmt::Display for AgentAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Habit(it, number, part, operation, habit) => {
                write!(f, "agent {it} s{number}.{part} {} {habit}", operation.word())
            }
            Self::Honest(it) => write!(f, "agents-good {it}"),
            Self::Harm(number, part, harm) => write!(f, "part s{number}.{part} {harm}"),
            Self::KillExecutor(number) => write!(f, "kill-executor s{number}"),
        }
    }
}

impl World {
    /// Something of that kind; nothing if there are no resources.
    pub(super) fn draw_agents(&mut self, kind: Kind) -> Option<Act> {
        AgentAct::draw(kind, self).map(Act::Agents)
    }

    /// The machine on which the executor of a service runs.
    #[must_use]
    pub fn executor_of(&self, number: usize) -> Option<usize> {
        if self.plan.parts.services.is_empty() {
            return None;
        }
        let name = self.plan.service(number);
        let runs = |host: &usize| self.hosts[*host].executors.get(&name).is_some_and(|it| it.main);
        (0..self.hosts.len()).find(runs)
    }

    /// A resource that an agent stops badly, and where.
    fn bad_stop(&self, number: usize) -> Option<(usize, String)> {
        let name = self.plan.service(number);
        self.hosts.iter().enumerate().find_map(|(host, it)| {
            let mut habits = it.habits.iter();
            let bad = habits.find(|it| it.service == name && it.operation == Operation::Stop)?;
            Some((host, bad.part.clone()))
        })
    }

    fn place_of(&self, number: usize, part: &str) -> Result<usize, ActError> {
        let parts = self.plan.parts.services.get(&number);
        let place = parts.and_then(|parts| parts.iter().position(|it| it.name == *part));
        place.ok_or_else(|| ActError::NoResource(number, part.to_string()))
    }

    pub(super) fn act_on_agents(&mut self, act: &AgentAct) -> Result<(), ActError> {
        match act {
            AgentAct::Habit(it, number, part, operation, habit) => {
                let host = self.target(*it).ok_or(ActError::Nobody(*it))?;
                self.place_of(*number, part)?;
                let (service, part) = (self.plan.service(*number), part.clone());
                let one = Habitual { service, part, operation: *operation, habit: *habit };
                let habits = &mut self.hosts[host].habits;
                habits.retain(|it| {
                    it.service != one.service
                        || it.part != one.part
                        || it.operation != one.operation
                });
                if one.habit != Habit::Good {
                    habits.push(one);
                }
            }
            AgentAct::Honest(it) => {
                let host = self.target(*it).ok_or(ActError::Nobody(*it))?;
                self.hosts[host].habits.clear();
            }
            AgentAct::Harm(number, part, harm) => {
                let place = self.place_of(*number, part)?;
                let host = self.executor_of(*number).ok_or(ActError::Unserved(*number))?;
                if !self.harm_part(host, &self.plan.service(*number), place, *harm) {
                    return Err(ActError::Unserved(*number));
                }
            }
            AgentAct::KillExecutor(number) => {
                let host = self.executor_of(*number).ok_or(ActError::Unserved(*number))?;
                self.executor_ends(host, &self.plan.service(*number));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for line in [
            "agent a s0.db start hangs",
            "agent holder s12.fs stop slow 2.500",
            "agent b s0.db monitor lies",
            "agent b s0.db kill fails",
            "agent b s0.db probe half",
            "agent b s0.db start hopeless",
            "agent b s0.db start good",
            "agents-good c",
            "part s0.db ends",
            "part s0.db vanishes",
            "part s0.db breaks",
            "kill-executor s3",
        ] {
            let mut words = Reader::new(1, line);
            let verb = words.word("a verb").unwrap();
            let act = AgentAct::read(verb, &mut words).unwrap().unwrap_or_else(|| panic!("{line}"));
            words.finish().unwrap();
            assert_eq!(act.to_string(), *line);
        }
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (line, column) in [
            ("agent z s0.db start hangs", 7),
            ("agent a s0 start hangs", 9),
            ("agent a s0.db begin hangs", 15),
            ("agent a s0.db start dances", 21),
            ("agent a s0.db start slow", 25),
            ("part s0.db dies", 12),
        ] {
            let mut words = Reader::new(1, line);
            let verb = words.word("a verb").unwrap();
            let error = AgentAct::read(verb, &mut words).unwrap_err();
            assert_eq!(error.column, column, "{line}: {error}");
        }
    }
}
