//! The networks: links that carry heartbeats and the log's messages, and the segment (`lan`) on
//! which clients find the services.
//!
//! Happy path: a datagram goes out on every link and arrives on each that is open from its sender
//! to its addressee; the log's messages take the first open way. Rough weather loses, delays,
//! doubles and replays them, in any order.
//!
//! Absent on purpose: bandwidth and queues (a heartbeat is a hundred bytes), and switches that
//! learn (the layers beneath an address come with their own machines in `core/redirect`).

mod lan;
mod points;

pub use lan::{Client, Lan};
pub use points::Asking;
use stead_core::lease::Heartbeat;

use crate::log::Rpc;
use crate::world::{DaemonIn, GuardIn, What, World};

/// Which way is open, and how bad it is.
#[derive(Debug)]
pub struct Net {
    /// By link: from, to.
    up: Vec<Vec<Vec<bool>>>,
    /// Datagrams and messages are lost, late, doubled and replayed.
    pub rough: bool,
    /// One way, in microseconds, in calm weather.
    pub delay: u64,
    /// Datagrams that somebody recorded.
    recorded: Vec<(usize, u8, Heartbeat)>,
    /// The newest datagram of each machine to each other, in calm weather: by sender, addressee.
    newest: Vec<Vec<Option<Heartbeat>>>,
    /// The storm: everything is so much later, in microseconds, until then.
    pub storm: Option<(u64, u64)>,
}

/// So many recorded datagrams are kept.
const RECORDED: usize = 400;

impl Net {
    /// Every way is open.
    #[must_use]
    pub fn new(nodes: usize, links: usize, rough: bool) -> Self {
        Self {
            up: vec![vec![vec![true; nodes]; nodes]; links.max(1)],
            rough,
            delay: 500,
            recorded: Vec::new(),
            newest: vec![vec![None; nodes]; nodes],
            storm: None,
        }
    }

    /// How many links there are.
    #[must_use]
    pub fn links(&self) -> usize {
        self.up.len()
    }

    /// Whether a way is open on a link.
    #[must_use]
    pub fn is_open(&self, link: usize, from: usize, to: usize) -> bool {
        self.up[link][from][to]
    }

    /// Whether any link leads from one machine to another.
    #[must_use]
    pub fn reaches(&self, from: usize, to: usize) -> bool {
        self.up.iter().any(|link| link[from][to])
    }

    /// Whether two machines can talk on any link, to and fro: a stream needs both ways.
    #[must_use]
    pub fn talks(&self, one: usize, other: usize) -> bool {
        self.up.iter().any(|link| link[one][other] && link[other][one])
    }

    /// Opens or shuts one way, on one link or on all.
    pub fn set(&mut self, link: Option<usize>, from: usize, to: usize, open: bool) {
        for (number, ways) in self.up.iter_mut().enumerate() {
            if link.is_none_or(|link| link == number) && from != to {
                ways[from][to] = open;
            }
        }
    }

    /// Shuts all ways between a group and the rest.
    pub fn cut(&mut self, link: Option<usize>, group: &[usize]) {
        let nodes = self.up[0].len();
        for a in 0..nodes {
            for b in 0..nodes {
                if group.contains(&a) != group.contains(&b) {
                    self.set(link, a, b, false);
                }
            }
        }
    }

    /// Opens everything.
    pub fn mend(&mut self) {
        self.up.iter_mut().flatten().for_each(|row| row.fill(true));
    }

    /// The newest datagram that a machine sent to each other.
    #[must_use]
    pub fn newest(&self, from: usize) -> Vec<(usize, Heartbeat)> {
        let own = self.newest[from].iter().enumerate();
        own.filter_map(|(to, heartbeat)| heartbeat.map(|it| (to, it))).collect()
    }
}

