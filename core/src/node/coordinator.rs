//! What only the coordinator does: suspect, prove, take over, admit, assign.
//!
//! Leading the log is not enough for any of it: nothing is decided unless this node's guard is
//! quorate in this very term. One decision is under way at a time; each names what it was decided
//! upon, so one whose fate is unknown can be made again.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::{Command, Node, Purpose};
use crate::fencing::{Proof, counts_by_present};
use crate::id::{Incarnation, Index, NodeId, ServiceId, Term};
use crate::lease::{Order, Report};
use crate::notice::Notice;
use crate::placement::{self, Able, Plan, Sight};
use crate::state::{Cause, Change, Reached, Stage};
use crate::time::{Instant, Span};
use crate::timers::UNKNOWN_SLACK;

/// What a coordinator keeps for its term and its guard's start. Either changes: it begins anew.
#[derive(Debug, Default)]
pub(super) struct Coordinator {
    of: Option<(Term, Incarnation)>,
    since: Option<Instant>,
    /// Its guard counted by the timers in force when it was first told whom to echo. Later timers
    /// wait for each other by `State::former_timers`.
    in_time: bool,
    /// Nodes that are revoked, or about to be.
    suspects: BTreeMap<NodeId, Suspicion>,
    /// Since when a heard node's daemon is away.
    daemon_away: BTreeMap<NodeId, Instant>,
    /// Since when the former timers are known.
    former_since: Option<(u64, Instant)>,
    /// Services that nobody can take, so that it is said once.
    nowhere: BTreeSet<ServiceId>,
    /// What there was nothing to do about.
    planned: Option<(Index, Able)>,
}

#[derive(Clone, Copy, Debug)]
struct Suspicion {
    at: Instant,
    heard: Instant,
    cause: Cause,
}

impl Coordinator {
    /// Whether a node is suspected.
    pub(super) fn suspects_any(&self) -> bool {
        !self.suspects.is_empty()
    }
}

impl Node {
    /// Whether this node may decide for the cluster now.
    #[must_use]
    pub fn is_quorate_coordinator(&self, now: Instant) -> bool {
        let Some(report) = &self.report else { return false };
        self.log.leader == Some(self.me)
            && report.coordinates == Some(self.log.term)
            && report.quorate_until > now
    }

    /// Takes the next decision, if this node coordinates. Called after every event.
    pub(super) fn coordinate(&mut self, now: Instant) {
        self.leave_the_lead(now);
        let leads = self.log.leader == Some(self.me) && !self.is_leaving();
        let Some(report) = self.report.clone().filter(|_| leads) else {
            self.coordinator = Coordinator::default();
            return;
        };
        let of = Some((self.log.term, report.incarnation));
        if self.coordinator.of != of {
            let since = Some(now);
            self.coordinator = Coordinator { of, since, ..Coordinator::default() };
            self.notice(Notice::Coordinator(self.state.name(self.me), self.log.term));
        }
        if self.removing.0 != self.log.term {
            self.removing = (self.log.term, BTreeMap::new());
        }
        self.begin_term();
        self.lead(now, &report);
        if !self.is_quorate_coordinator(now) || !self.has_begun() {
            return;
        }
        self.watch(now, &report);
        if self.deciding() {
            return;
        }
        if let Some(change) = self.decide(now, &report) {
            self.propose(Purpose::Decision, change);
        } else {
            self.adjust_voters(now, &report);
        }
    }

    /// Has this coordinator's term begin in the log. It needs no authority: it says who leads.
    fn begin_term(&mut self) {
        let term = self.log.term;
        let founded = self.state.cluster.is_some();
        if founded && self.state.term < term && !self.is_proposed(&Purpose::Beginning) {
            self.propose(Purpose::Beginning, Change::Lead { term });
        }
    }

    /// Whether all that earlier coordinators decided is applied here, and nothing of theirs that
    /// comes later counts.
    pub(super) fn has_begun(&self) -> bool {
        self.ready && self.state.term == self.log.term
    }

    /// Tells the guard whom it may echo. Before the beginning of the own term is applied that is
    /// nobody (rule C1), nor before it counts by the timers in force.
    fn lead(&mut self, now: Instant, report: &Report) {
        if report.term != self.log.term || !report.vote_known {
            return;
        }
        let begun = self.has_begun();
        self.coordinator.in_time |= begun && report.timers == self.state.timers;
        let may = begun && self.coordinator.in_time;
        let fit = |node: &NodeId| may && !self.removing.1.contains_key(node);
        let admitted = || self.state.view.iter().filter(|(node, _)| fit(node));
        let known = report.coordinates == Some(self.log.term);
        let told = self.told.lead.as_ref().map(|(told, _)| told);
        if known && told.is_some_and(|it| it.0 == self.log.voters && it.1.iter().eq(admitted())) {
            return;
        }
        let admitted: BTreeMap<_, _> = admitted().map(|(node, it)| (*node, *it)).collect();
        let voters = self.log.voters.clone();
        let patience = self.state.timers.heartbeat.times(2);
        let lead = (voters.clone(), admitted.clone());
        if super::orders::due(&mut self.told.lead, lead, now, patience) {
            self.command(Command::Guard(Order::Lead { term: self.log.term, voters, admitted }));
        }
    }

