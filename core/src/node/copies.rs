//! This node's copies of services, held against what the state and the node's own condition want.
//!
//! ```text
//!   wanted, lease ─▶ Begins is committed ─▶ Starting ─▶ Runs ─▶ it may be promoted
//!                                              │          │
//!               lease lost, not wanted, failed └──────────┴──▶ Ending ─▶ Gone ─▶ Over is committed
//! ```
//! A copy starts once per epoch, as everything does (rule H3), and its epoch is older than that of
//! the assignment by which it is promoted: so its keeper, which goes by the copy's epoch, ends it
//! with whatever lapses (rule K2). A copy ends after what was promoted of it has stopped.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::orders::due;
use super::{Command, Event, Node, Phase, Purpose};
use crate::id::{Epoch, ServiceId};
use crate::lease::Order;
use crate::notice::Notice;
use crate::resource::Care;
use crate::state::{Change, Copied, CopyStage, CopyStep};
use crate::time::{Instant, Span};

/// The pause before a copy that failed is started again, doubled with each failure.
const PAUSE: Span = Span::from_millis(1_000);
/// The longest such pause.
const LONGEST_PAUSE: Span = Span::from_millis(60_000);
/// After so long a time without a failure those before lengthen no pause any more.
const FORGET_AFTER: Span = Span::from_millis(600_000);

/// Where a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyPhase {
    /// It is being started.
    Starting,
    /// It runs.
    Runs,
    /// It is wanted no more, and ends once nothing of it is promoted; then it is being stopped.
    Ending {
        /// Its agents were told.
        told: bool,
    },
    /// Nothing is left; that has to be committed.
    Gone,
}

/// A copy on this node, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyView {
    /// The epoch that it runs under; none while none does.
    pub epoch: Option<Epoch>,
    /// Where it is; nothing while there is none.
    pub phase: Option<CopyPhase>,
    /// Why it failed last.
    pub reason: Option<String>,
}

/// All copies of this node.
#[derive(Debug, Default)]
pub(super) struct Copies {
    all: BTreeMap<ServiceId, (Epoch, CopyPhase)>,
    /// What failed, how often, when it is tried again, and why.
    failed: BTreeMap<ServiceId, (u32, Instant, String)>,
    /// What a former run left, until this one is ready.
    found: BTreeMap<ServiceId, Epoch>,
    /// What it had entered, and of which nothing was found.
    former: BTreeMap<ServiceId, Epoch>,
    /// How the hands were told to look after those that run.
    cared: BTreeMap<ServiceId, Care>,
    /// What ended by itself in maintenance, and is left so until that is over, and how.
    left: BTreeMap<ServiceId, String>,
}

impl Copies {
    /// Whether time alone moves nothing on.
    pub(super) fn are_at_rest(&self) -> bool {
        self.all.values().all(|(_, phase)| *phase == CopyPhase::Runs)
    }
}

impl Node {
    /// The copies of this node, and what failed of them.
    pub fn copies(&self) -> impl Iterator<Item = (&ServiceId, CopyView)> {
        let known: BTreeSet<_> = self.copies.all.keys().chain(self.copies.failed.keys()).collect();
        known.into_iter().map(|service| {
            let copy = self.copies.all.get(service);
            let reason = self.copies.failed.get(service).map(|(.., reason)| reason.clone());
            let view =
                CopyView { epoch: copy.map(|copy| copy.0), phase: copy.map(|copy| copy.1), reason };
            (service, view)
        })
    }

    /// Whether the copy that runs here carries the service: it can be promoted now.
    pub(super) fn carries(&self, service: &ServiceId) -> bool {
        let runs = || matches!(self.copies.all.get(service), Some((_, CopyPhase::Runs)));
        !self.state.has_copies(service) || runs()
    }

