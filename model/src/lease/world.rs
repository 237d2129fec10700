//! The guards, as they are, and what is between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher};

use stead_core::fencing::Proof;
use stead_core::id::{Incarnation, Index, NodeId, Term};
use stead_core::lease::{
    Admission, Command, Event, Heartbeat, Lease, LogTail, Order, Report, VoterSets,
};
use stead_core::state::State;
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;

use super::Step;
use crate::rules::{Rule, Without};
use crate::ties::log::{Nodes, count, each};

/// How late a kernel shuts a gate.
const SLACK: Span = Span::from_millis(1);
/// One round of heartbeats: long enough that everybody's next is due.
const ROUND: Span = Span::from_millis(25);
/// The rounds of an exchange: who hears a new start for the first time echoes it in the next.
const ROUNDS: usize = 2;
/// A silence. Two are longer than the wait before acting, one is shorter than a lease.
const SILENCE: Span = Span::from_millis(200);
/// Where in the log everybody was admitted.
const ADMITTED: Index = Index(1);
/// More answers than one exchange can have: a machine that goes on and on is a bug.
const MOST_ANSWERS: usize = 1_000;

/// A node: its guard, and what its daemon knows.
struct Node {
    guard: Lease,
    incarnation: Incarnation,
    report: Option<Report>,
    /// When it sent which datagram.
    sent: Vec<(u64, Instant)>,
    /// The newest term that its log has on disk.
    term: Term,
}

/// All nodes at one moment.
pub(super) struct World {
    without: Without,
    pub(super) now: Instant,
    nodes: Vec<Node>,
    /// Whom the log elected last.
    leader: Option<(u8, Term)>,
    pub(super) voters: Nodes,
    /// Datagrams that are late.
    held: Vec<(u8, Heartbeat)>,
    /// Whose lease others believe to be over, while it is not.
    pub(super) bad: Option<(u8, u8)>,
}

fn id(node: u8) -> NodeId {
    NodeId(u64::from(node) + 1)
}

fn set(nodes: Nodes) -> BTreeSet<NodeId> {
    each(nodes).map(id).collect()
}

impl World {
    pub(super) fn new(nodes: u8, voters: u8, without: Without) -> Self {
        let start = |node| Node {
            guard: guard(node, nodes, Incarnation(1), Instant(1), Term(0)),
            incarnation: Incarnation(1),
            report: None,
            sent: Vec::new(),
            term: Term(0),
        };
        let mut world = Self {
            without,
            now: Instant(1),
            nodes: (0..nodes).map(start).collect(),
            leader: None,
            voters: (1 << voters) - 1,
            held: Vec::new(),
            bad: None,
        };
        world.settle(|_, _| false, false);
        world
    }

    pub(super) fn leader(&self) -> Option<u8> {
        self.leader.map(|(node, _)| node)
    }

    /// How many nodes there are.
    fn count(&self) -> u8 {
        u8::try_from(self.nodes.len()).unwrap_or(u8::MAX)
    }

    /// Does one step. Says whether it was possible.
    pub(super) fn step(&mut self, step: &Step) -> bool {
        match *step {
            Step::Exchange { groups, late } => self.exchange(&groups, late),
            Step::Silence => {
                self.now = Instant(self.now.0 + SILENCE.0);
                self.tick();
                self.settle(|_, _| false, false);
                self.suspect();
            }
            Step::Elect { node, with } => self.elect(node, with),
            Step::Change { voters, with } => {
                if !self.change(voters, with) {
                    return false;
                }
            }
            Step::Restart(node) => self.restart(node),
        }
        self.judge();
        true
    }

    fn tick(&mut self) {
        let now = self.now;
        self.nodes.iter_mut().for_each(|node| node.guard.handle(now, Event::Tick));
    }

    fn exchange(&mut self, groups: &[Nodes], late: bool) {
        let near = |from: u8, to: u8| {
            groups.iter().any(|group| group & 1 << from != 0 && group & 1 << to != 0)
        };
        let held = std::mem::take(&mut self.held);
        held.into_iter().for_each(|(to, heartbeat)| self.deliver(to, heartbeat));
        for _ in 0..ROUNDS {
            self.now = Instant(self.now.0 + ROUND.0);
            self.tick();
            self.settle(near, late);
        }
        self.suspect();
    }

