//! A resource that is a unit of systemd's.
//!
//! systemd starts it, outside of all that the keeper holds. So before it is asked to, the unit is
//! given a control group of its own ([`drop_in`]), and that is written down for the keeper
//! ([`Beside`]), which seals it when the lease ends. It is unsealed here alone, by the next start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stead_core::resource::{Answer, Operation};
use stead_core::state::config::ResourceTimes;
use stead_core::time::Span;
use stead_edge::chain;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::beside::{Beside, GOING, seal, unwritten};
use super::check::{self, Tries};
use super::followed::{self, Followed};
use super::operator::Report;
use super::surroundings::Surroundings;
use super::systemd::{At, Shown, Systemd};
use super::{drop_in, say};
use crate::agent::cgroup::Group;
use crate::agent::duration;

/// How long a start or a stop may take, where the file doesn't say: a little more than systemd
/// gives it by default, so that its own word comes first.
const TIMEOUT: Span = Span::from_millis(100_000);
/// How long systemd may take to say something.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long systemd may take to signal what the kernel shows already.
const WORD: Duration = Duration::from_secs(3);

/// What stands beside the resource's own control group.
#[derive(Debug, Default)]
struct Held {
    /// The unit's slice, and its control group.
    slice: Option<(String, Group)>,
    /// The control group of a run of the unit that stead did not start.
    stranger: Option<Group>,
}

impl Held {
    fn groups(&self) -> Vec<Group> {
        let slice = self.slice.iter().map(|(_, group)| group);
        slice.chain(&self.stranger).cloned().collect()
    }
}

