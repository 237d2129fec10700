//! stead: three nodes, or two and a quorum server, an address without a program, two links for
//! heartbeats.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use stead::demo::fleet::{Fleet, Plan, QuorumServer, ServicePlan, Third};
use stead_lab::{Host, Mac};
use tempfile::TempDir;

use super::{Cluster, Failure, Running, Settled, Tied, server_told};
use crate::error::{BenchError, Step};
use crate::measure::Watch;
use crate::tools::{PATIENCE, Tools, shared_address};

/// The service that is watched.
pub(crate) const SERVICE: &str = "web";
/// From the default ride-out on, in milliseconds, the cluster is told the default round trip; below
/// it, that of a bed without delay.
const DEFAULT_RIDE_OUT: u64 = 300;
const SHORT_ROUND_TRIP: &str = "0.5ms";
const DEFAULT_ROUND_TRIP: &str = "2ms";

/// A form of the lease gate, and how a guard is told to use it.
#[derive(Debug, PartialEq, Eq)]
pub struct Gate {
    /// Its name, as `stead status` says it.
    pub name: &'static str,
    /// The guard's variables that choose it.
    pub variables: &'static [(&'static str, &'static str)],
}

/// Every form that the program has. Each is measured.
pub const GATES: &[Gate] = &[
    Gate { name: "ebpf", variables: &[("STEAD_GATE", "ebpf")] },
    Gate { name: "nftables", variables: &[("STEAD_GATE", "nftables")] },
];

/// The network on which the quorum server is, by the fleet's name for it.
const THIRD: &str = "third";

/// stead with three nodes, or with two and a quorum server.
#[derive(Clone, Debug, PartialEq)]
pub struct Stead {
    /// How long a stall costs nothing.
    pub ride_out: Duration,
    /// The longest round trip that the cluster is told of.
    pub round_trip: &'static str,
    /// The form of the gate.
    pub gate: &'static Gate,
    /// A quorum server breaks the ties of two nodes, so far away; without it there are three nodes.
    pub server: Option<Duration>,
}

impl Stead {
    /// With that ride-out in milliseconds.
    #[must_use]
    pub fn with(ride_out: u64, gate: &'static Gate) -> Self {
        let short = ride_out < DEFAULT_RIDE_OUT;
        let round_trip = if short { SHORT_ROUND_TRIP } else { DEFAULT_ROUND_TRIP };
        Self { ride_out: Duration::from_millis(ride_out), round_trip, gate, server: None }
    }

    /// Every node has its own copy of the program, as machines have: pages of it that its processes
    /// share are shared with nobody else's.
    fn plan(
        &self,
        tools: &Tools,
        service: ServicePlan,
        programs: &Path,
    ) -> Result<Plan, BenchError> {
        let nodes = if self.server.is_some() { 2 } else { 3 };
        let mut plan = Plan::of("bench", &tools.stead, nodes).service(service);
        plan.third = self.server.map_or(Third::Client, |round_trip| Third::Network { round_trip });
        plan.ride_out = Some(format!("{}us", self.ride_out.as_micros()));
        plan.cluster = format!("round-trip = {:?}\n", self.round_trip);
        let variable = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        for node in &mut plan.nodes {
            node.variables = self.gate.variables.iter().map(variable).collect();
            node.program = Some(own_copy(&tools.stead, &programs.join(&node.name))?);
        }
        Ok(plan)
    }

    /// Lets a cluster come up whose service is the shared address alone.
    ///
    /// # Errors
    /// See [`BenchError`].
    pub fn start(&self, tools: &Tools) -> Result<SteadCluster, BenchError> {
        let addresses = vec![format!("{}/24", shared_address())];
        let service = ServicePlan { name: SERVICE.to_owned(), addresses, ..ServicePlan::default() };
        self.start_with(tools, service)
    }

