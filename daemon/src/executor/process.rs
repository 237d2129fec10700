//! A program that stays in the foreground.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stead_core::resource::{Answer, Operation};
use stead_core::state::config::{ProcessHow, Ready, ResourceTimes};
use stead_core::time::Span;
use stead_edge::chain;
use stead_edge::polled::Polled;
use stead_linux::process::{Running, Signal, User, spawn};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};

use super::check::{self, Tries};
use super::members;
use super::operator::{Report, signal_name};
use super::ready::Notices;
use super::surroundings::Surroundings;
use crate::agent::duration;
use crate::config::DEFAULT_STOP_TIMEOUT;

/// How long a start may take, where the file doesn't say.
const START_TIMEOUT: Span = Span::from_millis(20_000);
/// How long a connection to it may take to be had.
const CONNECT: Duration = Duration::from_secs(1);

/// The program as it is now.
#[derive(Debug, Default)]
struct Slot {
    /// Which start it is from.
    start: u64,
    running: Option<Running>,
    /// How it ended by itself.
    ended: Option<String>,
}

/// A resource that is a program.
#[derive(Debug)]
pub(super) struct Program {
    command: Vec<String>,
    monitor: Option<Vec<String>>,
    how: ProcessHow,
    times: ResourceTimes,
    surroundings: Surroundings,
    slot: Arc<Mutex<Slot>>,
    /// Changes when it has ended.
    over: watch::Sender<()>,
    place: usize,
    reports: UnboundedSender<Report>,
}

impl Program {
    pub(super) fn new(
        command: Vec<String>,
        monitor: Option<Vec<String>>,
        how: ProcessHow,
        times: ResourceTimes,
        surroundings: Surroundings,
        (place, reports): (usize, UnboundedSender<Report>),
    ) -> Self {
        let (slot, over) = (Arc::default(), watch::Sender::default());
        Self { command, monitor, how, times, surroundings, slot, over, place, reports }
    }

