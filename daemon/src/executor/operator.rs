//! Performs what the machine asks of one resource: one operation at a time, the newest one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use stead_core::resource::{Answer, Operation};
use stead_core::state::config::{Agent, ResourceConfig};
use stead_core::time::Span;
use stead_edge::chain;
use stead_linux::process::{Spec, spawn};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, spawn_blocking};

use super::beside::Beside;
use super::container::{Container, What};
use super::ocf::OcfAgent;
use super::others::Known;
use super::process::Program;
use super::surroundings::Surroundings;
use super::unit::Unit;
use super::wanted::Wanted;
use crate::agent::duration;
use crate::agent::run::Run;

/// What came of a resource.
#[derive(Debug)]
pub(super) enum Report {
    /// An operation is over.
    Answered { place: usize, number: u64, answer: Answer },
    /// It ended by itself.
    Ended { place: usize, detail: String },
}

/// Who performs the operations of a resource.
#[derive(Clone)]
pub(super) enum Performer {
    Ocf(Arc<OcfAgent>),
    Program(Arc<Program>),
    Unit(Arc<Unit>),
    Container(Arc<Container>),
}

impl Performer {
    async fn release(&self) {
        match self {
            Self::Unit(unit) => unit.release().await,
            Self::Container(container) => container.release().await,
            Self::Ocf(_) | Self::Program(_) => {}
        }
    }
}

type Running = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Who looks after a resource.
pub(super) struct Operator {
    /// What is sent here is performed.
    pub(super) asks: UnboundedSender<(Operation, u64)>,
    task: JoinHandle<()>,
}

impl Operator {
    /// Nothing will be asked any more: what was held for the resource is given back.
    pub(super) async fn end(self) {
        drop(self.asks);
        let _ = self.task.await;
    }
}

/// Begins to look after a resource.
pub(super) fn begin(
    place: usize,
    wanted: &Wanted,
    beside: &Beside,
    resource: &ResourceConfig,
    known: &Known,
    reports: UnboundedSender<Report>,
) -> Operator {
    let surroundings = Surroundings::new(wanted, resource);
    let performer = match &resource.agent {
        Agent::Ocf { provider, kind, parameters } => {
            let mut agent =
                OcfAgent::new(provider, kind, parameters, wanted, resource, surroundings);
            agent.known = wanted.has_copies(&resource.name).then(|| known.clone());
            Performer::Ocf(Arc::new(agent))
        }
        Agent::Process { command, monitor, how } => {
            let (command, monitor, how) = (command.clone(), monitor.clone(), how.clone());
            let (times, told) = (resource.times, (place, reports.clone()));
            let program = Program::new(command, monitor, how, times, surroundings, told);
            Performer::Program(Arc::new(program))
        }
        Agent::Unit { unit, monitor } => {
            let (times, told) = (resource.times, (place, reports.clone()));
            let monitor = monitor.clone();
            let unit = Unit::new(unit, monitor, times, surroundings, beside.clone(), told);
            Performer::Unit(Arc::new(unit))
        }
        Agent::Container { image, command, monitor, how } => {
            let what = What::new(image, command, how, wanted, resource);
            let (times, told) = (resource.times, (place, reports.clone()));
            let monitor = monitor.clone();
            let beside = beside.clone();
            let container = Container::new(what, monitor, times, surroundings, beside, told);
            Performer::Container(Arc::new(container))
        }
    };
    let (asks, asked) = unbounded_channel();
    let task = tokio::spawn(run(place, performer, asked, reports));
    Operator { asks, task }
}

async fn run(
    place: usize,
    performer: Performer,
    mut asked: UnboundedReceiver<(Operation, u64)>,
    reports: UnboundedSender<Report>,
) {
    let mut running: Option<(u64, Running)> = None;
    loop {
        tokio::select! {
            biased;
            ask = asked.recv() => match ask {
                Some((operation, number)) => {
                    // What ran is dropped here, and with it its processes.
                    running = Some((number, perform(performer.clone(), operation)));
                }
                None => return performer.release().await,
            },
            answer = answer(&mut running) => {
                let Some((number, _)) = running.take() else { continue };
                if reports.send(Report::Answered { place, number, answer }).is_err() {
                    return;
                }
            }
        }
    }
}

async fn answer(running: &mut Option<(u64, Running)>) -> Answer {
    match running {
        Some((_, running)) => running.await,
        None => std::future::pending().await,
    }
}

fn perform(performer: Performer, operation: Operation) -> Running {
    match performer {
        Performer::Ocf(agent) => Box::pin(async move { agent.perform(operation).await }),
        Performer::Program(program) => Box::pin(async move { program.perform(operation).await }),
        Performer::Unit(unit) => Box::pin(async move { unit.perform(operation).await }),
        Performer::Container(it) => Box::pin(async move { it.perform(operation).await }),
    }
}

/// How a run of a command ended.
#[derive(Debug)]
pub(super) enum Ended {
    Status(i32),
    Signal(i32),
    /// It could not be run, or took too long: why, in words.
    Not(String),
}

/// Runs a command to its end, or to the end of its time; dropped, it is killed.
pub(super) async fn command(spec: Spec, within: Span) -> Ended {
    let started = spawn_blocking(move || spawn(spec).map(Run::of)).await;
    let mut run = match started {
        Ok(Ok(run)) => run,
        Ok(Err(error)) => return Ended::Not(format!("it can't be run: {}", chain(&error))),
        Err(error) => return Ended::Not(format!("it can't be run: {error}")),
    };
    match run.status(duration(within)).await {
        None => Ended::Not(format!("no answer within {}, and it was killed", within.in_words())),
        Some(Err(error)) => Ended::Not(format!("its end is lost: {}", chain(&error))),
        Some(Ok(status)) => {
            use std::os::unix::process::ExitStatusExt;
            match (status.code(), status.signal()) {
                (Some(code), _) => Ended::Status(code),
                (None, Some(number)) => Ended::Signal(number),
                (None, None) => Ended::Not("it is not known how it ended".to_owned()),
            }
        }
    }
}

/// A signal by its name.
pub(super) fn signal_name(number: i32) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.to_string(),
        Err(_) => format!("signal {number}"),
    }
}