    fn deliver(&mut self, to: u8, heartbeat: Heartbeat) {
        let now = self.now;
        let event = Event::Heartbeat { link: 0, heartbeat };
        self.nodes[usize::from(to)].guard.handle(now, event);
    }

    /// Carries what the guards say, until nobody says anything more. What can't get through is
    /// lost, or late.
    fn settle(&mut self, near: impl Fn(u8, u8) -> bool, late: bool) {
        let mut under_way = VecDeque::new();
        for _ in 0..MOST_ANSWERS {
            for node in 0..self.count() {
                self.listen(node, &mut under_way);
            }
            let Some((from, to, heartbeat)) = under_way.pop_front() else { return };
            if near(from, to) {
                self.deliver(to, heartbeat);
            } else if late {
                self.held.push((to, heartbeat));
            }
        }
        panic!("the guards never fall silent");
    }

    fn listen(&mut self, from: u8, under_way: &mut VecDeque<(u8, u8, Heartbeat)>) {
        let now = self.now;
        let node = &mut self.nodes[usize::from(from)];
        while let Some(command) = node.guard.poll() {
            match command {
                Command::Send { to, heartbeat } => {
                    node.sent.push((heartbeat.sequence.0, now));
                    let to = u8::try_from(to.0 - 1).unwrap_or(u8::MAX);
                    under_way.push_back((from, to, heartbeat));
                }
                Command::Report(report) => node.report = Some(report),
                Command::Enforce { .. } | Command::VoteKnown(_) | Command::Watchdog(_) => {}
            }
        }
    }

    fn order(&mut self, node: u8, order: Order) {
        let now = self.now;
        self.nodes[usize::from(node)].guard.handle(now, Event::Order(order));
        // What it says at once is lost: the exchanges carry enough.
        self.listen(node, &mut VecDeque::new());
    }

    /// A node's log has that term on its disk; its guard learns it first (rule T2).
    fn learn(&mut self, node: u8, term: Term) {
        if self.nodes[usize::from(node)].term < term {
            self.order(node, Order::Vote(term));
            self.nodes[usize::from(node)].term = term;
        }
    }

    fn elect(&mut self, node: u8, with: Nodes) {
        let newest = self.nodes.iter().map(|node| node.term).max().unwrap_or_default();
        let term = Term(newest.0 + 1);
        each(with).for_each(|voter| self.learn(voter, term));
        self.leader = Some((node, term));
        self.lead();
    }

    /// The coordinator's daemon tells its guard who votes, and who is admitted.
    fn lead(&mut self) {
        let Some((node, term)) = self.leader else { return };
        let admission = |_| Admission { incarnation: Incarnation(1), index: ADMITTED };
        let admitted: BTreeMap<_, _> =
            (0..self.count()).map(|node| (id(node), admission(node))).collect();
        let voters: VoterSets = vec![set(self.voters)];
        self.order(node, Order::Lead { term, voters, admitted });
    }

    /// The coordinator changes who votes, if its guard's newest report lets it.
    fn change(&mut self, voters: Nodes, with: Nodes) -> bool {
        let Some((node, term)) = self.leader else { return false };
        let Some(report) = &self.nodes[usize::from(node)].report else { return false };
        let settled = report.voters == [set(self.voters)];
        let quorate = report.coordinates == Some(term) && report.quorate_until > self.now;
        if !quorate || !settled && self.without.keeps(Rule::G10) {
            return false;
        }
        each(with).for_each(|voter| self.learn(voter, term));
        self.voters = voters;
        if !self.without.keeps(Rule::C8) {
            // What the voters of before had said is forgotten: the count begins anew.
            self.order(node, Order::Follow);
        }
        self.lead();
        true
    }

