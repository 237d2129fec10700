//! The beat: a kernel timer beside the sockets in one epoll set.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

/// The timer's key; sockets count up from zero.
const BEAT: u64 = u64::MAX;
/// Longest wait; only a timer that failed could make it longer.
const PATIENCE: u16 = 1000;

pub(super) struct Beat {
    epoll: Epoll,
    timer: TimerFd,
    events: Vec<EpollEvent>,
}

impl Beat {
    pub(super) fn every(interval: Duration) -> io::Result<Beat> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let beat = Expiration::Interval(TimeSpec::from(interval));
        timer.set(beat, TimerSetTimeFlags::empty())?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, BEAT))?;
        Ok(Beat { epoll, timer, events: vec![EpollEvent::empty(); 256] })
    }

    /// Reports what comes on a socket once per change (edge-triggered), under this key.
    pub(super) fn watch(&self, socket: impl AsFd, key: u64) -> io::Result<()> {
        let any = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP;
        let event = EpollEvent::new(any | EpollFlags::EPOLLET, key);
        Ok(self.epoll.add(socket, event)?)
    }

    /// Waits. Fills `keys` with the sockets on which something came; `true` if it is time to ask.
    /// Beats that were missed are not made up for.
    pub(super) fn wait(&mut self, keys: &mut Vec<u64>) -> io::Result<bool> {
        keys.clear();
        let count = match self.epoll.wait(&mut self.events, PATIENCE) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        let mut beat = false;
        for event in &self.events[..count] {
            if event.data() == BEAT {
                beat = self.timer.wait().is_ok();
            } else {
                keys.push(event.data());
            }
        }
        Ok(beat)
    }
}
