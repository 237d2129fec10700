//! The life of a service's resources, with agents that fail, hang, lie and do half of what they do.

use stead_core::resource::{Answer, Command, Life, Operation, Resource, Stage, Whole};
use stead_core::time::{Instant, Span};

/// Numbers that look as if by chance, and are the same each time.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        many != 0 && self.below(many) == 0
    }
}

/// What an agent looks after, as it really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Down,
    /// Something of it is there, and does not work.
    Half,
    Up,
}

/// An operation under way, and when it answers.
struct Run {
    place: usize,
    number: u64,
    operation: Operation,
    answer: Answer,
    at: Instant,
}

/// Agents, and judges of what they are asked for.
struct Bed {
    life: Life,
    now: Instant,
    needs: Vec<Vec<usize>>,
    truth: Vec<Truth>,
    runs: Vec<Run>,
    chance: Chance,
    /// How often something goes wrong, one in so many times; never if zero.
    faults: u64,
    ending: bool,
    story: Vec<(usize, Operation)>,
}

pub(crate) fn chain_of(count: usize) -> Vec<Vec<usize>> {
    (0..count).map(|place| (place > 0).then(|| place - 1).into_iter().collect()).collect()
}

pub(crate) fn resource(needs: &[usize], restarts: u32) -> Resource {
    Resource {
        needs: needs.to_vec(),
        interval: Span::from_millis(1_000),
        restarts,
        forget_after: Span::from_millis(600_000),
    }
}

impl Bed {
    fn new(needs: Vec<Vec<usize>>, restarts: u32, seed: u64, faults: u64) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let found = |_: &Vec<usize>| match (faults, chance.below(6)) {
            (0, _) | (_, 2..) => Truth::Down,
            (_, 1) => Truth::Half,
            _ => Truth::Up,
        };
        let truth = needs.iter().map(found).collect();
        let life = Life::begin(needs.iter().map(|it| resource(it, restarts)).collect());
        let now = Instant(1_000_000);
        let (runs, story, ending) = (Vec::new(), Vec::new(), false);
        Self { life, now, needs, truth, runs, chance, faults, ending, story }
    }

    /// An operation takes effect, and how its agent will answer.
    fn ask(&mut self, place: usize, operation: Operation, number: u64) {
        self.judge(place, operation);
        self.story.push((place, operation));
        self.runs.retain(|run| run.place != place);
        let bad = self.chance.one_in(self.faults);
        let failed = |what: &str| Answer::Failed(what.to_owned());
        let seen = |truth| match truth {
            Truth::Up => Answer::Works,
            Truth::Half => failed("half of it"),
            Truth::Down => Answer::Stopped,
        };
        let answer = match (operation, bad) {
            (Operation::Start, false) => {
                self.truth[place] = Truth::Up;
                Answer::Works
            }
            (Operation::Start, true) => {
                self.truth[place] = [Truth::Down, Truth::Half, Truth::Up][self.place_of(3)];
                // One of them is a lie.
                [failed("no start"), failed("half a start"), Answer::Works][self.place_of(3)]
                    .clone()
            }
            (Operation::Stop, false) => {
                self.truth[place] = Truth::Down;
                Answer::Stopped
            }
            (Operation::Stop, true) => {
                self.truth[place] = Truth::Half;
                failed("no stop")
            }
            (Operation::Kill, false) => {
                self.truth[place] = Truth::Down;
                Answer::Stopped
            }
            (Operation::Kill, true) => failed("it is still there"),
            (Operation::Probe | Operation::Monitor, false) => seen(self.truth[place]),
            (Operation::Probe | Operation::Monitor, true) => failed("no answer in time"),
            (Operation::Promote | Operation::Demote | Operation::Notify, _) => {
                panic!("{place} is asked to {}", operation.word())
            }
        };
        let takes = Span(1_000 + self.chance.below(if bad { 30_000_000 } else { 50_000 }));
        self.runs.push(Run { place, number, operation, answer, at: self.now + takes });
    }

    fn place_of(&mut self, many: u64) -> usize {
        usize::try_from(self.chance.below(many)).unwrap_or(0)
    }

    /// Nothing starts before what it needs, and nothing stops before what needs it.
    fn judge(&self, place: usize, operation: Operation) {
        let stages: Vec<_> = self.life.views().map(|view| view.stage).collect();
        match operation {
            Operation::Start => {
                assert!(!self.ending, "{place} starts although the end is wanted");
                for need in &self.needs[place] {
                    assert_eq!(stages[*need], Stage::Works, "{place} starts before {need}");
                }
            }
            Operation::Stop | Operation::Kill => {
                for (other, needs) in self.needs.iter().enumerate() {
                    if needs.contains(&place) {
                        let gone = stages[other] == Stage::Stopped;
                        assert!(gone, "{place} stops before {other}, which is {:?}", stages[other]);
                        assert_eq!(self.truth[other], Truth::Down, "{other} was never stopped");
                    }
                }
            }
            Operation::Probe
            | Operation::Monitor
            | Operation::Promote
            | Operation::Demote
            | Operation::Notify => {}
        }
    }

    fn ask_all(&mut self) {
        while let Some(Command::Ask { resource, operation, number }) = self.life.poll() {
            self.ask(resource, operation, number);
        }
    }

    /// Does what is asked for, and goes on to whatever happens next; false if nothing ever does.
    fn step(&mut self) -> bool {
        self.ask_all();
        let next = self.runs.iter().map(|run| run.at).min().unwrap_or(Instant::NEVER);
        let next = next.min(self.life.next_deadline());
        if next == Instant::NEVER {
            return false;
        }
        self.now = self.now.max(next);
        if let Some(done) = self.runs.iter().position(|run| run.at <= self.now) {
            let run = self.runs.swap_remove(done);
            if run.operation == Operation::Stop && run.answer == Answer::Stopped {
                assert_eq!(self.truth[run.place], Truth::Down);
            }
            self.life.answered(self.now, run.place, run.number, run.answer);
        } else {
            self.life.tick(self.now);
        }
        true
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Whole) -> bool) {
        for _ in 0..20_000 {
            if holds(&self.life.whole()) {
                return;
            }
            assert!(self.step(), "nothing happens any more, and not {what}: {:?}", self.life);
        }
        panic!("not {what} after many steps: {:?}", self.life);
    }

    fn stop(&mut self) {
        self.ask_all();
        self.ending = true;
        self.life.stop(self.now);
        self.until("stopped", |whole| *whole == Whole::Stopped);
        assert!(self.truth.iter().all(|truth| *truth == Truth::Down), "{:?}", self.truth);
        assert!(!self.life.views().any(|view| view.stage != Stage::Stopped));
    }
}

