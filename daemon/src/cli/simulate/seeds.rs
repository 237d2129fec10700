//! The cluster of a file in the simulator: many seeds on all processors, or one of them told.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{num, thread};

use anyhow::anyhow;
use serde::Serialize;
use stead_core::state::config::Config;
use stead_sim::own::{self, Own, Sum, TooMuch};

use super::super::context::{Context, print, print_json};
use super::super::exit::{Exit, drawn};
use super::verdict::{self, Judged};
use crate::config::read_file;

/// How often a terminal is told how far it is.
const TELL: Duration = Duration::from_millis(200);

/// Runs seeds from the first of the two numbers on, as many as the second says.
pub(super) fn run(
    context: &Context,
    file: &Path,
    (from, seeds): (u64, u64),
    json: bool,
) -> anyhow::Result<Exit> {
    let (config, own) = read(context, file)?;
    let last = from.checked_add(seeds - 1).ok_or_else(|| {
        anyhow!("seeds from {from} on: there are not so many; nothing was run. Begin lower: --from")
    })?;
    let sum = all(&own, from, last, io::stderr().is_terminal());
    let judged = Judged { file, from, last, config: &config, own: &own, sum: &sum };
    if json {
        print_json(&verdict::of_json(&judged))?;
    } else {
        print(&verdict::shown(&judged, context.out))?;
    }
    Ok(if sum.failed.is_empty() { Exit::Done } else { Exit::Failed })
}

/// One seed, for programs.
#[derive(Serialize)]
struct Retold {
    seed: u64,
    broken: Option<String>,
    lines: Vec<String>,
}

/// Tells one seed.
pub(super) fn replay(
    context: &Context,
    file: &Path,
    seed: u64,
    json: bool,
) -> anyhow::Result<Exit> {
    let (_, own) = read(context, file)?;
    let (told, lines) = quietly(|| own::retell(&own, seed));
    let broken = told.verdict.as_ref().map(verdict::words);
    let exit = if broken.is_none() { Exit::Done } else { Exit::Failed };
    if json {
        print_json(&Retold { seed, broken, lines })?;
        return Ok(exit);
    }
    let mut text: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
    text.push_str(&broken.unwrap_or_else(|| "the judges have nothing to say".to_owned()));
    text.push('\n');
    print(&text)?;
    Ok(exit)
}

/// The configuration of a file, and as much of it as is simulated.
fn read(context: &Context, file: &Path) -> anyhow::Result<(Config, Arc<Own>)> {
    let checked = read_file(file)?;
    for warning in &checked.warnings {
        eprint!("{}", drawn(warning, context));
    }
    let own = Own::new(&checked.config).map_err(|refused| {
        let next = match refused {
            TooMuch::Nodes(_) | TooMuch::Services(_) => {
                "Try a smaller cluster of the same kind: fewer nodes at each site, fewer of the \
                 services that are alike"
            }
            TooMuch::Nothing => "Add a service: [services.NAME]",
        };
        anyhow!("{}: {refused}; nothing was run. {next}", file.display())
    })?;
    Ok((checked.config, Arc::new(own)))
}

/// All seeds from the first to the last.
pub(super) fn all(own: &Arc<Own>, first: u64, last: u64, tell: bool) -> Sum {
    let (next, sum) = (AtomicU64::new(0), Mutex::new(Sum::default()));
    let count = (last - first).saturating_add(1);
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count {
                return;
            }
            let told = own::run(own, first.saturating_add(place));
            sum.lock().unwrap_or_else(PoisonError::into_inner).add(&told);
        }
    };
    let threads = thread::available_parallelism().map_or(1, num::NonZero::get);
    quietly(|| {
        thread::scope(|scope| {
            let runners: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let began = Instant::now();
            while tell && runners.iter().any(|it| !it.is_finished()) {
                let (seeds, failed) = {
                    let sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    (sum.seeds, sum.failed.len())
                };
                progress(seeds, count, failed, began.elapsed());
                thread::sleep(TELL);
            }
        });
    });
    if tell {
        eprint!("\r\x1b[K");
    }
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn progress(seeds: u64, count: u64, failed: usize, took: Duration) {
    let left = match seeds {
        0 => String::new(),
        done => {
            let rest = took.as_secs_f64() / done as f64 * (count - done) as f64;
            format!(", about {rest:.0} s left")
        }
    };
    let bad = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    let mut out = io::stderr().lock();
    let _ = write!(out, "\r\x1b[K{seeds} of {count} seeds{bad}{left}");
    let _ = out.flush();
}

/// A panic of what is simulated is a verdict of its seed, with the words of the panic: nothing is
/// printed of it meanwhile.
fn quietly<T>(run: impl FnOnce() -> T) -> T {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = run();
    panic::set_hook(usual);
    result
}
