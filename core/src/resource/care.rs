//! What may be done about resources, and what is left as it is.

use alloc::string::String;

use super::{Care, Life, Part, Stage};
use crate::time::Instant;

impl Life {
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

    /// Forgets the failures of one, or of all; what waits for its next try gets it now. Where a
    /// copy that failed is promoted again is not for this node to say all the same.
    pub fn forget(&mut self, now: Instant, place: Option<usize>) {
        let of = |given_up: &Option<(usize, String)>| given_up.as_ref().map(|(failed, _)| *failed);
        let (given_up, copy_given_up) = (of(&self.failed), of(&self.copy_failed));
        let meant = |at: usize| place.is_none_or(|place| place == at);
        for (at, one) in self.all.iter_mut().enumerate().filter(|(at, _)| meant(*at)) {
            one.failures = 0;
            if matches!(one.stage, Stage::Stopped | Stage::Stuck) {
                one.due = now;
            }
            if given_up == Some(at) && !one.is_copied() {
                self.failed = None;
            }
            if copy_given_up == Some(at) {
                self.copy_failed = None;
            }
        }
        self.advance(now);
    }

    /// It fails, and is left as it is. That is no time of work.
    pub(super) fn let_be(&mut self, place: usize, reason: String) {
        if let Some(one) = self.all.get_mut(place) {
            (one.unwell, one.reason, one.works_since) = (true, Some(reason), None);
        }
    }

    /// Its monitor runs again after its interval.
    pub(super) fn look_again(&mut self, now: Instant, place: usize) {
        let interval = self.all.get(place).map(|one| one.resource.interval);
        self.set(place, Stage::Works, now + interval.unwrap_or_default());
    }

    /// Nothing is started or promoted in maintenance, nor when all is given up.
    pub(super) fn may_begin(&self) -> bool {
        let given_up = self.failed.is_some() || self.copy_failed.is_some();
        !given_up && self.care != Care::Nothing
    }

    /// Nothing is stopped or demoted in maintenance, but for the end of all, and for what must not
    /// be promoted.
    pub(super) fn may_stop(&self) -> bool {
        self.ending || self.care != Care::Nothing || self.is_lowering()
    }

    /// Something is there that only the promoted copy may have.
    fn is_lowering(&self) -> bool {
        let high = |one: &super::one::One| match one.part {
            Part::Single => one.is_there(),
            Part::Copied | Part::Promotable => one.promoted,
        };
        !self.whole_wanted && self.all.iter().any(high)
    }
}
