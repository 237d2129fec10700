//! How many frames this node sends about addresses, of all its services together.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How many frames leave each second at most, first announcements, defences and what is tried again
/// not counted: those never wait. ARP is a switch's processor's work; it is spared a few thousand
/// frames per second for all its ports, and 1,000 of the shortest are half a megabit.
pub(super) const FRAMES_PER_SECOND: u32 = 1_000;
/// How many may leave at once after a silence.
pub(super) const BURST: u32 = 100;

/// The time that one frame takes.
fn each(frames: u32) -> Duration {
    Duration::from_secs(1) / FRAMES_PER_SECOND * frames
}

/// The bound on all frames. What can't wait is counted as well, so that the rest waits for it.
pub(super) struct Pace {
    /// When everything that was counted so far has had its time.
    free: Mutex<Instant>,
    /// Nudges wait for each other here, so that of them only one waits for its time: announcements
    /// are not behind all nudges of all services.
    turn: tokio::sync::Mutex<()>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { free: Mutex::new(Instant::now()), turn: tokio::sync::Mutex::default() }
    }
}

impl Pace {
    /// Counts frames, and says from when on they may leave.
    pub(super) fn reserve(&self, frames: usize) -> Instant {
        let frames = u32::try_from(frames).unwrap_or(u32::MAX);
        let now = Instant::now();
        let full = now.checked_sub(each(BURST)).unwrap_or(now);
        // One number can't be left half written by a panic.
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let from = (*free).max(full);
        *free = from + each(frames);
        from
    }

    /// Waits until one neighbour may be told by so many frames.
    pub(super) async fn nudge(&self, frames: usize) {
        let _turn = self.turn.lock().await;
        sleep_until(self.reserve(frames)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_by_the_rate() {
        let pace = Pace::default();
        let began = Instant::now();
        let times: Vec<_> = (0..1_000).map(|_| pace.reserve(1)).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        // However long this took: no more than the burst is ahead of the rate.
        for (number, at) in times.iter().enumerate() {
            let number = u32::try_from(number).expect("few");
            assert!(*at + each(BURST) >= began + each(number), "frame {number}");
        }
        // What can't wait is made up for by the rest.
        let before = pace.reserve(0);
        pace.reserve(500);
        assert!(pace.reserve(1) >= before + each(500));
    }
}
