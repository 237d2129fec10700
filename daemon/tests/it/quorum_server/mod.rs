//! A real quorum server in a namespace, and nodes that ask it over a switch.
//!
//! The server is the built binary. A node is this program's own client on a host of the bed;
//! whoever is no honest node speaks TLS, or bytes, by hand.

mod bed;
mod defects;
mod disk;
mod enemies;
mod enrolment;
mod grants;
mod numbers;
mod operator;
mod storm;

use stead_core::id::{ClusterId, Grant, NodeId};
use stead_core::quorum::ask::{Answer, Question};
use stead_core::quorum::register::Half;

pub use bed::{Bed, Node};

/// The half of a cluster with those voters in which these are present.
pub fn half(present: &[u64], voters: &[u64]) -> Half {
    let set = |nodes: &[u64]| nodes.iter().map(|node| NodeId(*node)).collect();
    Half { present: set(present), voters: set(voters) }
}

/// A question for a grant.
pub fn ask(known: u64, present: &[u64]) -> Question {
    Question::Ask { known: Grant(known), half: half(present, &[1, 2]) }
}

/// A coordinator's word.
pub fn hear(known: u64) -> Question {
    Question::Hear { known: Grant(known) }
}

/// A coordinator's answer to the challenge in that answer.
pub fn trust(answer: &Answer, known: u64) -> Question {
    let challenge = answer.standing.distrusted.expect("a challenge");
    Question::Trust { challenge, known: Grant(known) }
}

/// The grant in an answer; nothing if there is none.
pub fn granted(answer: &Answer) -> Option<u64> {
    answer.grant.as_ref()?.as_ref().ok().map(|grant| grant.0)
}

/// The reason why nothing was granted, in words.
pub fn refusal(answer: &Answer) -> String {
    let grant = answer.grant.as_ref().expect("it was asked for one");
    grant.as_ref().expect_err("it is refused").to_string()
}

/// A cluster of that number.
pub fn cluster(number: u8) -> ClusterId {
    ClusterId([number; 16])
}
