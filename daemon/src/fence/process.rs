//! One run of a program: told on its standard input, heard to its end, and killed with all that it
//! started when its time is over or when nobody waits for it any more.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use stead_edge::polled::Polled;
use stead_linux::process::{Mark, ProcessError, Running, Signal, Spec, signal_session, spawn};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::output::Kept;
use super::surroundings::{Marks, Surroundings, environment, marked};
use crate::agent::proc;

/// How long what was killed may take to go. What sits in the kernel takes longer than anyone waits.
const GOING: Duration = Duration::from_secs(2);
/// How often it is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How much is read at once, in bytes.
const PART: usize = 8 * 1024;

/// What is run.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    /// Beside what all have.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// What it reads on its standard input.
    pub(super) input: Vec<u8>,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) how: How,
    pub(super) output: Kept,
    pub(super) errors: Kept,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Exit(i32),
    Signal(i32),
    /// It did not end in its time, and was killed.
    Late,
}

/// It was not run, or nobody could watch it; it does not run now.
#[derive(Debug, Error)]
pub(super) enum RunError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("can't talk to it; it was ended")]
    Pipe(#[source] io::Error),
    #[error("its start broke off: {0}")]
    Broken(String),
}

/// Runs it. Whoever drops the future has it killed.
pub(super) async fn run(
    surroundings: &Surroundings,
    order: Order,
    within: Duration,
) -> Result<Ran, RunError> {
    let (mut input, theirs) = pipe::pipe().map_err(RunError::Pipe)?;
    let stdin = theirs.into_blocking_fd().map_err(RunError::Pipe)?;
    let (mut output, stdout) = reader().map_err(RunError::Pipe)?;
    let (mut errors, stderr) = reader().map_err(RunError::Pipe)?;
    let told = order.input.clone();
    let surroundings = surroundings.clone();
    let start = move || start(&surroundings, order, [stdin, stdout, stderr]);
    let started = spawn_blocking(start).await;
    let leash = started.map_err(|error| RunError::Broken(error.to_string()))??;
    let end = leash.end().map_err(RunError::Pipe)?;
    let (mut said, mut complained) = (Kept::default(), Kept::default());
    let tell = async {
        // Who does not read what it is told ends in its own way.
        let _ = input.write_all(&told).await;
        drop(input);
    };
    let talk = async {
        tokio::join!(fill(&mut output, &mut said), fill(&mut errors, &mut complained), tell);
        // What it started may live on with its pipes, or it without: only its own end counts.
        std::future::pending::<()>().await;
    };
    let heard = async {
        tokio::select! {
            () = talk => {}
            ended = end.readable() => drop(ended),
        }
    };
    let in_time = timeout(within, heard).await.is_ok();
    let status = leash.over().await?;
    drain(&output, &mut said);
    drain(&errors, &mut complained);
    let how = if in_time { How::of(status) } else { How::Late };
    Ok(Ran { how, output: said, errors: complained })
}

impl How {
    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

/// A pipe that is read by us and written by a program.
fn reader() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (theirs, ours) = pipe::pipe()?;
    Ok((ours, theirs.into_blocking_fd()?))
}

/// Reads until all who could write are gone.
async fn fill(from: &mut pipe::Receiver, to: &mut Kept) {
    let mut part = [0; PART];
    while let Ok(length @ 1..) = from.read(&mut part).await {
        to.add(part.get(..length).unwrap_or_default());
    }
}

/// Reads what is there. All who could write are gone, or stuck.
fn drain(from: &pipe::Receiver, to: &mut Kept) {
    let mut part = [0; PART];
    while let Ok(length @ 1..) = from.try_read(&mut part) {
        to.add(part.get(..length).unwrap_or_default());
    }
}

