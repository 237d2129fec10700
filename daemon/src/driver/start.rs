//! Starting a daemon, and ending it.

use std::sync::Arc;
use std::time::Duration;

use stead_core::id::NodeId;
use stead_core::node::{Event, Node};
use stead_core::notice::Notice;
use stead_core::state::{Change, State};
use stead_edge::chain;
use stead_linux::durable::write_atomically;
use stead_linux::lock::Lock;
use stead_log::transport::{Identity as Key, Members, PROTOCOL, Peers, PeersOptions};
use stead_log::{Disk, Log, OpenError, Options, Snapshots, StoreError, Timers};
use stead_redirect::knowledge;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::elections::Elections;
use super::entry::Entry;
use super::fences::Fences;
use super::guard_link::GuardLink;
use super::handle::Handle;
use super::machine::Replica;
use super::peers::{Daemons, Proposer};
use super::perform::Performers;
use super::rehearse::Rehearsals;
use super::task::{Inputs, Task};
use super::view::View;
use super::{network, times};
use crate::agent::Programs;
use crate::api;
use crate::config;
use crate::connections::{self, Known, Resets};
use crate::departure::{self, Departure};
use crate::ending::asked_to_end;
use crate::fence::Devices;
use crate::identity::{self, Identity};
use crate::journal::Journal;
use crate::layers::observe::{Eyes, Observers};
use crate::layers::{Layers, documents};
use crate::metrics::{self, Metrics};
use crate::paths::Paths;
use crate::redirect::Redirect;
use crate::threads;
use crate::tie_breaker::TieBreaker;

/// How long the founding of a cluster is tried.
const FOUNDING_PATIENCE: Duration = Duration::from_secs(60);
/// How much is written to see whether the disk takes anything: more than a commit needs.
const DISK_CHECK_BYTES: usize = 256 * 1024;
/// How long a log that failed may take to close.
const CLOSING: Duration = Duration::from_secs(2);
/// How many threads are kept for what blocks: more are made when there is more to do at once.
const BLOCKING_THREADS: usize = 2;
/// Room for events of one kind that wait to be taken.
const WAITING: usize = 1_024;

/// The daemon could not start.
#[derive(Debug, thiserror::Error)]
#[error("the daemon can't {step}: {detail}")]
pub struct DaemonError {
    step: &'static str,
    detail: String,
}

fn failed<E: std::error::Error + 'static>(step: &'static str) -> impl Fn(E) -> DaemonError {
    move |error| DaemonError { step, detail: chain(&error) }
}

/// Runs the daemon until it is asked to end. What it runs for others goes on without it. Its
/// metrics can be read at `listen`, if there is such an address.
///
/// # Errors
/// It could not start, or its store failed (then it has given up its services first).
pub fn run(paths: &Paths, listen: Option<metrics::listen::Address>) -> Result<(), DaemonError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = threads::runtime(builder.worker_threads(2), BLOCKING_THREADS)
        .map_err(failed("start its runtime"))?;
    let ended = runtime.block_on(daemon(paths, listen));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn daemon(
    paths: &Paths,
    listen: Option<metrics::listen::Address>,
) -> Result<(), DaemonError> {
    let Own { identity, lock: _lock, secret, key, journal } = Own::load(paths)?;

    let (guard_events, guard) = mpsc::channel(WAITING);
    let link = GuardLink::start(paths.guard_socket(), guard_events);
    let (results, performed) = mpsc::unbounded_channel();
    let (notices, noticed) = mpsc::unbounded_channel();
    let (submissions, submitted) = mpsc::channel(WAITING);

    let members = Members::new(network::known(&identity.members));
    let clients = Known::default();
    let eyes = Eyes::open();
    let proposer = Proposer::new(identity.node, clients.clone(), eyes.clone());
    let desk = Arc::new(api::join::Desk::new(secret));
    let peers = Arc::new(open_peers(&identity, &key, &members, &proposer, desk.clone())?);
    let node = Node::new(identity.node, State::default());
    let (shown, seen) = watch::channel(Arc::new(View::first(&identity, &node)));
    proposer.set_view(seen.clone());
    let handle = Handle::new(seen, submissions, results.clone(), peers.clone());
    desk.open(handle.clone());
    // Before the log, which opens only with the guard: what is wrong must be seen.
    let (ending, ended) = watch::channel(false);
    let numbers = Metrics::start(handle.clone(), journal.clone());
    let serve = |address| metrics::listen::serve(address, numbers.clone(), ended.clone());
    drop(listen.map(serve).map(tokio::spawn));
    let looks = (handle.clone(), journal.clone(), numbers);
    tell_where(&key, &handle, &eyes, &ended);
    let sees = (eyes.clone(), observers(identity.node, &peers));
    let (served, rehearsals) = open_api(paths, &key, looks, sees, ended)?;
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));

    let programs = found_programs(paths, &identity, results.clone())?;
    check_disk(paths)?;
    let opened = tokio::select! {
        opened = open_log(paths, &identity, &link, &peers) => opened?,
        () = asked_to_end() => return Ok(()),
    };
    let (log, events) = (Arc::new(opened.0), opened.1);
    proposer.set_log(log.clone());
    let words = (results.clone(), notices.clone());
    let departure = departure::start(handle.clone(), paths.departed(), words);
    let devices = rehearsals.devices();
    let performers = Performers {
        me: identity.node,
        resets: tell_clients(identity.node, &handle, clients, &notices, &peers),
        log: log.clone(),
        layers: layers(identity.node, &peers, &eyes, results.clone()),
        peers,
        proposer,
        guard: None,
        programs,
        redirect: Redirect::hearing(&eyes.ears, results.clone(), notices),
        ties: TieBreaker::new(key.clone(), identity.cluster, results.clone()),
        elections: Elections::start(log.clone()),
        departure: departure.clone(),
        fences: Fences::new(devices.clone(), results.clone()),
        entry: Entry::start(handle.clone(), devices.clone(), paths.let_in(), results.clone()),
        results,
        journal,
    };
    let founding = found(paths.clone(), identity.clone(), key.key().0, log.clone(), handle.clone());
    tokio::spawn(founding);
    let inputs = Inputs { guard, log: events, performed, noticed, submitted };
    let task = Task::new(identity, node, performers, members, shown, inputs, paths.log_began());
    let over = tokio::select! {
        over = task.run() => over,
        () = asked_to_end_in_order(&departure, handle) => Ok(()),
    };
    ending.send_replace(true);
    drop(tokio::time::timeout(Duration::from_secs(1), served).await);
    close(&log, over).await
}

