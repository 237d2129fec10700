//! Which slot of which address is replaced by an opening, and which is emptied.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::rules::{self, Element, Family};
use super::{Ends, SHORTEST, brief};
use crate::gate::wire::Batch;

/// When a slot's element is surely over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As it was before: at this time, in microseconds (zero: there is none).
    At(u64),
    /// That long after the kernel did it.
    After(Duration),
}

impl End {
    /// The latest possible end, if the kernel was through at `done` microseconds.
    pub(super) fn at(self, done: u64) -> u64 {
        match self {
            Self::At(end) => end,
            Self::After(span) => {
                done.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
            }
        }
    }
}

/// One batch's worth of openings and shuttings.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) ends: BTreeMap<IpAddr, [End; 2]>,
    empty: [Vec<IpAddr>; 2],
    fill: [Vec<Element>; 2],
}

impl Plan {
    /// Opens `addr` for `timeout` from `now`, given when its two slots end.
    ///
    /// The older slot is replaced. The other one stays as it is, for the packets that are being
    /// looked up at this moment, unless it would outlive the new end.
    pub(super) fn arm(&mut self, addr: IpAddr, timeout: Duration, now: u64, ends: Ends) {
        if timeout < SHORTEST {
            self.empty.iter_mut().for_each(|slot| slot.push(addr));
            self.ends.insert(addr, [End::At(0); 2]);
            return;
        }
        let older = usize::from(ends[1] < ends[0]);
        let other = 1 - older;
        let mut after = ends.map(End::At);
        self.empty[older].push(addr);
        self.fill[older].push(Element { addr, timeout: Some(timeout) });
        after[older] = End::After(timeout);
        if ends[other] > End::After(timeout).at(now) {
            self.empty[other].push(addr);
            after[other] = End::At(0);
        }
        self.ends.insert(addr, after);
    }

    pub(super) fn batch(&self, table: &str) -> Batch {
        let mut batch = Batch::default();
        for family in Family::ALL {
            for slot in 0..2 {
                let set = family.open(slot);
                let empty = brief(self.empty[slot].iter().copied(), family);
                rules::delete(&mut batch, table, set, &empty);
                let fill = self.fill[slot].iter().copied();
                let fill: Vec<_> = fill.filter(|new| Family::of(new.addr) == family).collect();
                rules::add(&mut batch, table, set, &fill);
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn armed(timeout: u64, now: u64, ends: Ends) -> [End; 2] {
        let mut plan = Plan::default();
        plan.arm(ADDR, Duration::from_millis(timeout), now, ends);
        plan.ends[&ADDR]
    }

    #[test]
    fn a_later_end_replaces_the_older_slot_and_leaves_the_younger() {
        let after = armed(100, 50_000, [100_000, 115_000]);
        assert_eq!(after, [End::After(Duration::from_millis(100)), End::At(115_000)]);
        let after = armed(100, 50_000, [130_000, 115_000]);
        assert_eq!(after, [End::At(130_000), End::After(Duration::from_millis(100))]);
    }

    #[test]
    fn an_earlier_end_empties_the_slot_that_would_outlive_it() {
        let after = armed(20, 50_000, [100_000, 115_000]);
        assert_eq!(after, [End::After(Duration::from_millis(20)), End::At(0)]);
    }

    #[test]
    fn less_than_a_tick_shuts() {
        assert_eq!(armed(9, 50_000, [100_000, 115_000]), [End::At(0); 2]);
    }
}