    /// Whether the copy here may come to carry the service under that epoch: there is one, and it
    /// is older, so what ends the assignment ends the copy (rule K2).
    pub(super) fn may_carry(&self, service: &ServiceId, epoch: Epoch) -> bool {
        let copy = self.copies.all.get(service);
        let up = |phase| matches!(phase, CopyPhase::Starting | CopyPhase::Runs);
        !self.state.has_copies(service) || copy.is_some_and(|it| up(it.1) && it.0 < epoch)
    }

    /// Whether this node should have a copy now.
    fn is_copy_wanted(&self, now: Instant, service: &ServiceId) -> bool {
        let config = self.state.config.as_ref();
        let listed = config.and_then(|config| config.copies(service));
        let holds = self.state.assignments.get(service).and_then(|it| it.holder.node());
        // Others stop after the one that is promoted.
        let stopped = self.state.is_stopped(service) && holds.is_none();
        let rests =
            stopped || self.state.standby.contains(&self.me) || self.state.is_halted(self.me);
        listed.is_some_and(|copies| copies.is_on(&self.state.name(self.me)))
            && self.state.view.contains_key(&self.me)
            && self.has_lease(now)
            && !self.is_leaving()
            && (!rests || holds == Some(self.me) || self.is_copy_kept(service))
    }

    /// Compares the copies that should be here with those that are, and mends the difference.
    pub(super) fn reconcile_copies(&mut self, now: Instant) {
        if !self.ready {
            return;
        }
        let config = self.state.config.iter();
        let listed = config.flat_map(|config| &config.later.next.services);
        let listed = listed.filter(|(_, more)| more.copies.is_some()).map(|(service, _)| service);
        let recorded = self.state.later.next.copies.iter();
        let recorded = recorded.filter(|(_, all)| all.contains_key(&self.me)).map(|it| it.0);
        let services: BTreeSet<_> =
            listed.chain(recorded).chain(self.copies.all.keys()).cloned().collect();
        for service in services {
            self.reconcile_copy(now, &service);
        }
    }

    fn reconcile_copy(&mut self, now: Instant, service: &ServiceId) {
        let record = self.state.copy(service, self.me);
        let wanted = self.is_copy_wanted(now, service);
        let kept = self.is_copy_kept(service);
        let Some((epoch, phase)) = self.copies.all.get(service).copied() else {
            match record {
                // Its keeper needs a deadline to go by; and nothing begins in maintenance.
                Some(copy)
                    if wanted
                        && self.may_start_copy(service, copy)
                        && (kept || !self.guard_keeps(copy.epoch)) => {}
                Some(copy) if wanted && self.may_start_copy(service, copy) => {
                    self.command(Command::Copy { service: service.clone(), epoch: copy.epoch });
                    self.set_copy(service, copy.epoch, CopyPhase::Starting);
                    self.copies.cared.insert(service.clone(), Care::Full);
                    self.copies.left.remove(service);
                }
                // It lapsed before it began, or was lost with a former run of this daemon.
                Some(copy) => self.tell_copy(service, CopyStep::Over(copy.epoch)),
                None if wanted && !kept && !self.is_paused(now, service) => {
                    self.tell_copy(service, CopyStep::Begins);
                }
                None => {}
            }
            return;
        };
        let known = record.filter(|copy| copy.epoch == epoch);
        match phase {
            CopyPhase::Starting | CopyPhase::Runs => {
                if !wanted || known.is_none() || !self.fits(epoch, service) {
                    self.set_copy(service, epoch, CopyPhase::Ending { told: false });
                    self.end_copy(service);
                    return;
                }
                self.look_after_copy(now, service, epoch);
                if phase == CopyPhase::Runs {
                    self.tell_progress(service, epoch, known.map(|copy| copy.stage));
                }
            }
            CopyPhase::Ending { told: false } => self.end_copy(service),
            CopyPhase::Ending { told: true } => {}
            CopyPhase::Gone if known.is_some() => {
                self.tell_copy(service, CopyStep::Over(epoch));
            }
            CopyPhase::Gone => {
                self.copies.all.remove(service);
                self.copies.cared.remove(service);
                self.copies.left.remove(service);
            }
        }
    }

