//! The keeper's first process: what the daemon started, and what stands for the program outside.
//!
//! It leads the session and ends as the program ends, so whoever watches it is told the truth.
//! Where the program leaves something behind, which the daemon is to stop with its grace, a copy of
//! this process stays as the second pair of eyes, and the one that the daemon watches ends.
//!
//! The kernel kills the inner process with this one, even a stopped one; the end of the copy the
//! inner process notices by itself.

use std::ffi::{CString, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use stead_edge::chain;
use stead_linux::process::{Forked, Identity, Process, end_by, fork, inherited, unshare_processes};
use stead_linux::realtime;
use stead_linux::seqpacket::{Connection, Received};

use super::args::Args;
use super::inner::{Inner, Said};
use super::report::{self, End, Failure, Kept, Line, tell};
use super::sweep::Mark;
use super::watch::Watch;
use super::{BROKEN, Form, LAPSED, NAME, PRIORITY, sweep};
use crate::agent::beside;

/// How long what was killed may take to go before what is left is killed as well.
/// Milliseconds.
const GOING: u16 = 1_000;

/// Runs a keeper; returns the status to end with.
pub(super) fn run(words: &[OsString]) -> i32 {
    let Some(args) = Args::read(words) else {
        eprintln!("stead keeper: it is for the daemon to start it");
        return BROKEN;
    };
    let Ok(report) = inherited(args.report).map(File::from) else { return BROKEN };
    let refuse = |failure| {
        tell(&report, &Line::Failed(failure));
        BROKEN
    };
    let prepared = match Prepared::new(args) {
        Ok(prepared) => prepared,
        Err(error) => return refuse(Failure::Keeper(error.to_string())),
    };
    if prepared.watch.is_over() {
        refuse(Failure::Lease);
        return LAPSED;
    }
    let form = match form(prepared.args.form) {
        Ok(form) => form,
        Err(error) => return refuse(Failure::Keeper(error.to_string())),
    };
    prepared.split(form, report)
}

/// The form of the keeper that is to be had, and why not the better one. From here on this
/// process's children are in a namespace of their own.
fn form(wanted: Option<Form>) -> io::Result<(Form, Option<String>)> {
    if wanted == Some(Form::Group) {
        return Ok((Form::Group, None));
    }
    match unshare_processes() {
        Ok(()) => Ok((Form::Namespace, None)),
        Err(error) if wanted == Some(Form::Namespace) => Err(error),
        Err(error) => Ok((Form::Group, Some(format!("no process namespace: {error}")))),
    }
}

/// What both processes need, before there are two.
struct Prepared {
    args: Args,
    watch: Watch,
    note: File,
    here: Connection,
    there: Connection,
}

impl Prepared {
    fn new(args: Args) -> io::Result<Self> {
        // No signal means anything here, save those that nobody can keep off.
        SigSet::all().thread_block()?;
        nix::sys::prctl::set_name(&CString::new(NAME)?)?;
        let page = inherited(args.page)?;
        let watch = Watch::new(&page, args.epoch)?;
        let note = OpenOptions::new().append(true).open(&args.note)?;
        let (here, there) = Connection::pair().map_err(io::Error::other)?;
        Ok(Self { args, watch, note, here, there })
    }

    /// Becomes two.
    fn split(mut self, form: (Form, Option<String>), report: File) -> i32 {
        let (form, fallback) = form;
        let realtime = realtime::set_fifo(PRIORITY).err();
        let locked = realtime::lock_touched().err();
        let realtime_refused = realtime.map(|it| format!("may be late under load: {}", chain(&it)));
        let lock_refused = locked.map(|it| format!("may be late: {}", chain(&it)));
        let outer_pid = Pid::this().as_raw();
        let inner = match fork() {
            Ok(Forked::Parent(inner)) => inner,
            Ok(Forked::Child) => {
                let Self { args, watch, note, here, there } = self;
                drop(here);
                return Inner { args, form, watch, note, outer: there, outer_pid }.run(report);
            }
            Err(error) => {
                tell(&report, &Line::Failed(Failure::Keeper(error.to_string())));
                return BROKEN;
            }
        };
        let held = Identity::of(inner).and_then(Process::find).ok().flatten();
        let proc_refused = None;
        let kept = Kept { form, fallback, proc_refused, realtime_refused, lock_refused };
        if form == Form::Namespace
            && let Err(error) = report::note_inner(&self.note, inner)
        {
            tell(&report, &Line::Failed(Failure::Keeper(format!("its note: {error}"))));
        }
        tell(&report, &Line::Kept(kept));
        // Closed here: it says that the program runs as soon as nobody else has it either.
        drop(report);
        self.there = self.here;
        let Self { args, watch, note, there: line, .. } = self;
        Outer { args, form, watch, note, line, inner, held, copy: false }.run()
    }
}

struct Outer {
    args: Args,
    form: Form,
    watch: Watch,
    note: File,
    line: Connection,
    /// Its number, ours to wait for unless we are the copy.
    inner: i32,
    held: Option<Process>,
    copy: bool,
}

impl Outer {
    fn run(mut self) -> i32 {
        loop {
            match self.watch.wait([self.line.as_fd()]) {
                // Who can't watch must not keep.
                Ok(None) | Err(_) => return self.lapse(),
                Ok(Some(_)) => {}
            }
            let mut buffer = [0; Said::LENGTH];
            match self.line.receive(&mut buffer) {
                Ok(Received::Nothing) => {}
                Ok(Received::Message(length)) => {
                    let Some(said) = Said::read(&buffer[..length]) else { continue };
                    if let Some(status) = self.on_said(said) {
                        return status;
                    }
                }
                Ok(Received::Closed) | Err(_) => return self.on_inner_gone(),
            }
        }
    }

    /// The program ended. What is left of it, if anything, is kept on by a copy.
    fn on_said(&mut self, said: Said) -> Option<i32> {
        if said.left {
            match fork() {
                Ok(Forked::Child) => {
                    self.copy = true;
                    return self.watch.renew().err().map(|_| self.lapse());
                }
                // Without a copy the inner process ends what is left as soon as we are gone.
                Ok(Forked::Parent(_)) | Err(_) => {}
            }
        } else {
            self.collect();
        }
        Some(self.end(said.end))
    }

    /// The inner process is gone, and with it, in a namespace, all the rest.
    fn on_inner_gone(&mut self) -> i32 {
        if self.watch.is_over() {
            return self.lapse();
        }
        self.kill_all();
        self.end(End::Signal(Signal::SIGKILL as i32))
    }

    /// The lease has ended.
    fn lapse(&mut self) -> i32 {
        // First, for the killing may include ourselves.
        if !self.copy {
            let _ = End::Lease.note(&self.note);
        }
        self.kill_all();
        LAPSED
    }

    fn kill_all(&mut self) {
        let group = self.args.group.as_deref();
        match self.form {
            Form::Namespace => {
                self.kill_inner();
                self.seal();
                // What came into the group from elsewhere; it includes ourselves.
                sweep::kill_group(group);
            }
            Form::Group => {
                let _ = beside::seal(&self.args.note);
                let keeper = [Pid::this().as_raw(), self.inner];
                let Args { note, epoch, .. } = &self.args;
                let mark = Mark { group, note, epoch: *epoch, keeper };
                sweep::sweep(&mark, || {
                    let held = self.held.as_ref()?;
                    held.has_ended().is_ok_and(|ended| !ended).then_some(self.inner)
                });
                // Who unseals was still there the first time.
                let _ = beside::seal(&self.args.note);
                self.kill_inner();
            }
        }
        self.collect();
    }

    /// Ends what runs beside: at once, and again when nobody is left who could have unsealed it in
    /// between. The end of the inner process is everybody's.
    fn seal(&self) {
        let note = &self.args.note;
        let _ = beside::seal(note);
        if let Some(held) = self.held.as_ref().filter(|_| beside::is_used(note)) {
            let mut end = [PollFd::new(held.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut end, PollTimeout::from(GOING));
            let _ = beside::seal(note);
        }
    }

    fn kill_inner(&self) {
        if let Some(held) = &self.held {
            // Gone is what it shall be.
            let _ = held.signal(Signal::SIGKILL);
        }
    }

    /// Waits until nothing is left in the namespace: its init ends last.
    fn collect(&self) {
        if !self.copy {
            while waitpid(Pid::from_raw(self.inner), None) == Err(nix::errno::Errno::EINTR) {}
        }
    }

    /// Ends as the program did.
    fn end(&self, end: End) -> i32 {
        if self.copy {
            return 0;
        }
        let _ = end.note(&self.note);
        match end {
            End::Exit(status) => status,
            End::Signal(number) => {
                end_by(number);
                128 + number
            }
            End::Lease => LAPSED,
        }
    }
}
