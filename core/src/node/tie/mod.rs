//! What a node does when exactly half of the voters is here (`docs/protocol.md`, section 7).
//!
//! Every voter sees for itself who is here: whom its guard has heard lately, and who hears it. If
//! that is exactly half, and none of them hears a coordinator of the rest, one of them asks the
//! register for a grant (rule G3). With it the log counts one absent voter's answer as given (rule
//! G4); so this half elects a leader, and that leader takes this vote away in the same entry in
//! which the grant is used up (rules G5, G11). From then on the half is more than half of what is
//! left.
//!
//! ```text
//!   half here ─▶ asker? ─▶ handicap over? ─▶ ask ─▶ granted ─▶ tie vote ─▶ lead ─▶ shrink ─▶ done
//!                                             │                   │
//!                                          refused: ask again   somebody is back, or gone: taken
//!                                          now and then         back, and nothing was lost
//! ```
//!
//! With module `fence` no register is asked: the rest is switched off first, by its devices, and
//! that it is off stands in the grant's place ([`Node::go_on_fenced`], rules X1 to X4).
//!
//! Asking early is harmless, as acting waits for the leases of the rest to run out. That is why the
//! suspicion here is the election's, not the takeover's.
//!
//! Absent on purpose: the lease. No guard ever counts a tie vote; it learns of the smaller set of
//! voters from the log, like of any other (rule C4).

mod switch;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

pub use switch::FENCE_HANDICAP;
use switch::Switching;

use super::vouch::Vouch;
use super::{Command, Node};
use crate::id::{Grant, Incarnation, Index, NodeId};
use crate::lease::{LogTail, PeerReport, Report};
use crate::notice::Notice;
use crate::quorum::ask::{Question, Standing};
use crate::quorum::register::{Challenge, Half, Refusal};
use crate::quorum::vote::TieVote;
use crate::quorum::{Verdict, chain};
use crate::state::Change;
use crate::time::{Instant, Span};

/// The time between two questions of a half that was refused, or not answered.
const ASK_AGAIN: Span = Span::from_millis(500);
/// How long an answer is waited for before the question is repeated, whoever else gives up when.
/// One that comes later is not looked at.
pub const ANSWER_PATIENCE: Span = Span::from_millis(2_000);
/// The time between two attempts to lead: an election needs the disks.
const LEAD_AGAIN: Span = Span::from_millis(100);
/// The time between two attempts to shrink: the log refuses one before something of the leader's
/// own term is committed.
const SHRINK_AGAIN: Span = Span::from_millis(5);

/// What a node knows of ties and of the register.
#[derive(Debug, Default)]
pub(super) struct Tie {
    /// The half that this node is in, and since when.
    half: Option<(Half, Instant)>,
    /// What the register said of that half, and when.
    said: Option<(Result<Grant, Refusal>, Instant)>,
    /// Whether people were told of this half, and of its refusal.
    told: (bool, bool),
    /// The vote that the log counts.
    vote: Option<TieVote>,
    /// When this node last tried to lead, or had another do so.
    pushed: Option<Instant>,
    /// When it last tried to shrink.
    shrunk: Option<Instant>,
    /// The question under way.
    pub(super) asked: Option<Asked>,
    /// How many questions there were.
    questions: u64,
    /// Where the register stands, as far as it has told this node.
    pub(super) standing: Option<Standing>,
    /// Whether it answered the last question, once one was asked.
    pub(super) answers: Option<bool>,
    /// When it was last asked.
    pub(super) spoken: Option<Instant>,
    /// How long its last answer took.
    pub(super) round_trip: Option<Span>,
    /// A number that it gave this coordinator for a change of the voters, and when.
    pub(super) taken: Option<(Grant, Instant)>,
    /// When one was last given to the log.
    pub(super) used: Option<Instant>,
    /// An operator's word in place of a grant.
    pub(super) vouch: Option<Vouch>,
    /// What it has to be told so that it can be relied upon again.
    pub(super) trusting: Option<(Challenge, Grant)>,
    /// The voters that this run has seen all together, itself being current.
    whole: Option<BTreeSet<NodeId>>,
    /// The start of the guard under which this run has read the log's end, and that end. Under an
    /// earlier start the lease may have been given up in order, and others have gone on since.
    read: Option<(Incarnation, Index)>,
    /// When it was last asked for.
    read_asked: Option<Instant>,
    /// How far the switching off of the rest has come.
    fences: BTreeMap<NodeId, Switching>,
    /// Why the rest may not be switched off.
    barred: Option<String>,
}

/// A question under way.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) question: Question,
    pub(super) at: Instant,
}

impl Tie {
    /// Whether something is waited for here.
    pub(super) fn is_on(&self) -> bool {
        self.half.is_some()
            || self.vote.is_some()
            || self.trusting.is_some()
            || self.vouch.is_some()
    }

