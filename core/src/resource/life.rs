//! The machine. [`Life::handle`] takes what happened, [`Life::poll`] says what to do.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::one::One;
use super::{Answer, Care, Command, Operation, Part, Resource, Stage, View, Whole, parts};
use crate::time::{Instant, Span};

/// The pause before the second start in a row, doubled with each further one; the first waits for
/// nothing.
const PAUSE: Span = Span::from_millis(200);
/// The longest such pause.
const LONGEST_PAUSE: Span = Span::from_millis(10_000);
/// What is wrong with a copy that was promoted and says that it is not.
const NOT_PROMOTED: &str = "it is not promoted";

/// All resources of a service on this node.
#[derive(Debug)]
pub struct Life {
    pub(super) all: Vec<One>,
    /// The end is wanted.
    pub(super) ending: bool,
    /// It began for that: what a former run left is there, unless an agent looks and says
    /// that it is not.
    clearing: bool,
    /// The whole service is wanted; else only a copy of it.
    pub(super) whole_wanted: bool,
    /// Nothing has been promoted, nor was anything there that belongs to that, since it was last
    /// wanted.
    pub(super) released: bool,
    /// All have worked at the same time.
    pub(super) worked: bool,
    /// The copy has.
    pub(super) copy_worked: bool,
    /// Given up: which one, and why.
    pub(super) failed: Option<(usize, String)>,
    /// The copy itself is given up.
    pub(super) copy_failed: Option<(usize, String)>,
    /// What may be done about them.
    pub(super) care: Care,
    asked: u64,
    commands: VecDeque<Command>,
}

impl Life {
    /// Begins: asks of each whether it is there already.
    #[must_use]
    pub fn begin(resources: Vec<Resource>) -> Self {
        let all = resources.into_iter().map(|it| One::new(it, Part::Single));
        Self::of(all.collect(), true)
    }

    /// Begins the life of a copy, of which nothing is promoted until that is asked for.
    /// `promotable` says of each whether it can be.
    #[must_use]
    pub fn of_copies(resources: Vec<Resource>, promotable: &[bool]) -> Self {
        let needs: Vec<_> = resources.iter().map(|it| it.needs.clone()).collect();
        let parts = parts(&needs, promotable);
        let all = resources.into_iter().zip(parts).map(|(it, part)| One::new(it, part));
        Self::of(all.collect(), false)
    }

    fn of(all: Vec<One>, whole_wanted: bool) -> Self {
        let mut life = Self {
            all,
            ending: false,
            clearing: false,
            whole_wanted,
            released: false,
            worked: false,
            copy_worked: false,
            failed: None,
            copy_failed: None,
            care: Care::Full,
            asked: 0,
            commands: VecDeque::new(),
        };
        for place in 0..life.all.len() {
            life.ask(place, Stage::Probing, Operation::Probe);
        }
        life
    }

    /// Begun in order to stop whatever is there: a former run may have left something.
    #[must_use]
    pub fn clearing(self) -> Self {
        Self { ending: true, clearing: true, ..self }
    }

    /// This copy shall be the promoted one, with all that belongs to that.
    pub fn promote(&mut self, now: Instant) {
        if !self.whole_wanted {
            (self.whole_wanted, self.released, self.worked) = (true, false, false);
            self.advance(now);
        }
    }

    /// It shall be a copy like the others: when that is so, [`Life::is_released`] says it.
    pub fn demote(&mut self, now: Instant) {
        if self.whole_wanted {
            self.whole_wanted = false;
            // It was about being promoted here.
            self.failed = None;
            self.advance(now);
        }
    }

    /// The other copies changed: those that can be promoted are told, when they work.
    pub fn notify(&mut self, now: Instant) {
        for one in self.all.iter_mut().filter(|one| one.part == Part::Promotable) {
            one.notify = true;
        }
        self.advance(now);
    }

