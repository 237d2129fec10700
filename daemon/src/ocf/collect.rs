//! Runs a program to its end and collects what it printed, within bounds.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use stead_linux::process::{ProcessError, Running, Signal, Spec, signal_session, spawn};
use thiserror::Error;

/// How much of its complaints is kept, in bytes: the first lines say what is wrong.
const COMPLAINTS: usize = 4 * 1024;
/// How long a killed program may take to go. One that sits in the kernel (a dead disk) takes longer
/// than anyone waits; it ends with its call.
const GOING: Duration = Duration::from_secs(2);
/// How often what a killed program started is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How a program ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) status: ExitStatus,
    pub(crate) output: Vec<u8>,
    pub(crate) complaints: String,
}

/// Why a program gave no answer. It does not run any more.
#[derive(Debug, Error)]
pub enum CollectError {
    /// It was not started, or the kernel refused something else.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// No pipe to it.
    #[error("can't read what it prints; it was ended")]
    Pipe(#[source] io::Error),
    /// It took too long.
    #[error("it did not end within {0:?} and was killed; see what it waits for by running it")]
    TooLate(Duration),
    /// It printed too much.
    #[error("it printed more than {} KiB and was killed", .0 / 1024)]
    TooMuch(usize),
}

/// Runs it with two pipes. It is killed, with all that it started and that has not left its
/// session, at the deadline, when it prints too much, and when this fails.
pub(crate) fn collect(
    mut spec: Spec,
    within: Duration,
    longest: usize,
) -> Result<Collected, CollectError> {
    let started = Instant::now();
    let (mut output, theirs) = Pipe::new(longest).map_err(CollectError::Pipe)?;
    spec.output = Some(theirs);
    let (mut complaints, theirs) = Pipe::new(COMPLAINTS).map_err(CollectError::Pipe)?;
    spec.errors = Some(theirs);
    let mut program = Killed(Some(spawn(spec)?));
    while let Some(running) = program.0.as_mut() {
        let left = within.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(CollectError::TooLate(within));
        }
        let ended = wait(&output, &complaints, running, left).map_err(CollectError::Pipe)?;
        let much = output.read().map_err(CollectError::Pipe)?;
        complaints.read().map_err(CollectError::Pipe)?;
        if much {
            return Err(CollectError::TooMuch(longest));
        }
        // What it started may live on with its pipes, so their ends are not waited for.
        if ended {
            break;
        }
    }
    let status = program.end()?;
    Ok(Collected {
        status,
        output: output.kept,
        complaints: String::from_utf8_lossy(&complaints.kept).into_owned(),
    })
}

/// Waits until something can be read or the program has ended, and says whether it has. What it
/// printed can be read by then.
fn wait(output: &Pipe, complaints: &Pipe, running: &Running, left: Duration) -> io::Result<bool> {
    let watched = [output.open.as_ref(), complaints.open.as_ref()];
    let mut fds = vec![PollFd::new(running.as_fd(), PollFlags::POLLIN)];
    fds.extend(watched.into_iter().flatten().map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN)));
    // Rounded up: what is left must not become a busy loop.
    let timeout =
        PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(_) => Ok(fds.first().and_then(PollFd::any).unwrap_or(false)),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// The reading end of a pipe, and what came through it.
struct Pipe {
    open: Option<File>,
    kept: Vec<u8>,
    longest: usize,
}

impl Pipe {
    fn new(longest: usize) -> io::Result<(Self, File)> {
        let (ours, theirs) = io::pipe()?;
        let ours = OwnedFd::from(ours);
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let pipe = Self { open: Some(ours.into()), kept: Vec::new(), longest };
        Ok((pipe, OwnedFd::from(theirs).into()))
    }

    /// Reads what is there. What is too much is dropped; says whether there was such.
    fn read(&mut self) -> io::Result<bool> {
        let mut much = false;
        let mut part = [0; 8 * 1024];
        while let Some(file) = &mut self.open {
            match file.read(&mut part) {
                Ok(0) => self.open = None,
                Ok(length) => {
                    let room = self.longest - self.kept.len();
                    much |= length > room;
                    self.kept.extend(part.iter().take(length.min(room)));
                    // One that prints without end would hold us here.
                    if much {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(much)
    }
}

/// A program that is gone when this is, with its session.
struct Killed(Option<Running>);

impl Killed {
    /// Ends what is left of its session and says how the program itself ended.
    fn end(mut self) -> Result<ExitStatus, CollectError> {
        let Some(mut running) = self.0.take() else {
            return Err(CollectError::Pipe(io::Error::other("it was waited for before")));
        };
        sweep(&running);
        Ok(running.wait()?)
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let Some(mut running) = self.0.take() else { return };
        sweep(&running);
        if !matches!(running.try_wait(), Ok(None)) {
            return;
        }
        // It is stuck in the kernel. Somebody has to take its status when that lets it go.
        let waits = move || {
            let _ = running.wait();
        };
        let _ = thread::Builder::new().name("wait-for-agent".to_owned()).spawn(waits);
    }
}

/// Kills all of the program's session, until none is left. Its number is its own: nobody has waited
/// for it yet.
fn sweep(running: &Running) {
    let session = running.identity().pid;
    // Most have nothing outside their group; and /proc may be unreadable.
    let _ = running.signal_group(Signal::SIGKILL);
    let until = Instant::now() + GOING;
    while Instant::now() < until {
        match signal_session(session, Signal::SIGKILL) {
            Ok(0) | Err(_) => return,
            Ok(_) => thread::sleep(LOOK_AGAIN),
        }
    }
}
