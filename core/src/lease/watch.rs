//! The watchdog: what resets this machine unless this guard feeds it.
//!
//! `docs/protocol.md`, section 18. Something that is *bound* outlives the end of the lease, so
//! others may start it elsewhere only when this machine has certainly been reset. The guard decides
//! when the device is fed, and nothing else does:
//!
//! - while nothing bound can be here, always: such a node may lose touch for as long as it likes;
//! - otherwise only while this node's lease is in force.
//!
//! What is bound the guard does not know. Its daemon tells it *before* it starts anything of the
//! kind, by a number that the guard says back, and tells it again when nothing of it is left. Until
//! its first word since this guard started, something may be here: a former guard may have been
//! ended in the middle of it. Then the device is not even opened, as to open it feeds it.
//!
//! A guard that is stopped, killed or hung feeds nothing. One that runs, and sees that the device
//! should have reset the machine and has not (it stood still with the machine, or it is broken),
//! has the machine reset itself.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{Command, Lease};
use crate::time::{Instant, Span};
use crate::timers::{Timers, WATCHDOG_LATE};

/// The time between two attempts to arm a device, or to stop one that should not run.
const AGAIN: Span = Span::from_millis(10_000);

/// What to do about the watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchdogAct {
    /// Arm it, with a timeout of at least `least`, or set such a timeout. What came of it comes
    /// back as [`super::Event::Watchdog`]. Not from `until` on.
    Arm {
        /// The shortest timeout that will do.
        least: Span,
        /// Until when.
        until: Instant,
    },
    /// Feed it, but not from `until` on. If that has passed when it is done, it was fed too late,
    /// and the machine is to be reset at once.
    Feed {
        /// Until when.
        until: Instant,
    },
    /// Stop it; what came of it comes back as well.
    Disarm,
    /// It should have reset the machine, and has not: reset it.
    Reset,
}

/// What a guard says to others of an armed watchdog, which it feeds by the rules (W1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// To what it counts.
    pub timeout: Span,
    /// Something bound may be there.
    pub bound: bool,
}

/// What a guard says of its machine's watchdog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchReport {
    /// The number of the newest order about it since the daemon connected.
    pub number: u64,
    /// Something bound may be here: the device is fed only while the lease is in force.
    pub bound: bool,
    /// The shortest timeout that its daemon wants; nothing if it wants none armed.
    pub least: Option<Span>,
    /// It is armed, with that timeout.
    pub armed: Option<Span>,
    /// Which device it is, in words. The guard's edge knows it.
    pub device: String,
    /// Why none is armed, in words. The guard's edge knows it.
    pub trouble: Option<String>,
    /// It stands still when a hypervisor stops this machine.
    pub stands_still: bool,
}

/// The guard's knowledge of it.
#[derive(Debug)]
pub(super) struct Watch {
    number: u64,
    bound: bool,
    least: Option<Span>,
    armed: Option<Span>,
    /// With which wish it was armed, or was to be.
    asked: Option<Span>,
    /// When it was last fed.
    fed: Instant,
    /// When what did not work is tried again.
    again: Instant,
}

impl Watch {
    /// Of a guard that just started: what a former one left is not known.
    pub(super) fn new() -> Self {
        Self {
            number: 0,
            bound: true,
            least: None,
            armed: None,
            asked: None,
            fed: Instant::START,
            again: Instant::START,
        }
    }

    /// A daemon connected, and counts anew.
    pub(super) fn begin_to_count(&mut self) {
        self.number = 0;
    }

    /// What others are told: it is armed, with that timeout, and fed by these rules.
    pub(super) fn said(&self) -> Option<Armed> {
        let armed = self.armed.filter(|_| self.least.is_some());
        armed.map(|timeout| Armed { timeout, bound: self.bound })
    }

    /// What the daemon is told.
    pub(super) fn report(&self) -> WatchReport {
        let Self { number, bound, least, armed, .. } = *self;
        WatchReport { number, bound, least, armed, ..WatchReport::default() }
    }
}

impl Lease {
    /// Whether something bound may be on this machine, and its watchdog is there for that.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.watch.bound && self.watch.least.is_some()
    }

    /// Its daemon says what it wants, and whether anything bound may be here.
    pub(super) fn on_watch(&mut self, now: Instant, number: u64, least: Option<Span>, bound: bool) {
        self.watch.number = number;
        self.watch.bound = bound;
        if least != self.watch.least {
            self.watch.least = least;
            self.watch.again = now;
        }
        self.report(now);
    }

    /// Nothing is here any more: the lease is given up for good when all has stopped (rule H4).
    pub(super) fn unbind_watchdog(&mut self) {
        self.watch.bound = false;
    }

    /// The hands say that it is armed, with that timeout, and was fed; or that it is not.
    pub(super) fn on_watchdog(&mut self, now: Instant, armed: Option<Span>) {
        if armed.is_some() {
            self.watch.fed = now;
        } else {
            self.watch.asked = None;
        }
        if armed != self.watch.armed {
            self.watch.armed = armed;
            self.beat_all(now);
            self.report(now);
        }
    }

    /// Until when it may be fed: without end while nothing stands on that.
    fn may_feed_until(&self) -> Instant {
        if self.is_watched() { self.lease_until() } else { Instant::NEVER }
    }

    /// Arms it, feeds it, stops it, as it is due.
    pub(super) fn tend_watchdog(&mut self, now: Instant) {
        let until = self.may_feed_until();
        let may = now < until;
        let again = now >= self.watch.again;
        let (least, armed) = (self.watch.least, self.watch.armed);
        let act = match (least, armed) {
            (Some(least), _) if may && again && self.watch.asked != Some(least) => {
                self.watch.asked = Some(least);
                self.watch.again = now + AGAIN;
                WatchdogAct::Arm { least, until }
            }
            (None, Some(_)) if again => {
                self.watch.again = now + AGAIN;
                WatchdogAct::Disarm
            }
            (_, Some(timeout)) if may && now >= self.watch.fed + Timers::feed(timeout) => {
                self.watch.fed = now;
                WatchdogAct::Feed { until }
            }
            (_, Some(timeout)) if !may && now >= overdue(self.watch.fed, timeout) => {
                // Once for each time: a machine that can't be reset is not asked without end.
                self.watch.fed = now;
                WatchdogAct::Reset
            }
            (..) => return,
        };
        self.commands.push_back(Command::Watchdog(act));
    }

    /// When to look at it again.
    pub(super) fn watchdog_deadline(&self) -> Instant {
        let may = self.looked < self.may_feed_until();
        let feed = self.watch.armed.map(|timeout| {
            if may {
                self.watch.fed + Timers::feed(timeout)
            } else {
                overdue(self.watch.fed, timeout)
            }
        });
        let waits = match self.watch.least {
            Some(least) => may && self.watch.asked != Some(least),
            None => self.watch.armed.is_some(),
        };
        let again = waits.then_some(self.watch.again);
        feed.unwrap_or(Instant::NEVER).min(again.unwrap_or(Instant::NEVER))
    }
}

/// From when on it should have reset the machine.
fn overdue(fed: Instant, timeout: Span) -> Instant {
    fed + timeout + WATCHDOG_LATE
}
