//! What is due: the decisions of the machine, each from what is there and what is wanted.

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
        for place in 0..self.all.len() {
            self.advance_one(now, place);
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

    fn advance_one(&mut self, now: Instant, place: usize) {
        let Some(one) = self.all.get(place) else { return };
        let unwanted = self.is_unwanted(one);
        let idle = one.open.is_none() && !one.bad;
        match one.stage {
            Stage::Promoting | Stage::Works
                if one.promoted && !one.stubborn && self.is_too_high(one) =>
            {
                if !self.is_needed_promoted(place) {
                    self.ask(place, Stage::Demoting, Operation::Demote);
                }
            }
            Stage::Starting | Stage::Checking | Stage::Works if unwanted => {
                if !self.is_needed(place) {
                    self.ask(place, Stage::Stopping, Operation::Stop);
                }
            }
            Stage::Works if self.may_rise(one) => {
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
            Stage::Stopped if self.may_start(one) && now >= one.due => {
                self.ask(place, Stage::Starting, Operation::Start);
            }
            Stage::Stuck if now >= one.due => self.ask(place, Stage::Stopping, Operation::Stop),
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

    /// Whether what needs it may run: it works, and so does all that it needs in turn. Needs go in
    /// no circle ([`super::order`]), so this ends. To carry what belongs to the promoted copy it
    /// has to be promoted, if it can be.
    fn carries(&self, one: &One, high: bool) -> bool {
        let up = match one.stage {
            Stage::Works => true,
            Stage::Promoting | Stage::Demoting => !high,
            Stage::Probing
            | Stage::Stopped
            | Stage::Starting
            | Stage::Checking
            | Stage::Stopping
            | Stage::Killing
            | Stage::Stuck => false,
        };
        let high_enough = !high || one.part != Part::Promotable || one.promoted;
        up && high_enough && !one.bad && self.is_carried(one)
    }

    fn is_carried(&self, one: &One) -> bool {
        let high = !one.is_copied();
        let mut needs = one.resource.needs.iter().filter_map(|need| self.all.get(*need));
        needs.all(|need| self.carries(need, high))
    }

    pub(super) fn all_work(&self) -> bool {
        self.whole_wanted && self.all.iter().all(|one| self.carries(one, true))
    }

    /// Whether all that runs with each copy does.
    pub(super) fn copy_works(&self) -> bool {
        self.all.iter().filter(|one| one.is_copied()).all(|one| self.carries(one, false))
    }

    /// Whether it must not be there now.
    pub(super) fn is_unwanted(&self, one: &One) -> bool {
        let elsewhere = !one.is_copied() && !self.whole_wanted;
        let broken = one.bad || !self.is_carried(one);
        // Given up: what works goes on until something else is wanted, which takes a moment.
        self.ending || elsewhere || broken && self.failed.is_none()
    }

    /// Whether it must not be promoted now.
    pub(super) fn is_too_high(&self, one: &One) -> bool {
        self.ending || !self.whole_wanted || self.is_unwanted(one)
    }

    /// Whether it is to be promoted now.
    fn may_rise(&self, one: &One) -> bool {
        let mut needs = one.resource.needs.iter().filter_map(|need| self.all.get(*need));
        one.part == Part::Promotable
            && !one.promoted
            && !one.bad
            && self.whole_wanted
            && !self.ending
            && self.failed.is_none()
            && self.copy_failed.is_none()
            && needs.all(|need| self.carries(need, true))
    }

    /// Whether it is to be started, once its pause is over.
    pub(super) fn may_start(&self, one: &One) -> bool {
        let settled = self.whole_wanted || self.released;
        let given_up = self.failed.is_some() || self.copy_failed.is_some();
        settled && !given_up && !self.is_unwanted(one)
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