    /// Whether exactly half of the voters is here, or goes on under a grant.
    pub(super) fn is_halved(&self) -> bool {
        self.half.is_some() || self.vote.is_some()
    }

    /// Why the register grants that half nothing.
    pub(super) fn refusal(&self, half: &Half) -> Option<Refusal> {
        let here = self.half.as_ref().is_some_and(|(present, _)| present == half);
        let (said, _) = self.said.as_ref().filter(|_| here)?;
        said.as_ref().err().cloned()
    }

    /// The register said that of a half.
    pub(super) fn said(&mut self, now: Instant, half: &Half, said: Result<Grant, Refusal>) {
        if self.half.as_ref().is_some_and(|(present, _)| present == half) {
            self.said = Some((said, now));
        }
    }
}

impl Node {
    /// Does what a half can do. Called after every event.
    pub(super) fn break_tie(&mut self, now: Instant) {
        self.note_whole(now);
        if self.is_shrinking() {
            return;
        }
        let breaks = self.has_vouch(now) || self.has_register() || self.fences_ties();
        let half = if breaks { self.half_here(now) } else { None };
        if self.tie.half.as_ref().map(|(half, _)| half) != half.as_ref() {
            self.withdraw();
            self.tie.said = None;
            self.tie.told = (false, false);
            self.tie.fences.clear();
            self.tie.barred = None;
            self.tie.half = half.map(|half| (half, now));
        }
        let Some((half, since)) = self.tie.half.clone() else { return };
        let asker = self.asker(&half);
        self.tell_tie(&half, asker);
        match asker {
            Some(asker) if asker == self.me => self.go_on(now, half, since),
            Some(asker) => self.let_lead(now, asker),
            None => {}
        }
    }

    /// Whether this node has appended a smaller set of voters under its vote and it is not applied
    /// yet. The vote ends when it is (rule G6).
    fn is_shrinking(&mut self) -> bool {
        let Some(vote) = &self.tie.vote else { return false };
        if self.state.later.grant >= vote.grant {
            self.withdraw();
            // An operator's word is for one tie.
            self.tie.vouch = None;
            return false;
        }
        let appended = self.log.voters[..] != [vote.half.voters.clone()];
        self.log.leader == Some(self.me) && appended
    }

    pub(super) fn withdraw(&mut self) {
        if self.tie.vote.take().is_some() {
            self.command(Command::TieVote(None));
        }
        self.tie.pushed = None;
        self.tie.shrunk = None;
    }

    /// The half that this node is in, if the voters that are here are exactly half of all, and
    /// none of them hears a coordinator that is not one of them.
    pub(super) fn half_here(&self, now: Instant) -> Option<Half> {
        let report = self.report.as_ref()?;
        let [voters] = &self.log.voters[..] else { return None };
        let votes = voters.contains(&self.me) && report.vote_known && !report.released;
        if !votes || self.is_leaving() {
            return None;
        }
        let here = |node: &NodeId| *node == self.me || self.is_here(now, report, *node);
        let present: BTreeSet<_> = voters.iter().copied().filter(here).collect();
        let half = Half { present, voters: voters.clone() };
        // One that was never heard since the guard started is given the time to be.
        let settled = now.since(report.started) > self.state.timers.elect_after;
        if !half.is_one() || !settled {
            return None;
        }
        let leads = |node: &NodeId| self.leads_here(report, *node);
        if half.present.iter().any(leads) {
            return Some(half);
        }
        let mut peers = half.present.iter().filter_map(|node| report.peers.get(node));
        let heard = report.hears_coordinator || peers.any(|peer| peer.hears_coordinator);
        (!heard).then_some(half)
    }

    /// Whether a voter is heard, and hears this node: no half can do anything with one that does
    /// not. The latter is waited for a little longer, so that it is never what ends a short stall.
    fn is_here(&self, now: Instant, report: &Report, node: NodeId) -> bool {
        now < self.here_until(report, node)
    }

    /// Until when it counts as here, if nothing more is heard of it.
    fn here_until(&self, report: &Report, node: NodeId) -> Instant {
        let Some(peer) = report.peers.get(&node) else { return Instant::default() };
        let Some(heard) = peer.heard else { return Instant::default() };
        let hears = peer.acknowledged.unwrap_or(report.started).max(report.started);
        let heard = heard + self.state.timers.elect_after;
        heard.min(hears + self.deaf_after()) + Span(1)
    }

    /// Whether that node leads, and its daemon with it.
    fn leads_here(&self, report: &Report, node: NodeId) -> bool {
        if node == self.me {
            return self.log.leader == Some(self.me);
        }
        let coordinates =
            |peer: &PeerReport| peer.coordinator && peer.daemon_alive && peer.term >= self.log.term;
        report.peers.get(&node).is_some_and(coordinates)
    }