/// What this node has of its own, on disk.
struct Own {
    identity: Arc<Identity>,
    /// As long as it is held, this daemon is the only one here.
    lock: Lock,
    secret: [u8; 32],
    key: Key,
    journal: Journal,
}

impl Own {
    fn load(paths: &Paths) -> Result<Self, DaemonError> {
        let identity = Identity::load(paths).map_err(failed("read this node's identity"))?;
        std::fs::create_dir_all(&paths.run).map_err(failed("make its folder"))?;
        let lock = Lock::acquire(&paths.daemon_lock()).map_err(failed("be the only one"))?;
        let secret = identity::heartbeat_secret(paths).map_err(failed("read its secret"))?;
        let key = Key::load(&paths.keys()).map_err(failed("read its key"))?;
        let journal =
            Journal::open(&paths.journal(), &identity.name).map_err(failed("open its journal"))?;
        metrics::system_journal::follow(&journal).map_err(failed("tell the system's journal"))?;
        Ok(Self { identity: Arc::new(identity), lock, secret, key, journal })
    }
}

/// Closes the log, and hands on why the daemon ends.
async fn close(log: &Log, over: Result<(), String>) -> Result<(), DaemonError> {
    let Err(detail) = over else {
        log.shutdown().await;
        return Ok(());
    };
    // A disk that hangs lets nobody close its files, and the reason has to be said.
    drop(tokio::time::timeout(CLOSING, log.shutdown()).await);
    Err(DaemonError { step: "go on", detail })
}

/// The programs that run here, with those of a former run.
fn found_programs(
    paths: &Paths,
    identity: &Identity,
    results: mpsc::UnboundedSender<Event>,
) -> Result<Programs, DaemonError> {
    // Without them agents that need them fail, and say so; all others go on.
    if let Err(error) = crate::tools::install(&paths.programs()) {
        tracing::warn!("the tools of agents can't be put in place: {error}");
    }
    let programs = Programs::new(paths.programs(), &identity.name, results);
    let mut programs = programs.map_err(failed("watch over programs"))?;
    programs.reboot_by(stead_linux::reboot::now);
    programs.find().map_err(failed("find the programs of its former run"))?;
    Ok(programs)
}

/// The API, and the one set of devices that it and all else here use.
fn open_api(
    paths: &Paths,
    key: &Key,
    (handle, journal, metrics): (Handle, Journal, Metrics),
    sees: (Eyes, Observers),
    ended: watch::Receiver<bool>,
) -> Result<(JoinHandle<()>, Rehearsals), DaemonError> {
    let devices = Arc::new(Devices::of_daemon(&paths.run));
    let rehearsals = Rehearsals::new(handle.clone(), devices);
    let own = rehearsals.clone();
    // Nothing is due before the log has said so.
    own.clone().start();
    times::follow(handle.clone());
    let served = api::serve(paths, key.clone(), (handle, journal, metrics), own, sees, ended);
    Ok((served.map_err(failed("open its local API"))?, rehearsals))
}

fn open_peers(
    identity: &Identity,
    key: &Key,
    members: &Members,
    proposer: &Proposer,
    desk: Arc<api::join::Desk>,
) -> Result<Peers, DaemonError> {
    let own = identity.members.iter().find(|it| it.node == identity.node);
    Peers::start(PeersOptions {
        node: identity.node,
        cluster: identity.cluster,
        identity: key.clone(),
        listen: own.map(|it| it.addresses.clone()).unwrap_or_default(),
        members: members.clone(),
        daemon: Arc::new(proposer.clone()),
        join: Some(desk),
        software: concat!("stead ", env!("CARGO_PKG_VERSION")).to_string(),
        versions: PROTOCOL,
    })
    .map_err(failed("listen for the other daemons"))
}

