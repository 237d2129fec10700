//! How each change changes the state.

use alloc::string::String;
use alloc::vec::Vec;

use super::change::{Change, Digest, Outcome, PROTOCOL_0_2, ProofRecord, Takeover};
use super::config::Config;
use super::incident::{Cause, Moved, Reached, Stage};
use super::{Holder, LEFT_KEPT, Member, Refusal, State};
use crate::id::{ClusterId, Epoch, Incarnation, Index, NodeId, ServiceId, Term};
use crate::lease::Admission;
use crate::time::Span;
use crate::timers::Timers;

pub(super) type Applied = Result<Outcome, Refusal>;

impl State {
    /// Applies the entry at `index`. A refused change leaves everything but `applied` as it was.
    pub fn apply(&mut self, index: Index, change: Change) -> Outcome {
        self.applied = index;
        let needed = change.protocol();
        match self.change(index, change) {
            Ok(outcome) => {
                if needed > PROTOCOL_0_2 {
                    self.more.protocol = self.more.protocol.max(needed);
                }
                outcome
            }
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    fn change(&mut self, index: Index, change: Change) -> Applied {
        if let Change::Found { cluster, config, node, key } = change {
            return self.found(cluster, config, node, key);
        }
        if self.cluster.is_none() {
            return Err(Refusal::NotFounded);
        }
        match change {
            Change::Found { .. } => Err(Refusal::AlreadyFounded),
            Change::Configure { base, config } => self.configure(base, config),
            Change::Settle { revision } => self.settle(revision),
            Change::AddToken { token, node } => self.add_token(token, node),
            Change::Join { token, key } => self.join(&token, key),
            Change::Leave { node } => self.leave(node),
            Change::Admit { node, incarnation } => self.admit(index, node, incarnation),
            Change::Takeover(takeover) => self.take_over(index, takeover),
            Change::Assign { service, base, node } => self.assign(index, service, base, node),
            Change::Stop { service, base, cause, wish } => self.stop(&service, base, cause, wish),
            Change::Stopped { service, node, epoch, cause, took } => {
                self.stopped(&service, node, epoch, cause, took)
            }
            Change::Standby { node, on } => self.set_standby(node, on),
            Change::Clear { service } => self.clear(service.as_ref()),
            Change::Lead { term } => self.lead(term),
            Change::Observe { service, epoch, stages } => self.observe(&service, epoch, stages),
            Change::Disarm { base, span, reason, by } => self.disarm(base, span, reason, by),
            Change::Arm { base, by: _ } => self.arm(base),
            Change::Grant { number, out } => self.use_up(number, out),
            Change::Back { node } => self.vote_again(node),
            Change::Enrol { server } => self.enrol(server),
            Change::Override(word) => self.override_by(word),
            Change::Steady { node } => self.steady(node),
            Change::Halt { nodes, on } => self.halt(&nodes, on),
            Change::ConfirmOff(word) => self.confirm_off(word),
            Change::StopServices { services, on } => self.stop_services(&services, on),
            Change::Maintain { scope, maintenance } => self.maintain(scope, maintenance),
            Change::Works { service, epoch } => self.note_works(service, epoch),
            Change::ClearResource { service, resource } => self.clear_part(&service, &resource),
            Change::Copy { service, node, step } => self.copy_step(&service, node, step),
            Change::Attribute { scope, name, value } => self.set_attribute(scope, name, value),
            Change::Fence(change) => self.change_fencing(change),
            Change::Watch(word) => self.watch(word),
            Change::WatchdogElapsed { node, number } => self.watchdog_elapsed(node, number),
            Change::Times { open } => self.set_times(open),
            Change::Visit { service, visit } => self.visit(service, visit),
            Change::Register(change) => self.change_register(change),
        }
    }

    fn found(&mut self, cluster: ClusterId, config: Config, node: String, key: Digest) -> Applied {
        if self.cluster.is_some() {
            return Err(Refusal::AlreadyFounded);
        }
        if !config.nodes.contains_key(&node) {
            return Err(Refusal::NotAwaited(node));
        }
        if config.later.satellites.contains(&node) {
            return Err(Refusal::LastVoter);
        }
        self.timers = derive(&config)?;
        self.cluster = Some(cluster);
        self.next_node = 2;
        self.members.insert(NodeId(1), Member { name: node, key });
        self.take_config(config);
        Ok(Outcome::Done)
    }

    fn configure(&mut self, base: u64, config: Config) -> Applied {
        if base != self.revision {
            return Err(Refusal::Stale);
        }
        let missing = self.members.values().find(|it| !config.nodes.contains_key(&it.name));
        if let Some(member) = missing {
            return Err(Refusal::MemberMissing(member.name.clone()));
        }
        if let Some(service) = self.maintained_change(&config) {
            return Err(Refusal::InMaintenance(service));
        }
        self.refuse_reserved(&config)?;
        self.some_vote(|_, name| config.later.satellites.contains(name))?;
        let timers = self.with_lease(derive(&config)?);
        if timers != self.timers {
            if self.is_disarmed() {
                return Err(Refusal::Disarmed);
            }
            if self.former_timers.is_some() {
                return Err(Refusal::Unsettled);
            }
            // Leases under the old timers run on: others wait by the longer until it is settled.
            self.former_timers = Some(self.timers);
            self.timers = timers;
        }
        self.take_config(config);
        Ok(Outcome::Done)
    }

    fn take_config(&mut self, config: Config) {
        self.forget_changed_ways(&config);
        for service in config.services.keys() {
            self.assignments.entry(service.clone()).or_default();
        }
        // A service that is no longer wanted is stopped by its holder first, and forgotten then.
        for (service, assignment) in &mut self.assignments {
            if !config.services.contains_key(service)
                && let Holder::Node(node) = assignment.holder
            {
                assignment.holder = Holder::Stopping { node, cause: Cause::Planned };
            }
        }
        let changed = self.assignments.keys().filter(|it| self.is_changed(&config, it));
        let changed: Vec<_> = changed.cloned().collect();
        self.config = Some(config);
        self.revision += 1;
        self.describe_copies(&changed);
        // What runs by an old description is stopped and started by the new one, in place.
        for service in changed {
            let Some(assignment) = self.assignments.get_mut(&service) else { continue };
            if let Holder::Node(node) = assignment.holder {
                assignment.holder = Holder::Stopping { node, cause: Cause::Planned };
                assignment.wish = Some(node);
            }
        }
        self.give_macs();
        self.forget_unwanted();
        self.forget_gone();
    }

    pub(super) fn forget_unwanted(&mut self) {
        let Some(config) = &self.config else { return };
        self.assignments.retain(|service, assignment| {
            config.services.contains_key(service) || assignment.holder.node().is_some()
        });
        self.later
            .fencing
            .redirect
            .macs
            .retain(|service, _| self.assignments.contains_key(service));
    }

    fn lead(&mut self, term: Term) -> Applied {
        if term <= self.term {
            return Err(Refusal::Stale);
        }
        self.term = term;
        Ok(Outcome::Done)
    }

    fn settle(&mut self, revision: u64) -> Applied {
        if revision != self.revision || self.former_timers.is_none() {
            return Err(Refusal::Stale);
        }
        self.former_timers = None;
        Ok(Outcome::Done)
    }

    fn add_token(&mut self, token: Digest, node: String) -> Applied {
        let configured = self.config.as_ref().is_some_and(|it| it.nodes.contains_key(&node));
        if !configured || self.node(&node).is_some() {
            return Err(Refusal::NotAwaited(node));
        }
        // A newer token for the same node replaces the older one.
        self.tokens.retain(|_, other| *other != node);
        self.tokens.insert(token, node);
        Ok(Outcome::Done)
    }

    fn join(&mut self, token: &Digest, key: Digest) -> Applied {
        let name = self.tokens.get(token).cloned().ok_or(Refusal::BadToken)?;
        let configured = self.config.as_ref().is_some_and(|it| it.nodes.contains_key(&name));
        if !configured || self.node(&name).is_some() {
            return Err(Refusal::NotAwaited(name));
        }
        self.tokens.remove(token);
        let node = NodeId(self.next_node);
        self.next_node += 1;
        self.members.insert(node, Member { name, key });
        Ok(Outcome::Joined(node))
    }

    fn leave(&mut self, node: NodeId) -> Applied {
        if !self.members.contains_key(&node) {
            return Err(Refusal::NoSuchNode);
        }
        if self.members.len() == 1 {
            return Err(Refusal::LastMember);
        }
        if let Some((service, _)) = self.held_by(node).next() {
            return Err(Refusal::StillServes(service.clone()));
        }
        self.some_vote(|other, _| other == node || self.is_satellite(other))?;
        if let Some(member) = self.members.remove(&node) {
            self.left.insert(node, member);
        }
        while self.left.len() > LEFT_KEPT {
            self.left.pop_first();
        }
        self.standby.remove(&node);
        self.later.out.remove(&node);
        self.later.halted.remove(&node);
        self.later.next.maintenance.nodes.remove(&node);
        self.forget_copies_of(node);
        self.forget_fencing_of(node);
        self.later.next.attributes.permanent.remove(&node);
        if self.view.remove(&node).is_some() {
            self.epoch = self.epoch.next();
        }
        Ok(Outcome::Done)
    }

    fn admit(&mut self, index: Index, node: NodeId, incarnation: Incarnation) -> Applied {
        if !self.members.contains_key(&node) {
            return Err(Refusal::NoSuchNode);
        }
        if self.view.get(&node).is_some_and(|known| known.incarnation >= incarnation) {
            return Err(Refusal::Stale);
        }
        // Somebody may be switching it off at this moment; or has, and it says that it goes on.
        if self.is_being_fenced(node) || self.is_fenced(node, incarnation) {
            return Err(Refusal::Fenced(node));
        }
        self.later.fencing.lost.remove(&node);
        self.later.fencing.fenced.remove(&node);
        self.later.fencing.cut_off.remove(&node);
        self.later.fencing.failures.remove(&node);
        self.forget_copies_of(node);
        self.rely_no_more(node);
        self.end_cycles_of(node);
        self.view.insert(node, Admission { incarnation, index });
        self.epoch = self.epoch.next();
        // Its former start ended with the lease and all that stood on it. What is still assigned to
        // it needs a new epoch to start again there, or to be reported as stopped.
        for assignment in self.assignments.values_mut() {
            if assignment.holder.node() == Some(node) {
                self.epoch = self.epoch.next();
                assignment.epoch = self.epoch;
            }
        }
        Ok(Outcome::Done)
    }

    fn take_over(&mut self, index: Index, takeover: Takeover) -> Applied {
        let Takeover { node, term, incarnation, base, cause, assignments, stages, proof } =
            takeover;
        let admitted = self.view.get(&node).is_some_and(|it| it.incarnation == incarnation);
        let proven = proof != ProofRecord::Fenced || self.is_fenced(node, incarnation);
        if term != self.term || base != self.epoch || !admitted || !proven {
            return Err(Refusal::Stale);
        }
        self.view.remove(&node);
        self.note_lost(node, incarnation);
        self.end_cycles_of(node);
        self.forget_copies_of(node);
        self.epoch = self.epoch.next();
        let held: Vec<_> = self.held_by(node).map(|(service, _)| service.clone()).collect();
        let mut moved = Vec::new();
        for service in held {
            let planned = assignments.iter().find(|(name, _)| *name == service);
            let fit = |to: &NodeId| self.view.contains_key(to) && self.is_fit(&service, *to);
            let to = planned.and_then(|(_, to)| *to).filter(fit);
            let wanted = self.config.as_ref().is_some_and(|it| it.services.contains_key(&service));
            let may = wanted && !self.is_kept(&service) && !self.is_address_busy(&service);
            let to = to.filter(|to| may && !self.is_node_maintained(*to));
            // What is lost while it is left as it is goes on where it was.
            let wish = self.is_maintained(&service).then_some(node);
            self.epoch = self.epoch.next();
            let (epoch, took) = (self.epoch, Span::ZERO);
            if self.stays(&service, proof) {
                if let Some(assignment) = self.assignments.get_mut(&service) {
                    assignment.epoch = epoch;
                    assignment.wish = wish;
                    // The lease that let its node answer for them is over.
                    assignment.addresses.clear();
                    assignment.holder = Holder::Stopping { node, cause };
                }
                moved.push(Moved { service, to: None, epoch });
                continue;
            }
            match to {
                Some(_) => self.bind(&service),
                None => self.unbind(&service),
            }
            let addresses = match to {
                Some(to) => self.addresses_on(&service, to),
                None => self.configured_addresses(&service),
            };
            if let Some(assignment) = self.assignments.get_mut(&service) {
                assignment.epoch = epoch;
                assignment.addresses = addresses;
                assignment.wish = wish;
                assignment.holder = to.map_or(Holder::Stopped { node, cause, took }, Holder::Node);
            }
            moved.push(Moved { service, to, epoch });
        }
        self.forget_unwanted();
        self.record(index, node, cause, moved, stages);
        Ok(Outcome::Done)
    }

    fn assign(&mut self, index: Index, service: ServiceId, base: Epoch, node: NodeId) -> Applied {
        if !self.view.contains_key(&node) {
            return Err(Refusal::NotEligible(node));
        }
        // Decided upon before an operator said otherwise.
        if self.is_kept(&service) || self.is_node_maintained(node) || self.cycle(node).is_some() {
            return Err(Refusal::Stale);
        }
        if !self.is_fit(&service, node) {
            return Err(Refusal::NoCopy(node));
        }
        let epoch = self.epoch.next();
        let (busy, addresses) = (self.is_address_busy(&service), self.addresses_on(&service, node));
        let assignment = self.assignments.get_mut(&service).ok_or(Refusal::NoSuchService)?;
        if assignment.epoch != base || assignment.holder.node().is_some() || busy {
            return Err(Refusal::Stale);
        }
        assignment.addresses = addresses;
        let before = core::mem::replace(&mut assignment.holder, Holder::Node(node));
        assignment.epoch = epoch;
        assignment.wish = None;
        if before == Holder::Never {
            assignment.first_epoch = Some(epoch);
        }
        self.epoch = epoch;
        self.bind(&service);
        match before {
            Holder::Stopped { node: from, cause, took } => {
                let stage = Stage {
                    node: from,
                    service: Some(service.clone()),
                    reached: Reached::Stopped,
                    after: took,
                    detail: String::new(),
                };
                let moved = Vec::from([Moved { service, to: Some(node), epoch }]);
                self.record(index, from, cause, moved, Vec::from([stage]));
            }
            Holder::Never | Holder::Node(_) | Holder::Stopping { .. } => {}
        }
        Ok(Outcome::Done)
    }

    fn stop(
        &mut self,
        service: &ServiceId,
        base: Epoch,
        cause: Cause,
        wish: Option<NodeId>,
    ) -> Applied {
        if let Some(wish) = wish
            && !(self.view.contains_key(&wish) && self.takes(wish))
        {
            return Err(Refusal::NotEligible(wish));
        }
        if let Some(wish) = wish
            && !self.is_fit(service, wish)
        {
            return Err(Refusal::NoCopy(wish));
        }
        let maintained = self.is_maintained(service);
        let assignment = self.assignments.get_mut(service).ok_or(Refusal::NoSuchService)?;
        let Holder::Node(node) = assignment.holder else { return Err(Refusal::Stale) };
        if assignment.epoch != base || maintained {
            return Err(Refusal::Stale);
        }
        if wish == Some(node) && cause == Cause::Planned {
            return Err(Refusal::AlreadyThere);
        }
        assignment.holder = Holder::Stopping { node, cause };
        assignment.wish = wish;
        Ok(Outcome::Done)
    }

    fn stopped(
        &mut self,
        service: &ServiceId,
        node: NodeId,
        epoch: Epoch,
        cause: Cause,
        took: Span,
    ) -> Applied {
        let maintained = self.is_maintained(service);
        let assignment = self.assignments.get_mut(service).ok_or(Refusal::NoSuchService)?;
        if assignment.holder.node() != Some(node) || assignment.epoch != epoch {
            return Err(Refusal::Stale);
        }
        let cause = match assignment.holder {
            Holder::Stopping { cause, .. } => cause,
            Holder::Never | Holder::Stopped { .. } | Holder::Node(_) => cause,
        };
        if cause == Cause::Failed {
            let failures = assignment.failures.entry(node).or_default();
            *failures = failures.saturating_add(1);
        }
        if cause == Cause::Maintenance || maintained && cause == Cause::Lost {
            // It ended, or was lost, while it was left as it was: it goes on where it is.
            assignment.wish = Some(node);
        }
        assignment.holder = Holder::Stopped { node, cause, took };
        self.epoch = self.epoch.next();
        assignment.epoch = self.epoch;
        self.unbind(service);
        self.note_demoted(service, node);
        self.forget_unwanted();
        Ok(Outcome::Done)
    }

    fn set_standby(&mut self, node: NodeId, on: bool) -> Applied {
        if !self.members.contains_key(&node) {
            return Err(Refusal::NoSuchNode);
        }
        if !on && self.cycle(node).is_some() {
            return Err(Refusal::BeingCycled(node));
        }
        let changed = if on { self.standby.insert(node) } else { self.standby.remove(&node) };
        if changed { Ok(Outcome::Done) } else { Err(Refusal::AlreadyThere) }
    }

    /// Every member's own account of the node ends with it; nothing of that is in the state.
    fn steady(&self, node: NodeId) -> Applied {
        if self.members.contains_key(&node) { Ok(Outcome::Done) } else { Err(Refusal::NoSuchNode) }
    }

    fn clear(&mut self, service: Option<&ServiceId>) -> Applied {
        if let Some(service) = service {
            let assignment = self.assignments.get_mut(service).ok_or(Refusal::NoSuchService)?;
            assignment.failures.clear();
            return Ok(Outcome::Done);
        }
        self.assignments.values_mut().for_each(|assignment| assignment.failures.clear());
        Ok(Outcome::Done)
    }

    /// The holder's account of one of its parts ends with it; nothing of that is in the state.
    fn clear_part(&self, service: &ServiceId, resource: &str) -> Applied {
        let config = self.config.as_ref().ok_or(Refusal::NotFounded)?;
        if !config.services.contains_key(service) {
            return Err(Refusal::NoSuchService);
        }
        let known = config.resources(service).iter().any(|it| it.name == resource);
        if known { Ok(Outcome::Done) } else { Err(Refusal::NoSuchResource(resource.into())) }
    }
}

/// The timers of a configuration. Its reader has checked that they follow.
pub(super) fn derive(config: &Config) -> Result<Timers, Refusal> {
    Timers::derive(config.ride_out, config.round_trip).map_err(|_| Refusal::Stale)
}
