//! The process: what the machine decides is performed, and how things are is told.

use std::io;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use stead_core::resource::{Command, Life, Resource, Stage, View, Whole, order};
use stead_core::state::config::{Agent, ResourceConfig, Stuck};
use stead_core::time::{Instant, Span};
use stead_edge::chain;
use stead_linux::clock::boottime;
use stead_linux::namespace::mounts_for_us_only;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::beside::Beside;
use super::operator::{self, Operator, Report};
use super::others::Known;
use super::promoted::Promotion;
use super::say;
use super::wanted::Wanted;
use super::wire::{Order, Picture, ResourceView, State, care_word};
use crate::agent::output;
use crate::keeper;

/// The time between two runs of a monitor, where the file doesn't say.
pub const MONITOR_INTERVAL: Span = Span::from_millis(5_000);
/// How many of its last lines are kept of a resource that failed.
const LINES: usize = 10;
/// How often the length of outputs is looked at.
const TRIM: Duration = Duration::from_secs(1);
/// What a client may say at once, in bytes.
const LONGEST: u64 = 128 * 1024;
/// The kernel begins again at 300 when its numbers are used up; we stay away from either end.
const FIRST_NUMBER: u64 = 1_000;
/// How this ends when it can't begin.
const BROKEN: i32 = 70;

