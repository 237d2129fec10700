//! The services of this node: what the state gives it, held against what is there.
//!
//! ```text
//!             ┌────────────── conflict: again later
//!             ▼
//!   (new) ─▶ Probing ─▶ Claiming ─▶ Starting ─▶ Running
//!                          │           │           │   lease lost, assignment gone, failed
//!                          └───────────┴───────────┴──────────▶ Stopping ─▶ Releasing ─▶ Stopped
//! ```
//!
//! A service starts at most once per epoch (rule H3): what stopped, for whatever reason, waits in
//! `Stopped` until its end is committed and a new epoch comes. The program goes first and the
//! address last, so that nobody is refused before the end; `Stopped` is reached only when the guard
//! says that the address is no longer held.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Command, Hook, Node, Purpose};
use crate::id::{Epoch, ServiceId};
use crate::notice::Notice;
use crate::placement;
use crate::redirect::{Probing, Steps};
use crate::resource::Care;
use crate::state::{Cause, Change, Holder, Reached, Stage};
use crate::time::{Instant, Span};

/// How long after a conflict the address is probed again.
pub(super) const CONFLICT_PAUSE: Span = Span::from_millis(1_000);
/// How many conflicts in a row are waited for before another node may try.
pub(super) const CONFLICTS: u32 = 3;
/// The first pause before a failed service is given back, doubled with each failure.
const FAILURE_PAUSE: Span = Span::from_millis(50);
/// The longest such pause.
const FAILURE_PAUSE_MAX: Span = Span::from_millis(10_000);

/// Where a service is on its way up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its addresses are probed for conflicts; the time is that of the next try.
    Probing(Option<Instant>),
    /// The guard was told to hold its addresses.
    Claiming,
    /// Its program is being started.
    Starting,
    /// It runs.
    Running,
    /// Its program is being stopped.
    Stopping(Cause),
    /// The guard was told to let its addresses go.
    Releasing(Cause),
    /// Nothing of it is left here; that has to be committed. Not before the given time.
    Stopped(Cause, Instant),
}

/// A service on this node, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalView {
    /// The epoch it was started under.
    pub epoch: Epoch,
    /// Where it is.
    pub phase: Phase,
    /// Its monitor has been good since it was started.
    pub verified: bool,
}

#[derive(Debug)]
pub(super) struct Local {
    pub(super) epoch: Epoch,
    pub(super) phase: Phase,
    /// As its assignment had them: the configuration may have changed since.
    pub(super) addresses: Vec<IpAddr>,
    /// What its stages count from.
    pub(super) origin: Instant,
    pub(super) stages: Vec<Stage>,
    pub(super) verified: bool,
    /// How often in a row its addresses were found in use.
    pub(super) conflicts: u32,
    /// Since when the guard ought to hold its addresses and does not.
    unheld: Option<Instant>,
    /// It was said, while the cluster is disarmed, that its addresses are not there.
    missed: bool,
    /// It was said, while the cluster is disarmed, that its monitor fails.
    pub(super) unwell: bool,
    /// Since when it is being stopped.
    stopping: Option<Instant>,
    /// Its program ended while it was in maintenance.
    pub(super) ended: bool,
    /// Its hands' last order of how to look after it; none if a former run gave that.
    pub(super) care: Option<Care>,
    /// It worked here, and its hook was run then, if it has one.
    pub(super) worked: bool,
    /// The revision of the configuration as of which nobody has to be told that it works.
    pub(super) known_to_work: Option<u64>,
    /// What may be here of it outlives the lease.
    pub(super) binds: bool,
    /// What clients are told of it, layer by layer.
    pub(super) steps: Steps,
}

impl Local {
    pub(super) fn new(epoch: Epoch, phase: Phase, origin: Instant) -> Self {
        Self {
            epoch,
            phase,
            addresses: Vec::new(),
            origin,
            stages: Vec::new(),
            verified: false,
            conflicts: 0,
            unheld: None,
            missed: false,
            unwell: false,
            stopping: None,
            ended: false,
            care: Some(Care::Full),
            worked: false,
            known_to_work: None,
            binds: false,
            steps: Steps::default(),
        }
    }

    /// Whether its addresses shall be held.
    pub(super) fn holds(&self) -> bool {
        match self.phase {
            Phase::Claiming | Phase::Starting | Phase::Running | Phase::Stopping(_) => true,
            Phase::Probing(_) | Phase::Releasing(_) | Phase::Stopped(..) => false,
        }
    }

