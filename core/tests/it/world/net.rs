//! The network between hosts.

use std::collections::BTreeMap;

use stead_core::lease::{self, Heartbeat};

use super::daemon::DaemonIn;
use super::guard::GuardIn;
use super::log::Rpc;
use super::{What, World, index};

/// Which way is open, and how bad it is.
pub struct Net {
    /// From, to.
    pub up: Vec<Vec<bool>>,
    pub rough: bool,
    /// One way, in microseconds.
    pub delay: u64,
    /// Datagrams that somebody recorded.
    recorded: Vec<(usize, Heartbeat)>,
    /// The newest datagram of each host to each other.
    newest: BTreeMap<(usize, usize), Heartbeat>,
}

impl Net {
    pub fn new(nodes: usize, rough: bool) -> Self {
        Self {
            up: vec![vec![true; nodes]; nodes],
            rough,
            delay: 500,
            recorded: Vec::new(),
            newest: BTreeMap::new(),
        }
    }
}

impl Net {
    /// The newest datagram that a host sent to each other.
    pub fn newest(&self, from: usize) -> Vec<(usize, Heartbeat)> {
        let own = self.newest.iter().filter(|((sender, _), _)| *sender == from);
        own.map(|((_, to), heartbeat)| (*to, *heartbeat)).collect()
    }
}

impl World {
    fn delay(&mut self) -> u64 {
        if !self.net.rough {
            return self.net.delay;
        }
        match self.rng.below(100) {
            0..85 => 1_000 + self.rng.below(1_000),
            85..97 => self.rng.below(60_000),
            _ => self.rng.below(900_000),
        }
    }

    pub fn send_heartbeat(&mut self, from: usize, to: usize, heartbeat: Heartbeat) {
        if self.net.rough {
            if self.rng.chance(60) {
                return;
            }
            if self.rng.chance(40) {
                self.net.recorded.push((to, heartbeat));
            }
            if self.rng.chance(60) && !self.net.recorded.is_empty() {
                let which = self.rng.below(self.net.recorded.len() as u64) as usize;
                let (to, heartbeat) = self.net.recorded[which];
                let late = self.rng.below(1_000_000);
                self.deliver(to, heartbeat, late);
            }
        }
        if !self.net.rough {
            self.net.newest.insert((from, to), heartbeat);
        }
        if self.net.up[from][to] {
            let delay = self.delay();
            self.deliver(to, heartbeat, delay);
        }
    }

    /// Sends again what `from` had sent to `to` before: the newest, or one of long ago.
    pub fn replay(&mut self, to: usize, heartbeat: Heartbeat) {
        self.deliver(to, heartbeat, 0);
    }

    fn deliver(&mut self, to: usize, heartbeat: Heartbeat, delay: u64) {
        // Datagrams reach whichever guard runs when they come.
        let event = lease::Event::Heartbeat { link: 0, heartbeat };
        self.after(delay, What::Guard(to, 0, GuardIn::Event(event)));
    }

    pub fn send_rpc(&mut self, from: usize, to: usize, rpc: Rpc) {
        let mut delay = if from == to { 10 } else { self.delay() };
        if from != to && (!self.net.up[from][to] || self.net.rough && self.rng.chance(80)) {
            // A proposal may come late, from a connection that was torn down.
            if !matches!(rpc, Rpc::Propose { .. }) || !self.chaos || self.rng.chance(2) {
                return;
            }
            delay = self.rng.below(2_000_000);
        }
        let doubled = matches!(rpc, Rpc::Propose { .. }) && self.chaos && self.rng.chance(10);
        if doubled {
            let late = self.rng.below(1_500_000);
            self.deliver_rpc(from, to, rpc.clone(), late);
        }
        self.deliver_rpc(from, to, rpc, delay);
    }

    fn deliver_rpc(&mut self, from: usize, to: usize, rpc: Rpc, delay: u64) {
        let from = self.hosts[from].id;
        self.after(delay, What::Daemon(to, 0, Box::new(DaemonIn::Rpc { from, rpc })));
    }

    /// Cuts or mends all ways between two groups.
    pub fn cut(&mut self, group: &[usize], open: bool) {
        for a in 0..self.hosts.len() {
            for b in 0..self.hosts.len() {
                if a != b && group.contains(&a) != group.contains(&b) {
                    self.net.up[a][b] = open;
                }
            }
        }
    }

    pub fn mend_all(&mut self) {
        self.net.up.iter_mut().for_each(|row| row.fill(true));
    }

    pub fn send_to(&mut self, from: usize, to: stead_core::id::NodeId, heartbeat: Heartbeat) {
        if index(to) < self.hosts.len() {
            self.send_heartbeat(from, index(to), heartbeat);
        }
    }
}
