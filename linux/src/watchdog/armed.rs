//! One device: armed, fed, stopped.

use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CLASS, Found, WatchdogError, look};

/// The driver understands the letter `V` (`WDIOF_MAGICCLOSE`).
const MAGIC_CLOSE: u32 = 0x0100;
/// The driver's timeout can be set (`WDIOF_SETTIMEOUT`).
const SET_TIMEOUT: u32 = 0x0080;
/// How much longer than asked for the timeout may become, in seconds, before the device is given
/// up: some have a few fixed ones.
const SEARCHED: c_int = 300;

/// `struct watchdog_info` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Info {
    options: u32,
    firmware_version: u32,
    identity: [u8; 32],
}

/// The kernel's requests (`WDIOC_GETSUPPORT`, `WDIOC_SETTIMEOUT`, `WDIOC_GETTIMEOUT`).
mod request {
    use super::{Info, c_int};

    nix::ioctl_read!(get_support, b'W', 0, Info);
    nix::ioctl_readwrite!(set_timeout, b'W', 6, c_int);
    nix::ioctl_read!(get_timeout, b'W', 7, c_int);
}

/// An armed watchdog. Dropped, it runs on, and was fed once more.
#[derive(Debug)]
pub struct Watchdog {
    file: File,
    path: PathBuf,
    identity: String,
    options: u32,
    no_way_out: bool,
    timeout: Duration,
}

impl Watchdog {
    /// Opens a device and arms it, with the shortest timeout that it accepts and that is at least
    /// so long. It is fed then.
    ///
    /// # Errors
    /// See [`WatchdogError`]. A device that was opened and is of no use was stopped again, if it
    /// can be.
    pub fn arm(found: &Found, least: Duration) -> Result<Self, WatchdogError> {
        let path = found.path.clone();
        // Before it is opened: one that can't be stopped would run from then on.
        if (1..whole_seconds(least)).contains(&found.longest) {
            let (identity, least) = (found.identity.clone(), whole_seconds(least));
            return Err(WatchdogError::Timeout { path, identity, least });
        }
        let failed = |step| {
            let path = path.clone();
            move |source: io::Error| WatchdogError::Device { step, path, source }
        };
        let file = OpenOptions::new().write(true).open(&path).map_err(|source| {
            match source.raw_os_error() {
                Some(libc::EBUSY) => WatchdogError::InUse { path: path.clone() },
                _ => failed("open")(source),
            }
        })?;
        let mut watchdog = Self {
            file,
            path: path.clone(),
            identity: found.identity.clone(),
            options: 0,
            no_way_out: found.no_way_out,
            timeout: Duration::ZERO,
        };
        match watchdog.prepare(least) {
            Ok(()) => Ok(watchdog),
            Err(error) => {
                // It is of no use, and it runs: what it says to being stopped changes nothing.
                drop(watchdog.stop());
                Err(error)
            }
        }
    }

    fn prepare(&mut self, least: Duration) -> Result<(), WatchdogError> {
        let mut info = Info::default();
        // SAFETY: the pointer is to a live structure of the kernel's layout, which it fills.
        unsafe { request::get_support(self.file.as_raw_fd(), &raw mut info) }
            .map_err(|errno| self.failed("ask")(errno.into()))?;
        self.options = info.options;
        if let Some(identity) = text(&info.identity) {
            self.identity = identity;
        }
        if self.options & MAGIC_CLOSE == 0 && !self.no_way_out {
            let (path, identity) = (self.path.clone(), self.identity.clone());
            return Err(WatchdogError::StopsAtClose { path, identity });
        }
        self.set_least(least)
    }

    /// Has it count to at least so much from now on, in whole seconds. It is fed.
    ///
    /// # Errors
    /// See [`WatchdogError`]: it counts to what [`Watchdog::timeout`] says.
    pub fn set_least(&mut self, least: Duration) -> Result<(), WatchdogError> {
        let whole = whole_seconds(least);
        let path = self.path.clone();
        let unfit = |identity: &String| WatchdogError::Timeout {
            path,
            identity: identity.clone(),
            least: whole,
        };
        let Ok(first) = c_int::try_from(whole.max(1)) else { return Err(unfit(&self.identity)) };
        let last = first.saturating_add(SEARCHED);
        let mut wanted = first;
        while wanted <= last {
            if let Some(counts) = self.set(wanted)? {
                self.timeout = Duration::from_secs(counts.unsigned_abs().into());
                if (first..=last).contains(&counts) {
                    return Ok(());
                }
            }
            wanted += 1;
        }
        Err(unfit(&self.identity))
    }

    /// Sets a timeout, and says which one it has then; nothing if it refuses that one.
    fn set(&self, seconds: c_int) -> Result<Option<c_int>, WatchdogError> {
        let descriptor = self.file.as_raw_fd();
        let mut value = seconds;
        if self.options & SET_TIMEOUT != 0 {
            // SAFETY: the pointer is to a live integer, which the kernel reads and fills.
            match unsafe { request::set_timeout(descriptor, &raw mut value) } {
                Ok(_) => {}
                Err(nix::errno::Errno::EINVAL) => return Ok(None),
                Err(errno) => return Err(self.failed("set the timeout of")(errno.into())),
            }
        }
        // SAFETY: the pointer is to a live integer, which the kernel fills.
        unsafe { request::get_timeout(descriptor, &raw mut value) }
            .map_err(|errno| self.failed("read the timeout of")(errno.into()))?;
        Ok(Some(value))
    }

    /// Feeds it: it counts from now on.
    ///
    /// # Errors
    /// The kernel's; it goes on counting.
    pub fn feed(&self) -> io::Result<()> {
        // Any octet but the letter does.
        (&self.file).write_all(b"\0")
    }

    /// Whether it can be stopped, as far as its driver says.
    #[must_use]
    pub fn can_be_stopped(&self) -> bool {
        self.options & MAGIC_CLOSE != 0 && !self.no_way_out
    }

    /// Stops it.
    ///
    /// # Errors
    /// [`WatchdogError::Runs`]: it runs on, was fed, and resets the machine unless it is armed
    /// again.
    pub fn disarm(self) -> Result<(), WatchdogError> {
        self.stop()
    }

    fn stop(self) -> Result<(), WatchdogError> {
        let stops = self.can_be_stopped();
        let Self { mut file, path, .. } = self;
        let runs = |source| WatchdogError::Runs { path: path.clone(), source };
        if !stops {
            // Closed as it is. What is no watchdog at all is not written to.
            return Err(runs(None));
        }
        file.write_all(b"V").map_err(|error| runs(Some(error)))?;
        drop(file);
        let name = path.file_name().unwrap_or_default();
        let now = look(&Path::new(CLASS).join(name), path.clone());
        if now.runs { Err(runs(None)) } else { Ok(()) }
    }

    /// To what it counts.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What it calls itself.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Its device.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, step: &'static str) -> impl Fn(io::Error) -> WatchdogError + use<> {
        let path = self.path.clone();
        move |source| WatchdogError::Device { step, path: path.clone(), source }
    }
}

/// Whole seconds that are no less.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// The kernel's text, up to its first zero; nothing if it is empty.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]).trim().to_owned();
    (!text.is_empty()).then_some(text)
}
