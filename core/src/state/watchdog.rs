//! What the cluster relies on of nodes' watchdogs (`docs/protocol.md`, section 18).
//!
//! A node's word that its watchdog is armed is a promise: whenever something bound is on its
//! machine, the machine is reset within a known time after its lease has ended. Others count on
//! that when they hear nothing more, so the word has to be one that every coordinator knows, a new
//! one too, and that is not taken back while somebody counts on it. Both the log gives: the word is
//! committed, and what loosens the promise is committed before the node loosens it.
//!
//! ```text
//!   guard armed ─▶ Watch (timeout) ─▶ lost, out of the view ─▶ WatchdogElapsed: what is bound to
//!                      │                       │                it may go elsewhere, once
//!                      │                       └─▶ heard when it should have been reset: failed
//!                      └─▶ admitted anew, or the configuration wants none: nothing is relied on
//! ```

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::apply::Applied;
use super::{Outcome, Refusal, State};
use crate::id::{Incarnation, NodeId};
use crate::time::Span;

/// What is known of a node's watchdog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// Counts the words, so that one that comes late or twice changes nothing.
    pub number: u64,
    /// The start of its guard that said the newest.
    pub incarnation: Incarnation,
    /// It is armed with that timeout, and fed by the rules; nothing: it is not relied on.
    pub timeout: Option<Span>,
    /// Which device it is, for people.
    pub device: String,
    /// It stands still when a hypervisor stops its machine.
    pub stands_still: bool,
    /// It was relied on: what was bound to its node went elsewhere.
    pub elapsed: bool,
    /// This start was heard, with something bound, when the watchdog should have reset it. Nothing
    /// that it says of its watchdog is relied on any more.
    pub failed: bool,
}

/// A word about a node's watchdog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchdogWord {
    /// Whose.
    pub node: NodeId,
    /// The number of the word before it.
    pub base: u64,
    /// The revision of the state by which it was armed: another one may want another timeout.
    pub revision: u64,
    /// The start of the guard that has armed it.
    pub incarnation: Incarnation,
    /// With which timeout; nothing: it is not to be relied on.
    pub timeout: Option<Span>,
    /// Which device.
    pub device: String,
    /// It stands still when a hypervisor stops its machine.
    pub stands_still: bool,
    /// It should have reset its machine, and has not.
    pub failed: bool,
}

impl State {
    /// What is known of a node's watchdog, if it ever said anything.
    #[must_use]
    pub fn watchdog(&self, node: NodeId) -> Option<&Watchdog> {
        self.later.fencing.watchdogs.get(&node)
    }

    /// Whether the configuration wants that node's watchdog armed, and relies on it then.
    #[must_use]
    pub fn wants_watchdog(&self, node: NodeId) -> bool {
        let member = self.members.get(&node);
        let fencing =
            self.config.as_ref().zip(member).and_then(|(config, it)| config.fencing(&it.name));
        fencing.is_some_and(|fencing| fencing.watchdog)
    }

    /// What is relied on of a node's watchdog now, and the timeout that it counts to.
    #[must_use]
    pub fn relied_on(&self, node: NodeId) -> Option<(&Watchdog, Span)> {
        let known = self.watchdog(node).filter(|_| self.wants_watchdog(node))?;
        Some((known, known.timeout?))
    }

    /// Takes a word. One that is to be relied on must be of the admitted start, and of the present
    /// configuration: its node may by now arm it otherwise, or not at all (rule W2).
    pub(super) fn watch(&mut self, word: WatchdogWord) -> Applied {
        let WatchdogWord { node, base, revision, incarnation, timeout, device, .. } = word;
        let stands_still = word.stands_still;
        if !self.members.contains_key(&node) {
            return Err(Refusal::NoSuchNode);
        }
        let known = self.watchdog(node).cloned().unwrap_or_default();
        let admitted = self.view.get(&node).is_some_and(|it| it.incarnation == incarnation);
        let present = revision == self.revision && self.wants_watchdog(node) && admitted;
        let failed = word.failed || known.failed && known.incarnation == incarnation;
        if base != known.number || timeout.is_some() && (!present || failed) {
            return Err(Refusal::Stale);
        }
        let (number, elapsed) = (base + 1, false);
        let word = Watchdog { number, incarnation, timeout, device, stands_still, elapsed, failed };
        self.later.fencing.watchdogs.insert(node, word);
        Ok(Outcome::Done)
    }

    /// A node's watchdog has certainly reset it: what is bound to it may go elsewhere. That is
    /// relied on once.
    pub(super) fn watchdog_elapsed(&mut self, node: NodeId, number: u64) -> Applied {
        if self.view.contains_key(&node) {
            return Err(Refusal::StillHere);
        }
        if self.relied_on(node).is_none_or(|(known, _)| known.number != number) {
            return Err(Refusal::Stale);
        }
        if self.waiting_for(node).next().is_none() {
            return Err(Refusal::NothingWaits);
        }
        self.free_bound(node);
        if let Some(known) = self.later.fencing.watchdogs.get_mut(&node) {
            (known.number, known.timeout, known.elapsed) = (number + 1, None, true);
        }
        Ok(Outcome::Done)
    }

    /// A start of its guard is admitted: it has to say anew that its watchdog is armed.
    pub(super) fn rely_no_more(&mut self, node: NodeId) {
        if let Some(known) = self.later.fencing.watchdogs.get_mut(&node) {
            (known.number, known.timeout, known.elapsed) = (known.number + 1, None, false);
        }
    }

    /// A new configuration: whose watchdog it does not want is relied on no more, as that node lets
    /// go of its device by the same word (rule W2).
    pub(super) fn forget_watchdogs(&mut self) {
        let all = &self.later.fencing.watchdogs;
        let armed = all.iter().filter(|(_, known)| known.timeout.is_some()).map(|(node, _)| *node);
        let unwanted = armed.filter(|node| !self.wants_watchdog(*node));
        let unwanted: alloc::vec::Vec<_> = unwanted.collect();
        for node in unwanted {
            self.rely_no_more(node);
        }
        let (fencing, members) = (&mut self.later.fencing, &self.members);
        fencing.watchdogs.retain(|node, _| members.contains_key(node));
    }
}
