//! What the guard tells its daemon: facts and times, no opinions.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::authority::VoterSets;
use super::counting::Counts;
use super::heartbeat::{GateForm, LogTail};
use super::holding::Holding;
use super::peer::LinkId;
use super::watch::{Armed, WatchReport};
use crate::id::{Epoch, Incarnation, NodeId, Term};
use crate::points::Told;
use crate::table::Table;
use crate::tail::Tailed;
use crate::time::{Instant, Span};
use crate::timers::Timers;

/// The state of a guard at one instant of this node's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When this was so.
    pub at: Instant,
    /// The guard's start.
    pub incarnation: Incarnation,
    /// When it started.
    pub started: Instant,
    /// The newest term that it knows.
    pub term: Term,
    /// Whether the daemon has told it the durable vote since it started.
    pub vote_known: bool,
    /// The term in which it acts as the coordinator's guard.
    pub coordinates: Option<Term>,
    /// Whose echoes it counts, as its coordinator's daemon told it.
    pub voters: VoterSets,
    /// Until when this node's lease holds. An instant in the past: there is none.
    pub lease_until: Instant,
    /// Until when this node may decide as a coordinator (rule M2).
    pub quorate_until: Instant,
    /// The latest moment at which a majority had heard of an earlier coordinator.
    pub earlier_coordinator: Option<Instant>,
    /// It hears a coordinator that can act (or is one).
    pub hears_coordinator: bool,
    /// It gave its lease up for good.
    pub released: bool,
    /// It refuses leases because the clock's rate can't be trusted.
    pub clock_distrusted: bool,
    /// The addresses that it holds open.
    pub held: Vec<Holding>,
    /// The number of the newest order about holdings that it obeyed since the daemon connected.
    pub hold_number: u64,
    /// The timers by which it counts.
    pub timers: Timers,
    /// Holdings up to this epoch were lost with a lease.
    pub lapsed: Epoch,
    /// The other guards.
    pub peers: Table<NodeId, PeerReport>,
    /// What guards of 0.2 don't say.
    #[serde(skip)]
    pub more: ReportMore,
    /// What guards of 0.3 don't say.
    #[serde(skip)]
    pub later: ReportLater,
}

impl Report {
    /// Whether little is heard of that node, and need not be: one of the two is a satellite, and
    /// neither coordinates.
    #[must_use]
    pub fn is_far(&self, node: NodeId) -> bool {
        let slow = self.later.slow.as_ref().is_some_and(|slow| slow.contains(&node));
        let coordinates = || self.peers.get(&node).is_some_and(|peer| peer.coordinator);
        slow && self.coordinates.is_none() && !coordinates()
    }

    /// How long that node may be silent where one that speaks at every heartbeat may be for
    /// `usual`.
    #[must_use]
    pub fn patience(&self, node: NodeId, usual: Span) -> Span {
        if self.is_far(node) { usual + self.timers.slow_rhythm() } else { usual }
    }
}

/// What a report has behind its tail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportLater {
    /// Whom it speaks to in the slow rhythm; nothing if it knows no such rhythm.
    pub slow: Option<BTreeSet<NodeId>>,
    /// What guards of 0.4 don't say.
    #[serde(skip)]
    pub next: ReportNext,
    /// What guards of 0.5 don't say.
    #[serde(skip)]
    pub watch: ReportWatch,
}

/// What a report has behind that: watchdogs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportWatch {
    /// This machine's; nothing if the guard knows nothing of watchdogs.
    pub own: Option<Box<WatchReport>>,
    /// Those of the others that were armed when they were last heard, as they said then.
    pub peers: Table<NodeId, Armed>,
}

crate::tailless!(ReportWatch);

/// What a report has in the tail of that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportNext {
    /// The newest epoch of programs that it shows the deadline to though they hold no address, zero
    /// for none; nothing if it can't.
    pub kept: Option<Epoch>,
}

impl Tailed for ReportLater {
    type More = ReportNext;
    type Later = ReportWatch;

    fn more(&self) -> ReportNext {
        self.next.clone()
    }

    fn later(&self) -> ReportWatch {
        self.watch.clone()
    }

    fn add(&mut self, more: ReportNext) {
        self.next = more;
    }

    fn add_later(&mut self, watch: ReportWatch) {
        self.watch = watch;
    }
}

/// What a report has in its tail, beside what stands there about each peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportMore {
    /// How often the gate did not obey since the guard started.
    pub gate_errors: u64,
    /// What this node tells of the reference points.
    pub points: Told,
    /// The revision of the state that brought the timers by which it counts; zero before its daemon
    /// has named one.
    pub revision: Option<u64>,
}

/// What a guard knows of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerReport {
    /// When it was last heard; nothing if never since this guard started.
    pub heard: Option<Instant>,
    /// When the newest datagram was sent to it that it says it received: a node that is heard may
    /// hear nothing itself.
    pub acknowledged: Option<Instant>,
    /// The start in which it was last heard.
    pub incarnation: Incarnation,
    /// The newest term that it knows.
    pub term: Term,
    /// It coordinates in that term.
    pub coordinator: bool,
    /// Its daemon is alive.
    pub daemon_alive: bool,
    /// It hears a coordinator that can act.
    pub hears_coordinator: bool,
    /// The start in which it released its lease.
    pub released: Option<Incarnation>,
    /// It is revoked; the time at which it had last been heard then.
    pub revoked: Option<Instant>,
    /// How late its kernel may shut its gate.
    pub slack: Span,
    /// The end of its log.
    pub log_tail: LogTail,
    /// The round trip to it.
    pub round_trip: Span,
    /// When each link last delivered something from it.
    pub links: Table<LinkId, Instant>,
    /// What guards of 0.2 don't say.
    #[serde(skip)]
    pub more: PeerMore,
}

/// What a report has about one peer in its tail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerMore {
    /// The form of its gate.
    pub gate: GateForm,
    /// What it told of the reference points when it was last heard.
    pub points: Told,
    /// On which links it then had lately heard this node, a bit for each link.
    pub hears_on: Option<u8>,
    /// By which length of lease it counts, as it said last.
    pub counts: Option<Counts>,
    /// Since when it says so, in this start and this term.
    pub counts_since: Instant,
    /// Datagrams to and from it on each link, since the guard started.
    pub traffic: Table<LinkId, Traffic>,
}

/// Heartbeats on one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Those that the kernel took.
    pub sent: u64,
    /// Those that arrived and could be opened.
    pub received: u64,
}

/// The tail of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportTail {
    own: ReportMore,
    /// Only of peers of which there is anything to say.
    peers: Table<NodeId, PeerMore>,
}

impl Tailed for Report {
    type More = ReportTail;
    type Later = ReportLater;

    fn more(&self) -> ReportTail {
        let told = self.peers.iter().filter(|(_, peer)| peer.more != PeerMore::default());
        let peers = told.map(|(node, peer)| (*node, peer.more.clone())).collect();
        ReportTail { own: self.more.clone(), peers }
    }

    fn later(&self) -> ReportLater {
        self.later.clone()
    }

    fn add(&mut self, more: ReportTail) {
        self.more = more.own;
        for (node, more) in more.peers.iter() {
            if let Some(peer) = self.peers.get_mut(node) {
                peer.more = more.clone();
            }
        }
    }

    fn add_later(&mut self, later: ReportLater) {
        self.later = later;
    }
}
