//! How the state is disarmed and armed again (`docs/protocol.md`, section 13).

use alloc::string::String;

use super::apply::{Applied, derive};
use super::{Disarmed, State};
use super::{Outcome, Refusal};
use crate::time::Span;
use crate::timers::Timers;

/// The longest time that a cluster can be disarmed for at once.
pub const LONGEST_DISARMED: Span = Span::from_millis(24 * 3_600_000);

impl State {
    /// Leases are as long as the cluster stays disarmed (rule M1).
    pub(super) fn disarm(&mut self, base: u64, span: Span, reason: String, by: String) -> Applied {
        if base != self.revision {
            return Err(Refusal::Stale);
        }
        let ordinary = derive(self.config.as_ref().ok_or(Refusal::NotFounded)?)?;
        if span <= ordinary.lease || span > LONGEST_DISARMED {
            return Err(Refusal::SpanUnusable(span));
        }
        self.revision += 1;
        self.change_lease(ordinary.disarmed(span));
        self.more.disarmed = Some(Disarmed { since: self.revision, span, reason, by });
        Ok(Outcome::Done)
    }

    pub(super) fn arm(&mut self, base: u64) -> Applied {
        if base != self.revision {
            return Err(Refusal::Stale);
        }
        if !self.is_disarmed() {
            return Err(Refusal::Armed);
        }
        let ordinary = derive(self.config.as_ref().ok_or(Refusal::NotFounded)?)?;
        self.revision += 1;
        self.change_lease(ordinary);
        self.more.disarmed = None;
        Ok(Outcome::Done)
    }

    /// Leases under what was in force run on: others wait by the longest of all until it is
    /// settled (rule C6). More than one change may come before that: of all the timers that were
    /// in force the longest lease is kept, and the longest ordinary one, by which programs run
    /// (rule M7).
    fn change_lease(&mut self, timers: Timers) {
        if timers == self.timers {
            return;
        }
        let former = self.former_timers.unwrap_or(self.timers);
        let longer = former.ordinary_lease() > self.timers.ordinary_lease();
        let ordinary = if longer { former } else { self.timers };
        self.former_timers = Some(ordinary.disarmed(former.lease.max(self.timers.lease)));
        self.timers = timers;
    }

    /// The timers that a configuration brings, disarmed or not.
    pub(super) fn with_lease(&self, ordinary: Timers) -> Timers {
        let span = self.more.disarmed.as_ref().map(|it| it.span);
        span.map_or(ordinary, |span| ordinary.disarmed(span))
    }
}
