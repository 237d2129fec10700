//! keepalived: two nodes, VRRP between them.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_lab::{Host, Mac};

use super::peer::{FRONT, PeerBed, RING};
use super::{Cluster, Failure, Running, Settled};
use crate::error::{BenchError, Step};
use crate::measure::Watch;
use crate::tools::{Tools, shared_address};

/// What it needs.
pub(super) const PROGRAMS: &[&str] = &["keepalived"];
/// What brings that on Debian.
pub(super) const PACKAGES: &[&str] = &["keepalived"];

/// The preferred node's priority; the other one has [`LOWER`].
const HIGHER: u32 = 150;
const LOWER: u32 = 100;

/// How often the holder says that it is there (`advert_int`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advert {
    /// 0.01 s: the shortest that VRRP version 3 can say.
    Hundredth,
    /// 0.1 s.
    Tenth,
    /// 1 s: the default, with VRRP version 2.
    Second,
}

impl Advert {
    fn seconds(self) -> &'static str {
        match self {
            Self::Hundredth => "0.01",
            Self::Tenth => "0.1",
            Self::Second => "1",
        }
    }

    fn version(self) -> u8 {
        match self {
            Self::Hundredth | Self::Tenth => 3,
            Self::Second => 2,
        }
    }

    /// Three intervals and the other node's skew: (256 - priority) / 256 of one (RFC 5798, 6.1).
    pub(super) fn tolerates(self) -> Duration {
        let interval_ms = match self {
            Self::Hundredth => 10,
            Self::Tenth => 100,
            Self::Second => 1_000,
        };
        Duration::from_millis(interval_ms * 3 + interval_ms * u64::from(256 - LOWER) / 256)
    }

    pub(super) fn start(self, tools: &Tools) -> Result<Keepalived, BenchError> {
        let bed = PeerBed::build(tools, "keepalived", 2)?;
        let mut cluster = Keepalived { bed, advert: self, starts: 0 };
        for name in ["node1", "node2"] {
            cluster.start_node(name)?;
        }
        Ok(cluster)
    }
}

impl fmt::Display for Advert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "advert {} s", self.seconds())?;
        if *self == Self::Second { f.write_str(" (default)") } else { Ok(()) }
    }
}

/// A running pair.
pub(super) struct Keepalived {
    bed: PeerBed,
    advert: Advert,
    starts: u32,
}

impl Keepalived {
    fn start_node(&mut self, name: &str) -> Result<(), BenchError> {
        self.starts += 1;
        let folder = &self.bed.folder;
        let file = folder.write(&format!("{name}.conf"), &configuration(name, self.advert))?;
        // a killed process leaves its file behind, so each start has files of its own
        let pid_file = |part: &str| folder.path().join(format!("{name}.{}.{part}", self.starts));
        let mut command = Command::new("keepalived");
        command.args(["--dont-fork", "--log-console", "--log-detail", "--use-file"]).arg(file);
        command.arg("--pid").arg(pid_file("pid")).arg("--vrrp_pid").arg(pid_file("vrrp"));
        command.arg("--checkers_pid").arg(pid_file("check"));
        let log = folder.path().join(format!("{name}.log"));
        self.bed.node(name)?.spawn(command, &log)?;
        Ok(())
    }
}

impl Cluster for Keepalived {
    fn client(&self) -> Host {
        self.bed.client.clone()
    }

    fn macs(&self) -> Vec<(String, Mac)> {
        self.bed.macs()
    }

    /// The preferred node takes the address back as soon as it can. There is no coordinator.
    fn settle(&mut self, watch: &Watch, _: bool) -> Result<Settled, BenchError> {
        watch.wait_held_by(&self.bed.tools, "node1")?;
        let holder = watch.wait_steady(&self.bed.tools)?;
        Ok(Settled { holder, coordinates: None })
    }

    fn inflict(&mut self, failure: Failure, node: &str) -> Result<(), BenchError> {
        self.bed.inflict(failure, node)
    }

    fn mend(&mut self, failure: Failure, node: &str) -> Result<(), BenchError> {
        self.bed.mend(failure, node)?;
        match failure {
            Failure::Dead => self.start_node(node),
            Failure::CutOff | Failure::Apart => Ok(()),
        }
    }

    fn facts(&self) -> Result<Map<String, Value>, BenchError> {
        let mut facts = Map::new();
        facts.insert("nodes".to_owned(), json!(self.bed.nodes.len()));
        facts.insert("vrrp_version".to_owned(), json!(self.advert.version()));
        Ok(facts)
    }

    fn changes(&self) -> Result<u64, BenchError> {
        let mut changes = 0;
        for node in &self.bed.nodes {
            let path = self.bed.folder.path().join(format!("{}.log", node.name()));
            let log = std::fs::read_to_string(&path);
            changes += entered(&log.step(|| format!("cannot read {}", path.display()))?);
        }
        Ok(changes)
    }

    fn processes(&self) -> Result<Vec<Running>, BenchError> {
        self.bed.running(PROGRAMS)
    }
}

/// How often a log says that a state was entered.
fn entered(log: &str) -> u64 {
    let says = |line: &&str| line.contains("Entering ") && line.contains(" STATE");
    log.lines().filter(says).count() as u64
}

fn configuration(name: &str, advert: Advert) -> String {
    let (state, priority) = if name == "node1" { ("MASTER", HIGHER) } else { ("BACKUP", LOWER) };
    let (version, seconds) = (advert.version(), advert.seconds());
    let service = shared_address();
    format!(
        "global_defs {{\n    router_id {name}\n    vrrp_version {version}\n}}\n\
         vrrp_instance shared {{\n    state {state}\n    interface {RING}\n    \
         virtual_router_id 51\n    priority {priority}\n    advert_int {seconds}\n    \
         virtual_ipaddress {{\n        {service}/24 dev {FRONT}\n    }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_nodes_differ_in_state_and_priority_only() {
        let (one, two) = ["node1", "node2"].map(|it| configuration(it, Advert::Hundredth)).into();
        let same = one
            .replace("node1", "node2")
            .replace("MASTER", "BACKUP")
            .replace("priority 150", "priority 100");
        assert_eq!(same, two);
        assert!(one.contains("vrrp_version 3") && one.contains("advert_int 0.01\n"));
        assert!(one.contains("10.77.0.200/24 dev front"), "{one}");
        assert!(configuration("node1", Advert::Second).contains("vrrp_version 2"));
    }

    #[test]
    fn states_that_were_entered_are_counted() {
        let log = "(shared) Entering BACKUP STATE (init)\nadvert\n(shared) Entering MASTER STATE\n";
        assert_eq!(entered(log), 2);
    }
}
