//! Routes: the routing daemon of this node is told what it may announce, and watched while it does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::{NodeId, ServiceId};
use stead_core::redirect::Seen;
use stead_core::state::State;
use stead_core::state::config::{Config, Routing};
use stead_edge::chain;
use stead_redirect::routing::{
    Announce, Daemon, Prefix, Session, Source, Trouble, Vtysh, Watched, expected_outage,
};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::observe::Sight;
use crate::guard::reach::STUB;

/// Where Debian's BIRD listens.
const BIRD: &str = "/run/bird/bird.ctl";
/// The file of stead's own part of BIRD's configuration.
const INCLUDE: &str = "/etc/bird/stead.conf";
/// The time between two looks at a daemon that does not announce yet.
const AGAIN: Duration = Duration::from_millis(100);
/// The time between two attempts to tell a daemon that does not answer, or does not take it.
const TOLD_AGAIN: Duration = Duration::from_secs(5);
/// How long it may take from the kernel to the neighbours before that is told.
const PATIENCE: Duration = Duration::from_secs(3);

/// The routing daemon, and what was seen of it last. Copies share that.
#[derive(Clone, Default)]
pub struct Routes(Arc<Mutex<Known>>, Arc<tokio::sync::Mutex<()>>);

#[derive(Default)]
struct Known {
    /// What it was told last to announce, or is being told.
    told: Option<(Daemon, Announce)>,
    /// Who tells it until it has taken that.
    teller: Option<AbortHandle>,
    /// How that went, if it did not go well.
    trouble: Option<String>,
    watched: Option<Watched>,
}

/// What a node's name stands for in a path.
const NODE: &str = "{node}";

/// The daemon of a configuration, on the node of that name.
#[must_use]
pub fn daemon(routing: &Routing, node: &str) -> Daemon {
    let path = |text: &str| PathBuf::from(text.replace(NODE, node));
    match routing {
        Routing::Bird { control, include } => Daemon::Bird {
            control: path(control.as_deref().unwrap_or(BIRD)),
            include: path(include.as_deref().unwrap_or(INCLUDE)),
        },
        Routing::Frr { sockets } => {
            Daemon::Frr(Vtysh { sockets: sockets.as_deref().map(path), ..Vtysh::debian() })
        }
    }
}

/// What the cluster may announce at all.
#[must_use]
pub fn may_announce(config: &Config) -> BTreeSet<Prefix> {
    let addresses = config.services.values().flat_map(|it| &it.addresses);
    let announced = addresses.filter_map(|it| config.announced_as(it.ip));
    announced.filter_map(|it| Prefix::around(it.network, it.length)).collect()
}

/// The prefixes of one service on a node.
fn of_service(state: &State, service: &ServiceId, node: NodeId) -> Vec<Prefix> {
    let Some(config) = &state.config else { return Vec::new() };
    let addresses = state.addresses_on(service, node);
    let announced = addresses.into_iter().filter_map(|it| config.announced_as(it));
    let announced: BTreeSet<_> =
        announced.filter_map(|it| Prefix::around(it.network, it.length)).collect();
    announced.into_iter().collect()
}

impl Routes {
    /// Tells the daemon what the cluster may announce, if that is new.
    pub fn follow(&self, state: &State, me: NodeId) {
        let Some(config) = &state.config else { return };
        let wanted = config.redirect().routing.as_ref().and_then(|routing| {
            let source = Source::Interface(STUB.to_owned());
            match Announce::new(may_announce(config), source) {
                Ok(announce) => Some((daemon(routing, &state.name(me)), announce)),
                Err(error) => {
                    tracing::warn!("no route is announced: {}", chain(&error));
                    None
                }
            }
        });
        let mut known = self.lock();
        if known.told == wanted {
            return;
        }
        known.teller.take().inspect(AbortHandle::abort);
        known.told = wanted;
        let this = self.clone();
        let teller = tokio::spawn(async move { this.keep_telling().await });
        known.teller = Some(teller.abort_handle());
    }

    /// Tells it until it has taken it: a daemon may not be up yet when this one is.
    async fn keep_telling(&self) {
        loop {
            self.tell().await;
            if self.lock().trouble.is_none() {
                return;
            }
            sleep(TOLD_AGAIN).await;
        }
    }

    /// Tells it what it was to be told last.
    async fn tell(&self) {
        // Two at once would write one file, and the older could win.
        let _alone = self.1.lock().await;
        let told = self.lock().told.clone();
        let Some((daemon, announce)) = told else { return };
        let configured = daemon.configure(&announce).await;
        let trouble = configured.err().map(|error| chain(&error));
        let mut known = self.lock();
        if let Some(trouble) = trouble.as_ref().filter(|it| known.trouble.as_ref() != Some(*it)) {
            tracing::warn!("{trouble}");
        }
        known.trouble = trouble;
    }

