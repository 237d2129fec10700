//! A fleet: a cluster of real stead processes on a bed of network namespaces.
//!
//! What it is for: the demo and the end-to-end tests. A [`Plan`] says how many nodes on which
//! networks; [`Fleet::start`] builds the bed, begins the cluster on the first node with the same
//! commands that an operator types, lets the others join, and starts a guard and a daemon on each.
//! From then on it plays systemd: a guard or daemon that died is started again.
//!
//! ```text
//!   site east      site west      hub (the last site)
//!   node1 node2    node3 node4    node5   client
//!     └─┬──┘         └─┬──┘         └──┬────┘
//!     switch ──────────────────────── switch     the same once more for each network
//! ```
//!
//! The client stands on the first network only, which may be one that carries no heartbeats: then a
//! node can be cut off from the others while clients still reach it, the hardest test of a lease.
//!
//! Sites can also have routers between them, delay on the way, and a quorum server at a third place
//! (`sites`).
//!
//! Happy path: [`Fleet::start`], [`Client::start`], a fault ([`Fleet::silence_then_kill`],
//! [`Fleet::cut`], [`Fleet::kill`], ...), [`Fleet::wait_until`], and at the end what the client
//! saw.
//!
//! Failures: [`FleetError`]. Whatever way the process ends, the nodes end with it; the folders are
//! removed when the fleet is dropped. If that happens in a panic, the last words of every guard and
//! daemon are printed first.
//!
//! Deliberately absent: any way into stead but its command line and signals, and any knowledge of
//! what the right outcome is.

mod client;
mod error;
mod fault;
mod folder;
mod network;
mod node;
mod plan;
mod power;
mod quorum;
mod sites;
mod supervisor;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use stead_lab::{Bed, Host, Mac, Trunk, Waited, wait_until};

pub use client::{Client, Seen};
pub use error::FleetError;
pub use node::{Node, Output};
pub use plan::{
    Family, Lan, NodePlan, Plan, ServicePlan, Third, WEB_PORT, client_address, service_address,
};
pub use power::{Outlet, PowerStrip, Switched, strip_table};
pub use quorum::QuorumServer;
pub use supervisor::Part;

use folder::Folder;
use network::Laid;
use supervisor::Supervisor;

/// How long anything may take that is only waited for: the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster of real processes. Everything in it ends when it is dropped.
pub struct Fleet {
    // The order matters: nothing is started any more, then the bed ends, then the folders go.
    supervisor: Supervisor,
    bed: Bed,
    laid: Laid,
    nodes: Vec<Node>,
    plan: Plan,
    stop: Arc<AtomicBool>,
    folder: Folder,
}

impl Fleet {
    /// Builds everything; no process runs yet. Waits end early once `stop` is set.
    ///
    /// # Errors
    /// See [`FleetError`]. Nothing is left behind.
    pub fn build(plan: Plan, stop: Arc<AtomicBool>) -> Result<Self, FleetError> {
        let folder = Folder::create()?;
        let bed = Bed::new(&plan.name)?;
        let mut nodes = Vec::new();
        for spec in &plan.nodes {
            let host = bed.host(&spec.name)?;
            let program = spec.program.as_deref().unwrap_or(&plan.program);
            nodes.push(Node::create(&spec.name, host, &folder, program)?);
        }
        let hosts: Vec<Host> = nodes.iter().map(|node| node.host().clone()).collect();
        let laid = network::lay(&bed, &plan, &hosts)?;
        let supervisor = Supervisor::start()?;
        Ok(Self { supervisor, bed, laid, nodes, plan, stop, folder })
    }

