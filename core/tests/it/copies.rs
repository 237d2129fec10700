//! The life of a copy: promoted when it is told to be, demoted by its agent's own word, whatever
//! agents do meanwhile.

use stead_core::resource::{
    Answer, Care, Command, Life, Operation, Part, Resource, Stage, Whole, parts,
};
use stead_core::time::{Instant, Span};

use crate::resource::{Chance, chain_of, resource};

/// What an agent looks after, as it really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Down,
    /// Something of it is there, and does not work. It may be promoted.
    Half,
    Up,
    Primary,
}

struct Run {
    place: usize,
    number: u64,
    answer: Answer,
    at: Instant,
}

/// Agents of a copy, and judges of what they are asked for.
struct Bed {
    life: Life,
    now: Instant,
    needs: Vec<Vec<usize>>,
    parts: Vec<Part>,
    truth: Vec<Truth>,
    runs: Vec<Run>,
    chance: Chance,
    faults: u64,
    /// Its agent demotes by stopping, as that of PostgreSQL does.
    stops_to_demote: bool,
    whole: bool,
    ending: bool,
    released: bool,
    story: Vec<(usize, Operation)>,
}

impl Bed {
    fn new(needs: Vec<Vec<usize>>, promotable: &[bool], seed: u64, faults: u64) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let parts = parts(&needs, promotable);
        let found = |part: &Part| match (faults, chance.below(6), part) {
            (0, ..) | (_, 3.., _) => Truth::Down,
            (_, 1, _) => Truth::Half,
            (_, 2, Part::Promotable) => Truth::Primary,
            _ => Truth::Up,
        };
        let truth = parts.iter().map(found).collect();
        let resources = needs.iter().map(|it| resource(it, 4)).collect::<Vec<Resource>>();
        Self {
            life: Life::of_copies(resources, promotable),
            now: Instant(1_000_000),
            needs,
            parts,
            truth,
            runs: Vec::new(),
            stops_to_demote: seed.is_multiple_of(2),
            chance,
            faults,
            whole: false,
            ending: false,
            released: false,
            story: Vec::new(),
        }
    }

    fn place_of(&mut self, many: u64) -> usize {
        usize::try_from(self.chance.below(many)).unwrap_or(0)
    }

    fn ask(&mut self, place: usize, operation: Operation, number: u64) {
        self.judge(place, operation);
        self.story.push((place, operation));
        self.runs.retain(|run| run.place != place);
        let bad = self.chance.one_in(self.faults);
        let failed = |what: &str| Answer::Failed(what.to_owned());
        let seen = |truth| match truth {
            Truth::Up => Answer::Works,
            Truth::Primary => Answer::Promoted,
            Truth::Half => failed("half of it"),
            Truth::Down => Answer::Stopped,
        };
        let low = if self.stops_to_demote { Truth::Down } else { Truth::Up };
        let promotable = self.parts[place] == Part::Promotable;
        let (truth, answer) = match (operation, bad) {
            (Operation::Start, false) => (Truth::Up, Answer::Works),
            // Some come up promoted, as redis does without a word.
            (Operation::Start, true) => {
                let all = [Truth::Down, Truth::Half, Truth::Up, Truth::Primary];
                let truth = all[self.place_of(if promotable { 4 } else { 3 })];
                (truth, [failed("no start"), Answer::Works][self.place_of(2)].clone())
            }
            (Operation::Promote, false) => (Truth::Primary, Answer::Works),
            // Some lie, some do half.
            (Operation::Promote, true) => {
                let truth = [Truth::Up, Truth::Half, Truth::Primary, Truth::Down];
                let answer = [failed("no"), Answer::Works][self.place_of(2)].clone();
                (truth[self.place_of(4)], answer)
            }
            (Operation::Demote, false) => (low, Answer::Works),
            (Operation::Demote, true) => {
                let truth = [Truth::Primary, Truth::Half, low][self.place_of(3)];
                (truth, [failed("no"), Answer::Works][self.place_of(2)].clone())
            }
            (Operation::Stop | Operation::Kill, false) => (Truth::Down, Answer::Stopped),
            (Operation::Stop | Operation::Kill, true) => (Truth::Half, failed("still there")),
            (Operation::Notify, _) => (self.truth[place], failed("what of it?")),
            (Operation::Probe | Operation::Monitor, false) => {
                (self.truth[place], seen(self.truth[place]))
            }
            (Operation::Probe | Operation::Monitor, true) => {
                (self.truth[place], failed("no answer in time"))
            }
        };
        self.truth[place] = truth;
        let takes = Span(1_000 + self.chance.below(if bad { 30_000_000 } else { 50_000 }));
        self.runs.push(Run { place, number, answer, at: self.now + takes });
    }

    /// Nothing is promoted without being told to be; what needs something promoted starts after
    /// that and has stopped before its demotion.
    fn judge(&self, place: usize, operation: Operation) {
        let views: Vec<_> = self.life.views().collect();
        let high = |need: usize| {
            let view = &views[need];
            view.stage == Stage::Works && (self.parts[need] != Part::Promotable || view.promoted)
        };
        match operation {
            Operation::Promote => {
                assert!(self.whole && !self.ending, "{place} is promoted, and not told to be");
                assert_eq!(self.parts[place], Part::Promotable);
                assert!(self.needs[place].iter().all(|need| high(*need)), "{place}: {views:?}");
            }
            Operation::Start => {
                assert!(!self.ending, "{place} starts although the end is wanted");
                if self.parts[place] == Part::Single {
                    assert!(self.whole, "{place} starts where only a copy is wanted");
                    assert!(self.needs[place].iter().all(|need| high(*need)), "{place}: {views:?}");
                }
            }
            Operation::Demote => {
                for (other, needs) in self.needs.iter().enumerate() {
                    if needs.contains(&place) && self.parts[other] == Part::Single {
                        assert_eq!(
                            self.truth[other],
                            Truth::Down,
                            "{other} needs {place} promoted"
                        );
                    }
                }
            }
            Operation::Stop | Operation::Kill => {
                for (other, needs) in self.needs.iter().enumerate() {
                    if needs.contains(&place) {
                        assert_eq!(self.truth[other], Truth::Down, "{place} stops before {other}");
                    }
                }
            }
            Operation::Probe | Operation::Monitor | Operation::Notify => {}
        }
    }

    fn ask_all(&mut self) {
        while let Some(Command::Ask { resource, operation, number }) = self.life.poll() {
            self.ask(resource, operation, number);
        }
        self.judge_release();
    }

    /// What the life says of being released is true, whatever its agents answered.
    fn judge_release(&mut self) {
        let before = std::mem::replace(&mut self.released, self.life.is_released());
        if self.released && !before {
            for (place, part) in self.parts.iter().enumerate() {
                let stage = self.life.views().nth(place).map(|view| view.stage);
                let quiet = *part != Part::Single || self.truth[place] == Truth::Down;
                assert!(quiet, "released, and {place} is {:?}", self.truth[place]);
                // One that is being started anew may come up as it likes: it is looked at then.
                if *part == Part::Promotable && stage == Some(Stage::Works) {
                    assert_ne!(self.truth[place], Truth::Primary, "released, and {place} is not");
                }
            }
        }
    }

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
            self.life.answered(self.now, run.place, run.number, run.answer);
        } else {
            self.life.tick(self.now);
        }
        true
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Life) -> bool) {
        for _ in 0..20_000 {
            self.ask_all();
            if holds(&self.life) {
                return;
            }
            assert!(self.step(), "nothing happens any more, and not {what}: {:?}", self.life);
        }
        panic!("not {what} after many steps: {:?}", self.life);
    }

    fn promote(&mut self) {
        self.ask_all();
        self.whole = true;
        self.life.promote(self.now);
    }

    fn demote(&mut self) {
        self.ask_all();
        self.whole = false;
        self.life.demote(self.now);
        self.until("released", Life::is_released);
    }

    fn stop(&mut self) {
        self.ask_all();
        self.ending = true;
        self.life.stop(self.now);
        self.until("stopped", |life| life.whole() == Whole::Stopped);
        assert!(self.truth.iter().all(|truth| *truth == Truth::Down), "{:?}", self.truth);
    }

    fn acts(&mut self) -> Vec<(usize, Operation)> {
        let acts = self.story.iter().filter(|it| it.1 != Operation::Monitor).copied();
        let acts = acts.collect();
        self.story.clear();
        acts
    }
}

