//! The first words on a connection: who, of which cluster, in which versions, for what.
//!
//! The form of the hello is the one thing that can never change, since it is read before a version
//! is agreed on: a magic, then postcard; fields are only ever added at the end, and what a reader
//! doesn't know it ignores.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stead_core::id::{ClusterId, NodeId};
use thiserror::Error;

use crate::network::Lane;

const MAGIC: &[u8; 8] = b"stead\r\n\x01";

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// Requests of one member to another.
    Lane(Lane),
    /// One request of a stranger to be let in.
    Join,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub oldest: u16,
    pub newest: u16,
    pub cluster: ClusterId,
    pub node: NodeId,
    pub purpose: Purpose,
    pub software: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HelloAnswer {
    pub node: NodeId,
    pub software: String,
    /// The version that both will speak.
    pub verdict: Result<u16, HelloRefusal>,
}

/// Why a node does not want to talk to another; it says so before it closes the connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Error)]
pub enum HelloRefusal {
    /// There is no version that both speak.
    #[error("it speaks protocol versions {oldest} to {newest}, and the other none of these")]
    Version {
        /// The oldest version the refusing node speaks.
        oldest: u16,
        /// The newest.
        newest: u16,
    },
    /// The other is of another cluster.
    #[error("it belongs to cluster {0}")]
    ForeignCluster(ClusterId),
    /// The other's key is in no entry of the table of members.
    #[error("it does not know the other's key")]
    UnknownKey,
    /// The other's key is another node's.
    #[error("it knows the other's key as that of node {0}")]
    OtherNode(NodeId),
    /// Nobody can join here at present.
    #[error("it does not let anyone join at present")]
    JoinClosed,
    /// Too many try to join.
    #[error("too many try to join: try again in a second")]
    JoinBusy,
}

pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain structures: postcard has nothing to refuse in them.
    postcard::to_extend(value, MAGIC.to_vec()).expect("a plain structure can be encoded")
}

/// Reads a hello or its answer; `None` if it is neither.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::take_from_bytes(bytes.strip_prefix(MAGIC)?).ok().map(|(value, _rest)| value)
}

/// The newest version that both ranges contain.
pub(super) fn agree(ours: (u16, u16), theirs: (u16, u16)) -> Option<u16> {
    let version = ours.1.min(theirs.1);
    (version >= ours.0.max(theirs.0)).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_taken() {
        assert_eq!(agree((1, 3), (2, 5)), Some(3));
        assert_eq!(agree((1, 1), (1, 1)), Some(1));
        assert_eq!(agree((1, 2), (3, 4)), None);
        assert_eq!(agree((5, 9), (1, 4)), None);
    }

    #[test]
    fn later_fields_are_ignored_and_garbage_is_none() {
        let mut bytes = encode(&(1u16, 2u16));
        bytes.extend_from_slice(b"from the future");
        assert_eq!(decode::<(u16, u16)>(&bytes), Some((1, 2)));
        assert_eq!(decode::<(u16, u16)>(b"GET / HTTP/1.1\r\n"), None);
        assert_eq!(decode::<(u16, u16)>(b""), None);
    }
}
