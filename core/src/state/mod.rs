//! What every member agrees on: the wanted state, the members, the view, and who holds what.
//!
//! It changes only by a [`Change`] that the log has committed, in the log's order, and the same way
//! on every node: [`State::apply`] is a pure function. A change that no longer fits is refused, and
//! then nothing at all has changed.
//!
//! An assignment names a service, a node and an epoch. Two things let it move: the holder's own
//! committed record that it stopped, or a [`Takeover`], which the coordinator can only make from a
//! proof (`fencing`).
//!
//! Absent on purpose: everything that only one node can see (who is heard, which lease holds).

mod apply;
mod attributes;
mod change;
pub mod config;
mod copies;
mod devices;
mod disarm;
mod expects;
mod fence;
mod fencing;
mod grant;
mod halt;
mod incident;
mod prefix;
mod redirect;
mod refusal;
mod register;
mod registered;
mod rehearsal;
mod rest;
mod rules;
mod safety;
mod sound;
mod times;
mod votes;
mod watchdog;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

pub use attributes::{
    ATTRIBUTES_KEPT, AttributeScope, Attributes, LONGEST_ATTRIBUTE, LONGEST_ATTRIBUTE_NAME, SCORE,
    score_of,
};
pub use change::{
    Change, Digest, Outcome, PROTOCOL_0_2, PROTOCOL_0_3, PROTOCOL_0_4, PROTOCOL_0_5, PROTOCOL_0_6,
    PROTOCOL_0_7, PROTOCOL_0_8, ProofRecord, Takeover,
};
use config::{
    Config, ConfigLater, ConfigMore, ConfigNext, FencingConfig, RedirectConfig, RulesConfig,
};
pub use copies::{Copied, CopyStage, CopyStep};
pub use disarm::LONGEST_DISARMED;
pub use fence::{CONFIRMATIONS_KEPT, Confirmation};
pub use fencing::{FENCES_KEPT, FenceBegun, FenceChange, FenceEnd, FenceSaid, StateFencing};
pub use grant::{OVERRIDES_KEPT, Override};
pub use incident::{Cause, Incident, Moved, Reached, Stage};
pub use refusal::Refusal;
pub use register::{LOWERED_FOR, Lowered, RESERVATIONS_KEPT, RegisterChange, StateRedirect};
pub use registered::{Claimed, MacAddress, Registered, Reservation, Used};
pub use rehearsal::{Cycle, CycleEnd, Cycles, Rehearsal};
pub use rest::{Maintenance, Maintenances, Scope};
pub use sound::Unsound;
pub use times::{StateTimes, Visit, WAY_BACK};
pub use votes::{MOST_NODES, MOST_VOTERS};
pub use watchdog::{Watchdog, WatchdogWord};

use crate::id::{ClusterId, Epoch, Grant, Index, NodeId, ServiceId, Term};
use crate::lease::Admission;
use crate::tail::Tailed;
use crate::tailless;
use crate::time::Span;
use crate::timers::Timers;

/// How many members that left are remembered.
pub const LEFT_KEPT: usize = 16;
/// How many incidents are remembered.
pub const INCIDENTS_KEPT: usize = 100;

/// The replicated state. Empty until the cluster is founded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The last entry that is in it.
    pub applied: Index,
    /// The cluster's identity; nothing before it is founded.
    pub cluster: Option<ClusterId>,
    /// The wanted state.
    pub config: Option<Config>,
    /// Which version of the wanted state this is, counted from 1.
    pub revision: u64,
    /// The timers in force.
    pub timers: Timers,
    /// Timers under which leases may still run, beside those in force. Others wait by the longer
    /// of both.
    pub former_timers: Option<Timers>,
    /// Every node that has joined.
    pub members: BTreeMap<NodeId, Member>,
    /// The number of the node that joins next.
    pub next_node: u64,
    /// Members that left. They may still vote for a moment, and are talked to until they don't.
    pub left: BTreeMap<NodeId, Member>,
    /// Tokens that were given out, and for which node.
    pub tokens: BTreeMap<Digest, String>,
    /// The newest term whose coordinator has begun. What an earlier one decided comes too late.
    pub term: Term,
    /// The view's number.
    pub epoch: Epoch,
    /// Who is in the present view, and since which start of its guard.
    pub view: BTreeMap<NodeId, Admission>,
    /// Who holds what.
    pub assignments: BTreeMap<ServiceId, Assignment>,
    /// Nodes that shall be without services.
    pub standby: BTreeSet<NodeId>,
    /// The newest incidents, oldest first.
    pub incidents: VecDeque<Incident>,
    /// How many incidents there were.
    pub incident_count: u64,
    /// What 0.2 knows nothing of.
    #[serde(skip)]
    pub more: StateMore,
    /// What 0.3 knows nothing of.
    #[serde(skip)]
    pub later: StateLater,
}

