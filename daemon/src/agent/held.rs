//! A program that runs, and everything by which it can be found again.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use stead_core::id::Epoch;
use stead_linux::process::{Identity, Process, Running, Signal};

use super::cgroup::Group;
use super::proc::{self, Stat};
use super::{beside, note, place};
use crate::keeper::report::End;

/// The process that was started.
#[derive(Debug)]
pub(super) enum Main {
    /// A child of ours. It is waited for only when all the rest is gone: until then its number, and
    /// with it that of its session, can't be another's.
    Child(Running),
    /// Started by an earlier run of the daemon, alive when it was found.
    Adopted(Process),
    /// It had ended before it was found; something that it started may be left.
    Gone,
}

/// A program, from its start to the end of all that it started.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) main: Main,
    pub(super) epoch: Epoch,
    /// How long it may take to end before it is killed.
    pub(super) patience: Duration,
    pub(super) note: PathBuf,
    pub(super) group: Option<Group>,
    /// Its main process is an executor, which stops the rest in order when it is asked.
    pub(super) executor: bool,
    /// It is one of several copies of a service.
    pub(super) copy: bool,
}

impl Held {
    /// A descriptor that becomes readable when the main process ends; none if it has ended.
    pub(super) fn end(&self) -> io::Result<Option<OwnedFd>> {
        let fd = match &self.main {
            Main::Child(running) => running.as_fd(),
            Main::Adopted(process) => process.as_fd(),
            Main::Gone => return Ok(None),
        };
        fd.try_clone_to_owned().map(Some)
    }

    /// How the main process ended, in words. It must have. A keeper knows best, and its word also
    /// reaches a daemon that did not start it.
    pub(super) fn how_it_ended(&self) -> String {
        match self.end_of_main() {
            Some(End::Lease) => "its keeper ended it with this node's lease".to_owned(),
            Some(End::Exit(status)) => format!("exit status {status}"),
            Some(End::Signal(number)) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => format!("killed by {signal}"),
                Err(_) => format!("killed by signal {number}"),
            },
            None => match &self.main {
                Main::Child(_) => "it is not known how".to_owned(),
                Main::Adopted(_) => {
                    "it is not known how (an earlier run of stead started it)".to_owned()
                }
                Main::Gone => "while no daemon watched it".to_owned(),
            },
        }
    }

    /// Whether the main process ended with status 0. It must have ended.
    pub(super) fn succeeded(&self) -> bool {
        matches!(self.end_of_main(), Some(End::Exit(0)))
    }

    fn end_of_main(&self) -> Option<End> {
        let told = note::read(&self.note).ok().flatten().and_then(|note| note.end);
        let waited = || {
            let Main::Child(running) = &self.main else { return None };
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            match waitid(Id::PIDFd(running.as_fd()), flags) {
                Ok(WaitStatus::Exited(_, status)) => Some(End::Exit(status)),
                Ok(WaitStatus::Signaled(_, signal, _)) => Some(End::Signal(signal as i32)),
                Ok(_) | Err(_) => None,
            }
        };
        told.or_else(waited)
    }

    /// Whether the main process, and with it its group and session, can be told by number.
    pub(super) fn leads(&self) -> bool {
        match &self.main {
            Main::Child(_) => true,
            Main::Adopted(process) => process.has_ended().is_ok_and(|ended| !ended),
            Main::Gone => false,
        }
    }

    /// The process whose children live where the program does, and the first of these, if they live
    /// elsewhere than this daemon's.
    pub(super) fn rooms(&self) -> Option<(i32, i32)> {
        let inner = note::read(&self.note).ok().flatten()?.inner?;
        self.identity().map(|main| (main.pid, inner))
    }

    fn identity(&self) -> Option<Identity> {
        match &self.main {
            Main::Child(running) => Some(running.identity()),
            Main::Adopted(process) => Some(process.identity()),
            Main::Gone => None,
        }
    }

    /// All processes of the program that still run: the main one, those in its control group and in
    /// the groups beside it, those in its session (if `by_session`: its number is certain), those
    /// that have its environment, and all that these started.
    pub(super) fn left(&self, by_session: bool) -> io::Result<Vec<Stat>> {
        let main = self.identity();
        let session = main.filter(|_| by_session).map(|main| main.pid);
        let mut group = BTreeSet::new();
        for one in self.group.iter().chain(&beside::read(&self.note)?) {
            group.extend(one.members()?);
        }
        let variables = place::variables(&self.note, self.epoch);
        let is_of_it = |stat: &Stat| {
            main == Some(stat.identity)
                || group.contains(&stat.identity.pid)
                || session == Some(stat.session)
                || proc::has_variables(stat.identity.pid, &variables)
        };
        Ok(proc::with_descendants(proc::all()?, is_of_it))
    }

    /// Asks all of it to end: the main process's group as a whole, and each other process.
    pub(super) fn ask_to_end(&self, by_session: bool) -> io::Result<()> {
        let asked = match &self.main {
            Main::Child(running) => running.signal_group(Signal::SIGTERM).is_ok(),
            Main::Adopted(process) => process.signal_group(Signal::SIGTERM).is_ok(),
            Main::Gone => false,
        };
        // A second SIGTERM makes some programs end without tidying up: the group's members have it.
        let group = self.identity().filter(|_| asked).map(|main| main.pid);
        for stat in self.left(by_session)? {
            if Some(stat.group) != group {
                signal(&stat, Signal::SIGTERM);
            }
        }
        Ok(())
    }

    /// Kills all that is left.
    pub(super) fn kill(&self, left: &[Stat]) {
        if let Some(group) = &self.group {
            group.kill();
        }
        if let Err(error) = self.seal() {
            tracing::debug!("{error}");
        }
        for stat in left {
            signal(stat, Signal::SIGKILL);
        }
    }

    /// Lets nothing start any more in the groups beside it.
    ///
    /// # Errors
    /// The kernel's, or something runs there still.
    pub(super) fn seal(&self) -> io::Result<()> {
        beside::seal(&self.note)
    }

    /// Nothing of it runs: forgets it. What can't be removed is told in the log, and does no harm:
    /// a later start replaces it.
    pub(super) fn forget(mut self) {
        if let Main::Child(running) = &mut self.main
            && let Err(error) = running.try_wait()
        {
            tracing::warn!("{}", stead_edge::chain(&error));
        }
        if let Some(group) = &self.group
            && let Err(error) = group.remove()
        {
            tracing::warn!("can't remove {}: {error}", group.folder().display());
        }
        if let Err(error) = beside::forget(&self.note) {
            tracing::warn!("can't remove {}: {error}", beside::path(&self.note).display());
        }
        if let Err(error) = note::remove(&self.note) {
            tracing::warn!("can't remove {}: {error}", self.note.display());
        }
    }
}

/// What is refused is seen again, and tried again, by whoever waits for the end of all.
fn signal(stat: &Stat, signal: Signal) {
    if let Err(error) = proc::signal(stat, signal) {
        tracing::warn!("{}", stead_edge::chain(&error));
    }
}
