//! The clock that counts suspend, how fast it runs, and the kernel's timer tick.
//!
//! Reading never fails: these clocks exist since Linux 2.6.39, which is older than everything else
//! that is needed here.

use std::time::Duration;

use nix::time::{ClockId, clock_getres, clock_gettime};

/// Microseconds of `CLOCK_BOOTTIME`: since the machine started, suspend included.
#[must_use]
pub fn boottime() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("CLOCK_BOOTTIME exists");
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let micros = u64::try_from(now.tv_nsec()).unwrap_or(0) / 1_000;
    seconds * 1_000_000 + micros
}

/// One tick of the kernel's timer wheel (its jiffy): the step in which nftables timeouts run out.
///
/// Found as the resolution of the coarse clock, which the kernel defines as one tick. `None` where
/// the answer is not believable (a tick lies between 1 and 10 ms).
#[must_use]
pub fn jiffy() -> Option<Duration> {
    let step = Duration::from(clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).ok()?);
    (Duration::from_micros(900)..=Duration::from_micros(10_100)).contains(&step).then_some(step)
}

/// How the kernel steers its clock at this moment (adjtimex(2), read only).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Discipline {
    /// The correction of frequency that is applied, in millionths; the time daemon sets it.
    pub frequency_ppm: f64,
    /// Microseconds that are added per tick; 10,000 where nobody slews by the tick.
    pub tick_micros: i64,
    /// The part that the tick adds to the rate, in millionths of the nominal one.
    pub tick_ppm: f64,
    /// The rate at which a pending offset (time daemon, adjtime(3)) is worked off, in millionths.
    pub slew_ppm: f64,
}

impl Discipline {
    /// How far, at most, the clock's rate is steered away from the oscillator's, in millionths.
    #[must_use]
    pub fn worst_ppm(&self) -> f64 {
        (self.frequency_ppm + self.tick_ppm).abs() + self.slew_ppm
    }

    fn from_timex(timex: &libc::timex, adjtime_pending: bool) -> Self {
        let nominal_tick = 1_000_000.0 / USER_HZ;
        // The kernel works a pending offset off by the part 1 / 2^(2 + constant) each second.
        let unit = if timex.status & libc::STA_NANO == 0 { 1.0 } else { 1_000.0 };
        let shift = timex.constant.clamp(0, 10) + 2;
        let offset_micros = (timex.offset as f64 / unit).abs();
        let pll = offset_micros / f64::from(1u32 << shift);
        #[allow(clippy::unnecessary_cast)] // the fields are narrower on 32-bit machines
        Self {
            frequency_ppm: timex.freq as f64 / 65_536.0, // millionths with a 16-bit fraction
            tick_micros: timex.tick as i64,
            tick_ppm: (timex.tick as f64 - nominal_tick) / nominal_tick * 1e6,
            slew_ppm: pll + if adjtime_pending { ADJTIME_PPM } else { 0.0 },
        }
    }
}

/// Ticks per second as the kernel's interfaces count them, whatever it really uses.
const USER_HZ: f64 = 100.0;
/// The fixed rate at which the kernel works off what adjtime(3) asked for.
const ADJTIME_PPM: f64 = 500.0;

/// Reads the clock's discipline; `None` where the kernel or a sandbox refuses to tell.
#[must_use]
pub fn clock_discipline() -> Option<Discipline> {
    let timex = read_timex(0)?;
    let adjtime = read_timex(ADJ_OFFSET_SS_READ)?;
    Some(Discipline::from_timex(&timex, adjtime.offset != 0))
}

/// Reads what is left of an adjtime(3), changes nothing.
const ADJ_OFFSET_SS_READ: libc::c_uint = 0xa001;

fn read_timex(modes: libc::c_uint) -> Option<libc::timex> {
    // SAFETY: `timex` is plain numbers, for which all zero is a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    timex.modes = modes;
    // SAFETY: the pointer is to a live `timex` of our own, which the call fills.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    (state >= 0).then_some(timex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward_and_has_a_tick() {
        let before = boottime();
        assert!(before > 0);
        assert!(boottime() >= before);
        assert!(jiffy().is_some(), "the coarse clock tells the tick");
    }

    #[test]
    fn a_slewed_tick_counts_as_rate() {
        // SAFETY: plain numbers.
        let mut timex: libc::timex = unsafe { std::mem::zeroed() };
        (timex.freq, timex.tick) = (32_768 * 2, 10_010);
        let read = Discipline::from_timex(&timex, false);
        assert_eq!((read.frequency_ppm, read.tick_ppm, read.slew_ppm), (1.0, 1000.0, 0.0));
        assert_eq!(read.worst_ppm(), 1001.0);
        assert!(clock_discipline().is_some());
    }
}
