//! Switching off what was lost, so that what stays with it may start elsewhere.
//!
//! ```text
//!   out of the view, something waits ─▶ FenceBegins is committed ─▶ devices are asked
//!              ▲                                                        │
//!              │ failed: again, later and later                         ▼
//!              └───────────────────────────────────────────── FenceEnds is committed ─▶ free
//! ```
//! The coordinator alone does it, and only where that helps anybody: a service waits for the node,
//! another node could take it, nobody keeps it where it is, and the node is not about to come back
//! by itself. Its attempt ends with its authority: what still runs of it is killed, and the next
//! coordinator begins its own once the authority of all before it is over.
//!
//! A half of the voters that breaks a tie by this has no authority and nothing committed; that is
//! in [`tie`](super::tie), with the same devices and the same records after it.
//!
//! Absent on purpose: which device is asked what, and when one has spoken. That is the daemon's.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Command, Node};
use crate::id::{Epoch, Incarnation, NodeId};
use crate::lease::Report;
use crate::notice::{FenceNews, Notice};
use crate::placement::{self, Able};
use crate::state::{Change, CycleEnd, FenceChange, FenceEnd, FenceSaid, Rehearsal};
use crate::time::{Instant, Span};

/// The pause before a node is fenced again after that failed, doubled with each failure.
const PAUSE: Span = Span::from_millis(5_000);
/// The longest such pause.
const LONGEST_PAUSE: Span = Span::from_millis(300_000);
/// Numbers from here on are those of attempts that break a tie; below are epochs.
const OF_TIES: u64 = 1 << 63;

/// What this run does about nodes that are to be switched off.
#[derive(Debug, Default)]
pub(super) struct Fences {
    /// What devices are asked for at this moment: the node, and by which number.
    runs: BTreeMap<NodeId, u64>,
    /// What came of attempts and is not committed yet.
    ended: Vec<FenceEnd>,
    /// When which node's last attempt failed, as this run learned of it.
    failed: BTreeMap<NodeId, Instant>,
    /// How many attempts for ties there were.
    ties: u64,
}

impl Fences {
    /// Whether something is under way.
    pub(super) fn is_on(&self) -> bool {
        !self.runs.is_empty() || !self.ended.is_empty()
    }
}

impl Node {
    /// What this start of the guard has is somebody else's by now: its machine was cut off, and has
    /// to boot. Called after every event, since it may learn of that in any way.
    fn watch_own(&mut self, now: Instant) {
        let own = self.report.as_ref().map(|report| report.incarnation);
        let over = own.is_some_and(|own| self.state.is_fenced(self.me, own));
        if over && self.state.is_cut_off(self.me) && !self.retiring {
            let news = FenceNews::HasToBoot;
            self.notice(Notice::Fence(self.state.name(self.me), news));
            self.on_retire(now);
        }
    }

    /// Ends what devices are asked for without the right to. Called after every event.
    pub(super) fn watch_fences(&mut self, now: Instant) {
        self.watch_own(now);
        let decides = self.is_quorate_coordinator(now);
        let lapsed = |(node, number): (&NodeId, &u64)| {
            let begun = self.state.later.fencing.under_way.get(node);
            let own = begun.is_some_and(|it| it.number.0 == *number && it.term == self.log.term);
            let may = if *number < OF_TIES { decides && own } else { self.tie.fences(*node) };
            (!may).then_some((*node, *number))
        };
        let lapsed: Vec<_> = self.fences.runs.iter().filter_map(lapsed).collect();
        for (node, number) in lapsed {
            self.fences.runs.remove(&node);
            self.command(Command::StopFence { number });
        }
        // Whoever decides now finds what was begun under way, and gives it up. Of what a half had
        // switched off nothing is true any more once it is heard.
        let heard = |node: NodeId| {
            let report = self.report.as_deref();
            report.is_some_and(|report| self.heard_lately(now, report, node))
        };
        // Nor does it matter any more of who left meanwhile: the state takes no word of strangers,
        // and nothing else would be decided as long as it is told.
        let counts = |end: &FenceEnd| match end.number {
            _ if !self.state.members.contains_key(&end.node) => false,
            Some(_) => decides,
            None => !heard(end.node),
        };
        let ended: Vec<_> = self.fences.ended.iter().filter(|end| counts(end)).cloned().collect();
        self.fences.ended = ended;
    }

    /// The coordinator's next change about nodes that are to be switched off.
    pub(super) fn fence_next(
        &mut self,
        now: Instant,
        report: &Report,
        able: &Able,
    ) -> Option<Change> {
        if let Some(end) = self.fences.ended.first() {
            let end = FenceEnd { term: self.state.term, ..end.clone() };
            let known = self.state.later.fencing.under_way.get(&end.node).map(|it| it.number);
            if known == end.number {
                return Some(Change::Fence(FenceChange::Ends(end)));
            }
            self.fences.ended.remove(0);
        }
        self.given_up(now, report)
            .or_else(|| self.doubt(now, report))
            .or_else(|| self.to_fence(now, report, able))
    }

