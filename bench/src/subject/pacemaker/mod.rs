//! Corosync and Pacemaker: three nodes, or two and a server that breaks their ties (`qdevice`), one
//! address by the agent IPaddr2, no fencing.
//!
//! Each node is a [`Room`]: the programs write to fixed paths, use shared memory under fixed names
//! and find each other by process number, so every node has namespaces of its own for mounts,
//! process numbers, its name and its shared memory, beside that for the network.
//!
//! Happy path: [`Tuning::start`] opens the rooms, starts corosync and then pacemakerd in each, sets
//! three properties and makes the resource; the cluster is whole when the designated coordinator is
//! at rest and the address answers.
//!
//! Failures: a command that refuses is an error with what it said. Deliberately absent: fencing
//! (there is no device on a bed of namespaces), so a node that is cut off is not made sure of.

mod config;
mod qdevice;
mod room;
mod state;

use std::fs;
use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_lab::{Host, Mac};

use super::peer::{FRONT, PeerBed, server_address};
use super::{Cluster, Failure, Running, Settled};
use crate::error::{BenchError, Step};
use crate::measure::Watch;
use crate::tools::{PATIENCE, Tools, shared_address};

pub use config::Tuning;
pub(super) use qdevice::{PACKAGES as TIED_PACKAGES, PROGRAMS as TIED_PROGRAMS};
pub use room::live;

use qdevice::TieBreaker;
use room::Room;
use state::State;

/// What it needs.
pub(super) const PROGRAMS: &[&str] = &[
    "corosync",
    "corosync-cfgtool",
    "pacemakerd",
    "crm_mon",
    "crm_resource",
    "crmadmin",
    "cibadmin",
    "crm_attribute",
    "nsenter",
    "unshare",
    "/usr/lib/ocf/resource.d/heartbeat/IPaddr2",
];
/// What brings that on Debian.
pub(super) const PACKAGES: &[&str] =
    &["corosync", "pacemaker", "pacemaker-cli-utils", "resource-agents", "iproute2", "util-linux"];

/// The programs of a node, for what they cost.
const DAEMONS: [&str; 8] = [
    "corosync",
    "pacemakerd",
    "pacemaker-based",
    "pacemaker-fenced",
    "pacemaker-execd",
    "pacemaker-attrd",
    "pacemaker-schedulerd",
    "pacemaker-controld",
];
/// How many nodes there are.
const NODES: u8 = 3;
/// So often in succession the cluster has to look whole.
const LOOKS: u32 = 2;
/// Time between two looks; each starts some processes.
const LOOK: Duration = Duration::from_millis(400);
const RESOURCE: &str = "shared";

impl Tuning {
    pub(super) fn start(self, tools: &Tools) -> Result<Pacemaker, BenchError> {
        let bed = PeerBed::build(tools, "pacemaker", NODES)?;
        let mut cluster = Pacemaker { bed, tuning: self, rooms: Vec::new(), tie_breaker: None };
        cluster.begin()?;
        Ok(cluster)
    }
}

/// A running cluster.
pub(super) struct Pacemaker {
    bed: PeerBed,
    tuning: Tuning,
    rooms: Vec<Room>,
    /// Where a server breaks ties.
    tie_breaker: Option<TieBreaker>,
}

impl Pacemaker {
    fn begin(&mut self) -> Result<(), BenchError> {
        let names: Vec<String> = self.bed.nodes.iter().map(|node| node.name().to_owned()).collect();
        for name in &names {
            self.open_room(name)?;
        }
        for name in &names {
            self.start_corosync(name)?;
        }
        for name in &names {
            self.start_pacemaker(name)?;
        }
        let all = |state: &State| state.online.len() == names.len() && state.coordinator.is_some();
        self.wait(None, "all nodes are online", |_, state| Ok(all(state)))?;
        self.configure()
    }

    fn open_room(&mut self, name: &str) -> Result<(), BenchError> {
        let folder = &self.bed.folder;
        let root = folder.path().join(name);
        let server = self.tie_breaker.is_some().then(server_address);
        let count = u8::try_from(self.bed.nodes.len()).unwrap_or(NODES);
        let text = self.tuning.corosync(count, server);
        folder.write(&format!("{name}/etc/corosync/corosync.conf"), &text)?;
        let room = Room::open(&self.bed.tools, self.bed.node(name)?, &root)?;
        self.rooms.retain(|room| room.name() != name);
        self.rooms.push(room);
        Ok(())
    }

    fn room(&self, name: &str) -> Result<&Room, BenchError> {
        let found = self.rooms.iter().find(|room| room.name() == name);
        let found = found.ok_or_else(|| std::io::Error::other("there is none"));
        found.step(|| format!("cannot find the room of {name}"))
    }

    fn start_corosync(&self, name: &str) -> Result<(), BenchError> {
        let room = self.room(name)?;
        room.start(&["corosync", "-f"])?;
        self.bed.tools.wait_until(&format!("corosync of {name} answers"), PATIENCE, || {
            Ok(room.run(&["corosync-cfgtool", "-s"])?.contains("LINK ID"))
        })?;
        if self.tie_breaker.is_some() { qdevice::start(room) } else { Ok(()) }
    }

