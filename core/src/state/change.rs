//! The changes that the log carries, and what becomes of them.
//!
//! Every change names what it was decided upon (an epoch, a revision, an incarnation), so that one
//! that comes late, twice or with unknown fate changes nothing.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::config::{
    Config, ConfigLater, ConfigMore, ConfigNext, FencingConfig, RedirectConfig, RulesConfig,
};
use super::incident::{Cause, Stage};
use super::refusal::Refusal;
use super::{
    AttributeScope, Confirmation, CopyStep, FenceChange, Maintenance, Override, QuorumServer,
    RegisterChange, Scope, Visit, WatchdogWord,
};
use crate::id::{ClusterId, Epoch, Grant, Incarnation, NodeId, ServiceId, Term};
use crate::quorum::chain::Module;
use crate::tail::Tailed;
use crate::time::Span;

/// The SHA-256 of a node's public key (SPKI), or of a join token.
pub type Digest = [u8; 32];

/// One change of the replicated state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The cluster begins: its first entry.
    Found {
        /// Its identity.
        cluster: ClusterId,
        /// The wanted state.
        config: Config,
        /// The first member's name.
        node: String,
        /// The first member's public key.
        key: Digest,
    },
    /// A new wanted state, decided upon that revision of the old one.
    Configure {
        /// The revision that the operator saw.
        base: u64,
        /// The wanted state.
        config: Config,
    },
    /// Every lease that was given under the former timers has run out.
    Settle {
        /// The revision that brought the new timers.
        revision: u64,
    },
    /// A token lets one node join, once.
    AddToken {
        /// The token's digest; the token itself is nowhere.
        token: Digest,
        /// The node it is for.
        node: String,
    },
    /// A node joins with a token.
    Join {
        /// The token's digest.
        token: Digest,
        /// The node's public key.
        key: Digest,
    },
    /// A node leaves for good.
    Leave {
        /// Which.
        node: NodeId,
    },
    /// A start of a node's guard may hold a lease and give echoes that count.
    Admit {
        /// Which.
        node: NodeId,
        /// Its guard's start.
        incarnation: Incarnation,
    },
    /// A node is out of the view, and its services go to others.
    Takeover(Takeover),
    /// A service that nobody holds gets a holder.
    Assign {
        /// Which.
        service: ServiceId,
        /// The epoch of the assignment as it was seen.
        base: Epoch,
        /// The new holder.
        node: NodeId,
    },
    /// The holder shall stop, so that the service can go elsewhere or start anew.
    Stop {
        /// Which.
        service: ServiceId,
        /// The epoch of the assignment as it was seen.
        base: Epoch,
        /// Why.
        cause: Cause,
        /// Where it should go.
        wish: Option<NodeId>,
    },
    /// The holder has stopped: the proof that lets it start elsewhere.
    Stopped {
        /// Which.
        service: ServiceId,
        /// The holder.
        node: NodeId,
        /// The epoch under which it had been started.
        epoch: Epoch,
        /// Why.
        cause: Cause,
        /// How long it took to stop.
        took: Span,
    },
    /// A node shall (not) be without services.
    Standby {
        /// Which.
        node: NodeId,
        /// Whether.
        on: bool,
    },
    /// Forget how often services failed, all or one.
    Clear {
        /// Which; all if none.
        service: Option<ServiceId>,
    },
    /// The coordinator of that term begins. Before this is applied it lets nobody have a lease, and
    /// after it no earlier coordinator's takeover counts: such a proposal may be late and end up
    /// in a later leader's log.
    Lead {
        /// The term.
        term: Term,
    },
    /// A node tells what it saw of an incident.
    Observe {
        /// The service.
        service: ServiceId,
        /// The epoch of its assignment.
        epoch: Epoch,
        /// The stages.
        stages: Vec<Stage>,
    },
    /// Nothing moves for a while, and leases are that long.
    Disarm {
        /// The revision that the operator saw.
        base: u64,
        /// For how long.
        span: Span,
        /// Why.
        reason: String,
        /// On which node that was asked for.
        by: String,
    },
    /// Services move again as they have reason to.
    Arm {
        /// The revision that it was decided upon.
        base: u64,
        /// On which node that was asked for; none if the time is over.
        by: Option<String>,
    },
    /// A grant, and all before it, is used up. In the entry in which a half of the voters goes on
    /// without the other (rules G5, G11), or by itself (rule G12).
    Grant {
        /// Its number.
        number: Grant,
        /// The voters that lose their vote.
        out: BTreeSet<NodeId>,
    },
    /// A member that lost its vote is back, and shall vote again.
    Back {
        /// Which.
        node: NodeId,
    },
    /// The cluster is enrolled at a quorum server, or no longer.
    Enrol {
        /// Which.
        server: Option<QuorumServer>,
    },
    /// Half of the voters goes on by an operator's word, in the entry in which one of the others
    /// loses its vote (rule G18).
    Override(Override),
    /// An operator says that a node comes and goes no more: its quarantine is over.
    Steady {
        /// Which.
        node: NodeId,
    },
    /// Nodes shall hold nothing, or may again: a site, or all.
    Halt {
        /// Which.
        nodes: BTreeSet<NodeId>,
        /// Whether.
        on: bool,
    },
    /// A machine is off, by an operator's word: what stays with it may go elsewhere.
    ConfirmOff(Confirmation),
    /// Services shall run nowhere, or may again.
    StopServices {
        /// Which.
        services: BTreeSet<ServiceId>,
        /// Whether.
        on: bool,
    },
    /// Something is left as it is for a while, or no longer.
    Maintain {
        /// What.
        scope: Scope,
        /// Why and by whom; nothing when it is over.
        maintenance: Option<Maintenance>,
    },
    /// The holder says that a service works that needs another or is needed.
    Works {
        /// Which.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
    },
    /// Forget how often a part of a service failed.
    ClearResource {
        /// The service.
        service: ServiceId,
        /// The part.
        resource: String,
    },
    /// What a node says of its copy of a service.
    Copy {
        /// The service.
        service: ServiceId,
        /// The node.
        node: NodeId,
        /// What.
        step: CopyStep,
    },
    /// An agent remembers something, or forgets it.
    Attribute {
        /// Of what.
        scope: AttributeScope,
        /// Its name.
        name: String,
        /// Its value; nothing to forget it.
        value: Option<String>,
    },
    /// Something about a node's being switched off.
    Fence(FenceChange),
    /// What is to be relied on of a node's watchdog.
    Watch(WatchdogWord),
    /// A node's watchdog has certainly reset it: what stays with it may go elsewhere.
    WatchdogElapsed {
        /// Which.
        node: NodeId,
        /// The number of the word that this relies on.
        number: u64,
    },
    /// Other times of the week are open than before.
    Times {
        /// Those.
        open: BTreeSet<String>,
    },
    /// A service is to be on a node for a while, or no longer.
    Visit {
        /// Which.
        service: ServiceId,
        /// Where, and until when.
        visit: Option<Visit>,
    },
    /// Something about the registers, or what clients are told.
    Register(RegisterChange),
}