#[test]
fn each_starts_after_what_it_needs_and_stops_before_it() {
    let mut bed = Bed::new(chain_of(3), 3, 1, 0);
    bed.until("working", |whole| *whole == Whole::Works);
    bed.stop();
    let of = |operation| {
        bed.story.iter().filter(move |it| it.1 == operation).map(|it| it.0).collect::<Vec<_>>()
    };
    assert_eq!(of(Operation::Start), [0, 1, 2]);
    assert_eq!(of(Operation::Stop), [2, 1, 0]);
    assert_eq!(of(Operation::Kill), [0; 0]);
}

#[test]
fn what_is_there_already_is_not_started_again() {
    let mut bed = Bed::new(chain_of(2), 3, 1, 0);
    bed.truth = vec![Truth::Up, Truth::Up];
    bed.until("working", |whole| *whole == Whole::Works);
    assert!(!bed.story.iter().any(|(_, operation)| *operation == Operation::Start));
}

#[test]
fn what_fails_is_started_again_in_place_with_what_needs_it() {
    let mut bed = Bed::new(chain_of(3), 3, 1, 0);
    bed.until("working", |whole| *whole == Whole::Works);
    bed.story.clear();
    bed.truth[1] = Truth::Down;
    bed.life.ended(bed.now, 1, "killed by SIGKILL".to_owned());
    assert_eq!(bed.life.whole(), Whole::Restarting);
    bed.until("working again", |whole| *whole == Whole::Works);
    let acts = bed.story.iter().filter(|it| it.1 != Operation::Monitor).copied();
    let acts: Vec<_> = acts.collect();
    let (start, stop) = (Operation::Start, Operation::Stop);
    assert_eq!(acts, [(2, stop), (1, stop), (1, start), (2, start)]);
    let view = bed.life.views().nth(1).expect("there are three");
    assert_eq!((view.failures, view.reason), (1, Some("killed by SIGKILL")));
}

#[test]
fn what_stands_on_it_by_way_of_another_is_stopped_too() {
    let mut bed = Bed::new(chain_of(4), 3, 1, 0);
    bed.until("working", |whole| *whole == Whole::Works);
    bed.story.clear();
    bed.truth[0] = Truth::Down;
    bed.life.ended(bed.now, 0, "gone".to_owned());
    bed.until("working again", |whole| *whole == Whole::Works);
    let stops = bed.story.iter().filter(|it| it.1 == Operation::Stop).map(|it| it.0);
    assert_eq!(stops.collect::<Vec<_>>(), [3, 2, 1, 0]);
}

