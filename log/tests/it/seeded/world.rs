//! Nodes, their network, and what can be done to them. What happens when is up to the caller.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use stead_core::id::NodeId;
use stead_log::{
    Disk, Grants, Log, MembershipError, OpenError, Options, ProposeError, Role, Snapshots, Status,
    seeded,
};

use super::Records;
use super::drive::{Contents, Drive};
use super::fabric::Fabric;
use super::history::{Fate, History};
use super::node::{Chain, Guard, Node, Running, listen, number, watch};
use super::ties::grant_in;
use crate::support::{CLUSTER, quick};

pub struct World {
    seed: u64,
    pub records: Records,
    pub fabric: Fabric,
    pub nodes: BTreeMap<NodeId, Node>,
    pub snapshots: Snapshots,
    /// How the logs find grants in changes.
    pub grants: Grants,
    proposals: u64,
}

/// Runs `story` in one thread and in virtual time, where everything depends on the seed alone.
pub fn virtually<T>(seed: u64, story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()))
        .build()
        .unwrap();
    runtime.block_on(seeded(seed, story))
}

pub async fn run_for(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

impl World {
    /// Must be made where [`virtually`] runs it.
    pub fn new(seed: u64) -> Self {
        let records: Records = Arc::new(Mutex::new(History::new()));
        Self {
            seed,
            fabric: Fabric::new(seed, records.clone()),
            records,
            nodes: BTreeMap::new(),
            snapshots: Snapshots::default(),
            grants: grant_in,
            proposals: 0,
        }
    }

    /// `count` voters, of which one leads.
    pub async fn of(seed: u64, count: u64) -> Self {
        let mut world = Self::new(seed);
        world.found(count).await;
        world
    }

    pub async fn found(&mut self, count: u64) {
        for node in (1..=count).map(NodeId) {
            self.add(node);
            self.start(node).await.unwrap();
        }
        self.log(1).initialize((1..=count).map(NodeId)).await.unwrap();
        self.leader().await;
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        self.records.lock().unwrap()
    }

    pub fn note(&self, text: &str) {
        self.history().note(text);
    }

    /// Fails if anything was seen that must not be.
    pub fn check(&self) {
        let history = self.history();
        if let Some(wrong) = history.violation() {
            panic!("seed {}: {wrong}", self.seed);
        }
    }

    /// A node with an empty disk, not running.
    pub fn add(&mut self, node: NodeId) {
        let drive = Drive::new(self.seed, node.0);
        self.nodes.insert(node, Node { drive, life: 0, running: None });
    }

    /// Opens the log of `node` on what its disk holds.
    pub async fn start(&mut self, id: NodeId) -> Result<(), OpenError> {
        let records = self.records.clone();
        let promised = self.history().promised(id);
        let node = self.nodes.get_mut(&id).unwrap();
        assert!(node.running.is_none(), "node {id} runs already");
        node.life += 1;
        let (life, drive_of) = (node.life, node.drive.clone());
        let guard =
            Arc::new(Guard { node: id, silent: AtomicBool::new(false), records: records.clone() });
        let disk = drive_of.disk();
        let options = Options {
            node: id,
            cluster: CLUSTER,
            // One that promised something has it on its disk.
            disk: if promised > 0 { Disk::Used(Box::new(disk)) } else { disk },
            timers: quick(),
            snapshots: self.snapshots,
            machine: Box::new(Chain::new(id, self.grants, records.clone())),
            listener: guard.clone(),
            network: self.fabric.port(id, life, drive_of.clone()),
        };
        self.note(&format!("node {id} starts, life {life}"));
        let (log, events) = match Log::open(options).await {
            Ok(opened) => opened,
            Err(error) => {
                self.fabric.unplug(id);
                return Err(error);
            }
        };
        let log = Arc::new(log);
        tokio::spawn(listen(events, (id, life), drive_of.clone(), records.clone()));
        tokio::spawn(watch(log.clone(), drive_of, records));
        self.nodes.get_mut(&id).unwrap().running = Some(Running { log, guard });
        let term = self.shown(id).await.term.0;
        let mut history = self.history();
        if term < promised {
            history.wrong(format!("node {id} promised term {promised} and came back in {term}"));
        }
        history.shows(id, term);
        drop(history);
        Ok(())
    }

    /// The first status that is shown after a start.
    async fn shown(&self, node: NodeId) -> Status {
        let mut status = self.log(node.0).status();
        let known = status.wait_for(|status| *status != Status::default());
        match tokio::time::timeout(Duration::from_millis(1), known).await {
            Ok(Ok(status)) => status.clone(),
            // An empty node shows nothing yet.
            Ok(Err(_)) | Err(_) => Status::default(),
        }
    }

    /// Cuts the power of `node`, now.
    pub fn power_cut(&mut self, id: NodeId) {
        let Some(running) = self.nodes.get_mut(&id).and_then(|node| node.running.take()) else {
            return;
        };
        self.note(&format!("node {id} loses power"));
        self.fabric.unplug(id);
        let node = self.nodes.get_mut(&id).unwrap();
        node.drive = node.drive.power_cut();
        // What still runs of it reaches neither disk nor network.
        tokio::spawn(async move { running.log.shutdown().await });
    }

    /// Stops the log of `node` in an orderly way.
    pub async fn stop(&mut self, id: NodeId) {
        if let Some(running) = self.nodes.get_mut(&id).and_then(|node| node.running.take()) {
            self.note(&format!("node {id} stops"));
            running.log.shutdown().await;
            self.fabric.unplug(id);
        }
    }

    pub fn running(&self) -> Vec<NodeId> {
        let up = self.nodes.iter().filter(|(_, node)| node.running.is_some());
        up.map(|(node, _)| *node).collect()
    }

    pub fn log(&self, node: u64) -> &Arc<Log> {
        &self.nodes[&NodeId(node)].running.as_ref().expect("it runs").log
    }

    pub fn guard(&self, node: u64) -> &Guard {
        &self.nodes[&NodeId(node)].running.as_ref().expect("it runs").guard
    }

    pub fn status(&self, node: u64) -> Status {
        self.log(node).status().borrow().clone()
    }

    pub fn forget_lives(&self, node: NodeId) {
        self.history().forget(node);
    }

    /// The log on the disk of `node`.
    pub fn disk(&self, node: u64) -> Contents {
        self.nodes[&NodeId(node)].drive.contents()
    }

    pub fn silence_guard(&self, node: u64, silent: bool) {
        self.guard(node).silent.store(silent, Ordering::SeqCst);
    }

    /// The one of the newest term that says it leads.
    pub fn claims_to_lead(&self) -> Option<NodeId> {
        let running = self.nodes.iter().filter(|(_, node)| node.role() == Role::Leader);
        running.map(|(node, _)| *node).max_by_key(|node| self.status(node.0).term)
    }

    /// Waits until one leads that a majority answers.
    pub async fn leader(&self) -> NodeId {
        for _ in 0..6_000 {
            self.check();
            if let Some(node) = self.claims_to_lead()
                && self.log(node.0).read_index(Duration::from_millis(200)).await.is_ok()
            {
                return node;
            }
            run_for(10).await;
        }
        panic!("seed {}: nobody leads", self.seed);
    }

    /// Waits until `holds`; says what did not come.
    pub async fn wait(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..12_000 {
            self.check();
            if holds(self) {
                return;
            }
            run_for(5).await;
        }
        panic!("seed {}: waited a virtual minute in vain for {what}", self.seed);
    }

    /// Hands a new change to `node`, and lets it become what it may.
    pub fn propose(
        &mut self,
        node: NodeId,
        deadline: Duration,
    ) -> tokio::task::JoinHandle<(Fate, Result<(), ProposeError>)> {
        self.proposals += 1;
        let change = format!("change-{}", self.proposals).into_bytes();
        self.history().hands_over(&change);
        let (log, records) = (self.log(node.0).clone(), self.records.clone());
        tokio::spawn(async move {
            let result = log.propose(change.clone(), deadline).await;
            let (fate, outcome) = match &result {
                Ok((index, outcome)) => (Fate::Committed(index.0), number(outcome)),
                Err(
                    ProposeError::NotLeader { .. }
                    | ProposeError::NoQuorum
                    | ProposeError::TooLong { .. },
                ) => (Fate::Refused, None),
                Err(
                    ProposeError::Deadline { .. }
                    | ProposeError::Superseded { .. }
                    | ProposeError::Stopped,
                ) => (Fate::Unknown, None),
            };
            records.lock().unwrap().answered(&change, fate, outcome.unwrap_or_default());
            (fate, result.map(drop))
        })
    }

    /// Proposes on `node` and wants it committed.
    pub async fn commit(&mut self, node: NodeId) -> u64 {
        let (fate, result) = self.propose(node, Duration::from_secs(10)).await.unwrap();
        match fate {
            Fate::Committed(index) => index,
            Fate::Open | Fate::Refused | Fate::Unknown => panic!("not committed: {result:?}"),
        }
    }

    /// Proposes changes on whoever leads until one is committed.
    pub async fn put(&mut self) -> u64 {
        for _ in 0..100 {
            let leader = self.leader().await;
            let (fate, _) = self.propose(leader, Duration::from_secs(5)).await.unwrap();
            if let Fate::Committed(index) = fate {
                return index;
            }
        }
        panic!("seed {}: nothing is committed", self.seed);
    }

    /// Reads on `node`, and lets it become what it may.
    pub fn read(&self, node: NodeId, deadline: Duration) {
        let floor = self.history().highest();
        let (log, records) = (self.log(node.0).clone(), self.records.clone());
        tokio::spawn(async move {
            if let Ok(index) = log.read_index(deadline).await {
                records.lock().unwrap().reads(node, floor, index.0);
            }
        });
    }

    /// Makes every running node campaign for `to`, as survivors do.
    pub fn campaign(&self, to: NodeId) {
        self.note(&format!("all campaign for {to}"));
        for node in self.running() {
            let log = self.log(node.0).clone();
            // It may be too late, or too early.
            tokio::spawn(async move { drop(log.campaign(to).await) });
        }
    }

    /// Changes the voters on `leader`, in the background.
    pub fn change_voters(
        &self,
        leader: NodeId,
        node: NodeId,
        add: bool,
    ) -> tokio::task::JoinHandle<Result<(), MembershipError>> {
        self.note(&format!("{leader} is asked to {} {node}", if add { "add" } else { "remove" }));
        let (log, records) = (self.log(leader.0).clone(), self.records.clone());
        tokio::spawn(async move {
            let deadline = Duration::from_secs(3);
            let changed = if add {
                log.add_voter(node, None, deadline).await
            } else {
                log.remove_voter(node, false, None, deadline).await
            };
            if changed.is_ok() {
                records.lock().unwrap().count("memberships changed");
            }
            changed
        })
    }

    /// Whether all running nodes are at one place, behind `index`.
    pub fn is_level(&self, index: u64) -> bool {
        let at: Vec<_> = self.running().iter().map(|node| self.status(node.0).applied).collect();
        at.iter().all(|applied| *applied == at[0] && applied.is_some_and(|it| it.0 >= index))
    }
}
