//! What one guard tells another, many times a second.

use serde::{Deserialize, Serialize};

use super::counting::Counts;
use super::watch::Armed;
use crate::id::{Incarnation, Index, NodeId, Sequence, Term};
use crate::points::Told;
use crate::tail::Tailed;
use crate::time::Span;

/// One heartbeat, as its sender's guard made it for one addressee.
///
/// On the wire it is sealed with the sender's key (`daemon/src/guard/seal.rs`); what arrives here
/// was opened, so the sender is who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Who sent it.
    pub from: NodeId,
    /// The sender's guard's start.
    pub incarnation: Incarnation,
    /// The number of this datagram within that start.
    pub sequence: Sequence,
    /// The newest term that the sender knows.
    pub term: Term,
    /// The sender coordinates in that term.
    pub coordinator: bool,
    /// The sender gave its lease up for good: it will hold none until its guard starts anew.
    pub released: bool,
    /// The sender can serve: its daemon is there and advances, and its clock can be trusted.
    pub daemon_alive: bool,
    /// The sender hears a coordinator that can act.
    pub hears_coordinator: bool,
    /// How late the sender's kernel may shut its gate.
    pub slack: Span,
    /// The end of the sender's log, to tell who is most up to date.
    pub log_tail: LogTail,
    /// The newest datagram that the sender has received from the addressee.
    pub receipt: Option<Receipt>,
    /// Whether the receipt counts towards a lease, and on what terms.
    pub echo: Option<Echo>,
    /// How long ago the sender had last received a coordinator's heartbeat of an earlier term than
    /// `term`, or sent one itself (protocol, section 3, "when others may act", (b)).
    pub earlier_coordinator: Span,
    /// What guards of 0.2 neither say nor read.
    #[serde(skip)]
    pub more: HeartbeatMore,
    /// What guards of 0.5 neither say nor read.
    #[serde(skip)]
    pub later: HeartbeatLater,
}

/// What a heartbeat has behind its tail. The default is what the silence of a guard of 0.5 means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatLater {
    /// The sender's watchdog, if it is armed.
    pub watchdog: Option<Armed>,
}

crate::tailless!(HeartbeatLater);

/// The tail of a heartbeat. The default is what the silence of a guard of 0.2 means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatMore {
    /// The form of the sender's gate.
    pub gate: GateForm,
    /// What the sender sees of the reference points.
    pub points: Told,
    /// On which links it lately heard the addressee, a bit for each link.
    pub links: Option<u8>,
    /// By which length of lease the sender counts (rule M3).
    pub counts: Option<Counts>,
}

/// Which form of the gate a node's kernel has, as a number: a form that comes later must not make
/// the whole heartbeat unreadable. For people; nothing is decided by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateForm(pub u8);

impl GateForm {
    /// A guard of 0.2, which doesn't say.
    pub const UNSAID: Self = Self(0);
    /// A table of nftables, with timeouts.
    pub const NFTABLES: Self = Self(1);
    /// Programs on the interfaces, with absolute deadlines.
    pub const EBPF: Self = Self(2);

    /// Its name, if it was said and this version knows it.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::NFTABLES => Some("nftables"),
            Self::EBPF => Some("ebpf"),
            Self(_) => None,
        }
    }
}

impl Tailed for Heartbeat {
    type More = HeartbeatMore;
    type Later = HeartbeatLater;

    fn more(&self) -> HeartbeatMore {
        self.more
    }

    fn later(&self) -> HeartbeatLater {
        self.later
    }

    fn add(&mut self, more: HeartbeatMore) {
        self.more = more;
    }

    fn add_later(&mut self, later: HeartbeatLater) {
        self.later = later;
    }
}

/// The end of a node's log. Compared as the log compares: the later term wins, then the length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogTail {
    /// The term of the last entry.
    pub term: Term,
    /// Its position.
    pub index: Index,
}

/// Proof of having received a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The addressee's start in which it sent that datagram.
    pub incarnation: Incarnation,
    /// The datagram's number.
    pub sequence: Sequence,
    /// How long the sender of this receipt sat on it. Only for measuring round trips.
    pub held: Span,
}

/// What makes a receipt count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// From a coordinator: its authority that was left when it received the datagram. Zero from
    /// everyone else.
    pub authority: Span,
    /// From a coordinator: where in the log the addressee was admitted. A lease counts only once
    /// the addressee has applied that.
    pub admission: Index,
}