    /// Whether its program may be there.
    pub(super) fn may_run(&self) -> bool {
        match self.phase {
            Phase::Starting | Phase::Running | Phase::Stopping(_) => true,
            Phase::Probing(_) | Phase::Claiming | Phase::Releasing(_) | Phase::Stopped(..) => false,
        }
    }

    /// Whether anything of it is here yet, or still.
    pub(super) fn is_here(&self) -> bool {
        !matches!(self.phase, Phase::Stopped(..))
    }

    /// Whether it runs, and its addresses are held.
    pub(super) fn is_at_rest(&self) -> bool {
        self.phase == Phase::Running && self.unheld.is_none() && self.steps.is_at_rest()
    }

    /// Whether it is on its way up, or there.
    pub(super) fn is_up(&self) -> bool {
        match self.phase {
            Phase::Probing(_) | Phase::Claiming | Phase::Starting | Phase::Running => true,
            Phase::Stopping(_) | Phase::Releasing(_) | Phase::Stopped(..) => false,
        }
    }
}

impl Node {
    /// The services of this node.
    pub fn local(&self) -> impl Iterator<Item = (&ServiceId, LocalView)> {
        self.local.iter().map(|(service, local)| {
            let Local { epoch, phase, verified, .. } = local;
            (service, LocalView { epoch: *epoch, phase: *phase, verified: *verified })
        })
    }

    /// Compares what the state gives this node with what is there, and mends the difference.
    pub(super) fn reconcile(&mut self, now: Instant) {
        if !self.ready {
            return;
        }
        let mut services = BTreeSet::new();
        for (service, local) in &self.local {
            if !self.is_settled(now, service, local) {
                services.insert(service.clone());
            }
        }
        for (service, _) in self.state.held_by(self.me) {
            if !self.local.contains_key(service) {
                services.insert(service.clone());
            }
        }
        let services: Vec<_> =
            placement::by_importance(&self.state, services.iter()).cloned().collect();
        for service in services {
            self.reconcile_service(now, &service);
        }
    }

    /// Whether a service runs here as the state wants it, so that nothing is to be mended. That is
    /// nearly always so, and asked at every event.
    fn is_settled(&self, now: Instant, service: &ServiceId, local: &Local) -> bool {
        let assignment = self.state.assignments.get(service);
        local.phase == Phase::Running
            && local.unheld.is_none()
            && assignment
                .is_some_and(|it| it.epoch == local.epoch && it.holder == Holder::Node(self.me))
            && !self.is_lost(now, local)
            && self.is_looked_after(service, local)
            && self.guard_holds(&local.addresses, local.epoch)
    }

    /// Whether what this node holds under that epoch is its own no longer.
    pub(super) fn is_lost(&self, now: Instant, local: &Local) -> bool {
        self.is_leaving() || !self.has_lease(now) || self.lapsed() >= local.epoch
    }

    fn reconcile_service(&mut self, now: Instant, service: &ServiceId) {
        let assignment = self.state.assignments.get(service);
        let assigned = assignment.filter(|it| it.holder.node() == Some(self.me));
        let assigned = assigned.map(|it| (it.epoch, it.holder.clone()));
        let Some(local) = self.local.get(service) else {
            if let Some((epoch, holder)) = assigned {
                self.begin(now, service, epoch, &holder);
            }
            return;
        };
        let lost = self.is_lost(now, local);
        if local.is_up() {
            match assigned {
                Some((epoch, Holder::Node(_))) if epoch == local.epoch && !lost => {
                    self.look_after(now, service);
                }
                // What needs it goes first, as long as there is time for an order.
                Some((epoch, Holder::Node(_)))
                    if epoch == local.epoch && self.waits_for_others(now, service, local) => {}
                Some((_, Holder::Stopping { cause, .. })) => self.begin_stop(now, service, cause),
                Some(_) | None => self.begin_stop(now, service, Cause::Lost),
            }
        }
        self.watch_addresses(now, service);
        self.advance_service(now, service);
    }

