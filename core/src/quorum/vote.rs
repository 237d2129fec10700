//! The tie vote: the one vote that a granted half may count beside its own.

use serde::{Deserialize, Serialize};

use super::register::Half;
use crate::id::{Grant, NodeId};

/// The right to answer in the log for one absent voter (rule G4).
///
/// Its answer is what every member of the half really answers, no more. It ends when the half is
/// another, when the voters are others, and when the log holds a number that is not older.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TieVote {
    /// The number that was granted.
    pub grant: Grant,
    /// To whom.
    pub half: Half,
    /// For whom it answers: one of the absent voters, and the one that loses its vote first.
    pub absent: NodeId,
}
