//! When a new holder tells the segment that an address is here now.
//!
//! Neighbours drop a second change of an entry within their lock time (Linux: `locktime`, one
//! second), some ignore one of the two forms of a gratuitous ARP, and a single frame may be lost.
//! So the first announcement leaves at once in both forms, more follow inside the first second for
//! what was lost, then beyond the lock time, then slowly for ever, for neighbours that missed all
//! of it (`docs/concepts`).
//!
//! The daemon performs it (`daemon/src/redirect`); conflict probes have their timing here too.

use crate::time::Span;

/// When the announcements after the first are due, counted from the first.
const SPACED: [Span; 8] = [
    Span::from_millis(5),
    Span::from_millis(50),
    Span::from_millis(200),
    Span::from_millis(500),
    // Beyond the lock time of one second, three times.
    Span::from_millis(1_100),
    Span::from_millis(2_300),
    Span::from_millis(3_500),
    Span::from_millis(10_000),
];

/// The time between announcements when all spaced ones are out.
pub const REFRESH: Span = Span::from_millis(60_000);

/// When the announcement of that number is due, counted from the first (number 0).
#[must_use]
pub fn announcement(number: u32) -> Span {
    let Some(spaced) = number.checked_sub(1) else { return Span::ZERO };
    let spaced = spaced as usize;
    match SPACED.get(spaced) {
        Some(span) => *span,
        None => {
            let last = SPACED[SPACED.len() - 1];
            last + REFRESH.times((spaced - SPACED.len() + 1) as u64)
        }
    }
}

/// How an address is probed for a conflict before it is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    /// How many probes.
    pub count: u32,
    /// The time between two.
    pub interval: Span,
    /// How long an answer is waited for after the last.
    pub wait: Span,
}

impl Probing {
    /// Under a proof: one probe, one heartbeat interval.
    #[must_use]
    pub fn under_proof(heartbeat: Span) -> Self {
        Self { count: 1, interval: Span::ZERO, wait: heartbeat }
    }

    /// The first assignment of an address: nobody waits for it yet, so it gets the numbers of RFC
    /// 5227, section 1.1 (PROBE_NUM, PROBE_MIN, ANNOUNCE_WAIT).
    #[must_use]
    pub fn first() -> Self {
        Self { count: 3, interval: Span::from_millis(1_000), wait: Span::from_millis(2_000) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_only_get_rarer_after_the_lock_time() {
        assert_eq!(announcement(0), Span::ZERO);
        let times: alloc::vec::Vec<_> = (0..20).map(announcement).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(announcement(9), Span::from_millis(70_000));
        assert_eq!(announcement(10), Span::from_millis(130_000));
    }
}
