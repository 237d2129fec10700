//! What any node sees, this one or another: one way to ask both.

use std::time::Duration;

use stead_core::id::NodeId;
use stead_core::state::State;
use tokio::time::{Instant, timeout_at};

use super::observe::{Eyes, Observers, Question, Sight};

/// How long one node may take for one question, and one that is not connected.
const ANSWER: Duration = Duration::from_secs(4);
const STRANGER: Duration = Duration::from_secs(1);

/// Asks whichever node.
#[derive(Clone)]
pub struct Lookout {
    me: NodeId,
    eyes: Eyes,
    others: Observers,
}

impl Lookout {
    /// On that node, which sees by these eyes; the others are asked by that way.
    #[must_use]
    pub fn new(me: NodeId, eyes: Eyes, others: Observers) -> Self {
        Self { me, eyes, others }
    }

    /// The node that it is on.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// What a node sees.
    ///
    /// # Errors
    /// It did not say so, and why, in words. Nothing was changed.
    pub async fn look(
        &self,
        state: &State,
        node: NodeId,
        question: Question,
        deadline: Instant,
    ) -> Result<Sight, String> {
        let here = node == self.me;
        let within = if here || self.others.is_able(node) { ANSWER } else { STRANGER };
        let deadline = deadline.min(Instant::now() + within);
        if here {
            let seen = timeout_at(deadline, self.eyes.look(state, question)).await;
            return seen.map_err(|_| "it took too long".to_owned());
        }
        self.others.one(node, question, deadline).await
    }
}
