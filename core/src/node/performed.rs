//! What this node's own hands report: probes, programs, monitors, and what a former run left.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::local::{CONFLICT_PAUSE, CONFLICTS, Local, Phase};
use super::{Command, Event, Node};
use crate::id::{Epoch, NodeId, ServiceId};
use crate::lease::PeerReport;
use crate::notice::Notice;
use crate::placement;
use crate::redirect::{Layer, Probing, Seen, Verb};
use crate::resource::Care;
use crate::state::{Cause, ProofRecord, Reached};
use crate::time::{Instant, Span};

impl Node {
    /// This run is current: what a former run left is taken over where it still is assigned under
    /// the same epoch and this node has a lease, and stopped otherwise. What should be here and is
    /// not was lost.
    pub(super) fn take_stock(&mut self, now: Instant) {
        self.take_stock_of_copies(now);
        let found = core::mem::take(&mut self.found);
        let assigned: Vec<_> =
            self.state.held_by(self.me).map(|(it, a)| (it.clone(), a.epoch)).collect();
        for (service, epoch) in assigned {
            let addresses = self.assigned_addresses(&service);
            let holds = self.has_lease(now) && self.guard_holds(&addresses, epoch);
            let open = !addresses.is_empty() && holds && self.may_carry(&service, epoch);
            let there = if self.program_wanted(&service) {
                found.get(&service) == Some(&epoch)
            } else {
                !self.waits(&service)
            };
            if open && there {
                self.command(Command::Announce { service: service.clone(), epoch });
                self.command(Command::Start { service: service.clone(), epoch });
                let mut local = Local::new(epoch, Phase::Running, now);
                local.addresses = addresses;
                local.binds = self.binds(&service);
                local.steps = self.steps_here(&service);
                (local.care, local.worked) = (None, true);
                self.local.insert(service, local);
            } else {
                let left = found.get(&service).copied().unwrap_or(epoch);
                self.stop_leftover(now, service, left);
            }
        }
        for (service, epoch) in found {
            if !self.local.contains_key(&service) {
                self.stop_leftover(now, service, epoch);
            }
        }
    }

    /// Something of a former run, or lost with it: it is stopped, and what it held is let go.
    fn stop_leftover(&mut self, now: Instant, service: ServiceId, epoch: Epoch) {
        self.command(Command::Stop { service: service.clone(), epoch });
        let mut local = Local::new(epoch, Phase::Stopping(Cause::Lost), now);
        // What the guard has let go stays so: a former run may have proposed already that it is
        // free.
        local.addresses = self.assigned_addresses(&service);
        local.addresses.retain(|it| self.guard_holds(core::slice::from_ref(it), epoch));
        local.binds = self.binds(&service);
        self.local.insert(service, local);
    }

    /// Takes the result of a command.
    pub(super) fn on_performed(&mut self, now: Instant, event: Event) {
        match event {
            Event::Probed { service, epoch, conflict } => {
                self.on_probed(now, service, epoch, conflict);
            }
            Event::Announced { service, epoch } => {
                self.reached(now, &service, epoch, Reached::Announced);
                for layer in [Layer::Mac, Layer::Arp] {
                    let step = (layer, Verb::Announce);
                    self.take_step(now, &service, epoch, step, Seen::Nobody);
                }
            }
            Event::Redirected { service, epoch, layer, verb, seen } => {
                self.take_step(now, &service, epoch, (layer, verb), seen);
            }
            Event::Started { service, epoch, failed } => {
                self.on_started(now, &service, epoch, failed);
            }
            Event::Ended { service, epoch, detail } => {
                self.on_ended(now, &service, epoch, detail);
            }
            Event::Restarting { service, epoch, resource, reason } => {
                if self.is_up(&service, epoch) {
                    self.notice(Notice::Restarting(service, resource, reason));
                }
            }
            Event::Unwell { service, epoch, detail } => {
                if self.is_up(&service, epoch) {
                    self.notice(Notice::MonitorFailed(service, detail));
                }
            }
            Event::HookFailed { service, hook, reason } => {
                self.notice(Notice::HookFailed(service, hook.word().into(), reason));
            }
            Event::Stopped { service, epoch } => {
                if let Some(local) = self.local.get_mut(&service)
                    && local.epoch == epoch
                    && let Phase::Stopping(cause) = local.phase
                {
                    local.phase = Phase::Releasing(cause);
                }
            }
            Event::Monitored { service, epoch, failed } => {
                self.on_monitored(now, &service, epoch, failed);
            }
            Event::Found { service, epoch } if self.ready => {
                // Too late to be taken over.
                if !self.local.contains_key(&service) {
                    self.stop_leftover(now, service, epoch);
                }
            }
            Event::Found { service, epoch } => {
                self.found.insert(service, epoch);
            }
            Event::Tick
            | Event::Report(_)
            | Event::GuardLost
            | Event::Log(_)
            | Event::Current(_)
            | Event::Applied { .. }
            | Event::Restored(_)
            | Event::Proposed { .. }
            | Event::Retire
            | Event::CopyStarted { .. }
            | Event::CopyFailed { .. }
            | Event::CopyEnded { .. }
            | Event::CopyFound { .. }
            | Event::Answered { .. }
            | Event::Vouched(_)
            | Event::Fenced { .. }
            | Event::StoreFailed(_) => {}
        }
    }