    /// A service whose addresses can't be held here (no interface, no carrier) goes elsewhere.
    fn watch_addresses(&mut self, now: Instant, service: &ServiceId) {
        let Some(local) = self.local.get(service) else { return };
        let up = match local.phase {
            Phase::Claiming | Phase::Starting | Phase::Running => true,
            Phase::Probing(_) | Phase::Stopping(_) | Phase::Releasing(_) | Phase::Stopped(..) => {
                false
            }
        };
        let missing =
            up && self.report.is_some() && !self.guard_holds(&local.addresses, local.epoch);
        let (limit, stays) = (self.state.timers.ride_out, self.care(service) != Care::Full);
        let Some(local) = self.local.get_mut(service) else { return };
        if !missing {
            (local.unheld, local.missed) = (None, false);
        } else if now.since(*local.unheld.get_or_insert(now)) > limit {
            // A switch that is off takes the carrier: that is what the cluster is disarmed for
            // (rule M5).
            let known = core::mem::replace(&mut local.missed, stays);
            if !known {
                self.notice(Notice::ClaimFailed(service.clone()));
            }
            if !stays {
                self.begin_stop(now, service, Cause::Failed);
            }
        }
    }

    /// A service that is assigned here, and nothing of it is there.
    fn begin(&mut self, now: Instant, service: &ServiceId, epoch: Epoch, holder: &Holder) {
        if let Holder::Stopping { cause, .. } = holder {
            let local = Local::new(epoch, Phase::Stopped(*cause, now), now);
            self.local.insert(service.clone(), local);
            return;
        }
        if self.lapsed() >= epoch {
            // Its lease ended before it began; it needs a new epoch.
            let local = Local::new(epoch, Phase::Stopped(Cause::Lost, now), now);
            self.local.insert(service.clone(), local);
            return;
        }
        if !self.has_lease(now) || self.is_leaving() || !self.may_begin(service) {
            return;
        }
        let origin = self.origin(now, service, epoch);
        let mut local = Local::new(epoch, Phase::Probing(None), origin);
        local.addresses = self.assigned_addresses(service);
        local.binds = self.binds(service);
        local.steps = self.steps_here(service);
        let recent = self.state.timers.ordinary_lease();
        if self.probed.remove(service).is_some_and(|at| now.since(at) < recent) {
            local.phase = Phase::Claiming;
        } else {
            let probing = self.probing(service);
            self.command(Command::Probe { service: service.clone(), epoch, probing });
        }
        self.local.insert(service.clone(), local);
        self.reached(now, service, epoch, Reached::Learned);
    }

    /// Moves a service on, as far as it goes without waiting.
    fn advance_service(&mut self, now: Instant, service: &ServiceId) {
        let Some(local) = self.local.get(service) else { return };
        let epoch = local.epoch;
        match local.phase {
            Phase::Probing(Some(again)) if now >= again && self.may_begin(service) => {
                self.set_phase(service, Phase::Probing(None));
                let probing = Probing::under_proof(self.state.timers.heartbeat.times(4));
                self.command(Command::Probe { service: service.clone(), epoch, probing });
            }
            // What it needs may have gone since it was probed.
            Phase::Claiming if !self.may_begin(service) => {
                self.set_phase(service, Phase::Probing(Some(now)));
            }
            Phase::Claiming if !self.may_carry(service, epoch) => {
                let cause = self.cause_of_failure(now, service);
                self.begin_stop(now, service, cause);
            }
            Phase::Claiming if !self.carries(service) => {}
            Phase::Claiming if !self.is_watched(service) => {}
            Phase::Claiming
                if self.guard_holds(&local.addresses, epoch) && self.gate_may_be_open(now) =>
            {
                self.reached(now, service, epoch, Reached::Claimed);
                self.notice(Notice::Claimed(service.clone(), epoch));
                self.command(Command::Announce { service: service.clone(), epoch });
                self.set_phase(service, Phase::Starting);
                self.command(Command::Start { service: service.clone(), epoch });
            }
            Phase::Releasing(cause) if self.guard_let_go(&local.addresses) => {
                self.command(Command::Quiet { service: service.clone() });
                let pause = self.failure_pause(service, cause);
                self.set_phase(service, Phase::Stopped(cause, now + pause));
                self.tell_stopped(now, service);
            }
            Phase::Stopped(_, after) if now >= after => self.tell_stopped(now, service),
            Phase::Probing(_)
            | Phase::Claiming
            | Phase::Starting
            | Phase::Running
            | Phase::Stopping(_)
            | Phase::Releasing(_)
            | Phase::Stopped(..) => {}
        }
    }