    /// Lets a cluster come up with a service named [`SERVICE`].
    ///
    /// # Errors
    /// See [`BenchError`].
    pub(crate) fn start_with(
        &self,
        tools: &Tools,
        service: ServicePlan,
    ) -> Result<SteadCluster, BenchError> {
        let programs = TempDir::new().step(|| "cannot make a folder for programs".to_owned())?;
        let plan = self.plan(tools, service, programs.path())?;
        let fleet = Fleet::build(plan, tools.stop.clone())?;
        for node in fleet.nodes() {
            tools.respond(node.host())?;
        }
        fleet.found()?;
        fleet.join_all()?;
        let server = if self.server.is_some() {
            // an even number is not whole before something breaks its ties
            fleet.wait_votes()?;
            fleet.serve()?;
            let server = QuorumServer::start(&fleet)?;
            let all: Vec<&str> = fleet.nodes().iter().map(|node| node.name()).collect();
            server.enrol(&fleet, "node1", &all)?;
            Some(server)
        } else {
            fleet.wait_whole(PATIENCE)?;
            fleet.serve()?;
            None
        };
        fleet.wait_whole(PATIENCE)?;
        Ok(SteadCluster { server, fleet, tools: tools.clone(), _programs: programs })
    }
}

/// A copy of `stead`, under the same name in a new `folder`.
fn own_copy(stead: &Path, folder: &Path) -> Result<PathBuf, BenchError> {
    let copy = folder.join(stead.file_name().unwrap_or_else(|| OsStr::new("stead")));
    std::fs::create_dir(folder)
        .and_then(|()| std::fs::copy(stead, &copy))
        .step(|| format!("cannot copy {stead:?} to {copy:?}"))?;
    Ok(copy)
}

impl fmt::Display for Stead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ride_out, round_trip, gate, server } = self;
        write!(f, "ride-out {} ms, rtt {round_trip}, {}", ride_out.as_millis(), gate.name)?;
        server.map_or(Ok(()), |round_trip| write!(f, ", {}", server_told(round_trip)))
    }
}

/// A running cluster of stead.
pub struct SteadCluster {
    server: Option<QuorumServer>,
    fleet: Fleet,
    tools: Tools,
    /// Dropped last.
    _programs: TempDir,
}

impl SteadCluster {
    /// The fleet.
    pub(crate) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    fn status(&self) -> Result<Value, BenchError> {
        let first = self.fleet.nodes().first().map(|node| node.status()).transpose()?;
        Ok(first.unwrap_or_default())
    }

    fn coordinator(&self) -> Result<String, BenchError> {
        let status = self.status()?;
        Ok(status["cluster"]["coordinator"].as_str().unwrap_or_default().to_owned())
    }

    fn move_to(&self, watch: &Watch, to: &str) -> Result<Settled, BenchError> {
        self.fleet.node(to)?.stead(&["move", SERVICE, to])?.expect_success()?;
        watch.wait_held_by(&self.tools, to)?;
        self.fleet.wait_whole(PATIENCE)?;
        let holder = watch.wait_steady(&self.tools)?;
        let coordinates = Some(self.coordinator()? == holder);
        Ok(Settled { holder, coordinates })
    }

    fn server(&self) -> Result<&QuorumServer, BenchError> {
        let server = self.server.as_ref();
        server.ok_or_else(|| BenchError::Nothing("there is no quorum server".to_owned()))
    }

    /// The newest incident's number; zero if there was none.
    pub(crate) fn incident_number(&self) -> Result<u64, BenchError> {
        let Some(first) = self.fleet.nodes().first() else { return Ok(0) };
        let output = first.stead(&["incident", "--json"])?;
        // it ends badly where no incident is known
        let report: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        Ok(report["number"].as_u64().unwrap_or_default())
    }
}

impl Cluster for SteadCluster {
    fn client(&self) -> Host {
        self.fleet.client().clone()
    }

    fn macs(&self) -> Vec<(String, Mac)> {
        self.fleet.macs()
    }

