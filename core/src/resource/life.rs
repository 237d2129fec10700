//! The machine. [`Life::handle`] takes what happened, [`Life::poll`] says what to do.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Answer, Care, Command, Operation, Resource, Stage, View, Whole};
use crate::time::{Instant, Span};

/// The pause before the second start in a row, doubled with each further one; the first waits for
/// nothing.
const PAUSE: Span = Span::from_millis(200);
/// The longest such pause.
const LONGEST_PAUSE: Span = Span::from_millis(10_000);

/// All resources of a service on this node.
#[derive(Debug)]
pub struct Life {
    all: Vec<One>,
    /// The end is wanted.
    ending: bool,
    /// It began for that: what a former run left is there, unless an agent looks and says
    /// that it is not.
    clearing: bool,
    /// All have worked at the same time.
    worked: bool,
    /// Given up: which one, and why.
    failed: Option<(usize, String)>,
    /// What may be done about them.
    care: Care,
    asked: u64,
    commands: VecDeque<Command>,
}

#[derive(Debug)]
struct One {
    resource: Resource,
    stage: Stage,
    /// The question that is not answered yet.
    open: Option<(u64, Operation)>,
    /// Its monitor, the next start or the next stop is due then.
    due: Instant,
    /// It failed, and has to be stopped before it is started again.
    bad: bool,
    /// How often it failed since it worked for long without that.
    failures: u32,
    all_failures: u64,
    /// Since when it works.
    works_since: Option<Instant>,
    reason: Option<String>,
    /// It fails, and nothing is done about it for now.
    unwell: bool,
}

impl One {
    /// Whether anything of it may be there.
    fn is_there(&self) -> bool {
        !matches!(self.stage, Stage::Probing | Stage::Stopped)
    }

    /// Whether what needs it may run, as far as it is up to this one.
    fn works(&self) -> bool {
        self.stage == Stage::Works && !self.bad
    }
}

impl Life {
    /// Begins: asks of each whether it is there already.
    #[must_use]
    pub fn begin(resources: Vec<Resource>) -> Self {
        let one = |resource| One {
            resource,
            stage: Stage::Probing,
            open: None,
            due: Instant::default(),
            bad: false,
            failures: 0,
            all_failures: 0,
            works_since: None,
            reason: None,
            unwell: false,
        };
        let all: Vec<One> = resources.into_iter().map(one).collect();
        let mut life = Self {
            all,
            ending: false,
            clearing: false,
            worked: false,
            failed: None,
            care: Care::Full,
            asked: 0,
            commands: VecDeque::new(),
        };
        for place in 0..life.all.len() {
            life.ask(place, Stage::Probing, Operation::Probe);
        }
        life
    }

    /// Begins in order to stop whatever is there: a former run may have left something.
    #[must_use]
    pub fn begin_ending(resources: Vec<Resource>) -> Self {
        Self { ending: true, clearing: true, ..Self::begin(resources) }
    }

    /// Time has gone on.
    pub fn tick(&mut self, now: Instant) {
        self.advance(now);
    }

    /// The end is wanted, and nothing starts from here on.
    pub fn stop(&mut self, now: Instant) {
        self.ending = true;
        self.advance(now);
    }

    /// What may be done about them from here on. With more of it, all are looked at anew.
    pub fn care(&mut self, now: Instant, care: Care) {
        if core::mem::replace(&mut self.care, care) == care {
            return;
        }
        for one in &mut self.all {
            one.unwell = false;
            if one.stage == Stage::Works {
                one.due = now;
            }
        }
        self.advance(now);
    }

    /// Forgets the failures of one, or of all; what waits for its next try gets it now.
    pub fn forget(&mut self, now: Instant, place: Option<usize>) {
        let given_up = self.failed.as_ref().map(|(failed, _)| *failed);
        let meant = |at: usize| place.is_none_or(|place| place == at);
        for (at, one) in self.all.iter_mut().enumerate().filter(|(at, _)| meant(*at)) {
            one.failures = 0;
            if matches!(one.stage, Stage::Stopped | Stage::Stuck) {
                one.due = now;
            }
            if given_up == Some(at) {
                self.failed = None;
            }
        }
        self.advance(now);
    }