async fn open_log(
    paths: &Paths,
    identity: &Identity,
    link: &GuardLink,
    peers: &Arc<Peers>,
) -> Result<(Log, stead_log::Events), DaemonError> {
    let opened = Log::open(Options {
        node: identity.node,
        cluster: identity.cluster,
        disk: log_disk(paths)?,
        timers: Timers::default(),
        snapshots: Snapshots::default(),
        machine: Box::new(Replica::default()),
        listener: Arc::new(link.clone()),
        network: peers.clone(),
    });
    opened.await.map_err(|error| match error {
        OpenError::Store(StoreError::Lost) => lost(paths, &identity.name),
        other @ (OpenError::Store(_) | OpenError::Timers(_) | OpenError::Engine(_)) => {
            failed("open its log")(other)
        }
    })
}

/// Where the log is. A node whose log is gone does not know what it voted for, and could vote twice
/// in one term (rule T2): once something was in it, an empty one is refused before anyone is
/// answered. The mark is made with the first entry that is applied; the vote for its leader is on
/// disk by then, so a log that is there is never taken for a lost one.
fn log_disk(paths: &Paths) -> Result<Disk, DaemonError> {
    let disk = Disk::Directory(paths.log());
    // What can't be looked at is not the same as what is not there.
    let began = paths.log_began().try_exists();
    let began = began.map_err(failed("see whether there was a log already"))?;
    Ok(if began { Disk::Used(Box::new(disk)) } else { disk })
}

/// What the operator of a node without memory has to know.
fn lost(paths: &Paths, name: &str) -> DaemonError {
    DaemonError {
        step: "take part as the node it was",
        detail: format!(
            "its log in {log} is gone, and with it what it voted for and what it acknowledged. \
             Nothing was changed, here or on the other nodes. If the folder was only moved or not \
             mounted, put it back as it was when the node last ran, never an older copy. Else \
             replace the node: stop both services, here `stead leave --forget`, on another node \
             `stead leave {name}` and `stead token {name}`, then join here with that token",
            log = paths.log().display(),
        ),
    }
}

/// A node whose disk takes nothing more must not serve until its first write shows it.
fn check_disk(paths: &Paths) -> Result<(), DaemonError> {
    let path = paths.state.join("disk-check");
    let written = write_atomically(&path, &[0; DISK_CHECK_BYTES], 0o600);
    drop(std::fs::remove_file(&path));
    written.map_err(failed("write to its disk, so it takes no part"))
}

/// Begins the cluster, if this node was told to.
async fn found(
    paths: Paths,
    identity: Arc<Identity>,
    key: [u8; 32],
    log: Arc<Log>,
    handle: Handle,
) {
    let path = paths.founding();
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    let config = match config::read("founding.toml", &text) {
        Ok(checked) => checked.config,
        Err(error) => {
            tracing::error!("the cluster can't be founded: {}", chain(&error));
            return;
        }
    };
    // An error says that it is initialized already: a former run came that far.
    drop(log.initialize([identity.node]).await);
    let (cluster, node) = (identity.cluster, identity.name.clone());
    let change = Change::Found { cluster, config, node, key };
    match handle.submit(change, FOUNDING_PATIENCE).await {
        Ok(_) => drop(std::fs::remove_file(path)),
        Err(error) => tracing::error!("the cluster is not founded yet: {}", chain(&error)),
    }
}

/// From now on the other daemons learn of this node's clients, and this one of theirs.
fn tell_clients(
    me: NodeId,
    handle: &Handle,
    clients: Known,
    notices: &mpsc::UnboundedSender<Notice>,
    peers: &Arc<Peers>,
) -> Resets {
    let resets = Resets::new(clients.clone(), notices.clone());
    let others = Arc::new(Daemons { me, peers: peers.clone() });
    connections::tell(me, handle.clone(), clients, &resets, others);
    resets
}

/// From now on documents for clients are made and served, where the configuration wants that.
fn tell_where(key: &Key, handle: &Handle, eyes: &Eyes, ending: &watch::Receiver<bool>) {
    match knowledge::Key::new(key.signer()) {
        Ok(key) => documents::start(handle.clone(), key, eyes.shelf.clone(), ending.clone()),
        Err(error) => tracing::warn!("clients can't be told where services are: {}", chain(&error)),
    }
}

fn observers(me: NodeId, peers: &Arc<Peers>) -> Observers {
    Observers::new(Arc::new(Daemons { me, peers: peers.clone() }))
}

fn layers(
    me: NodeId,
    peers: &Arc<Peers>,
    eyes: &Eyes,
    results: mpsc::UnboundedSender<Event>,
) -> Layers {
    Layers::new(me, observers(me, peers), eyes.ears.clone(), results)
}

/// Asked to end, and not in the middle of a departure.
async fn asked_to_end_in_order(departure: &Departure, handle: Handle) {
    asked_to_end().await;
    departure.linger(handle).await;
}
