//! Who shall vote: every member but satellites, and those that a tie was broken without.
//!
//! A *satellite* serves like any other node: it is in the view, has leases, takes services over.
//! But it has no vote in the log, its echo counts for nothing, and it leads nothing. So a cluster
//! may have many of them, where every voter makes each decision slower. Which machines are
//! satellites stands in the configuration, and may change while all runs: who leads the log brings
//! the voters in line (`node/voters.rs`).

use alloc::string::String;

use super::{Refusal, State};
use crate::id::NodeId;

/// The most machines of a cluster that vote.
pub const MOST_VOTERS: usize = 16;
/// The most machines of a cluster.
pub const MOST_NODES: usize = 256;

impl State {
    /// Whether that member is a satellite.
    #[must_use]
    pub fn is_satellite(&self, node: NodeId) -> bool {
        let Some(config) = &self.config else { return false };
        let satellites = &config.later.satellites;
        // Nearly always there is none, and then no name is looked for.
        !satellites.is_empty()
            && self.members.get(&node).is_some_and(|member| satellites.contains(&member.name))
    }

    /// Whether that node is a member that shall vote.
    #[must_use]
    pub fn shall_vote(&self, node: NodeId) -> bool {
        self.members.contains_key(&node)
            && !self.later.out.contains(&node)
            && !self.is_satellite(node)
    }

    /// Refuses what would leave no member that shall vote: the last one keeps its vote, and could
    /// not be rid of it.
    pub(super) fn some_vote(&self, but: impl Fn(NodeId, &String) -> bool) -> Result<(), Refusal> {
        let members = self.members.iter();
        let mut voting =
            members.filter(|(node, it)| !self.later.out.contains(node) && !but(**node, &it.name));
        voting.next().map(|_| ()).ok_or(Refusal::LastVoter)
    }
}