    /// Waits until the daemon announces a service's prefixes to somebody.
    pub async fn announced(
        &self,
        state: &State,
        service: &ServiceId,
        node: NodeId,
        deadline: Instant,
    ) -> Seen {
        let Some(daemon) = self.lock().told.as_ref().map(|it| it.0.clone()) else {
            return Seen::No("no routing daemon is configured".to_owned());
        };
        let prefixes = of_service(state, service, node);
        let deadline = deadline.min(Instant::now() + PATIENCE);
        loop {
            let why = match self.look(&daemon, &prefixes).await {
                Ok(watched) => match missing(&watched, &prefixes) {
                    None => return Seen::Yes(neighbours(&watched, &prefixes)),
                    Some(why) => why,
                },
                Err(why) => why,
            };
            if Instant::now() + AGAIN > deadline {
                // Perhaps what it may announce never came to it: it was not there then.
                self.tell().await;
                return Seen::No(why);
            }
            sleep(AGAIN).await;
        }
    }

    async fn look(&self, daemon: &Daemon, prefixes: &[Prefix]) -> Result<Watched, String> {
        let watched = daemon.watch(prefixes).await.map_err(|error| chain(&error))?;
        let mut known = self.lock();
        let watched = match &known.watched {
            Some(before) => watched.after(before),
            None => watched,
        };
        known.watched = Some(watched.clone());
        Ok(watched)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a prefix is not announced to anybody, if one is not.
fn missing(watched: &Watched, prefixes: &[Prefix]) -> Option<String> {
    let announced = |it: &Prefix| watched.exported.get(it).is_some_and(|to| !to.is_empty());
    if prefixes.iter().all(announced) {
        return None;
    }
    let troubles = watched.troubles(prefixes);
    let silent =
        |it: &&Trouble| !matches!(it, Trouble::WithoutBfd { .. } | Trouble::BfdDown { .. });
    let words: Vec<_> = troubles.iter().filter(silent).map(ToString::to_string).collect();
    Some(if words.is_empty() { "it is not announced yet".to_owned() } else { words.join("; ") })
}

fn neighbours(watched: &Watched, prefixes: &[Prefix]) -> String {
    let all: BTreeSet<_> =
        prefixes.iter().filter_map(|it| watched.exported.get(it)).flatten().cloned().collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

/// A node's routing daemon, as it is seen there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingSight {
    /// Its name and version.
    pub daemon: String,
    /// The neighbours with which it has a session.
    pub sessions: Vec<String>,
    /// After how many milliseconds the slowest of them notices that the node is silent.
    pub notices_ms: u64,
    /// Why so long.
    pub why: String,
    /// How many milliseconds the news takes into routers' tables.
    pub spread_ms: u64,
    /// What is wrong with it, in sentences.
    pub troubles: Vec<String>,
}

/// The routing daemon of the node that this is, the configured one or else one where Debian's are;
/// it is only looked at.
pub(super) async fn sight(state: &State, on: NodeId) -> Sight {
    let configured = state.config.as_ref().and_then(|it| it.redirect().routing.as_ref());
    if let Some(routing) = configured {
        return match daemon(routing, &state.name(on)).watch(&[]).await {
            Ok(watched) => {
                let troubles = watched.troubles(&[]).iter().map(ToString::to_string).collect();
                Sight::Routing(RoutingSight { troubles, ..seen(&watched) })
            }
            Err(error) => Sight::Blind(chain(&error)),
        };
    }
    let bird = Routing::Bird { control: None, include: None };
    for routing in [bird, Routing::Frr { sockets: None }] {
        if let Ok(watched) = daemon(&routing, "").watch(&[]).await {
            return Sight::Routing(seen(&watched));
        }
    }
    Sight::Blind("none is configured, and neither BIRD nor FRR answers there".to_owned())
}

fn seen(watched: &Watched) -> RoutingSight {
    let up = watched.neighbours.iter().filter(|it| it.session == Session::Established);
    let sessions: Vec<_> = up.map(|it| it.name.clone()).collect();
    let parts = expected_outage(watched);
    let named = |name: &str| parts.iter().find(|it| it.name == name);
    let length = |name| named(name).map_or(Duration::ZERO, |it| it.length);
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    RoutingSight {
        daemon: watched.version.clone(),
        notices_ms: millis(length("detection")),
        why: named("detection").map_or_else(String::new, |it| it.reason.clone()),
        spread_ms: millis(length("spread")),
        sessions,
        troubles: Vec::new(),
    }
}
