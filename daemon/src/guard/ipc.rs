//! What guard and daemon say to each other: one message a packet, over a Unix socket of mode 0600.
//!
//! Both are the same binary but may be of different versions while one of them is being upgraded,
//! so each message begins with the version of this format, and the guard says its own first. What
//! came after 0.2 stands in the tails of what a guard says; what a daemon says that a guard of 0.2
//! does not know would end the connection, so it is said only to one whose [`HelloMore`] shows that
//! it does.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stead_core::id::{NodeId, Term};
use stead_core::lease::{Order, Report, ReportLater, ReportTail};
use stead_core::state::MacAddress;
use stead_core::state::config::Prefix;
use stead_core::tail::Tailed;
use stead_core::time::Span;

use super::seal::Rejected;
use crate::tail;

/// The version of this format.
pub const VERSION: u8 = 1;
/// The longest message: what a guard reports of 255 others, and room to spare.
pub const LONGEST: usize = 160 * 1024;

/// From the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToGuard {
    /// Where everything is. Before any order that needs it.
    Network(Network),
    /// For the lease machine.
    Order(Order),
}

/// The network as the configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// This node's own address on each link.
    pub links: Vec<SocketAddr>,
    /// The others' addresses on each link.
    pub peers: BTreeMap<NodeId, Vec<SocketAddr>>,
    /// Every address of every service, wherever it is now: the gate is shut for all that this node
    /// does not hold.
    pub places: Vec<Place>,
    /// How long a held address may outlive its last refreshing in the kernel.
    pub lifetime: Span,
    /// What addresses are beyond an address on a card; only of those that are. Guards of before
    /// 0.8 don't know of it.
    #[serde(skip)]
    pub reaches: BTreeMap<IpAddr, Reach>,
}

/// What an address is beyond an address on the node's own card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// It has a MAC of its own.
    pub mac: Option<MacAddress>,
    /// It is announced as that prefix by a routing daemon.
    pub route: Option<Prefix>,
    /// It is on no segment: it stands on an interface without a cable.
    pub alone: bool,
}

/// The tail of what a daemon says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGuardTail {
    /// Nothing.
    #[default]
    Nothing,
    /// Behind a network.
    Reaches(BTreeMap<IpAddr, Reach>),
}

impl Tailed for ToGuard {
    type More = ToGuardTail;
    type Later = ();

    fn more(&self) -> ToGuardTail {
        match self {
            Self::Network(network) if !network.reaches.is_empty() => {
                ToGuardTail::Reaches(network.reaches.clone())
            }
            Self::Network(_) | Self::Order(_) => ToGuardTail::Nothing,
        }
    }

    fn later(&self) {}

    fn add(&mut self, more: ToGuardTail) {
        if let (Self::Network(network), ToGuardTail::Reaches(reaches)) = (self, more) {
            network.reaches = reaches;
        }
    }

    fn add_later(&mut self, (): ()) {}
}

/// Where an address belongs on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The address.
    pub address: IpAddr,
    /// The length of its network's prefix.
    pub prefix: u8,
    /// The interface; if none, the one whose own network contains the address.
    pub interface: Option<String>,
}

/// From the guard.
#[expect(clippy::large_enum_variant, reason = "made one at a time and taken at once, never kept")]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromGuard {
    /// The first message.
    Hello(Hello),
    /// The lease machine's state.
    Report(Report),
    /// The term of the daemon's vote is known.
    VoteKnown(Term),
    /// An address had been removed by somebody else and is there again.
    Restored(IpAddr),
    /// Something does not work, in words.
    Trouble(String),
    /// What was refused on the links since the last time: from where, why, how often.
    Rejected(Vec<(SocketAddr, Rejected, u64)>),
    /// The guard was asked to end: stop everything here, then order the release.
    Ending,
}

