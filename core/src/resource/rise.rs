//! What agents answer of promotions and demotions.

use alloc::string::ToString;

use super::{Answer, Life, Operation, Part, Stage};
use crate::time::Instant;

impl Life {
    /// It says that it is promoted. What can't be is none the worse for it.
    pub(super) fn found_promoted(&mut self, place: usize) {
        if let Some(one) = self.all.get_mut(place).filter(|one| one.part == Part::Promotable) {
            one.promoted = true;
        }
    }

    pub(super) fn promoted(&mut self, now: Instant, place: usize, answer: Answer) {
        if self.all.get(place).is_some_and(|one| one.bad) {
            // Its end was seen while it was promoted: that is one failure, not two.
            return;
        }
        match answer {
            Answer::Works | Answer::Promoted => {
                self.ask(place, Stage::Promoting, Operation::Monitor);
            }
            Answer::Stopped => self.fail(now, place, "it stopped at once".to_string(), false),
            Answer::Failed(reason) => self.fail(now, place, reason, false),
            Answer::Hopeless(reason) => self.fail(now, place, reason, true),
        }
    }

    /// Its agent's word that it did it is not enough, nor is any failure: its monitor has to say.
    pub(super) fn demoted(&mut self, now: Instant, place: usize, answer: Answer) {
        match answer {
            Answer::Works | Answer::Stopped => {
                self.ask(place, Stage::Demoting, Operation::Monitor);
            }
            Answer::Promoted | Answer::Failed(_) | Answer::Hopeless(_) => {
                self.not_demoted(now, place, answer);
            }
        }
    }

    fn not_demoted(&mut self, now: Instant, place: usize, answer: Answer) {
        self.remains(place, answer);
        self.set(place, Stage::Works, now);
        if let Some(one) = self.all.get_mut(place) {
            (one.bad, one.stubborn) = (true, true);
        }
    }

    /// The monitor that follows a demotion.
    pub(super) fn looked_at_demoted(&mut self, now: Instant, place: usize, answer: Answer) {
        match answer {
            Answer::Stopped => self.gone(now, place),
            Answer::Works => {
                if let Some(one) = self.all.get_mut(place) {
                    one.promoted = false;
                }
                self.set(place, Stage::Works, now);
            }
            Answer::Promoted | Answer::Failed(_) | Answer::Hopeless(_) => {
                self.not_demoted(now, place, answer);
            }
        }
    }
}
