//! The command line: `bench/run NAME`, and what it does.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::bench::{
    agents, failover, fencing, idle, layers, operations, plans, quiet, quorum, server, stages,
    timelines,
};
use crate::error::{BenchError, Step};
use crate::report::{self, Results};
use crate::subject::{self, Choice, Failure, Spec};
use crate::tools::watch_signals;
use crate::{Tools, kept, part};

/// Measures stead, and with --peers also keepalived and Pacemaker, on this machine.
///
/// Every cluster is made of real processes in network namespaces of their own; nothing of the
/// machine's own network is touched. Rows are kept in bench/results/NAME.jsonl.
#[derive(Debug, Parser)]
#[command(name = "bench/run", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How long clients wait when the node that serves them dies, is cut off, or loses the others
    Failover {
        #[command(flatten)]
        common: Common,
        /// How often each subject has its turn
        #[arg(long, default_value_t = 10, value_name = "N")]
        runs: u32,
    },
    /// What two nodes and a quorum server do when a node, their link or the server fails
    Quorum {
        #[command(flatten)]
        common: Common,
        /// How often each subject has its turn
        #[arg(long, default_value_t = 20, value_name = "N")]
        runs: u32,
    },
    /// How long clients of both families wait, by the layer that leads them to another node
    Layers {
        #[command(flatten)]
        place: Place,
        /// Measure keepalived and ExaBGP as well; they must be installed
        #[arg(long)]
        peers: bool,
        /// Only by these layers; without it, by all of them
        #[arg(long, value_enum, value_delimiter = ',', value_name = "LAYER,...")]
        layers: Vec<layers::Way>,
        /// How often each subject has its turn
        #[arg(long, default_value_t = 20, value_name = "N")]
        runs: u32,
    },
    /// What two nodes and a power strip do, and nothing else, when their link or one of them fails
    Fencing {
        #[command(flatten)]
        place: Place,
        /// How often; in every fifth run a node dies
        #[arg(long, default_value_t = 125, value_name = "N")]
        runs: u32,
    },
    /// What moves on a busy machine though nothing fails
    False {
        #[command(flatten)]
        common: Common,
        /// How often each subject has its turn
        #[arg(long, default_value_t = 1, value_name = "N")]
        runs: u32,
        /// How long each is watched
        #[arg(long, default_value_t = 10.0, value_name = "MINUTES")]
        minutes: f64,
    },
    /// What a cluster at rest costs in processor time and memory
    Idle {
        #[command(flatten)]
        common: Common,
        /// How often each subject has its turn
        #[arg(long, default_value_t = 1, value_name = "N")]
        runs: u32,
        /// How long each is watched
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        seconds: u64,
    },
    /// Where the milliseconds of a takeover go; stead alone tells
    Stages {
        #[command(flatten)]
        common: Common,
        /// How many takeovers of each setting
        #[arg(long, default_value_t = 20, value_name = "N")]
        runs: u32,
    },
    /// What one quorum server bears: thousands of clusters that are there, and that ask at once
    Server {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        scale: Scale,
    },
    /// Two sites and a quorum server in five scenarios, as timelines
    Timelines {
        #[command(flatten)]
        place: Place,
        /// Draw a picture (SVG) of each into this folder
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// A hundred things done to a cluster by chance, with the outside watching
    Operations {
        #[command(flatten)]
        place: Place,
        /// What is drawn follows from it; without it, from the clock
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// How many operations
        #[arg(long, default_value_t = 100, value_name = "N")]
        count: u32,
    },
    /// Every resource agent: its meta-data, its validation, and a round of it where it can be had
    Agents {
        #[command(flatten)]
        place: Place,
        /// Only agents with one of these words in their names
        only: Vec<String>,
        /// What each of them needs
        #[arg(
            long,
            env = "STEAD_BENCH_AGENTS",
            default_value = "bench/agents.toml",
            value_name = "FILE"
        )]
        list: PathBuf,
        /// Write the page of the book into this file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// How long plans take, and how much memory, as clusters grow
    Plans {
        #[command(flatten)]
        place: Place,
        /// Pacemaker's scheduler on the same clusters; it must be installed
        #[arg(long)]
        peers: bool,
        /// Nodes and services of each cluster, the smallest first
        #[arg(long, value_delimiter = ',', value_parser = size, value_name = "NxR,...")]
        #[arg(default_value = "10x400,25x1000,50x2000,100x4000,200x8000,256x10000")]
        sizes: Vec<(usize, usize)>,
        /// How often
        #[arg(long, default_value_t = 3, value_name = "N")]
        runs: u32,
        /// How long one plan may take
        #[arg(long, default_value_t = 120, value_name = "SECONDS")]
        limit: u64,
    },
    /// Print tables in Markdown out of the rows that are kept
    Table {
        /// Of one bench only
        bench: Option<String>,
        /// Of all sessions together; without it, of each bench's newest
        #[arg(long)]
        all: bool,
        /// Where the rows are
        #[arg(
            long,
            env = "STEAD_BENCH_RESULTS",
            default_value = "bench/results",
            value_name = "DIR"
        )]
        results: PathBuf,
    },
    /// Draw outages, plans or timelines as pictures (SVG) out of the rows kept
    Plot {
        /// The bench
        #[arg(default_value = failover::NAME)]
        #[arg(value_parser = [failover::NAME, layers::NAME, timelines::NAME, plans::NAME])]
        bench: String,
        /// Of all sessions together; without it, of the newest
        #[arg(long)]
        all: bool,
        /// Where the picture goes, of timelines a folder; without it, to the standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Where the rows are
        #[arg(
            long,
            env = "STEAD_BENCH_RESULTS",
            default_value = "bench/results",
            value_name = "DIR"
        )]
        results: PathBuf,
    },
    /// A part that this program plays on a bed
    #[command(hide = true)]
    Part {
        #[command(subcommand)]
        part: Part,
    },
}

