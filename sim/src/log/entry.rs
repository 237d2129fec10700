//! What the log keeps, and what its members say to each other.

use std::collections::BTreeSet;
use std::rc::Rc;

use stead_core::id::{Index, NodeId, Term};
use stead_core::lease::LogTail;
use stead_core::node::{Event, Fate};
use stead_core::quorum::vote::TieVote;
use stead_core::state::{Change, Outcome, State};

/// One entry. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The term in which it was appended.
    pub term: Term,
    payload: Rc<Payload>,
}

/// What is in an entry.
#[derive(Debug)]
pub enum Payload {
    /// The first of a leader's term.
    Blank,
    /// A change of the state.
    Change(Change),
    /// Another set of voters, and a change of the state with it, if one goes along.
    Voters(BTreeSet<NodeId>, Option<Change>),
}

impl Entry {
    /// An entry of that term.
    #[must_use]
    pub fn new(term: Term, payload: Payload) -> Self {
        Self { term, payload: Rc::new(payload) }
    }

    /// Another set of voters.
    #[must_use]
    pub fn voters(term: Term, voters: BTreeSet<NodeId>, change: Option<Change>) -> Self {
        Self::new(term, Payload::Voters(voters, change))
    }

    /// A change of the state.
    #[must_use]
    pub fn change(term: Term, change: Change) -> Self {
        Self::new(term, Payload::Change(change))
    }

    /// What is in it.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Whether it is the very same entry, not merely an equal one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.term == other.term && Rc::ptr_eq(&self.payload, &other.payload)
    }

    /// Applies it to a state.
    pub fn apply(&self, state: &mut State, index: Index) -> Outcome {
        match &*self.payload {
            Payload::Change(change) | Payload::Voters(_, Some(change)) => {
                state.apply(index, change.clone())
            }
            Payload::Blank | Payload::Voters(_, None) => {
                state.applied = index;
                Outcome::Done
            }
        }
    }

    /// What the node machine is told.
    #[must_use]
    pub fn event(&self, index: Index) -> Event {
        let change = match &*self.payload {
            Payload::Change(change) | Payload::Voters(_, Some(change)) => Some(change.clone()),
            Payload::Blank | Payload::Voters(_, None) => None,
        };
        Event::Applied { index, term: self.term, change }
    }
}

/// A message. Each carries what openraft's carry, without the search for the common entry.
#[derive(Clone, Debug)]
pub enum Rpc {
    /// Vote for me in this term; my log ends there.
    Vote {
        /// The term.
        term: Term,
        /// The end of the candidate's log.
        tail: LogTail,
    },
    /// You have my vote; it is on disk.
    Granted {
        /// The term.
        term: Term,
    },
    /// My log, how much of it is committed, and the number of this round.
    Append {
        /// The leader's term.
        term: Term,
        /// The whole log.
        log: Rc<Vec<Entry>>,
        /// How much of it is committed.
        commit: usize,
        /// The round, for reads.
        round: u64,
    },
    /// So much of your log is on my disk; I heard you in that round.
    Acked {
        /// The term.
        term: Term,
        /// The length that is the same.
        length: usize,
        /// The round.
        round: u64,
    },
    /// There is a newer term.
    Behind {
        /// That term.
        term: Term,
    },
    /// Append this.
    Propose {
        /// The number under which the fate comes back.
        ticket: u64,
        /// The proposer's run.
        run: u64,
        /// What.
        change: Change,
    },
    /// What became of it.
    Fate {
        /// The proposal's number.
        ticket: u64,
        /// The proposer's run.
        run: u64,
        /// What became of it.
        fate: Fate,
    },
    /// Where does the log end, by the word of a majority?
    Read {
        /// The asker's run.
        run: u64,
    },
    /// There.
    ReadAt {
        /// The asker's run.
        run: u64,
        /// All that was committed before it was asked.
        index: usize,
    },
    /// Have that node campaign, over the leases of the voters.
    Campaign(NodeId),
    /// One voter more or less.
    Voter {
        /// Which.
        node: NodeId,
        /// It shall vote.
        on: bool,
        /// What goes along in the same entry.
        under: Option<Change>,
    },
    /// Count that vote beside the real ones, or none any more.
    TieVote(Option<TieVote>),
    /// One voter less under that vote, in one entry with the change.
    Shrink {
        /// The vote.
        vote: TieVote,
        /// The term in which it was decided.
        term: Term,
        /// The change.
        change: Change,
    },
}
