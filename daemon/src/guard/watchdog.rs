//! The guard's hands at the watchdog: which device, what it is asked to do, what is said of it.
//!
//! Happy path: the first device in hardware that can be armed is; failing that the kernel's own
//! timer (`softdog`), if it is loaded. `STEAD_WATCHDOG` in the guard's environment names one device
//! and no other, or `none`.
//!
//! Failures: a device that can't be had is told once, with its reason, and tried again now and
//! then. A feed that turns out to have come too late can't be taken back: the machine is reset at
//! once. A guard that ends while something bound is here leaves its device running.
//!
//! Absent on purpose: when it is fed ([`stead_core::lease`]), and loading of drivers.

use std::path::PathBuf;
use std::time::Duration;

use stead_core::lease::{WatchReport, WatchdogAct};
use stead_core::time::{Instant, Span};
use stead_core::timers::WATCHDOG_LATE;
use stead_edge::chain;
use stead_linux::clock::boottime;
use stead_linux::watchdog::{Found, Watchdog, devices, is_in_virtual_machine};

/// Names the device that is wanted, and no other; or says that none is.
const DEVICE: &str = "STEAD_WATCHDOG";
/// Says that none is.
const NONE: &str = "none";

/// This machine's watchdog.
pub(super) struct Hands {
    device: Option<Watchdog>,
    /// Why none is armed, or not as it should be.
    trouble: Option<String>,
    /// It stands still when a hypervisor stops this machine.
    stands_still: bool,
    /// It is fed no more, since then.
    starved: Option<Instant>,
}

impl Hands {
    pub(super) fn new() -> Self {
        let stands_still = is_in_virtual_machine();
        Self { device: None, trouble: None, stands_still, starved: None }
    }

    /// Does it. Says what has come of an attempt to arm or to stop it, and of a feed that failed.
    pub(super) fn act(&mut self, act: WatchdogAct) -> Option<Option<Span>> {
        match act {
            WatchdogAct::Arm { least, until } => {
                if now() < until && self.starved.is_none() {
                    self.arm(least);
                }
                Some(self.armed())
            }
            WatchdogAct::Feed { until } => self.feed(until).then_some(None),
            WatchdogAct::Disarm => {
                self.disarm();
                Some(self.armed())
            }
            WatchdogAct::Reset => {
                reset("its watchdog should have done it");
                None
            }
        }
    }

    /// To what it counts, if it is armed.
    pub(super) fn armed(&self) -> Option<Span> {
        self.device.as_ref().map(|device| span(device.timeout()))
    }

    /// Says of it what the machine in the core can't know.
    pub(super) fn describe(&self, report: &mut WatchReport) {
        if let Some(device) = &self.device {
            report.device = format!("{} ({})", device.identity(), device.path().display());
        }
        report.trouble.clone_from(&self.trouble);
        report.stands_still = self.stands_still && self.device.is_some();
    }

    /// It is fed no more, whatever is said: what is bound could not be stopped in time. Resets the
    /// machine itself if the device does not.
    pub(super) fn starve(&mut self, at: Instant) {
        let since = *self.starved.get_or_insert(at);
        let timeout = self.armed().unwrap_or_default();
        if at >= since + timeout + WATCHDOG_LATE {
            reset("what is bound here could not be stopped, and its watchdog did not do it");
        }
    }

    /// Ends in order. Where nothing bound is left the device is stopped; otherwise it runs on, and
    /// the next guard has its time to take it up.
    pub(super) fn leave(self, bound: bool) {
        let Some(device) = self.device else { return };
        let (path, seconds) = (device.path().to_owned(), device.timeout().as_secs());
        let left = if bound {
            Err("something bound may be here".to_owned())
        } else {
            device.disarm().map_err(|error| chain(&error))
        };
        let path = path.display();
        match left {
            Ok(()) => eprintln!("stead guard: the watchdog {path} is stopped"),
            Err(why) => eprintln!(
                "stead guard: the watchdog {path} is left running, and resets this machine in \
                 {seconds} s unless a guard takes it up: {why}"
            ),
        }
    }