#[derive(Debug, Subcommand)]
enum Part {
    Respond { port: u16, node: String },
    Spin,
    Write { file: PathBuf },
    Live { name: String, root: PathBuf },
    Clients { orders: PathBuf },
    Plan { nodes: usize, services: usize, variant: String },
    Agent { list: PathBuf, name: String, stead: PathBuf, folder: PathBuf },
}

#[derive(Debug, Args)]
struct Scale {
    /// Clusters of two nodes that are enrolled
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    clusters: usize,
    /// Clusters that ask at once
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    storm: usize,
    /// Processes that play the nodes, each on a host of its own
    #[arg(long, default_value_t = 20, value_name = "N")]
    processes: usize,
    /// At most so many connections; without it, as many as the limit of open files holds
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// How often each storm comes
    #[arg(long, default_value_t = 3, value_name = "N")]
    runs: u32,
    /// How long the server is watched while nobody asks
    #[arg(long, default_value_t = 20, value_name = "SECONDS")]
    seconds: u64,
}

#[derive(Debug, Args)]
struct Common {
    /// Measure keepalived and Pacemaker as well; they must be installed
    #[arg(long)]
    peers: bool,
    /// Only subjects with this text in name and settings, such as "stead ride-out 50"
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// stead with this form of the lease gate only
    #[arg(long, env = "STEAD_BENCH_GATE", value_name = "NAME")]
    gate: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// Print one JSON object a line and nothing else
    #[arg(long)]
    json: bool,
    /// The program stead; without it, the one beside this program
    #[arg(long, value_name = "FILE")]
    stead: Option<PathBuf>,
    /// Where rows are kept
    #[arg(long, env = "STEAD_BENCH_RESULTS", default_value = "bench/results", value_name = "DIR")]
    results: PathBuf,
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// See [`BenchError`].
    pub fn run(self) -> Result<(), BenchError> {
        match self.command {
            Command::Failover { common, runs } => {
                let specs = subject::failover(&common.choice());
                common.run(failover::NAME, &specs, |tools, results| {
                    failover::run(tools, &specs, &Failure::ALL, runs, results)
                })
            }
            Command::Quorum { common, runs } => {
                let specs = subject::quorum(&common.choice());
                common.run(quorum::NAME, &specs, |tools, results| {
                    quorum::run(tools, &specs, runs, results)
                })
            }
            Command::Fencing { place, runs } => {
                place.run(fencing::NAME, |tools, results| fencing::run(tools, runs, results))
            }
            Command::Layers { place, peers, layers: ways, runs } => {
                let ways = if ways.is_empty() { &layers::Way::ALL[..] } else { &ways };
                let subjects = layers::subjects(ways, peers);
                place.run(layers::NAME, |tools, results| {
                    layers::run(tools, &subjects, runs, results)
                })
            }
            Command::Plans { place, peers, sizes, runs, limit } => {
                let limit = Duration::from_secs(limit.max(1));
                let scale = plans::Scale { sizes, runs, limit, peers };
                place.run(plans::NAME, |tools, results| plans::run(tools, &scale, results))
            }
            Command::False { common, runs, minutes } => {
                let specs = subject::quiet(&common.choice());
                let minutes = minutes.clamp(0.0, 1e6);
                common.run(quiet::NAME, &specs, |tools, results| {
                    quiet::run(tools, &specs, minutes, runs, results)
                })
            }
            Command::Idle { common, runs, seconds } => {
                let specs = subject::idle(&common.choice());
                let time = Duration::from_secs(seconds);
                common.run(idle::NAME, &specs, |tools, results| {
                    idle::run(tools, &specs, time, runs, results)
                })
            }
            Command::Stages { common, runs } => common.stages(runs),
            Command::Server { place, scale } => {
                let scale = scale.read();
                place.run(server::NAME, |tools, results| server::run(tools, scale, results))
            }
            Command::Timelines { place, out } => {
                place.run(timelines::NAME, timelines::run)?;
                out.map_or(Ok(()), |out| kept::pictures(false, &out, &place.results))
            }
            Command::Operations { place, seed, count } => {
                let seed = seed.unwrap_or_else(|| stead_lab::prober::now() % 1_000_000);
                place.run(operations::NAME, |tools, results| {
                    operations::run(tools, seed, count, results)
                })
            }
            Command::Agents { place, only, list, out } => {
                place.run(agents::NAME, |tools, results| {
                    agents::run(tools, &list, &only, results)
                })?;
                out.map_or(Ok(()), |out| kept::page(&out, &place.results))
            }
            Command::Table { bench, all, results } => kept::table(bench.as_deref(), all, &results),
            Command::Plot { bench, all, out, results } => {
                kept::plot(&bench, all, out.as_deref(), &results)
            }
            Command::Part { part } => part.play(),
        }
    }
}