    /// Suspects who is silent, and takes it back from who is heard again in time.
    fn watch(&mut self, now: Instant, report: &Report) {
        self.note_daemons(now, report);
        let members: Vec<_> = self.state.view.keys().copied().filter(|it| *it != self.me).collect();
        for node in members {
            let cause = self.trouble(now, report, node);
            match (self.coordinator.suspects.get(&node).copied(), cause) {
                (None, Some(cause)) => self.suspect(now, report, node, cause),
                (Some(_), None) => {
                    if self.heard_lately(now, report, node) {
                        self.coordinator.suspects.remove(&node);
                        self.command(Command::Guard(Order::Readmit(node)));
                        self.notice(Notice::Refuted(self.state.name(node)));
                    }
                }
                (Some(_), Some(_)) => self.revoke(now, report, node),
                (None, None) => {}
            }
        }
        let view = &self.state.view;
        self.coordinator.suspects.retain(|node, _| view.contains_key(node));
    }

    /// Has the guard echo that node nothing more. Repeated until the guard says that it is so.
    fn revoke(&mut self, now: Instant, report: &Report, node: NodeId) {
        let revoked = report.peers.get(&node).is_some_and(|peer| peer.revoked.is_some());
        let patience = self.state.timers.heartbeat.times(2);
        let told = self.told.revoked.get(&node);
        if !revoked && told.is_none_or(|at| now.since(*at) >= patience) {
            self.told.revoked.insert(node, now);
            self.command(Command::Guard(Order::Revoke(node)));
        }
    }

    /// What is wrong with a node of the view, if anything.
    fn trouble(&self, now: Instant, report: &Report, node: NodeId) -> Option<Cause> {
        let peer = report.peers.get(&node)?;
        let heard = peer.heard.unwrap_or(report.started).max(report.started);
        // A coordinator that was just elected listens for a while before it judges.
        if now.since(heard) > self.state.timers.suspect_after {
            return Some(Cause::Silent);
        }
        // It says that it hears nothing of ours any more: so it has no lease, whatever it holds.
        let deaf = self.deaf_after();
        let acknowledged = peer.acknowledged.unwrap_or(report.started).max(report.started);
        if now.since(acknowledged) > deaf {
            return Some(Cause::Silent);
        }
        // Its removal is in the log or may get there: there is no way back but through it.
        if let Some(cause) = self.removing.1.get(&node) {
            return Some(*cause);
        }
        let grace = self.state.config.as_ref()?.daemon_grace;
        let away = self.coordinator.daemon_away.get(&node)?;
        (now.since(*away) > grace).then_some(Cause::DaemonAway)
    }

    /// How long a node that hears may have acknowledged nothing.
    pub(super) fn deaf_after(&self) -> Span {
        let timers = &self.state.timers;
        timers.ride_out + timers.heartbeat.times(3) + timers.round_trip
    }

    /// Whether a node is heard, and hears.
    pub(super) fn heard_lately(&self, now: Instant, report: &Report, node: NodeId) -> bool {
        let half = Span(self.state.timers.ride_out.0 / 2);
        let lately = |at: Option<Instant>| at.is_some_and(|at| now.since(at) < half);
        report.peers.get(&node).is_some_and(|it| lately(it.heard) && lately(it.acknowledged))
    }

    fn note_daemons(&mut self, now: Instant, report: &Report) {
        for (node, peer) in &report.peers {
            if peer.daemon_alive || peer.heard.is_none() {
                self.coordinator.daemon_away.remove(node);
            } else {
                self.coordinator.daemon_away.entry(*node).or_insert(now);
            }
        }
    }

    fn suspect(&mut self, now: Instant, report: &Report, node: NodeId, cause: Cause) {
        let heard = report.peers.get(&node).and_then(|peer| peer.heard).unwrap_or(report.started);
        self.coordinator.suspects.insert(node, Suspicion { at: now, heard, cause });
        self.told.revoked.remove(&node);
        self.revoke(now, report, node);
        self.notice(Notice::Suspected(self.state.name(node), now.since(heard)));
    }