/// What a guard says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The form of the gate.
    pub gate: String,
    /// Whether it runs with real-time priority, or why not.
    pub realtime: Result<(), String>,
    /// Whether its memory is locked, or why not.
    pub locked: Result<(), String>,
    /// How late the kernel may shut the gate.
    pub slack: Span,
    /// What guards of 0.2 don't say.
    #[serde(skip)]
    pub more: HelloMore,
}

/// What guards of 0.3 understand that earlier ones don't ([`HelloMore::understands`]).
pub const UNDERSTOOD: u8 = 3;
/// What guards of 0.8 understand as well: [`Network::reaches`].
pub const REACHES_UNDERSTOOD: u8 = 4;

/// The tail of a hello.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloMore {
    /// Which orders it understands: zero, those of 0.2; [`UNDERSTOOD`], those of 0.3 as well;
    /// [`REACHES_UNDERSTOOD`], those of 0.8 as well.
    pub understands: u8,
    /// Why the gate has not the better form, if it hasn't and nobody asked for that.
    pub gate_reason: Option<String>,
}

/// The tail of what a guard says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromGuardTail {
    /// Nothing.
    #[default]
    Nothing,
    /// Behind a hello.
    Hello(HelloMore),
    /// Behind a report.
    Report(ReportTail),
}

impl Tailed for FromGuard {
    type More = FromGuardTail;
    type Later = ReportLater;

    fn more(&self) -> FromGuardTail {
        match self {
            Self::Hello(hello) => FromGuardTail::Hello(hello.more.clone()),
            Self::Report(report) if report.more() != ReportTail::default() => {
                FromGuardTail::Report(report.more())
            }
            Self::Report(_)
            | Self::VoteKnown(_)
            | Self::Restored(_)
            | Self::Trouble(_)
            | Self::Rejected(_)
            | Self::Ending => FromGuardTail::Nothing,
        }
    }

    fn later(&self) -> ReportLater {
        if let Self::Report(report) = self { report.later() } else { ReportLater::default() }
    }

    fn add(&mut self, more: FromGuardTail) {
        match (self, more) {
            (Self::Hello(hello), FromGuardTail::Hello(more)) => hello.more = more,
            (Self::Report(report), FromGuardTail::Report(more)) => report.add(more),
            // The tail of something else, which only a damaged message has.
            (
                Self::Hello(_)
                | Self::Report(_)
                | Self::VoteKnown(_)
                | Self::Restored(_)
                | Self::Trouble(_)
                | Self::Rejected(_)
                | Self::Ending,
                FromGuardTail::Nothing | FromGuardTail::Hello(_) | FromGuardTail::Report(_),
            ) => {}
        }
    }

    fn add_later(&mut self, later: ReportLater) {
        if let Self::Report(report) = self {
            report.add_later(later);
        }
    }
}

/// A message that can't be understood.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    /// The other side speaks another version.
    #[error(
        "the other process speaks version {0} of the guard's protocol, this one {VERSION}: restart \
         the older of guard and daemon"
    )]
    Version(u8),
    /// It is damaged.
    #[error("a message between guard and daemon is damaged")]
    Damaged(#[from] postcard::Error),
    /// It is empty.
    #[error("an empty message between guard and daemon")]
    Empty,
}

/// Encodes a message.
///
/// # Errors
/// It can't be encoded, which only a bug explains.
pub fn encode<M: Serialize + Tailed>(message: &M) -> Result<Vec<u8>, IpcError> {
    Ok(tail::append(message, vec![VERSION])?)
}

