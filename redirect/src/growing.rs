//! Pauses that grow, within bounds.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Pauses of which each is twice as long as the one before, up to a longest.
#[derive(Clone, Debug)]
pub(crate) struct Growing {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Growing {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Duration {
        let next = self.next.min(self.longest);
        self.next = next.saturating_mul(2);
        next
    }

    /// The next one, less up to half of it by chance: a thousand clients whose server went away at
    /// one moment must not come back at one moment.
    pub(crate) fn next_scattered(&mut self) -> Duration {
        let next = self.next();
        // The seed of a hash map is chance enough for that.
        let chance = RandomState::new().build_hasher().finish() % 512;
        next - next.mul_f64(f64::from(u32::try_from(chance).unwrap_or(0)) / 1_024.0)
    }

    /// Begins anew.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let second = Duration::from_secs(1);
        let mut pauses = Growing::new(second, 5 * second);
        let five: Vec<_> = (0..5).map(|_| pauses.next().as_secs()).collect();
        assert_eq!(five, [1, 2, 4, 5, 5]);
        pauses.reset();
        for longest in [second, 2 * second, 4 * second, 5 * second] {
            let pause = pauses.next_scattered();
            assert!(pause > longest / 2 - second / 4 && pause <= longest, "{pause:?}");
        }
    }
}
