//! Starting a program under a keeper.

use std::io::{self, PipeReader};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use stead_core::id::Epoch;
use stead_linux::process::{ProcessError, Running, Signal, Spec};

use super::cgroup::Group;
use super::place::LaunchError;
use crate::keeper::report::{self, Failure, Keeping, Kept};
use crate::keeper::{Args, Form};

/// Names the form of the keeper that is wanted, and no other. If it is not set, the better one is
/// taken that is to be had.
const FORM: &str = "STEAD_KEEPER";
/// How long a program may take to begin. A keeper whose lease ends says so long before that.
const PATIENCE: Duration = Duration::from_secs(60);

/// The page that a guard shows, as it came from it. A program is kept by the page of the guard that
/// the decision to start it rests on.
pub type Page = Arc<OwnedFd>;

/// How keepers are started.
#[derive(Clone, Debug)]
pub struct Keeper {
    /// The program that is one.
    pub program: PathBuf,
    /// The form that is wanted, and no other; if none, the better one that is to be had.
    pub form: Option<Form>,
}

impl Keeper {
    /// This very program, in the form that the environment names.
    #[must_use]
    pub fn of_process() -> Self {
        let form = std::env::var(FORM).ok().and_then(|form| {
            let wrong = |error: &String| tracing::error!("{FORM} is not obeyed: {error}");
            form.parse::<Form>().inspect_err(wrong).ok()
        });
        // Also when the file was replaced meanwhile: the one that runs here.
        Self { program: "/proc/self/exe".into(), form }
    }
}

/// How keepers are started, and what became of it.
#[derive(Debug)]
pub(super) struct Keepers {
    pub(super) keeper: Keeper,
    /// What the newest of them has of what it wants.
    pub(super) newest: Mutex<Option<Kept>>,
    /// What is to be had, as far as it could be seen before the first.
    pub(super) expected: Keeping,
}

impl Keepers {
    pub(super) fn new(keeper: Keeper) -> Self {
        let expected = Keeping::expected(keeper.form);
        Self { keeper, newest: Mutex::default(), expected }
    }
}

/// A keeper that was not heard yet.
pub(super) struct Starting {
    program: PathBuf,
    report: PipeReader,
}

impl Keepers {
    /// Puts a keeper before the program.
    pub(super) fn put_before(
        &self,
        spec: &mut Spec,
        page: &Page,
        epoch: Epoch,
        note: &Path,
        group: Option<&Group>,
    ) -> Result<Starting, LaunchError> {
        let failed = |error: io::Error| LaunchError::Keeper(error.to_string());
        let (reader, writer) = io::pipe().map_err(failed)?;
        let handed: [OwnedFd; 2] = [page.try_clone().map_err(failed)?, writer.into()];
        let program = std::mem::replace(&mut spec.program, self.keeper.program.clone());
        let mut command = vec![program.clone().into_os_string()];
        command.append(&mut spec.args);
        let args = Args {
            page: handed[0].as_raw_fd(),
            report: handed[1].as_raw_fd(),
            epoch,
            form: self.keeper.form,
            group: group.map(|group| group.folder().to_owned()),
            note: note.to_owned(),
            command,
        };
        spec.args = args.write();
        spec.handed = handed.into();
        Ok(Starting { program, report: reader })
    }

    /// Says once what keepers can't have or reach.
    fn note(&self, kept: &Kept) {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.as_ref() == Some(kept) {
            return;
        }
        let keeping = Keeping::from(kept);
        let form = kept.form;
        tracing::info!("programs are kept in the form `{form}`");
        for lack in keeping.reason.iter().chain(&keeping.lacks) {
            tracing::warn!("keepers of programs: {lack}");
        }
        if form == Form::Group {
            tracing::warn!("keepers of programs: they reach no more than a stop does");
        }
    }

    /// Waits until the program runs, or won't. Then the keeper is made to end too.
    pub(super) fn hear(
        &self,
        starting: Starting,
        running: &mut Running,
        group: Option<&Group>,
    ) -> Result<(), LaunchError> {
        let error = match starting.hear() {
            Ok(kept) => {
                self.note(&kept);
                *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
                return Ok(());
            }
            Err(error) => error,
        };
        // Usually it has ended by itself. Its end takes the inner process along.
        let _ = running.signal(Signal::SIGKILL);
        if let Some(group) = group {
            group.kill();
        }
        if let Err(error) = running.wait() {
            tracing::warn!("{}", stead_edge::chain(&error));
        }
        Err(error)
    }
}

impl Starting {
    fn hear(self) -> Result<Kept, LaunchError> {
        let broken = |detail: String| LaunchError::Keeper(detail);
        let told = Patient { from: self.report, until: Instant::now() + PATIENCE };
        report::read(told).map_err(|failure| match failure {
            Failure::Program(number) => LaunchError::Spawn(ProcessError::Spawn {
                program: self.program.display().to_string(),
                step: "the program can't be run",
                source: io::Error::from_raw_os_error(number),
            }),
            Failure::Lease => LaunchError::Lease,
            Failure::Keeper(detail) => broken(detail),
        })
    }
}

/// Reads from a pipe, but not for ever.
struct Patient {
    from: PipeReader,
    until: Instant,
}

impl io::Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, wait) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => return self.from.read(buffer),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
