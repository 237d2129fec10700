//! Reference points: what this node makes of who sees which, and what it tells people of its own.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::Node;
use crate::lease::Report;
use crate::notice::Notice;
use crate::placement::{self, Able};
use crate::points::{MOST, Seen, View};
use crate::state::Change;
use crate::time::{Instant, Span};

impl Node {
    /// Who sees which reference point, as far as this node was told.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Takes what the guard's newest report says of the reference points.
    pub(super) fn watch_points(&mut self) {
        let Some(report) = &self.report else { return };
        self.seen.note(self.me, &self.state, report);
        let points = self.seen.points();
        let mut lost = [false; MOST];
        let mut news = Vec::new();
        for (number, point) in points.iter().enumerate() {
            let before = self.lost_points[number];
            lost[number] = match self.seen.view(self.me, number) {
                View::Missed | View::Behind => true,
                View::Answers | View::Again => false,
                View::Unknown => before,
            };
            if lost[number] != before {
                let name = point.to_string();
                let lost = lost[number];
                news.push(if lost { Notice::PointLost(name) } else { Notice::PointBack(name) });
            }
        }
        self.lost_points = lost;
        news.into_iter().for_each(|notice| self.notice(notice));
    }

    /// The next service that leaves a node which sees less of its network than another.
    pub(super) fn unreachable(&self, now: Instant, report: &Report, able: &Able) -> Option<Change> {
        // A daemon that stood still has yet to read what was said meanwhile.
        let stale = now.since(report.at) >= Span(self.state.timers.ride_out.0 / 2);
        if stale || !self.may_move_for_points() {
            return None;
        }
        placement::unreachable(self.sight(able))
    }

    /// Whether services may move for reference points at all at present: not while an operator
    /// works on the network.
    fn may_move_for_points(&self) -> bool {
        !self.state.is_disarmed()
    }
}
