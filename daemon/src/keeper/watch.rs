//! A look at the deadline, and the alarm for the next one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use stead_core::id::Epoch;
use stead_core::time::Instant;
use stead_linux::alarm::Alarm;
use stead_linux::clock::boottime;

use super::page::LeaseShown;

/// One process's watch over the deadline of a program.
#[derive(Debug)]
pub(super) struct Watch {
    page: LeaseShown,
    epoch: Epoch,
    alarm: Alarm,
}

impl Watch {
    pub(super) fn new(page: &OwnedFd, epoch: Epoch) -> io::Result<Self> {
        Ok(Self { page: LeaseShown::map(page)?, epoch, alarm: Alarm::new()? })
    }

    /// A copy of the process needs an alarm of its own: the old one would ring in both.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        self.alarm = Alarm::new()?;
        Ok(())
    }

    /// Whether the program may run no longer.
    pub(super) fn is_over(&self) -> bool {
        Instant(boottime()) >= self.page.until(self.epoch)
    }

    /// Waits until something is to be read from one of these, and says from which; none if the time
    /// is up. Nothing that can be read is looked at before the clock.
    pub(super) fn wait<const N: usize>(
        &self,
        others: [BorrowedFd<'_>; N],
    ) -> io::Result<Option<[bool; N]>> {
        loop {
            let until = self.page.until(self.epoch);
            if Instant(boottime()) >= until {
                return Ok(None);
            }
            self.alarm.set(until.0)?;
            let mut fds = vec![PollFd::new(self.alarm.as_fd(), PollFlags::POLLIN)];
            fds.extend(others.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            // Whatever woke us: after a pause the clock comes first.
            if self.is_over() {
                return Ok(None);
            }
            let mut ready = [false; N];
            for (ready, fd) in ready.iter_mut().zip(&fds[1..]) {
                *ready = fd.revents().is_some_and(|events| !events.is_empty());
            }
            if ready.contains(&true) {
                return Ok(Some(ready));
            }
        }
    }
}