const MIDDLE: [bool; 3] = [false, true, false];

#[test]
fn what_can_be_promoted_and_all_it_needs_runs_with_each_copy() {
    let needs = [vec![], vec![0], vec![1], vec![], vec![4, 0], vec![2]];
    let found = parts(&needs[..4], &[false, false, true, false]);
    assert_eq!(found, [Part::Copied, Part::Copied, Part::Promotable, Part::Single]);
}

#[test]
fn a_copy_rises_when_it_is_told_to_and_what_needs_that_follows() {
    for seed in [1, 2] {
        let mut bed = Bed::new(chain_of(3), &MIDDLE, seed, 0);
        bed.until("a copy", |life| life.copy() == Whole::Works && life.is_released());
        let (start, stop) = (Operation::Start, Operation::Stop);
        bed.story.retain(|it| it.1 != Operation::Probe);
        assert_eq!(bed.acts(), [(0, start), (1, start)]);
        bed.promote();
        assert!(!bed.life.is_released());
        bed.until("all", |life| life.whole() == Whole::Works);
        assert_eq!(bed.acts(), [(1, Operation::Promote), (2, start)]);
        bed.demote();
        assert_eq!(bed.acts()[..2], [(2, stop), (1, Operation::Demote)]);
        bed.until("a copy again", |life| life.copy() == Whole::Works);
        bed.story.clear();
        bed.promote();
        bed.until("all", |life| life.whole() == Whole::Works);
        bed.story.clear();
        bed.stop();
        let mut all = vec![(2, stop), (1, Operation::Demote), (1, stop), (0, stop)];
        all.retain(|act| !bed.stops_to_demote || *act != (1, stop));
        assert_eq!(bed.acts(), all);
    }
}