    fn arm(&mut self, least: Span) {
        let least = Duration::from_micros(least.as_micros());
        if let Some(device) = &mut self.device {
            let set = device.set_least(least);
            let set = set.map_err(|error| chain(&error));
            self.told(set);
            return;
        }
        match arm_any(least) {
            Ok(device) => {
                self.device = Some(device);
                self.told(Ok(()));
            }
            Err(trouble) => self.told(Err(trouble)),
        }
    }

    /// Says what came of it: what is armed each time, a trouble once.
    fn told(&mut self, outcome: Result<(), String>) {
        match (outcome, &self.device) {
            (Ok(()), Some(device)) => {
                eprintln!(
                    "stead guard: the watchdog {} ({}) is armed with {} s{}",
                    device.path().display(),
                    device.identity(),
                    device.timeout().as_secs(),
                    if self.stands_still {
                        "; it stands still when this machine is paused"
                    } else {
                        ""
                    },
                );
                self.trouble = None;
            }
            (Ok(()), None) => self.trouble = None,
            (Err(trouble), _) => {
                if self.trouble.as_ref() != Some(&trouble) {
                    eprintln!("stead guard: {trouble}");
                }
                self.trouble = Some(trouble);
            }
        }
    }

    /// Feeds it, unless that comes too late. Says whether it failed.
    fn feed(&mut self, until: Instant) -> bool {
        let Some(device) = &self.device else { return false };
        if self.starved.is_some() || now() >= until {
            return false;
        }
        let fed = device.feed();
        if now() >= until {
            // This process was held up between looking at the clock and feeding. Others count from
            // the end of the lease.
            reset("its watchdog was fed too late");
        }
        let Err(error) = fed else { return false };
        let path = device.path().display();
        let trouble = format!("the watchdog {path} can't be fed, and is given up: {error}");
        self.device = None;
        self.told(Err(trouble));
        true
    }

    /// Stops it; what can't be stopped is fed on, as long as this process runs.
    fn disarm(&mut self) {
        let Some(device) = self.device.take_if(|device| device.can_be_stopped()) else {
            let why = "the watchdog can't be stopped any more (nowayout): it is fed on";
            return self.told(self.device.as_ref().map_or(Ok(()), |_| Err(why.to_owned())));
        };
        let (path, timeout) = (device.path().to_owned(), span(device.timeout()));
        match device.disarm() {
            Ok(()) => {
                self.trouble = None;
                eprintln!("stead guard: the watchdog {} is stopped", path.display());
            }
            Err(error) => {
                // It runs: it has to be taken up again.
                eprintln!("stead guard: {}", chain(&error));
                self.arm(timeout);
            }
        }
    }
}

/// Arms the first device that can be; says why, if none can.
fn arm_any(least: Duration) -> Result<Watchdog, String> {
    let found = candidates()?;
    let mut troubles = Vec::new();
    for device in &found {
        match Watchdog::arm(device, least) {
            Ok(armed) => return Ok(armed),
            Err(error) => troubles.push(chain(&error)),
        }
    }
    Err(troubles.join("; "))
}

/// The devices that may be armed, the best one first.
pub(crate) fn candidates() -> Result<Vec<Found>, String> {
    let wanted = std::env::var_os(DEVICE).map(PathBuf::from);
    if wanted.as_ref().is_some_and(|wanted| wanted.as_os_str() == NONE) {
        return Err(format!("{DEVICE} says that no watchdog is to be used"));
    }
    let mut found = devices().map_err(|error| format!("the watchdogs can't be listed: {error}"))?;
    if let Some(wanted) = wanted {
        found.retain(|device| device.path == wanted);
        if found.is_empty() {
            return Err(format!("there is no watchdog {}, which {DEVICE} names", wanted.display()));
        }
    }
    if found.is_empty() {
        let none =
            "this machine has no watchdog: load its driver, or the kernel's own timer (softdog)";
        return Err(none.to_owned());
    }
    Ok(found)
}

/// The machine boots anew, at once. Returns only if it could not.
fn reset(why: &str) {
    eprintln!("stead guard: this machine boots anew, at once: {why}");
    let error = stead_linux::reboot::now();
    eprintln!("stead guard: it could not boot anew (that takes CAP_SYS_BOOT): {error}");
}

fn now() -> Instant {
    Instant(boottime())
}

fn span(duration: Duration) -> Span {
    Span::from_micros(duration.as_micros().try_into().unwrap_or(u64::MAX))
}
