//! Asks the reference points of the services' networks whether they answer.
//!
//! # What it is for
//! A network that carries services' addresses may be dead on one node while the heartbeats' links
//! are fine. Every node asks the same machines on it (`[networks.NAME]`: gateways, addresses), by
//! ARP (RFC 826, 5227) or neighbour discovery (RFC 4861), and its guard tells the others what came
//! of it. Who draws which conclusion is decided elsewhere (`core/src/points`).
//!
//! # Why in the daemon
//! What arrives is bytes from anybody on that network, and which interface and which route to take
//! is asked of the kernel again and again: none of that belongs into the process that holds the
//! lease. A daemon that stands still asks nothing, and says so: see below.
//!
//! # Happy path
//! ```text
//! every sixth of the ride-out:  question to each point ─▶ answer, to this node ─▶ answered
//!                               no answer by the next question ─▶ missed grows by that time
//! ```
//! A question goes to the MAC that answered last, or to all after one that was not answered. Its
//! sender is an address of this node's own in that network; a service's address may move at any
//! moment and is never used. Where there is none, the question is a probe, which claims nothing.
//! Only what is sent to this node counts as an answer: that a point is heard asking others does not
//! show that anything leaves this port.
//!
//! # Failures
//! An interface that is down, without carrier or gone can't bring an answer: its points are taken
//! for missed nearly a ride-out at once, short of what it takes to see that others go on having
//! answers ([`point::Point::cut`]). What could not be asked (no descriptor left, the queue full) is
//! not missed. A loop that ran late counts no more than two of its periods: what waited in the
//! socket meanwhile is read after that, and clears it.
//!
//! # Deliberately absent
//! Echo requests: a gateway's firewall may drop them, none drops ARP. Routes of other tables than
//! the main one.

mod once;
mod point;
mod port;
mod run;
mod way;

use std::net::IpAddr;

use stead_core::points::{self, Watched, What};
use stead_core::state::State;
use stead_core::state::config::NetworkConfig;
use stead_core::timers::Timers;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use once::{Found, look};
pub(crate) use port::{answer, question};

/// What is to be asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The revision of the configuration that numbers the points.
    pub revision: u64,
    /// Each network that has points, and the numbers of its points.
    pub networks: Vec<Network>,
    /// The services' addresses: they come and go, and are no node's own.
    pub moving: Vec<IpAddr>,
    /// The timers in force.
    pub timers: Timers,
}

/// One network.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// As it is configured.
    pub config: NetworkConfig,
    /// Its points, each with its number.
    pub points: Vec<(usize, What)>,
}

impl Wanted {
    /// What a state asks for.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let Some(config) = &state.config else { return Self::default() };
        let points = points::of_config(config);
        let network = |(name, network): (&String, &NetworkConfig)| {
            let own = points.iter().enumerate().filter(|(_, point)| point.network == *name);
            let points = own.map(|(number, point)| (number, point.what)).collect();
            Network { config: network.clone(), points }
        };
        let services = config.services.values().flat_map(|service| &service.addresses);
        Self {
            revision: state.revision,
            networks: config.more.networks.iter().map(network).collect(),
            moving: services.map(|address| address.ip).collect(),
            timers: state.timers,
        }
    }
}

/// The loop that asks. It ends when this is dropped.
pub struct Points {
    wanted: watch::Sender<Wanted>,
    watched: watch::Receiver<Watched>,
    task: AbortHandle,
}

impl Points {
    /// Begins, with nothing to ask. It works in the network namespace of the thread that calls it,
    /// inside a tokio runtime.
    #[must_use]
    pub fn start() -> Self {
        let (wanted, asked) = watch::channel(Wanted::default());
        let (tell, watched) = watch::channel(Watched::default());
        let task = tokio::spawn(run::run(asked, tell)).abort_handle();
        Self { wanted, watched, task }
    }

    /// Asks these from now on.
    pub fn set(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|old| {
            let news = *old != wanted;
            *old = wanted;
            news
        });
    }

    /// What came of it so far, and what will.
    #[must_use]
    pub fn watched(&self) -> watch::Receiver<Watched> {
        self.watched.clone()
    }
}

impl Drop for Points {
    fn drop(&mut self) {
        self.task.abort();
    }
}