#[test]
fn a_promoted_copy_that_fails_is_given_up_and_a_copy_again_once_that_is_told() {
    let mut bed = Bed::new(chain_of(1), &[true], 1, 0);
    bed.promote();
    bed.until("all", |life| life.whole() == Whole::Works);
    bed.truth[0] = Truth::Half;
    bed.until("given up", |life| matches!(life.whole(), Whole::Failed(0, _)));
    bed.story.clear();
    bed.demote();
    bed.until("a copy", |life| life.copy() == Whole::Works);
    let acts = bed.acts();
    assert!(!acts.iter().any(|it| it.1 == Operation::Promote), "{acts:?}");
    assert_eq!(acts.first(), Some(&(0, Operation::Demote)));
}

#[test]
fn a_demotion_that_hangs_becomes_a_stop_and_a_kill() {
    let mut bed = Bed::new(chain_of(1), &[true], 1, 0);
    bed.promote();
    bed.until("all", |life| life.whole() == Whole::Works);
    bed.ask_all();
    bed.runs.clear();
    bed.life.demote(bed.now);
    for (expected, answer) in [
        (Operation::Demote, Answer::Failed("no answer".to_owned())),
        (Operation::Stop, Answer::Failed("no answer".to_owned())),
        (Operation::Kill, Answer::Stopped),
    ] {
        let Some(Command::Ask { operation, number, .. }) = bed.life.poll() else {
            panic!("nothing was asked: {:?}", bed.life);
        };
        assert_eq!(operation, expected);
        assert!(!bed.life.is_released(), "released before {operation:?} was answered");
        bed.life.answered(bed.now, 0, number, answer);
    }
    assert!(bed.life.is_released());
}

#[test]
fn a_demotion_counts_by_the_monitor_and_not_by_its_own_word() {
    let mut bed = Bed::new(chain_of(1), &[true], 1, 0);
    bed.promote();
    bed.until("all", |life| life.whole() == Whole::Works);
    bed.ask_all();
    bed.runs.clear();
    bed.life.demote(bed.now);
    for (expected, answer) in [
        (Operation::Demote, Answer::Works),
        // It lied.
        (Operation::Monitor, Answer::Promoted),
        (Operation::Stop, Answer::Stopped),
    ] {
        let Some(Command::Ask { operation, number, .. }) = bed.life.poll() else {
            panic!("nothing was asked: {:?}", bed.life);
        };
        assert_eq!(operation, expected);
        assert!(!bed.life.is_released());
        bed.life.answered(bed.now, 0, number, answer);
    }
    assert!(bed.life.is_released());
}

