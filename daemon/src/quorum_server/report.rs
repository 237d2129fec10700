//! How clusters are shown to the operator of the server.

use serde::{Deserialize, Serialize};
use stead_core::id::ClusterId;
use stead_core::quorum::register::Half;

use super::record::{Cause, Record, Seen};

/// Everything that a server knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReport {
    /// The digest of the server's key.
    pub key: String,
    /// The clusters, by name.
    pub clusters: Vec<ClusterReport>,
    /// The tokens that can be used.
    pub tokens: Vec<TokenReport>,
}

/// An open token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenReport {
    /// What it is called.
    pub number: String,
    /// The name that its cluster will have in lists, if it was given one.
    pub name: Option<String>,
    /// When it ends.
    pub expires: String,
}

/// Whether anything is granted to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Its register is in order.
    Trusted,
    /// Its register does not know what was granted before; nothing is granted yet.
    Distrusted,
    /// Nothing is answered.
    Revoked,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// Its id.
    pub cluster: String,
    /// Its name. Others may have the same.
    pub name: String,
    /// Whether anything is granted.
    pub state: Trust,
    /// Why not, if its register is distrusted.
    pub cause: Option<Cause>,
    /// The newest number that was granted or used up.
    pub last: u64,
    /// The numbers of the nodes that it was granted to, if it was.
    pub holder: Option<Vec<u64>>,
    /// The digests of its members' keys.
    pub members: Vec<String>,
    /// Its connections.
    pub connections: usize,
    /// When it was enrolled last.
    pub enrolled: String,
    /// When a member was last heard, to within five minutes after a crash of the server.
    pub seen: Option<String>,
    /// Questions that were answered with a grant.
    pub granted: u64,
    /// Questions for a grant that were answered with none.
    pub refused: u64,
}

impl ClusterReport {
    pub(super) fn new(id: ClusterId, record: &Record, seen: Seen, connections: usize) -> Self {
        let register = &record.register;
        let distrusted = register.distrusted().is_some();
        let state = match (record.revoked, distrusted) {
            (true, _) => Trust::Revoked,
            (false, true) => Trust::Distrusted,
            (false, false) => Trust::Trusted,
        };
        let holder = |half: &Half| half.present.iter().map(|node| node.0).collect();
        Self {
            cluster: id.to_string(),
            name: record.name.clone(),
            state,
            cause: distrusted.then_some(record.cause),
            last: register.last().0,
            holder: register.holder().map(holder),
            members: record.members.keys.iter().map(ToString::to_string).collect(),
            connections,
            enrolled: record.enrolled.stamp(),
            seen: seen.last.map(super::record::Moment::stamp),
            granted: seen.granted,
            refused: seen.refused,
        }
    }

    /// What the operator has to know about that state, or to look at; nothing if all is well.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match (self.state, self.cause) {
            (Trust::Trusted, _) => None,
            (Trust::Revoked, _) => Some(
                "Revoked: nothing is answered. To let it come back: `stead quorum-server forget`, \
                 then enrol it again.",
            ),
            (Trust::Distrusted, Some(Cause::Enrolled | Cause::EnrolledAgain) | None) => Some(
                "Enrolled, and nothing is granted yet: its coordinator has to say where the \
                 cluster's state stands. It does so by itself while the cluster has quorum.",
            ),
            (Trust::Distrusted, Some(Cause::Restored)) => Some(
                "Came back from a backup, and nothing is granted yet: what was granted since is \
                 not known. Its coordinator sets it right by itself while the cluster has quorum. \
                 A cluster that is split now gets no help: look at `stead status` there.",
            ),
            (Trust::Distrusted, Some(Cause::Behind)) => Some(
                "A node knew of a later grant than this server: its disk holds an old copy. \
                 Nothing is granted until the coordinator has set it right. Find out who put back \
                 the server's disk: use `stead quorum-server restore` for that, never a copy.",
            ),
        }
    }
}
