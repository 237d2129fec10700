//! Whether enough of the voters are here to decide for the whole cluster.
//!
//! Votes are counted over the committed *voter set*; who happens to be alive never changes the
//! divisor. The answers are the three words of the field: more than half present is
//! [`Verdict::HaveQuorum`], fewer than half [`Verdict::NoQuorum`], exactly half
//! [`Verdict::QuorumTie`].
//!
//! Today the chain of modules is `majority` alone, and a tie from its last module counts as no
//! quorum ([`decide`]). Tie-breakers come with a later step.

use alloc::collections::BTreeSet;
use core::fmt;

use crate::id::NodeId;
use crate::lease::VoterSets;

/// The answer of a quorum module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More than half.
    HaveQuorum,
    /// Fewer than half.
    NoQuorum,
    /// Exactly half: the next module decides.
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

/// The verdict of the whole chain: while the voter set changes, both sets have to agree.
#[must_use]
pub fn decide(present: &BTreeSet<NodeId>, voters: &VoterSets) -> Verdict {
    let all = !voters.is_empty()
        && voters.iter().all(|set| majority(present, set) == Verdict::HaveQuorum);
    if all { Verdict::HaveQuorum } else { Verdict::NoQuorum }
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
        assert_eq!(decide(&set(&[1, 2]), &alloc::vec![set(&[1, 2, 3, 4])]), Verdict::NoQuorum);
    }
}