    /// What an earlier coordinator had begun, or this one before it lost its authority for a
    /// moment, is over once nobody can be asking devices any more.
    fn given_up(&self, now: Instant, report: &Report) -> Option<Change> {
        let over = report.earlier_coordinator? + self.state.wait(crate::timers::UNKNOWN_SLACK);
        let mut all = self.state.later.fencing.under_way.iter();
        let (node, begun) = all.find(|(node, begun)| {
            let runs = self.fences.runs.get(node) == Some(&begun.number.0);
            let told = self.fences.ended.iter().any(|end| end.number == Some(begun.number));
            let other = begun.term != self.log.term || begun.by != self.me;
            !runs && !told && (!other || now > over)
        })?;
        let why = alloc::format!(
            "given up: {}, which had it done, does not decide any more",
            self.state.name(begun.by)
        );
        let said = FenceSaid {
            outcome: Err(why),
            cut_off: false,
            steps: Vec::new(),
            took: Span::ZERO,
            wall: 0,
        };
        Some(Change::Fence(FenceChange::Ends(FenceEnd {
            node: *node,
            number: Some(begun.number),
            term: self.log.term,
            by: begun.by,
            incarnation: begun.incarnation,
            given_up: true,
            said,
        })))
    }

    /// A start of a guard that was proven to be over is heard all the same: its devices lie. Of one
    /// that was cut off that is no wonder.
    fn doubt(&self, now: Instant, report: &Report) -> Option<Change> {
        report.peers.iter().find_map(|(node, peer)| {
            let over = self.state.is_fenced(*node, peer.incarnation);
            let known =
                self.state.later.fencing.doubted.contains_key(node) || self.state.is_cut_off(*node);
            let heard = self.heard_lately(now, report, *node);
            let why = String::from("it went on after its devices had called it off");
            let (node, incarnation) = (*node, peer.incarnation);
            let change = Change::Fence(FenceChange::Doubted { node, incarnation, why });
            (over && !known && heard).then_some(change)
        })
    }

    /// The next node that is to be switched off.
    fn to_fence(&self, now: Instant, report: &Report, able: &Able) -> Option<Change> {
        if self.state.is_disarmed() {
            return None;
        }
        let lost = self.state.members.keys().copied().find(|node| {
            *node != self.me
                && !self.state.view.contains_key(node)
                && !self.state.is_being_fenced(*node)
                && self.state.is_fenceable(*node)
                && !self.state.is_node_maintained(*node)
                && !self.comes_back(now, report, *node)
                && self.is_due(now, *node)
                && self.would_help(able, *node)
        })?;
        let newest = report.peers.get(&lost).map(|peer| peer.incarnation).unwrap_or_default();
        let incarnation = newest.max(self.fenced_start(lost));
        let (term, by) = (self.log.term, self.me);
        Some(Change::Fence(FenceChange::Begins { node: lost, term, by, incarnation }))
    }

    fn fenced_start(&self, node: NodeId) -> Incarnation {
        self.state.later.fencing.fenced.get(&node).copied().unwrap_or_default()
    }

    /// Whether it is heard with its daemon: it will be admitted, and stop by itself what waits.
    fn comes_back(&self, now: Instant, report: &Report, node: NodeId) -> bool {
        let alive = report.peers.get(&node).is_some_and(|peer| peer.daemon_alive);
        alive && self.heard_lately(now, report, node)
    }

    /// Whether a service that waits for that node could go to another one.
    fn would_help(&self, able: &Able, node: NodeId) -> bool {
        let mut waiting =
            self.state.waiting_for(node).filter(|it| !self.state.is_kept(it)).peekable();
        if waiting.peek().is_none() {
            return false;
        }
        let plan = placement::plan_without(self.sight(able), Some(node));
        waiting.any(|service| plan.decisions.get(service).is_some_and(|it| it.to.is_some()))
    }

    /// Whether enough time has passed since its last attempt failed.
    fn is_due(&self, now: Instant, node: NodeId) -> bool {
        self.fence_again(node).is_none_or(|at| now >= at)
    }

    fn fence_again(&self, node: NodeId) -> Option<Instant> {
        let failures = self.state.later.fencing.failures.get(&node)?;
        // A run that does not know when tries at once.
        let failed = self.fences.failed.get(&node)?;
        let doubled = PAUSE.0 << failures.saturating_sub(1).min(16);
        Some(*failed + Span(doubled).min(LONGEST_PAUSE))
    }

    /// When the coordinator has to look again at a node whose fencing failed.
    pub(super) fn fence_deadline(&self, now: Instant) -> Instant {
        let all = self.fences.failed.keys().filter_map(|node| self.fence_again(*node));
        all.filter(|at| *at > now).min().unwrap_or(Instant::NEVER)
    }

