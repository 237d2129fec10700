//! `plans`: how long a plan takes, how much memory, and how that grows with the cluster; beside
//! Pacemaker's scheduler (`crm_simulate`) on the same clusters.
//!
//! A cluster of N nodes and R services, each with the node that it prefers and the next best, all
//! of them running; then one node is lost. [`cluster`] makes it as a state of stead, [`cib`] as
//! what Pacemaker reads. Variants: `preferences`, and `room` with memory and processors on top of
//! that.
//!
//! Happy path: for each size and variant a row of stead (a full plan with nothing running, and the
//! one after the loss) and, with `--peers`, one of Pacemaker (the plan after the loss). Each is
//! made by a process of its own, whose peak of memory counts. Failures: what takes longer than the
//! limit is ended, and is a row that says so; larger ones of that variant are left out then.
//!
//! Deliberately absent: what carries plans out. That is the other benches'.

mod cib;
mod cluster;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};
use stead_core::placement;

use super::told;
use crate::error::{BenchError, Step};
use crate::measure::rounded;
use crate::report::{Results, Row, groups, spread, table};
use crate::subject::is_installed;
use crate::tools::Tools;

/// The bench's name.
pub const NAME: &str = "plans";
/// What Pacemaker's scheduler is called.
const SCHEDULER: &str = "crm_simulate";

/// What is measured.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Nodes and services of each cluster.
    pub sizes: Vec<(usize, usize)>,
    /// How often.
    pub runs: u32,
    /// How long one process may take.
    pub limit: Duration,
    /// Pacemaker as well.
    pub peers: bool,
}

/// What the services of a cluster ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// Two nodes each, in order.
    Preferences,
    /// The same, and memory and processors.
    Room,
}

impl Variant {
    const ALL: [Self; 2] = [Self::Preferences, Self::Room];

