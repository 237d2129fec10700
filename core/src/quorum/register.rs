//! What breaks ties: a number that is given to one half of a cluster, once.
//!
//! A quorum server keeps one [`Register`] for each cluster, on disk before it answers. The
//! replicated state of the cluster holds the same number, the newest that it knows to be used up.
//! A half that asks names the number of its own state; if that is the register's, it is granted the
//! next one, and nobody else ever is.
//!
//! **Happy path.** Both stand at 7. The halves lose each other; one asks with 7 and is granted 8.
//! With that it goes on, and commits 8 together with its smaller set of voters. The other half asks
//! with 7, which is not the register's number any more: refused. When it returns it learns 8.
//!
//! **Failures.** A half that asks again, because the answer was lost, is answered the same. A grant
//! that was won and not used is used up by the next coordinator with a majority, which learns the
//! register's number from [`Register::hear`] and commits it (rule G12).
//!
//! A register that is new, that lost its disk or came back from an old copy does not know which
//! numbers were given: it is [distrusted](Register::distrust) and grants nothing. It says a
//! challenge instead, and is trusted again only by the word of a coordinator that, *after* it heard
//! that challenge, committed a number through a majority (or under a grant). Whatever was granted
//! before and not committed until then can't be any more: a half that holds it contains a voter of
//! that majority, whose log says so (rule G4).
//!
//! *Counterexample without the challenge:* the register is restored from a copy at 5 after it
//! granted 6 to one half, which committed it and more. A word of the other half from before, "my
//! state is at 5", was on its way all the time; believed, it makes a register that grants 6 again.
//!
//! An old copy that is put in place *silently* is recognised only when somebody is ahead of it
//! (the answer to which is distrust). So a server's disk is never rolled back by hand: `restore`
//! does it, and distrusts.

use alloc::collections::BTreeSet;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{Grant, NodeId};

/// A half of the voters, as it asks for a grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Half {
    /// The voters that are present: exactly half of all.
    pub present: BTreeSet<NodeId>,
    /// All voters, as the newest membership in the asker's log has them. Two halves may disagree
    /// about these, so they are part of who is granted.
    pub voters: BTreeSet<NodeId>,
}

impl Half {
    /// Whether it is what it says: half of the voters, neither more nor fewer.
    #[must_use]
    pub fn is_one(&self) -> bool {
        !self.present.is_empty()
            && self.present.is_subset(&self.voters)
            && 2 * self.present.len() == self.voters.len()
    }

    /// The voters that are not present.
    pub fn absent(&self) -> impl Iterator<Item = NodeId> {
        self.voters.difference(&self.present).copied()
    }
}

/// A random number that a register which is not trusted wants to hear again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Challenge(pub u64);

/// One cluster's register.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Register {
    last: Grant,
    holder: Option<Half>,
    /// The newest number that a coordinator is known to have committed.
    committed: Grant,
    distrusted: Option<Challenge>,
}

/// Why nothing was granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The number after the asker's was given to another half.
    Taken(Half),
    /// The asker's state is from before the newest grants: it has missed what others decided.
    Stale,
    /// The register does not know what was granted before.
    Distrusted(Challenge),
    /// What asks is not a half.
    NotAHalf,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken(_) => "the grant was given to the other half",
            Self::Stale => "this half has missed what was decided after an earlier grant",
            Self::Distrusted(_) => "the register does not know what was granted before",
            Self::NotAHalf => "what asks is not exactly half of the voters",
        })
    }
}

impl Register {
    /// A register that knows nothing yet.
    #[must_use]
    pub fn new(challenge: Challenge) -> Self {
        let (last, committed) = (Grant::default(), Grant::default());
        Self { last, holder: None, committed, distrusted: Some(challenge) }
    }

    /// The newest number that was given, or used up.
    #[must_use]
    pub fn last(&self) -> Grant {
        self.last
    }

    /// To whom it was given, if it was.
    #[must_use]
    pub fn holder(&self) -> Option<&Half> {
        self.holder.as_ref()
    }

    /// The newest number that a coordinator is known to have committed.
    #[must_use]
    pub fn committed(&self) -> Grant {
        self.committed
    }

    /// Whether what was granted before is known, and if not, what has to be said again.
    #[must_use]
    pub fn distrusted(&self) -> Option<Challenge> {
        self.distrusted
    }

    /// A half whose state is at `known` asks. It may come late, twice, and in any order.
    ///
    /// `challenge` is for the case that the asker knows more than this register, which therefore is
    /// an old copy. The register has to be on disk before the answer leaves.
    ///
    /// # Errors
    /// Why nothing is granted.
    pub fn ask(
        &mut self,
        known: Grant,
        half: &Half,
        challenge: Challenge,
    ) -> Result<Grant, Refusal> {
        if !half.is_one() {
            return Err(Refusal::NotAHalf);
        }
        if known > self.last {
            self.distrust(challenge);
        }
        if let Some(challenge) = self.distrusted {
            return Err(Refusal::Distrusted(challenge));
        }
        if known == self.last {
            self.last = known.next();
            self.holder = Some(half.clone());
            return Ok(self.last);
        }
        if known.next() < self.last || self.committed >= self.last {
            return Err(Refusal::Stale);
        }
        match &self.holder {
            Some(holder) if holder == half => Ok(self.last),
            Some(holder) => Err(Refusal::Taken(holder.clone())),
            None => Err(Refusal::Stale),
        }
    }

    /// A coordinator with quorum whose state is at `known` takes the next number for a change of
    /// its voters (rule G14). It is given once, to this question: whoever did not hear the answer
    /// commits the number for nothing (rule G12), and takes the one after it.
    ///
    /// # Errors
    /// Why it is given none.
    pub fn take(&mut self, known: Grant, challenge: Challenge) -> Result<Grant, Refusal> {
        if known > self.last {
            self.distrust(challenge);
        }
        if let Some(challenge) = self.distrusted {
            return Err(Refusal::Distrusted(challenge));
        }
        if known < self.last {
            return Err(Refusal::Stale);
        }
        self.last = known.next();
        self.holder = None;
        Ok(self.last)
    }

    /// A coordinator says up to which number its state has got. What it has committed is used up:
    /// nobody is answered with it again.
    pub fn hear(&mut self, known: Grant, challenge: Challenge) {
        if known > self.last {
            self.distrust(challenge);
        }
        self.committed = self.committed.max(known);
    }

    /// What was granted before is not known any more.
    pub fn distrust(&mut self, challenge: Challenge) {
        self.distrusted.get_or_insert(challenge);
    }

    /// The same for a register that came back from a copy, or was enrolled again: what was said
    /// about the challenge that it held, if it held one, counts for nothing.
    ///
    /// *Counterexample with [`Register::distrust`]:* a copy is made while the register waits for
    /// the answer to a challenge. The answer comes, 6 is granted, the copy is restored; the same
    /// answer, sent once more and late, makes a register that grants 6 again.
    pub fn distrust_anew(&mut self, challenge: Challenge) {
        self.distrusted = Some(challenge);
    }

    /// A coordinator has heard the challenge, and has committed `known` since: no number up to it
    /// can be used any more, and no later one was given. Returns whether the register is trusted.
    pub fn trust(&mut self, challenge: Challenge, known: Grant) -> bool {
        if self.distrusted == Some(challenge) {
            *self = Self {
                last: known.max(self.last),
                holder: None,
                committed: known.max(self.last),
                distrusted: None,
            };
        }
        self.distrusted.is_none()
    }
}
