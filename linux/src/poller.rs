//! Waiting for several things at once, and for a moment on the clock that counts suspend.
//!
//! epoll with a timer of the kernel's (`timerfd` on `CLOCK_BOOTTIME`, absolute): after a suspend it
//! fires at once, where a relative timeout would wait for the rest. A real-time thread is woken
//! within tens of microseconds of the moment, an ordinary one with 50 more (timer slack).

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use thiserror::Error;

/// What went wrong while waiting.
#[derive(Debug, Error)]
#[error("can't {step}; nothing was changed")]
pub struct PollError {
    step: &'static str,
    #[source]
    source: io::Error,
}

/// How many ready things are told in one go; the others are told in the next.
const AT_ONCE: usize = 64;
const TIMER: u64 = u64::MAX;

/// Watches sockets and one moment.
pub struct Poller {
    epoll: Epoll,
    timer: OwnedFd,
    /// What the timer is set to; nothing once it has rung, as it is ready until it is set anew.
    set_to: Cell<Option<Option<u64>>>,
}

impl Poller {
    /// A poller that watches nothing yet.
    ///
    /// # Errors
    /// [`PollError`]: no more file descriptors or memory.
    pub fn new() -> Result<Self, PollError> {
        let failed = |step| move |errno: Errno| PollError { step, source: errno.into() };
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed("make an epoll"))?;
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: a call without pointers; its result is checked.
        let raw = unsafe { libc::timerfd_create(libc::CLOCK_BOOTTIME, flags) };
        let raw = Errno::result(raw).map_err(failed("make a timer"))?;
        // SAFETY: the kernel has just made this descriptor for us alone.
        let timer = unsafe { OwnedFd::from_raw_fd(raw) };
        let event = EpollEvent::new(EpollFlags::EPOLLIN, TIMER);
        epoll.add(&timer, event).map_err(failed("watch the timer"))?;
        Ok(Self { epoll, timer, set_to: Cell::new(Some(None)) })
    }

    /// Watches a descriptor; `token` (not `u64::MAX`) names it when something can be read from it
    /// or it was closed from the other side. A descriptor that is closed is forgotten by itself,
    /// unless a copy of it is open.
    ///
    /// # Errors
    /// [`PollError`]: not watched.
    pub fn watch(&self, fd: BorrowedFd<'_>, token: u64) -> Result<(), PollError> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
        let step = "watch a descriptor";
        self.epoll.add(fd, event).map_err(|errno| PollError { step, source: errno.into() })
    }

    /// Watches it no longer; not watched before is fine.
    ///
    /// # Errors
    /// [`PollError`]: still watched.
    pub fn forget(&self, fd: BorrowedFd<'_>) -> Result<(), PollError> {
        match self.epoll.delete(fd) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(PollError { step: "forget a descriptor", source: errno.into() }),
        }
    }

    /// Waits until something is ready, the moment `until` (microseconds of
    /// [`crate::clock::boottime`]) has come, or a signal was handled; fills `ready` with the
    /// tokens.
    ///
    /// # Errors
    /// [`PollError`]: `ready` is empty.
    pub fn wait(&self, until: Option<u64>, ready: &mut Vec<u64>) -> Result<(), PollError> {
        ready.clear();
        // Most of what wakes us leaves the next moment where it was.
        if self.set_to.get() != Some(until) {
            self.set_timer(until).map_err(|source| PollError { step: "set the timer", source })?;
            self.set_to.set(Some(until));
        }
        let mut events = [EpollEvent::empty(); AT_ONCE];
        let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => {
                return Err(PollError { step: "wait", source: errno.into() });
            }
        };
        let tokens = events[..count].iter().map(EpollEvent::data);
        for token in tokens {
            if token == TIMER {
                self.set_to.set(None);
            } else {
                ready.push(token);
            }
        }
        Ok(())
    }

    fn set_timer(&self, until: Option<u64>) -> io::Result<()> {
        // All zero switches the timer off, so the start of the clock is told as one nanosecond.
        let at = match until {
            None => libc::timespec { tv_sec: 0, tv_nsec: 0 },
            Some(0) => libc::timespec { tv_sec: 0, tv_nsec: 1 },
            Some(micros) => {
                let seconds = libc::time_t::try_from(micros / 1_000_000);
                let nanos = (micros % 1_000_000) * 1_000;
                libc::timespec {
                    tv_sec: seconds.unwrap_or(libc::time_t::MAX),
                    tv_nsec: libc::c_long::try_from(nanos).unwrap_or(0),
                }
            }
        };
        let once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = libc::itimerspec { it_interval: once, it_value: at };
        let fd = self.timer.as_raw_fd();
        let flags = libc::TFD_TIMER_ABSTIME;
        // SAFETY: the pointer is to a live `itimerspec`; the old value is not asked for.
        let set =
            unsafe { libc::timerfd_settime(fd, flags, &raw const spec, std::ptr::null_mut()) };
        if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}
