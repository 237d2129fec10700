//! Starting a program that shares nothing with us but its input and output.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use super::proc::{pidfd_open, signal_group};
use super::{Identity, Mark, Process, ProcessError, Signal, User};

/// What to start, and in which surroundings.
pub struct Spec {
    /// The program: a path, or a name that is looked up in PATH.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub args: Vec<OsString>,
    /// Its whole environment, if not ours.
    pub environment: Option<Vec<(OsString, OsString)>>,
    /// Where it starts, if not in our own folder.
    pub folder: Option<PathBuf>,
    /// Its standard input; an empty one if `None`.
    pub input: Option<File>,
    /// Takes its standard output and error; nothing if `None`.
    pub output: Option<File>,
    /// Takes its standard error alone, where `output` is to have no part of it.
    pub errors: Option<File>,
    /// The network namespace it lives in, if not ours.
    pub network: Option<OwnedFd>,
    /// What it does before it becomes the program.
    pub mark: Mark,
    /// Who it runs as, if not as we do.
    pub user: Option<User>,
    /// Descriptors that it inherits, each under its own number.
    pub handed: Vec<OwnedFd>,
    /// The rooms of another process that it lives in, if not ours.
    pub rooms: Option<Rooms>,
}

/// The process namespace that another process gives its children, and the mounts that it sees.
#[derive(Debug)]
pub struct Rooms {
    processes: OwnedFd,
    mounts: OwnedFd,
}

impl Rooms {
    /// The process namespace that `parent` gives its children, and the mounts of one of these. Both
    /// numbers must be known to be the right ones.
    ///
    /// # Errors
    /// The kernel's: they may be gone.
    pub fn of(parent: i32, child: i32) -> io::Result<Self> {
        let open = |pid, name| File::open(format!("/proc/{pid}/ns/{name}"));
        let processes = open(parent, "pid_for_children")?.into();
        Ok(Self { processes, mounts: open(child, "mnt")?.into() })
    }
}

impl Spec {
    /// A program with arguments and ordinary surroundings, its output thrown away.
    pub fn new(program: impl Into<PathBuf>, args: &[&str]) -> Self {
        let args = args.iter().map(OsString::from).collect();
        let program = program.into();
        Self {
            program,
            args,
            environment: None,
            folder: None,
            input: None,
            output: None,
            errors: None,
            network: None,
            mark: Mark::default(),
            user: None,
            handed: Vec::new(),
            rooms: None,
        }
    }
}

/// A child of ours, leader of its own session and process group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    process: Process,
    ended: bool,
}

/// Starts a program in a session of its own.
///
/// # Errors
/// [`ProcessError::Spawn`]: nothing runs.
pub fn spawn(spec: Spec) -> Result<Running, ProcessError> {
    let program = spec.program.display().to_string();
    let failed = |step| {
        let program = program.clone();
        move |source| ProcessError::Spawn { program, step, source }
    };
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).stdin(spec.input.map_or_else(Stdio::null, Stdio::from));
    if let Some(environment) = spec.environment {
        command.env_clear().envs(environment);
    }
    if let Some(folder) = spec.folder {
        command.current_dir(folder);
    }
    let (out, err) = match spec.output {
        Some(file) => {
            let copy = file.try_clone().map_err(failed("its output can't be shared"))?;
            (Stdio::from(file), Stdio::from(copy))
        }
        None => (Stdio::null(), Stdio::null()),
    };
    command.stdout(out).stderr(spec.errors.map_or(err, Stdio::from));
    let (network, mark, user, handed) = (spec.network, spec.mark, spec.user, spec.handed);
    let (processes, mounts) = match spec.rooms {
        Some(Rooms { processes, mounts }) => (Some(processes), Some(mounts)),
        None => (None, None),
    };
    let starter = i32::try_from(std::process::id()).unwrap_or(0);
    // SAFETY: between fork and exec the closure makes plain system calls only: no allocation, no
    // lock, nothing that another thread may have left in the middle.
    unsafe {
        command.pre_exec(move || {
            detach(network.as_ref().map(AsRawFd::as_raw_fd))?;
            if let Some(mounts) = &mounts {
                enter(mounts, libc::CLONE_NEWNS)?;
            }
            for fd in &handed {
                inherit(fd)?;
            }
            mark.leave(starter)?;
            user.as_ref().map_or(Ok(()), User::become_it)
        });
    }
    let started = match processes {
        Some(processes) => spawn_among(&mut command, &processes),
        None => command.spawn(),
    };
    let mut child = started.map_err(failed("the program can't be run"))?;
    match hold(&child) {
        Ok(process) => Ok(Running { child, process, ended: false }),
        Err(error) => {
            // Better none than one that nobody watches.
            let _ = child.kill();
            let _ = child.wait();
            Err(failed("it can't be watched")(io::Error::other(error)))
        }
    }
}