    /// An agent answered, or did not in time, which is a failure.
    pub fn answered(&mut self, now: Instant, place: usize, number: u64, answer: Answer) {
        let Some(one) = self.all.get_mut(place) else { return };
        let Some((_, operation)) = one.open.filter(|(open, _)| *open == number) else { return };
        one.open = None;
        match operation {
            Operation::Probe => self.probed(now, place, answer),
            Operation::Start => self.started(now, place, answer),
            Operation::Monitor => self.monitored(now, place, answer),
            Operation::Stop => self.stopped(now, place, answer),
            Operation::Kill => self.killed(now, place, answer),
        }
        self.advance(now);
    }

    /// A resource ended by itself: its agent saw that without being asked.
    pub fn ended(&mut self, now: Instant, place: usize, detail: String) {
        let there = self.all.get(place).is_some_and(|it| {
            matches!(it.stage, Stage::Starting | Stage::Checking | Stage::Works) && !it.bad
        });
        let works = self.all.get(place).is_some_and(|it| it.stage == Stage::Works);
        if works && self.care == Care::Nothing {
            self.let_be(place, detail);
        } else if there {
            self.fail(now, place, detail, false);
            self.advance(now);
        }
    }

    /// The next thing to do, until there is none. To be emptied after each event: what is left here
    /// was decided upon what was so before the next one.
    pub fn poll(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call [`Life::tick`] at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        if self.is_probing() {
            return Instant::NEVER;
        }
        let carried = self.carried();
        let due = self.all.iter().zip(carried).filter_map(|(one, carried)| {
            let unwanted = self.is_unwanted(one, carried);
            let waits = match one.stage {
                Stage::Works => one.open.is_none() && !one.bad && !unwanted,
                Stage::Stopped => self.may_start() && !unwanted,
                Stage::Stuck => self.may_stop(),
                Stage::Probing
                | Stage::Starting
                | Stage::Checking
                | Stage::Stopping
                | Stage::Killing => false,
            };
            waits.then_some(one.due)
        });
        due.min().unwrap_or(Instant::NEVER)
    }

    /// Where all of them are together.
    #[must_use]
    pub fn whole(&self) -> Whole {
        if self.ending {
            let gone = self.all.iter().all(|one| one.stage == Stage::Stopped);
            return if gone { Whole::Stopped } else { Whole::Stopping };
        }
        if let Some((place, reason)) = &self.failed {
            return Whole::Failed(*place, reason.clone());
        }
        match (self.all_work(), self.worked) {
            (true, _) => Whole::Works,
            (false, true) => Whole::Restarting,
            (false, false) => Whole::Starting,
        }
    }