#[test]
fn after_too_many_failures_it_is_given_up_and_long_work_makes_up_for_them() {
    let mut bed = Bed::new(chain_of(1), 2, 1, 0);
    let fail = |bed: &mut Bed| {
        bed.until("working", |whole| *whole == Whole::Works);
        bed.life.ended(bed.now, 0, "gone".to_owned());
        bed.truth[0] = Truth::Down;
    };
    let work = |bed: &mut Bed, millis| {
        bed.until("working", |whole| *whole == Whole::Works);
        bed.now += Span::from_millis(millis);
        bed.life.tick(bed.now);
    };
    for _ in 0..6 {
        fail(&mut bed);
        assert_eq!(bed.life.views().next().map(|view| view.failures), Some(1));
        work(&mut bed, 600_000);
    }
    for count in 1..=3 {
        fail(&mut bed);
        assert_eq!(bed.life.views().next().map(|view| view.failures), Some(count));
        if count < 3 {
            assert_eq!(bed.life.whole(), Whole::Restarting);
            work(&mut bed, 590_000);
        }
    }
    assert_eq!(bed.life.whole(), Whole::Failed(0, "gone".to_owned()));
    bed.stop();
}

#[test]
fn what_never_works_is_given_up_however_long_each_try_takes() {
    let mut life = Life::begin(vec![resource(&[], 2)]);
    let mut now = Instant(5);
    let mut starts = 0;
    while !matches!(life.whole(), Whole::Failed(..)) {
        let Some(Command::Ask { number, operation, .. }) = life.poll() else {
            now = life.next_deadline();
            assert_ne!(now, Instant::NEVER, "{life:?}");
            life.tick(now);
            continue;
        };
        let answer = if operation == Operation::Start {
            starts += 1;
            // Longer than a failure is remembered of what had worked.
            now += Span::from_millis(700_000);
            Answer::Failed("too slow".to_owned())
        } else {
            Answer::Stopped
        };
        life.answered(now, 0, number, answer);
    }
    assert_eq!(starts, 3);
}

#[test]
fn an_end_that_the_monitor_sees_as_well_is_one_failure() {
    let mut bed = Bed::new(chain_of(2), 3, 1, 0);
    bed.until("working", |whole| *whole == Whole::Works);
    let asked = |bed: &mut Bed| {
        bed.now = bed.life.next_deadline();
        bed.life.tick(bed.now);
        let mut asked = Vec::new();
        while let Some(Command::Ask { resource, number, .. }) = bed.life.poll() {
            asked.push((resource, number));
        }
        asked
    };
    let mut monitor = None;
    while monitor.is_none() {
        let all = asked(&mut bed);
        for (place, number) in all {
            if place == 0 {
                monitor = Some(number);
            } else {
                bed.life.answered(bed.now, place, number, Answer::Works);
            }
        }
    }
    bed.life.ended(bed.now, 0, "killed".to_owned());
    bed.life.answered(bed.now, 0, monitor.expect("asked"), Answer::Stopped);
    let view = bed.life.views().next().expect("there are two");
    assert_eq!((view.failures, view.reason), (1, Some("killed")));
}

/// A list in which each needs all of those before it: as many ways through it as there are sets of
/// them.
fn each_needs_all_before(count: usize) -> Vec<Vec<usize>> {
    (0..count).map(|place| (0..place).collect()).collect()
}

#[test]
fn many_ways_from_one_to_another_are_no_more_work() {
    let mut bed = Bed::new(each_needs_all_before(60), 3, 1, 0);
    bed.until("working", |whole| *whole == Whole::Works);
    bed.stop();
}

#[test]
fn what_stops_for_another_waits_for_no_failure_of_its_own() {
    let mut bed = Bed::new(chain_of(2), 5, 1, 0);
    for _ in 0..3 {
        bed.until("working", |whole| *whole == Whole::Works);
        bed.truth[1] = Truth::Down;
        bed.life.ended(bed.now, 1, "gone".to_owned());
    }
    bed.until("working", |whole| *whole == Whole::Works);
    bed.truth[0] = Truth::Down;
    bed.life.ended(bed.now, 0, "gone".to_owned());
    let failed_at = bed.now;
    bed.until("working", |whole| *whole == Whole::Works);
    let took = bed.now.since(failed_at);
    assert!(took < Span::from_millis(400), "{took:?}: it waited as if it had failed itself");
}