    /// What may be done about what fails of it is said where that changes. What ended in
    /// maintenance has failed once that is over.
    fn look_after_copy(&mut self, now: Instant, service: &ServiceId, epoch: Epoch) {
        let care = if self.is_copy_kept(service) { Care::Nothing } else { self.care(service) };
        if care != Care::Nothing
            && let Some(detail) = self.copies.left.remove(service)
        {
            self.copy_failed(now, service, detail);
            return;
        }
        if self.copies.cared.get(service) != Some(&care) {
            self.copies.cared.insert(service.clone(), care);
            self.command(Command::Care { service: service.clone(), epoch, care });
        }
    }

    /// Whether this node's copy is left as it is: the service is in maintenance, or this node.
    fn is_copy_kept(&self, service: &ServiceId) -> bool {
        self.state.is_maintained(service) || self.state.is_node_maintained(self.me)
    }

    /// Whether a copy that ended by itself stays as it is: it is in maintenance, and has lost
    /// nothing.
    fn copy_stays_ended(&self, now: Instant, service: &ServiceId, epoch: Epoch) -> bool {
        let lapsed = self.lapsed() >= epoch;
        self.is_copy_kept(service) && !lapsed && self.is_copy_wanted(now, service)
    }

    /// Whether a copy of that epoch is of the service as it is described now, and may run.
    fn fits(&self, epoch: Epoch, service: &ServiceId) -> bool {
        let lapsed = self.report.as_ref().map(|report| report.lapsed).unwrap_or_default();
        epoch > self.state.described(service) && epoch > lapsed
    }

    /// Whether a copy that was entered is yet to be started. One that a former run entered may have
    /// been, and one epoch is one start (rule H3).
    fn may_start_copy(&self, service: &ServiceId, copy: Copied) -> bool {
        let former = self.copies.former.get(service) == Some(&copy.epoch);
        copy.stage == CopyStage::Begun && !former && self.fits(copy.epoch, service)
    }

    /// Whether the guard shows the deadline to programs of that epoch.
    fn guard_keeps(&self, epoch: Epoch) -> bool {
        self.report.as_ref().is_some_and(|report| report.later.next.kept >= Some(epoch))
    }

    /// The order that makes the guard show the deadline to the keepers of copies; nothing if it
    /// does, or can't.
    pub(super) fn keep_order(&mut self, now: Instant) -> Option<Order> {
        let report = self.report.as_ref().filter(|_| self.ready)?;
        let told = report.later.next.kept?;
        let here = self.copies.all.values();
        let here = here.filter(|copy| copy.1 != CopyPhase::Gone).map(|copy| copy.0);
        let begun = self.state.later.next.copies.iter().filter_map(|(service, all)| {
            let copy = all.get(&self.me)?;
            self.is_copy_wanted(now, service).then_some(copy.epoch)
        });
        let wanted = here.chain(begun).filter(|epoch| *epoch > report.lapsed).max();
        let wanted = wanted.unwrap_or_default();
        let patience = self.state.timers.heartbeat.times(2);
        let due = told != wanted && due(&mut self.told.keep, wanted, now, patience);
        due.then_some(Order::Keep(wanted))
    }

    fn tell_progress(&mut self, service: &ServiceId, epoch: Epoch, known: Option<CopyStage>) {
        let promoted = self.local.get(service).is_some_and(|it| it.phase == Phase::Running);
        match known {
            Some(CopyStage::Begun) => self.tell_copy(service, CopyStep::Runs(epoch)),
            Some(CopyStage::Runs) if promoted => {
                self.tell_copy(service, CopyStep::Promoted(epoch));
            }
            Some(CopyStage::Runs | CopyStage::Promoted) | None => {}
        }
    }