    /// Each of them, for people.
    pub fn views(&self) -> impl Iterator<Item = View<'_>> {
        self.all.iter().map(|one| View {
            stage: one.stage,
            failures: one.failures,
            all_failures: one.all_failures,
            reason: one.reason.as_deref(),
            unwell: one.unwell,
        })
    }

    fn ask(&mut self, place: usize, stage: Stage, operation: Operation) {
        let Some(one) = self.all.get_mut(place) else { return };
        self.asked += 1;
        let number = self.asked;
        one.stage = stage;
        one.open = Some((number, operation));
        self.commands.push_back(Command::Ask { resource: place, operation, number });
    }

    fn set(&mut self, place: usize, stage: Stage, due: Instant) {
        if let Some(one) = self.all.get_mut(place) {
            (one.stage, one.due) = (stage, due);
        }
    }

    fn probed(&mut self, now: Instant, place: usize, answer: Answer) {
        match answer {
            Answer::Works => self.set(place, Stage::Works, now),
            Answer::Stopped => self.set(place, Stage::Stopped, now),
            // Something of it is there, and does not work: its agent clears it away.
            Answer::Failed(reason) => self.found_bad(now, place, reason),
            // Who can't look has not seen that nothing was left.
            Answer::Hopeless(reason) if self.clearing => self.found_bad(now, place, reason),
            Answer::Hopeless(reason) => {
                self.set(place, Stage::Stopped, now);
                self.fail(now, place, reason, true);
            }
        }
    }

    fn found_bad(&mut self, now: Instant, place: usize, reason: String) {
        self.set(place, Stage::Works, now);
        if let Some(one) = self.all.get_mut(place) {
            (one.bad, one.reason) = (true, Some(reason));
        }
    }

    fn started(&mut self, now: Instant, place: usize, answer: Answer) {
        if self.all.get(place).is_some_and(|one| one.bad) {
            // Its end was seen while the start ran: that is one failure, not two.
            return;
        }
        match answer {
            Answer::Works => self.ask(place, Stage::Checking, Operation::Monitor),
            Answer::Stopped => self.fail(now, place, "it stopped at once".to_string(), false),
            Answer::Failed(reason) => self.fail(now, place, reason, false),
            Answer::Hopeless(reason) => self.fail(now, place, reason, true),
        }
    }

    fn monitored(&mut self, now: Instant, place: usize, answer: Answer) {
        let Some(one) = self.all.get_mut(place) else { return };
        if one.bad {
            // Its end was seen while the monitor ran: that is one failure, not two.
            return;
        }
        let works = one.stage == Stage::Works;
        match (answer, self.care) {
            (Answer::Failed(reason) | Answer::Hopeless(reason), Care::Nothing | Care::Ended)
                if works =>
            {
                self.let_be(place, reason);
                self.look_again(now, place);
            }
            (Answer::Stopped, Care::Nothing) if works => {
                self.let_be(place, "it is not running".to_string());
                self.look_again(now, place);
            }
            (answer, _) => self.judge(now, place, answer),
        }
    }

    /// It fails, and is left as it is. That is no time of work.
    fn let_be(&mut self, place: usize, reason: String) {
        if let Some(one) = self.all.get_mut(place) {
            (one.unwell, one.reason, one.works_since) = (true, Some(reason), None);
        }
    }

    fn look_again(&mut self, now: Instant, place: usize) {
        let interval = self.all.get(place).map(|one| one.resource.interval);
        self.set(place, Stage::Works, now + interval.unwrap_or_default());
    }

    fn judge(&mut self, now: Instant, place: usize, answer: Answer) {
        let Some(one) = self.all.get_mut(place) else { return };
        match answer {
            Answer::Works => {
                one.unwell = false;
                one.works_since.get_or_insert(now);
                let interval = one.resource.interval;
                self.set(place, Stage::Works, now + interval);
                self.worked |= self.all_work();
            }
            Answer::Stopped => self.fail(now, place, "it is not running".to_string(), false),
            Answer::Failed(reason) => self.fail(now, place, reason, false),
            Answer::Hopeless(reason) => self.fail(now, place, reason, true),
        }
    }

    fn stopped(&mut self, now: Instant, place: usize, answer: Answer) {
        match answer {
            Answer::Stopped => self.gone(now, place),
            Answer::Works | Answer::Failed(_) | Answer::Hopeless(_) => {
                self.remains(place, answer);
                self.ask(place, Stage::Killing, Operation::Kill);
            }
        }
    }

    fn killed(&mut self, now: Instant, place: usize, answer: Answer) {
        match answer {
            Answer::Stopped => self.gone(now, place),
            Answer::Works | Answer::Failed(_) | Answer::Hopeless(_) => {
                self.remains(place, answer);
                self.set(place, Stage::Stuck, now + LONGEST_PAUSE);
            }
        }
    }

    /// It is not gone, for that reason.
    fn remains(&mut self, place: usize, answer: Answer) {
        let Some(one) = self.all.get_mut(place) else { return };
        if let Answer::Failed(reason) | Answer::Hopeless(reason) = answer {
            one.reason = Some(reason);
        }
    }

    /// Nothing of it is left. After a failure it waits a while, the longer the more there were.
    fn gone(&mut self, now: Instant, place: usize) {
        let Some(one) = self.all.get_mut(place) else { return };
        let pause = match one.failures {
            // Another one failed, and it stopped for that one's sake.
            _ if !one.bad => Span::ZERO,
            0 | 1 => Span::ZERO,
            count => Span(PAUSE.0 << (count - 2).min(16)).min(LONGEST_PAUSE),
        };
        one.bad = false;
        self.set(place, Stage::Stopped, now + pause);
    }

    fn fail(&mut self, now: Instant, place: usize, reason: String, hopeless: bool) {
        let Some(one) = self.all.get_mut(place) else { return };
        // What never works for long is never forgotten, however long each try takes.
        let forget_after = one.resource.forget_after;
        if one.works_since.take().is_some_and(|since| now.since(since) >= forget_after) {
            one.failures = 0;
        }
        one.failures = one.failures.saturating_add(1);
        one.all_failures += 1;
        one.bad = one.stage != Stage::Stopped;
        one.reason = Some(reason.clone());
        let many = one.failures > one.resource.restarts;
        if (hopeless || many) && self.failed.is_none() && !self.ending {
            self.failed = Some((place, reason));
        }
    }

    /// Asks for whatever is due.
    fn advance(&mut self, now: Instant) {
        if self.is_probing() {
            return;
        }
        // What is asked for here changes nothing of it: what is stopped was no support before.
        for (place, carried) in self.carried().into_iter().enumerate() {
            self.advance_one(now, place, carried);
        }
        self.worked |= self.all_work();
    }

    fn advance_one(&mut self, now: Instant, place: usize, carried: bool) {
        let Some(one) = self.all.get(place) else { return };
        let unwanted = self.is_unwanted(one, carried);
        match one.stage {
            Stage::Starting | Stage::Checking | Stage::Works if unwanted => {
                if !self.is_needed(place) && self.may_stop() {
                    self.ask(place, Stage::Stopping, Operation::Stop);
                }
            }
            Stage::Works if one.open.is_none() && !one.bad && now >= one.due => {
                self.ask(place, Stage::Works, Operation::Monitor);
            }
            Stage::Stopped if !unwanted && self.may_start() && now >= one.due => {
                self.ask(place, Stage::Starting, Operation::Start);
            }
            Stage::Stuck if now >= one.due && self.may_stop() => {
                self.ask(place, Stage::Stopping, Operation::Stop)
            }
            Stage::Probing
            | Stage::Stopped
            | Stage::Starting
            | Stage::Checking
            | Stage::Works
            | Stage::Stopping
            | Stage::Killing
            | Stage::Stuck => {}
        }
    }

    /// What is there is told before anything is decided.
    fn is_probing(&self) -> bool {
        self.all.iter().any(|one| one.stage == Stage::Probing)
    }

    /// Nothing is started in maintenance, nor when all is given up.
    fn may_start(&self) -> bool {
        self.failed.is_none() && self.care != Care::Nothing
    }

    /// Nothing is stopped in maintenance, but for the end of all.
    fn may_stop(&self) -> bool {
        self.ending || self.care != Care::Nothing
    }

    /// Whether all that each of them needs works, and all that those need in turn.
    fn carried(&self) -> Vec<bool> {
        let mut carried = alloc::vec![true; self.all.len()];
        loop {
            let falls = |(one, stands): (&One, &bool)| {
                let mut needs = one.resource.needs.iter();
                *stands
                    && needs.any(|need| {
                        let works = self.all.get(*need).is_none_or(One::works);
                        !works || carried.get(*need) == Some(&false)
                    })
            };
            // Needs go in no circle, so one that falls first is found before long.
            let Some(place) = self.all.iter().zip(&carried).position(falls) else { return carried };
            if let Some(stands) = carried.get_mut(place) {
                *stands = false;
            }
        }
    }

    fn all_work(&self) -> bool {
        self.all.iter().all(One::works)
    }

    /// Whether it must not be there now.
    fn is_unwanted(&self, one: &One, carried: bool) -> bool {
        // Given up: what works goes on until the end is wanted, which takes a moment.
        self.ending || (one.bad || !carried) && self.failed.is_none()
    }

    /// Whether anything that needs it is still there.
    fn is_needed(&self, place: usize) -> bool {
        self.all.iter().any(|one| one.is_there() && one.resource.needs.contains(&place))
    }
}
