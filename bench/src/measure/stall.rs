//! When the machine itself stood still: a bare timer on each processor, above everything else.
//!
//! Each is a thread with the highest priority that does nothing but sleep a millisecond. What it
//! oversleeps is time in which that processor ran nothing of ours, whatever its priority: the
//! hypervisor had it, or the kernel was busy with itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use stead_lab::prober::now;
use stead_linux::realtime::set_fifo;

use crate::error::{BenchError, Step};

/// Above the guard (50) and all peers but those that take the highest (Corosync).
const PRIORITY: i32 = 99;
/// How long each sleep is meant to last, in microseconds.
const BEAT: u64 = 1_000;
/// Shorter stalls are not noted, in microseconds.
const NOTED: u64 = 2_000;

/// A time in which a processor ran nothing. In microseconds of CLOCK_BOOTTIME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// When the timer should have run.
    pub from_us: u64,
    /// When it ran.
    pub to_us: u64,
}

impl Stall {
    /// Its length.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_micros(self.to_us.saturating_sub(self.from_us))
    }
}

/// What the timers noted.
#[derive(Clone, Debug, Default)]
pub struct StallReport {
    /// All of them had the priority; without it they note also what ordinary load does.
    pub realtime: bool,
    /// By their beginning.
    pub stalls: Vec<Stall>,
}

impl StallReport {
    /// The longest one that touches a span.
    #[must_use]
    pub fn longest_between(&self, from_us: u64, to_us: u64) -> Duration {
        let touches = |stall: &&Stall| stall.to_us > from_us && stall.from_us < to_us;
        self.stalls.iter().filter(touches).map(Stall::length).max().unwrap_or_default()
    }

    /// The longest of all.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest_between(0, u64::MAX)
    }

    /// How many were longer than that.
    #[must_use]
    pub fn longer_than(&self, length: Duration) -> usize {
        self.stalls.iter().filter(|stall| stall.length() > length).count()
    }
}

/// The running timers. They end when dropped.
pub struct Stalls {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(bool, Vec<Stall>)>>,
}

impl Stalls {
    /// Starts one on each processor that this process may use.
    ///
    /// # Errors
    /// A thread can't be started.
    pub fn start() -> Result<Self, BenchError> {
        let us = Pid::from_raw(0);
        let allowed = sched_getaffinity(us).step(|| "cannot ask for the processors".to_owned())?;
        let mut stalls = Self { stop: Arc::default(), threads: Vec::new() };
        for processor in (0..CpuSet::count()).filter(|&it| allowed.is_set(it) == Ok(true)) {
            let stop = Arc::clone(&stalls.stop);
            let thread = std::thread::Builder::new().name(format!("stall-{processor}"));
            let thread = thread.spawn(move || watch(processor, &stop));
            stalls.threads.push(thread.step(|| "cannot start a timer's thread".to_owned())?);
        }
        Ok(stalls)
    }

    /// Ends them.
    ///
    /// # Errors
    /// One of them ended before its time.
    pub fn finish(mut self) -> Result<StallReport, BenchError> {
        self.stop.store(true, Ordering::Relaxed);
        let mut report = StallReport { realtime: true, stalls: Vec::new() };
        for thread in self.threads.drain(..) {
            let ended = thread.join().map_err(|_| io::Error::other("a timer's thread panicked"));
            let (realtime, stalls) =
                ended.step(|| "cannot tell the machine's stalls".to_owned())?;
            report.realtime &= realtime;
            report.stalls.extend(stalls);
        }
        report.stalls.sort_by_key(|stall| stall.from_us);
        Ok(report)
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // a panic in there was printed
            drop(thread.join());
        }
    }
}

fn watch(processor: usize, stop: &AtomicBool) -> (bool, Vec<Stall>) {
    let mut only = CpuSet::new();
    // a processor that went away meanwhile: the timer runs elsewhere and notes what it meets there
    let _ = only.set(processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &only));
    let realtime = set_fifo(PRIORITY).is_ok();
    let mut stalls = Vec::new();
    let mut last = now();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_micros(BEAT));
        let (due, woke) = (last + BEAT, now());
        if woke.saturating_sub(due) > NOTED {
            stalls.push(Stall { from_us: due, to_us: woke });
        }
        last = woke;
    }
    (realtime, stalls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalls_are_found_by_the_span_that_they_touch() {
        let stall = |from_us, to_us| Stall { from_us, to_us };
        let stalls = vec![stall(1_000, 9_000), stall(50_000, 120_000)];
        let report = StallReport { realtime: true, stalls };
        let ms = Duration::from_millis;
        assert_eq!(report.longest(), ms(70));
        assert_eq!(report.longest_between(0, 50_000), ms(8));
        assert_eq!(report.longest_between(119_000, 500_000), ms(70));
        assert_eq!(report.longest_between(9_000, 50_000), Duration::ZERO);
        assert_eq!((report.longer_than(ms(8)), report.longer_than(ms(7))), (1, 2));
    }

    #[test]
    fn the_timers_run_on_every_processor_and_end() {
        let running = Stalls::start().expect("started");
        let processors = std::thread::available_parallelism().expect("a number").get();
        assert_eq!(running.threads.len(), processors);
        let report = running.finish().expect("a report");
        assert!(report.stalls.iter().all(|stall| stall.to_us > stall.from_us));
    }
}
