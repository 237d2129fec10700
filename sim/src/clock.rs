//! A node's clock: the one that counts suspend, with a rate that is wrong, and its stops.

use stead_core::time::Instant;

const MILLION: u64 = 1_000_000;

/// The clock of one machine, set against true time. Both in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// True time at which it showed `shown`.
    at: u64,
    shown: u64,
    /// How wrong its rate is, in millionths.
    ppm: i64,
    /// Its machine is stopped by the hypervisor: it stands still.
    frozen: bool,
}

impl Clock {
    /// A clock that shows `shown` at the true time `now`.
    #[must_use]
    pub fn new(now: u64, shown: u64, ppm: i64) -> Self {
        Self { at: now, shown, ppm, frozen: false }
    }

    /// How wrong its rate is, in millionths.
    #[must_use]
    pub fn ppm(&self) -> i64 {
        self.ppm
    }

    /// What it shows at a true time.
    #[must_use]
    pub fn local(&self, now: u64) -> Instant {
        if self.frozen {
            return Instant(self.shown);
        }
        let passed = now.saturating_sub(self.at) as i64;
        let shown = self.shown as i64 + passed + passed * self.ppm / MILLION as i64;
        Instant(shown as u64)
    }

    /// The true time at which it will show `local`: never too early, `u64::MAX` for never.
    #[must_use]
    pub fn global(&self, local: Instant) -> u64 {
        if local == Instant::NEVER || self.frozen {
            return u64::MAX;
        }
        let Some(ahead) = local.0.checked_sub(self.shown) else { return self.at };
        let rate = MILLION.saturating_add_signed(self.ppm);
        let ahead = match ahead.checked_mul(MILLION) {
            Some(product) => product / rate,
            // So far ahead (months) that the product is too long.
            None => {
                let ahead = u128::from(ahead) * u128::from(MILLION) / u128::from(rate);
                u64::try_from(ahead).unwrap_or(u64::MAX)
            }
        };
        self.at.saturating_add(ahead).saturating_add(2)
    }

    /// Its rate changes. What it shows does not jump.
    pub fn set_rate(&mut self, now: u64, ppm: i64) {
        self.shown = self.local(now).0;
        self.at = now;
        self.ppm = ppm;
    }

    /// It stands still from now on.
    pub fn freeze(&mut self, now: u64) {
        self.set_rate(now, self.ppm);
        self.frozen = true;
    }

    /// It goes on from where it stood.
    pub fn thaw(&mut self, now: u64) {
        self.at = now;
        self.frozen = false;
    }

    /// The machine started anew: it shows something else.
    pub fn restart(&mut self, now: u64, shown: u64) {
        *self = Self::new(now, shown, self.ppm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_is_never_before_the_clock_shows_it() {
        for ppm in [-1_000, -37, 0, 300, 1_000] {
            let clock = Clock::new(10, 5_000_000, ppm);
            for ahead in [0, 1, 999, 1_000_003, 86_400_000_000] {
                let local = Instant(5_000_000 + ahead);
                let global = clock.global(local);
                assert!(clock.local(global) >= local, "{ppm} {ahead}");
                assert!(clock.local(global.saturating_sub(4)) <= local, "{ppm} {ahead}");
            }
        }
        assert_eq!(Clock::new(0, 0, 0).global(Instant::NEVER), u64::MAX);
    }

    #[test]
    fn a_stop_shows_nowhere_and_a_new_rate_jumps_nowhere() {
        let mut clock = Clock::new(0, 1_000, 0);
        clock.freeze(500);
        assert_eq!(clock.local(90_000), Instant(1_500));
        clock.thaw(90_000);
        assert_eq!(clock.local(90_001), Instant(1_501));
        clock.set_rate(90_001, 1_000);
        assert_eq!(clock.local(90_001), Instant(1_501));
        assert_eq!(clock.local(1_090_001), Instant(1_002_501));
    }
}
