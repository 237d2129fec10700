//! Trying the ways by which nodes would be switched off, before they are needed.
//!
//! Where a node's configuration asks for that (`fence-rehearse`), whoever coordinates asks each of
//! its devices for its status now and then, and has it committed what they said: so every node
//! knows whether fencing works, and since when. An operator may ask for it at any time, and for
//! more: that the machine is really switched off and on ([`Turn`]).
//!
//! Failures: a device that fails is the result, not an error. Who began to switch a machine off and
//! on goes on with that when nobody listens any more, and switches it on again whatever came of it.
//! If this daemon ends in the middle of it, the next one finds that, and says so.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stead_core::id::{Index, NodeId};
use stead_core::state::config::FencingConfig;
use stead_core::state::{
    Change, CycleEnd, FenceChange, FenceSaid, Outcome, Refusal, Rehearsal, State,
};
use stead_core::time::{Instant as Moment, Span};
use stead_edge::chain;
use stead_linux::clock::boottime;
use tokio::time::{sleep, timeout};

use super::fences::said;
use super::handle::{Handle, SubmitError};
use super::view::View;
use crate::fence::{Action, Attempt, Devices, Said, Step};
use crate::journal::wall;

/// How often it is looked whether a trial is due.
const LOOK: Duration = Duration::from_secs(2);
/// How long the commit of what came of it may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// For how long it is tried to have it committed what came of a power cycle.
const KEEP_TRYING: Duration = Duration::from_secs(600);
/// The time between two such tries, and between two looks whether this node may go on.
const AGAIN: Duration = Duration::from_secs(1);

/// How long the guard may take to say whether a node is still heard; later that is not known. Under
/// the longest ride-out it takes two minutes.
const SILENT_WITHIN: Duration = Duration::from_secs(200);
/// How the reason begins for which a trial did not come to its end.
const GIVEN_UP: &str = "given up: ";

/// The trials that this daemon makes. Copies are of the same.
#[derive(Clone)]
pub struct Rehearsals {
    handle: Handle,
    devices: Arc<Devices>,
    /// Whose machines are being switched off and on from here.
    cycling: Arc<Mutex<BTreeSet<NodeId>>>,
}

/// Why a machine is not switched off and on. No device was asked anything.
#[derive(Debug, thiserror::Error)]
pub enum NoTurn {
    /// That is what happens just now.
    #[error("it is being switched off and on from this node already")]
    Already,
    /// Something stands against it.
    #[error("{0}")]
    Refused(Refusal),
    /// It could not be committed.
    #[error(transparent)]
    NotCommitted(#[from] SubmitError),
}

impl Rehearsals {
    /// None yet. `devices` are those that the whole daemon uses.
    #[must_use]
    pub fn new(handle: Handle, devices: Arc<Devices>) -> Self {
        Self { handle, devices, cycling: Arc::default() }
    }

    /// The devices, for who asks them something else: one at a time, whoever asks.
    #[must_use]
    pub fn devices(&self) -> &Arc<Devices> {
        &self.devices
    }

    /// Makes those that are due, for as long as the daemon runs.
    pub(super) fn start(self) {
        tokio::spawn(async move {
            loop {
                sleep(LOOK).await;
                let view = self.handle.view();
                self.end_left(&view).await;
                let node = due(&view.state, wall()).filter(|_| view.coordinating);
                let Some(node) = node else { continue };
                if let (_, Err(error)) = self.look(node).await {
                    tracing::warn!(
                        "what a trial of fencing came to is not kept: {}",
                        chain(&error)
                    );
                }
            }
        });
    }

    /// Ends what a former daemon of this node had begun: its programs were killed, and the machine
    /// may be off.
    async fn end_left(&self, view: &View) {
        if !view.ready {
            return;
        }
        let me = view.identity.node;
        for (node, cycle) in &view.state.later.fencing.cycles.under_way {
            if cycle.by != me || self.mine().contains(node) {
                continue;
            }
            let why = format!(
                "{GIVEN_UP}the daemon that made it ended in the middle of it, and may have left \
                 it off"
            );
            let (outcome, steps) = (Err(why), Vec::new());
            let said =
                FenceSaid { outcome, cut_off: false, steps, took: Span::ZERO, wall: cycle.wall };
            let number = cycle.number;
            let end = CycleEnd { number, by: me, said, seen: false, given_up: true };
            // Whatever became of that: the next look finds it, or does not.
            drop(self.keep_cycle(*node, end).await);
        }
    }

    /// Asks all devices of a node for its status; they switch nothing. What they said is there also
    /// if it could not be committed.
    pub async fn look(&self, node: NodeId) -> (Vec<Step>, Result<FenceSaid, SubmitError>) {
        let (config, name) = described(&self.handle, node);
        let began = Instant::now();
        let steps = self.devices.status_of(&config, &name).await;
        let said = said(all_answered(&steps), &steps, began);
        let by = self.handle.view().identity.node;
        let rehearsal = Rehearsal { by, cycled: false, said: said.clone(), good: None };
        let change = Change::Fence(FenceChange::Rehearsed { node, rehearsal });
        let kept = self.handle.submit(change, DEADLINE).await;
        (steps, kept.map(|_| said))
    }

