//! What a cluster and the register that breaks its ties say to each other.
//!
//! Every question carries a number that its answer repeats, so that an answer of before is never
//! taken for one of now. Every answer says where the register stands.

use serde::{Deserialize, Serialize};

use super::register::{Challenge, Half, Refusal, Register};
use crate::id::Grant;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// A half wants to go on without the other.
    Ask {
        /// The number of its applied state.
        known: Grant,
        /// Who asks.
        half: Half,
    },
    /// A coordinator with quorum is there, and its state stands at that number.
    Hear {
        /// The number of its applied state.
        known: Grant,
    },
    /// A coordinator with quorum has committed that number since it heard the challenge.
    Trust {
        /// What the register said.
        challenge: Challenge,
        /// The number that was committed.
        known: Grant,
    },
    /// A coordinator with quorum wants a number for a change of an even set of voters (rule G14).
    Take {
        /// The number of its applied state.
        known: Grant,
    },
}

/// Where a register stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The newest number that was given, or used up.
    pub last: Grant,
    /// What it wants to hear before it grants anything; nothing if it is trusted.
    pub distrusted: Option<Challenge>,
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Where the register stands, the question answered.
    pub standing: Standing,
    /// For one that asked or takes: the number it was granted, or why none.
    pub grant: Option<Result<Grant, Refusal>>,
}

impl Register {
    /// Answers a question. Whoever runs the register writes it to disk, if it changed, before the
    /// answer leaves. `challenge` is a random number, for the case that one is needed.
    pub fn answer(&mut self, question: &Question, challenge: Challenge) -> Answer {
        let grant = match question {
            Question::Ask { known, half } => Some(self.ask(*known, half, challenge)),
            Question::Hear { known } => {
                self.hear(*known, challenge);
                None
            }
            Question::Trust { challenge: repeated, known } => {
                self.trust(*repeated, *known);
                None
            }
            Question::Take { known } => Some(self.take(*known, challenge)),
        };
        Answer { standing: self.standing(), grant }
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing { last: self.last(), distrusted: self.distrusted() }
    }
}
