//! What is due: the decisions of the machine, each from what is there and what is wanted.

use alloc::vec::Vec;

use super::one::One;
use super::{Life, Operation, Part, Stage};
use crate::time::Instant;

impl Life {
    /// Asks for whatever is due.
    pub(super) fn advance(&mut self, now: Instant) {
        if self.is_probing() {
            return;
        }
        self.note_release();
        // What is asked for here changes nothing of it: what is stopped or demoted was no support
        // before, of anything that may begin now.
        let carried = self.carried();
        for place in 0..self.all.len() {
            self.advance_one(now, place, &carried);
        }
        self.note_work();
    }

    /// That nothing is promoted any more, and nothing runs of what belongs to that, was so at one
    /// moment; until then nothing starts.
    fn note_release(&mut self) {
        self.released |= !self.whole_wanted && self.all.iter().all(One::is_quiet);
    }

    pub(super) fn note_work(&mut self) {
        self.worked |= self.all_work();
        self.copy_worked |= self.copy_works();
    }

    fn advance_one(&mut self, now: Instant, place: usize, all_carried: &[bool]) {
        let Some(one) = self.all.get(place) else { return };
        let carried = all_carried.get(place) == Some(&true);
        let unwanted = self.is_unwanted(one, carried);
        let idle = one.open.is_none() && !one.bad;
        match one.stage {
            Stage::Promoting | Stage::Works
                if one.promoted && !one.stubborn && self.is_too_high(one, carried) =>
            {
                if !self.is_needed_promoted(place) && self.may_stop() {
                    self.ask(place, Stage::Demoting, Operation::Demote);
                }
            }
            Stage::Starting | Stage::Checking | Stage::Works if unwanted => {
                if !self.is_needed(place) && self.may_stop() {
                    self.ask(place, Stage::Stopping, Operation::Stop);
                }
            }
            Stage::Works if self.may_rise(one, all_carried) => {
                if let Some(one) = self.all.get_mut(place) {
                    one.promoted = true;
                }
                self.ask(place, Stage::Promoting, Operation::Promote);
            }
            Stage::Works if idle && one.notify => {
                if let Some(one) = self.all.get_mut(place) {
                    one.notify = false;
                }
                self.ask(place, Stage::Works, Operation::Notify);
            }
            Stage::Works if idle && now >= one.due => {
                self.ask(place, Stage::Works, Operation::Monitor);
            }
            Stage::Stopped if self.may_start(one, carried) && now >= one.due => {
                self.ask(place, Stage::Starting, Operation::Start);
            }
            Stage::Stuck if now >= one.due && self.may_stop() => {
                self.ask(place, Stage::Stopping, Operation::Stop);
            }
            Stage::Probing
            | Stage::Stopped
            | Stage::Starting
            | Stage::Checking
            | Stage::Works
            | Stage::Promoting
            | Stage::Demoting
            | Stage::Stopping
            | Stage::Killing
            | Stage::Stuck => {}
        }
    }

    /// What is there is told before anything is decided.
    pub(super) fn is_probing(&self) -> bool {
        self.all.iter().any(|one| one.stage == Stage::Probing)
    }

    /// Whether all that each of them needs works, and all that those need in turn. What belongs to
    /// the promoted copy needs it promoted.
    pub(super) fn carried(&self) -> Vec<bool> {
        let mut carried = alloc::vec![true; self.all.len()];
        loop {
            let falls = |(one, stands): (&One, &bool)| {
                let high = !one.is_copied();
                let mut needs = one.resource.needs.iter();
                *stands && needs.any(|need| !self.carries(*need, high, &carried))
            };
            // Needs go in no circle, so one that falls first is found before long.
            let Some(place) = self.all.iter().zip(&carried).position(falls) else { return carried };
            if let Some(stands) = carried.get_mut(place) {
                *stands = false;
            }
        }
    }

    /// Whether what needs that one may run.
    fn carries(&self, place: usize, high: bool, carried: &[bool]) -> bool {
        let supports = self.all.get(place).is_none_or(|one| one.supports(high));
        supports && carried.get(place) != Some(&false)
    }

    /// What all of them do is carried with that.
    pub(super) fn all_work(&self) -> bool {
        self.whole_wanted && self.all.iter().all(|one| one.supports(true))
    }

    /// Whether all that runs with each copy works: nothing of it needs anything else.
    pub(super) fn copy_works(&self) -> bool {
        self.all.iter().filter(|one| one.is_copied()).all(|one| one.supports(false))
    }

    /// Whether it must not be there now.
    pub(super) fn is_unwanted(&self, one: &One, carried: bool) -> bool {
        let elsewhere = !one.is_copied() && !self.whole_wanted;
        let broken = one.bad || !carried;
        // Given up: what works goes on until something else is wanted, which takes a moment.
        self.ending || elsewhere || broken && self.failed.is_none()
    }

    /// Whether it must not be promoted now.
    pub(super) fn is_too_high(&self, one: &One, carried: bool) -> bool {
        self.ending || !self.whole_wanted || self.is_unwanted(one, carried)
    }

    /// Whether it is to be promoted now.
    fn may_rise(&self, one: &One, carried: &[bool]) -> bool {
        one.part == Part::Promotable
            && !one.promoted
            && !one.bad
            && self.whole_wanted
            && !self.ending
            && self.may_begin()
            && one.resource.needs.iter().all(|need| self.carries(*need, true, carried))
    }

    /// Whether it is to be started, once its pause is over.
    pub(super) fn may_start(&self, one: &One, carried: bool) -> bool {
        let settled = self.whole_wanted || self.released;
        settled && self.may_begin() && !self.is_unwanted(one, carried)
    }

    /// Whether anything that needs it is still there.
    fn is_needed(&self, place: usize) -> bool {
        self.all.iter().any(|one| one.is_there() && one.resource.needs.contains(&place))
    }

    /// Whether anything is still there that needs it promoted.
    fn is_needed_promoted(&self, place: usize) -> bool {
        self.all.iter().any(|one| {
            let high = if one.is_copied() { one.promoted } else { one.is_there() };
            high && one.resource.needs.contains(&place)
        })
    }
}
