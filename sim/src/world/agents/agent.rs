//! Agents, and what they look after as it really is.

use std::fmt;

use stead_core::id::ServiceId;
use stead_core::resource::{Answer, Operation};

use super::{AgentsIn, World};
use crate::rng::Rng;

/// A resource as it really is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// Nothing of it is there.
    #[default]
    Down,
    /// Something of it is there, and does not work.
    Half,
    /// It works.
    Up,
}

/// How an agent goes about an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// It does what it is asked for, and says so.
    Good,
    /// So much slower, in microseconds.
    Slow(u64),
    /// It does nothing and says that it failed.
    Fails,
    /// It does half of it and says that it failed.
    Half,
    /// It does half of it and never answers.
    Hangs,
    /// It does nothing and says that all is well; a monitor says the opposite of what is.
    Lies,
    /// It says that this can't be had on this node.
    Hopeless,
}

/// The habit of an agent on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Habitual {
    /// Of which service.
    pub service: ServiceId,
    /// Of which resource.
    pub part: String,
    /// At what.
    pub operation: Operation,
    /// How.
    pub habit: Habit,
}

/// What happens to a resource that works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// It ends, and its agent sees that.
    Ends,
    /// It ends, and only a monitor would see that.
    Vanishes,
    /// It is there and works no longer.
    Breaks,
}

/// An operation under way.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub(super) number: u64,
    operation: Operation,
    habit: Habit,
    /// Its time is over before it answers.
    late: bool,
}

/// One resource of an executor.
#[derive(Debug, Default)]
pub struct Part {
    /// As it really is.
    pub truth: Truth,
    /// An agent said that nothing is left of it, and something is: a lie that nobody can see
    /// through. Until it is started again it counts as what it was said to be.
    pub hidden: bool,
    /// It works by an agent's word that was no truth, or is none any more.
    pub doubtful: bool,
    /// What its agent is doing.
    pub(super) run: Option<Run>,
}

/// How long an operation takes in a calm world, and at most in a rough one, in microseconds.
fn usual(operation: Operation) -> (u64, u64) {
    match operation {
        Operation::Probe | Operation::Monitor | Operation::Notify => (500, 8_000),
        Operation::Start | Operation::Promote | Operation::Demote => (2_000, 40_000),
        Operation::Stop => (2_000, 25_000),
        Operation::Kill => (1_000, 5_000),
    }
}

/// What an honest look says.
fn seen(truth: Truth) -> Answer {
    match truth {
        Truth::Up => Answer::Works,
        Truth::Down => Answer::Stopped,
        Truth::Half => Answer::Failed("half of it is there".into()),
    }
}

/// What was there of it after an operation that was broken off: in a calm world half of it.
fn broken_off(operation: Operation, truth: Truth, chance: Option<&mut Rng>) -> Truth {
    let any = chance.map(|rng| rng.index(3));
    match (operation, truth, any) {
        (Operation::Start, Truth::Down, None | Some(1)) => Truth::Half,
        (Operation::Start, Truth::Down, Some(2)) => Truth::Up,
        (Operation::Stop | Operation::Kill, Truth::Up, None | Some(1)) => Truth::Half,
        (Operation::Stop | Operation::Kill, Truth::Up | Truth::Half, Some(2)) => Truth::Down,
        (Operation::Start | Operation::Stop | Operation::Kill, ..)
        | (Operation::Probe | Operation::Monitor, ..)
        | (Operation::Promote | Operation::Demote | Operation::Notify, ..) => truth,
    }
}

impl Run {
    /// What becomes of the resource, and what the agent says.
    fn end(self, truth: Truth, chance: Option<&mut Rng>) -> (Truth, Answer) {
        let failed = |why: &str| Answer::Failed(format!("{}: {why}", self.operation.word()));
        if self.late {
            let after = broken_off(self.operation, truth, chance);
            return (after, failed("no answer in time"));
        }
        let half = match self.operation {
            Operation::Start => truth.max(Truth::Half),
            Operation::Stop | Operation::Kill => truth.min(Truth::Half),
            Operation::Probe
            | Operation::Monitor
            | Operation::Promote
            | Operation::Demote
            | Operation::Notify => truth,
        };
        match (self.habit, self.operation) {
            // No agent here has copies.
            (_, Operation::Promote | Operation::Demote | Operation::Notify) => {
                (truth, failed("it has no copies"))
            }
            (Habit::Good | Habit::Slow(_), Operation::Start) => (Truth::Up, Answer::Works),
            (Habit::Good | Habit::Slow(_), Operation::Stop | Operation::Kill) => {
                (Truth::Down, Answer::Stopped)
            }
            (Habit::Good | Habit::Slow(_), Operation::Probe | Operation::Monitor) => {
                (truth, seen(truth))
            }
            (Habit::Fails, _) => (truth, failed("it failed")),
            (Habit::Half | Habit::Hangs, _) => (half, failed("it came half the way")),
            (Habit::Lies, Operation::Start) => (truth, Answer::Works),
            (Habit::Lies, Operation::Stop | Operation::Kill) => (truth, Answer::Stopped),
            (Habit::Lies, Operation::Probe | Operation::Monitor) if truth == Truth::Up => {
                (truth, Answer::Stopped)
            }
            (Habit::Lies, Operation::Probe | Operation::Monitor) => (truth, Answer::Works),
            (Habit::Hopeless, _) => (truth, Answer::Hopeless("it is not installed".into())),
        }
    }
}

