//! Seeded bugs: mistakes that a good engineer could make, put into the core one at a time to see
//! whether the simulator's judges notice. A judge that has never caught anything proves nothing.
//!
//! Each bug is a file `sim/mutants/NN-name.toml` that says what is wrong, which rule of
//! `docs/protocol.md` it breaks, and which text of `core/src` it replaces.
//!
//! Happy path: the unchanged source holds over all seeds. Then, bug by bug, the edits are made in
//! a copy of the workspace ([`work`]), the simulator is built and run until its first failed seed,
//! and a line says which judge saw it. Exit status 0: every bug was caught. `--table` writes what
//! was found into the book ([`table`]).
//!
//! Failures: a bug that nobody saw is listed and makes exit status 1. A bug that does not compile,
//! a run that ends without a verdict, or an unchanged source that fails, is an error and never
//! counts as caught. A run that takes too long is stopped and reported as such.
//!
//! Deliberately absent: machine-made mutations (each bug here is a rule of the protocol that
//! somebody forgot, so that a bug nobody sees means a missing judge, not noise).

mod data;
mod table;
mod work;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use data::Mutant;
pub use data::check;
use work::{Verdict, Work};

use crate::tree::Tree;

const USAGE: &str = "usage: cargo xtask mutants [--only NN,NN...] [--seeds N] [--jobs J] [--table]";
/// What is played where no seed failed.
const SCENARIOS: &str = "sim/scenarios";
/// How many seeds each bug gets unless told otherwise.
const SEEDS: u64 = 2_000;
/// How long the run of one bug may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    /// The numbers of the bugs to try; all if empty.
    only: Vec<u32>,
    seeds: u64,
    jobs: usize,
    table: bool,
}

/// Tries the seeded bugs.
pub fn run(root: &Path, args: &[String]) -> Result<ExitCode> {
    let wish = wish(args)?;
    let tree = Tree::read(root)?;
    let all = data::all(&tree).map_err(|findings| {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(
            "the seeded bugs don't fit the source; nothing was run\n{}",
            lines.join("\n")
        )
    })?;
    let chosen = choose(&all, &wish.only)?;
    let work = Work::new(root, &tree)?;
    hold_unchanged(root, &work, &wish)?;
    let mut results = Vec::new();
    for mutant in chosen {
        let begun = Instant::now();
        let verdict = try_one(root, &work, &tree, mutant, &wish);
        let took = begun.elapsed().as_secs();
        println!("{}  {took} s  {}", line(mutant, &verdict), mutant.path);
        results.push((mutant, verdict));
        if wish.table {
            // After each, so that an interruption loses nothing.
            table::write(root, &all, &results, wish.seeds)?;
        }
    }
    finish(&results, &wish)
}

fn wish(args: &[String]) -> Result<Wish> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut wish = Wish { only: Vec::new(), seeds: SEEDS, jobs, table: false };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--table" {
            wish.table = true;
            continue;
        }
        let mut value = || args.next().with_context(|| format!("{arg} needs a value\n{USAGE}"));
        match arg.as_str() {
            "--only" => {
                for number in value()?.split(',') {
                    wish.only.push(number.parse().with_context(|| format!("--only {number}"))?);
                }
            }
            "--seeds" => wish.seeds = value()?.parse().context("--seeds")?,
            "--jobs" => wish.jobs = value()?.parse().context("--jobs")?,
            _ => bail!("{arg} is not known\n{USAGE}"),
        }
    }
    if wish.seeds == 0 || wish.jobs == 0 {
        bail!("--seeds and --jobs must be at least 1");
    }
    Ok(wish)
}

fn choose<'a>(all: &'a [Mutant], only: &[u32]) -> Result<Vec<&'a Mutant>> {
    for number in only {
        if !all.iter().any(|mutant| mutant.number == *number) {
            bail!("there is no seeded bug number {number}");
        }
    }
    Ok(all.iter().filter(|it| only.is_empty() || only.contains(&it.number)).collect())
}

