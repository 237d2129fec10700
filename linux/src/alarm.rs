//! A descriptor that becomes readable at an instant of the clock that counts suspend.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// An alarm; at first it is set for no time.
#[derive(Debug)]
pub struct Alarm(TimerFd);

impl Alarm {
    /// A new one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self(TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?))
    }

    /// Sets it for that time ([`crate::clock::boottime`]), and for no other. A time that has passed
    /// makes it readable at once.
    ///
    /// # Errors
    /// The kernel's; the former time stands.
    pub fn set(&self, micros: u64) -> io::Result<()> {
        // Zero would switch it off.
        let at = TimeSpec::from_duration(Duration::from_micros(micros.max(1)));
        Ok(self.0.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
