//! One node: its machine, its guard, its driver, and its disk from life to life.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stead_core::id::{Index, NodeId, Term};
use stead_log::{
    Boxed, Committed, Event, Events, Grants, Log, Machine, NotLearnt, RestoreError, Role,
    SnapshotError, TermListener,
};

use super::Records;
use super::drive::Drive;
use super::history::digest;
use super::rng::mix;
use super::ties::grant_in;
use crate::wire::Position;

/// A node that runs.
pub struct Running {
    pub log: Arc<Log>,
    pub guard: Arc<Guard>,
}

/// A node, running or not.
pub struct Node {
    pub drive: Drive,
    pub life: u64,
    pub running: Option<Running>,
}

impl Node {
    pub fn role(&self) -> Role {
        self.running.as_ref().map_or(Role::Stopped, |it| it.log.status().borrow().role)
    }
}

/// A guard that learns, or is out of reach.
pub struct Guard {
    pub node: NodeId,
    pub silent: AtomicBool,
    pub records: Records,
}

impl TermListener for Guard {
    fn learn(&self, term: Term) -> Boxed<'_, Result<(), NotLearnt>> {
        Box::pin(async move {
            // Over a socket, so not at once.
            tokio::task::yield_now().await;
            if self.silent.load(Ordering::SeqCst) {
                return Err("no guard".into());
            }
            self.records.lock().unwrap().learnt(self.node, term.0);
            Ok(())
        })
    }
}

/// A machine whose state depends on every change, its place and their order.
pub struct Chain {
    node: NodeId,
    index: u64,
    state: u64,
    /// The newest grant that was used up.
    grant: u64,
    grants: Grants,
    records: Records,
}

impl Chain {
    pub fn new(node: NodeId, grants: Grants, records: Records) -> Self {
        Self { node, index: 0, state: 0, grant: 0, grants, records }
    }
}

impl Machine for Chain {
    fn apply(&mut self, index: Index, change: &[u8]) -> Vec<u8> {
        self.index = index.0;
        self.state = mix(self.state ^ digest(&(index.0, change)));
        let grant = grant_in(change).map_or(0, |grant| grant.0);
        self.grant = self.grant.max(grant);
        let mut history = self.records.lock().unwrap();
        history.grants.insert(self.node, self.grant);
        history.applied(self.node, index.0, change, self.state);
        drop(history);
        self.state.to_le_bytes().to_vec()
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let parts = [self.index, self.state, self.grant];
        Ok(parts.map(u64::to_le_bytes).concat())
    }

    fn grants(&self) -> Grants {
        self.grants
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let [index, state, grant] = parts(bytes).ok_or_else(|| RestoreError("24 bytes".into()))?;
        (self.index, self.state, self.grant) = (index, state, grant);
        let mut history = self.records.lock().unwrap();
        history.grants.insert(self.node, grant);
        history.restored(self.node, index, state);
        Ok(())
    }
}

fn parts(bytes: &[u8]) -> Option<[u64; 3]> {
    let parts: Option<Vec<u64>> = bytes.chunks(8).map(number).collect();
    parts?.try_into().ok()
}

/// Eight bytes of the machine's.
pub fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// Reads what the driver of a node is told, to the end.
pub async fn listen(
    mut events: Events,
    (node, life): (NodeId, u64),
    drive: Drive,
    records: Records,
) {
    while let Some(event) = events.next().await {
        let mut history = records.lock().unwrap();
        match event {
            Event::Applied { index, term, entry } => {
                let content = match &entry {
                    Committed::Noop => 0,
                    Committed::Change(change) => digest(change),
                    Committed::Membership { membership, change } => {
                        digest(&(&membership.voters, &membership.learners, change))
                    }
                };
                history.note(&format!("node {node} applied {index} of {term}"));
                history.told(node, life, index.0, term.0, content);
            }
            Event::Restored { index, .. } => {
                history.note(&format!("node {node} restored up to {index}"));
                history.told_snapshot(node, life, index.0);
            }
            Event::Failed(failure) => {
                history.note(&format!("node {node} failed: {failure}"));
                history.told_failure(node, life);
                history.count("failures told");
                if drive.works() {
                    history.wrong(format!("node {node} failed on a good disk: {failure:?}"));
                }
            }
        }
    }
}

/// Watches what a node shows of itself while it has power.
pub async fn watch(log: Arc<Log>, drive: Drive, records: Records) {
    let (node, mut status) = (log.node(), log.status());
    drop(log);
    while status.changed().await.is_ok() && !drive.is_dead() {
        let now = status.borrow_and_update().clone();
        if records.lock().unwrap().audit {
            let disk = drive.contents();
            let (term, last) = (disk.vote.map_or(0, |vote| vote.term), disk.last());
            let tail = now.last_log.map(|(term, index)| Position { term: term.0, index: index.0 });
            let mut history = records.lock().unwrap();
            history.count("looks at a disk");
            if now.term.0 > term || tail > last {
                history.wrong(format!("node {node} shows {now:?}, on disk {term} and {last:?}"));
            }
        }
        let mut history = records.lock().unwrap();
        history.note(&format!(
            "node {node} is {:?} in {}, tail {:?}, committed {:?}",
            now.role, now.term, now.last_log, now.committed
        ));
        history.shows(node, now.term.0);
        if now.role == Role::Leader {
            history.leads(node, now.term.0);
        }
    }
}
