//! Small seeded random numbers (SplitMix64, Steele, Lea, Flood 2014); not for secrets.

#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly from 0 up to, not including, 1.
    pub(super) fn share(&mut self) -> f64 {
        // 53 bits are what a double holds exactly
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
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
}
