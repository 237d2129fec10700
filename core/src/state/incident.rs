//! What is kept of every takeover: who lost what, and where the time went.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::apply::Applied;
use super::{INCIDENTS_KEPT, Outcome, Refusal, State};
use crate::id::{Epoch, Index, NodeId, ServiceId};
use crate::time::Span;

/// How many stages of one incident are kept; a takeover of many services has many.
const STAGES_KEPT: usize = 2_000;

/// One event that moved services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number, counted from 1.
    pub number: u64,
    /// Where in the log it was decided.
    pub index: Index,
    /// The node that lost the services.
    pub node: NodeId,
    /// Why.
    pub cause: Cause,
    /// The services that moved, with the epoch of their new assignment and its node.
    pub moved: Vec<Moved>,
    /// The stages, in the order in which they were committed.
    pub stages: Vec<Stage>,
}

/// One service's move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The service.
    pub service: ServiceId,
    /// Where it went; nothing if nobody could take it.
    pub to: Option<NodeId>,
    /// The epoch of the new assignment.
    pub epoch: Epoch,
}

/// Why services moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The node fell silent.
    Silent,
    /// The node's guard gave its lease up: a clean stop.
    Released,
    /// The node's daemon stayed away for longer than the grace.
    DaemonAway,
    /// An operator moved it, or drained the node.
    Planned,
    /// It failed where it was.
    Failed,
    /// Its node lost hold of it: no lease, or guard, daemon or machine started anew.
    Lost,
    /// It went back to the node it prefers.
    Failback,
    /// The node sees fewer of its network's reference points than another.
    Unreachable,
    /// It ended during maintenance, which is over.
    Maintenance,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "the node fell silent",
            Self::Released => "the node stopped cleanly",
            Self::DaemonAway => "the node's daemon stayed away",
            Self::Planned => "planned",
            Self::Failed => "the service failed",
            Self::Lost => "the node lost hold of it",
            Self::Failback => "failback",
            Self::Unreachable => "the node lost the service's network",
            Self::Maintenance => "it had ended during maintenance",
        })
    }
}

/// One stage as one node saw it.
///
/// Times count from the last sign of life of the node that failed *as the reporting node saw it*
/// (for a planned move: from when that node learned of it). Two nodes' counts agree to about one
/// heartbeat interval, and no clocks are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Who saw it.
    pub node: NodeId,
    /// The service it is about; nothing if all of the incident's.
    pub service: Option<ServiceId>,
    /// What was reached.
    pub reached: Reached,
    /// When.
    pub after: Span,
    /// More about it, for people.
    pub detail: String,
}

/// The stages of a takeover, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reached {
    /// The node was suspected and revoked.
    Suspected,
    /// A new coordinator was elected.
    Elected,
    /// The proof that the node can do no harm.
    Proven,
    /// The new assignment was proposed.
    Decided,
    /// The old holder stopped.
    Stopped,
    /// The new holder learned of its assignment.
    Learned,
    /// The addresses are there and the gate is open.
    Claimed,
    /// The first announcement left.
    Announced,
    /// The program runs.
    Started,
    /// The first monitor was good.
    Verified,
    /// A layer beyond the segment was told that the service is here; which, stands in the detail.
    Redirected,
    /// An observer sees by a layer that the service is here; by which, stands in the detail.
    Converged,
}

impl Reached {
    /// Whether 0.7 knows nothing of it.
    #[must_use]
    pub fn is_of_0_8(self) -> bool {
        self > Self::Verified
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Suspected => "suspected",
            Self::Elected => "elected",
            Self::Proven => "proven",
            Self::Decided => "decided",
            Self::Stopped => "stopped",
            Self::Learned => "learned",
            Self::Claimed => "claimed",
            Self::Announced => "announced",
            Self::Started => "started",
            Self::Verified => "verified",
            Self::Redirected => "redirected",
            Self::Converged => "converged",
        })
    }
}

/// The layer that a stage is about, without who saw it.
fn layer_of(stage: &Stage) -> &str {
    stage.detail.split(',').next().unwrap_or_default()
}

impl State {
    pub(super) fn observe(
        &mut self,
        service: &ServiceId,
        epoch: Epoch,
        stages: Vec<Stage>,
    ) -> Applied {
        let about = |it: &Moved| it.service == *service && it.epoch == epoch;
        let incident = self.incidents.iter_mut().rev().find(|it| it.moved.iter().any(about));
        let incident = incident.ok_or(Refusal::Stale)?;
        let known = |stages: &[Stage], new: &Stage| {
            stages.iter().any(|old| {
                (&old.service, old.node, old.reached) == (&new.service, new.node, new.reached)
                    // One of each layer.
                    && (!new.reached.is_of_0_8() || layer_of(old) == layer_of(new))
            })
        };
        for stage in stages {
            if !known(&incident.stages, &stage) && incident.stages.len() < STAGES_KEPT {
                incident.stages.push(stage);
            }
        }
        Ok(Outcome::Done)
    }

    pub(super) fn record(
        &mut self,
        index: Index,
        node: NodeId,
        cause: Cause,
        moved: Vec<Moved>,
        mut stages: Vec<Stage>,
    ) {
        if moved.is_empty() {
            return;
        }
        self.incident_count += 1;
        stages.sort_by_key(|stage: &Stage| -> (Reached, NodeId) { (stage.reached, stage.node) });
        let number = self.incident_count;
        self.incidents.push_back(Incident { number, index, node, cause, moved, stages });
        while self.incidents.len() > INCIDENTS_KEPT {
            self.incidents.pop_front();
        }
    }
}