    /// A half of the voters has that node switched off before it goes on (module `fence`).
    pub(super) fn fence_for_tie(&mut self, node: NodeId) -> u64 {
        self.fences.ties += 1;
        let number = OF_TIES + self.fences.ties;
        self.ask_devices(node, number);
        number
    }

    fn ask_devices(&mut self, node: NodeId, number: u64) {
        // What was asked for by another right ends with that, and not when nobody looks any more.
        if let Some(before) = self.fences.runs.insert(node, number) {
            self.command(Command::StopFence { number: before });
        }
        self.notice(Notice::Fence(self.state.name(node), FenceNews::Begins));
        // A half that goes on has to know that nobody else decides, not only that nobody writes.
        self.command(Command::Fence { node, number, power: number >= OF_TIES });
    }

    /// The devices have spoken.
    pub(super) fn on_fenced(&mut self, now: Instant, node: NodeId, number: u64, said: FenceSaid) {
        if self.fences.runs.get(&node) != Some(&number) {
            return;
        }
        self.fences.runs.remove(&node);
        let begun = self.state.later.fencing.under_way.get(&node);
        let of_tie = number >= OF_TIES;
        let incarnation = match begun {
            Some(begun) if !of_tie => begun.incarnation,
            _ => self.newest_start(node),
        };
        if of_tie {
            self.tie.fenced(now, node, said.outcome.is_ok() && !said.cut_off);
            if let Err(why) = &said.outcome {
                let news = FenceNews::Failed(why.clone());
                self.notice(Notice::Fence(self.state.name(node), news));
                return;
            }
        }
        let number = (!of_tie).then_some(Epoch(number));
        let (term, by) = (self.log.term, self.me);
        let given_up = false;
        self.fences.ended.push(FenceEnd { node, number, term, by, incarnation, given_up, said });
    }

    /// The newest start of that node's guard that is known here.
    fn newest_start(&self, node: NodeId) -> Incarnation {
        let peers = self.report.as_ref().map(|report| &report.peers);
        let heard = peers.and_then(|peers| peers.get(&node)).map(|peer| peer.incarnation);
        let admitted = self.state.view.get(&node).map(|it| it.incarnation);
        heard.max(admitted).unwrap_or_default()
    }

    /// A committed change of this is applied.
    pub(super) fn fences_applied(&mut self, now: Instant, change: &Change) {
        let Change::Fence(change) = change else { return };
        match change {
            FenceChange::Begins { node, term, by, .. } => {
                let mine = *by == self.me && *term == self.log.term && self.ready;
                let begun = self.state.later.fencing.under_way.get(node).copied();
                if let Some(begun) = begun.filter(|_| mine && self.is_quorate_coordinator(now)) {
                    self.ask_devices(*node, begun.number.0);
                }
            }
            FenceChange::Ends(end) => {
                let same = |it: &FenceEnd| it.node == end.node && it.number == end.number;
                self.fences.ended.retain(|it| !same(it));
                if end.said.outcome.is_ok() {
                    self.fences.failed.remove(&end.node);
                } else if !end.given_up {
                    self.fences.failed.insert(end.node, now);
                }
            }
            // A way that works again is taken at once.
            FenceChange::Rehearsed { node, rehearsal: Rehearsal { said, .. } }
            | FenceChange::CycleEnds { node, end: CycleEnd { said, .. } } => {
                if said.outcome.is_ok() {
                    self.fences.failed.remove(node);
                }
            }
            FenceChange::CycleBegins { .. } => {}
            // What it has is somebody else's by now. A later start of its guard is admitted.
            FenceChange::Doubted { node, .. } if *node == self.me => self.on_retire(now),
            FenceChange::Doubted { .. } => {}
        }
    }

    /// Says such a change in words.
    pub(super) fn tell_fence(&mut self, change: &FenceChange) {
        let (node, news) = match change {
            // Who has it done says it.
            FenceChange::Begins { .. } => return,
            FenceChange::Ends(end) => match &end.said.outcome {
                Ok(how) => (end.node, FenceNews::Off(how.clone())),
                // The next attempt says it.
                Err(_) if end.given_up => return,
                Err(why) => (end.node, FenceNews::Failed(why.clone())),
            },
            FenceChange::Doubted { node, why, .. } => (*node, FenceNews::Doubted(why.clone())),
            FenceChange::Rehearsed { node, rehearsal } => {
                (*node, FenceNews::Rehearsed(rehearsal.said.outcome.clone().err()))
            }
            FenceChange::CycleBegins { node, by, .. } => {
                (*node, FenceNews::Cycling(self.state.name(*by)))
            }
            FenceChange::CycleEnds { node, end } => {
                (*node, FenceNews::Cycled(end.said.outcome.clone()))
            }
        };
        self.notice(Notice::Fence(self.state.name(node), news));
    }
}
