//! What the lease machine makes of its daemon's orders.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::authority::{Admission, Authority, VoterSets};
use super::holding::Holding;
use super::order::Order;
use super::peer::Peer;
use super::{Command, Lease};
use crate::id::{Epoch, NodeId, Term};
use crate::points::Watched;
use crate::time::Instant;

impl Lease {
    /// A clock outside the bound can neither hold a lease nor give one. What was measured by it
    /// counts for nothing afterwards either.
    pub(super) fn on_clock_trusted(&mut self, now: Instant, trusted: bool) {
        if trusted == self.clock_distrusted {
            self.started = now;
            self.coordinator_heard = now;
            self.earlier_coordinator = now;
            self.authority = None;
            self.kept_authority = Instant::START;
            self.lease = Instant::START;
        }
        let news = self.clock_distrusted == trusted;
        self.clock_distrusted = !trusted;
        self.check_lease(now);
        if news {
            // Before its daemon has said that anything stopped: nobody shall give it back here.
            self.beat_all(now);
        }
    }

    pub(super) fn on_order(&mut self, now: Instant, order: Order) {
        self.unanswered = None;
        match order {
            Order::Alive => {}
            Order::Vote(term) => {
                self.vote_known = true;
                self.learn(term);
                self.commands.push_back(Command::VoteKnown(self.term));
                self.beat_all(now);
            }
            Order::Lead { term, voters, admitted } => self.lead(now, term, voters, admitted),
            Order::Follow => self.lay_down_role(),
            Order::Revoke(node) => {
                // One that was forgotten for a while may have had a lease until then.
                let heard = self.peers.get(&node).map_or(now, |peer| peer.last_sign(self.started));
                if let Some(authority) = &mut self.authority {
                    authority.revoke(node, heard);
                }
                self.report(now);
            }
            Order::Readmit(node) => {
                if let Some(authority) = &mut self.authority {
                    authority.readmit(node);
                }
                self.report(now);
            }
            Order::Applied { applied, log_tail } => {
                self.applied = self.applied.max(applied);
                self.log_tail = log_tail;
            }
            Order::Timers(timers) => self.count_by(now, 0, timers),
            Order::Peers(peers) => {
                self.peers.retain(|node, _| peers.contains(node));
                for node in peers.into_iter().filter(|node| *node != self.me) {
                    self.peers.get_or_insert_with(node, || Peer::new(now));
                }
            }
            Order::Hold { number, addresses } => {
                self.hold_number = number;
                self.hold(now, addresses);
            }
            Order::Release => self.release(now),
            Order::Count { revision, timers } => self.on_count(now, revision, timers),
            Order::Points(watched) => self.take_points(now, *watched),
            Order::Keep(epoch) => self.keep(now, epoch),
            Order::Watch { number, least, bound } => self.on_watch(now, number, least, bound),
            Order::Slow(slow) => {
                self.peers.iter_mut().for_each(|(node, peer)| peer.slow = slow.contains(node));
                self.report(now);
            }
        }
    }

    /// Programs without addresses run, or run no more. What is not there ends with no lease.
    fn keep(&mut self, now: Instant, epoch: Epoch) {
        if now < self.lease_until() || epoch == Epoch::default() {
            self.holdings.keep(epoch);
        }
        if self.holdings.is_empty() {
            self.enforce(now);
        } else {
            self.arm(now);
        }
        self.report(now);
    }

    /// What changed much is said at once: whoever coordinates acts upon it.
    fn take_points(&mut self, now: Instant, watched: Watched) {
        let news = watched.is_news(&self.points, self.timers.heartbeat.times(2));
        self.points = watched;
        if news {
            self.beat_all(now);
            self.report(now);
        }
    }

    /// Learns of a term. From here on nothing is echoed to an older one.
    pub(super) fn learn(&mut self, term: Term) {
        if term <= self.term {
            return;
        }
        self.term = term;
        self.earlier_coordinator = self.coordinator_heard;
        self.lay_down_role();
    }

    fn lay_down_role(&mut self) {
        self.kept_authority = self.kept_authority.max(self.own_authority());
        self.authority = None;
    }

    fn lead(
        &mut self,
        now: Instant,
        term: Term,
        voters: VoterSets,
        admitted: BTreeMap<NodeId, Admission>,
    ) {
        let may = self.vote_known && !self.released && !self.clock_distrusted;
        if term != self.term || !may {
            return;
        }
        if self.authority.as_ref().is_none_or(|authority| authority.term != term) {
            self.lay_down_role();
            let mut first = self.sent.newest();
            first.0 += 1;
            self.authority = Some(Authority::new(term, first));
        }
        if let Some(authority) = &mut self.authority {
            let mut next = self.sent.newest();
            next.0 += 1;
            authority.set(voters, admitted, next, (self.me, self.earlier_coordinator));
        }
        // A new coordinator beats at once and is answered at once, so that no other node's address
        // blinks when the old one died. From here on it beats by its own clock.
        self.next_beat = self.next_beat.min(now + self.timers.heartbeat);
        self.beat_all(now);
    }

    fn hold(&mut self, now: Instant, wanted: Vec<Holding>) {
        let may = self.lease_until() > now;
        let before = self.holdings.held().to_vec();
        if may {
            self.holdings.set(wanted);
        } else {
            // Without a lease things may only be let go.
            self.holdings.set(before.iter().copied().filter(|h| wanted.contains(h)).collect());
        }
        if self.holdings.held() != before {
            self.enforce(now);
        }
        self.report(now);
    }

    /// Gives the lease up for good: the gate is shut first, then it is said (rule H4).
    fn release(&mut self, now: Instant) {
        self.released = true;
        self.unbind_watchdog();
        self.authority = None;
        self.holdings.lapse();
        self.enforce(now);
        self.beat_all(now);
        self.report(now);
    }
}
