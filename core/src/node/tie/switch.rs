//! A half of the voters has the rest switched off, and goes on (module `fence`; rules X4 to X6).

use alloc::string::String;
use alloc::vec::Vec;

use super::super::{Command, Node};
use super::Tie;
use crate::id::{Index, NodeId};
use crate::notice::Notice;
use crate::quorum::register::Half;
use crate::time::{Instant, Span};

/// How long the half with fewer services lets the other one switch it off first, where the file
/// does not say: longer than devices usually take, so that not both go.
pub const FENCE_HANDICAP: Span = Span::from_millis(5_000);
/// The time between two readings of the log's end.
const READ_AGAIN: Span = Span::from_millis(1_000);
/// The time between two attempts to switch off the rest.
pub(super) const FENCE_AGAIN: Span = Span::from_millis(5_000);

/// How far the switching off of an absent voter has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switching {
    /// Its devices are asked.
    Asked,
    /// It is off.
    Off,
    /// It could not be had off at that time.
    Failed(Instant),
}

impl Tie {
    /// Whether that node's devices are asked so that this half may go on.
    pub(in super::super) fn fences(&self, node: NodeId) -> bool {
        self.fences.get(&node) == Some(&Switching::Asked)
    }

    /// They have spoken.
    pub(in super::super) fn fenced(&mut self, now: Instant, node: NodeId, off: bool) {
        let came = if off { Switching::Off } else { Switching::Failed(now) };
        self.fences.insert(node, came);
    }
}

impl Node {
    /// Has the rest of the voters switched off, and goes on once all of them are.
    pub(super) fn go_on_fenced(&mut self, now: Instant, half: Half, since: Instant) {
        if let Some(why) = self.cannot_fence(&half) {
            self.tie.barred = Some(why);
            return;
        }
        self.tie.barred = None;
        let absent: Vec<_> = half.absent().collect();
        // It has gone on, and what the log shows of its voters is a moment older.
        if absent.iter().any(|node| self.state.later.out.contains(node)) {
            return;
        }
        let off = |node: &NodeId| {
            self.tie.fences.get(node) == Some(&Switching::Off) || self.has_left(*node)
        };
        if absent.iter().all(off) {
            let number = self.state.later.grant.next();
            self.notice(Notice::Granted(number));
            self.take_vote(now, number, half);
            return;
        }
        if now < since + self.handicap(&half) {
            return;
        }
        let rest: Vec<_> = absent.into_iter().filter(|node| !self.has_left(*node)).collect();
        for node in rest {
            let due = match self.tie.fences.get(&node) {
                Some(Switching::Asked | Switching::Off) => false,
                Some(Switching::Failed(at)) => now.since(*at) >= FENCE_AGAIN,
                None => true,
            };
            if due {
                self.tie.fences.insert(node, Switching::Asked);
                self.fence_for_tie(node);
            }
        }
    }

    /// Whether the last word of that node's guard was that it gave its lease up in order. Its
    /// daemon has nobody switched off before it has read the log's end anew (rules X5, X6).
    fn has_left(&self, node: NodeId) -> bool {
        let peer = self.report.as_ref().and_then(|report| report.peers.get(&node));
        peer.is_some_and(|peer| peer.released.is_some() && peer.released == Some(peer.incarnation))
    }

    /// Whether a half goes on here once the other one is switched off.
    pub(super) fn fences_ties(&self) -> bool {
        let config = self.state.config.as_ref();
        config.is_some_and(|config| config.later.quorum.chain.fences())
    }

    /// Why this half may not have the rest switched off, if it may not.
    fn cannot_fence(&self, half: &Half) -> Option<String> {
        // What was booted beside a link that is cut would switch off who went on (rule X2).
        if self.tie.whole.as_ref() != Some(&half.voters) {
            return Some(String::from(
                "this node has not been together with all the others since its daemon started, so \
                 it may not switch them off",
            ));
        }
        if self.state.is_disarmed() {
            return Some(String::from("nobody is switched off while the cluster is disarmed"));
        }
        let kept =
            |node: &NodeId| self.state.is_node_maintained(*node) || !self.state.is_fenceable(*node);
        let node = half.absent().find(kept)?;
        let name = self.state.name(node);
        Some(if self.state.is_node_maintained(node) {
            alloc::format!("{name} is in maintenance, and left as it is")
        } else {
            alloc::format!("{name} has no fence devices that can be relied upon")
        })
    }

    /// Remembers that this run has seen all voters together, itself being current and they being
    /// committed. Nobody can have gone on without it before that, and whoever does so later has it
    /// switched off first, or has its word that it leaves.
    pub(super) fn note_whole(&mut self, now: Instant) {
        let ([voters], Some(report)) = (&self.log.voters[..], &self.report) else { return };
        let fresh = self.tie.read.filter(|(start, _)| *start == report.incarnation);
        let Some((_, end)) = fresh.filter(|_| !self.retiring && !report.released) else {
            (self.tie.read, self.tie.whole) = (None, None);
            self.read_again(now);
            return;
        };
        let known = self.tie.whole.as_ref() == Some(voters);
        let committed = self.state.applied == self.log.tail.index && self.state.applied >= end;
        if known || !self.ready || !committed || !report.hears_coordinator {
            return;
        }
        let here = |node: &NodeId| *node == self.me || self.heard_lately(now, report, *node);
        if voters.contains(&self.me) && voters.iter().all(here) {
            self.tie.whole = Some(voters.clone());
        }
    }

    /// Asks for the log's end as it is under this start of the guard.
    fn read_again(&mut self, now: Instant) {
        let waits = self.tie.read_asked.is_some_and(|at| now.since(at) < READ_AGAIN);
        if self.ready && self.fences_ties() && !waits && self.log.leader.is_some() {
            self.tie.read_asked = Some(now);
            self.command(Command::ReadIndex);
        }
    }

    /// The log's end was read through a majority.
    pub(in super::super) fn note_read(&mut self, index: Index) {
        let start = self.report.as_ref().filter(|report| !report.released);
        self.tie.read = start.map(|report| (report.incarnation, index));
    }
}
