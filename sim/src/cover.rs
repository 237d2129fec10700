//! How often each kind of fault met each phase of the protocol. A cell that no seed of a large run
//! has hit is a trial that nobody made.

use crate::fault::Kind;
use crate::world::World;
use stead_core::state::Holder;

/// What the cluster was in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing.
    Calm,
    /// Nobody is quorate.
    Electing,
    /// Somebody is revoked, and the wait runs.
    Waiting,
    /// A service has a holder that does not serve it yet.
    TakingOver,
    /// A service is being stopped for another node.
    Moving,
    /// A member is not in the view.
    Admitting,
    /// New timers came in, and old leases may run.
    Reconfiguring,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Calm,
        Self::Electing,
        Self::Waiting,
        Self::TakingOver,
        Self::Moving,
        Self::Admitting,
        Self::Reconfiguring,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Electing => "electing",
            Self::Waiting => "waiting",
            Self::TakingOver => "taking over",
            Self::Moving => "moving",
            Self::Admitting => "admitting",
            Self::Reconfiguring => "reconfiguring",
        }
    }
}

/// The counters.
#[derive(Clone, Debug)]
pub struct Cover {
    cells: Vec<[u64; Phase::ALL.len()]>,
    /// Snapshots that were installed.
    pub snapshots: u64,
    /// How often half of the voters went on by a grant.
    pub ties: u64,
}

impl Default for Cover {
    fn default() -> Self {
        Self { cells: vec![[0; Phase::ALL.len()]; Kind::ALL.len()], snapshots: 0, ties: 0 }
    }
}

impl Cover {
    /// Counts one.
    pub fn hit(&mut self, kind: Kind, phase: Phase) {
        self.cells[kind as usize][phase as usize] += 1;
    }

    /// How often a kind of fault met a phase.
    #[must_use]
    pub fn cell(&self, kind: Kind, phase: Phase) -> u64 {
        self.cells[kind as usize][phase as usize]
    }

    /// Sets a counter, as read from a file.
    pub fn set(&mut self, kind: Kind, phase: Phase, times: u64) {
        self.cells[kind as usize][phase as usize] = times;
    }

    /// How often a kind of fault happened.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u64 {
        self.cells[kind as usize].iter().sum()
    }

    /// Takes another run's counters into this one's.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                *mine += theirs;
            }
        }
        self.snapshots += other.snapshots;
        self.ties += other.ties;
    }

    /// The cells that nothing hit.
    #[must_use]
    pub fn missing(&self) -> Vec<(Kind, Phase)> {
        let cells = Kind::ALL.into_iter().flat_map(|kind| Phase::ALL.map(|phase| (kind, phase)));
        cells.filter(|(kind, phase)| self.cell(*kind, *phase) == 0).collect()
    }
}

impl World {
    /// What the cluster is in the middle of. Of several things, the rarest.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let Some(state) = self.state() else { return Phase::Electing };
        if state.former_timers.is_some() {
            return Phase::Reconfiguring;
        }
        if state.assignments.values().any(|it| matches!(it.holder, Holder::Stopping { .. })) {
            return Phase::Moving;
        }
        let Some(coordinator) = self.coordinator() else { return Phase::Electing };
        let report = self.node(coordinator).and_then(|node| node.report());
        if report.is_some_and(|it| it.peers.values().any(|peer| peer.revoked.is_some())) {
            return Phase::Waiting;
        }
        if state.members.keys().any(|node| !state.view.contains_key(node)) {
            return Phase::Admitting;
        }
        let served = |service: usize| {
            let id = self.plan.service(service);
            let holder = state.assignments.get(&id).and_then(|it| it.holder.node());
            let host = holder.and_then(|node| self.host_of(node));
            host.is_some_and(|host| self.hosts[host].answers(self.plan.address(service), self.now))
        };
        if (0..self.plan.services).all(served) { Phase::Calm } else { Phase::TakingOver }
    }
}
