//! One run of a program: told on its standard input, heard to its end, and killed with all that it
//! started when its time is over or when nobody waits for it any more.
//!
//! What it is for: checks and reloads on clients' machines, and programs that are told messages.
//!
//! Happy path: [`run`](run()) starts a [`Command`] in a session of its own and waits for its end.
//! What it leaves running when it ends by itself lives on: to start something is what many reload
//! commands are for. Failures: see [`RunError`]; the last lines that it said are in it.
//!
//! Deliberately absent: a shell, and other users than our own.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use stead_edge::last_of;
use stead_edge::polled::Polled;
use stead_linux::process::{
    ProcessError, Running, Signal, Spec, session_members, signal_session, spawn,
};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long what was killed may take to go. What sits in the kernel takes longer than anyone waits.
const GOING: Duration = Duration::from_secs(5);
/// How often it is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How much is read at once, in bytes.
const PART: usize = 8 * 1024;
/// How much of the end of its output is kept, in bytes.
const KEPT: usize = 16 * 1024;
/// How many of its last lines are told.
const LINES: usize = 5;

/// A program, by its whole path, with its arguments. There is no shell.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Command(Vec<String>);

/// What is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// The list is empty.
    #[error("a command is a list: the program's whole path, then its arguments")]
    Empty,
    /// It would be looked up, differently for each user.
    #[error("the program needs its whole path, such as /usr/sbin/nginx")]
    Relative,
    /// It has a zero byte.
    #[error("a command has no zero bytes")]
    Zero,
}

impl TryFrom<Vec<String>> for Command {
    type Error = CommandError;

    fn try_from(words: Vec<String>) -> Result<Self, CommandError> {
        let program = words.first().ok_or(CommandError::Empty)?;
        if !Path::new(program).is_absolute() {
            return Err(CommandError::Relative);
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err(CommandError::Zero);
        }
        Ok(Self(words))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" ").escape_debug().to_string())
    }
}

impl Command {
    /// The program.
    pub(crate) fn program(&self) -> &Path {
        Path::new(self.0.first().map_or("", String::as_str))
    }

    /// The same with another text in the place of one, in its arguments.
    pub(crate) fn with(&self, place: &str, text: &str) -> Self {
        let arguments = self.0.iter().skip(1).map(|word| word.replace(place, text));
        Self(self.0.iter().take(1).cloned().chain(arguments).collect())
    }
}