    /// Gets the right to switch a machine off and on.
    ///
    /// # Errors
    /// See [`NoTurn`].
    pub async fn turn(&self, node: NodeId) -> Result<Turn, NoTurn> {
        if !self.mine().insert(node) {
            return Err(NoTurn::Already);
        }
        let place = Place { rehearsals: self.clone(), node };
        let by = self.handle.view().identity.node;
        let change = Change::Fence(FenceChange::CycleBegins { node, by, wall: wall() });
        match self.handle.submit(change, DEADLINE).await? {
            (_, Outcome::Refused(refusal)) => Err(NoTurn::Refused(refusal)),
            (number, Outcome::Done | Outcome::Joined(_)) => Ok(Turn { place, number }),
        }
    }

    async fn keep_cycle(&self, node: NodeId, end: CycleEnd) -> Result<Outcome, SubmitError> {
        let change = Change::Fence(FenceChange::CycleEnds { node, end });
        self.handle.submit(change, DEADLINE).await.map(|(_, outcome)| outcome)
    }

    fn mine(&self) -> std::sync::MutexGuard<'_, BTreeSet<NodeId>> {
        self.cycling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A machine's place among those that are switched off and on from here.
struct Place {
    rehearsals: Rehearsals,
    node: NodeId,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.rehearsals.mine().remove(&self.node);
    }
}

/// The right to switch a machine off and on, once. It is committed: until it ends the machine gets
/// nothing to do, and nobody else has it switched off.
pub struct Turn {
    place: Place,
    number: Index,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Cycled {
    /// How, or why not.
    pub outcome: Result<String, String>,
    /// What devices were asked, and said.
    pub steps: Vec<Step>,
    /// How long it took.
    pub took: Span,
    /// Some device said that it is off.
    pub off: bool,
    /// Every device that was asked to switch it on again did.
    pub on: bool,
    /// It was heard before, and fell silent when its devices said that it is off.
    pub seen: bool,
    /// Its devices said that it is off, and it was heard all the same.
    pub lie: bool,
    /// What came of it is committed; or why not.
    pub kept: Result<(), String>,
}

impl Turn {
    /// Switches the machine off by the levels of its devices in order, or by that one alone, and on
    /// again. Only a loss of this node's lease ends it early.
    pub async fn carry_out(self, level: Option<usize>) -> Cycled {
        let Place { rehearsals, node } = &self.place;
        let (handle, devices) = (&rehearsals.handle, &rehearsals.devices);
        let (mut config, name) = described(handle, *node);
        leave_one(&mut config, &name, level);
        let began = Instant::now();
        let heard_before = handle.view().hears(*node);
        let lost = lost_right(handle.clone(), *node, self.number);
        let attempt = devices.fence_until(&config, &name, lost).await;
        let given_up = attempt.given_up;
        let silent = match &attempt.outcome {
            Ok(_) if heard_before => {
                let silent = falls_silent(handle.clone(), *node);
                timeout(SILENT_WITHIN, silent).await.unwrap_or_default()
            }
            Ok(_) | Err(_) => None,
        };
        // Also what did not say that it is done may have been.
        let on = devices.switch_on(&config, &all_off(&attempt)).await;
        let mut steps = attempt.steps;
        let is_off = |step: &Step| step.action == Action::Off && step.said == Said::Done;
        let off = steps.iter().any(is_off);
        let (seen, lie) = (silent == Some(true), silent == Some(false));
        let outcome = outcome((attempt.outcome, level), (off, lie), &on);
        let is_on = !on.is_empty() && last_words(&on).all(|step| step.said == Said::Done);
        steps.extend(on);
        let said = said(outcome.clone(), &steps, began);
        let took = said.took;
        let by = handle.view().identity.node;
        let kept = self.keep(CycleEnd { number: self.number, by, said, seen, given_up }).await;
        Cycled { outcome, steps, took, off, on: is_on, seen, lie, kept }
    }

