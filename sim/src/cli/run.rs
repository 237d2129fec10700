//! Runs seeds on several processors.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use stead_sim::swarm;

use super::CliError;
use super::total::Total;

/// From so many seeds on, a kind of fault that never met a phase of the protocol fails the run.
pub const COVERING: u64 = 5_000;

/// Runs all seeds of a range, or until one fails, or until the time is over.
pub fn seeds(range: Range<u64>, jobs: usize, stop_at_first: bool, until: Option<Instant>) -> Total {
    let (next, stop) = (AtomicU64::new(range.start), AtomicBool::new(false));
    let total = Mutex::new(Total::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                let over = || until.is_some_and(|until| Instant::now() >= until);
                while !stop.load(Ordering::Relaxed) && !over() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= range.end {
                        return;
                    }
                    let began = processor_seconds();
                    let outcome = swarm::run(seed);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.add(&outcome);
                    total.seconds += processor_seconds() - began;
                    if let Some(verdict) = outcome.verdict {
                        let at = Duration::from_micros(verdict.at).as_secs_f64();
                        println!("seed {seed}, {at:.3} s, {}: {}", verdict.judge, verdict.what);
                        stop.fetch_or(stop_at_first, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// How long this thread has run on a processor: other work on the machine doesn't count. The first
/// number of `schedstat`, in nanoseconds (kernel documentation, sched-stats).
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|it| it.parse::<u64>().ok());
    nanos.unwrap_or(0) as f64 / 1e9
}

/// The command.
pub fn run(range: Range<u64>, jobs: usize, stop_at_first: bool) -> Result<bool, CliError> {
    let count = range.end - range.start;
    let began = Instant::now();
    let total = seeds(range, jobs, stop_at_first, None);
    let wall = began.elapsed().as_secs_f64();
    let missing = total.cover.missing();
    let covering = count >= COVERING && total.failed.is_empty();
    for (kind, phase) in missing.iter().filter(|_| covering) {
        println!("never tried: {} while {}", kind.name(), phase.name());
    }
    println!(
        "{} seeds, {} failed, {:.1} virtual hours in {wall:.1} s: {:.0} times as fast as real \
         time on one processor",
        total.seeds,
        total.failed.len(),
        total.virtual_hours(),
        total.virtual_hours() * 3_600.0 / total.seconds.max(1e-9),
    );
    println!("{}", total.to_json());
    Ok(total.failed.is_empty() && (!covering || missing.is_empty()))
}
