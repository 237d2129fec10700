//! `stead simulate`: what would become of everything after one failure, asked of the cluster that
//! runs; or the cluster of a file under many faults in virtual time, on this machine alone.
//!
//! Happy path: `failure` asks the daemon and shows its answer; `seeds` reads a file, runs the
//! library `stead-sim` on all processors, and `verdict` says in words what came of it, with what
//! one could do (`advice`).
//!
//! Failures: a file that can't be used is shown in its lines; one that is too large is refused,
//! and nothing else is simulated in its place. What a judge saw ends in status 1, with the seed.
//!
//! Absent on purpose: anything that touches the machine. What is simulated has no clock, no file
//! and no socket.

mod advice;
mod failure;
mod seeds;
#[cfg(test)]
mod tests;
mod verdict;

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::context::Context;
use super::exit::Exit;

const USAGE: &str = "stead simulate --fail <WHAT>... [--with <FILE>] [--json]\n       \
                     stead simulate [FILE] --seeds <N> [--from <SEED>] [--json]\n       \
                     stead simulate [FILE] --replay <SEED> [--json]";

const AFTER: &str = "\
Exit status 1: a judge of the simulator saw what must never be, or what was not healed.

Examples:
  stead simulate --fail node1
  stead simulate --fail site=east --with new.toml
  stead simulate --fail lan
  stead simulate new.toml --seeds 200
  stead simulate new.toml --replay 17";

/// Say what would become of everything if nodes, a site or a link failed, or try a file's cluster
/// under many faults. Changes nothing.
///
/// --fail asks the cluster that runs: its planner, on its present state. What takes how long is not
/// said.
///
/// FILE --seeds N needs no cluster and no daemon. The cluster of the file is run N times in virtual
/// time by the simulator that stead itself is tested with: links, power, processes, clocks and
/// disks fail, first one at a time, then several at once, and judges watch that nothing is ever in
/// two places. The answer says what each service went through, what cost the most, what could be
/// done about it, and what is not simulated. The same seed is the same history on every machine.
#[derive(Debug, Args)]
#[command(
    after_help = AFTER,
    override_usage = USAGE,
    group(ArgGroup::new("form").required(true).args(["fail", "seeds", "replay"]))
)]
pub(super) struct Simulate {
    /// The file whose cluster is tried; if not given, cluster.toml of the folder --etc
    #[arg(conflicts_with = "fail")]
    file: Option<PathBuf>,
    /// What fails: a node, all with a label (site=east, rack=r1), or a link (lan, or link=lan where
    /// a node has that name). May be given again
    #[arg(long, value_name = "WHAT")]
    fail: Vec<String>,
    /// By that file instead of the configuration in force
    #[arg(long, value_name = "FILE", requires = "fail")]
    #[arg(conflicts_with_all = ["file", "seeds", "replay"])]
    with: Option<PathBuf>,
    /// Run so many seeds, on all processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: Option<u64>,
    /// The first of them
    #[arg(long, value_name = "SEED", requires = "seeds", conflicts_with = "replay")]
    from: Option<u64>,
    /// Tell one seed, line by line
    #[arg(long, value_name = "SEED")]
    replay: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Simulate {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if !self.fail.is_empty() {
            return failure::run(context, self.fail, self.with.as_deref(), self.json);
        }
        let file = self.file.unwrap_or_else(|| context.paths.configuration());
        match (self.seeds, self.replay) {
            (_, Some(seed)) => seeds::replay(context, &file, seed, self.json),
            (seeds, None) => {
                let range = (self.from.unwrap_or(0), seeds.unwrap_or(1));
                seeds::run(context, &file, range, self.json)
            }
        }
    }
}
