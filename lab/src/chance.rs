//! Small seeded random numbers (SplitMix64, Steele, Lea, Flood 2014); not for secrets.

/// A stream of them. The same seed, the same numbers.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The stream of that seed.
    #[must_use]
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of them; nothing if there are none.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let count = u64::try_from(all.len()).unwrap_or(u64::MAX).max(1);
        all.get(usize::try_from(self.next() % count).unwrap_or(0)).copied()
    }

    /// A number from the first to the last.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.next() % last.saturating_sub(first).saturating_add(1)
    }

    /// Evenly from 0 up to, not including, 1.
    pub fn share(&mut self) -> f64 {
        // 53 bits are what a double holds exactly
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn shares_are_even_and_follow_from_the_seed() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..10_000).map(|_| chance.share()).collect::<Vec<_>>()
        };
        let shares = draw(7);
        assert_eq!(shares, draw(7));
        assert_ne!(shares, draw(8));
        let below = shares.iter().filter(|&&share| share < 0.25).count();
        assert!((2_300..2_700).contains(&below), "{below}");
        assert!(shares.iter().all(|share| (0.0..1.0).contains(share)));
    }

    #[test]
    fn both_ends_and_every_one_are_drawn() {
        let mut chance = Chance::new(7);
        let numbers: BTreeSet<_> = (0..1_000).map(|_| chance.between(3, 6)).collect();
        assert_eq!(numbers, BTreeSet::from([3, 4, 5, 6]));
        assert_eq!(chance.between(5, 5), 5);
        let drawn: BTreeSet<_> = (0..1_000).filter_map(|_| chance.one_of(&["a", "b"])).collect();
        assert_eq!(drawn, BTreeSet::from(["a", "b"]));
        assert_eq!(chance.one_of::<u8>(&[]), None);
    }
}
