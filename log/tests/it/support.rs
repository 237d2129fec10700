//! A cluster of logs in one process, and how to wait for it.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stead_core::id::{ClusterId, Index, NodeId};
use stead_log::network::Network;
use stead_log::network::inproc::Hub;
use stead_log::{
    Committed, Disk, Event, Events, Log, Machine, NoListener, Options, ProposeError, RestoreError,
    Role, SnapshotError, Snapshots, TermListener, Timers,
};
use tempfile::TempDir;

pub const CLUSTER: ClusterId = ClusterId([7; 16]);
/// Longer than anything takes on a machine that works.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// For one attempt that is repeated.
pub const ATTEMPT: Duration = Duration::from_secs(5);

/// A machine that keeps every change it was given, in order.
#[derive(Clone, Default)]
pub struct Book(Arc<Mutex<Pages>>);

/// Indices and changes.
type Pages = Vec<(u64, Vec<u8>)>;

impl Book {
    pub fn changes(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().iter().map(|(_, change)| change.clone()).collect()
    }

    pub fn contains(&self, change: &[u8]) -> bool {
        self.0.lock().unwrap().iter().any(|(_, have)| have == change)
    }
}

impl Machine for Book {
    fn apply(&mut self, index: Index, change: &[u8]) -> Vec<u8> {
        let mut book = self.0.lock().unwrap();
        book.push((index.0, change.to_vec()));
        book.len().to_string().into_bytes()
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let book = self.0.lock().unwrap();
        let lines = book.iter().map(|(index, change)| {
            format!("{index} {}\n", String::from_utf8(change.clone()).unwrap())
        });
        Ok(lines.collect::<String>().into_bytes())
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let text = std::str::from_utf8(bytes).map_err(|error| RestoreError(error.to_string()))?;
        let line = |line: &str| {
            let (index, change) = line.split_once(' ')?;
            Some((index.parse().ok()?, change.as_bytes().to_vec()))
        };
        let book: Option<Vec<_>> = text.lines().map(line).collect();
        *self.0.lock().unwrap() = book.ok_or_else(|| RestoreError("no book".into()))?;
        Ok(())
    }
}

/// One member: its log, its machine, and what its driver was told.
pub struct Member {
    pub log: Log,
    pub book: Book,
    pub told: Arc<Mutex<Vec<Event>>>,
}

impl Member {
    pub fn role(&self) -> Role {
        self.log.status().borrow().role
    }

    /// The changes that the driver knows of, from snapshots and entries, must be the machine's.
    pub fn driver_changes(&self) -> Vec<Vec<u8>> {
        let mut mirror = Book::default();
        for event in self.told.lock().unwrap().iter() {
            match event {
                Event::Applied { index, entry: Committed::Change(change), .. } => {
                    mirror.apply(*index, change);
                }
                Event::Restored { snapshot, .. } => mirror.restore(snapshot).unwrap(),
                Event::Applied { .. } | Event::Failed(_) => {}
            }
        }
        mirror.changes()
    }

    pub fn failed(&self) -> bool {
        self.told.lock().unwrap().iter().any(|event| matches!(event, Event::Failed(_)))
    }
}

/// How a member is opened; the defaults suit most tests.
pub struct Recipe {
    pub disk: Disk,
    pub snapshots: Snapshots,
    pub listener: Arc<dyn TermListener>,
}

impl Recipe {
    pub fn new(path: PathBuf) -> Self {
        Self {
            disk: Disk::Directory(path),
            snapshots: Snapshots::default(),
            listener: Arc::new(NoListener),
        }
    }
}

pub fn quick() -> Timers {
    Timers {
        heartbeat: Duration::from_millis(50),
        election_min: Duration::from_millis(300),
        election_max: Duration::from_millis(600),
    }
}

pub async fn open(node: NodeId, network: Arc<dyn Network>, recipe: Recipe) -> Member {
    let book = Book::default();
    let options = Options {
        node,
        cluster: CLUSTER,
        disk: recipe.disk,
        timers: quick(),
        snapshots: recipe.snapshots,
        machine: Box::new(book.clone()),
        listener: recipe.listener,
        network,
    };
    let (log, events) = Log::open(options).await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(listen(events, told.clone()));
    Member { log, book, told }
}

async fn listen(mut events: Events, told: Arc<Mutex<Vec<Event>>>) {
    while let Some(event) = events.next().await {
        told.lock().unwrap().push(event);
    }
}

/// Members of one cluster on one in-process network, with their directories.
pub struct Cluster {
    pub hub: Hub,
    pub members: BTreeMap<NodeId, Member>,
    pub dir: TempDir,
}

impl Cluster {
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { hub: Hub::new(), members: BTreeMap::new(), dir }
    }

    /// `count` members with a leader.
    pub async fn of(count: u64) -> Self {
        let mut cluster = Self::empty();
        for node in 1..=count {
            cluster.start(NodeId(node)).await;
        }
        let all = (1..=count).map(NodeId);
        cluster.member(1).log.initialize(all).await.unwrap();
        cluster.leader().await;
        cluster
    }

    pub fn path(&self, node: NodeId) -> PathBuf {
        self.dir.path().join(node.to_string())
    }

    pub async fn start(&mut self, node: NodeId) {
        self.start_with(node, Recipe::new(self.path(node))).await;
    }

    pub async fn start_with(&mut self, node: NodeId, recipe: Recipe) {
        let member = open(node, self.hub.port(node), recipe).await;
        self.members.insert(node, member);
    }

    pub async fn stop(&mut self, node: NodeId) {
        self.members.remove(&node).unwrap().log.shutdown().await;
    }

    pub fn member(&self, node: u64) -> &Member {
        &self.members[&NodeId(node)]
    }

    /// Waits until some member leads, and has committed in its term.
    pub async fn leader(&self) -> NodeId {
        wait("a leader", || async {
            for (node, member) in &self.members {
                if member.role() == Role::Leader && member.log.read_index(ATTEMPT).await.is_ok() {
                    return Some(*node);
                }
            }
            None
        })
        .await
    }

    /// Proposes on whoever leads until it is committed.
    pub async fn put(&self, change: &str) -> Index {
        wait("a commit", || async {
            for member in self.members.values() {
                if member.book.contains(change.as_bytes()) {
                    return Some(Index(0));
                }
                match member.log.propose(change.into(), ATTEMPT).await {
                    Ok((index, _)) => return Some(index),
                    Err(ProposeError::NotLeader { .. } | ProposeError::NoQuorum) => {}
                    Err(error) => eprintln!("proposal of {change}: {error}"),
                }
            }
            None
        })
        .await
    }

    /// Waits until every member's machine and driver hold exactly `changes`.
    pub async fn all_hold(&self, changes: &[String]) {
        let want: Vec<Vec<u8>> = changes.iter().map(|change| change.clone().into_bytes()).collect();
        for (node, member) in &self.members {
            wait(&format!("all changes on node {node}"), || async {
                (member.book.changes() == want && member.driver_changes() == want).then_some(())
            })
            .await;
        }
    }
}

/// Asks again until there is an answer; fails loudly when patience ends.
pub async fn wait<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