    fn on_ended(&mut self, now: Instant, service: &ServiceId, epoch: Epoch, detail: String) {
        // A program that a former run left and that ended before this run was current is not there
        // to be taken over: starting it would be a second start (rule H3).
        if self.found.get(service) == Some(&epoch) {
            self.found.remove(service);
        }
        if self.is_up(service, epoch) {
            self.notice(Notice::Ended(service.clone(), detail));
            if self.stays_without(now, service) {
                return;
            }
            let cause = self.cause_of_failure(now, service);
            self.begin_stop(now, service, cause);
        }
    }

    /// Whether a service stays as it is though its program ended, or did not start: it is in
    /// maintenance, and has not lost its lease.
    fn stays_without(&mut self, now: Instant, service: &ServiceId) -> bool {
        let lost = self.local.get(service).is_none_or(|local| self.is_lost(now, local));
        let stays = !lost && self.care(service) == Care::Nothing;
        if let Some(local) = self.local.get_mut(service).filter(|_| stays) {
            local.ended = true;
        }
        stays
    }

    /// A program that ended with the lease, by its keeper, has not failed.
    pub(super) fn cause_of_failure(&self, now: Instant, service: &ServiceId) -> Cause {
        let lost = self.local.get(service).is_some_and(|local| self.is_lost(now, local));
        if lost { Cause::Lost } else { Cause::Failed }
    }

    fn on_probed(
        &mut self,
        now: Instant,
        service: ServiceId,
        epoch: Epoch,
        conflict: Option<String>,
    ) {
        self.probing_ahead.remove(&service);
        let local = self.local.get_mut(&service).filter(|local| local.epoch == epoch);
        match (conflict, local) {
            (None, Some(local)) if matches!(local.phase, Phase::Probing(_)) => {
                local.phase = Phase::Claiming;
            }
            (Some(conflict), Some(local)) if matches!(local.phase, Phase::Probing(_)) => {
                local.phase = Phase::Probing(Some(now + CONFLICT_PAUSE));
                local.conflicts += 1;
                let hopeless = local.conflicts >= CONFLICTS;
                self.notice(Notice::Conflict(service.clone(), conflict));
                if hopeless {
                    self.begin_stop(now, &service, Cause::Failed);
                }
            }
            (None, _) => {
                self.probed.insert(service, now);
            }
            // Asked ahead, and the former holder still answers: it will be asked again.
            (Some(_), _) => {}
        }
    }

