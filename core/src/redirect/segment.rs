//! When a new holder tells the segment that an address is here now.
//!
//! Neighbours drop a second change of an entry within their lock time (Linux: `locktime`, one
//! second), some ignore one of the two forms of a gratuitous ARP, and a single frame may be lost.
//! So the first announcement leaves at once in both forms, more follow inside the first second for
//! what was lost, then beyond the lock time, then slowly for ever, for neighbours that missed all
//! of it (`docs/concepts`).
//!
//! Some segments do not carry what nobody asked for: fabrics that answer ARP themselves, wireless
//! controllers, private VLANs, filters. So the neighbours that the new holder knows are told one by
//! one as well ([`nudge`]): right after the first announcement, and once more beyond the lock time.
//! Where an observer finds that announcements do not arrive, that goes on for ever.
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

/// When neighbours are told one by one, counted from the first announcement, whose frames and first
/// repetition it never holds up.
const NUDGES: [Span; 2] = [
    Span::from_millis(10),
    // Beyond the lock time.
    Span::from_millis(1_200),
];

/// When the nudges of that number are due, counted from the first announcement. Those of every
/// segment come first (see [`is_for_all`]), then those of a segment that swallows announcements,
/// as often as announcements are made there in vain.
#[must_use]
pub fn nudge(number: u32) -> Span {
    let at = number as usize;
    match NUDGES.get(at) {
        Some(span) => *span,
        // Right after an announcement beyond the lock time: numbers 6 and on.
        None => announcement(number.saturating_add(SILENT)) + NUDGES[0],
    }
}

/// By how much the numbers of announcements are ahead of those of nudges later on.
const SILENT: u32 = 4;

/// Whether the nudges of that number are made on every segment.
#[must_use]
pub fn is_for_all(number: u32) -> bool {
    (number as usize) < NUDGES.len()
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

    #[test]
    fn nudges_begin_after_the_first_frames_and_go_on_like_announcements() {
        assert!((0..2).all(is_for_all) && !is_for_all(2));
        let times: alloc::vec::Vec<_> = (0..20).map(nudge).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(announcement(1) < times[0] && times[0] < announcement(2));
        let wanted = [10, 1_200, 2_310, 3_510, 10_010, 70_010].map(Span::from_millis);
        assert_eq!(times[..6], wanted);
    }
}
