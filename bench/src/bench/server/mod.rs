//! `server`: what one quorum server bears, with thousands of clusters of two nodes.
//!
//! [`registers`] asks the server's own table and ledger, without a socket: what the rules cost,
//! what a durable write costs, and what a storm costs that has only the disk in its way. [`fleet`]
//! then runs the real server on a bed, and processes full of the product's own clients
//! ([`clients`]) on hosts around it, each node with a key and a connection of its own; [`load`]
//! enrols them, lets them rest, has them ask at once, connect anew, and lose their server.
//!
//! ```text
//!  registers ──▶ ledger ──▶ disk            no socket, no TLS
//!  clients ══ TLS ══▶ stead quorum-server ──▶ the same disk
//!     ▲ orders, one line each, over a Unix socket; the answer: how long each took
//!  load
//! ```
//!
//! Happy path: a row for each part of each run. Failures: a part that can't be brought to its end
//! is a row with its reason. A storm in which a cluster is not granted exactly one half is one too.
//!
//! Deliberately absent: a second implementation of the protocol, and limits of the server that
//! stand in the way of a few hosts that play thousands (`--connections-per-address`).

mod clients;
mod fleet;
mod load;
mod orders;
mod registers;

use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::told;
use crate::error::{BenchError, Step};
use crate::measure::rounded;
use crate::report::{Results, Row, quantile};
use crate::tools::Tools;

pub use clients::attend;

/// The bench's name.
pub const NAME: &str = "server";
/// Nodes of each cluster.
const NODES: usize = 2;
/// Descriptors of the server that are not for connections, and some room for those that come while
/// others are not quite gone.
const SPARE: u64 = 160;

/// How much of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Clusters that are enrolled.
    pub clusters: usize,
    /// Clusters that ask at once.
    pub storm: usize,
    /// Processes that the connected nodes are divided among.
    pub processes: usize,
    /// At most so many connections; nothing for as many as the limits of this machine hold.
    pub connections: Option<usize>,
    /// How often each storm comes.
    pub runs: u32,
    /// How long the rest is watched.
    pub seconds: u64,
}

impl Scale {
    /// How many clusters have both of their nodes connected, and what bounds that if not all have.
    fn connected(&self) -> Result<(usize, &'static str), BenchError> {
        let what = || "cannot look at the limit of open files".to_owned();
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).step(what)?;
        let wanted = self.connections.unwrap_or(usize::MAX).min(self.clusters * NODES);
        let needed = wanted as u64 + SPARE;
        // as root of the machine it can be raised; elsewhere what is there has to do
        let hard = match setrlimit(Resource::RLIMIT_NOFILE, needed, needed) {
            Ok(()) if needed > hard => needed,
            Ok(()) | Err(_) => hard,
        };
        let room = usize::try_from(hard.saturating_sub(SPARE)).unwrap_or(usize::MAX);
        if room < wanted {
            return Ok((room / NODES, "limit of open files"));
        }
        let why = if wanted < self.clusters * NODES { "--connections" } else { "none" };
        Ok((wanted / NODES, why))
    }

    fn told(&self, connected: usize) -> String {
        format!("{} clusters, {} connections", self.clusters, connected * NODES)
    }
}

/// Measures the server alone and with its clients.
///
/// # Errors
/// The end was asked for, results can't be written, or the limits can't be read.
pub fn run(tools: &Tools, scale: Scale, results: &mut Results) -> Result<(), BenchError> {
    let (connected, bound) = scale.connected()?;
    let config = scale.told(connected);
    let row = |run: u32| {
        let (bench, subject) = (NAME.to_owned(), "stead".to_owned());
        let row = Row { bench, subject, config: config.clone(), run, ..Row::default() };
        row.with("bound", bound)
    };
    let alone = registers::run(scale, row, results);
    told(results, row(1).with("part", "registers"), alone)?;
    let loaded = load::run(tools, scale, connected, row, results);
    told(results, row(1).with("part", "load"), loaded)
}

/// The row with how long each took, in microseconds.
fn timed(row: Row, mut micros: Vec<u64>) -> Row {
    micros.sort_unstable();
    let at = |part: f64| quantile(&micros, part).map(|it| rounded(it as f64 / 1e3));
    row.with("p50_ms", at(0.5)).with("p99_ms", at(0.99)).with("max_ms", at(1.0))
}

/// Octets of the files in a folder.
fn octets(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|it| it.metadata().ok()).filter(|it| it.is_file()).map(|it| it.len()).sum()
}

fn mib(octets: u64) -> f64 {
    rounded(octets as f64 / f64::from(1 << 20))
}
