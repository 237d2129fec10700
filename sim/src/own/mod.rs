//! Somebody's own cluster: the configuration that they have or plan to have, under faults.
//!
//! ```text
//!   Config ─▶ simulated ─▶ Own ─▶ trial (one seed) ─▶ Told ─▶ sum (all seeds)
//! ```
//!
//! A seed is told in two parts. First faults come one at a time, in calm weather, each on a cluster
//! that is whole: what a fault costs can be read from that. Then they come as in every other seed,
//! several at once, and the judges watch.
//!
//! Happy path: [`Own::new`] takes what the simulator has a model of and names what it has none of
//! ([`Own::left_out`]); [`run`] runs a seed, [`Sum`] adds them up.
//! Failures: a configuration that is too large is refused ([`TooMuch`]); what a judge says is in
//! [`Told::verdict`] with its seed, which [`retell`] tells again.
//!
//! Absent on purpose: what operators do to a cluster, but for standby. It is the file that is
//! tried, and what people change in it is another file.

mod simulated;
mod sum;
mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_core::id::ServiceId;
use stead_core::placement::stands_on;
use stead_core::points;
use stead_core::state::config::Config;
use stead_core::time::Span;
pub use sum::{KindSum, ServiceSum, Sum};
pub use trial::{Outage, Single, Stormy, Told, retell, run};

use crate::plan::{NAMES, Plan};
use crate::world::Dogs;

/// The most services. With more of them a seed takes minutes.
pub const MOST_SERVICES: usize = 50;
/// The time between two questions of a client.
const PROBE: Span = Span::from_millis(10);

/// Why a configuration is not simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// Every machine talks with every other one.
    #[error("it has {0} nodes, and the simulator carries {most}", most = NAMES.len())]
    Nodes(usize),
    /// Every service has a client.
    #[error("it has {0} services, and the simulator carries {MOST_SERVICES}")]
    Services(usize),
    /// There is nothing that could fail.
    #[error("it has no services: there is nothing that could fail")]
    Nothing,
}

/// Somebody's own cluster, as far as it is simulated.
#[derive(Debug)]
pub struct Own {
    config: Config,
    /// The machines, voters first.
    names: Vec<&'static str>,
    services: Vec<ServiceId>,
    stands_on: Vec<Vec<usize>>,
    sites: Vec<Vec<usize>>,
    plan: Plan,
    left_out: Vec<String>,
}

impl Own {
    /// What of a configuration can be simulated.
    ///
    /// # Errors
    /// If it is too large, or nothing is in it. Nothing is simulated in its place.
    pub fn new(config: &Config) -> Result<Self, TooMuch> {
        if config.nodes.len() > NAMES.len() {
            return Err(TooMuch::Nodes(config.nodes.len()));
        }
        if config.services.len() > MOST_SERVICES {
            return Err(TooMuch::Services(config.services.len()));
        }
        if config.services.is_empty() || config.nodes.is_empty() {
            return Err(TooMuch::Nothing);
        }
        let left_out = simulated::left_out(config);
        let (config, parts) = simulated::of(config);
        let satellite = |name: &&String| config.later.satellites.contains(name.as_str());
        let voters = config.nodes.keys().filter(|name| !satellite(name));
        let names: Vec<_> = voters.chain(config.nodes.keys().filter(satellite)).collect();
        let sites = sites(&config, &names);
        let services: Vec<ServiceId> = config.services.keys().cloned().collect();
        let number = |it: &ServiceId| services.iter().position(|service| service == it);
        let below = |it| stands_on(&config, it).into_iter().filter_map(number).collect();
        let stands_on = services.iter().map(below).collect();
        let plan = Plan { parts, ..plan(&config) };
        let names = names.into_iter().map(|name| kept(name)).collect();
        Ok(Self { config, names, services, stands_on, sites, plan, left_out })
    }

    /// What of it is not simulated, a line for each; nothing of that is in what is told.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The configuration that is simulated.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The machines, voters first.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The services, by their numbers.
    #[must_use]
    pub fn services(&self) -> &[ServiceId] {
        &self.services
    }

    /// The name of a service.
    #[must_use]
    pub fn service(&self, number: usize) -> Option<&ServiceId> {
        self.services.get(number)
    }

    /// The number of a service.
    #[must_use]
    pub fn number(&self, name: &ServiceId) -> Option<usize> {
        self.services.iter().position(|it| it == name)
    }

    /// What a service needs, and what that needs.
    pub(crate) fn stands_on(&self, number: usize) -> &[usize] {
        self.stands_on.get(number).map_or(&[], Vec::as_slice)
    }

    /// The machines of each site, where the file names sites.
    pub(crate) fn sites(&self) -> &[Vec<usize>] {
        &self.sites
    }

    /// Whether not every service may be everywhere.
    pub(crate) fn has_rules(&self) -> bool {
        let copies = self.config.later.next.services.values();
        let some = copies.filter_map(|more| more.copies.as_ref()).any(|it| it.nodes.is_some());
        some || !self.config.later.fencing.rules.services.is_empty()
    }

    /// The cluster of a seed.
    #[must_use]
    pub fn plan(own: &Arc<Self>, seed: u64) -> Plan {
        Plan { seed, own: Some(Arc::clone(own)), ..own.plan.clone() }
    }
}

/// What stands in a plan beside the configuration, and follows from that.
fn plan(config: &Config) -> Plan {
    let nodes = config.later.fencing.nodes.values();
    let (dogs, chain) = (nodes.clone().any(|it| it.watchdog), &config.later.quorum.chain);
    Plan {
        satellites: config.later.satellites.len(),
        devices: nodes.clone().any(|it| !it.levels.is_empty()),
        fence_ties: chain.fences(),
        links: config.links.len().max(1),
        points: points::of_config(config).len(),
        register: chain.register().is_some(),
        watchdogs: dogs.then_some(Dogs::Outside),
        ride_out: config.ride_out,
        round_trip: config.round_trip,
        grace: config.daemon_grace,
        rough: true,
        probe: PROBE,
        ..Plan::calm(config.nodes.len(), config.services.len())
    }
}

fn sites(config: &Config, names: &[&String]) -> Vec<Vec<usize>> {
    let mut sites: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (machine, name) in names.iter().enumerate() {
        if let Some(site) = config.nodes.get(*name).and_then(|it| it.site.as_deref()) {
            sites.entry(site).or_default().push(machine);
        }
    }
    sites.into_values().collect()
}

/// A machine's name for as long as the process lives: a file is read once, and has few of them.
fn kept(name: &str) -> &'static str {
    Box::leak(name.to_owned().into_boxed_str())
}
