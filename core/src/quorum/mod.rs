//! Whether enough of the voters are here to decide for the whole cluster.
//!
//! Votes are counted over the committed *voter set*; who happens to be alive never changes the
//! divisor. The answers are the three words of the field: more than half present is
//! [`Verdict::HaveQuorum`], fewer than half [`Verdict::NoQuorum`], exactly half
//! [`Verdict::QuorumTie`].
//!
//! ```text
//!   present, voters ─▶ majority ── a tie ──▶ the register's answer ── none ──▶ NOQUORUM
//!                         │                        │
//!                  more, or fewer            granted, refused
//! ```
//!
//! - [`chain`] asks the modules in the configured order; `majority` is always the first.
//! - [`register`] is what a quorum server keeps for each cluster: a number that is given to one
//!   half, once. Whoever keeps it elsewhere (module `exec`) makes the same promise.
//! - [`ask`] is what the two say to each other.
//! - [`vote`] is what a granted half may do in the log.
//!
//! Absent on purpose: the wire, the disk, and time. A register answers at once and remembers before
//! it answers; whoever runs it sees to that.

pub mod ask;
pub mod chain;
pub mod register;
pub mod vote;

use alloc::collections::BTreeSet;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::lease::VoterSets;

/// The answer of a quorum module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// More than half, or half with the grant.
    HaveQuorum,
    /// Fewer than half, or a half that is not granted.
    NoQuorum,
    /// Exactly half, and this module can't say which: the next one decides.
    QuorumTie,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HaveQuorum => "HAVEQUORUM",
            Self::NoQuorum => "NOQUORUM",
            Self::QuorumTie => "QUORUMTIE",
        })
    }
}

/// The module `majority`: arithmetic over one voter set.
#[must_use]
pub fn majority(present: &BTreeSet<NodeId>, voters: &BTreeSet<NodeId>) -> Verdict {
    let twice = 2 * present.intersection(voters).count();
    match twice.cmp(&voters.len()) {
        core::cmp::Ordering::Greater => Verdict::HaveQuorum,
        core::cmp::Ordering::Less => Verdict::NoQuorum,
        // No voters are no quorum, and no tie either.
        core::cmp::Ordering::Equal if voters.is_empty() => Verdict::NoQuorum,
        core::cmp::Ordering::Equal => Verdict::QuorumTie,
    }
}

/// The module `majority` over all voter sets: while they change, every one has to agree. A tie in
/// one is a tie of all, unless another says no.
#[must_use]
pub fn decide(present: &BTreeSet<NodeId>, voters: &VoterSets) -> Verdict {
    let mut verdict = if voters.is_empty() { Verdict::NoQuorum } else { Verdict::HaveQuorum };
    for set in voters {
        match majority(present, set) {
            Verdict::HaveQuorum => {}
            Verdict::QuorumTie => verdict = Verdict::QuorumTie,
            Verdict::NoQuorum => return Verdict::NoQuorum,
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_words() {
        let set = |nodes: &[u64]| nodes.iter().map(|node| NodeId(*node)).collect::<BTreeSet<_>>();
        let voters = set(&[1, 2, 3, 4]);
        assert_eq!(majority(&set(&[1, 2, 3]), &voters), Verdict::HaveQuorum);
        assert_eq!(majority(&set(&[1, 2]), &voters), Verdict::QuorumTie);
        assert_eq!(majority(&set(&[1, 9, 8]), &voters), Verdict::NoQuorum);
        assert_eq!(majority(&set(&[]), &set(&[])), Verdict::NoQuorum);
        let joint = alloc::vec![set(&[1, 2, 3]), set(&[3, 4, 5])];
        assert_eq!(decide(&set(&[1, 2, 3]), &joint), Verdict::NoQuorum);
        assert_eq!(decide(&set(&[2, 3, 4]), &joint), Verdict::HaveQuorum);
        assert_eq!(decide(&set(&[1, 2]), &alloc::vec![set(&[1, 2, 3, 4])]), Verdict::QuorumTie);
        let tied_in_one = alloc::vec![set(&[1, 2, 3, 4]), set(&[1, 2, 3])];
        assert_eq!(decide(&set(&[1, 2]), &tied_in_one), Verdict::QuorumTie);
        assert_eq!(decide(&set(&[1, 4]), &tied_in_one), Verdict::NoQuorum);
    }
}