/// The version of the protocol between members that 0.2 speaks, and all that it can read.
pub const PROTOCOL_0_2: u16 = 1;
/// The version in which changes and states may hold what 0.2 knows nothing of.
pub const PROTOCOL_0_3: u16 = 2;
/// The version in which they may hold what 0.3 knows nothing of.
pub const PROTOCOL_0_4: u16 = 3;
/// The version in which they may hold what 0.4 knows nothing of.
pub const PROTOCOL_0_5: u16 = 4;
/// The version in which they may hold what 0.5 knows nothing of.
pub const PROTOCOL_0_6: u16 = 5;
/// The version in which they may hold what 0.6 knows nothing of.
pub const PROTOCOL_0_7: u16 = 6;
/// The version in which they may hold what 0.7 knows nothing of.
pub const PROTOCOL_0_8: u16 = 7;

impl Change {
    /// The number of the register that is used up with it.
    #[must_use]
    pub fn grant(&self) -> Option<Grant> {
        if let Self::Grant { number, .. } | Self::Override(Override { number, .. }) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The lowest version of the protocol whose members read all of it. An older member would
    /// overlook a part, or refuse what the others apply, and hold another state from then on.
    #[must_use]
    pub fn protocol(&self) -> u16 {
        match self {
            Self::Register(_) => PROTOCOL_0_8,
            Self::Observe { stages, .. } if stages.iter().any(|it| it.reached.is_of_0_8()) => {
                PROTOCOL_0_8
            }
            Self::Times { .. } | Self::Visit { .. } => PROTOCOL_0_7,
            Self::Fence(_)
            | Self::Takeover(Takeover { proof: ProofRecord::Fenced, .. })
            | Self::Watch(_)
            | Self::WatchdogElapsed { .. } => PROTOCOL_0_6,
            Self::ConfirmOff(_) | Self::Copy { .. } | Self::Attribute { .. } => PROTOCOL_0_5,
            Self::Grant { .. }
            | Self::Back { .. }
            | Self::Enrol { .. }
            | Self::Override(_)
            | Self::Steady { .. }
            | Self::Halt { .. } => PROTOCOL_0_4,
            Self::StopServices { .. }
            | Self::Maintain { .. }
            | Self::Works { .. }
            | Self::ClearResource { .. }
            | Self::Stopped { cause: Cause::Maintenance, .. } => PROTOCOL_0_5,
            Self::Disarm { .. } | Self::Arm { .. } => PROTOCOL_0_3,
            Self::Found { .. }
            | Self::Configure { .. }
            | Self::Settle { .. }
            | Self::AddToken { .. }
            | Self::Join { .. }
            | Self::Leave { .. }
            | Self::Admit { .. }
            | Self::Takeover(_)
            | Self::Assign { .. }
            | Self::Stop { .. }
            | Self::Stopped { .. }
            | Self::Standby { .. }
            | Self::Clear { .. }
            | Self::Lead { .. }
            | Self::Observe { .. } => {
                let later = self.later();
                let chain = later.quorum.chain.modules();
                let rules = &later.fencing.rules;
                let any = self.config().is_some_and(Config::prefers_labels);
                if later.fencing.redirect != RedirectConfig::default() {
                    PROTOCOL_0_8
                } else if *rules != RulesConfig::default() || any {
                    PROTOCOL_0_7
                } else if later.fencing != FencingConfig::default()
                    || chain.contains(&Module::Fence)
                {
                    PROTOCOL_0_6
                } else if later.next != ConfigNext::default() {
                    PROTOCOL_0_5
                } else if later != ConfigLater::default() {
                    PROTOCOL_0_4
                } else if self.more() != ConfigMore::default() {
                    PROTOCOL_0_3
                } else {
                    PROTOCOL_0_2
                }
            }
        }
    }

    /// The configuration that it brings, if it brings one.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        if let Self::Found { config, .. } | Self::Configure { config, .. } = self {
            Some(config)
        } else {
            None
        }
    }
}