    /// Who asks for a half: its leader, else whoever has the most of the log, the lowest number
    /// among equals (rule G3).
    pub(super) fn asker(&self, half: &Half) -> Option<NodeId> {
        let report = self.report.as_ref()?;
        let leader = half.present.iter().copied().find(|node| self.leads_here(report, *node));
        if leader.is_some() {
            return leader;
        }
        let able = |node: &NodeId| -> Option<(core::cmp::Reverse<LogTail>, NodeId)> {
            if *node == self.me {
                return Some((core::cmp::Reverse(self.log.tail), *node));
            }
            let peer = report.peers.get(node).filter(|peer| peer.daemon_alive)?;
            Some((core::cmp::Reverse(peer.log_tail), *node))
        };
        half.present.iter().filter_map(able).min().map(|(_, node)| node)
    }

    /// Asks for a grant, or uses it.
    fn go_on(&mut self, now: Instant, half: Half, since: Instant) {
        if self.tie.vote.is_some() {
            self.use_vote(now);
            return;
        }
        if let Some(number) = self.vouched_number(&half) {
            self.take_vote(now, number, half);
            return;
        }
        if self.fences_ties() {
            self.go_on_fenced(now, half, since);
            return;
        }
        match self.tie.said.clone() {
            Some((Ok(grant), _)) if grant > self.state.later.grant => {
                self.notice(Notice::Granted(grant));
                self.take_vote(now, grant, half);
            }
            Some((_, at)) if now.since(at) < ASK_AGAIN => {}
            _ => {
                if now >= since + self.handicap(&half) {
                    self.ask_for_grant(now, half);
                }
            }
        }
    }

    fn take_vote(&mut self, now: Instant, grant: Grant, half: Half) {
        let Some(absent) = half.absent().next() else { return };
        let vote = TieVote { grant, half, absent };
        self.tie.vote = Some(vote.clone());
        self.command(Command::TieVote(Some(vote)));
        self.use_vote(now);
    }

    fn ask_for_grant(&mut self, now: Instant, half: Half) {
        let known = self.state.later.grant;
        let question = Question::Ask { known, half };
        let asked = self.tie.asked.as_ref().filter(|it| it.question == question);
        if asked.is_none_or(|it| now.since(it.at) >= ANSWER_PATIENCE) {
            self.ask(now, question);
        }
    }

    /// Asks the register. What was asked before is not waited for any more.
    pub(super) fn ask(&mut self, now: Instant, question: Question) {
        self.tie.questions += 1;
        let number = self.tie.questions;
        self.tie.spoken = Some(now);
        self.tie.asked = Some(Asked { number, question: question.clone(), at: now });
        self.command(Command::Ask { number, question });
    }

    /// How long this half lets the other one ask first: no time at all if it runs at least as many
    /// services as the other; where both run the same, if it has the coordinator.
    fn handicap(&self, half: &Half) -> Span {
        let runs = |here: bool| {
            let held = self.state.assignments.values().filter_map(|it| it.holder.node());
            held.filter(|node| half.present.contains(node) == here).count()
        };
        let ahead = match runs(true).cmp(&runs(false)) {
            core::cmp::Ordering::Greater => true,
            core::cmp::Ordering::Less => false,
            core::cmp::Ordering::Equal => match self.log.leader {
                Some(leader) => half.present.contains(&leader),
                None => half.present.first() == half.voters.first(),
            },
        };
        if ahead {
            return Span::ZERO;
        }
        let config = self.state.config.as_ref().and_then(|it| it.later.quorum.handicap);
        if self.fences_ties() {
            return config.unwrap_or(FENCE_HANDICAP);
        }
        let timers = &self.state.timers;
        let round_trip = self.tie.round_trip.unwrap_or(timers.round_trip);
        config.unwrap_or(timers.heartbeat + round_trip.times(2))
    }

    /// Leads with the vote, and takes it away from whom it answers for.
    fn use_vote(&mut self, now: Instant) {
        let Some(vote) = self.tie.vote.clone() else { return };
        if self.log.leader != Some(self.me) {
            if self.tie.pushed.is_none_or(|at| now.since(at) >= LEAD_AGAIN) {
                self.tie.pushed = Some(now);
                self.notice(Notice::Campaign(self.state.name(self.me)));
                self.command(Command::Campaign(self.me));
            }
            return;
        }
        if self.tie.shrunk.is_some_and(|at| now.since(at) < SHRINK_AGAIN) {
            return;
        }
        self.tie.shrunk = Some(now);
        let granted = || Change::Grant { number: vote.grant, out: BTreeSet::from([vote.absent]) };
        let change = self.overriding(vote.grant, vote.absent).unwrap_or_else(granted);
        self.command(Command::Shrink { vote, term: self.log.term, change });
    }