    /// The next change that the state of things calls for.
    fn decide(&mut self, now: Instant, report: &Report) -> Option<Change> {
        let able = self.able(now, report);
        self.removal(now, report, &able)
            .or_else(|| self.by_watchdog(now, report))
            .or_else(|| self.fence_next(now, report, &able))
            .or_else(|| self.admission(now, report))
            .or_else(|| self.shut_out())
            .or_else(|| self.returned(now, report))
            .or_else(|| self.arming(now))
            .or_else(|| self.settlement(now, report))
            .or_else(|| self.place(now, report, &able))
    }

    /// The next step of the plan. As long as nothing has changed that it is made from, there is
    /// nothing to do where there was nothing.
    fn place(&mut self, now: Instant, report: &Report, able: &Able) -> Option<Change> {
        // What reference points show changes with time.
        let made_from = (self.state.applied, able.clone());
        let same = self.coordinator.planned.as_ref() == Some(&made_from);
        if same && self.seen.points().is_empty() {
            return None;
        }
        let sight = self.sight(able);
        let plan = placement::plan(sight);
        let step = placement::assignment(sight, &plan)
            .or_else(|| self.unreachable(now, report, able))
            .or_else(|| placement::departure(sight, &plan));
        if step.is_none() {
            self.note_nowhere(&plan);
            self.coordinator.planned = Some(made_from);
        }
        step
    }

    /// What placement is made from.
    pub(super) fn sight<'a>(&'a self, able: &'a Able) -> Sight<'a> {
        Sight { state: &self.state, able, seen: &self.seen }
    }

    /// Who may take services: heard, admitted as it is, its daemon alive, nothing against it.
    fn able(&self, now: Instant, report: &Report) -> Able {
        let limit = self.state.timers.suspect_after;
        let able = report.peers.iter().filter(|(node, peer)| {
            let admitted = self.state.view.get(node).map(|it| it.incarnation);
            let lately = |at: Option<Instant>| at.is_some_and(|at| now.since(at) < limit);
            lately(peer.heard)
                && lately(peer.acknowledged)
                && peer.daemon_alive
                && peer.released != Some(peer.incarnation)
                && admitted == Some(peer.incarnation)
                // In a later term it takes no lease from this one.
                && peer.term <= self.log.term
                && !self.coordinator.suspects.contains_key(node)
        });
        let mut nodes: BTreeSet<_> = able.map(|(node, _)| *node).collect();
        if report.lease_until > now {
            nodes.insert(self.me);
        }
        Able { nodes, quarantined: self.quarantined(now).into_keys().collect() }
    }

    /// A takeover whose proof is there.
    fn removal(&mut self, now: Instant, report: &Report, able: &Able) -> Option<Change> {
        // A daemon that stood still may look at the clock before it reads what its guard said
        // meanwhile, and a revocation in an old report may long have been taken back. Whoever was
        // refuted had been heard less than half a ride-out before.
        if now.since(report.at) >= Span(self.state.timers.ride_out.0 / 2) {
            return None;
        }
        for node in self.state.view.keys().copied() {
            let suspicion = self.coordinator.suspects.get(&node).copied();
            let released =
                Proof::released(&self.state, report, node).map(|it| (it, Cause::Released));
            let proof = released.or_else(|| {
                let Suspicion { cause, heard, .. } = suspicion?;
                // A report from before the last refutation may still show the revocation of then.
                report.peers.get(&node)?.revoked.filter(|revoked| *revoked >= heard)?;
                let proof = Proof::lease_expired(now, &self.state, report, node)?;
                // Waited for all the same: so a device that lies costs nothing of what a lease
                // keeps safe.
                Some((Proof::fenced(&self.state, node).unwrap_or(proof), cause))
            });
            let Some((proof, cause)) = proof else { continue };
            let heard = report.peers.get(&node).and_then(|peer| peer.heard);
            let origin = suspicion.map(|it| it.heard).or(heard).unwrap_or(now);
            let stages = self.stages(now, origin, suspicion);
            let change = placement::takeover(self.sight(able), node, proof, cause, stages)?;
            self.removing.1.insert(node, cause);
            return Some(Change::Takeover(change));
        }
        None
    }

    fn stages(&self, now: Instant, origin: Instant, suspicion: Option<Suspicion>) -> Vec<Stage> {
        let stage = |reached, at: Instant| Stage {
            node: self.me,
            service: None,
            reached,
            after: at.since(origin),
            detail: String::new(),
        };
        let mut stages = Vec::new();
        if let Some(suspicion) = suspicion {
            stages.push(stage(Reached::Suspected, suspicion.at));
        }
        if let Some(since) = self.coordinator.since.filter(|since| *since > origin) {
            stages.push(stage(Reached::Elected, since));
        }
        stages.push(stage(Reached::Proven, now));
        stages
    }