/// Starts it; blocks until it runs.
fn start(
    surroundings: &Surroundings,
    order: Order,
    [stdin, stdout, stderr]: [OwnedFd; 3],
) -> Result<Leash, RunError> {
    let marks = surroundings.next();
    let args: Vec<&str> = order.args.iter().map(String::as_str).collect();
    let mut spec = Spec::new(order.program, &args);
    let mut whole = environment();
    whole.extend(order.environment);
    whole.push(marks.pair());
    spec.environment = Some(whole);
    spec.folder = Some("/".into());
    spec.input = Some(stdin.into());
    spec.output = Some(stdout.into());
    spec.errors = Some(stderr.into());
    let door = marks.group.as_ref().map(|group| group.door()).transpose();
    let cgroup = door.unwrap_or_else(|error| {
        tracing::warn!("can't enter a control group: {error}");
        None
    });
    spec.mark = Mark { note: None, cgroup };
    match spawn(spec) {
        Ok(running) => Ok(Leash(Some(Held { running, marks }))),
        Err(error) => {
            forget(&marks);
            Err(error.into())
        }
    }
}

fn forget(marks: &Marks) {
    if let Some(group) = &marks.group
        && let Err(error) = group.remove()
    {
        tracing::warn!("can't remove {}: {error}", group.folder().display());
    }
}

/// A program that is gone when this is, with all that it started.
#[derive(Debug)]
struct Leash(Option<Held>);

#[derive(Debug)]
struct Held {
    running: Running,
    marks: Marks,
}

impl Leash {
    /// What is readable when the program has ended.
    fn end(&self) -> io::Result<Polled<OwnedFd>> {
        let held = self.0.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Polled::new(held.running.as_fd().try_clone_to_owned()?)
    }

    /// Ends what is left of it, waits for that, and says how the program itself ended.
    async fn over(mut self) -> Result<ExitStatus, RunError> {
        let broken = |what: &str| RunError::Broken(what.to_owned());
        let held = self.0.take().ok_or_else(|| broken("it was waited for before"))?;
        held.kill();
        let swept = spawn_blocking(move || held.sweep()).await;
        let status = swept.map_err(|error| RunError::Broken(error.to_string()))??;
        // Nobody's time is worth waiting for the kernel: it is dead as soon as that lets it go.
        Ok(status.unwrap_or_else(|| ExitStatus::from_raw(Signal::SIGKILL as i32)))
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        let Some(held) = self.0.take() else { return };
        held.kill();
        let sweep = move || drop(held.sweep());
        // Without a thread the next daemon finds what is left.
        let _ = thread::Builder::new().name("fence-end".to_owned()).spawn(sweep);
    }
}

impl Held {
    /// Kills what can be reached without a look around. Its number is its own: nobody has waited
    /// for it yet.
    fn kill(&self) {
        if let Some(group) = &self.marks.group {
            group.kill();
        }
        let _ = self.running.signal_group(Signal::SIGKILL);
    }

    /// Kills until nothing is left, or for as long as anyone waits; then says how it ended, if it
    /// has.
    fn sweep(mut self) -> Result<Option<ExitStatus>, ProcessError> {
        let until = Instant::now() + GOING;
        while self.is_left() && Instant::now() < until {
            self.kill();
            thread::sleep(LOOK_AGAIN);
        }
        let mut status = self.running.try_wait()?;
        while status.is_none() && Instant::now() < until {
            thread::sleep(LOOK_AGAIN);
            status = self.running.try_wait()?;
        }
        if status.is_none() {
            tracing::warn!("{} was killed and does not end", self.running.identity());
            // Somebody has to take its status when the kernel lets it go.
            let mut running = self.running;
            let wait = move || drop(running.wait());
            let _ = thread::Builder::new().name("fence-stuck".to_owned()).spawn(wait);
            return Ok(None);
        }
        forget(&self.marks);
        Ok(status)
    }

    /// Whether something of it still runs. Kills what only a look around finds.
    fn is_left(&self) -> bool {
        if let Some(group) = &self.marks.group {
            return group.is_populated().unwrap_or(false);
        }
        let session = signal_session(self.running.identity().pid, Signal::SIGKILL);
        let variable = self.marks.variable.as_bytes();
        let found = marked(|it| it == variable).unwrap_or_default();
        for stat in &found {
            // What is refused is found again.
            let _ = proc::signal(stat, Signal::SIGKILL);
        }
        !found.is_empty() || session.is_ok_and(|count| count > 0)
    }
}
