//! A resource that is a container of an engine with Docker's API (Docker, Podman's socket).
//!
//! # What it is for
//! An engine starts what it is asked to outside of all that the keeper holds. So before it is asked
//! to, the container is given a control group of ours to run below ([`Room`]), and that is written
//! down for the keeper ([`Beside`]), which seals it when the lease ends, as it does with units. It
//! is unsealed here alone, by the next start.
//!
//! # Happy path
//! ```text
//!   probe ── nothing there ─▶ start: room, written down ─▶ old one removed ─▶ create ─▶ unseal
//!                                                                                  │
//!   removed ◀── stop, or kill: sealed by us, then removed ◀── waited for ◀── start ◀┘
//! ```
//! Its end is the answer to a question that stays open ([`follow`]). Its last lines are then asked
//! for, and stand where those of programs do. It is removed with each stop, and made anew with each
//! start: so it is always what the file says.
//!
//! # Failures
//! An engine that is away or stands still changes nothing of what runs: whether it does the kernel
//! knows. Nor does it keep anything from ending: to seal a group takes nobody but the kernel. An
//! image that is not there is told, and not fetched: that would take longer than any takeover.
//!
//! # Deliberately absent
//! To fetch images, to build them, to publish ports, to look into containers.

mod api;
mod engine;
mod follow;
mod lines;
mod room;
mod what;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_core::resource::{Answer, Operation};
use stead_core::state::config::ResourceTimes;
use stead_core::time::Span;
use stead_edge::chain;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use self::api::Shown;
use self::engine::{Engine, EngineError, PATIENCE};
use self::follow::{Followed, Follower};
#[cfg(test)]
pub(super) use self::lines::read as last_lines;
use self::room::{NoRoom, Room};
pub(super) use self::what::What;
use super::beside::{Beside, GOING, seal, unwritten};
use super::check::{self, Tries};
use super::operator::Report;
use super::say;
use super::surroundings::Surroundings;
use crate::agent::cgroup::Group;
use crate::agent::duration;

/// How long a start may take, where the file doesn't say: an engine under load takes seconds.
const START_TIMEOUT: Span = Span::from_millis(60_000);
/// How long a stop may take, where the file doesn't say: what engines give by default.
const STOP_TIMEOUT: Span = Span::from_millis(10_000);
/// How long the engine may take to tell what the kernel shows already.
const WORD: Duration = Duration::from_secs(3);

/// One resource and its container.
#[derive(Debug)]
pub(super) struct Container {
    what: What,
    monitor: Option<Vec<String>>,
    times: ResourceTimes,
    surroundings: Surroundings,
    beside: Beside,
    room: Room,
    followed: Arc<Followed>,
    /// How often it was started.
    starts: AtomicU64,
    /// It was started, and nobody has seen it in its control group: only its engine can end it.
    outside: AtomicBool,
    /// Who waits for the end of what was started last.
    follower: Mutex<Option<Follower>>,
}

impl Container {
    pub(super) fn new(
        what: What,
        monitor: Option<Vec<String>>,
        times: ResourceTimes,
        surroundings: Surroundings,
        beside: Beside,
        (place, reports): (usize, UnboundedSender<Report>),
    ) -> Self {
        let room = Room::of(&what.instance);
        let followed = Arc::new(Followed {
            room: room.clone(),
            output: surroundings.output.clone(),
            ended: watch::Sender::new(None),
            wanted: AtomicU64::new(0),
            place,
            reports,
        });
        let (starts, outside, follower) = Default::default();
        Self {
            what,
            monitor,
            times,
            surroundings,
            beside,
            room,
            followed,
            starts,
            outside,
            follower,
        }
    }

    pub(super) async fn perform(&self, operation: Operation) -> Answer {
        let image = &self.what.image;
        let late = |what: &str, within: Span| {
            let within = within.in_words();
            Answer::Failed(format!("{what}: the container of {image} is not done within {within}"))
        };
        match operation {
            Operation::Probe => self.probe().await.unwrap_or_else(|answer| answer),
            Operation::Start => {
                let within = self.times.start.unwrap_or(START_TIMEOUT);
                let until = Instant::now() + duration(within);
                match timeout_at(until, self.start(until)).await {
                    Ok(Ok(answer) | Err(answer)) => answer,
                    Err(_) => late("start", within),
                }
            }
            Operation::Monitor => self.look().await,
            Operation::Promote | Operation::Demote | Operation::Notify => {
                Answer::Failed("a container has no copies".to_owned())
            }
            Operation::Stop => {
                self.followed.forget();
                let within = self.times.stop.unwrap_or(STOP_TIMEOUT);
                match timeout(duration(within), self.stop(within)).await {
                    Ok(Ok(answer) | Err(answer)) => answer,
                    Err(_) => late("stop", within),
                }
            }
            Operation::Kill => {
                self.followed.forget();
                self.kill().await
            }
        }
    }

