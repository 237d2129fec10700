//! Starting the server, and ending it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use stead_linux::lock::{Lock, LockError};
use stead_log::transport::{Identity, IdentityError, Tls, bind};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::admin::{self, Desk};
use super::admission::Admission;
use super::ledger::{Ledger, Stopped};
use super::limits::{NOTE_SEEN, OTHER_DESCRIPTORS, THREADS};
use super::numbers::Numbers;
use super::server::Server;
use super::store::{self, Store, StoreError};
use super::table::Table;
use super::{DEFAULT_PORT, KEYS, LOCK, socket};
use crate::api::ServeError;
use crate::api::socket::{Access, listen};
use crate::ending::asked_to_end;
use crate::metrics::listen::{self as metrics, Address};

/// All that the operator may choose.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where everything is kept.
    pub folder: PathBuf,
    /// Where to listen; the [usual port](DEFAULT_PORT) of every address if empty.
    pub listen: Vec<SocketAddr>,
    /// Where metrics can be read, if anywhere.
    pub metrics: Option<Address>,
    /// The most connections in all.
    pub connections: usize,
    /// The most connections from one address.
    pub per_address: usize,
}

/// The server could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its folder or its registers can't be used.
    #[error("the quorum server can't start")]
    Store(#[from] StoreError),
    /// Another one runs.
    #[error("the quorum server can't be the only one here")]
    Lock(#[from] LockError),
    /// Its key can't be used.
    #[error("the quorum server can't use its key")]
    Key(#[from] IdentityError),
    /// An address can't be listened on.
    #[error("the quorum server can't listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The operator's socket can't be made.
    #[error("the quorum server can't be asked by its operator")]
    Socket(#[from] ServeError),
    /// The system lacks something.
    #[error("the quorum server can't {step}: {detail}")]
    System {
        /// What.
        step: &'static str,
        /// Why not.
        detail: String,
    },
    /// The disk failed.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

fn system<E: std::fmt::Display>(step: &'static str) -> impl Fn(E) -> RunError {
    move |error| RunError::System { step, detail: error.to_string() }
}

/// Runs the server until it is asked to end.
///
/// # Errors
/// It could not start, or its disk failed; nothing is answered then.
pub fn run(options: &RunOptions) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(system("start its runtime"))?;
    let ended = runtime.block_on(serve(options));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn serve(options: &RunOptions) -> Result<(), RunError> {
    let folder = &options.folder;
    store::make_folder(folder)?;
    let _lock = Lock::acquire(&folder.join(LOCK))?;
    let identity = own_key(folder.join(KEYS))?;
    let path = store::file(folder);
    let is_new = !path.exists();
    let (store, loaded) = Store::open(&path)?;
    let clusters = loaded.clusters.len();
    tracing::info!(clusters, key = %identity.key(), new = is_new, "the registers are open");
    let numbers = Arc::new(Numbers::default());
    let table = Table::new(loaded.clusters, loaded.tokens);
    let ledger = Ledger::start(store, table, numbers.clone()).map_err(system("start a thread"))?;
    let admission = Admission::new(places(options.connections)?, options.per_address);
    let tls = Tls::new(&identity).map_err(system("use its key"))?;
    let (ending, ended) = watch::channel(false);
    let server = Arc::new(Server::new(ledger, numbers, admission, tls, ended.clone()));
    let listeners = listeners(&options.listen)?;
    let mut listening = Vec::new();
    for listener in listeners {
        let address = listener.local_addr().map_err(system("look where it listens"))?;
        tracing::info!("clusters can reach it at {address}");
        listening.push(address);
        tokio::spawn(server.clone().listen(listener));
    }
    let key = identity.key();
    let desk = Desk { server: server.clone(), folder: folder.clone(), key, listening };
    let operators = listen(&socket(folder), Access::Owner)?;
    tokio::spawn(admin::serve(operators, Arc::new(desk), ended.clone()));
    if let Some(address) = options.metrics {
        tokio::spawn(metrics::serve(address, server.clone(), ended));
    }
    tokio::spawn(note_seen(server.clone()));
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    let outcome = tokio::select! {
        () = asked_to_end() => Ok(()),
        stopped = server.ledger.failed() => Err(stopped.into()),
    };
    ending.send_replace(true);
    let closing = server.clone();
    let closed = tokio::task::spawn_blocking(move || closing.ledger.close());
    // If it panicked, what it had to write is for people only.
    drop(closed.await);
    outcome
}

fn own_key(folder: PathBuf) -> Result<Identity, IdentityError> {
    if Identity::file(&folder).exists() {
        Identity::load(&folder)
    } else {
        Identity::generate(&folder)
    }
}

/// How many connections there may be: as many as wanted, if the system has descriptors for them.
fn places(wanted: usize) -> Result<usize, RunError> {
    let failed = system("look at the limit of its open files");
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    // More than the soft limit is for programs that don't use select(2); this is one.
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(system("raise that limit"))?;
    let there = usize::try_from(hard.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX);
    if there < wanted {
        tracing::warn!(
            "the limit of open files leaves room for {there} connections, not {wanted}; the unit's \
             LimitNOFILE raises it"
        );
    }
    Ok(wanted.min(there))
}

/// The usual port of both families, or what the operator chose. A machine without one of the
/// families has the other.
fn listeners(chosen: &[SocketAddr]) -> Result<Vec<TcpListener>, RunError> {
    let usual = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)]
        .map(|ip| SocketAddr::new(ip, DEFAULT_PORT));
    let wanted = if chosen.is_empty() { &usual[..] } else { chosen };
    let mut listeners = Vec::new();
    for address in wanted {
        match bind(*address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if chosen.is_empty() && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                tracing::warn!("this machine has no {address}: {error}");
            }
            Err(source) => return Err(RunError::Listen { address: *address, source }),
        }
    }
    Ok(listeners)
}

/// Notes now and then when clusters were heard.
async fn note_seen(server: Arc<Server>) {
    loop {
        tokio::time::sleep(NOTE_SEEN).await;
        if server.ledger.note_seen().await.is_err() {
            // The disk failed, which ends the server.
            return;
        }
    }
}