#[test]
fn what_cannot_be_had_here_is_given_up_at_once() {
    let mut life = Life::begin(vec![resource(&[], 5)]);
    let Some(Command::Ask { number, .. }) = life.poll() else { panic!("nothing was asked") };
    let now = Instant(5);
    life.answered(now, 0, number, Answer::Hopeless("not installed".to_owned()));
    assert_eq!(life.whole(), Whole::Failed(0, "not installed".to_owned()));
    assert_eq!((life.poll(), life.next_deadline()), (None, Instant::NEVER));
    life.stop(now);
    assert_eq!(life.whole(), Whole::Stopped);
}

#[test]
fn a_late_answer_is_nobodys() {
    let mut life = Life::begin(vec![resource(&[], 5)]);
    let Some(Command::Ask { number, .. }) = life.poll() else { panic!("nothing was asked") };
    life.answered(Instant(5), 0, number, Answer::Stopped);
    let asked = life.poll();
    let Some(Command::Ask { number: start, operation: Operation::Start, .. }) = asked else {
        panic!("{asked:?}");
    };
    // The end is wanted while the start runs: it is cancelled, and its answer counts no more.
    life.stop(Instant(6));
    let asked = life.poll();
    let Some(Command::Ask { number: stop, operation: Operation::Stop, .. }) = asked else {
        panic!("{asked:?}");
    };
    life.answered(Instant(7), 0, start, Answer::Works);
    life.answered(Instant(7), 0, number, Answer::Works);
    assert_eq!((life.poll(), life.whole()), (None, Whole::Stopping));
    life.answered(Instant(8), 0, stop, Answer::Stopped);
    assert_eq!(life.whole(), Whole::Stopped);
}

#[test]
fn a_stop_that_fails_is_forced_and_tried_again_until_nothing_is_left() {
    let mut life = Life::begin(vec![resource(&[], 5)]);
    let mut now = Instant(5);
    let mut asked = Vec::new();
    for answer in [Answer::Works, Answer::Works] {
        let Some(Command::Ask { number, .. }) = life.poll() else { panic!("nothing was asked") };
        life.answered(now, 0, number, answer);
        life.tick(now);
    }
    life.stop(now);
    for round in 0..6 {
        let Some(Command::Ask { number, operation, .. }) = life.poll() else {
            panic!("nothing was asked: {life:?}");
        };
        asked.push(operation);
        let done = round == 5;
        let answer = if done { Answer::Stopped } else { Answer::Failed("no".to_owned()) };
        assert_eq!(life.whole(), Whole::Stopping);
        life.answered(now, 0, number, answer);
        if !done && operation == Operation::Kill {
            assert_eq!(life.views().next().map(|view| view.stage), Some(Stage::Stuck));
            now = life.next_deadline();
            life.tick(now);
        }
    }
    let (stop, kill) = (Operation::Stop, Operation::Kill);
    assert_eq!(asked, [stop, kill, stop, kill, stop, kill]);
    assert_eq!(life.whole(), Whole::Stopped);
}

/// A list in which each needs some of those before it.
fn some_needs(chance: &mut Chance) -> Vec<Vec<usize>> {
    let count = 1 + usize::try_from(chance.below(5)).unwrap_or(0);
    (0..count).map(|place| (0..place).filter(|_| chance.one_in(2)).collect()).collect()
}

#[test]
fn whatever_agents_do_the_order_holds_and_in_the_end_all_is_down() {
    let (mut given_up, mut stuck) = (0, 0);
    for seed in 1..2_000 {
        let mut chance = Chance(seed);
        let needs = some_needs(&mut chance);
        let mut bed = Bed::new(needs, 4, seed, 1 + chance.below(12));
        let steps = 20 + chance.below(300);
        for _ in 0..steps {
            let places = u64::try_from(bed.truth.len()).unwrap_or(1);
            if chance.one_in(20) {
                let place = usize::try_from(chance.below(places)).unwrap_or(0);
                let up = bed.life.views().nth(place).map(|it| it.stage) == Some(Stage::Works);
                if up {
                    bed.truth[place] = Truth::Down;
                    bed.life.ended(bed.now, place, "it ended".to_owned());
                }
            }
            if !bed.step() {
                break;
            }
            stuck += u32::from(bed.life.views().any(|view| view.stage == Stage::Stuck));
        }
        given_up += u32::from(matches!(bed.life.whole(), Whole::Failed(..)));
        bed.faults = 0;
        if seed % 2 == 0 {
            // Faults are over: it works again, or was given up.
            bed.until("whole", |whole| matches!(whole, Whole::Works | Whole::Failed(..)));
        }
        bed.stop();
    }
    assert!(given_up > 100 && stuck > 100, "{given_up} {stuck}");
}