impl World {
    fn delay(&mut self) -> u64 {
        let storm = self.net.storm.filter(|(_, until)| *until > self.now);
        let late = storm.map_or(0, |(most, _)| self.chance.net.below(most));
        if !self.net.rough {
            return self.net.delay + late;
        }
        let rng = &mut self.chance.net;
        // What the timers allow for, mostly.
        let trip = self.plan.round_trip.0;
        late + match rng.below(100) {
            0..88 => rng.between(trip / 5, trip / 2),
            88..98 => rng.below(trip * 15),
            _ => rng.below(900_000),
        }
    }

    pub(crate) fn send_heartbeat(&mut self, from: usize, to: usize, heartbeat: Heartbeat) {
        if !self.net.rough {
            self.net.newest[from][to] = Some(heartbeat);
        }
        for link in 0..self.net.links() {
            if self.net.rough && self.disturbed(from, to, link as u8, heartbeat) {
                continue;
            }
            if self.net.is_open(link, from, to) {
                let delay = self.delay();
                self.deliver(to, link as u8, heartbeat, delay);
            }
        }
    }

    /// What rough weather does to a datagram. Says whether it is lost. Somebody carries some of
    /// them past a way that is shut, except in a lull.
    fn disturbed(&mut self, from: usize, to: usize, link: u8, heartbeat: Heartbeat) -> bool {
        let luck = self.chance.net.below(240);
        match luck {
            0..4 => return true,
            4..8 => {
                if self.net.recorded.len() >= RECORDED {
                    let at = self.chance.net.index(RECORDED);
                    self.net.recorded.swap_remove(at);
                }
                self.net.recorded.push((to, link, heartbeat));
            }
            8..10 => {
                let late = self.chance.net.below(20_000);
                if self.net.is_open(usize::from(link), from, to) || !self.is_lull() {
                    self.deliver(to, link, heartbeat, late);
                }
            }
            10..13 if !self.is_lull() => self.replay_something(),
            _ => {}
        }
        false
    }

    /// Sends a datagram again that somebody had recorded.
    pub(crate) fn replay_something(&mut self) {
        let which = self.chance.net.index(self.net.recorded.len());
        if let Some((to, link, heartbeat)) = self.net.recorded.get(which).copied() {
            let late = self.chance.net.below(1_000_000);
            self.deliver(to, link, heartbeat, late);
        }
    }

    /// Sends again what was sent to `to` before: the newest, or one of long ago.
    pub fn replay(&mut self, to: usize, heartbeat: Heartbeat) {
        self.deliver(to, 0, heartbeat, 0);
    }

    fn deliver(&mut self, to: usize, link: u8, heartbeat: Heartbeat, delay: u64) {
        // Datagrams reach whichever guard runs when they come.
        self.after(delay, What::Guard(to, 0, GuardIn::Heartbeat(link, heartbeat)));
    }

    pub(crate) fn send_rpc(&mut self, from: usize, to: usize, rpc: Rpc) {
        let mut delay = if from == to { 10 } else { self.delay() };
        let lost = self.net.rough && self.chance.net.chance(80);
        if from != to && (!self.carries(from, to) || lost) {
            // A proposal may come late, from a connection that was torn down.
            if !matches!(rpc, Rpc::Propose { .. }) || !self.net.rough || self.chance.net.chance(2) {
                return;
            }
            delay = self.chance.net.below(2_000_000);
        }
        if self.net.rough && matches!(rpc, Rpc::Propose { .. }) && self.chance.net.chance(10) {
            let late = self.chance.net.below(1_500_000);
            self.deliver_rpc(from, to, rpc.clone(), late);
        }
        self.deliver_rpc(from, to, rpc, delay);
    }

    /// Whether a message of the log gets there. Its streams need both ways; ruder than that, what
    /// was sent gets through one alone, except in a lull.
    fn carries(&self, from: usize, to: usize) -> bool {
        self.net.talks(from, to) || !self.is_lull() && self.net.reaches(from, to)
    }

    fn deliver_rpc(&mut self, from: usize, to: usize, rpc: Rpc, delay: u64) {
        let from = self.hosts[from].id;
        self.after(delay, What::Daemon(to, 0, Box::new(DaemonIn::Rpc { from, rpc })));
    }
}