/// What a state has in its tail, beside that of its configuration. Only members from 0.3 on read
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateMore {
    /// The lowest version of the protocol whose members have read all that led to this state; zero
    /// while that is every version. Never taken back: the log still holds what needs it.
    pub protocol: u16,
    /// Nothing moves for a while; nothing while the cluster is armed.
    pub disarmed: Option<Disarmed>,
}

/// What a state has behind that tail, beside that of its configuration. Only members from 0.4 on
/// read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateLater {
    /// The newest grant that is used up: the number g of the rules (`docs/protocol.md`, section 7).
    pub grant: Grant,
    /// Members that lost their vote when a tie was broken without them. Each votes again once it is
    /// back.
    pub out: BTreeSet<NodeId>,
    /// The quorum server, if the cluster is enrolled at one.
    pub server: Option<QuorumServer>,
    /// The newest overrides, oldest first.
    pub overrides: Vec<Override>,
    /// Nodes that an operator stopped, and that hold nothing until they are started.
    pub halted: BTreeSet<NodeId>,
    /// What 0.4 knows nothing of.
    #[serde(skip)]
    pub next: StateNext,
    /// What 0.5 knows nothing of.
    #[serde(skip)]
    pub fencing: StateFencing,
}

/// What a state has in the tail of that, beside that of its configuration. Only members from 0.5 on
/// read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateNext {
    /// Services whose holder may have something of them that only proof of its being off makes safe
    /// elsewhere.
    pub bound: BTreeSet<ServiceId>,
    /// The newest words of operators that a machine is off, oldest first.
    pub confirmations: Vec<Confirmation>,
    /// Services that an operator stopped, and that run nowhere until they are started.
    pub stopped: BTreeSet<ServiceId>,
    /// What stead leaves as it is, for work by hand.
    pub maintenance: Maintenances,
    /// Under which assignment a service's holder said that it works; only of those that need
    /// another or are needed.
    pub works: BTreeMap<ServiceId, Epoch>,
    /// Which node has a copy of which service.
    pub copies: BTreeMap<ServiceId, BTreeMap<NodeId, Copied>>,
    /// The epoch since which a service with copies is described as it is.
    pub described: BTreeMap<ServiceId, Epoch>,
    /// What agents remember.
    pub attributes: Attributes,
}

/// Where a quorum server is, and by what it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumServer {
    /// Its addresses, the one to try first in front.
    pub addresses: Vec<SocketAddr>,
    /// Its public key's digest.
    pub key: Digest,
}

/// That nothing moves, and nobody stops for want of a lease, while people work on the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disarmed {
    /// The revision that began it.
    pub since: u64,
    /// For how long, and so how long a lease is meanwhile.
    pub span: Span,
    /// Why, in an operator's words.
    pub reason: String,
    /// On which node that was asked for.
    pub by: String,
}

/// The tail of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateTail {
    own: StateMore,
    config: ConfigMore,
}

/// What stands behind that tail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEnd {
    own: StateLater,
    config: ConfigLater,
}

impl Tailed for State {
    type More = StateTail;
    type Later = StateEnd;

    fn more(&self) -> StateTail {
        let config = self.config.as_ref().map(|config| config.more.clone());
        StateTail { own: self.more.clone(), config: config.unwrap_or_default() }
    }

    fn later(&self) -> StateEnd {
        let config = self.config.as_ref().map(|config| config.later.clone());
        StateEnd { own: self.later.clone(), config: config.unwrap_or_default() }
    }

    fn add(&mut self, more: StateTail) {
        self.more = more.own;
        if let Some(config) = &mut self.config {
            config.more = more.config;
        }
    }

    fn add_later(&mut self, later: StateEnd) {
        self.later = later.own;
        if let Some(config) = &mut self.config {
            config.later = later.config;
        }
    }
}

/// The tail of what stands behind the tail of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEndTail {
    own: StateNext,
    config: ConfigNext,
}

/// What stands behind that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEndLater {
    own: StateFencing,
    config: FencingConfig,
}

/// What stands in the tail of that. Only members from 0.7 on read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEndRules {
    own: StateTimes,
    config: RulesConfig,
}

/// What stands behind that. Only members from 0.8 on read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEndRedirect {
    own: StateRedirect,
    config: RedirectConfig,
}

tailless!(RedirectConfig, StateEndRedirect);

impl Tailed for StateEndLater {
    type More = StateEndRules;
    type Later = StateEndRedirect;

    fn more(&self) -> StateEndRules {
        StateEndRules { own: self.own.times.clone(), config: self.config.more() }
    }