    fn start_pacemaker(&self, name: &str) -> Result<(), BenchError> {
        self.room(name)?.start(&["pacemakerd", "-f"])
    }

    fn configure(&self) -> Result<(), BenchError> {
        let Some(room) = self.rooms.first() else { return Ok(()) };
        room.run(&["crm_attribute", "--name", "stonith-enabled", "--update", "false"])?;
        let stickiness = ["--name", "resource-stickiness", "--update", "100"];
        room.run(&[&["crm_attribute", "--type", "rsc_defaults"][..], &stickiness].concat())?;
        let xml = config::resource(RESOURCE, shared_address(), FRONT);
        room.run(&["cibadmin", "--create", "--scope", "resources", "--xml-text", &xml])?;
        Ok(())
    }

    fn state(&self, by: &Room) -> Result<State, BenchError> {
        Ok(State::read(&by.run(&["crm_mon", "-1", "--output-as=xml"])?))
    }

    /// Waits until the cluster, by the word of one node, is in a state some looks in succession.
    fn wait(
        &self,
        by: Option<&str>,
        what: &str,
        holds: impl Fn(&Room, &State) -> Result<bool, BenchError>,
    ) -> Result<State, BenchError> {
        let room = match by {
            Some(name) => self.room(name)?,
            None => self.room("node1")?,
        };
        let (mut good, mut last) = (0, State::default());
        let waited = self.bed.tools.wait_until(what, PATIENCE, || {
            self.bed.tools.pause(LOOK)?;
            last = self.state(room)?;
            good = if holds(room, &last)? { good + 1 } else { 0 };
            Ok(good >= LOOKS)
        });
        waited.map(|()| last)
    }

    fn wait_whole(&self, watch: &Watch) -> Result<State, BenchError> {
        self.wait(None, "the cluster is whole and at rest", |room, state| {
            let Some(coordinator) = &state.coordinator else { return Ok(false) };
            let holders = watch.holders();
            if state.online.len() < self.rooms.len() || !state.quorum || state.started != holders {
                return Ok(false);
            }
            if self.tie_breaker.is_some() && !self.rooms.iter().all(qdevice::has_vote) {
                return Ok(false);
            }
            Ok(room.run(&["crmadmin", "-S", coordinator])?.contains("S_IDLE"))
        })
    }

    fn settled(&self, watch: &Watch) -> Result<(Settled, State), BenchError> {
        let state = self.wait_whole(watch)?;
        let holder = watch.wait_steady(&self.bed.tools)?;
        let coordinates = Some(state.coordinator.as_deref() == Some(holder.as_str()));
        Ok((Settled { holder, coordinates }, state))
    }
}

impl Pacemaker {
    fn move_to(&self, watch: &Watch, to: &str) -> Result<Settled, BenchError> {
        let room = self.room(to)?;
        room.run(&["crm_resource", "--resource", RESOURCE, "--move", "--node", to])?;
        watch.wait_held_by(&self.bed.tools, to)?;
        room.run(&["crm_resource", "--resource", RESOURCE, "--clear"])?;
        Ok(self.settled(watch)?.0)
    }
}

impl Cluster for Pacemaker {
    fn client(&self) -> Host {
        self.bed.client.clone()
    }

    fn macs(&self) -> Vec<(String, Mac)> {
        self.bed.macs()
    }

    fn settle(&mut self, watch: &Watch, coordinator: bool) -> Result<Settled, BenchError> {
        let (settled, state) = self.settled(watch)?;
        if settled.coordinates == Some(coordinator) {
            return Ok(settled);
        }
        let coordinates = |name: &String| state.coordinator.as_ref() == Some(name);
        let suits = |name: &&String| **name != settled.holder && coordinates(name) == coordinator;
        let Some(to) = state.online.iter().find(suits) else { return Ok(settled) };
        self.move_to(watch, to)
    }

    fn inflict(&mut self, failure: Failure, node: &str) -> Result<(), BenchError> {
        self.bed.inflict(failure, node)
    }

    fn mend(&mut self, failure: Failure, node: &str) -> Result<(), BenchError> {
        self.bed.mend(failure, node)?;
        match failure {
            Failure::Dead => {
                self.open_room(node)?;
                self.start_corosync(node)?;
                self.start_pacemaker(node)
            }
            Failure::CutOff | Failure::Apart => Ok(()),
        }
    }

    fn facts(&self) -> Result<Map<String, Value>, BenchError> {
        let mut facts = Map::new();
        facts.insert("nodes".to_owned(), json!(self.rooms.len()));
        let Some(room) = self.rooms.first() else { return Ok(facts) };
        let map = room.run(&["corosync-cmapctl", "runtime.config.totem.token"])?;
        facts.insert("token_ms".to_owned(), json!(config::number(&map)));
        Ok(facts)
    }

    fn changes(&self) -> Result<u64, BenchError> {
        let mut changes = 0;
        for room in &self.rooms {
            let path = room.root().join("var/log/corosync/corosync.log");
            let log = fs::read(&path).step(|| format!("cannot read {}", path.display()))?;
            let log = String::from_utf8_lossy(&log);
            changes += log.matches("A new membership").count() as u64;
        }
        Ok(changes)
    }

    fn processes(&self) -> Result<Vec<Running>, BenchError> {
        self.bed.running(&DAEMONS)
    }
}
