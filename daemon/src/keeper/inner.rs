//! The keeper's second process: starts the program, collects what it leaves, ends with all of it.
//!
//! In a process namespace it is the init: no signal from inside ends it, orphans become its
//! children, and its own end is everybody's. Without one it is at least the parent of orphans.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::prctl::{set_child_subreaper, set_pdeathsig};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, setsid};
use stead_linux::namespace::{mounts_of_own, proc_of_own};
use stead_linux::process::{Forked, fork};
use stead_linux::realtime;
use stead_linux::seqpacket::Connection;

use super::args::Args;
use super::report::{End, Failure, Line, tell};
use super::sweep::Mark;
use super::watch::Watch;
use super::{BROKEN, Form, LAPSED, PRIORITY, sweep};
use crate::agent::beside;

/// The pause between two looks at a program that was killed.
const LOOK: Duration = Duration::from_millis(1);
/// How many of them there are.
const GOING: u32 = 1_000;

/// The program's main process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) end: End,
    /// Something that it started still runs.
    pub(super) left: bool,
}

impl Said {
    /// In bytes.
    pub(super) const LENGTH: usize = 3;

    fn write(self) -> [u8; Self::LENGTH] {
        // The kernel's numbers are that small.
        let (kind, number) = match self.end {
            End::Exit(status) => (0, status),
            End::Signal(number) => (1, number),
            End::Lease => (2, 0),
        };
        [kind, number.to_le_bytes()[0], u8::from(self.left)]
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [kind, number, left] = bytes else { return None };
        let end = match kind {
            0 => End::Exit(i32::from(*number)),
            1 => End::Signal(i32::from(*number)),
            2 => End::Lease,
            _ => return None,
        };
        Some(Self { end, left: *left != 0 })
    }
}

pub(super) struct Inner {
    pub(super) args: Args,
    pub(super) form: Form,
    pub(super) watch: Watch,
    pub(super) note: File,
    /// To the outer process; it breaks when that ends.
    pub(super) outer: Connection,
    /// The outer process by its number, which it keeps for as long as that connection stands.
    pub(super) outer_pid: i32,
}

impl Inner {
    /// Runs until nothing of the program is left; returns the status to end with.
    pub(super) fn run(mut self, report: File) -> i32 {
        let (children, groups) = match self.prepare(&report) {
            Ok(prepared) => prepared,
            Err(error) => {
                tell(&report, &Line::Failed(Failure::Keeper(error.to_string())));
                return BROKEN;
            }
        };
        let main = match fork() {
            Ok(Forked::Parent(main)) => main,
            Ok(Forked::Child) => return self.become_program(&report),
            Err(error) => {
                tell(&report, &Line::Failed(Failure::Keeper(error.to_string())));
                return BROKEN;
            }
        };
        drop(report);
        let mut main_ended = false;
        loop {
            match self.watch.wait([children.as_fd(), self.outer.as_fd(), groups.as_fd()]) {
                // Who can't watch must not keep; nor must one alone.
                Ok(None | Some([_, true, _])) | Err(_) => {
                    return self.end_all((!main_ended).then_some(main));
                }
                Ok(Some([_, false, _])) => {}
            }
            while let Ok(Some(_)) = children.read_signal() {}
            while groups.read_events().is_ok_and(|events| !events.is_empty()) {}
            if self.collect(main, &mut main_ended, &groups) {
                return 0;
            }
        }
    }

    /// What tells of children, and of groups beside.
    fn prepare(&mut self, report: &File) -> io::Result<(SignalFd, Inotify)> {
        match self.form {
            Form::Namespace => {
                set_pdeathsig(Signal::SIGKILL)?;
                if let Err(error) = mounts_of_own().and_then(|()| proc_of_own()) {
                    tell(report, &Line::ForeignProc(error.to_string()));
                }
            }
            Form::Group => set_child_subreaper(true)?,
        }
        self.watch.renew()?;
        // Neither is inherited. What is refused the outer process has told of already.
        let _ = realtime::set_fifo(PRIORITY);
        let _ = realtime::lock_touched();
        let mut children = SigSet::empty();
        children.add(Signal::SIGCHLD);
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let children = SignalFd::with_flags(&children, flags)?;
        Ok((children, Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?))
    }