    /// Whether nothing of it is promoted and nothing is there of what belongs to that.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.released && !self.whole_wanted
    }

    /// Where that is what runs with each copy.
    #[must_use]
    pub fn copy(&self) -> Whole {
        if self.ending {
            return self.whole();
        }
        if let Some((place, reason)) = &self.copy_failed {
            return Whole::Failed(*place, reason.clone());
        }
        match (self.copy_works(), self.copy_worked) {
            (true, _) => Whole::Works,
            (false, true) => Whole::Restarting,
            (false, false) => Whole::Starting,
        }
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
            Operation::Promote => self.promoted(now, place, answer),
            Operation::Demote => self.demoted(now, place, answer),
            // It was told; that is all.
            Operation::Notify => {}
        }
        self.advance(now);
    }

    /// A resource ended by itself: its agent saw that without being asked.
    pub fn ended(&mut self, now: Instant, place: usize, detail: String) {
        let there = self.all.get(place).is_some_and(|it| {
            let up = match it.stage {
                Stage::Starting | Stage::Checking | Stage::Works | Stage::Promoting => true,
                // Some are demoted by being stopped.
                Stage::Demoting => false,
                Stage::Probing
                | Stage::Stopped
                | Stage::Stopping
                | Stage::Killing
                | Stage::Stuck => false,
            };
            up && !it.bad
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
                Stage::Works => {
                    let leaves = unwanted || one.promoted && self.is_too_high(one, carried);
                    one.open.is_none() && !one.bad && !leaves
                }
                Stage::Stopped => self.may_start(one, carried),
                Stage::Stuck => self.may_stop(),
                Stage::Probing
                | Stage::Starting
                | Stage::Checking
                | Stage::Promoting
                | Stage::Demoting
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
        if !self.whole_wanted {
            return self.copy();
        }
        if let Some((place, reason)) = self.failed.as_ref().or(self.copy_failed.as_ref()) {
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
            promoted: one.promoted,
            failures: one.failures,
            all_failures: one.all_failures,
            reason: one.reason.as_deref(),
            unwell: one.unwell,
        })
    }

    pub(super) fn ask(&mut self, place: usize, stage: Stage, operation: Operation) {
        let Some(one) = self.all.get_mut(place) else { return };
        self.asked += 1;
        let number = self.asked;
        one.stage = stage;
        one.open = Some((number, operation));
        self.commands.push_back(Command::Ask { resource: place, operation, number });
    }

    pub(super) fn set(&mut self, place: usize, stage: Stage, due: Instant) {
        if let Some(one) = self.all.get_mut(place) {
            (one.stage, one.due) = (stage, due);
        }
    }

    fn probed(&mut self, now: Instant, place: usize, answer: Answer) {
        match answer {
            Answer::Works => self.set(place, Stage::Works, now),
            Answer::Promoted => {
                self.set(place, Stage::Works, now);
                self.found_promoted(place);
            }
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
            Answer::Works | Answer::Promoted => {
                self.ask(place, Stage::Checking, Operation::Monitor);
            }
            Answer::Stopped => self.fail(now, place, "it stopped at once".to_string(), false),
            Answer::Failed(reason) => self.fail(now, place, reason, false),
            Answer::Hopeless(reason) => self.fail(now, place, reason, true),
        }
    }

    fn monitored(&mut self, now: Instant, place: usize, answer: Answer) {
        let Some(one) = self.all.get_mut(place) else { return };
        if one.stage == Stage::Demoting {
            self.looked_at_demoted(now, place, answer);
            return;
        }
        if one.bad {
            // Its end was seen while the monitor ran: that is one failure, not two.
            return;
        }
        let works = one.stage == Stage::Works;
        let lowered = one.part == Part::Promotable && one.promoted;
        match (answer, self.care) {
            (Answer::Failed(reason) | Answer::Hopeless(reason), Care::Nothing | Care::Ended)
                if works =>
            {
                self.let_be(place, reason);
                self.look_again(now, place);
            }
            (Answer::Works, Care::Nothing | Care::Ended) if works && lowered => {
                self.let_be(place, NOT_PROMOTED.to_string());
                self.look_again(now, place);
            }
            (Answer::Stopped, Care::Nothing) if works => {
                self.let_be(place, "it is not running".to_string());
                self.look_again(now, place);
            }
            (answer, _) => self.judge(now, place, answer),
        }
    }

    fn judge(&mut self, now: Instant, place: usize, answer: Answer) {
        let Some(one) = self.all.get_mut(place) else { return };
        let can = one.part == Part::Promotable;
        match answer {
            Answer::Promoted if can && !one.promoted => {
                // It works; it only has to be demoted, once it is known.
                self.set(place, Stage::Works, now);
                self.fail(now, place, "it is promoted, and nobody promoted it".to_string(), false);
                if let Some(one) = self.all.get_mut(place) {
                    (one.bad, one.promoted) = (false, true);
                }
            }
            Answer::Works if can && one.promoted => {
                self.fail(now, place, NOT_PROMOTED.to_string(), false);
            }
            Answer::Works | Answer::Promoted => {
                one.unwell = false;
                one.works_since.get_or_insert(now);
                let interval = one.resource.interval;
                self.set(place, Stage::Works, now + interval);
                self.note_work();
            }
            Answer::Stopped => self.fail(now, place, "it is not running".to_string(), false),
            Answer::Failed(reason) => self.fail(now, place, reason, false),
            Answer::Hopeless(reason) => self.fail(now, place, reason, true),
        }
    }

    fn stopped(&mut self, now: Instant, place: usize, answer: Answer) {
        match answer {
            Answer::Stopped => self.gone(now, place),
            Answer::Works | Answer::Promoted | Answer::Failed(_) | Answer::Hopeless(_) => {
                self.remains(place, answer);
                self.ask(place, Stage::Killing, Operation::Kill);
            }
        }
    }

    fn killed(&mut self, now: Instant, place: usize, answer: Answer) {
        match answer {
            Answer::Stopped => self.gone(now, place),
            Answer::Works | Answer::Promoted | Answer::Failed(_) | Answer::Hopeless(_) => {
                self.remains(place, answer);
                self.set(place, Stage::Stuck, now + LONGEST_PAUSE);
            }
        }
    }

    /// It is not gone, for that reason.
    pub(super) fn remains(&mut self, place: usize, answer: Answer) {
        let Some(one) = self.all.get_mut(place) else { return };
        if let Answer::Failed(reason) | Answer::Hopeless(reason) = answer {
            one.reason = Some(reason);
        }
    }

    /// Nothing of it is left. After a failure it waits a while, the longer the more there were.
    pub(super) fn gone(&mut self, now: Instant, place: usize) {
        let Some(one) = self.all.get_mut(place) else { return };
        let pause = match one.failures {
            // Another one failed, and it stopped for that one's sake.
            _ if !one.bad => Span::ZERO,
            0 | 1 => Span::ZERO,
            count => Span(PAUSE.0 << (count - 2).min(16)).min(LONGEST_PAUSE),
        };
        (one.bad, one.promoted, one.stubborn) = (false, false, false);
        self.set(place, Stage::Stopped, now + pause);
    }

    pub(super) fn fail(&mut self, now: Instant, place: usize, reason: String, hopeless: bool) {
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
        let copied = one.is_copied();
        if self.ending {
            return;
        }
        if copied && (hopeless || many) && self.copy_failed.is_none() {
            self.copy_failed = Some((place, reason.clone()));
        }
        // Where a copy that failed is promoted again is not for this node to say.
        let given_up = if copied { self.whole_wanted } else { hopeless || many };
        if given_up && self.failed.is_none() {
            self.failed = Some((place, reason));
        }
    }
}
