//! A watchdog: a timer in hardware, or in the kernel, that resets the machine unless it is fed.
//!
//! The interface is that of the kernel's `Documentation/watchdog/watchdog-api.rst`. Three of its
//! properties decide what can be built on it:
//!
//! - Opening a device starts it, and setting its timeout feeds it. So [`devices`] looks at what
//!   there is without opening anything.
//! - It is stopped by closing it after the letter `V` was written. A device whose driver does not
//!   know that letter stops at *any* close, also when its process was killed: it protects from
//!   nothing, and [`Watchdog::arm`] refuses it, unless it can't be stopped at all (`nowayout`).
//! - A close without that letter leaves it running and **feeds it once more**, whoever closed it
//!   and whenever (`watchdog_release` in the kernel's `watchdog_dev.c`). The end of a process is
//!   such a close.
//!
//! Absent on purpose: when it is fed, and loading of drivers.

mod armed;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::{fs, io};

pub use armed::Watchdog;
use thiserror::Error;

/// Where the kernel lists its watchdogs.
const CLASS: &str = "/sys/class/watchdog";
/// What the kernel's own timer calls itself.
const SOFTWARE: &str = "Software Watchdog";

/// A watchdog could not be armed, or not be stopped.
#[derive(Debug, Error)]
pub enum WatchdogError {
    /// Another process has it.
    #[error(
        "the watchdog {} is used by another process (systemd's RuntimeWatchdogSec, watchdogd or \
         sbd?); it was not armed",
        path.display()
    )]
    InUse {
        /// The device.
        path: PathBuf,
    },
    /// The device can't be used.
    #[error("can't {step} the watchdog {}; it was not armed", path.display())]
    Device {
        /// What was being done.
        step: &'static str,
        /// The device.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It would stop with the process that feeds it.
    #[error(
        "the watchdog {} ({identity}) stops when its process ends, so it can't be relied on; load \
         its driver with nowayout=1",
        path.display()
    )]
    StopsAtClose {
        /// The device.
        path: PathBuf,
        /// What it calls itself.
        identity: String,
    },
    /// None of its timeouts is long enough, and not much too long.
    #[error(
        "the watchdog {} ({identity}) has no timeout of {least} s or somewhat more; it was not \
         armed",
        path.display()
    )]
    Timeout {
        /// The device.
        path: PathBuf,
        /// What it calls itself.
        identity: String,
        /// The shortest that would do, in seconds.
        least: u64,
    },
    /// It runs on, and resets the machine unless somebody feeds it.
    #[error(
        "the watchdog {} can't be stopped: it resets this machine unless it is fed again",
        path.display()
    )]
    Runs {
        /// The device.
        path: PathBuf,
        /// Why, if the kernel said so.
        #[source]
        source: Option<io::Error>,
    },
}

/// A watchdog as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its device.
    pub path: PathBuf,
    /// What it calls itself; empty if the kernel doesn't say.
    pub identity: String,
    /// It can't be stopped once it runs.
    pub no_way_out: bool,
    /// It runs, as far as the kernel says.
    pub runs: bool,
    /// The longest timeout that it takes, in seconds; zero if the kernel doesn't say.
    pub longest: u64,
}

impl Found {
    /// Whether it is a timer of the kernel's own, which a kernel that hangs takes with it.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.identity == SOFTWARE
    }
}

/// The watchdogs of this machine, those in hardware first. None of them is opened.
///
/// # Errors
/// The kernel's list can't be read; that it has none is none.
pub fn devices() -> io::Result<Vec<Found>> {
    devices_of(Path::new(CLASS), Path::new("/dev"))
}

fn devices_of(class: &Path, dev: &Path) -> io::Result<Vec<Found>> {
    let entries = match fs::read_dir(class) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("watchdog")?.parse().ok());
        let Some(number): Option<u32> = number else { continue };
        found.push((number, look(&entry.path(), dev.join(name))));
    }
    found.sort_by_key(|(number, it)| (it.is_software(), *number));
    Ok(found.into_iter().map(|(_, it)| it).collect())
}

/// What the kernel says of one device. What it does not say is as it mostly is.
fn look(entry: &Path, path: PathBuf) -> Found {
    let word = |name| fs::read_to_string(entry.join(name)).unwrap_or_default().trim().to_owned();
    let (no_way_out, runs) = (word("nowayout") == "1", word("state") == "active");
    let longest = word("max_timeout").parse().unwrap_or(0);
    Found { path, identity: word("identity"), no_way_out, runs, longest }
}

/// Whether this machine is one inside another, as far as its processor or its firmware says so. A
/// hypervisor that stops it stops its watchdog as well.
#[must_use]
pub fn is_in_virtual_machine() -> bool {
    /// What the firmware of virtual machines calls their maker or their kind.
    const MAKERS: [&str; 6] = ["QEMU", "VMware", "Xen", "KVM", "VirtualBox", "Virtual Machine"];
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let flags = read("/proc/cpuinfo");
    let flags = flags.lines().find(|line| line.starts_with("flags"));
    if flags.is_some_and(|line| line.split_whitespace().any(|flag| flag == "hypervisor")) {
        return true;
    }
    let firmware = read("/sys/class/dmi/id/sys_vendor") + &read("/sys/class/dmi/id/product_name");
    let tree = Path::new("/proc/device-tree/hypervisor").exists();
    tree || MAKERS.iter().any(|maker| firmware.contains(maker))
}
