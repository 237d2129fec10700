//! What the guard is told.
//!
//! The guard's reports say what it knows and does; what differs from what this node wants is
//! ordered, and ordered again if it seems to be lost.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Command, Node};
use crate::id::{Epoch, Index, NodeId, Term};
use crate::lease::{Admission, Holding, LogTail, Order, Report, VoterSets};
use crate::time::{Instant, Span};
use crate::timers::Timers;

/// What the guard was told, and when, so that an order is repeated only if it seems to be lost.
#[derive(Debug, Default)]
pub(super) struct Told {
    vote: Told1<Term>,
    follow: Told1<Term>,
    release: Told1<()>,
    peers: Told1<BTreeSet<NodeId>>,
    slow: Told1<BTreeSet<NodeId>>,
    pub(super) lead: Told1<(VoterSets, BTreeMap<NodeId, Admission>)>,
    pub(super) revoked: BTreeMap<NodeId, Instant>,
    hold: Told1<u64>,
    timers: Told1<(u64, Timers)>,
    pub(super) keep: Told1<Epoch>,
    pub(super) watch: Told1<u64>,
    applied: Option<(Index, LogTail)>,
}

/// One thing that was told.
pub(super) type Told1<T> = Option<(T, Instant)>;

/// Whether to tell `value`: it is new, or it was told so long ago that it must have been lost.
pub(super) fn due<T: PartialEq>(
    told: &mut Told1<T>,
    value: T,
    now: Instant,
    patience: Span,
) -> bool {
    if told.as_ref().is_some_and(|(old, at)| *old == value && now.since(*at) < patience) {
        return false;
    }
    *told = Some((value, now));
    true
}

impl Node {
    /// Brings the guard's knowledge up to this node's.
    pub(super) fn tell_guard(&mut self, now: Instant) {
        let hold = self.hold_order(now);
        let keep = self.keep_order(now);
        // Before a release, which stands on its having been told that nothing is here.
        let watch = self.watch_order(now);
        let Some(report) = &self.report else { return };
        let patience = self.state.timers.heartbeat.times(2);
        let mut orders = Vec::new();
        let voted = report.vote_known && report.term >= self.log.term;
        let term = self.log.term;
        if !voted && term > Term::default() && due(&mut self.told.vote, term, now, patience) {
            orders.push(Order::Vote(term));
        }
        // A daemon that started anew does not go on where the former one coordinated (rule T5).
        let leads = self.log.leader == Some(self.me);
        if let Some(old) = report.coordinates.filter(|old| !leads || *old != term)
            && due(&mut self.told.follow, old, now, patience)
        {
            orders.push(Order::Follow);
        }
        if let Some(peers) = self.missing_peers(report)
            && due(&mut self.told.peers, peers.clone(), now, patience)
        {
            orders.push(Order::Peers(peers));
        }
        if let Some(slow) = self.wrong_rhythm(report)
            && due(&mut self.told.slow, slow.clone(), now, patience)
        {
            orders.push(Order::Slow(slow));
        }
        orders.extend(watch);
        orders.extend(hold);
        orders.extend(keep);
        // After the holdings: once the guard knows the index of an admission it may take a lease
        // for it, and then nothing of before may be held (rule H1).
        let applied = if self.has_leftovers() {
            self.told.applied.map(|(applied, _)| applied).unwrap_or_default()
        } else {
            self.state.applied
        };
        // A run that is not current goes through timers that were in force once. They are good
        // enough for a guard that never had a lease; another knows better.
        let may_tell = self.ready || report.lease_until == Instant::START;
        let (revision, timers) = (self.state.revision, self.state.timers);
        let known = report.more.revision;
        // One that knows a later revision takes nothing from an earlier (rule M3).
        let behind = known.is_some_and(|known| known < revision) || report.timers != timers;
        if may_tell
            && behind
            && known.is_none_or(|known| known <= revision)
            && due(&mut self.told.timers, (revision, timers), now, patience)
        {
            orders.push(match known {
                Some(_) => Order::Count { revision, timers },
                None => Order::Timers(timers),
            });
        }
        if self.told.applied != Some((applied, self.log.tail)) {
            self.told.applied = Some((applied, self.log.tail));
            orders.push(Order::Applied { applied, log_tail: self.log.tail });
        }
        self.commands.extend(orders.into_iter().map(Command::Guard));
    }

