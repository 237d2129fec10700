//! When this guard sent which datagram.

use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

use crate::id::Sequence;
use crate::time::Instant;

/// How many datagrams are remembered. At the rates that the timers allow this is more than ten
/// leases, so a number that is gone could not have lengthened anything.
const REMEMBERED: usize = 4096;

/// The send times of the newest datagrams.
pub(super) struct Sent {
    times: Box<[(Sequence, Instant)]>,
    newest: Sequence,
}

/// Thousands of times are nothing to look at.
impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").field("newest", &self.newest).finish_non_exhaustive()
    }
}

impl Sent {
    pub(super) fn new() -> Self {
        Self {
            times: vec![(Sequence(0), Instant::START); REMEMBERED].into_boxed_slice(),
            newest: Sequence(0),
        }
    }

    /// The number of the newest datagram; zero before the first.
    pub(super) fn newest(&self) -> Sequence {
        self.newest
    }

    /// Numbers a datagram whose time was read before it is handed over.
    pub(super) fn next(&mut self, now: Instant) -> Sequence {
        self.newest = Sequence(self.newest.0 + 1);
        let slot = self.slot(self.newest);
        self.times[slot] = (self.newest, now);
        self.newest
    }

    /// When that datagram was sent; nothing for one that was never sent, or too long ago.
    pub(super) fn time(&self, sequence: Sequence) -> Option<Instant> {
        if sequence.0 == 0 {
            return None;
        }
        let (number, time) = self.times[self.slot(sequence)];
        (number == sequence).then_some(time)
    }

    fn slot(&self, sequence: Sequence) -> usize {
        (sequence.0 % REMEMBERED as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_and_is_recent_has_a_time() {
        let mut sent = Sent::new();
        assert_eq!(sent.time(Sequence(0)), None);
        for at in 1..=5_000 {
            sent.next(Instant(at));
        }
        assert_eq!(sent.time(Sequence(5_000)), Some(Instant(5_000)));
        assert_eq!(sent.time(Sequence(5_001)), None);
        assert_eq!(sent.time(Sequence(5_000 - REMEMBERED as u64)), None);
        assert_eq!(sent.time(Sequence(u64::MAX)), None);
    }
}