    fn on_started(
        &mut self,
        now: Instant,
        service: &ServiceId,
        epoch: Epoch,
        failed: Option<String>,
    ) {
        let Some(local) = self.local.get_mut(service).filter(|local| local.epoch == epoch) else {
            return;
        };
        // What a former run left counts as running, and may turn out not to have come so far.
        let up = matches!(local.phase, Phase::Starting | Phase::Running);
        if let Some(detail) = failed.filter(|_| up) {
            self.notice(Notice::StartFailed(service.clone(), detail));
            if self.stays_without(now, service) {
                return;
            }
            let cause = self.cause_of_failure(now, service);
            self.begin_stop(now, service, cause);
            return;
        }
        let Some(local) = self.local.get_mut(service) else { return };
        if local.phase != Phase::Starting {
            return;
        }
        local.phase = Phase::Running;
        self.reached(now, service, epoch, Reached::Started);
        if self.program_wanted(service) {
            self.notice(Notice::Started(service.clone()));
        }
        self.tell_stages(service);
    }

    fn on_monitored(
        &mut self,
        now: Instant,
        service: &ServiceId,
        epoch: Epoch,
        failed: Option<String>,
    ) {
        let running = |local: &&mut Local| local.epoch == epoch && local.phase == Phase::Running;
        let stays = self.care(service) != Care::Full;
        let Some(local) = self.local.get_mut(service).filter(running) else { return };
        let unwell = core::mem::replace(&mut local.unwell, stays && failed.is_some());
        if let Some(detail) = failed {
            if stays {
                // Told once, and not acted upon (rules M5, A2).
                if !unwell {
                    self.notice(Notice::MonitorFailed(service.clone(), detail));
                }
                return;
            }
            self.notice(Notice::MonitorFailed(service.clone(), detail));
            self.begin_stop(now, service, Cause::Failed);
        } else if !local.verified {
            local.verified = true;
            self.reached(now, service, epoch, Reached::Verified);
            self.notice(Notice::Verified(service.clone()));
            self.tell_stages(service);
        }
    }

    /// How long a node has to be silent before its addresses are probed: so that the answer is
    /// there when the wait ends.
    fn probing_after(&self) -> Span {
        let timers = &self.state.timers;
        timers.wait(Span::ZERO).saturating_sub(timers.heartbeat.times(2))
    }

    /// When the next node will have been silent for that long, if it stays so.
    pub(super) fn probing_deadline(&self, now: Instant) -> Instant {
        let peers = self.report.iter().flat_map(|report| report.peers.iter());
        let members = peers.filter(|(node, _)| self.state.view.contains_key(node));
        let times = members.filter_map(|(node, peer)| {
            let patience = self.report.as_ref()?.patience(*node, self.probing_after());
            Some(peer.heard? + patience)
        });
        times.filter(|at| *at > now).min().unwrap_or(Instant::NEVER)
    }

    /// Probes, for the services that this node would take over, while the wait still runs.
    pub(super) fn probe_ahead(&mut self, now: Instant) {
        let Some(report) = &self.report else { return };
        let timers = self.state.timers;
        let early = self.probing_after();
        let is_silent = |node: &NodeId, peer: &PeerReport| {
            peer.heard.is_some_and(|heard| now.since(heard) >= report.patience(*node, early))
                && self.state.view.contains_key(node)
        };
        let silent = report.peers.iter().filter(|(node, peer)| is_silent(node, peer));
        let silent: Vec<_> = silent.map(|(node, _)| *node).collect();
        if silent.is_empty() {
            self.probed.clear();
            self.probing_ahead.clear();
            return;
        }
        let able = report.peers.iter().filter(|(node, peer)| {
            peer.heard.is_some() && peer.daemon_alive && !silent.contains(node)
        });
        let mut nodes: BTreeSet<_> = able.map(|(node, _)| *node).collect();
        nodes.insert(self.me);
        let quarantined = self.quarantined(now).into_keys().collect();
        let mut able = placement::Able { nodes, quarantined };
        for node in silent {
            able.nodes.remove(&node);
            let proof = ProofRecord::LeaseExpired;
            for (service, to) in placement::successors(self.sight(&able), node, proof) {
                let known = self.probed.contains_key(&service);
                if to == Some(self.me) && !known && self.probing_ahead.insert(service.clone()) {
                    let epoch = self.state.assignments.get(&service).map(|it| it.epoch);
                    let epoch = epoch.unwrap_or_default();
                    let probing = Probing::under_proof(timers.heartbeat);
                    self.command(Command::Probe { service, epoch, probing });
                }
            }
        }
    }
}