impl World {
    /// How the agent of that resource goes about it there.
    fn habit(&self, host: usize, service: &ServiceId, part: &str, operation: Operation) -> Habit {
        let mut habits = self.hosts[host].habits.iter();
        let known = habits
            .find(|it| it.service == *service && it.part == part && it.operation == operation);
        known.map_or(Habit::Good, |it| it.habit)
    }

    /// An agent is asked. What it was doing before is broken off.
    pub(super) fn ask_agent(
        &mut self,
        host: usize,
        service: &ServiceId,
        place: usize,
        (operation, number): (Operation, u64),
    ) {
        self.judge_asked(host, service, place, operation);
        let (least, most) = usual(operation);
        let takes = self.agents_take(least, most);
        let timeout = self.plan.parts.timeout.0;
        let Some(executor) = self.hosts[host].executors.get(service) else { return };
        let (epoch, name) = (executor.epoch, executor.names[place].clone());
        let executor = executor.number;
        if operation != Operation::Monitor && operation != Operation::Probe {
            let word = operation.word();
            self.note(Some(host), || format!("> {service}.{name}: {word} ({epoch}.{number})"));
        }
        let habit = self.habit(host, service, &name, operation);
        let takes = match habit {
            Habit::Slow(more) => takes + more,
            Habit::Hangs => timeout,
            Habit::Good | Habit::Fails | Habit::Half | Habit::Lies | Habit::Hopeless => takes,
        };
        let run = Run { number, operation, habit, late: takes >= timeout };
        let chance = self.plan.rough.then_some(&mut self.chance.agents);
        let Some(it) = self.hosts[host].executors.get_mut(service) else { return };
        let part = &mut it.parts[place];
        if let Some(former) = part.run.replace(run) {
            part.truth = broken_off(former.operation, part.truth, chance);
        }
        if operation == Operation::Start {
            part.hidden = false;
        }
        self.judge_part_appears(host, service, place);
        let done = AgentsIn::Done(executor, place, number);
        self.agents_after(takes.min(timeout), host, service, done);
    }

    /// An agent is through, or its time is.
    pub(super) fn agent_done(
        &mut self,
        host: usize,
        service: &ServiceId,
        (executor, place, number): (u64, usize, u64),
    ) {
        let chance = self.plan.rough.then_some(&mut self.chance.agents);
        let executor = self.hosts[host].executors.get_mut(service).filter(|it| {
            it.number == executor
                && it.main
                && it.parts[place].run.is_some_and(|it| it.number == number)
        });
        let Some(executor) = executor else { return };
        let part = &mut executor.parts[place];
        let Some(run) = part.run.take() else { return };
        let (truth, answer) = run.end(part.truth, chance);
        part.truth = truth;
        match answer {
            Answer::Stopped => part.hidden = truth != Truth::Down,
            Answer::Works | Answer::Promoted => part.doubtful = truth != Truth::Up,
            Answer::Failed(_) | Answer::Hopeless(_) => {}
        }
        let (name, epoch) = (executor.names[place].clone(), executor.epoch);
        if let Answer::Failed(why) | Answer::Hopeless(why) = &answer {
            self.note(Some(host), || format!("> {service}.{name} ({epoch}.{number}): {why}"));
        }
        self.judge_part_appears(host, service, place);
        self.judge_answered(host, service, place, (run.operation, &answer));
        let now = self.local(host);
        if let Some(executor) = self.hosts[host].executors.get_mut(service) {
            executor.life.answered(now, place, number, answer);
        }
        self.executor_goes_on(host, service);
    }

    /// Something happens to a resource by itself. Says whether it worked.
    pub fn harm_part(
        &mut self,
        host: usize,
        service: &ServiceId,
        place: usize,
        harm: Harm,
    ) -> bool {
        let now = self.local(host);
        let Some(executor) = self.hosts[host].executors.get_mut(service) else { return false };
        let Some(part) = executor.parts.get_mut(place) else { return false };
        if part.truth != Truth::Up {
            return false;
        }
        part.truth = if harm == Harm::Breaks { Truth::Half } else { Truth::Down };
        part.doubtful = true;
        if harm == Harm::Ends && executor.main {
            self.judge_part_ended(host, service, place);
            if let Some(executor) = self.hosts[host].executors.get_mut(service) {
                executor.life.ended(now, place, "it ended: exit status 1".into());
            }
            self.executor_goes_on(host, service);
        }
        true
    }
}

impl fmt::Display for Habit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Slow(more) => return write!(f, "slow {}", crate::fault::millis(*more)),
            Self::Fails => "fails",
            Self::Half => "half",
            Self::Hangs => "hangs",
            Self::Lies => "lies",
            Self::Hopeless => "hopeless",
        })
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ends => "ends",
            Self::Vanishes => "vanishes",
            Self::Breaks => "breaks",
        })
    }
}