    /// In the program's process: as the daemon would have started it. Returns only if it fails.
    fn become_program(&self, report: &File) -> i32 {
        let Some((program, args)) = self.args.command.split_first() else { return BROKEN };
        // This leads no group yet, so it may make a session.
        if let Err(errno) = setsid() {
            tell(report, &Line::Failed(Failure::Keeper(format!("no session: {errno}"))));
            return BROKEN;
        }
        if self.watch.is_over() {
            tell(report, &Line::Failed(Failure::Lease));
            return LAPSED;
        }
        // The library gives a program every signal that our runtime ignores; that none is blocked
        // is left to us.
        if let Err(errno) = SigSet::empty().thread_set_mask() {
            tell(report, &Line::Failed(Failure::Keeper(format!("its signals: {errno}"))));
            return BROKEN;
        }
        let error = Command::new(program).args(args).exec();
        let number = error.raw_os_error().unwrap_or(libc::EIO);
        tell(report, &Line::Failed(Failure::Program(number)));
        BROKEN
    }

    /// Takes the ends of children, tells that of the program's main process, and says whether
    /// nothing is left.
    fn collect(&self, main: i32, main_ended: &mut bool, groups: &Inotify) -> bool {
        let mut ended = None;
        let children = loop {
            match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) if pid.as_raw() == main => {
                    ended = Some(End::Exit(status));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == main => {
                    ended = Some(End::Signal(signal as i32));
                }
                Ok(WaitStatus::StillAlive) => break true,
                Err(Errno::ECHILD) => break false,
                // Other children, and a signal without a name (there is none that ends by default).
                Ok(_) | Err(_) => {}
            }
        };
        *main_ended |= ended.is_some();
        let left = children || *main_ended && self.is_left_beside(groups);
        if let Some(end) = ended {
            if left {
                // The outer process is about to end for it, and leaves its copy here.
                let _ = set_pdeathsig(None);
            }
            // If it is gone, the line says so in the next round.
            let _ = self.outer.send(&Said { end, left }.write());
        }
        !left
    }

    /// Whether something runs in the groups beside, of a program that has ended. If not, nothing
    /// will any more: who asked for it can't take it back.
    fn is_left_beside(&self, groups: &Inotify) -> bool {
        let note = &self.args.note;
        // Before the look, or the last moment could be missed. A second watch of one file is one.
        for group in beside::read(note).iter().flatten() {
            let _ = groups.add_watch(&group.events(), AddWatchFlags::IN_MODIFY);
        }
        beside::is_populated(note) || beside::seal(note).is_err()
    }

    /// Ends what runs beside: at once, and again when the program is gone, which could have
    /// unsealed it in between. What is not sealed then the outer process and the daemon go on with.
    fn seal(&self, main: Option<i32>) {
        let note = &self.args.note;
        let _ = beside::seal(note);
        let Some(main) = main.map(Pid::from_raw).filter(|_| beside::is_used(note)) else { return };
        let _ = kill(main, Signal::SIGKILL);
        for _ in 0..GOING {
            match waitpid(main, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => sleep(LOOK),
                Ok(_) | Err(_) => break,
            }
        }
        let _ = beside::seal(note);
    }

    /// Ends everything; in a namespace by ending itself.
    fn end_all(&self, main: Option<i32>) -> i32 {
        self.seal(main);
        if self.form == Form::Group {
            // First, for the control group has the outer process in it, which would tell it.
            if self.watch.is_over() {
                let _ = End::Lease.note(&self.note);
            }
            let own = Pid::this().as_raw();
            let Args { group, note, epoch, .. } = &self.args;
            let (group, keeper) = (group.as_deref(), [own, self.outer_pid]);
            // This is the parent of all that lost theirs.
            sweep::sweep(&Mark { group, note, epoch: *epoch, keeper }, || Some(own));
            let _ = beside::seal(note);
        }
        LAPSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_says_the_other_reads() {
        for end in [End::Exit(0), End::Exit(255), End::Signal(9), End::Lease] {
            for left in [false, true] {
                let said = Said { end, left };
                assert_eq!(Said::read(&said.write()), Some(said));
            }
        }
        assert_eq!(Said::read(&[9, 0, 0]), None);
        assert_eq!(Said::read(&[0, 0]), None);
    }
}