    /// The guard starts anew. What the former one had is shut (rule H5).
    fn restart(&mut self, node: u8) {
        let (nodes, now) = (self.count(), self.now);
        let it = &mut self.nodes[usize::from(node)];
        it.incarnation = Incarnation(it.incarnation.0 + 1);
        // Without rule T2 it is told nothing of the vote on the disk.
        let known = if self.without.keeps(Rule::T2) { it.term } else { Term(0) };
        it.guard = guard(node, nodes, it.incarnation, now, known);
        it.report = None;
        it.sent.clear();
        if self.leader() == Some(node) {
            // Its proofs and revocations are gone (rule T5).
            self.leader = None;
        }
    }

    /// The coordinator counts out whom its guard has not heard just now, and in again whom it has.
    fn suspect(&mut self) {
        let Some((leader, _)) = self.leader else { return };
        let now = self.now;
        let Some(report) = self.nodes[usize::from(leader)].report.clone() else { return };
        for (peer, seen) in report.peers.iter() {
            match (seen.heard == Some(now), seen.revoked) {
                (true, Some(_)) => self.order(leader, Order::Readmit(*peer)),
                (false, None) => self.order(leader, Order::Revoke(*peer)),
                (true, None) | (false, Some(_)) => {}
            }
        }
    }

    /// Whether the coordinator holds a proof that a node's lease is over, and it is not.
    fn judge(&mut self) {
        let Some((leader, _)) = self.leader else { return };
        let Some(mut report) = self.nodes[usize::from(leader)].report.clone() else { return };
        let mut timers = Timers::default();
        if !self.without.keeps(Rule::Wait) {
            timers = timers.disarmed(Span(timers.lease.0 / 4 * 3));
        }
        if !self.without.keeps(Rule::Earlier) {
            report.earlier_coordinator = report.earlier_coordinator.map(|_| Instant::START);
        }
        let admission = Admission { incarnation: Incarnation(1), index: ADMITTED };
        let view = (0..self.count()).map(|node| (id(node), admission)).collect();
        let state = State { timers, view, ..State::default() };
        let now = self.now;
        for node in (0..self.count()).filter(|node| *node != leader) {
            let expired = Proof::lease_expired(now, &state, &report, id(node)).is_some();
            if expired && self.nodes[usize::from(node)].guard.lease_until() > now {
                self.bad = Some((leader, node));
            }
        }
    }

    /// Until when each node may answer, in milliseconds from now; nothing for one that may not.
    pub(super) fn leases(&self) -> Vec<Option<u64>> {
        let left = |node: &Node| {
            let left = node.guard.lease_until().since(self.now);
            (left > Span::ZERO).then_some(left.0 / 1_000)
        };
        self.nodes.iter().map(left).collect()
    }

    /// A number for all that could make a difference later.
    pub(super) fn digest(&self) -> u64 {
        let mut to = DefaultHasher::new();
        (self.now, self.voters, self.leader).hash(&mut to);
        for node in &self.nodes {
            // Writing to a hasher never fails.
            let _ = write!(Hashing(&mut to), "{:?}", node.guard);
            (node.incarnation, node.term, &node.sent).hash(&mut to);
        }
        let _ = write!(Hashing(&mut to), "{:?}", self.held);
        to.finish()
    }

    /// The smallest sets that are more than half of those, with that node.
    pub(super) fn majorities(voters: Nodes, node: u8) -> impl Iterator<Item = Nodes> {
        let enough = count(voters) / 2 + 1;
        (1..=voters)
            .filter(move |set| set & !voters == 0 && set & 1 << node != 0 && count(*set) == enough)
    }
}

/// Hashes what is written.
struct Hashing<'a>(&'a mut DefaultHasher);

impl fmt::Write for Hashing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// A guard as it is after its daemon has told it what it needs.
fn guard(node: u8, nodes: u8, incarnation: Incarnation, now: Instant, vote: Term) -> Lease {
    let mut guard = Lease::new(id(node), incarnation, now, SLACK, Timers::default());
    let peers = (0..nodes).filter(|other| *other != node).map(id).collect();
    let orders = [
        Order::Peers(peers),
        Order::Vote(vote),
        Order::Applied { applied: ADMITTED, log_tail: LogTail::default() },
    ];
    guard.handle(now, Event::DaemonConnected);
    orders.into_iter().for_each(|order| guard.handle(now, Event::Order(order)));
    guard
}