    /// Has a copy stopped, once nothing of it is promoted any more.
    fn end_copy(&mut self, service: &ServiceId) {
        let promoted = self.local.get(service).is_some_and(super::Local::may_run);
        let Some((epoch, phase)) = self.copies.all.get_mut(service).filter(|_| !promoted) else {
            return;
        };
        *phase = CopyPhase::Ending { told: true };
        let epoch = *epoch;
        self.command(Command::EndCopy { service: service.clone(), epoch });
    }

    fn tell_copy(&mut self, service: &ServiceId, step: CopyStep) {
        let purpose = Purpose::Copy(service.clone());
        if !self.is_proposed(&purpose) {
            let (service, node) = (service.clone(), self.me);
            self.propose(purpose, Change::Copy { service, node, step });
        }
    }

    fn set_copy(&mut self, service: &ServiceId, epoch: Epoch, phase: CopyPhase) {
        self.copies.all.insert(service.clone(), (epoch, phase));
    }

    fn is_paused(&self, now: Instant, service: &ServiceId) -> bool {
        self.copies.failed.get(service).is_some_and(|(_, until, _)| *until > now)
    }

    /// Takes what became of a copy.
    pub(super) fn on_copy(&mut self, now: Instant, event: Event) {
        match event {
            Event::CopyStarted { service, epoch, failed } if self.is_copy_up(&service, epoch) => {
                if let Some(detail) = failed {
                    self.copy_failed(now, &service, detail);
                } else {
                    self.set_copy(&service, epoch, CopyPhase::Runs);
                }
            }
            Event::CopyFailed { service, epoch, detail } => {
                if self.copies.found.get(&service) == Some(&epoch) {
                    self.copies.found.remove(&service);
                }
                if !self.is_copy_up(&service, epoch) {
                    return;
                }
                if self.copy_stays_ended(now, &service, epoch) {
                    self.notice(Notice::CopyFailed(service.clone(), detail.clone()));
                    self.copies.left.insert(service, detail);
                } else {
                    self.copy_failed(now, &service, detail);
                }
            }
            Event::CopyEnded { service, epoch } => {
                let known = self.copies.all.get(&service);
                if known.is_some_and(|it| *it == (epoch, CopyPhase::Ending { told: true })) {
                    self.set_copy(&service, epoch, CopyPhase::Gone);
                }
            }
            Event::CopyFound { service, epoch } if self.ready => {
                // Too late to be gone on with.
                if !self.copies.all.contains_key(&service) {
                    self.set_copy(&service, epoch, CopyPhase::Ending { told: false });
                }
            }
            Event::CopyFound { service, epoch } => {
                self.copies.found.insert(service, epoch);
            }
            Event::Tick
            | Event::Report(_)
            | Event::GuardLost
            | Event::Log(_)
            | Event::Current(_)
            | Event::Applied { .. }
            | Event::Restored(_)
            | Event::Proposed { .. }
            | Event::Answered { .. }
            | Event::Vouched(_)
            | Event::Fenced { .. }
            | Event::Probed { .. }
            | Event::Announced { .. }
            | Event::Redirected { .. }
            | Event::Started { .. }
            | Event::Restarting { .. }
            | Event::Unwell { .. }
            | Event::HookFailed { .. }
            | Event::Ended { .. }
            | Event::Stopped { .. }
            | Event::Monitored { .. }
            | Event::Found { .. }
            | Event::CopyStarted { .. }
            | Event::Retire
            | Event::StoreFailed(_) => {}
        }
    }

    fn is_copy_up(&self, service: &ServiceId, epoch: Epoch) -> bool {
        let copy = self.copies.all.get(service).filter(|copy| copy.0 == epoch);
        copy.is_some_and(|copy| matches!(copy.1, CopyPhase::Starting | CopyPhase::Runs))
    }

