//! The commands of `stead-sim`.
//!
//! | command | does |
//! |---|---|
//! | `run`, `soak` | many seeds, once or for a while; the sums |
//! | `replay`, `shrink` | one seed again; as a script, as short as it still fails |
//! | `play` | scenario files |
//! | `report` | what the soaks came to, as the book prints it |
//!
//! Exit status 0: everything held. 1: a judge spoke, or a cell of the table of faults and phases
//! was never hit. 2: the command could not be carried out, and says why.
//!
//! Absent on purpose: options that would make the same seed another run.

mod report;
mod run;
mod scenario;
mod soak;
mod total;

use std::ops::Range;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Whole clusters in virtual time, under faults that one number decides.
#[derive(Debug, Parser)]
#[command(name = "stead-sim", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run seeds; the last line is one JSON object.
    Run {
        /// Which seeds: from, up to and not including.
        #[arg(long, value_parser = seeds, value_name = "A..B")]
        seeds: Range<u64>,
        /// How many at a time.
        #[arg(long, default_value_t = 1)]
        jobs: usize,
        /// End with the first that fails.
        #[arg(long)]
        stop_at_first: bool,
    },
    /// Tell one seed again, with everything that was said and done.
    Replay {
        /// The seed.
        seed: u64,
    },
    /// Make a failing seed short, and print it as a scenario file.
    Shrink {
        /// The seed.
        seed: u64,
    },
    /// Play scenario files; with --update write what happens into them.
    Play {
        /// The files.
        files: Vec<PathBuf>,
        /// Write what happens below the rule.
        #[arg(long)]
        update: bool,
    },
    /// Run seeds in chunks for a while, going on where the last soak of this core ended.
    Soak {
        /// Where the counts are kept.
        #[arg(long, default_value = "target/soak.json")]
        state: PathBuf,
        /// For how many minutes.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// How many seeds at a time.
        #[arg(long, default_value_t = 1)]
        jobs: usize,
        /// After how many seeds the counts are written.
        #[arg(long, default_value_t = 500)]
        chunk: u64,
    },
    /// Tell what the soaks of each core came to, for the book.
    Report {
        /// Where the counts are kept.
        #[arg(long, default_value = "target/soak.json")]
        state: PathBuf,
    },
}

/// What went wrong with a command.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A file can't be read or written.
    #[error("{}: {source}; nothing else was done", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What stands in a file is not what belongs there.
    #[error("{}: {why}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A seed can't be made short.
    #[error(transparent)]
    Shrink(#[from] stead_sim::shrink::ShrinkError),
    /// Nobody reads what is printed.
    #[error("can't print: {0}")]
    Print(#[from] std::io::Error),
}

/// Carries a command out. Says whether everything held.
///
/// # Errors
/// If it can't be carried out.
pub fn run(cli: &Cli) -> Result<bool, CliError> {
    match &cli.command {
        Command::Run { seeds, jobs, stop_at_first } => {
            run::run(seeds.clone(), *jobs, *stop_at_first)
        }
        Command::Replay { seed } => scenario::replay(*seed),
        Command::Shrink { seed } => scenario::shrink(*seed),
        Command::Play { files, update } => scenario::play(files, *update),
        Command::Soak { state, minutes, jobs, chunk } => {
            soak::soak(state, *minutes, *jobs, (*chunk).max(1))
        }
        Command::Report { state } => report::report(state),
    }
}

/// `A..B`, or one seed alone. The error names the column.
fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |part: &str, column: usize| {
        let wrong =
            || format!("line 1, column {column}: {part:?} is no seed (a number below 2^64)");
        part.parse::<u64>().map_err(|_| wrong())
    };
    let Some((from, to)) = text.split_once("..") else {
        let from = number(text, 1)?;
        let to = from.checked_add(1).ok_or("line 1, column 1: the last of all seeds is not run")?;
        return Ok(from..to);
    };
    let column = from.chars().count() + 3;
    let (from, to) = (number(from, 1)?, number(to, column)?);
    if from >= to {
        return Err(format!(
            "line 1, column {column}: {to} is not above {from}: no seed is in there"
        ));
    }
    Ok(from..to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_that_cannot_be_read_name_the_column() {
        assert_eq!(seeds("3..7"), Ok(3..7));
        assert_eq!(seeds("9"), Ok(9..10));
        for (text, column) in [("x", 1), ("1..y", 4), ("12..3", 5), ("-1..3", 1), ("5..5", 4)] {
            let error = seeds(text).unwrap_err();
            assert!(error.starts_with(&format!("line 1, column {column}:")), "{text}: {error}");
        }
    }
}