    /// Has it committed what came of it. Until that is done its node is not let in.
    async fn keep(&self, end: CycleEnd) -> Result<(), String> {
        let Place { rehearsals, node } = &self.place;
        let until = Instant::now() + KEEP_TRYING;
        loop {
            match rehearsals.keep_cycle(*node, end.clone()).await {
                Ok(Outcome::Done | Outcome::Joined(_)) => return Ok(()),
                // It may be this very entry, whose answer was lost; or others gave it up.
                Ok(Outcome::Refused(_)) => {
                    let view = rehearsals.handle.view();
                    let kept = view.state.later.fencing.cycles.last.get(node);
                    let is_this = kept == Some(&end);
                    let why = "this node was out of the view meanwhile, and others gave it up";
                    return if is_this { Ok(()) } else { Err(why.to_owned()) };
                }
                Err(error @ SubmitError::Ending) => return Err(chain(&error)),
                Err(error) if Instant::now() > until => return Err(chain(&error)),
                Err(_) => sleep(AGAIN).await,
            }
        }
    }
}

/// Comes back when this node may not go on with what it has begun, and says why.
async fn lost_right(mut handle: Handle, node: NodeId, number: Index) -> String {
    loop {
        let view = handle.view();
        let given_up = view.state.cycle(node).is_none_or(|cycle| cycle.number != number);
        if view.state.applied >= number && given_up {
            return format!("{GIVEN_UP}this node was out of the view meanwhile");
        }
        // Others give it up once this node's lease is over.
        let now = Moment(boottime());
        if view.report.as_ref().is_none_or(|report| report.lease_until <= now) {
            return format!("{GIVEN_UP}this node lost its lease");
        }
        match timeout(AGAIN, handle.changed()).await {
            Ok(true) | Err(_) => {}
            Ok(false) => return format!("{GIVEN_UP}this daemon ends"),
        }
    }
}

/// Whether a node that was heard until now is not heard any more; nothing if this daemon ends. What
/// it had sent before may still arrive.
async fn falls_silent(mut handle: Handle, node: NodeId) -> Option<bool> {
    let off = Moment(boottime());
    loop {
        let view = handle.view();
        if let Some(report) = &view.report {
            let patience = report.patience(node, view.state.timers.suspect_after);
            if report.at > off + patience + patience {
                let heard = report.peers.get(&node).and_then(|peer| peer.heard);
                return Some(heard.is_none_or(|heard| heard <= off + patience));
            }
        }
        if !handle.changed().await {
            return None;
        }
    }
}

/// The first node whose ways are to be tried.
fn due(state: &State, now: u64) -> Option<NodeId> {
    let config = state.config.as_ref()?;
    let fencing = &state.later.fencing;
    let mut members = state.members.iter();
    let due = members.find(|(node, member)| {
        let every = config.fencing(&member.name).and_then(|it| it.rehearse);
        let last = fencing.rehearsed.get(node).map_or(0, |it| it.said.wall);
        let over = |every: Span| now.saturating_sub(last) >= every.as_micros() / 1_000_000;
        every.is_some_and(over) && !state.is_being_fenced(**node)
    });
    due.map(|(node, _)| *node)
}

fn described(handle: &Handle, node: NodeId) -> (FencingConfig, String) {
    let state = &handle.view().state;
    let config = state.config.as_ref().map(|config| config.later.fencing.clone());
    (config.unwrap_or_default(), state.name(node))
}

/// Leaves that level alone with its devices.
fn leave_one(config: &mut FencingConfig, name: &str, level: Option<usize>) {
    let (Some(level), Some(fencing)) = (level, config.nodes.get_mut(name)) else { return };
    let others = (1..).zip(&mut fencing.levels).filter(|(number, _)| *number != level);
    others.for_each(|(_, plugs)| plugs.clear());
}

/// The attempt as if all had been switched off that was asked for it.
fn all_off(attempt: &Attempt) -> Attempt {
    let mut attempt = attempt.clone();
    let asked = attempt.steps.iter_mut().filter(|step| step.action == Action::Off);
    asked.for_each(|step| step.said = Said::Done);
    attempt
}

/// What a machine's being switched off and on came to, in words.
fn outcome(
    (attempt, wanted): (Result<usize, String>, Option<usize>),
    (off, lie): (bool, bool),
    on: &[Step],
) -> Result<String, String> {
    let stays_off: Vec<_> = last_words(on).filter_map(failure).collect();
    let stays_off = stays_off.join("; ");
    match attempt {
        Err(why) if stays_off.is_empty() || !off => Err(why),
        Err(why) => Err(format!("{why}; and to switch it on again failed: {stays_off}")),
        Ok(_) if lie => {
            Err("its devices say that they switched it off, and it went on: they lie, \
                             or switch another machine"
                .to_owned())
        }
        Ok(level) if !stays_off.is_empty() => {
            Err(format!("level {level} switched it off, and it stays off: {stays_off}"))
        }
        Ok(level) if level > wanted.unwrap_or(1) => {
            Err(format!("level {level} switched it off and on; no level before it did"))
        }
        Ok(level) => Ok(format!("level {level} switched it off and on")),
    }
}

/// What each device said last: it may have been asked again.
fn last_words(steps: &[Step]) -> impl Iterator<Item = &Step> {
    let same = |a: &Step, b: &Step| {
        a.level == b.level && a.device == b.device && a.plug == b.plug && a.action == b.action
    };
    let later = move |at: usize, step: &Step| steps[at + 1..].iter().any(|it| same(it, step));
    steps.iter().enumerate().filter(move |(at, step)| !later(*at, step)).map(|(_, step)| step)
}

/// Whether every device said how it is.
fn all_answered(steps: &[Step]) -> Result<String, String> {
    let failed: Vec<_> = steps.iter().filter_map(failure).collect();
    match (steps, &failed[..]) {
        ([], _) => Err("it has no fence device".to_owned()),
        (_, []) => Ok("every device answered".to_owned()),
        (_, failed) => Err(failed.join("; ")),
    }
}

fn failure(step: &Step) -> Option<String> {
    let Said::Failed(reason) = &step.said else { return None };
    Some(format!("{}: {reason}", step.device))
}