/// One resource and its unit.
#[derive(Debug)]
pub(super) struct Unit {
    shared: Arc<Followed>,
    monitor: Option<Vec<String>>,
    times: ResourceTimes,
    beside: Beside,
    /// How often it was started.
    starts: AtomicU64,
    held: Mutex<Held>,
    systemd: tokio::sync::Mutex<Option<Systemd>>,
    follower: AbortHandle,
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl Unit {
    pub(super) fn new(
        unit: &str,
        monitor: Option<Vec<String>>,
        times: ResourceTimes,
        surroundings: Surroundings,
        beside: Beside,
        (place, reports): (usize, UnboundedSender<Report>),
    ) -> Self {
        let shared = Arc::new(Followed {
            unit: unit.to_owned(),
            surroundings,
            at: watch::Sender::new(None),
            wanted: AtomicU64::new(0),
            place,
            reports,
        });
        let follower = tokio::spawn(followed::follow(shared.clone())).abort_handle();
        let (held, systemd) = (Mutex::default(), tokio::sync::Mutex::default());
        let starts = AtomicU64::new(0);
        Self { shared, monitor, times, beside, starts, held, systemd, follower }
    }

    pub(super) async fn perform(&self, operation: Operation) -> Answer {
        let unit = &self.shared.unit;
        let late = |what: &str, within: Span| {
            Answer::Failed(format!("{what}: {unit} is not done within {}", within.in_words()))
        };
        match operation {
            Operation::Probe => match timeout(PATIENCE, self.probe()).await {
                Ok(Ok(answer) | Err(answer)) => answer,
                Err(_) => Answer::Failed(format!("systemd does not say how {unit} is")),
            },
            Operation::Start => {
                let within = self.times.start.unwrap_or(TIMEOUT);
                let until = Instant::now() + duration(within);
                match timeout_at(until, self.start(until)).await {
                    Ok(Ok(answer) | Err(answer)) => answer,
                    Err(_) => late("start", within),
                }
            }
            Operation::Monitor => self.look().await,
            Operation::Promote | Operation::Demote | Operation::Notify => {
                Answer::Failed("a unit has no copies".to_owned())
            }
            Operation::Stop => {
                self.shared.wanted.store(0, Ordering::Relaxed);
                let within = self.times.stop.unwrap_or(TIMEOUT);
                match timeout(duration(within), self.stop()).await {
                    Ok(Ok(answer) | Err(answer)) => answer,
                    Err(_) => late("stop", within),
                }
            }
            Operation::Kill => {
                self.shared.wanted.store(0, Ordering::Relaxed);
                self.kill().await
            }
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, which is made anew if it broke.
    async fn systemd(&self) -> Result<Systemd, Answer> {
        let mut systemd = self.systemd.lock().await;
        if let Some(systemd) = &*systemd {
            return Ok(systemd.clone());
        }
        let new = Systemd::connect().await.map_err(|error| {
            let reason = format!("systemd can't be asked: {}", chain(&error));
            // No bus at all: this is no machine for units.
            if let zbus::Error::InputOutput(_) = error {
                return Answer::Hopeless(reason);
            }
            Answer::Failed(reason)
        })?;
        *systemd = Some(new.clone());
        Ok(new)
    }

    /// What did not go as it should; the next try begins with a new connection.
    async fn failed(&self, what: &str, error: &zbus::Error) -> Answer {
        *self.systemd.lock().await = None;
        Answer::Failed(format!("{what}: {}", chain(error)))
    }

    async fn show(&self, systemd: &Systemd) -> Result<Shown, Answer> {
        match systemd.show(&self.shared.unit).await {
            Ok(shown) => Ok(shown),
            Err(error) => Err(self.failed("systemd does not say how it is", &error).await),
        }
    }

    async fn reload(&self, systemd: &Systemd) -> Result<(), Answer> {
        match systemd.reload().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed("systemd does not read its units again", &error).await),
        }
    }

    async fn probe(&self) -> Result<Answer, Answer> {
        let systemd = self.systemd().await?;
        let shown = self.show(&systemd).await?;
        let unit = &self.shared.unit;
        match &*shown.load {
            "loaded" => {}
            "not-found" => {
                return Err(Answer::Hopeless(format!("there is no unit {unit} on this node")));
            }
            other => {
                let why = if shown.load_error.is_empty() { "" } else { ": " };
                let reason =
                    format!("{unit} can't be used, it is {other}{why}{}", shown.load_error);
                return Err(Answer::Hopeless(reason));
            }
        }
        if shown.file.starts_with("enabled") {
            say(format_args!(
                "{unit} is enabled: it starts by itself when this machine boots, also while \
                 another node has the service; type  systemctl disable {unit}"
            ));
        }
        let was_held = drop_in::exists(unit);
        if was_held {
            // What an executor left that was killed. It is taken away in the end, by this one.
            self.hold(&systemd, &shown).await?;
        }
        if !shown.at.is_there() {
            return Ok(Answer::Stopped);
        }
        if let Some(group) = Some(&shown.group).filter(|path| !path.is_empty()) {
            // Until it is stopped it ends with the lease all the same.
            let group = Group::of_path(group).filter(Group::can_be_sealed).ok_or_else(groupless)?;
            self.beside.add(&group).map_err(|error| unwritten(&error))?;
            self.held().stranger = Some(group);
        }
        if was_held {
            return Ok(Answer::Failed(format!("an earlier run of stead left {unit} behind")));
        }
        Ok(Answer::Failed(format!(
            "{unit} runs by itself on this node: it is stopped and started again under the node's \
             lease; type  systemctl disable {unit}  so that nobody else starts it"
        )))
    }

    /// Has systemd leave the unit to us, in a control group that the keeper knows.
    async fn hold(&self, systemd: &Systemd, shown: &Shown) -> Result<Group, Answer> {
        let unit = &self.shared.unit;
        let slice = drop_in::slice_for(unit, &shown.slice).map_err(Answer::Hopeless)?;
        let new = drop_in::write(unit, &slice)
            .map_err(|it| Answer::Failed(format!("{unit} can't be told to be held: {it}")))?;
        if new || shown.needs_reload {
            self.reload(systemd).await?;
        }
        let told = self.show(systemd).await?;
        if (&*told.restart, &*told.slice) != ("no", &*slice) {
            return Err(Answer::Hopeless(format!(
                "another file says that {unit} has Restart={} and Slice={}, so it can't be held: \
                 remove that file",
                told.restart, told.slice
            )));
        }
        match systemd.job("StartUnit", &slice).await {
            Ok(result) if result == "done" => {}
            Ok(result) => return Err(Answer::Failed(format!("{slice} is not there: {result}"))),
            Err(error) => return Err(self.failed("its slice does not start", &error).await),
        }
        let path = match systemd.group_of_slice(&slice).await {
            Ok(path) => Some(path).filter(|path| !path.is_empty()),
            Err(error) => return Err(self.failed("its slice is not shown", &error).await),
        };
        let group = path.and_then(|path| Group::of_path(&path)).filter(Group::can_be_sealed);
        let group = group.ok_or_else(groupless)?;
        self.beside.add(&group).map_err(|error| unwritten(&error))?;
        self.held().slice = Some((slice, group.clone()));
        Ok(group)
    }

    async fn start(&self, until: Instant) -> Result<Answer, Answer> {
        let systemd = self.systemd().await?;
        let unit = &self.shared.unit;
        let shown = self.show(&systemd).await?;
        let group = self.hold(&systemd, &shown).await?;
        if self.show(&systemd).await?.at.is_there() || group.is_populated().unwrap_or(true) {
            // Somebody started it while it was sealed. It has done nothing yet.
            seal(&group, Instant::now() + GOING).await.map_err(Answer::Failed)?;
            self.ask_to_stop(&systemd).await?;
        }
        group
            .unseal()
            .map_err(|it| Answer::Failed(format!("its control group stays sealed: {it}")))?;
        // How often it was started is for us to count.
        let _ = systemd.reset(unit).await;
        // Where it stood before is no news of this run.
        self.shared.at.send_replace(None);
        let mut at = self.shared.at.subscribe();
        let result = match systemd.job("StartUnit", unit).await {
            Ok(result) => result,
            Err(error) => return Err(self.failed(&format!("start {unit}"), &error).await),
        };
        let shown = self.show(&systemd).await?;
        if result != "done" || !shown.at.works() {
            return Ok(self.not_started(&shown, &result).await);
        }
        if !group.is_populated().unwrap_or(false) && !shown.at.has_exited() {
            return Ok(Answer::Hopeless(format!(
                "{unit} runs outside of its control group, so nothing would end it with the lease"
            )));
        }
        // Signals come in their order: after this one none is older than the start.
        while !at.borrow_and_update().as_ref().is_some_and(At::works) {
            let over = at.borrow().as_ref().is_some_and(|at| !at.is_there());
            if over {
                let shown = self.show(&systemd).await?;
                if !shown.at.works() {
                    return Ok(self.not_started(&shown, &result).await);
                }
            }
            if at.changed().await.is_err() {
                break;
            }
        }
        let start = self.starts.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.wanted.store(start, Ordering::Relaxed);
        let mut tries = Tries::until(until);
        loop {
            let answer = self.look().await;
            match answer {
                Answer::Failed(_) if tries.again().await => {}
                Answer::Stopped => {
                    return Ok(self.not_started(&self.show(&systemd).await?, &result).await);
                }
                Answer::Works | Answer::Promoted | Answer::Failed(_) | Answer::Hopeless(_) => {
                    return Ok(answer);
                }
            }
        }
    }

    async fn not_started(&self, shown: &Shown, result: &str) -> Answer {
        let why = self.shared.why(shown).await;
        Answer::Failed(format!("{} did not start ({result}): {why}", self.shared.unit))
    }

    /// Whether it works, by what systemd told last, by the kernel, and by its monitor.
    async fn look(&self) -> Answer {
        let at = self.shared.at.borrow().clone();
        let Some(at) = at else { return Answer::Stopped };
        let group = self.held().slice.as_ref().map(|(_, group)| group.clone());
        let runs = group.is_some_and(|group| group.is_populated().unwrap_or(false));
        if !at.works() {
            return Answer::Stopped;
        }
        if !runs && !at.has_exited() {
            // The kernel knows first, and systemd knows why: its word is told before this one.
            let ended = |at: &Option<At>| !at.as_ref().is_some_and(At::works);
            let _ = timeout(WORD, self.shared.at.subscribe().wait_for(ended)).await;
            return Answer::Stopped;
        }
        match &self.monitor {
            Some(monitor) => check::look(&self.shared.surroundings, monitor, &self.times).await,
            None => Answer::Works,
        }
    }

    async fn ask_to_stop(&self, systemd: &Systemd) -> Result<(), Answer> {
        let unit = &self.shared.unit;
        match systemd.job("StopUnit", unit).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(&format!("stop {unit}"), &error).await),
        }
    }

    async fn stop(&self) -> Result<Answer, Answer> {
        let systemd = self.systemd().await?;
        self.ask_to_stop(&systemd).await?;
        let shown = self.show(&systemd).await?;
        let unit = &self.shared.unit;
        if shown.at.is_there() {
            return Ok(Answer::Failed(format!("{unit} is {} after its stop", shown.at.active)));
        }
        let left = self.held().groups().iter().any(|it| it.is_populated().unwrap_or(true));
        if left {
            return Ok(Answer::Failed(format!("{unit} left processes behind")));
        }
        self.forget_stranger();
        Ok(Answer::Stopped)
    }

    fn forget_stranger(&self) {
        let stranger = self.held().stranger.take();
        if let Some(Err(error)) = stranger.map(|group| self.beside.remove(&group)) {
            say(format_args!("{}: {error}", self.shared.unit));
        }
    }

    /// Seals it. What systemd knows of that does not matter then: whatever it does, nothing runs.
    async fn kill(&self) -> Answer {
        let (groups, is_stranger) = {
            let held = self.held();
            (held.groups(), held.stranger.is_some() || held.slice.is_none())
        };
        for group in &groups {
            if let Err(reason) = seal(group, Instant::now() + GOING).await {
                return Answer::Failed(format!("killed, and {reason}"));
            }
        }
        match timeout(PATIENCE, self.stop()).await {
            // Of one that stead did not start systemd alone knows whether it starts again.
            Ok(Ok(Answer::Stopped)) => Answer::Stopped,
            Ok(Ok(answer) | Err(answer)) if is_stranger => answer,
            Err(_) if is_stranger => {
                Answer::Failed("killed, and systemd does not answer".to_owned())
            }
            Ok(_) | Err(_) => Answer::Stopped,
        }
    }

    /// Gives the unit back, as it was: it is not to run here any more.
    pub(super) async fn release(&self) {
        let unit = &self.shared.unit;
        match timeout(PATIENCE, self.give_back()).await {
            Ok(Ok(())) => {}
            Ok(Err(answer)) => say(format_args!("{unit} stays held: {answer:?}")),
            Err(_) => say(format_args!("{unit} stays held: systemd does not answer")),
        }
    }

    async fn give_back(&self) -> Result<(), Answer> {
        let held = self.held().slice.clone();
        let unit = &self.shared.unit;
        // A start that was cancelled may have come no further than that file.
        if held.is_none() && !drop_in::exists(unit) {
            return Ok(());
        }
        let systemd = self.systemd().await?;
        if self.show(&systemd).await?.at.is_there() {
            return Err(Answer::Failed("it is there".to_owned()));
        }
        drop_in::remove(unit).map_err(|it| Answer::Failed(it.to_string()))?;
        self.reload(&systemd).await?;
        // A unit that failed is shown as such elsewhere than here, where it only ended.
        let _ = systemd.reset(unit).await;
        let Some((slice, group)) = held else { return Ok(()) };
        if let Err(error) = systemd.job("StopUnit", &slice).await {
            return Err(self.failed(&format!("stop {slice}"), &error).await);
        }
        self.beside.remove(&group).map_err(|error| unwritten(&error))?;
        self.held().slice = None;
        Ok(())
    }
}

fn groupless() -> Answer {
    Answer::Hopeless(
        "its control group can't be frozen and killed as a whole (that takes version 2 and Linux \
         5.14), so nothing would end it with the node's lease"
            .to_owned(),
    )
}