/// Decodes a message.
///
/// # Errors
/// See [`IpcError`].
pub fn decode<M: DeserializeOwned + Tailed>(bytes: &[u8]) -> Result<M, IpcError> {
    match bytes.split_first() {
        None => Err(IpcError::Empty),
        Some((&VERSION, message)) => Ok(tail::read(message)?),
        Some((version, _)) => Err(IpcError::Version(*version)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use stead_core::id::{Epoch, Incarnation, Index, NodeId};
    use stead_core::lease::{
        Armed, Counts, GateForm, LogTail, PeerMore, PeerReport, ReportLater, ReportMore,
        ReportWatch, Traffic, WatchReport,
    };
    use stead_core::points::{Age, Told, ToldPoint};
    use stead_core::state::MOST_NODES;
    use stead_core::time::Instant;
    use stead_core::timers::Timers;

    use super::*;

    /// Ten years after the start of the clock, in microseconds.
    const LATE: u64 = 10 * 365 * 86_400 * 1_000_000;

    /// What is known of a peer on eight links, with all that can be said.
    fn peer() -> PeerReport {
        let (at, term) = (Instant(LATE), Term(1 << 30));
        let point = ToldPoint { answered: Age::of(Span(LATE)), missed: Age::of(Span(LATE)) };
        let traffic = Traffic { sent: 1 << 40, received: 1 << 40 };
        PeerReport {
            heard: Some(at),
            acknowledged: Some(at),
            incarnation: Incarnation(1 << 30),
            term,
            coordinator: true,
            daemon_alive: true,
            hears_coordinator: true,
            released: Some(Incarnation(1 << 30)),
            revoked: Some(at),
            slack: Span(LATE),
            log_tail: LogTail { term, index: Index(1 << 50) },
            round_trip: Span(LATE),
            links: (0..8).map(|link| (link, at)).collect(),
            more: PeerMore {
                gate: GateForm::EBPF,
                points: Told { revision: 1 << 30, points: [point; 8] },
                hears_on: Some(255),
                counts: Some(Counts { revision: 1 << 30, lease: Span(LATE) }),
                counts_since: at,
                traffic: (0..8).map(|link| (link, traffic)).collect(),
            },
        }
    }

    fn armed() -> Armed {
        Armed { timeout: Span(LATE), bound: true }
    }

    fn watch() -> WatchReport {
        let (least, device) = (Some(Span(LATE)), "x".repeat(60));
        let trouble = Some("x".repeat(400));
        let own = WatchReport { number: 1 << 40, least, armed: least, ..WatchReport::default() };
        WatchReport { bound: true, device, trouble, stands_still: true, ..own }
    }

    #[test]
    fn what_is_said_of_the_largest_cluster_fits() {
        let others = || (2..=MOST_NODES as u64).map(NodeId);
        let at = Instant(LATE);
        let report = Report {
            at,
            incarnation: Incarnation(1),
            started: at,
            term: Term(1),
            vote_known: true,
            coordinates: Some(Term(1)),
            voters: vec![(1..=16).map(NodeId).collect()],
            lease_until: at,
            quorate_until: at,
            earlier_coordinator: Some(at),
            hears_coordinator: true,
            released: false,
            clock_distrusted: false,
            held: Vec::new(),
            hold_number: 1,
            timers: Timers::default(),
            lapsed: Epoch(1),
            peers: others().map(|node| (node, peer())).collect(),
            more: ReportMore::default(),
            later: ReportLater {
                slow: Some(others().collect()),
                watch: ReportWatch {
                    own: Some(Box::new(watch())),
                    peers: others().map(|node| (node, armed())).collect(),
                },
                ..ReportLater::default()
            },
        };
        let bytes = encode(&FromGuard::Report(report.clone())).expect("it can be encoded");
        assert!(bytes.len() <= LONGEST, "{} bytes", bytes.len());
        let back = decode::<FromGuard>(&bytes).expect("it can be decoded");
        assert!(matches!(back, FromGuard::Report(it) if it == report));
        let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 65_535);
        let network = Network {
            peers: others().map(|node| (node, vec![address; 8])).collect(),
            ..Network::default()
        };
        let bytes = encode(&ToGuard::Network(network)).expect("it can be encoded");
        // A guard of 0.3 may still be there.
        assert!(bytes.len() <= 60 * 1024, "{} bytes", bytes.len());
    }
}
