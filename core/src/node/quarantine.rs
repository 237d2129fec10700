//! A node that comes and goes is a last resort for a while (quarantine).
//!
//! Each time it comes back, services that prefer it go there, and each time it is lost they are out
//! for a takeover. So a node that was lost for the third time is given services only where no other
//! node could take them: for a minute after it is back, twice as long after each further loss, an
//! hour at the most. Everything else goes on: it votes, it has a lease, and it keeps what it holds.
//! Every half hour in the view takes one loss from its account. An operator who knows better ends
//! it at once (`Change::Steady`).
//!
//! ```text
//!   lost ─▶ back ─▶ lost ─▶ back ─▶ lost ─▶ back ─▶ quarantine, 1 min ─▶ as any other
//!                                                        lost ─▶ back ─▶ quarantine, 2 min
//! ```
//!
//! Each member keeps the account in memory, by its own clock, of what it sees committed while it
//! runs; only the coordinator's counts. So nothing of it is in the replicated state, an older
//! member needs to know nothing of it, and a coordinator that has just started forgives.
//!
//! A node that leaves in order (it was stopped, or went on standby) was not lost.

use alloc::collections::BTreeMap;

use super::Node;
use crate::id::NodeId;
use crate::notice::Notice;
use crate::state::{Cause, Change};
use crate::time::{Instant, Span};

/// That many losses make a node that comes and goes.
const ENOUGH: u32 = 3;
/// How long the first quarantine is.
const FIRST: Span = Span::from_millis(60_000);
/// How long one is at the most.
const LONGEST: Span = Span::from_millis(3_600_000);
/// How long in the view makes up for one loss.
const FORGIVEN_AFTER: Span = Span::from_millis(1_800_000);

/// A node's account.
#[derive(Clone, Copy, Debug)]
struct Account {
    losses: u32,
    /// When it was lost, or came back, whichever was last.
    since: Instant,
    /// It was said that it is in quarantine.
    told: bool,
}

/// The accounts of all nodes that have one.
#[derive(Debug, Default)]
pub(super) struct Accounts(BTreeMap<NodeId, Account>);

/// A node that is given services only where no other could take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// How often it was lost, less what was forgiven.
    pub losses: u32,
    /// When it ends by itself; nothing while the node is away, since it begins when that is back.
    pub until: Option<Instant>,
}

/// How long a quarantine after so many losses is; nothing if they are too few for one.
fn span(losses: u32) -> Option<Span> {
    let doublings = losses.checked_sub(ENOUGH)?;
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    Some(Span(FIRST.0.saturating_mul(factor)).min(LONGEST))
}

impl Account {
    /// What is left of the losses.
    fn losses(&self, now: Instant, here: bool) -> u32 {
        let forgiven = if here { now.since(self.since).0 / FORGIVEN_AFTER.0 } else { 0 };
        self.losses.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }

    fn quarantine(&self, now: Instant, here: bool) -> Option<Quarantine> {
        let span = span(self.losses)?;
        let until = here.then(|| self.since + span);
        let over = until.is_some_and(|until| now >= until);
        (!over).then_some(Quarantine { losses: self.losses, until })
    }
}

impl Node {
    /// Who is in quarantine, as far as this run of the daemon has seen.
    #[must_use]
    pub fn quarantined(&self, now: Instant) -> BTreeMap<NodeId, Quarantine> {
        let all = self.accounts.0.iter();
        all.filter_map(|(node, account)| {
            let here = self.state.view.contains_key(node);
            Some((*node, account.quarantine(now, here)?))
        })
        .collect()
    }

    /// Enters a committed change in the accounts.
    pub(super) fn account_for(&mut self, now: Instant, change: &Change) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else says who is here")]
        match change {
            Change::Takeover(takeover)
                if matches!(takeover.cause, Cause::Silent | Cause::DaemonAway) =>
            {
                let blank = Account { losses: 0, since: now, told: false };
                let account = self.accounts.0.entry(takeover.node).or_insert(blank);
                account.losses = account.losses(now, true).saturating_add(1);
                (account.since, account.told) = (now, false);
            }
            Change::Admit { node, .. } => {
                if let Some(account) = self.accounts.0.get_mut(node) {
                    account.since = now;
                }
            }
            Change::Steady { node } | Change::Leave { node } => {
                if let Some(Account { told: true, .. }) = self.accounts.0.remove(node) {
                    let name = self.state.name(*node);
                    self.notice(Notice::QuarantineOver(name, true));
                }
            }
            _ => {}
        }
    }

    /// Says who got into quarantine, and who is out of it. Called after every event.
    pub(super) fn watch_quarantines(&mut self, now: Instant) {
        let mut news = alloc::vec::Vec::new();
        for (node, account) in &mut self.accounts.0 {
            let here = self.state.view.contains_key(node);
            let quarantine = account.quarantine(now, here).filter(|it| it.until.is_some());
            match (account.told, quarantine) {
                (false, Some(it)) => {
                    let span = it.until.map_or(Span::ZERO, |until| now.until(until));
                    news.push(Notice::Quarantined(self.state.name(*node), it.losses, span));
                    account.told = true;
                }
                (true, None) if here => {
                    news.push(Notice::QuarantineOver(self.state.name(*node), false));
                    account.told = false;
                }
                (true, None) | (false, None) | (true, Some(_)) => {}
            }
        }
        self.accounts.0.retain(|node, account| {
            let here = self.state.view.contains_key(node);
            account.losses(now, here) > 0
        });
        news.into_iter().for_each(|notice| self.notice(notice));
    }

    /// When a quarantine ends: then services may have a better place.
    pub(super) fn quarantine_deadline(&self, now: Instant) -> Instant {
        let ends = self.quarantined(now).into_values().filter_map(|it| it.until);
        ends.min().unwrap_or(Instant::NEVER)
    }
}