/// Without this, a judge that condemns everything would seem to catch every bug, and so would a
/// scenario that goes otherwise than it is written anyway.
fn hold_unchanged(root: &Path, work: &Work<'_>, wish: &Wish) -> Result<()> {
    work.prepare(&[])?;
    work.build().context("the unchanged source does not build")?;
    match work.judge(wish.seeds, wish.jobs, PATIENCE.saturating_mul(6))? {
        Verdict::Missed | Verdict::Told(_) => {
            if let Some(scenario) = work.scenario(&root.join(SCENARIOS))? {
                bail!(
                    "with the unchanged source the scenario {scenario} goes otherwise than it is \
                     written; no bug was tried: read `stead-sim play` and write it anew first"
                );
            }
            println!("--  the unchanged source holds over {} seeds and all scenarios", wish.seeds);
            Ok(())
        }
        Verdict::Caught { judge, seed, what } => bail!(
            "the unchanged source fails at seed {seed} ({judge}: {what}); no bug was tried, since \
             nothing could be said about one"
        ),
        Verdict::TooLong => bail!("the unchanged source was not through in time; try fewer seeds"),
        Verdict::Broken(text) => bail!("the unchanged source came to no verdict: {text}"),
    }
}

fn try_one(root: &Path, work: &Work<'_>, tree: &Tree, mutant: &Mutant, wish: &Wish) -> Verdict {
    let verdict = mutant.apply(tree).and_then(|files| {
        work.prepare(&files)?;
        work.build()?;
        let verdict = work.judge(wish.seeds, wish.jobs, PATIENCE)?;
        if verdict != Verdict::Missed {
            return Ok(verdict);
        }
        // A judge that nobody helps comes first; the stories that people wrote see more.
        Ok(work.scenario(&root.join(SCENARIOS))?.map_or(verdict, Verdict::Told))
    });
    verdict.unwrap_or_else(|error| Verdict::Broken(format!("{error:#}")))
}

fn line(mutant: &Mutant, verdict: &Verdict) -> String {
    let number = mutant.number;
    match verdict {
        Verdict::Caught { judge, seed, what } => {
            format!("{number:02}  caught by {judge} at seed {seed}: {what}")
        }
        Verdict::Told(scenario) => {
            format!("{number:02}  no seed, but scenario {scenario}: {}", mutant.title)
        }
        Verdict::Missed => format!("{number:02}  MISSED: {}", mutant.title),
        Verdict::TooLong => format!("{number:02}  TOO LONG: stopped after {PATIENCE:?}"),
        Verdict::Broken(text) => format!("{number:02}  ERROR: {text}"),
    }
}

fn finish(results: &[(&Mutant, Verdict)], wish: &Wish) -> Result<ExitCode> {
    let caught = results.iter().filter(|(_, it)| matches!(it, Verdict::Caught { .. })).count();
    println!();
    print!("{}", table::rows(results));
    let told = results.iter().filter(|(_, it)| matches!(it, Verdict::Told(_))).count();
    println!(
        "{caught} of {} seeded bugs caught within {} seeds, {told} more seen by a scenario",
        results.len(),
        wish.seeds
    );
    Ok(if caught + told == results.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_command_line_is_read_or_refused() {
        let got = wish(&words("--only 3,07 --seeds 50 --jobs 2 --table")).unwrap();
        assert_eq!(got, Wish { only: vec![3, 7], seeds: 50, jobs: 2, table: true });
        for bad in ["--only", "--only x", "--seeds 0", "--jobs 0", "--seeds -1", "--tables", "3"] {
            assert!(wish(&words(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_known_numbers_are_chosen() {
        let all = [Mutant::example(1), Mutant::example(2)];
        let numbers = |only: &[u32]| -> Option<Vec<u32>> {
            choose(&all, only).ok().map(|chosen| chosen.iter().map(|it| it.number).collect())
        };
        assert_eq!(numbers(&[]), Some(vec![1, 2]));
        assert_eq!(numbers(&[2]), Some(vec![2]));
        assert_eq!(numbers(&[2, 3]), None);
    }
}
