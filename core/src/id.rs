//! Identities and the numbers that order everything.
//!
//! Each is a type of its own, so that a term can't be taken for an epoch, nor a log index for a
//! sequence number.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// Declares a number that has a meaning of its own.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A configured machine. Given once, when the node joins, and never given again.
    NodeId(u64)
}
number! {
    /// A start of a node's guard. It only grows; the guard keeps it on disk.
    Incarnation(u64)
}
number! {
    /// The number of a heartbeat, counted by its sender within one [`Incarnation`].
    Sequence(u64)
}
number! {
    /// A position in the replicated log.
    Index(u64)
}
number! {
    /// The number of a view of the cluster or of an assignment. It only grows, and every command
    /// that touches the world carries one; whoever receives an older one refuses it.
    Epoch(u64)
}

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

number! {
    /// The number of a grant: how often a tie was broken, or the right to break one was used up. It
    /// stands in the replicated state and in the register that breaks ties, and only grows.
    Grant(u64)
}

impl Grant {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

number! {
    /// The term of consensus. The log is built for one leader per term (openraft's
    /// `leader_id_std`), so two coordinators never share a number (`docs/protocol.md`, rule T1).
    Term(u64)
}

/// The random identity of a cluster. Its name is only a label.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The name of a service, as the configuration spells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceId(pub String);

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ServiceId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}