    /// Builds everything, founds the cluster, lets all nodes join, and then adds the services, so
    /// that each begins where it would rather be. Returns when every node says that all is well.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn start(plan: Plan) -> Result<Self, FleetError> {
        let fleet = Self::build(plan, Arc::default())?;
        fleet.found()?;
        fleet.join_all()?;
        fleet.wait_whole(PATIENCE)?;
        fleet.serve()?;
        fleet.wait_whole(PATIENCE)?;
        Ok(fleet)
    }

    /// Founds the cluster on the first node, without services, and starts that node.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn found(&self) -> Result<(), FleetError> {
        let Some(first) = self.nodes.first() else { return Ok(()) };
        let bare = Plan { services: Vec::new(), ..self.plan.clone() };
        first.write_configuration(&bare.configuration())?;
        first.stead(&["init", "--node", first.name()])?.expect_success()?;
        self.start_node(first.name())?;
        self.wait_until(&format!("{} coordinates", first.name()), PATIENCE, || {
            let status = first.status()?;
            Ok(status["cluster"]["coordinator"].as_str() == Some(first.name()))
        })
    }

    /// Adds the plan's services.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn serve(&self) -> Result<(), FleetError> {
        let Some(first) = self.nodes.first() else { return Ok(()) };
        self.apply(first.name(), &self.plan.configuration())
    }

    /// Lets every other node join, and starts it. All are on their way when this returns.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn join_all(&self) -> Result<(), FleetError> {
        let Some((first, others)) = self.nodes.split_first() else { return Ok(()) };
        for node in others {
            self.join(first.name(), node.name())?;
        }
        Ok(())
    }

    /// Lets a node join with a token made on another, and starts it.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn join(&self, by: &str, name: &str) -> Result<(), FleetError> {
        let (address, token) = self.token(by, name)?;
        self.node(name)?.stead(&["join", &address, &token])?.expect_success()?;
        self.start_node(name)
    }

    /// A token for a node, and the address where it is good.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn token(&self, by: &str, name: &str) -> Result<(String, String), FleetError> {
        let answer = self.node(by)?.json(&["token", name, "--json"])?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Ok((text(&answer["addresses"][0]), text(&answer["token"])))
    }

    /// The node of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn node(&self, name: &str) -> Result<&Node, FleetError> {
        let found = self.nodes.iter().find(|node| node.name() == name);
        found.ok_or_else(|| FleetError::NoSuchNode(name.to_owned()))
    }

    /// All nodes, in the plan's order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What it was built from.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The bed underneath.
    pub fn bed(&self) -> &Bed {
        &self.bed
    }

    /// The client's host.
    pub fn client(&self) -> &Host {
        &self.laid.client
    }

    /// The host on the first network that asks each node at its own Ethernet address: the client's,
    /// unless that is behind a router.
    pub fn watcher(&self) -> &Host {
        &self.laid.watcher
    }

    /// The cables between the switches, network by network.
    pub fn trunks(&self) -> &[Trunk] {
        &self.laid.trunks
    }

    /// The folder that is removed at the end.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The Ethernet address of a node on the first network.
    #[must_use]
    pub fn macs(&self) -> Vec<(String, Mac)> {
        let named = self.nodes.iter().enumerate();
        named.map(|(number, node)| (node.name().to_owned(), plan::mac(0, number))).collect()
    }

    /// Waits until a condition holds. An error of the condition counts as "not yet".
    ///
    /// # Errors
    /// It did not hold in time (with the condition's last error), or the end was asked for.
    pub fn wait_until(
        &self,
        what: &str,
        within: Duration,
        holds: impl FnMut() -> Result<bool, FleetError>,
    ) -> Result<(), FleetError> {
        match wait_until(&self.stop, within, holds) {
            Waited::Held => Ok(()),
            Waited::Stopped => Err(FleetError::Interrupted),
            Waited::Late(last) => {
                let (what, last) = (what.to_owned(), last.map(Box::new));
                Err(FleetError::Late { what, within, last })
            }
        }
    }

    /// Lets time pass, unless the end is asked for.
    ///
    /// # Errors
    /// The end was asked for.
    pub fn pause(&self, time: Duration) -> Result<(), FleetError> {
        let deadline = Instant::now() + time;
        self.wait_until("time passes", time + PATIENCE, || Ok(Instant::now() >= deadline))
    }

    /// Waits until every running node says that all is well and every service is served.
    ///
    /// # Errors
    /// See [`Fleet::wait_until`]; it names what the nodes complain of.
    pub fn wait_whole(&self, within: Duration) -> Result<(), FleetError> {
        for node in &self.nodes {
            let mut complaint = String::new();
            let waited = self.wait_until("all is well", within, || {
                let status = node.status()?;
                complaint = node::complaint(&status, self.nodes.len());
                Ok(complaint.is_empty())
            });
            waited.map_err(|error| error.explained(node.name(), &complaint))?;
        }
        Ok(())
    }

    /// Who holds a service, by the word of one node.
    ///
    /// # Errors
    /// The node doesn't answer.
    pub fn holder(&self, service: &str, by: &str) -> Result<Option<String>, FleetError> {
        let status = self.node(by)?.status()?;
        Ok(node::holder(&status, service))
    }

    /// Applies a configuration on a node.
    ///
    /// # Errors
    /// It was refused.
    pub fn apply(&self, by: &str, text: &str) -> Result<(), FleetError> {
        let node = self.node(by)?;
        node.write_configuration(text)?;
        node.stead(&["apply", "--yes"])?.expect_success().map(drop)
    }

    /// Leaves everything running, and says how to enter it. Nobody restarts what dies there.
    ///
    /// # Errors
    /// It can't outlive this process; then it ended.
    pub fn keep(self, power: stead_lab::Power) -> Result<stead_lab::Kept, FleetError> {
        let Self { supervisor, bed, folder, .. } = self;
        supervisor.end();
        let kept = bed.keep(power)?;
        folder.keep();
        Ok(kept)
    }
}