/// A program did not do what it was run for; how far it came is its own affair.
#[derive(Debug, Error)]
pub enum RunError {
    /// It was not run.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Nobody could talk to it; it was ended.
    #[error("can't talk to `{0}`; it was ended, if it ran")]
    Pipe(Command, #[source] io::Error),
    /// A thread broke off.
    #[error("the start of `{0}` broke off")]
    Broken(Command),
    /// It ended badly.
    #[error("`{command}` {how}{}", quoted(.said))]
    Failed {
        /// What was run.
        command: Command,
        /// How it ended.
        how: String,
        /// Its last lines.
        said: Vec<String>,
    },
    /// It did not end.
    #[error("`{command}` did not end within {within:?} and was killed{}", quoted(.said))]
    Late {
        /// What was run.
        command: Command,
        /// Its time.
        within: Duration,
        /// Its last lines.
        said: Vec<String>,
    },
}

fn quoted(said: &[String]) -> String {
    if said.is_empty() { String::new() } else { format!(": {}", said.join(" | ")) }
}

/// Runs it in our own environment and what is given beside that. Whoever drops the future has it
/// killed.
pub(crate) async fn run(
    command: &Command,
    environment: Vec<(OsString, OsString)>,
    told: &[u8],
    within: Duration,
) -> Result<(), RunError> {
    let pipe = |error| RunError::Pipe(command.clone(), error);
    let (mut input, theirs) = pipe::pipe().map_err(pipe)?;
    let stdin = theirs.into_blocking_fd().map_err(pipe)?;
    let (theirs, mut output) = pipe::pipe().map_err(pipe)?;
    let stdout = theirs.into_blocking_fd().map_err(pipe)?;
    let order = command.clone();
    let started = spawn_blocking(move || start(&order, environment, stdin, stdout)).await;
    let leash = started.map_err(|_| RunError::Broken(command.clone()))??;
    let end = leash.end().map_err(pipe)?;
    let mut said = Vec::new();
    let tell = async {
        // Who does not read what it is told ends in its own way.
        let _ = input.write_all(told).await;
        drop(input);
    };
    let talk = async {
        tokio::join!(fill(&mut output, &mut said), tell);
        // What it started may live on with its pipes: only its own end counts.
        std::future::pending::<()>().await;
    };
    let heard = async {
        tokio::select! {
            () = talk => {}
            ended = end.readable() => drop(ended),
        }
    };
    let in_time = timeout(within, heard).await.is_ok();
    let over = spawn_blocking(move || leash.over(in_time)).await;
    let status = over.map_err(|_| RunError::Broken(command.clone()))??;
    drain(&output, &mut said);
    let (command, said) = (command.clone(), last_of(&said, LINES));
    match (in_time, status.and_then(|it| it.code()), status.and_then(|it| it.signal())) {
        (false, ..) => Err(RunError::Late { command, within, said }),
        (true, Some(0), _) => Ok(()),
        (true, Some(code), _) => {
            Err(RunError::Failed { command, how: format!("ended with {code}"), said })
        }
        (true, None, signal) => {
            let how = format!("was ended by signal {}", signal.unwrap_or(0));
            Err(RunError::Failed { command, how, said })
        }
    }
}

fn start(
    command: &Command,
    environment: Vec<(OsString, OsString)>,
    stdin: OwnedFd,
    stdout: OwnedFd,
) -> Result<Leash, RunError> {
    let args: Vec<&str> = command.0.iter().skip(1).map(String::as_str).collect();
    let mut spec = Spec::new(command.program(), &args);
    spec.environment = Some(std::env::vars_os().chain(environment).collect());
    spec.folder = Some("/".into());
    spec.input = Some(stdin.into());
    spec.output = Some(stdout.into());
    Ok(Leash(Some(spawn(spec)?)))
}

/// Reads until all who could write are gone.
async fn fill(from: &mut pipe::Receiver, to: &mut Vec<u8>) {
    let mut part = [0; PART];
    while let Ok(length @ 1..) = from.read(&mut part).await {
        keep(to, part.get(..length).unwrap_or_default());
    }
}

/// Reads what is there, and no more than that may be.
fn drain(from: &pipe::Receiver, to: &mut Vec<u8>) {
    let mut part = [0; PART];
    for _ in 0..KEPT / PART {
        let Ok(length @ 1..) = from.try_read(&mut part) else { return };
        keep(to, part.get(..length).unwrap_or_default());
    }
}

fn keep(to: &mut Vec<u8>, part: &[u8]) {
    to.extend_from_slice(part);
    to.drain(..to.len().saturating_sub(KEPT));
}

/// A program that is gone when this is, with all that it started.
#[derive(Debug)]
struct Leash(Option<Running>);

impl Leash {
    /// What is readable when the program has ended.
    fn end(&self) -> io::Result<Polled<OwnedFd>> {
        let running = self.0.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Polled::new(running.as_fd().try_clone_to_owned()?)
    }

    /// How it ended; if it has not, it is killed first. `None` if the kernel does not let it go.
    fn over(mut self, ended: bool) -> Result<Option<ExitStatus>, ProcessError> {
        let Some(mut running) = self.0.take() else { return Ok(None) };
        if !ended {
            kill(&running);
        }
        let until = Instant::now() + GOING;
        loop {
            match running.try_wait()? {
                Some(status) => return Ok(Some(status)),
                None if Instant::now() < until => thread::sleep(LOOK_AGAIN),
                None => break,
            }
        }
        tracing::warn!("{} was killed and does not end", running.identity());
        // Somebody has to take its status when the kernel lets it go.
        let wait = move || drop(running.wait());
        let _ = thread::Builder::new().name("program-stuck".to_owned()).spawn(wait);
        Ok(None)
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        let Some(running) = self.0.take() else { return };
        let _ = running.signal_group(Signal::SIGKILL);
        let end = move || drop(Self(Some(running)).over(false));
        // Without a thread its group is killed, and only what left that lives on.
        let _ = thread::Builder::new().name("program-end".to_owned()).spawn(end);
    }
}

/// Kills its whole session, as long as it takes within [`GOING`]. Nobody has waited for its leader
/// yet, so the number is its own.
fn kill(running: &Running) {
    let session = running.identity().pid;
    let until = Instant::now() + GOING;
    loop {
        let _ = running.signal_group(Signal::SIGKILL);
        let _ = signal_session(session, Signal::SIGKILL);
        let left = session_members(session).is_ok_and(|left| !left.is_empty());
        if !left || Instant::now() >= until {
            return;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

#[cfg(test)]
mod tests;
