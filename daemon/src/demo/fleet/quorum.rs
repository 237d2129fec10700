//! A quorum server beside a fleet: the same program, and the commands that its operator types.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use stead_lab::{Host, Process};

use super::error::{FleetError, Step};
use super::{Fleet, PATIENCE};

/// Where it listens.
const PORT: u16 = 7745;

/// A quorum server where the fleet's plan has a place for it. It is not started again when it dies,
/// and ends with the fleet at the latest.
pub struct QuorumServer {
    host: Host,
    address: SocketAddr,
    program: PathBuf,
    folder: PathBuf,
    process: Mutex<Option<Process>>,
}

impl QuorumServer {
    /// One that runs.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn start(fleet: &Fleet) -> Result<Self, FleetError> {
        let (host, address) = fleet.laid.quorum.clone();
        let server = Self {
            host,
            address: SocketAddr::new(address, PORT),
            program: fleet.plan.program.clone(),
            folder: fleet.folder().join("quorum-server"),
            process: Mutex::default(),
        };
        server.run(fleet)?;
        Ok(server)
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it again after [`QuorumServer::kill`].
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn run(&self, fleet: &Fleet) -> Result<(), FleetError> {
        let mut command = Command::new(&self.program);
        command.args(["quorum-server", "run", "--dir"]).arg(&self.folder);
        let log = self.folder.with_extension("log");
        *self.process() = Some(self.host.spawn(command, &log)?);
        fleet.wait_until("the quorum server answers its operator", PATIENCE, || {
            Ok(self.operator(&["list"])?.0)
        })
    }

    /// Kills it (SIGKILL); its disk is as it was.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn kill(&self) -> Result<(), FleetError> {
        let process = self.process().take();
        Ok(process.map_or(Ok(()), |process| process.kill())?)
    }

    /// Leaves it to the bed, which may go on after this process.
    pub fn leave(self) {
        self.process().take();
    }

    /// Questions of the fleet that were answered with a grant.
    ///
    /// # Errors
    /// It doesn't say.
    pub fn granted(&self) -> Result<u64, FleetError> {
        let (_, said) = self.operator(&["list", "--json"])?;
        let list: Value = serde_json::from_str(&said).unwrap_or_default();
        list["clusters"][0]["granted"].as_u64().ok_or_else(|| FleetError::Answer {
            command: "quorum-server list --json".to_owned(),
            node: "the server".to_owned(),
            detail: said,
        })
    }

    /// A command of its operator: whether it succeeded, and what it printed.
    ///
    /// # Errors
    /// It can't be started.
    pub fn operator(&self, words: &[&str]) -> Result<(bool, String), FleetError> {
        let mut command = Command::new(&self.program);
        command.arg("quorum-server").args(words).arg("--dir").arg(&self.folder);
        let output = command.output().step(|| format!("cannot type `quorum-server {words:?}`"))?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok((output.status.success(), said))
    }

    /// Enrols the cluster by one of its nodes, and waits until these nodes could ask.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn enrol(&self, fleet: &Fleet, by: &str, running: &[&str]) -> Result<(), FleetError> {
        let (made, said) = self.operator(&["enrol", "--address", &self.address.to_string()])?;
        let token = said.split_whitespace().find(|it| it.starts_with("steadq1-"));
        let Some(token) = token.filter(|_| made) else {
            let (command, node) = ("quorum-server enrol".to_owned(), "the server".to_owned());
            return Err(FleetError::Answer { command, node, detail: said });
        };
        fleet.node(by)?.stead(&["quorum", "enrol", token])?.expect_success()?;
        self.wait_ready(fleet, running)
    }

    /// Waits until it answers these nodes, and what it granted before is known.
    ///
    /// # Errors
    /// See [`Fleet::wait_until`].
    pub fn wait_ready(&self, fleet: &Fleet, running: &[&str]) -> Result<(), FleetError> {
        for node in running {
            let what = format!("the quorum server answers {node}");
            fleet.wait_until(&what, PATIENCE, || {
                let breaker = &fleet.quorum(node)?["breaker"];
                Ok(breaker["answers"] == true && breaker["distrusted"] == false)
            })?;
        }
        fleet.wait_until("the quorum server trusts what it knows", PATIENCE, || {
            Ok(!self.operator(&["list", "--json"])?.1.contains("\"distrusted\""))
        })
    }
}

impl Drop for QuorumServer {
    fn drop(&mut self) {
        // the bed's end is its end as well
        drop(self.kill());
    }
}

impl Fleet {
    /// What a node says of the quorum.
    ///
    /// # Errors
    /// It doesn't answer.
    pub fn quorum(&self, node: &str) -> Result<Value, FleetError> {
        self.node(node)?.json(&["quorum", "--json"])
    }

    /// Waits until all nodes are in the view and vote. An even number of them is not protected by
    /// that, so it is not whole until something breaks its ties.
    ///
    /// # Errors
    /// See [`Fleet::wait_until`].
    pub fn wait_votes(&self) -> Result<(), FleetError> {
        let (nodes, first) = (&self.nodes, self.nodes.first());
        self.wait_until("all nodes vote", PATIENCE, || {
            let status = first.map(|node| node.status()).transpose()?.unwrap_or_default();
            let list = status["nodes"].as_array().cloned().unwrap_or_default();
            let here = |node: &Value| node["state"] == "in-view" && node["votes"] == true;
            Ok(list.len() == nodes.len() && list.iter().all(here))
        })
    }
}