    pub(super) async fn perform(&self, operation: Operation) -> Answer {
        match operation {
            // Only this process starts it, and it has begun.
            Operation::Probe => Answer::Stopped,
            Operation::Start => self.start().await,
            Operation::Monitor => self.look().await,
            Operation::Stop => self.stop().await,
            Operation::Promote | Operation::Demote | Operation::Notify => {
                Answer::Failed("a program has no copies".to_owned())
            }
            Operation::Kill => {
                self.next_start();
                match members::kill(&self.surroundings).await {
                    Ok(()) => self.gone(),
                    Err(reason) => Answer::Failed(format!("killed, and {reason}")),
                }
            }
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> Option<String> {
        self.slot().ended.clone()
    }

    async fn start(&self) -> Answer {
        let within = self.times.start.unwrap_or(START_TIMEOUT);
        let until = Instant::now() + duration(within);
        let user = match self.user().await {
            Ok(user) => user,
            Err(reason) => return Answer::Hopeless(reason),
        };
        let notices = match self.notices(user.as_ref()) {
            Ok(notices) => notices,
            Err(error) => return Answer::Failed(format!("it could not say that it runs: {error}")),
        };
        if let Err(reason) = self.launch(user, notices.as_ref()).await {
            return Answer::Failed(reason);
        }
        let answer = match notices {
            Some(notices) => self.says_so(&notices, until).await,
            None => self.is_ready(until).await,
        };
        match answer {
            Answer::Works | Answer::Failed(_) => answer,
            Answer::Promoted | Answer::Stopped | Answer::Hopeless(_) => {
                let how = self.ended().unwrap_or_else(|| "it stopped at once".to_owned());
                Answer::Failed(how)
            }
        }
    }

    /// Looks until it is ready, or has ended.
    async fn is_ready(&self, until: Instant) -> Answer {
        let mut tries = Tries::until(until);
        loop {
            let answer = match self.how.ready {
                Ready::Tcp(address) => self.listens(address).await,
                Ready::Monitor | Ready::Notify => self.look().await,
            };
            match answer {
                Answer::Failed(_) if !tries.again().await => return answer,
                Answer::Failed(_) => {}
                // One that ends at once says so before it counts as started.
                Answer::Works if self.ended().is_some() => return Answer::Stopped,
                Answer::Works | Answer::Promoted | Answer::Stopped | Answer::Hopeless(_) => {
                    return answer;
                }
            }
        }
    }

    /// As whom it runs, if that is said.
    async fn user(&self) -> Result<Option<User>, String> {
        let Some(name) = self.how.user.clone() else { return Ok(None) };
        let group = self.how.group.clone();
        // Where users stand in a directory on the network, this takes a while.
        let found = spawn_blocking(move || User::named(&name, group.as_deref())).await;
        let found = found.map_err(|error| error.to_string())?;
        found.map(Some).map_err(|error| error.to_string())
    }

    fn notices(&self, user: Option<&User>) -> io::Result<Option<Notices>> {
        let wanted = self.how.ready == Ready::Notify;
        wanted.then(|| Notices::open(user.map_or(0, |user| user.id))).transpose()
    }

    /// Waits until it says that it is ready.
    async fn says_so(&self, notices: &Notices, until: Instant) -> Answer {
        let mut status = None;
        loop {
            tokio::select! {
                said = notices.next() => match said {
                    Ok(said) if said.ready => return Answer::Works,
                    Ok(said) => status = said.status.or(status),
                    Err(error) => return Answer::Failed(format!("it can't be heard: {error}")),
                },
                () = self.over() => return Answer::Stopped,
                () = sleep_until(until) => {
                    let status = status.map(|it| format!(", it said: {it}")).unwrap_or_default();
                    return Answer::Failed(format!("it did not say that it is ready{status}"));
                }
            }
        }
    }

    /// Waits until it has ended.
    async fn over(&self) {
        let mut news = self.over.subscribe();
        while self.ended().is_none() {
            if news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether a connection to it can be had.
    async fn listens(&self, address: SocketAddr) -> Answer {
        if self.ended().is_some() {
            return Answer::Stopped;
        }
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => Answer::Works,
            Ok(Err(error)) => Answer::Failed(format!("{address} takes no connection: {error}")),
            Err(_) => Answer::Failed(format!("{address} takes no connection")),
        }
    }

    /// Starts it, and has its end told.
    async fn launch(&self, user: Option<User>, notices: Option<&Notices>) -> Result<(), String> {
        let mut told: Vec<(&str, OsString)> = Vec::new();
        if let Some(user) = &user {
            let name = || OsString::from(&user.name);
            told.extend([("USER", name()), ("LOGNAME", name()), ("HOME", (&user.home).into())]);
        }
        told.extend(notices.map(|it| ("NOTIFY_SOCKET", OsString::from(&it.name))));
        let told = told.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let mut spec =
            check::spec(&self.surroundings, &self.command, told, &self.surroundings.output, true)?;
        spec.user = user;
        let start = self.next_start();
        let slot = self.slot.clone();
        // Under the lock: a stop that comes meanwhile waits, and finds what was started.
        let spawned = spawn_blocking(move || {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.start != start {
                return Err("it was stopped meanwhile".to_owned());
            }
            let running = spawn(spec).map_err(|error| chain(&error))?;
            let end = running.as_fd().try_clone_to_owned();
            (slot.running, slot.ended) = (Some(running), None);
            end.map_err(|error| format!("its end can't be watched: {error}"))
        });
        let end = spawned.await.map_err(|error| format!("it can't be started: {error}"))??;
        let end = Polled::new(end).map_err(|it| format!("its end can't be watched: {it}"))?;
        let (slot, place, reports) = (self.slot.clone(), self.place, self.reports.clone());
        let over = self.over.clone();
        tokio::spawn(async move {
            let _ = end.readable().await;
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.start != start {
                return;
            }
            let status = slot.running.as_mut().and_then(|running| running.try_wait().ok()?);
            let detail = status.map_or_else(|| "it ended".to_owned(), how);
            slot.ended = Some(detail.clone());
            drop(slot);
            over.send_modify(|()| ());
            let _ = reports.send(Report::Ended { place, detail });
        });
        Ok(())
    }

    /// No start that is under way counts any more, nor does the end of what was started.
    fn next_start(&self) -> u64 {
        let mut slot = self.slot();
        slot.start += 1;
        slot.start
    }

    /// Whether it works: it runs, and its monitor, if it has one, says so.
    async fn look(&self) -> Answer {
        {
            let slot = self.slot();
            if slot.running.is_none() || slot.ended.is_some() {
                return Answer::Stopped;
            }
        }
        match &self.monitor {
            Some(monitor) => check::look(&self.surroundings, monitor, &self.times).await,
            None => Answer::Works,
        }
    }

    async fn stop(&self) -> Answer {
        let within = self.times.stop.unwrap_or(DEFAULT_STOP_TIMEOUT);
        let until = Instant::now() + duration(within);
        self.next_start();
        match members::members(&self.surroundings) {
            Ok(all) => members::signal(&all, self.stop_signal()),
            Err(error) => return Answer::Failed(format!("can't see what to stop: {error}")),
        }
        match members::all_gone(&self.surroundings, until).await {
            Ok(()) => self.gone(),
            Err(left) => {
                Answer::Failed(format!("it did not end within {}: {left}", within.in_words()))
            }
        }
    }

    fn stop_signal(&self) -> Signal {
        let named = self.how.stop_signal.as_ref().and_then(|name| name.parse().ok());
        named.unwrap_or(Signal::SIGTERM)
    }

    /// Nothing of it runs. Its end is nobody's news any more.
    fn gone(&self) -> Answer {
        let mut slot = self.slot();
        if let Some(mut running) = slot.running.take() {
            let _ = running.try_wait();
        }
        slot.ended = None;
        Answer::Stopped
    }
}

/// How it ended, in words.
fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended: exit status {code}"),
        (None, Some(number)) => format!("it ended: killed by {}", signal_name(number)),
        (None, None) => "it ended".to_owned(),
    }
}
