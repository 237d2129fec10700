//! Documents for clients: where each service is, as this node knows it, signed and served.
//!
//! They follow from the state, as all members agree on it, so every node has the same to say. A
//! service is *here* once its holder has committed that clients may be told
//! (`RegisterChange::Told`), and *moving* before.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::ServiceId;
use stead_core::state::config::Config;
use stead_core::state::{Assignment, Holder, State};
use stead_edge::chain;
use stead_edge::private::Secret;
use stead_redirect::knowledge::{
    self, Cluster, Document, Envelope, Key, KeyDigest, Order, Settings, Shelf, Stamp, VERSION,
    Whereabouts,
};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use super::names;
use crate::driver::handle::Handle;

/// For how long a document may be believed.
const VALID: Duration = Duration::from_secs(600);
/// After which it is made anew, with nothing else to say.
const RENEW: Duration = Duration::from_secs(120);
/// After which a token that could not be read is looked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// Makes and serves documents as long as the daemon runs.
pub fn start(handle: Handle, key: Key, shelf: Shelf, ending: watch::Receiver<bool>) {
    tokio::spawn(keep(handle, key, shelf, ending));
}

async fn keep(mut handle: Handle, key: Key, shelf: Shelf, ending: watch::Receiver<bool>) {
    let mut known = Vec::new();
    let mut renewed = Instant::now();
    let mut server = Server::default();
    loop {
        let view = handle.view();
        let redirect = view.state.config.as_ref().map(Config::redirect);
        let port = redirect.and_then(|it| it.documents);
        let token = redirect.and_then(|it| it.documents_token.clone());
        server.be(port.map(|port| (port, token)), &shelf).await;
        let now = Instant::now();
        // What nobody is let read is not there, for those either who look whether clients are told.
        let new = if server.serves() { facts(&view.state) } else { Vec::new() };
        if new != known || now >= renewed + RENEW {
            let all = now >= renewed + RENEW;
            renewed = if all { now } else { renewed };
            put(&view.state, &key, &shelf, &new, if all { &[] } else { &known });
            known = new;
        }
        if *ending.borrow() {
            return;
        }
        tokio::select! {
            more = handle.changed() => if !more { return },
            () = sleep_until(server.again().unwrap_or(renewed + RENEW)) => {}
        }
    }
}

/// A port, and the file with the token that is asked for there.
type Wanted = (u16, Option<String>);

/// Who serves documents, if anybody does.
#[derive(Default)]
struct Server {
    /// The server ends when the sender is gone.
    runs: Option<(Wanted, watch::Sender<bool>, JoinHandle<()>)>,
    /// Why there is none, though one is wanted, and when that is looked at again.
    lacks: Option<(String, Instant)>,
}

impl Server {
    /// Whether there is one. One whose port is taken says so, and waits for it.
    fn serves(&self) -> bool {
        self.runs.as_ref().is_some_and(|(.., task)| !task.is_finished())
    }

    /// When something is to be tried again.
    fn again(&self) -> Option<Instant> {
        self.lacks.as_ref().map(|(_, again)| *again)
    }

    /// Serves like that from now on. Without the token that is to be asked for nobody is served.
    async fn be(&mut self, wanted: Option<Wanted>, shelf: &Shelf) {
        let runs = self.runs.as_ref().filter(|(.., task)| !task.is_finished());
        if runs.map(|(wanted, ..)| wanted) == wanted.as_ref() {
            self.lacks = None;
            return;
        }
        if let Some((_, over, task)) = self.runs.take() {
            drop(over);
            // Its port is free then. One that panicked has told it.
            let _ = task.await;
        }
        let Some((port, file)) = wanted else { return };
        let now = Instant::now();
        if self.again().is_some_and(|again| now < again) {
            return;
        }
        let token = match read(file.clone()).await {
            Ok(token) => token,
            Err(why) => {
                if self.lacks.as_ref().is_none_or(|(before, _)| *before != why) {
                    tracing::error!("nobody is told where services are: {why}");
                }
                self.lacks = Some((why, now + AGAIN));
                return;
            }
        };
        self.lacks = None;
        let (over, ending) = watch::channel(false);
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let settings = Settings { address, token };
        let task = tokio::spawn(knowledge::serve(settings, shelf.clone(), ending));
        self.runs = Some(((port, file), over, task));
    }
}