    /// A copy failed: what is promoted of it ends first, then itself.
    fn copy_failed(&mut self, now: Instant, service: &ServiceId, detail: String) {
        let Some((epoch, _)) = self.copies.all.get(service).copied() else { return };
        self.notice(Notice::CopyFailed(service.clone(), detail.clone()));
        self.set_copy(service, epoch, CopyPhase::Ending { told: false });
        // With the lease everything ends; that is no failure.
        if self.has_lease(now) {
            let recent = |it: &&(u32, Instant, String)| now.since(it.1) < FORGET_AFTER;
            let count = self.copies.failed.get(service).filter(recent).map_or(0, |it| it.0);
            let pause = Span(PAUSE.0 << count.min(16)).min(LONGEST_PAUSE);
            self.copies.failed.insert(service.clone(), (count + 1, now + pause, detail));
        }
        let up = self.local.get(service).map(|local| (local.epoch, local.phase));
        if let Some((epoch, phase)) = up
            && self.is_up(service, epoch)
            && matches!(phase, Phase::Starting | Phase::Running)
        {
            let cause = self.cause_of_failure(now, service);
            self.begin_stop(now, service, cause);
        }
    }

    /// An operator has failures forgotten: what waits is tried at once.
    pub(super) fn clear_copies(&mut self, change: &Change) {
        if matches!(change, Change::Configure { .. }) {
            // What is described anew may work; what is described no more is forgotten.
            self.copies.failed.clear();
            return;
        }
        let (which, resource) = if let Change::Clear { service } = change {
            (service.as_ref(), None)
        } else if let Change::ClearResource { service, resource } = change {
            (Some(service), Some(resource))
        } else {
            return;
        };
        let meant = |service: &ServiceId| which.is_none_or(|which| which == service);
        self.copies.failed.retain(|service, _| !meant(service));
        // Those that are promoted here are told as what they are.
        let promoted = |it: &ServiceId| self.local.get(it).is_some_and(super::Local::may_run);
        let up = |phase| matches!(phase, CopyPhase::Starting | CopyPhase::Runs);
        let told = self
            .copies
            .all
            .iter()
            .filter(|(service, copy)| meant(service) && up(copy.1) && !promoted(service));
        let told: Vec<_> = told.map(|(service, copy)| (service.clone(), copy.0)).collect();
        for (service, epoch) in told {
            let resource = resource.cloned();
            self.command(Command::Forget { service, epoch, resource });
        }
    }

    /// This run is current: a copy that a former run left is gone on with where it still is this
    /// node's, and stopped otherwise.
    pub(super) fn take_stock_of_copies(&mut self, now: Instant) {
        let own = self.state.later.next.copies.iter();
        let own =
            own.filter_map(|(service, all)| Some((service.clone(), all.get(&self.me)?.epoch)));
        self.copies.former = own.collect();
        for (service, epoch) in core::mem::take(&mut self.copies.found) {
            let record = self.state.copy(&service, self.me);
            if self.copies.former.get(&service) == Some(&epoch) {
                self.copies.former.remove(&service);
            }
            let mine = record.is_some_and(|copy| copy.epoch == epoch)
                && self.is_copy_wanted(now, &service)
                && self.fits(epoch, &service);
            if mine {
                self.command(Command::Copy { service: service.clone(), epoch });
                self.set_copy(&service, epoch, CopyPhase::Starting);
            } else {
                self.set_copy(&service, epoch, CopyPhase::Ending { told: false });
            }
        }
    }

    pub(super) fn copies_deadline(&self, now: Instant) -> Instant {
        let paused = self.copies.failed.iter().filter(|it| !self.copies.all.contains_key(it.0));
        let paused = paused.map(|(_, (_, until, _))| *until);
        // What runs here ends with the lease, also when the guard says nothing more.
        let lease = self.report.as_ref().filter(|_| !self.copies.all.is_empty());
        let all: Vec<Instant> = paused.chain(lease.map(|report| report.lease_until)).collect();
        all.into_iter().filter(|at| *at > now).min().unwrap_or(Instant::NEVER)
    }
}
