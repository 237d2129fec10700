//! Frames on their way in one direction, in the order in which they are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::Impairment;
use crate::chance::Chance;

/// More frames than any sane cable holds; beyond it frames are lost as in a full queue.
const LIMIT: usize = 20_000;

/// What was decided about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    OnItsWay,
    HeldBack,
    Lost,
    NoRoom,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    due: Instant,
    number: u64,
    frame: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Queue {
    chance: Chance,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// No frame that keeps the order may be due before this.
    last_due: Option<Instant>,
    number: u64,
}

impl Queue {
    pub(super) fn new(seed: u64) -> Queue {
        let (waiting, last_due) = (BinaryHeap::new(), None);
        Queue { chance: Chance::new(seed), waiting, last_due, number: 0 }
    }

    /// Decides about a frame that came at `now`. Draws the same number of times for each, so that
    /// the n-th frame's luck does not hang on the settings of those before it.
    pub(super) fn put(&mut self, now: Instant, frame: &[u8], how: &Impairment) -> Fate {
        let [lost, reordered, spread] = std::array::from_fn(|_| self.chance.share());
        if lost < how.loss {
            return Fate::Lost;
        }
        if self.waiting.len() >= LIMIT {
            return Fate::NoRoom;
        }
        let mut due =
            now + (how.delay + how.jitter.mul_f64(2.0 * spread)).saturating_sub(how.jitter);
        let held_back = reordered < how.reorder;
        if held_back {
            due += how.held;
        } else {
            due = self.last_due.map_or(due, |last| last.max(due));
            self.last_due = Some(due);
        }
        self.number += 1;
        let frame = frame.to_vec();
        self.waiting.push(Reverse(Waiting { due, number: self.number, frame }));
        if held_back { Fate::HeldBack } else { Fate::OnItsWay }
    }

    /// The next frame that is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.waiting.peek().filter(|Reverse(first)| first.due <= now)?;
        self.waiting.pop().map(|Reverse(first)| first.frame)
    }

    /// How long until a frame is due.
    pub(super) fn next(&self, now: Instant) -> Option<Duration> {
        let Reverse(first) = self.waiting.peek()?;
        Some(first.due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn drain(queue: &mut Queue, at: Instant) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| queue.take(at)).collect()
    }

    #[test]
    fn nothing_is_due_before_its_delay() {
        let now = Instant::now();
        let mut queue = Queue::new(1);
        let how = Impairment { delay: 10 * MS, jitter: 3 * MS, ..Impairment::default() };
        for number in 0..100 {
            queue.put(now, &[number], &how);
        }
        assert_eq!(queue.take(now + 6 * MS), None);
        let all = drain(&mut queue, now + 13 * MS);
        assert!(all.is_sorted() && all.len() == 100, "the order is kept in spite of jitter");
    }

    #[test]
    fn held_back_frames_are_overtaken() {
        let now = Instant::now();
        let mut queue = Queue::new(1);
        let how = Impairment { reorder: 0.5, held: 5 * MS, ..Impairment::default() };
        let held = (0..100).filter(|&n| queue.put(now, &[n], &how) == Fate::HeldBack).count();
        assert!((30..70).contains(&held));
        assert_eq!(drain(&mut queue, now).len(), 100 - held);
        assert_eq!(queue.next(now), Some(5 * MS));
        assert_eq!(drain(&mut queue, now + 5 * MS).len(), held);
    }

    #[test]
    fn total_loss_and_none() {
        let now = Instant::now();
        let mut queue = Queue::new(1);
        let all = Impairment { loss: 1.0, ..Impairment::default() };
        assert_eq!(queue.put(now, &[1], &all), Fate::Lost);
        assert_eq!(queue.put(now, &[1], &Impairment::default()), Fate::OnItsWay);
        assert_eq!(queue.take(now), Some(vec![1]));
    }
}