    fn engine(&self) -> Engine {
        Engine::find(self.what.socket.as_deref())
    }

    /// What of that name is there. Never what is not ours.
    async fn show(&self, engine: &Engine) -> Result<Option<Shown>, Answer> {
        let name = &self.what.name;
        let shown = engine.show(name).await.map_err(|error| failed("", &error))?;
        match shown {
            Some(shown) if !self.what.is_ours(&shown) => Err(Answer::Hopeless(format!(
                "the container {name} was not made by this node of stead: remove it or give it \
                 another name"
            ))),
            shown => Ok(shown),
        }
    }

    async fn probe(&self) -> Result<Answer, Answer> {
        // What an executor left that was killed. It is taken away in the end, by this one; and
        // until it is stopped it ends with the lease.
        for group in self.room.groups() {
            self.beside.add(&group).map_err(|error| unwritten(&error))?;
        }
        self.seal_strangers().await?;
        let left = || Answer::Failed("an earlier run of stead left its container".to_owned());
        match self.show(&self.engine()).await {
            Ok(Some(_)) => Ok(left()),
            _ if self.room.is_populated() => Ok(left()),
            Ok(None) => Ok(Answer::Stopped),
            Err(answer) => Err(answer),
        }
    }

    /// The control group below which it runs, which the keeper knows from here on.
    async fn hold(&self, engine: &Engine) -> Result<(String, Group), Answer> {
        let info = engine.info().await.map_err(|error| failed("", &error))?;
        let (name, group) = self.room.make(&info).await.map_err(|none| match none {
            NoRoom::Ever(reason) => Answer::Hopeless(reason),
            NoRoom::Now(reason) => Answer::Failed(reason),
        })?;
        self.beside.add(&group).map_err(|error| unwritten(&error))?;
        Ok((name, group))
    }

    async fn start(&self, until: Instant) -> Result<Answer, Answer> {
        let engine = self.engine();
        let (parent, group) = self.hold(&engine).await?;
        if self.room.is_populated() {
            // An engine says nothing of what is frozen.
            self.seal().await?;
        }
        if self.show(&engine).await?.is_some() {
            self.seal().await?;
            let removed = engine.remove(&self.what.name).await;
            removed.map_err(|error| failed("what was left is not removed: ", &error))?;
        }
        let wish = self.what.wish(parent);
        let id = engine.create(&self.what.name, &wish).await;
        let id = id.map_err(|error| self.what.not_created(&error))?;
        group
            .unseal()
            .map_err(|it| Answer::Failed(format!("its control group stays sealed: {it}")))?;
        let start = self.starts.fetch_add(1, Ordering::Relaxed) + 1;
        self.followed.forget();
        if let Err(error) = engine.start(&id).await {
            return Ok(failed("start: ", &error));
        }
        self.outside.store(true, Ordering::Relaxed);
        let follower = Follower::begin(self.followed.clone(), engine.clone(), id, start);
        *self.follower() = Some(follower);
        if self.runs_outside(&engine, &group).await {
            return Ok(Answer::Hopeless(
                "the container runs outside of its control group, so nothing would end it with \
                 the lease"
                    .to_owned(),
            ));
        }
        self.comes_up(start, until).await
    }

    /// Whether its engine goes on saying that it runs while nothing does in its control group.
    async fn runs_outside(&self, engine: &Engine, group: &Group) -> bool {
        let mut tries = Tries::until(Instant::now() + WORD);
        loop {
            let ended = self.followed.ended.borrow().is_some();
            if ended || group.is_populated().unwrap_or(false) {
                break;
            }
            match engine.show(&self.what.name).await {
                Ok(Some(shown)) if shown.state.running => {}
                Ok(Some(_) | None) => break,
                // Who doesn't say so has not said that it does.
                Err(_) => return false,
            }
            if !tries.again().await {
                return true;
            }
        }
        self.outside.store(false, Ordering::Relaxed);
        false
    }

    /// Waits until it works for the first time, and has its end told from there on.
    async fn comes_up(&self, start: u64, until: Instant) -> Result<Answer, Answer> {
        let mut tries = Tries::until(until);
        loop {
            match self.look().await {
                Answer::Failed(_) if tries.again().await => {}
                Answer::Works => break,
                Answer::Stopped => return Ok(self.not_started().await),
                answer @ (Answer::Promoted | Answer::Failed(_) | Answer::Hopeless(_)) => {
                    return Ok(answer);
                }
            }
        }
        self.followed.wanted.store(start, Ordering::Relaxed);
        // It may have ended in between; then that is told once, here or there.
        let ended = self.followed.ended.borrow().is_some();
        if ended && self.followed.takes(start) {
            return Ok(self.not_started().await);
        }
        Ok(Answer::Works)
    }

    async fn not_started(&self) -> Answer {
        let why = self.followed.end(PATIENCE).await;
        let why = why.unwrap_or_else(|| "its processes are gone".to_owned());
        Answer::Failed(format!("the container did not start: {why}"))
    }