/// Runs an executor; returns the status to end with.
pub(super) fn run(wanted: Option<&Path>) -> i32 {
    let Some(path) = wanted else {
        eprintln!("stead executor: it is for the daemon to start it");
        return BROKEN;
    };
    let wanted = match Wanted::read(path) {
        Ok(wanted) => wanted,
        Err(error) => {
            say(format_args!("{}", chain(&error)));
            return BROKEN;
        }
    };
    // Agents are called as others call them; what is ours says its own mode.
    umask(Mode::from_bits_truncate(0o022));
    if let Err(error) = settle_in() {
        say(format_args!("its namespaces are not as they should be: {error}"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(wanted))) {
        Ok(()) => 0,
        Err(error) => {
            say(format_args!("the executor can't go on: {error}"));
            BROKEN
        }
    }
}

/// In namespaces of our own, which the keeper made, two things are put right.
///
/// Numbers of processes begin at 1, so the number in a pid file that a former start left is soon
/// that of somebody else, and agents would take that for their program: numbers begin somewhere
/// else each time. And what agents mount would stay on the machine when the namespace ends, where
/// systemd has made `/` shared: it is to be seen here only, and to end with this.
fn settle_in() -> io::Result<()> {
    let name = std::fs::read_to_string("/proc/1/comm")?;
    if name.trim_end() != keeper::NAME {
        return Ok(());
    }
    mounts_for_us_only()?;
    let most = std::fs::read_to_string("/proc/sys/kernel/pid_max")?;
    let most: u64 = most.trim_end().parse().map_err(io::Error::other)?;
    let chance = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    let from = FIRST_NUMBER + chance % most.saturating_sub(2 * FIRST_NUMBER).max(1);
    std::fs::write("/proc/sys/kernel/ns_last_pid", from.to_string())
}

async fn serve(wanted: Wanted) -> io::Result<()> {
    let needs = order(&wanted.resources)
        .map_err(|error| io::Error::other(format!("no order of its resources: {error:?}")))?;
    let resources = wanted.resources.iter().zip(needs).map(|(it, needs)| resource(it, needs));
    let (reports, reported) = unbounded_channel();
    let beside = Beside::new(wanted.note.clone());
    let known = Known::default();
    known.tell(wanted.copies.iter().flatten());
    let begin = |(place, resource): (usize, &ResourceConfig)| {
        operator::begin(place, &wanted, &beside, resource, &known, reports.clone())
    };
    let operators = wanted.resources.iter().enumerate().map(begin).collect();
    // From here on theirs are all there are.
    drop(reports);
    let life = match &wanted.copies {
        None => Life::begin(resources.collect()),
        Some(names) => {
            let can = |it: &ResourceConfig| names.contains(&it.name);
            let promotable: Vec<bool> = wanted.resources.iter().map(can).collect();
            Life::of_copies(resources.collect(), &promotable)
        }
    };
    let life = if wanted.ending { life.clearing() } else { life };
    let parts: Vec<ResourceView> = wanted.resources.iter().map(part).collect();
    let (told, pictures) = watch::channel(String::new());
    let (orders, ordered) = unbounded_channel();
    let promotion = Promotion::default();
    let mut executor = Executor { life, parts, operators, told, wanted, known, promotion };
    executor.advance()?;
    let socket = Wanted::socket(&executor.wanted.folder, &executor.wanted.service);
    tokio::spawn(accept(listen(&socket)?, pictures, orders));
    executor.run(reported, ordered).await
}

fn resource(config: &ResourceConfig, needs: Vec<usize>) -> Resource {
    Resource {
        needs,
        interval: config.times.interval.unwrap_or(MONITOR_INTERVAL),
        restarts: config.restarts,
        forget_after: config.forget_after,
    }
}

fn part(config: &ResourceConfig) -> ResourceView {
    let agent = match &config.agent {
        Agent::Process { .. } => "process".to_owned(),
        Agent::Ocf { provider, kind, .. } => format!("ocf:{provider}:{kind}"),
        Agent::Unit { unit, .. } => format!("unit:{unit}"),
        Agent::Container { image, .. } => format!("container:{image}"),
    };
    ResourceView {
        name: config.name.clone(),
        agent,
        stage: String::new(),
        promoted: false,
        reboots: false,
        failures: 0,
        all_failures: 0,
        reason: None,
        unwell: false,
        lines: Vec::new(),
    }
}

struct Executor {
    life: Life,
    parts: Vec<ResourceView>,
    operators: Vec<Operator>,
    told: watch::Sender<String>,
    wanted: Wanted,
    /// The other copies.
    known: Known,
    /// Of a copy: under which assignment it is promoted.
    promotion: Promotion,
}

impl Executor {
    async fn run(
        mut self,
        mut reported: UnboundedReceiver<Report>,
        mut ordered: UnboundedReceiver<Order>,
    ) -> io::Result<()> {
        let mut terminated = signal(SignalKind::terminate())?;
        let mut trim = interval(TRIM);
        trim.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.life.whole() != Whole::Stopped {
            let wait = self.life.next_deadline().since(now());
            let wait = Duration::from_micros(wait.as_micros());
            tokio::select! {
                report = reported.recv() => match report {
                    Some(Report::Answered { place, number, answer }) => {
                        self.life.answered(now(), place, number, answer);
                    }
                    Some(Report::Ended { place, detail }) => self.life.ended(now(), place, detail),
                    None => return Err(io::Error::other("nobody looks after its resources")),
                },
                Some(order) = ordered.recv() => self.obey(order),
                _ = terminated.recv() => self.life.stop(now()),
                () = sleep(wait) => self.life.tick(now()),
                _ = trim.tick() => {
                    for part in &self.parts {
                        // What can't be shortened now is looked at again.
                        let _ = output::trim(&self.wanted.output(&part.name));
                    }
                }
            }
            self.advance()?;
        }
        for operator in self.operators {
            operator.end().await;
        }
        Wanted::forget(&self.wanted.folder, &self.wanted.service);
        Ok(())
    }

    /// Does what a daemon says. What is late, from one that is gone perhaps, changes nothing.
    fn obey(&mut self, order: Order) {
        match order {
            Order::Stop => self.life.stop(now()),
            Order::Care(care) => self.life.care(now(), care),
            Order::Forget(None) => self.life.forget(now(), None),
            Order::Forget(Some(name)) => {
                let place = self.parts.iter().position(|part| part.name == name);
                if place.is_some() {
                    self.life.forget(now(), place);
                }
            }
            Order::Promote(epoch) => {
                let copy = self.wanted.epoch;
                if self.wanted.copies.is_some() && self.promotion.promote(copy, epoch) {
                    self.life.promote(now());
                }
            }
            Order::Demote(epoch) => {
                if self.promotion.demote(epoch) {
                    self.life.demote(now());
                }
            }
            Order::Others(others) => {
                if self.known.set(others) {
                    self.life.notify(now());
                }
            }
        }
    }

    /// Hands on what is asked for, and tells how things are now.
    ///
    /// # Errors
    /// Who looks after a resource broke down: nobody knows any more what runs of it.
    fn advance(&mut self) -> io::Result<()> {
        while let Some(Command::Ask { resource, operation, number }) = self.life.poll() {
            let operator = self.operators.get(resource);
            if operator.is_none_or(|it| it.asks.send((operation, number)).is_err()) {
                return Err(io::Error::other("nobody looks after one of its resources any more"));
            }
        }
        let all = self.parts.iter_mut().zip(self.life.views()).zip(&self.wanted.resources);
        for ((part, view), resource) in all {
            renew(part, &view, &self.wanted);
            part.reboots = view.stage == Stage::Stuck && resource.stuck == Stuck::Reboot;
        }
        let copies = self.wanted.copies.is_some();
        let released = copies && self.promotion.under.is_none() && self.life.is_released();
        let picture = Picture {
            epoch: self.wanted.epoch,
            state: self.state(self.life.whole()),
            copy: copies.then(|| self.state(self.life.copy())),
            promoted: self.promotion.under,
            released: released.then_some(self.promotion.demoted),
            care: care_word(self.life.allowed()).to_owned(),
            resources: self.parts.clone(),
        };
        let line = serde_json::to_string(&picture)?;
        self.told.send_if_modified(|told| {
            let news = *told != line;
            if news {
                *told = line;
            }
            news
        });
        Ok(())
    }

    fn state(&self, whole: Whole) -> State {
        match whole {
            Whole::Starting => State::Starting,
            Whole::Works => State::Works,
            Whole::Restarting => State::Restarting,
            Whole::Failed(place, reason) => {
                let resource = self.parts.get(place).map(|part| part.name.clone());
                State::Failed { resource: resource.unwrap_or_default(), reason }
            }
            Whole::Stopping => State::Stopping,
            Whole::Stopped => State::Stopped,
        }
    }
}

/// A resource as it is now. A failure is printed, with the last lines of whoever failed.
fn renew(part: &mut ResourceView, view: &View<'_>, wanted: &Wanted) {
    let reason = view.reason.map(str::to_owned);
    if view.all_failures > part.all_failures || reason != part.reason {
        part.lines = output::last_lines(&wanted.output(&part.name), LINES);
        for line in &part.lines {
            say(format_args!("{}: {line}", part.name));
        }
        if let Some(reason) = &reason {
            say(format_args!("{}: {reason}", part.name));
        }
    }
    part.stage = view.stage.word().to_owned();
    part.unwell = view.unwell;
    part.promoted = view.promoted;
    (part.failures, part.all_failures, part.reason) = (view.failures, view.all_failures, reason);
}

fn now() -> Instant {
    Instant(boottime())
}

fn listen(socket: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    UnixListener::bind(socket)
}

async fn accept(
    listener: UnixListener,
    pictures: watch::Receiver<String>,
    orders: UnboundedSender<Order>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(talk(stream, pictures.clone(), orders.clone()));
            }
            // No descriptor is left, perhaps: the next try may find one.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Sends pictures and takes orders until the other side is gone.
async fn talk(
    stream: UnixStream,
    mut pictures: watch::Receiver<String>,
    orders: UnboundedSender<Order>,
) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from.take(LONGEST));
    pictures.mark_changed();
    let mut word = Vec::new();
    loop {
        tokio::select! {
            read = from.read_until(b'\n', &mut word) => {
                if read? == 0 {
                    return Ok(());
                }
                if let Some(order) = Order::read(&word) {
                    let _ = orders.send(order);
                }
                word.clear();
                from.get_mut().set_limit(LONGEST);
            }
            changed = pictures.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let line = format!("{}\n", *pictures.borrow_and_update());
                to.write_all(line.as_bytes()).await?;
            }
        }
    }
}
