//! I1 to I3 at their root: whoever lets another act is right that nobody else does.
//!
//! Two gates that are open at once are seen by [`super::address`]. But a wait that is too short, or
//! a record that came too late, seldom goes that far: the new holder has to be quick, and its probe
//! finds the old one. So this judge asks earlier. When a change is committed that frees an address
//! its former holder has to be silent, and it must have been so when the change was proposed, for
//! what is decided too early is luck. What is proposed and refused does no harm.
//!
//! Likewise: a decision comes from a coordinator that a majority echoed; a guard that starts where
//! a vote for a later term is durable echoes no earlier one (rule T2); nobody announces what its
//! gate never let through.

use std::collections::BTreeMap;
use std::net::IpAddr;

use stead_core::id::{Epoch, NodeId, ServiceId, Term};
use stead_core::state::{Assignment, Change, ProofRecord, State, Takeover};

use crate::log::{Entry, Payload};
use crate::world::World;

/// So many proposals that rest on nothing are remembered: each is refused soon, or committed.
const DOUBTS: usize = 64;

/// What the judge remembers.
#[derive(Debug, Default)]
pub struct Proof {
    /// Proposals that rest on nothing, by which judge, and why.
    doubts: Vec<(Change, &'static str, String)>,
    /// When an assignment was first applied.
    assigned: BTreeMap<(ServiceId, Epoch), u64>,
    /// The term of a machine's durable vote when its guard started.
    voted: BTreeMap<usize, Term>,
    /// When a machine's gate was last told to let an address through.
    opened: BTreeMap<(usize, IpAddr), u64>,
}

impl Proof {
    /// A gate lets an address through.
    pub fn opens(&mut self, host: usize, address: IpAddr, now: u64) {
        self.opened.insert((host, address), now);
    }
}

impl World {
    /// A daemon proposes a change.
    pub(crate) fn judge_proposal(&mut self, host: usize, change: &Change) {
        let takeover = if let Change::Takeover(takeover) = change { Some(takeover) } else { None };
        let other = matches!(change, Change::Assign { .. } | Change::Stop { .. });
        if takeover.is_none() && !other {
            return;
        }
        // Whoever decides was echoed within an ordinary lease, disarmed or not.
        let doubt = match self.uncarried(host, self.longest_ordinary_lease()) {
            Some(why) if self.excused(&[host]).is_none() => {
                let name = self.hosts[host].name;
                Some(("I2", format!("{name} decides, and {why}")))
            }
            _ => takeover.and_then(|it| self.unproven(it.node)),
        };
        if let Some((judge, why)) = doubt {
            let doubts = &mut self.judges.proof.doubts;
            doubts.push((change.clone(), judge, format!("when it was decided, {why}")));
            if doubts.len() > DOUBTS {
                doubts.remove(0);
            }
        }
    }

    /// An entry that changed the state was committed; `before` is the state without it.
    pub(super) fn judge_freed(&mut self, before: &State, entry: &Entry) {
        let Payload::Change(change) = entry.payload() else { return };
        let after = &self.judges.durable.state;
        let now = self.now;
        let mut freed = Vec::new();
        for (service, old) in &before.assignments {
            let new = after.assignments.get(service);
            let to = new.and_then(|it| it.holder.node());
            if let Some(node) = old.holder.node().filter(|node| to != Some(*node)) {
                freed.push((service.clone(), node, old.clone()));
            }
        }
        let assigned = &mut self.judges.proof.assigned;
        for (service, it) in &after.assignments {
            assigned.entry((service.clone(), it.epoch)).or_insert(now);
        }
        if let Some(at) = self.judges.proof.doubts.iter().position(|(it, ..)| it == change) {
            let (_, judge, why) = self.judges.proof.doubts.remove(at);
            self.fail(judge, &why);
        }
        if let Change::Takeover(takeover) = change
            && let Some((judge, why)) = self.unproven(takeover.node)
        {
            self.fail(judge, &format!("when its takeover was committed, {why}"));
        }
        for (service, node, old) in freed {
            self.judge_silence(&service, node, &old, change);
        }
    }

    /// The service is free for another node: its former holder is silent, and where it said so
    /// itself its program has ended.
    fn judge_silence(&mut self, service: &ServiceId, node: NodeId, old: &Assignment, why: &Change) {
        let Some(host) = self.host_of(node) else { return };
        if self.excused(&[host]).is_some() {
            return;
        }
        let it = &self.hosts[host];
        let (name, now) = (it.name, self.now);
        if let Some(open) = old.addresses.iter().find(|address| it.open_until(**address) > now) {
            let what = format!("{service} is free, and {open} is open on {name}");
            self.fail("I3", &what);
            return;
        }
        let released = ProofRecord::Released;
        let own_word = matches!(why, Change::Stopped { .. })
            || matches!(why, Change::Takeover(Takeover { proof, .. }) if *proof == released);
        if own_word && it.programs.get(service) == Some(&old.epoch) {
            let what = format!("{service} is free by {name}'s own word, and runs there");
            self.fail("I1", &what);
        }
    }

    /// Why a node that is to be removed may still do harm.
    fn unproven(&mut self, node: NodeId) -> Option<(&'static str, String)> {
        let host = self.host_of(node)?;
        let it = &self.hosts[host];
        let (name, now) = (it.name, self.now);
        let lease = it.guard.as_ref().map(|guard| guard.lease.lease_until());
        // What stands still does nothing; for when it goes on there is an excuse, or there is none.
        let has_lease =
            it.halted.is_none() && lease.is_some_and(|until| until > it.clock.local(now));
        let open = it.gate.iter().any(|(address, _)| it.open_until(*address) > now);
        if !(has_lease || open) || self.excused(&[host]).is_some() {
            return None;
        }
        let what = if open { "its gate is open" } else { "it has a lease" };
        Some(("I3", format!("{name} is removed, and {what}")))
    }

    /// A guard starts. What its node voted by now it has to know before it echoes anyone.
    pub(crate) fn judge_guard_start(&mut self, host: usize) {
        let voted = self.hosts[host].disk.synced_term();
        self.judges.proof.voted.insert(host, voted);
    }

    /// A guard echoes that term's coordinator.
    pub(crate) fn judge_echo(&mut self, host: usize, term: Term) {
        let voted = self.judges.proof.voted.get(&host).copied().unwrap_or_default();
        if voted > term {
            let name = self.hosts[host].name;
            let what = format!("{name} had voted in term {voted}, and its guard echoes {term}");
            self.fail("I2", &what);
        }
    }

    /// A node tells the segment that it has these addresses.
    pub(crate) fn judge_announced(
        &mut self,
        host: usize,
        service: &ServiceId,
        epoch: Epoch,
        addresses: &[IpAddr],
    ) {
        let proof = &self.judges.proof;
        let Some(since) = proof.assigned.get(&(service.clone(), epoch)).copied() else { return };
        let never =
            |it: &&IpAddr| proof.opened.get(&(host, **it)).is_none_or(|opened| *opened < since);
        if let Some(address) = addresses.iter().find(never) {
            let name = self.hosts[host].name;
            let what = format!("{name} announces {address} of epoch {epoch}, and never opened it");
            self.fail("I3", &what);
        }
    }
}