/// Where a thread's children are born is a property of the thread that it keeps: take one for this.
fn spawn_among(command: &mut Command, processes: &OwnedFd) -> io::Result<Child> {
    thread::scope(|scope| {
        let spawn = || {
            enter(processes, libc::CLONE_NEWPID)?;
            command.spawn()
        };
        let thread = thread::Builder::new().name("spawn-among".to_owned());
        let thread = thread.spawn_scoped(scope, spawn)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn enter(namespace: &OwnedFd, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers; the descriptor is open as long as it is borrowed.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), kind) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Leaves a descriptor open in what the forked child becomes.
fn inherit(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: no pointers; it changes a flag of a descriptor of the forked child alone.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The child is not waited for yet, so its number is its own, ended or not.
fn hold(child: &Child) -> Result<Process, ProcessError> {
    let pid = i32::try_from(child.id()).unwrap_or(0);
    let fd = pidfd_open(pid)?.ok_or(ProcessError::Gone(pid))?;
    Ok(Process::from_parts(fd, Identity::of(pid)?))
}

/// Runs in the child, before the program.
fn detach(network: Option<i32>) -> io::Result<()> {
    let done = |result: libc::c_int| {
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: no pointers; a forked child leads no group, so it may make a session.
    if unsafe { libc::setsid() } < 0 {
        return Err(io::Error::last_os_error());
    }
    if let Some(fd) = network {
        // SAFETY: no pointers; the descriptor is held open by the closure that calls us.
        done(unsafe { libc::setns(fd, libc::CLONE_NEWNET) })?;
    }
    let ordinary = libc::sched_param { sched_priority: 0 };
    // Our own real-time priority is not handed down anyway; this is for one that somebody else gave
    // us, and a sandbox may forbid the call.
    // SAFETY: the pointer is to a live `sched_param`; 0 names the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const ordinary) };
    close_on_exec_from(3)
}

/// Marks rather than closes: the library reports a failed exec through a descriptor of its own.
fn close_on_exec_from(first: libc::c_uint) -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: no pointers; it changes flags of descriptors of the forked child alone.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Running {
    /// Which process it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.process.identity()
    }

    /// How it ended, if it has. Told once or more; afterwards its number is free.
    ///
    /// # Errors
    /// [`ProcessError::Refused`].
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        let pid = self.identity().pid;
        let refused = |source| ProcessError::Refused { step: "wait for", pid, source };
        let status = self.child.try_wait().map_err(refused)?;
        self.ended |= status.is_some();
        Ok(status)
    }

    /// Waits until it has ended. Only for callers that have nothing else to do.
    ///
    /// # Errors
    /// [`ProcessError::Refused`].
    pub fn wait(&mut self) -> Result<ExitStatus, ProcessError> {
        let pid = self.identity().pid;
        let refused = |source| ProcessError::Refused { step: "wait for", pid, source };
        let status = self.child.wait().map_err(refused)?;
        self.ended = true;
        Ok(status)
    }

    /// Sends a signal to it alone.
    ///
    /// # Errors
    /// See [`ProcessError`].
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        self.process.signal(signal)
    }

    /// Sends a signal to it and all that it started and that has not left its group.
    ///
    /// # Errors
    /// [`ProcessError::Gone`] once its end was seen by [`Running::try_wait`]: what it left behind
    /// is reached with [`super::signal_session`].
    pub fn signal_group(&self, signal: Signal) -> Result<(), ProcessError> {
        if self.ended {
            return Err(ProcessError::Gone(self.identity().pid));
        }
        signal_group(self.identity().pid, signal)
    }
}

impl Process {
    /// Sends a signal to the group that this process leads (as all that were started here do).
    ///
    /// # Errors
    /// [`ProcessError::Gone`] if the process has ended: its group's number is not safe to use then.
    pub fn signal_group(&self, signal: Signal) -> Result<(), ProcessError> {
        if self.has_ended()? {
            return Err(ProcessError::Gone(self.identity().pid));
        }
        signal_group(self.identity().pid, signal)
    }
}

impl AsFd for Running {
    /// Readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}