impl Tailed for Change {
    type More = ConfigMore;
    type Later = ConfigLater;

    fn more(&self) -> ConfigMore {
        self.config().map(|config| config.more.clone()).unwrap_or_default()
    }

    fn later(&self) -> ConfigLater {
        self.config().map(|config| config.later.clone()).unwrap_or_default()
    }

    fn add(&mut self, more: ConfigMore) {
        if let Self::Found { config, .. } | Self::Configure { config, .. } = self {
            config.more = more;
        }
    }

    fn add_later(&mut self, later: ConfigLater) {
        if let Self::Found { config, .. } | Self::Configure { config, .. } = self {
            config.later = later;
        }
    }
}

/// A node's removal from the view, and where its services go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    /// The node.
    pub node: NodeId,
    /// The term of the coordinator that decided it.
    pub term: Term,
    /// The admitted start that the proof is about.
    pub incarnation: Incarnation,
    /// The view's epoch that it was decided upon.
    pub base: Epoch,
    /// Why the node can do no harm.
    pub proof: ProofRecord,
    /// What happened.
    pub cause: Cause,
    /// A new holder for each of its services, or nobody.
    pub assignments: Vec<(ServiceId, Option<NodeId>)>,
    /// The coordinator's stages.
    pub stages: Vec<Stage>,
}

/// What a proof rests on, for the record. The proof itself is a type (`fencing::Proof`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProofRecord {
    /// The holder's own committed record.
    Stopped,
    /// Nobody ever held it.
    NeverHeld,
    /// The lease has certainly run out.
    LeaseExpired,
    /// The node's guard gave its lease up.
    Released,
    /// Its devices switched it off, and say that it is.
    Fenced,
    /// The node's watchdog has certainly reset it.
    WatchdogElapsed,
}

impl fmt::Display for ProofRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "the holder stopped it",
            Self::NeverHeld => "nobody ever held it",
            Self::LeaseExpired => "the lease has run out",
            Self::Released => "the lease was given up",
            Self::Fenced => "it was fenced",
            Self::WatchdogElapsed => "its watchdog's time is over",
        })
    }
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It changed the state.
    Done,
    /// A node joined under this identity.
    Joined(NodeId),
    /// It changed nothing.
    Refused(Refusal),
}

crate::tailless!(Outcome);