impl Part {
    fn play(self) -> Result<(), BenchError> {
        match self {
            Self::Respond { port, node } => part::respond(port, &node),
            Self::Spin => part::spin(),
            Self::Write { file } => part::write(&file),
            Self::Live { name, root } => match subject::live(&name, &root)? {},
            Self::Clients { orders } => server::attend(&orders),
            Self::Plan { nodes, services, variant } => plans::play(nodes, services, &variant),
            Self::Agent { list, name, stead, folder } => {
                agents::play(&list, &name, &stead, &folder)
            }
        }
    }
}

/// `256x10000`: nodes and services.
fn size(text: &str) -> Result<(usize, usize), String> {
    let wrong = || format!("{text} is not of the form NODESxSERVICES, as in 10x400");
    let (nodes, services) = text.split_once('x').ok_or_else(wrong)?;
    let nodes = nodes.parse().ok().filter(|nodes| (2..=4_096).contains(nodes));
    let services = services.parse().ok().filter(|services| (1..=1_000_000).contains(services));
    nodes.zip(services).ok_or_else(wrong)
}

impl Common {
    fn choice(&self) -> Choice {
        let Self { peers, only, gate, .. } = self;
        Choice { peers: *peers, only: only.clone(), gate: gate.clone() }
    }

    /// Asks stead where the milliseconds of takeovers went.
    fn stages(&self, runs: u32) -> Result<(), BenchError> {
        let settings = subject::stages(&self.choice());
        let specs: Vec<Spec> = settings.iter().cloned().map(Spec::Stead).collect();
        self.run(stages::NAME, &specs, |tools, results| {
            stages::run(tools, &settings, runs, results)
        })
    }