    fn later(&self) -> StateEndRedirect {
        StateEndRedirect { own: self.own.redirect.clone(), config: self.config.later() }
    }

    fn add(&mut self, more: StateEndRules) {
        self.own.times = more.own;
        self.config.add(more.config);
    }

    fn add_later(&mut self, later: StateEndRedirect) {
        self.own.redirect = later.own;
        self.config.add_later(later.config);
    }
}

impl Tailed for StateEnd {
    type More = StateEndTail;
    type Later = StateEndLater;

    fn more(&self) -> StateEndTail {
        StateEndTail { own: self.own.next.clone(), config: self.config.more() }
    }

    fn later(&self) -> StateEndLater {
        StateEndLater { own: self.own.fencing.clone(), config: self.config.later() }
    }

    fn add(&mut self, more: StateEndTail) {
        self.own.next = more.own;
        self.config.add(more.config);
    }

    fn add_later(&mut self, later: StateEndLater) {
        self.own.fencing = later.own;
        self.config.add_later(later.config);
    }
}

/// A node that has joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name in the configuration.
    pub name: String,
    /// Its public key's digest: what its connections are trusted by.
    pub key: Digest,
}

/// Who holds a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The number of this assignment. A start is allowed once per epoch.
    pub epoch: Epoch,
    /// The holder.
    pub holder: Holder,
    /// What the holder may be answering for: the service's addresses as they were configured when
    /// this assignment was made.
    pub addresses: Vec<IpAddr>,
    /// Where an operator wants it next.
    pub wish: Option<NodeId>,
    /// The epoch of its first assignment of all.
    pub first_epoch: Option<Epoch>,
    /// How often it has failed on which node since that was last cleared.
    pub failures: BTreeMap<NodeId, u32>,
}

/// Where a service is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// Nowhere, and it never was.
    #[default]
    Never,
    /// Nowhere: its last holder is proven to have stopped.
    Stopped {
        /// The last holder.
        node: NodeId,
        /// Why it stopped.
        cause: Cause,
        /// How long it took to stop.
        took: Span,
    },
    /// This node may run it.
    Node(NodeId),
    /// This node has to stop it.
    Stopping {
        /// The holder.
        node: NodeId,
        /// Why.
        cause: Cause,
    },
}

impl Holder {
    /// The node that may still be running it.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Self::Never | Self::Stopped { .. } => None,
            Self::Node(node) | Self::Stopping { node, .. } => Some(*node),
        }
    }

    /// Why it is stopping or has stopped; lost, if it is neither.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Stopped { cause, .. } | Self::Stopping { cause, .. } => *cause,
            Self::Never | Self::Node(_) => Cause::Lost,
        }
    }
}

impl State {
    /// The identity of the member of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<NodeId> {
        self.members.iter().find(|(_, member)| member.name == name).map(|(node, _)| *node)
    }

    /// The name of a member, or of one that left; its number in words if it is none.
    #[must_use]
    pub fn name(&self, node: NodeId) -> String {
        match self.members.get(&node).or_else(|| self.left.get(&node)) {
            Some(member) => member.name.clone(),
            None => alloc::format!("node {node}"),
        }
    }

    /// The services that a node may be running.
    pub fn held_by(&self, node: NodeId) -> impl Iterator<Item = (&ServiceId, &Assignment)> {
        self.assignments.iter().filter(move |(_, it)| it.holder.node() == Some(node))
    }

    /// The addresses of a service, as they are configured now.
    #[must_use]
    pub fn configured_addresses(&self, service: &ServiceId) -> Vec<IpAddr> {
        let config = self.config.as_ref().and_then(|it| it.services.get(service));
        config.map(|it| it.addresses.iter().map(|address| address.ip).collect()).unwrap_or_default()
    }

    /// Whether another service's holder may still be answering for one of this service's addresses:
    /// the configuration gave it to this one, and the other has not stopped yet.
    #[must_use]
    pub fn is_address_busy(&self, service: &ServiceId) -> bool {
        let wanted = self.configured_addresses(service);
        let others = self
            .assignments
            .iter()
            .filter(|(other, it)| *other != service && it.holder.node().is_some());
        others.flat_map(|(_, it)| &it.addresses).any(|address| wanted.contains(address))
    }

    /// Whether nothing moves for now (`docs/protocol.md`, section 13).
    #[must_use]
    pub fn is_disarmed(&self) -> bool {
        self.more.disarmed.is_some()
    }

    /// How long others wait after a node's last sign of life, given its kernel's slack.
    #[must_use]
    pub fn wait(&self, slack: Span) -> Span {
        let now = self.timers.wait(slack);
        self.former_timers.map_or(now, |former| former.wait(slack).max(now))
    }
}