    /// A node that is heard and not in the view, or came back under a new start.
    fn admission(&mut self, now: Instant, report: &Report) -> Option<Change> {
        let own = self.state.view.get(&self.me).map(|it| it.incarnation);
        let member = self.state.members.contains_key(&self.me);
        if member && own < Some(report.incarnation) && !report.released {
            return Some(Change::Admit { node: self.me, incarnation: report.incarnation });
        }
        report.peers.iter().find_map(|(node, peer)| {
            let known = self.state.view.get(node).map(|it| it.incarnation);
            let fit = self.state.members.contains_key(node)
                && !self.state.is_shut_out(*node)
                && !self.state.is_being_fenced(*node)
                && !self.state.is_fenced(*node, peer.incarnation)
                && peer.daemon_alive
                && peer.released != Some(peer.incarnation)
                && self.heard_lately(now, report, *node);
            (fit && known < Some(peer.incarnation))
                .then_some(Change::Admit { node: *node, incarnation: peer.incarnation })
        })
    }

    /// Former timers are settled once every lease under them has run out.
    fn settlement(&mut self, now: Instant, report: &Report) -> Option<Change> {
        let former = self.state.former_timers?;
        let revision = self.state.revision;
        if report.timers != self.state.timers {
            return None;
        }
        let known = self.coordinator.former_since.filter(|(of, _)| *of == revision);
        let (_, since) = *self.coordinator.former_since.insert(known.unwrap_or((revision, now)));
        let enough = former.wait(UNKNOWN_SLACK).times(2);
        let over = now.since(since) > enough || self.all_count_by_present(now, since, report);
        over.then_some(Change::Settle { revision })
    }

    /// Whether every node of the view, this one included, has counted by the present timers for as
    /// long as others wait under them: what it had before was capped when it began to, and has run
    /// out, so no lease lasts longer than they allow (rule M3).
    fn all_count_by_present(&self, now: Instant, since: Instant, report: &Report) -> bool {
        let state = &self.state;
        let own = report.more.revision.is_some_and(|counts| counts >= state.revision);
        let over = |since: Instant, slack| now > since + state.timers.wait(slack);
        let others = state.view.keys().filter(|node| **node != self.me);
        let capped = |node: &NodeId| {
            let peer = report.peers.get(node);
            counts_by_present(state, report, *node)
                && peer.is_some_and(|it| over(it.more.counts_since, it.slack.max(UNKNOWN_SLACK)))
        };
        own && over(since, UNKNOWN_SLACK) && others.into_iter().all(capped)
    }

    /// The span of being disarmed is over.
    fn arming(&self, now: Instant) -> Option<Change> {
        let until = self.disarmed_until()?;
        (now >= until).then_some(Change::Arm { base: self.state.revision, by: None })
    }

    fn note_nowhere(&mut self, plan: &Plan) {
        let Some(config) = self.state.config.as_ref().filter(|_| !self.state.is_disarmed()) else {
            return;
        };
        // An operator wants it so.
        let all_halted = self.state.members.keys().all(|node| self.state.is_halted(*node));
        let free = |service: &ServiceId| Proof::unheld(&self.state, service).is_some();
        let mut nowhere = BTreeSet::new();
        if !all_halted && config.services.keys().any(free) {
            nowhere.extend(placement::nowhere(plan).filter(|it| free(it)).cloned());
        }
        if nowhere == self.coordinator.nowhere {
            return;
        }
        for service in nowhere.difference(&self.coordinator.nowhere).cloned().collect::<Vec<_>>() {
            self.notice(Notice::Nowhere(service));
        }
        self.coordinator.nowhere = nowhere;
    }

    /// When the coordinator has to look again.
    pub(super) fn coordinator_deadline(&self, now: Instant) -> Instant {
        let Some(report) = &self.report else { return Instant::NEVER };
        if self.coordinator.of.is_none() {
            return Instant::NEVER;
        }
        let suspects = self.coordinator.suspects.keys().filter_map(|node| {
            let due = Proof::due(&self.state, report, *node)?;
            Some(due + Span(1))
        });
        let silent = self.state.view.keys().filter_map(|node| {
            let known = self.coordinator.suspects.contains_key(node);
            let peer = report.peers.get(node).filter(|_| !known)?;
            let silent = peer.heard? + self.state.timers.suspect_after;
            let deaf = peer.acknowledged.map(|at| at + self.deaf_after());
            Some(silent.min(deaf.filter(|at| *at > now).unwrap_or(Instant::NEVER)) + Span(1))
        });
        let all = suspects.chain(silent).chain([self.watchdog_due(report)]);
        all.filter(|at| *at > now).min().unwrap_or(Instant::NEVER)
    }

    /// A committed change as the coordinator sees it.
    pub(super) fn coordinator_applied(&mut self, change: &Change) {
        if let Change::Admit { node, .. } = change {
            self.removing.1.remove(node);
            self.coordinator.suspects.remove(node);
            if self.coordinator.of.is_some() {
                self.command(Command::Guard(Order::Readmit(*node)));
            }
        }
    }
}