    /// Looks whether all is there, lets the bench run, and prints its table.
    fn run(
        &self,
        name: &str,
        specs: &[Spec],
        bench: impl FnOnce(&Tools, &mut Results) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        if specs.is_empty() {
            let text = "no subject is left by --only and --gate; nothing was measured";
            return Err(BenchError::Nothing(text.to_owned()));
        }
        subject::missing(specs)?;
        self.place.run(name, bench)
    }
}

impl Scale {
    /// Nothing of nothing is measured.
    fn read(&self) -> server::Scale {
        let Self { clusters, storm, processes, connections, runs, seconds } = *self;
        let [clusters, processes] = [clusters, processes].map(|it| it.max(1));
        let storm = storm.clamp(1, clusters);
        server::Scale { clusters, storm, processes, connections, runs, seconds: seconds.max(1) }
    }
}

impl Place {
    /// Lets the bench run, and prints its table.
    fn run(
        &self,
        name: &str,
        bench: impl FnOnce(&Tools, &mut Results) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let own = std::env::current_exe().step(|| "cannot find this program".to_owned())?;
        let stead = self.stead.clone().unwrap_or_else(|| own.with_file_name("stead"));
        if !stead.is_file() {
            let text = format!("there is no program {}; build it, or name it", stead.display());
            return Err(BenchError::Nothing(text));
        }
        let tools = Tools { stead, own, stop: watch_signals()? };
        let mut results = Results::open(&self.results, name, self.json)?;
        let outcome = bench(&tools, &mut results);
        if !results.json() {
            kept::say(&format!("{}\n", report::tables(name, results.rows())))?;
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_bench_takes_the_common_words() {
        let alone = [
            fencing::NAME,
            layers::NAME,
            server::NAME,
            timelines::NAME,
            agents::NAME,
            operations::NAME,
            plans::NAME,
        ];
        for name in kept::BENCHES.into_iter().filter(|name| !alone.contains(name)) {
            let words = ["bench/run", name, "--runs", "3", "--peers", "--json", "--only", "x"];
            Cli::try_parse_from(words).expect(name);
        }
        let words = ["bench/run", "fencing", "--runs", "3", "--json"];
        Cli::try_parse_from(words).expect("nothing is compared");
        let words = ["bench/run", "layers", "--runs", "3", "--peers", "--layers", "route,name"];
        Cli::try_parse_from(words).expect("each layer has peers of its own");
        let words = ["bench/run", "layers", "--layers", "bus"];
        assert!(Cli::try_parse_from(words).is_err(), "there is no such layer");
        let words = ["bench/run", "server", "--clusters", "9", "--storm", "3", "--json"];
        Cli::try_parse_from(words).expect("no peer has such a server");
        let words = ["bench/run", "timelines", "--json", "--out", "img"];
        Cli::try_parse_from(words).expect("nothing is compared");
        let words = ["bench/run", "agents", "nginx", "--json", "--out", "page.md"];
        Cli::try_parse_from(words).expect("no peer runs them differently");
        let words = ["bench/run", "operations", "--seed", "7", "--count", "12", "--json"];
        Cli::try_parse_from(words).expect("it is no comparison");
        assert!(Cli::try_parse_from(["bench/run", "other"]).is_err());
        assert!(Cli::try_parse_from(["bench/run", "plot", "failover", "--out", "x.svg"]).is_ok());
        assert!(Cli::try_parse_from(["bench/run", "plot", "layers"]).is_ok());
        assert!(Cli::try_parse_from(["bench/run", "plot", "idle"]).is_err(), "it has no outages");
    }
}