    /// Whom the guard should talk to; nothing if it does.
    fn missing_peers(&self, report: &Report) -> Option<BTreeSet<NodeId>> {
        // A member that left still counts as long as it votes.
        let (members, voters) = (&self.state.members, &self.log.voters);
        // Satellites have nothing to say to each other. But whoever gave another one its lease
        // never forgets when it was heard.
        let alone = self.only_serves(self.me) && report.coordinates.is_none();
        let others = |node: &&NodeId| **node != self.me && !(alone && self.only_serves(**node));
        // Nearly always: the voters are members, and the guard knows these.
        let usual = voters.iter().flatten().all(|node| members.contains_key(node))
            && report.peers.keys().eq(members.keys().filter(others));
        if usual {
            return None;
        }
        let peers = members.keys().chain(voters.iter().flatten()).filter(others);
        let mut peers: BTreeSet<_> = peers.copied().collect();
        if !self.ready {
            // There may be more by now than there were then.
            peers.extend(report.peers.keys());
        }
        (!report.peers.keys().eq(peers.iter())).then_some(peers)
    }

    /// Whether that node is a satellite, and has no vote any more either.
    fn only_serves(&self, node: NodeId) -> bool {
        let votes = || self.log.voters.iter().any(|set| set.contains(&node));
        self.state.is_satellite(node) && !votes()
    }

    /// Whom the guard should speak to in the slow rhythm: a satellite to voters, and they to it;
    /// nothing if it does, or knows no such rhythm.
    fn wrong_rhythm(&self, report: &Report) -> Option<BTreeSet<NodeId>> {
        let told = report.later.slow.as_ref()?;
        let own = self.only_serves(self.me);
        let other = |node: &&NodeId| self.only_serves(**node) != own;
        let slow = || report.peers.keys().filter(other);
        (!told.iter().eq(slow())).then(|| slow().copied().collect())
    }

    /// Whether something of this node may run that is no longer its own: it lost its lease with it,
    /// or a former run left it. Until it is gone the guard takes no lease by a later admission.
    fn has_leftovers(&self) -> bool {
        let mine = |service| {
            let assignment = self.state.assignments.get(service);
            assignment.is_some_and(|it| it.holder.node() == Some(self.me))
        };
        !self.ready || self.local.iter().any(|(service, local)| local.may_run() && !mine(service))
    }

    /// The order that makes the guard hold what this node's services need; nothing if it does, or
    /// while this run is not current (what a former run left is held until then).
    fn hold_order(&mut self, now: Instant) -> Option<Order> {
        let report = self.report.as_ref().filter(|_| self.ready)?;
        let patience = self.state.timers.heartbeat.times(2);
        if self.is_leaving() && self.local.values().all(|local| !local.may_run()) {
            let due = !report.released && due(&mut self.told.release, (), now, patience);
            return due.then_some(Order::Release);
        }
        let mut wanted = Vec::new();
        for (service, local) in self.local.iter().filter(|(_, local)| local.holds()) {
            // Only what is this node's by the newest that it knows: what it lost is somebody else's
            // as soon as it is admitted again.
            let assignment = self.state.assignments.get(service);
            let epoch = local.epoch;
            if assignment.is_some_and(|it| it.holder.node() == Some(self.me) && it.epoch == epoch) {
                let addresses = local.addresses.iter();
                wanted.extend(addresses.map(|address| Holding { address: *address, epoch }));
            }
        }
        wanted.sort_unstable();
        // What lapsed is let go of by its own phases; the guard will not hold it any more.
        wanted.retain(|holding| holding.epoch > report.lapsed);
        if self.hold.0 == 0 || self.hold.1 != wanted {
            self.hold = (self.hold.0 + 1, wanted);
        }
        let (number, addresses) = &self.hold;
        if report.held == *addresses && report.hold_number == *number {
            return None;
        }
        let due = due(&mut self.told.hold, *number, now, patience);
        due.then(|| Order::Hold { number: *number, addresses: addresses.clone() })
    }

    /// Whether the guard holds these addresses under that epoch.
    pub(super) fn guard_holds(&self, addresses: &[IpAddr], epoch: Epoch) -> bool {
        let Some(report) = &self.report else { return false };
        addresses.iter().all(|address| report.held.contains(&Holding { address: *address, epoch }))
    }

    /// The guard's last word is not so old that the gate has shut since: while disarmed a lease
    /// outlasts it (rule M4). A guard that was stopped tells first what it was about to tell then.
    pub(super) fn gate_may_be_open(&self, now: Instant) -> bool {
        self.report.as_ref().is_some_and(|it| it.at + it.timers.ordinary_lease() > now)
    }

    /// Whether the guard has let these addresses go, and no order to hold them is on its way to it.
    pub(super) fn guard_let_go(&self, addresses: &[IpAddr]) -> bool {
        let Some(report) = &self.report else { return false };
        let (number, wanted) = &self.hold;
        let among = |held: &[Holding]| held.iter().any(|it| addresses.contains(&it.address));
        *number > 0 && report.hold_number == *number && !among(wanted) && !among(&report.held)
    }
}
