//! A quorum server for trials, and fleets of an even number of nodes.

use std::sync::Arc;

use serde_json::Value;
use stead::demo::fleet::{Fleet, FleetError, Plan, QuorumServer};

use super::{Must, WEB, stead, wait_for, web};

/// A quorum server where the fleet's plan has a place for it.
pub struct Server<'a> {
    fleet: &'a Fleet,
    server: QuorumServer,
}

impl<'a> Server<'a> {
    /// One that runs.
    pub fn start(fleet: &'a Fleet) -> Self {
        Self { fleet, server: QuorumServer::start(fleet).must() }
    }

    /// One that runs, and could be asked by every node.
    pub fn enrolled(fleet: &'a Fleet) -> Self {
        let server = Self::start(fleet);
        server.enrol("node1");
        server
    }

    /// Starts it again.
    pub fn run(&self) {
        self.server.run(self.fleet).must();
    }

    pub fn kill(&self) {
        self.server.kill().must();
    }

    /// A command of its operator: whether it succeeded, and what it printed.
    pub fn operator(&self, words: &[&str]) -> (bool, String) {
        self.server.operator(words).must()
    }

    fn all(&self) -> Vec<&str> {
        self.fleet.nodes().iter().map(|node| node.name()).collect()
    }

    /// Enrols the cluster, and waits until every node could ask.
    pub fn enrol(&self, by: &str) {
        self.enrol_of(by, &self.all());
    }

    /// Enrols a cluster of which only these nodes run.
    pub fn enrol_of(&self, by: &str, running: &[&str]) {
        self.server.enrol(self.fleet, by, running).must();
    }

    /// Waits until the server answers every node, and what it granted before is known.
    pub fn ready(&self) {
        self.ready_for(&self.all());
    }

    pub fn ready_for(&self, running: &[&str]) {
        self.server.wait_ready(self.fleet, running).must();
    }
}

/// What a node says of the quorum.
pub fn quorum(fleet: &Fleet, node: &str) -> Result<Value, FleetError> {
    fleet.quorum(node)
}

/// A fleet whose nodes vote and whose services are configured. An even number is not protected yet:
/// whoever waits for that waits for the quorum server.
pub fn voting(plan: Plan) -> Fleet {
    let fleet = Fleet::build(plan, Arc::default()).must();
    fleet.found().must();
    fleet.join_all().must();
    fleet.wait_votes().must();
    fleet.serve().must();
    fleet
}

/// Two nodes with `web` on the second.
pub fn pair(name: &str) -> Fleet {
    voting(Plan::of(name, &stead(), 2).service(web("web", WEB, &["node2"])))
}

/// Waits until a node says that word first.
#[track_caller]
pub fn wait_verdict(fleet: &Fleet, node: &str, verdict: &str) {
    wait_for(fleet, &format!("{node} says {verdict}"), || {
        Ok(quorum(fleet, node)?["verdict"] == verdict)
    });
}

/// Waits until so many vote, by the word of a node, and none of the members is without a vote.
#[track_caller]
pub fn wait_voters(fleet: &Fleet, node: &str, count: u64) {
    wait_for(fleet, &format!("{count} vote"), || {
        let quorum = quorum(fleet, node)?;
        Ok(quorum["voters"] == count && quorum["out"].as_array().is_some_and(Vec::is_empty))
    });
}