    /// Whether it works, by the kernel, by the check that its image brings, and by its monitor.
    async fn look(&self) -> Answer {
        if self.followed.ended.borrow().is_some() || self.is_idle() {
            return Answer::Stopped;
        }
        if !self.room.is_populated() {
            // The kernel knows first, and the engine knows why: its word is told before this one.
            let _ = self.followed.end(WORD).await;
            return Answer::Stopped;
        }
        let engine = self.engine();
        // An engine that does not answer says nothing of a container that runs.
        if let Ok(Ok(Some(shown))) = timeout(WORD, engine.show(&self.what.name)).await {
            if shown.state.paused {
                return Answer::Failed("somebody paused the container".to_owned());
            }
            if shown.state.health.is_some_and(|health| health.status == "unhealthy") {
                return Answer::Failed("the check that its image brings fails".to_owned());
            }
        }
        match &self.monitor {
            Some(monitor) => check::look(&self.surroundings, monitor, &self.times).await,
            None => Answer::Works,
        }
    }

    /// Whether nothing was started.
    fn is_idle(&self) -> bool {
        self.follower().is_none()
    }

    fn follower(&self) -> MutexGuard<'_, Option<Follower>> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn stop(&self, within: Span) -> Result<Answer, Answer> {
        let engine = self.engine();
        if self.show(&engine).await?.is_some() {
            // Ours is the shorter time: whoever ends it then is the kernel.
            let seconds = within.as_micros().div_ceil(1_000_000) + 1;
            let stopped = engine.stop(&self.what.name, seconds).await;
            stopped.map_err(|error| failed("stop: ", &error))?;
            let removed = engine.remove(&self.what.name).await;
            removed.map_err(|error| failed("it is not removed: ", &error))?;
        }
        self.outside.store(false, Ordering::Relaxed);
        if self.room.is_populated() {
            return Ok(Answer::Failed("the container left processes behind".to_owned()));
        }
        // A start that took too long may still be under way.
        self.seal().await?;
        *self.follower() = None;
        Ok(Answer::Stopped)
    }

    async fn seal(&self) -> Result<(), Answer> {
        for group in self.room.groups() {
            let sealed = seal(&group, Instant::now() + GOING).await;
            sealed.map_err(|reason| Answer::Failed(format!("killed, and {reason}")))?;
        }
        Ok(())
    }

    /// Ends what somebody started while it was sealed, which has done nothing yet. Until then its
    /// engine says nothing about it.
    async fn seal_strangers(&self) -> Result<(), Answer> {
        let sealed = self.room.groups().iter().any(Group::is_sealed);
        if sealed { self.seal().await } else { Ok(()) }
    }

    /// Seals it. What the engine knows of that matters no more: whatever it does, nothing runs;
    /// unless it runs elsewhere, for which the engine alone can speak.
    async fn kill(&self) -> Answer {
        if let Err(answer) = self.seal().await {
            return answer;
        }
        let engine = self.engine();
        if self.outside.load(Ordering::Relaxed) {
            if let Err(error) = engine.remove(&self.what.name).await {
                return failed(
                    "nobody has seen it in its control group, and it is not removed: ",
                    &error,
                );
            }
            self.outside.store(false, Ordering::Relaxed);
        } else if let Ok(Some(_)) = self.show(&engine).await
            && let Err(error) = engine.remove(&self.what.name).await
        {
            say(format_args!("{} is not removed: {}", self.what.name, chain(&error)));
        }
        *self.follower() = None;
        Answer::Stopped
    }

    /// It is not to run here any more: nothing of it is left.
    pub(super) async fn release(&self) {
        for group in self.room.groups() {
            let gone = match self.show(&self.engine()).await {
                Ok(None) => self.room.unmake(&group).await,
                Ok(Some(_)) => Err("its container is still there".to_owned()),
                Err(Answer::Failed(reason) | Answer::Hopeless(reason)) => Err(reason),
                Err(_) => Err("nobody knows whether its container is there".to_owned()),
            };
            let gone = gone.and_then(|()| self.beside.remove(&group).map_err(|it| it.to_string()));
            if let Err(reason) = gone {
                // Sealed, it stays where it is: nothing runs in it.
                let _ = group.seal();
                say(format_args!("{} stays: {reason}", group.folder().display()));
            }
        }
    }
}

/// What did not go as it should; no engine at all is no matter of another try.
fn failed(what: &str, error: &EngineError) -> Answer {
    let reason = format!("{what}{}", chain(error));
    match error {
        EngineError::Absent(_) => Answer::Hopeless(reason),
        EngineError::Connection(..)
        | EngineError::Broken(_)
        | EngineError::Question(_)
        | EngineError::Late
        | EngineError::TooLong
        | EngineError::Senseless(_)
        | EngineError::Refused(..) => Answer::Failed(reason),
    }
}
