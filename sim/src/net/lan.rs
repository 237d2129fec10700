//! The segment of the services: clients that ask, what their caches say, and who else is there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::world::{What, World};

/// How long a client goes on asking a neighbour that does not answer before it asks the segment who
/// has the address (a neighbour entry's delay and probes; Linux takes about eight seconds, hosts
/// that the service matters to are set shorter). Microseconds.
const STALE: u64 = 2_000_000;

/// One client, which asks one address again and again. (Programs are the judges' matter.)
#[derive(Debug, Default)]
pub struct Client {
    /// The machine whose MAC its ARP cache has for the address.
    pub cache: Option<usize>,
    /// When it last had an answer, by true time.
    pub answered: Option<u64>,
    /// The longest time without an answer since that was last forgotten.
    pub longest: u64,
    unanswered_since: Option<u64>,
}

/// The segment.
#[derive(Debug)]
pub struct Lan {
    /// Whether each machine's port is up.
    pub up: Vec<bool>,
    /// One client for each service.
    pub clients: Vec<Client>,
    /// Whether each reference point lives.
    pub points: Vec<bool>,
    /// Machines whose guards know nothing of reference points.
    pub silent: Vec<bool>,
    /// Machines whose port has been down at some time.
    pub unsteady: Vec<bool>,
    /// Addresses that a stranger answers for, and until when.
    pub strangers: BTreeMap<IpAddr, u64>,
}

impl Lan {
    /// A segment with every port up.
    #[must_use]
    pub fn new(nodes: usize, services: usize, points: usize) -> Self {
        let clients = (0..services).map(|_| Client::default()).collect();
        Self {
            up: vec![true; nodes],
            clients,
            points: vec![true; points],
            silent: vec![false; nodes],
            unsteady: vec![false; nodes],
            strangers: BTreeMap::new(),
        }
    }

    /// Whether the client of a service had an answer within `patience` microseconds.
    #[must_use]
    pub fn is_served(&self, service: usize, now: u64, patience: u64) -> bool {
        let answered = self.clients.get(service).and_then(|client| client.answered);
        answered.is_some_and(|at| now - at <= patience)
    }

    /// The longest gaps count from now on.
    pub fn forget_gaps(&mut self) {
        self.clients.iter_mut().for_each(|client| client.longest = 0);
    }
}

impl World {
    /// A client of a service asks once.
    pub(crate) fn client_asks(&mut self, number: usize) {
        let now = self.now;
        self.after(self.plan.probe.0, What::Client(number));
        let address = self.plan.address(number);
        if self.lan.clients[number].cache.is_none() {
            let answering = self.answering(address);
            self.judge_answers(address, &answering);
            let which = self.chance.net.index(answering.len());
            self.lan.clients[number].cache = answering.get(which).copied();
        }
        let reached = self.lan.clients[number]
            .cache
            .filter(|host| self.lan.up[*host] && self.hosts[*host].answers(address, now));
        let client = &mut self.lan.clients[number];
        if reached.is_some() {
            if let Some(before) = client.answered {
                client.longest = client.longest.max(now - before);
            }
            client.answered = Some(now);
            client.unanswered_since = None;
        } else {
            let since = *client.unanswered_since.get_or_insert(now);
            if now - since >= STALE {
                client.cache = None;
                client.unanswered_since = None;
            }
        }
    }

    /// Who answers on the segment for an address.
    pub(crate) fn answering(&self, address: IpAddr) -> Vec<usize> {
        let reached = (0..self.hosts.len()).filter(|host| self.lan.up[*host]);
        reached.filter(|host| self.hosts[*host].answers(address, self.now)).collect()
    }

    /// A gratuitous ARP: whoever hears it has the sender in its cache from now on.
    pub(crate) fn gratuitous(&mut self, host: usize, address: IpAddr) {
        // The gate lets it out only while the address is open.
        if !self.lan.up[host] || !self.hosts[host].answers(address, self.now) {
            return;
        }
        for number in 0..self.lan.clients.len() {
            let lost = self.net.rough && self.chance.net.chance(20);
            if self.plan.address(number) == address && !lost {
                self.lan.clients[number].cache = Some(host);
            }
        }
    }

    /// Who else answers for an address, as a probe from that machine finds out.
    pub(crate) fn who_answers(&self, prober: usize, address: IpAddr) -> Option<String> {
        if !self.lan.up[prober] {
            return None;
        }
        let stranger = self.lan.strangers.get(&address).is_some_and(|until| *until > self.now);
        if stranger {
            return Some(format!("{address} is answered for by a stranger"));
        }
        let other = self.answering(address).into_iter().find(|host| *host != prober)?;
        Some(format!("{address} is answered for by {}", self.hosts[other].name))
    }
}