async fn read(file: Option<String>) -> Result<Option<Secret>, String> {
    let Some(file) = file else { return Ok(None) };
    let read = spawn_blocking(move || Secret::read(Path::new(&file)).map(Some));
    let read = read.await.map_err(|error| chain(&error))?;
    read.map_err(|error| chain(&error))
}

/// What a document says, without what only orders it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    service: ServiceId,
    epoch: u64,
    state: Whereabouts,
    node: Option<String>,
    addresses: Vec<std::net::IpAddr>,
    names: Vec<String>,
    signers: Vec<KeyDigest>,
}

fn facts(state: &State) -> Vec<Fact> {
    let Some(config) = &state.config else { return Vec::new() };
    let signers: Vec<_> = state.members.values().map(|it| KeyDigest(it.key)).collect();
    let fact = |(service, it): (&ServiceId, &Assignment)| {
        let (whereabouts, node) = whereabouts(state, service, it);
        let addresses = node.map(|node| state.addresses_on(service, node)).unwrap_or_default();
        let names = names::names(config, service).iter().map(|it| it.name.clone());
        Fact {
            service: service.clone(),
            epoch: it.epoch.0,
            state: whereabouts,
            node: node.map(|node| state.name(node)),
            addresses,
            names: names.collect::<std::collections::BTreeSet<_>>().into_iter().collect(),
            signers: signers.clone(),
        }
    };
    state.assignments.iter().filter(|(it, _)| config.services.contains_key(*it)).map(fact).collect()
}

fn whereabouts(
    state: &State,
    service: &ServiceId,
    assignment: &Assignment,
) -> (Whereabouts, Option<stead_core::id::NodeId>) {
    let told = state.redirect().told.get(service) == Some(&assignment.epoch);
    match &assignment.holder {
        Holder::Node(node) if told => (Whereabouts::Here, Some(*node)),
        Holder::Node(node) => (Whereabouts::Moving, Some(*node)),
        // What stops is still there for a moment, and where it goes is not known.
        Holder::Stopping { .. } | Holder::Stopped { .. } | Holder::Never => {
            (Whereabouts::Nowhere, None)
        }
    }
}

/// Signs what is new and puts it where it is served.
fn put(state: &State, key: &Key, shelf: &Shelf, facts: &[Fact], known: &[Fact]) {
    for gone in shelf.all() {
        let service = &gone.document().service;
        if !facts.iter().any(|it| it.service.0 == *service) {
            let _ = shelf.remove(service);
        }
    }
    for fact in facts.iter().filter(|it| !known.contains(it)) {
        let document = document(state, fact);
        match Envelope::sign(&document, key) {
            // An older one than is there: the clock was set back. The newer one is valid.
            Ok(envelope) => drop(shelf.put(envelope)),
            Err(error) => tracing::warn!("{}: {}", fact.service, chain(&error)),
        }
    }
}

fn document(state: &State, fact: &Fact) -> Document {
    let issued = Stamp::now();
    let config = state.config.as_ref();
    let site = config.and_then(|it| it.nodes.get(fact.node.as_ref()?)?.site.clone());
    Document {
        version: VERSION,
        cluster: Cluster {
            id: state.cluster.map(|it| it.to_string()).unwrap_or_default(),
            name: config.map(|it| it.name.clone()).unwrap_or_default(),
        },
        service: fact.service.0.clone(),
        order: Order { epoch: fact.epoch, sequence: state.applied.0, issued },
        state: fact.state,
        node: fact.node.clone(),
        site,
        addresses: fact.addresses.clone(),
        names: fact.names.clone(),
        valid_until: issued.after(VALID),
        signers: fact.signers.clone(),
    }
}

/// What this node's document says of a service: for an observer.
#[must_use]
pub fn says(shelf: &Shelf, service: &ServiceId) -> Option<Arc<Envelope>> {
    shelf.get(&service.0)
}
