//! What is known of one point: when it answered, and for how long it was asked in vain.

use stead_core::points::Watch;
use stead_core::time::{Instant, Span};

/// What became of the last question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It left.
    Yes,
    /// It could not leave, through no fault of the network's.
    No,
    /// Nothing can leave: the interface is down, without carrier or gone.
    Cut,
}

/// One point.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point {
    answered: Option<Instant>,
    missed: Span,
    asked: Option<Asked>,
    /// It was asked, or ought to have been, at least once.
    known: bool,
}

impl Point {
    /// A question was due, and this became of it.
    pub(super) fn asked(&mut self, asked: Asked) {
        self.asked = Some(asked);
        self.known = true;
    }

    /// There is nobody to ask: nothing is said of it until there is.
    pub(super) fn nobody(&mut self) {
        *self = Self::default();
    }

    /// It answered.
    pub(super) fn answer(&mut self, now: Instant) {
        self.answered = self.answered.max(Some(now));
        self.missed = Span::ZERO;
        self.asked = None;
    }

    /// The interface can bring no answer any more. It counts as if the point had been asked in vain
    /// for a ride-out less `margin`: so another node is ahead as soon as it had an answer later
    /// than `margin` after this. Were the whole switch without power, nobody would have.
    pub(super) fn cut(&mut self, ride_out: Span, margin: Span) {
        self.missed = self.missed.max(ride_out.saturating_sub(margin));
        self.asked(Asked::Cut);
    }

    /// That much time went by since the last question. `most` is all that may count of it: what is
    /// longer is time in which nothing was read here either.
    pub(super) fn passed(&mut self, time: Span, most: Span) {
        match self.asked {
            Some(Asked::Yes | Asked::Cut) => self.missed = self.missed + time.min(most),
            Some(Asked::No) | None => {}
        }
    }

    /// Whether a question was not answered by the time of the next.
    pub(super) fn is_missed(&self) -> bool {
        self.missed > Span::ZERO
    }

    /// Whether a question is out that was not answered so far.
    pub(super) fn is_open(&self) -> bool {
        self.asked == Some(Asked::Yes)
    }

    /// The same for the guard.
    pub(super) fn watch(&self) -> Watch {
        Watch { answered: self.answered, missed: self.known.then_some(self.missed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Span = Span::from_millis(50);
    const MOST: Span = Span::from_millis(100);

    #[test]
    fn an_answer_ends_what_was_missed() {
        let mut point = Point::default();
        assert_eq!(point.watch(), Watch::default(), "nobody was asked");
        point.asked(Asked::Yes);
        point.passed(PERIOD, MOST);
        point.asked(Asked::Yes);
        point.passed(PERIOD, MOST);
        assert_eq!(point.watch().missed, Some(MOST));
        point.answer(Instant(7));
        let watch = Watch { answered: Some(Instant(7)), missed: Some(Span::ZERO) };
        assert_eq!(point.watch(), watch);
        point.passed(PERIOD, MOST);
        assert_eq!(point.watch(), watch, "nobody was asked since");
    }

    #[test]
    fn what_this_node_did_not_do_is_nobodys_fault() {
        let mut point = Point::default();
        point.asked(Asked::Yes);
        point.passed(Span::from_millis(10_000), MOST);
        assert_eq!(point.watch().missed, Some(MOST), "the daemon stood still");
        point.answer(Instant(7));
        point.asked(Asked::No);
        point.passed(PERIOD, MOST);
        assert!(!point.is_missed(), "the question did not leave");
    }

    #[test]
    fn a_cut_interface_counts_nearly_a_ride_out_at_once() {
        let (ride_out, margin) = (Span::from_millis(300), Span::from_millis(30));
        let mut point = Point::default();
        point.cut(ride_out, margin);
        assert_eq!(point.watch().missed, Some(Span::from_millis(270)));
        point.passed(PERIOD, MOST);
        point.cut(ride_out, margin);
        assert_eq!(point.watch().missed, Some(Span::from_millis(320)), "and more as time goes by");
    }
}