    fn name(self) -> &'static str {
        match self {
            Self::Preferences => "preferences",
            Self::Room => "room",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// Has plans made.
///
/// # Errors
/// The end was asked for, or results can't be written.
pub fn run(tools: &Tools, scale: &Scale, results: &mut Results) -> Result<(), BenchError> {
    if scale.peers && !is_installed(SCHEDULER) {
        let (programs, packages) = (SCHEDULER.to_owned(), "pacemaker-cli-utils".to_owned());
        return Err(BenchError::Missing { programs, packages });
    }
    for run in 1..=scale.runs {
        for variant in Variant::ALL {
            let mut gave_up = false;
            for (nodes, services) in scale.sizes.iter().copied() {
                let size = (nodes, services, variant);
                let outcome = stead(tools, size, run, scale.limit, results);
                told(results, row("stead", size, run), outcome)?;
                if scale.peers && !gave_up {
                    let outcome = pacemaker(tools, size, run, scale.limit, results);
                    gave_up = outcome.is_err();
                    told(results, row("pacemaker", size, run), outcome)?;
                }
            }
        }
    }
    Ok(())
}

type Size = (usize, usize, Variant);

fn row(subject: &str, (nodes, services, variant): Size, run: u32) -> Row {
    let config = format!("{nodes} nodes, {services} services, {}", variant.name());
    let (bench, subject) = (NAME.to_owned(), subject.to_owned());
    let row = Row { bench, subject, config, run, ..Row::default() };
    row.with("nodes", nodes).with("services", services).with("variant", variant.name())
}

fn stead(
    tools: &Tools,
    size: Size,
    run: u32,
    limit: Duration,
    results: &mut Results,
) -> Result<(), BenchError> {
    let (nodes, services, variant) = size;
    let mut command = Command::new(&tools.own);
    command.args(["part", "plan", &nodes.to_string(), &services.to_string(), variant.name()]);
    let (_, output) = ended(tools, command.stdout(Stdio::piped()), limit)?;
    let told: Value = serde_json::from_slice(&output)
        .map_err(|error| BenchError::Nothing(format!("what was planned can't be read: {error}")))?;
    let mut row = row("stead", size, run);
    for key in ["full_ms", "change_ms", "moved", "peak_mib"] {
        row = row.with(key, told[key].clone());
    }
    results.add(row)
}

/// Makes plans in this process, and prints how that went.
///
/// # Errors
/// There is no such variant.
pub fn play(nodes: usize, services: usize, variant: &str) -> Result<(), BenchError> {
    let variant = Variant::of(variant)
        .ok_or_else(|| BenchError::Nothing(format!("there is no variant {variant}")))?;
    let mut cluster = cluster::Cluster::new(nodes, services, variant);
    let begun = Instant::now();
    let plan = cluster.plan();
    let full = begun.elapsed();
    cluster.settle(&plan);
    cluster.lose(0);
    let begun = Instant::now();
    let plan = cluster.plan();
    let change = begun.elapsed();
    let moved = plan.decisions.values().filter(|it| it.is_change()).count();
    let nowhere = placement::nowhere(&plan).count();
    let peak = getrusage(UsageWho::RUSAGE_SELF).map(|usage| usage.max_rss()).unwrap_or(0);
    let ms = |span: Duration| rounded(span.as_secs_f64() * 1_000.0);
    let told = json!({
        "full_ms": ms(full), "change_ms": ms(change), "moved": moved, "nowhere": nowhere,
        "peak_mib": peak / 1024,
    });
    crate::kept::say(&format!("{told}\n"))
}

fn pacemaker(
    tools: &Tools,
    size: Size,
    run: u32,
    limit: Duration,
    results: &mut Results,
) -> Result<(), BenchError> {
    let folder = tempfile::tempdir().step(|| "cannot make a folder".to_owned())?;
    let file = folder.path().join("cib.xml");
    write_cib(&file, size)?;
    let mut command = Command::new(SCHEDULER);
    command.arg("-x").arg(&file).args(["-R", "-Q"]).stdout(Stdio::null());
    let begun = Instant::now();
    let (peak, _) = ended(tools, &mut command, limit)?;
    let row = row("pacemaker", size, run);
    let took = rounded(begun.elapsed().as_secs_f64() * 1_000.0);
    results.add(row.with("change_ms", took).with("peak_mib", peak))
}

fn write_cib(file: &Path, (nodes, services, variant): Size) -> Result<(), BenchError> {
    let what = || format!("cannot write {}", file.display());
    let mut out = BufWriter::new(File::create(file).step(what)?);
    cib::write(&mut out, nodes, services, variant).step(what)
}

/// Runs a program to its end; its peak of memory in MiB as the kernel counts it, and what it
/// printed.
fn ended(
    tools: &Tools,
    command: &mut Command,
    limit: Duration,
) -> Result<(u64, Vec<u8>), BenchError> {
    let what = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.step(|| format!("cannot run {what}"))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let waited = tools.wait_until(&what, limit, || {
        peak = peak.max(peak_of(&status).unwrap_or(0));
        Ok(child.try_wait().step(|| what.clone())?.is_some())
    });
    if let Err(error) = waited {
        // What has ended already is no failure.
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    let output = child.wait_with_output().step(|| what.clone())?;
    if !output.status.success() {
        return Err(BenchError::Nothing(format!("{what}: {}", output.status)));
    }
    Ok((peak, output.stdout))
}

fn peak_of(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

/// The medians of each size, stead's beside Pacemaker's.
pub(crate) fn tables(rows: &[&Row]) -> String {
    let head =
        ["cluster", "program", "full plan, ms", "after a loss, ms", "peak, MiB", "beside stead"];
    let groups = groups(rows, |row| (row.config.as_str(), row.subject.as_str()));
    let median = |rows: &[&Row], key: &str| {
        spread(rows.iter().filter_map(|row| row.number(key))).map(|spread| spread.median)
    };
    let own = |config: &str| {
        let mut all = groups.iter();
        let found = all.find(|((known, subject), _)| *known == config && *subject == "stead");
        found.and_then(|(_, rows)| median(rows, "change_ms"))
    };
    let line = |((config, subject), rows): &((&str, &str), Vec<&Row>)| {
        let shown = |key| median(rows, key).map_or("-".to_owned(), |it| format!("{it:.1}"));
        let change = median(rows, "change_ms");
        let times = change.zip(own(config)).filter(|_| *subject != "stead");
        let error = rows.iter().find_map(|row| row.error.clone());
        let last = times.map(|(theirs, own)| format!("{:.0} times as long", theirs / own));
        let last = last.or(error).unwrap_or_default();
        let (full, change, peak) = (shown("full_ms"), shown("change_ms"), shown("peak_mib"));
        vec![(*config).to_owned(), (*subject).to_owned(), full, change, peak, last]
    };
    table(&head, groups.iter().map(line).collect())
}