    fn settle(&mut self, watch: &Watch, coordinator: bool) -> Result<Settled, BenchError> {
        self.fleet.wait_whole(PATIENCE)?;
        let holder = watch.wait_steady(&self.tools)?;
        let by = self.coordinator()?;
        if coordinator == (holder == by) {
            return Ok(Settled { holder, coordinates: Some(coordinator) });
        }
        let names = self.fleet.nodes().iter().map(|node| node.name());
        let suits = |name: &&str| coordinator == (*name == by);
        let Some(to) = names.filter(|name| *name != holder).find(suits) else {
            return Ok(Settled { holder, coordinates: Some(!coordinator) });
        };
        self.move_to(watch, to)
    }

    fn inflict(&mut self, failure: Failure, node: &str) -> Result<(), BenchError> {
        match failure {
            Failure::Dead => self.fleet.silence_then_kill(node)?,
            Failure::CutOff => self.fleet.cut(node)?,
            Failure::Apart => self.fleet.cut_from_nodes(node)?,
        }
        Ok(())
    }

    fn mend(&mut self, failure: Failure, node: &str) -> Result<(), BenchError> {
        match failure {
            Failure::Dead => {
                self.fleet.power_on(node)?;
                self.tools.respond(self.fleet.node(node)?.host())?;
            }
            Failure::CutOff | Failure::Apart => self.fleet.heal(node)?,
        }
        Ok(())
    }

    fn facts(&self) -> Result<Map<String, Value>, BenchError> {
        let status = self.status()?;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let own = nodes.iter().find(|node| node["gate"].is_string()).cloned().unwrap_or_default();
        let mut facts = Map::new();
        facts.insert("gate".to_owned(), own["gate"].clone());
        facts.insert("slack_ms".to_owned(), own["slack_ms"].clone());
        facts.insert("realtime".to_owned(), own["realtime"].clone());
        facts.insert("nodes".to_owned(), json!(self.fleet.nodes().len()));
        Ok(facts)
    }

    fn changes(&self) -> Result<u64, BenchError> {
        self.incident_number()
    }

    fn processes(&self) -> Result<Vec<Running>, BenchError> {
        let mut all = Vec::new();
        for node in self.fleet.nodes() {
            let mut named = Vec::new();
            for pid in node.host().processes()? {
                let path = format!("/proc/{pid}/cmdline");
                let words = std::fs::read(&path).step(|| format!("cannot read {path}"))?;
                let mut words = words.split(|&octet| octet == 0);
                let part = words.find(|word| [&b"guard"[..], b"daemon"].contains(word));
                if let Some(part) = part {
                    named.push((String::from_utf8_lossy(part).into_owned(), pid));
                }
            }
            all.push(Running { node: node.name().to_owned(), processes: named });
        }
        Ok(all)
    }
}

impl Tied for SteadCluster {
    fn hand(&mut self, watch: &Watch, node: &str) -> Result<Settled, BenchError> {
        let all: Vec<&str> = self.fleet.nodes().iter().map(|node| node.name()).collect();
        self.fleet.wait_whole(PATIENCE)?;
        self.tools.wait_until("all vote again", PATIENCE, || {
            let quorum = self.fleet.quorum(node)?;
            Ok(quorum["voters"] == all.len() && quorum["out"].as_array().is_some_and(Vec::is_empty))
        })?;
        self.server()?.wait_ready(&self.fleet, &all)?;
        let holder = watch.wait_steady(&self.tools)?;
        if holder == node {
            let coordinates = Some(self.coordinator()? == holder);
            return Ok(Settled { holder, coordinates });
        }
        self.move_to(watch, node)
    }

    fn lose_server(&mut self, node: &str) -> Result<(), BenchError> {
        Ok(self.fleet.cut_link(node, THIRD)?)
    }

    fn kill_server(&mut self) -> Result<(), BenchError> {
        Ok(self.server()?.kill()?)
    }

    fn start_server(&mut self) -> Result<(), BenchError> {
        Ok(self.server()?.run(&self.fleet)?)
    }
}