#[test]
fn what_is_found_promoted_is_demoted_at_once() {
    let mut bed = Bed::new(chain_of(1), &[true], 1, 0);
    bed.truth[0] = Truth::Primary;
    bed.until("released", Life::is_released);
    assert!(bed.story.contains(&(0, Operation::Demote)));
    bed.until("a copy", |life| life.copy() == Whole::Works);
    // And later, by a hand from outside.
    bed.story.clear();
    bed.truth[0] = Truth::Primary;
    bed.until("seen", |life| life.views().any(|view| view.promoted));
    bed.until("demoted", |life| life.views().all(|view| !view.promoted));
    assert!(bed.story.contains(&(0, Operation::Demote)));
}

#[test]
fn in_maintenance_a_copy_is_left_as_it_is_and_demoted_all_the_same_when_that_is_wanted() {
    let mut bed = Bed::new(chain_of(2), &[false, true], 1, 0);
    bed.promote();
    bed.until("all", |life| life.whole() == Whole::Works);
    bed.life.care(bed.now, Care::Nothing);
    bed.truth[1] = Truth::Half;
    bed.until("seen", |life| life.views().any(|view| view.unwell));
    bed.story.clear();
    let waits = |bed: &mut Bed| {
        for _ in 0..20 {
            bed.step();
        }
    };
    waits(&mut bed);
    assert_eq!((bed.acts(), bed.life.whole()), (Vec::new(), Whole::Works));
    bed.demote();
    assert_eq!(bed.acts(), [(1, Operation::Demote)]);
    // Nor does anything rise before it is over.
    bed.promote();
    waits(&mut bed);
    assert_eq!(bed.acts(), []);
    bed.life.care(bed.now, Care::Full);
    bed.until("all", |life| life.whole() == Whole::Works);
    bed.stop();
}

#[test]
fn the_others_are_heard_of_between_two_looks() {
    let mut bed = Bed::new(chain_of(2), &[true, false], 1, 0);
    bed.until("a copy", |life| life.copy() == Whole::Works);
    bed.story.clear();
    bed.life.notify(bed.now);
    bed.ask_all();
    assert_eq!(bed.acts(), [(0, Operation::Notify)]);
    // Being promoted does not wait for that.
    bed.promote();
    bed.ask_all();
    assert_eq!(bed.acts(), [(0, Operation::Promote)]);
}

#[test]
fn whatever_agents_do_nothing_is_promoted_that_was_not_told_to_be() {
    let (mut given_up, mut stuck, mut released) = (0, 0, 0);
    for seed in 1..3_000 {
        let mut chance = Chance(seed);
        let count = 1 + usize::try_from(chance.below(5)).unwrap_or(0);
        let needs: Vec<Vec<usize>> =
            (0..count).map(|it| (0..it).filter(|_| chance.one_in(2)).collect()).collect();
        let promotable: Vec<bool> = (0..count).map(|_| chance.one_in(2)).collect();
        let mut bed = Bed::new(needs, &promotable, seed, 1 + chance.below(12));
        for _ in 0..20 + chance.below(300) {
            bed.ask_all();
            match chance.below(40) {
                0 => bed.promote(),
                1 => {
                    bed.whole = false;
                    bed.life.demote(bed.now);
                }
                2 => bed.life.notify(bed.now),
                3 => {
                    let place = bed.place_of(u64::try_from(count).unwrap_or(1));
                    let one = bed.life.views().nth(place);
                    if one.is_some_and(|it| it.stage == Stage::Works && !it.promoted) {
                        bed.truth[place] = Truth::Down;
                        bed.life.ended(bed.now, place, "it ended".to_owned());
                    }
                }
                4 => {
                    let all = [Care::Full, Care::Ended, Care::Nothing];
                    let care = all[bed.place_of(3)];
                    bed.life.care(bed.now, care);
                }
                _ => {}
            }
            if !bed.step() {
                break;
            }
            stuck += u32::from(bed.life.views().any(|view| view.stage == Stage::Stuck));
            released += u32::from(bed.life.is_released());
        }
        given_up += u32::from(matches!(bed.life.whole(), Whole::Failed(..)));
        bed.faults = 0;
        bed.life.care(bed.now, Care::Full);
        match seed % 3 {
            0 => {
                bed.promote();
                let over = |life: &Life| matches!(life.whole(), Whole::Works | Whole::Failed(..));
                bed.until("whole or given up", over);
            }
            1 => bed.demote(),
            _ => {}
        }
        bed.stop();
    }
    assert!(given_up > 100 && stuck > 100 && released > 1_000, "{given_up} {stuck} {released}");
}