    /// Has the end of a service committed, until it is.
    fn tell_stopped(&mut self, now: Instant, service: &ServiceId) {
        let Some(local) = self.local.get(service) else { return };
        let Phase::Stopped(cause, after) = local.phase else { return };
        let (epoch, since) = (local.epoch, local.stopping.unwrap_or(now));
        let assignment = self.state.assignments.get(service);
        let assigned = assignment.filter(|it| it.holder.node() == Some(self.me));
        let Some(assignment) = assigned else {
            self.local.remove(service);
            return;
        };
        let renewed = assignment.epoch > epoch && matches!(assignment.holder, Holder::Node(_));
        if renewed {
            // It was given to this node anew in the meantime: the next round starts it.
            self.local.remove(service);
            return;
        }
        if self.is_leaving() {
            // The release says it all: it moves everything of this node at once.
            return;
        }
        let purpose = Purpose::Stopped(service.clone());
        if now >= after && !self.is_proposed(&purpose) {
            let (node, service, epoch) = (self.me, service.clone(), assignment.epoch);
            let took = now.since(since);
            self.propose(purpose, Change::Stopped { service, node, epoch, cause, took });
        }
    }

    pub(super) fn begin_stop(&mut self, now: Instant, service: &ServiceId, cause: Cause) {
        let releases = self.releases(now, service);
        let Some(local) = self.local.get_mut(service) else { return };
        local.phase = Phase::Stopping(cause);
        local.stopping = Some(now);
        let epoch = local.epoch;
        self.notice(Notice::Stopping(service.clone(), cause));
        if releases {
            let (service, hook, cause) = (service.clone(), Hook::Release, Some(cause));
            self.command(Command::Hook { service, epoch, hook, cause });
        }
        self.command(Command::Stop { service: service.clone(), epoch });
    }

    pub(super) fn local_deadline(&self, now: Instant) -> Instant {
        let times = self.local.values().filter_map(|local| match local.phase {
            Phase::Probing(again) => again,
            Phase::Stopped(_, after) => Some(after),
            Phase::Claiming
            | Phase::Starting
            | Phase::Running
            | Phase::Stopping(_)
            | Phase::Releasing(_) => None,
        });
        // What runs here stops with the lease, also when the guard says nothing more.
        let lease = self.report.as_ref().filter(|_| !self.local.is_empty());
        let times = times.chain(lease.map(|report| report.lease_until));
        times.filter(|at| *at > now).min().unwrap_or(Instant::NEVER)
    }

    /// What an assignment to this node lets it answer for.
    pub(super) fn assigned_addresses(&self, service: &ServiceId) -> Vec<IpAddr> {
        let assignment = self.state.assignments.get(service);
        assignment.map(|it| it.addresses.clone()).unwrap_or_default()
    }

    pub(super) fn program_wanted(&self, service: &ServiceId) -> bool {
        let Some(config) = self.state.config.as_ref() else { return false };
        let alone = config.services.get(service).is_some_and(|it| it.program.is_some());
        alone || !config.resources(service).is_empty()
    }

    pub(super) fn has_lease(&self, now: Instant) -> bool {
        self.report.as_ref().is_some_and(|report| report.lease_until > now && !report.released)
    }

    pub(super) fn lapsed(&self) -> Epoch {
        self.report.as_ref().map(|report| report.lapsed).unwrap_or_default()
    }

    pub(super) fn is_up(&self, service: &ServiceId, epoch: Epoch) -> bool {
        self.local.get(service).is_some_and(|local| local.epoch == epoch && local.is_up())
    }

    fn set_phase(&mut self, service: &ServiceId, phase: Phase) {
        if let Some(local) = self.local.get_mut(service) {
            local.phase = phase;
        }
    }

    /// How thoroughly to probe: in full for the first assignment of all.
    fn probing(&self, service: &ServiceId) -> Probing {
        let assignment = self.state.assignments.get(service);
        let first = assignment.is_some_and(|it| it.first_epoch == Some(it.epoch));
        if first { Probing::first() } else { Probing::under_proof(self.state.timers.heartbeat) }
    }

    fn failure_pause(&self, service: &ServiceId, cause: Cause) -> Span {
        let failures = self.state.assignments.get(service).map(|it| it.failures.values().sum());
        let failures: u32 = failures.unwrap_or(0);
        if cause != Cause::Failed || failures == 0 {
            return Span::ZERO;
        }
        let pause = FAILURE_PAUSE.times(1 << failures.min(10));
        if pause < FAILURE_PAUSE_MAX { pause } else { FAILURE_PAUSE_MAX }
    }
}