    /// Whatever this node had promised a leader that is not here, the asker has its vote; and again
    /// when it stands in a new term. Without a grant that leads nowhere.
    fn let_lead(&mut self, now: Instant, asker: NodeId) {
        let term =
            self.report.as_ref().and_then(|report| report.peers.get(&asker)).map(|it| it.term);
        let stands = term.is_some_and(|term| term > self.log.term);
        let due = self.tie.pushed.is_none_or(|at| stands && now.since(at) >= LEAD_AGAIN);
        if due && !self.report.as_ref().is_some_and(|it| self.leads_here(it, asker)) {
            self.tie.pushed = Some(now);
            self.command(Command::Campaign(asker));
        }
    }

    fn tell_tie(&mut self, half: &Half, asker: Option<NodeId>) {
        let names = |nodes: &BTreeSet<NodeId>| -> Vec<String> {
            nodes.iter().map(|node| self.state.name(*node)).collect()
        };
        if !self.tie.told.0 {
            let what = match asker {
                Some(asker) if self.fences_ties() && asker == self.me => {
                    String::from("the others are to be switched off")
                }
                Some(asker) if self.fences_ties() => {
                    alloc::format!("{} has the others switched off", self.state.name(asker))
                }
                Some(_) if !self.has_register() => String::from("nothing breaks ties"),
                Some(asker) if asker == self.me => String::from("a grant is asked for"),
                Some(asker) => alloc::format!("{} asks for a grant", self.state.name(asker)),
                None => String::from("nobody here can ask for a grant"),
            };
            let notice = Notice::Tied(names(&half.present), what);
            self.tie.told.0 = true;
            self.notice(notice);
        }
        let refused = match &self.tie.said {
            Some((Err(refusal), _)) => Some(alloc::format!("{refusal}")),
            Some((Ok(_), _)) | None => self.tie.barred.clone(),
        };
        if let Some(why) = refused.filter(|_| !self.tie.told.1) {
            self.tie.told.1 = true;
            self.notice(Notice::NotGranted(why));
        }
    }

    /// When a half has to look again.
    pub(super) fn tie_deadline(&self, now: Instant) -> Instant {
        let again = self.tie.shrunk.filter(|_| self.tie.vote.is_some());
        if let Some(again) = again.map(|at| at + SHRINK_AGAIN).filter(|again| *again > now) {
            return again;
        }
        if let Some((half, since)) = &self.tie.half {
            let failed = self.tie.fences.values().filter_map(|it| match it {
                Switching::Failed(at) => Some(*at + switch::FENCE_AGAIN),
                Switching::Asked | Switching::Off => None,
            });
            if let Some(again) = failed.filter(|again| *again > now).min() {
                return again;
            }
            let due = *since + self.handicap(half);
            return if due > now { due } else { Instant::NEVER };
        }
        let (Some(report), [voters]) = (&self.report, &self.log.voters[..]) else {
            return Instant::NEVER;
        };
        if voters.len() % 2 == 1 || !self.has_register() && !self.fences_ties() {
            return Instant::NEVER;
        }
        // The moment at which one more is not here.
        let gone = voters.iter().map(|node| self.here_until(report, *node));
        gone.filter(|at| *at > now).min().unwrap_or(Instant::NEVER)
    }

    /// What the chain says of the voters that are here, module by module, for people.
    #[must_use]
    pub fn quorum(&self, now: Instant) -> chain::Decision {
        let fresh = self.state.timers.suspect_after;
        let mut present = BTreeSet::new();
        if let Some(report) = &self.report {
            let heard = |(node, peer): &(&NodeId, &PeerReport)| {
                let fresh = report.patience(**node, fresh);
                peer.heard.is_some_and(|heard| now.since(heard) <= fresh)
            };
            present.extend(report.peers.iter().filter(heard).map(|(node, _)| *node));
        }
        present.insert(self.me);
        let said = match (&self.tie.vote, &self.tie.said) {
            (Some(_), _) if self.tie.vouch.is_some() => Some(chain::Said::Overridden),
            (Some(_), _) if self.fences_ties() => Some(chain::Said::Fenced),
            (Some(_), _) | (None, Some((Ok(_), _))) => Some(chain::Said::Granted),
            (None, Some((Err(refusal), _))) => {
                Some(chain::Said::Refused(alloc::format!("{refusal}")))
            }
            (None, None) => self.tie.barred.clone().map(chain::Said::Refused),
        };
        let config = self.state.config.as_ref();
        let chain = config.map(|it| it.later.quorum.chain.clone()).unwrap_or_default();
        chain.ask(&present, &self.log.voters, said.as_ref())
    }

    /// Whether that verdict is a grant's.
    #[must_use]
    pub fn has_grant(&self, now: Instant) -> bool {
        self.tie.vote.is_some() && self.quorum(now).verdict == Verdict::HaveQuorum
    }
}
