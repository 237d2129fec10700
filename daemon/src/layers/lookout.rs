//! What any node sees, this one or another: one way to ask both.

use stead_core::id::NodeId;
use stead_core::state::State;
use tokio::time::{Instant, timeout_at};

use super::observe::{Eyes, Observers, Question, Sight};

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
        if node == self.me {
            let seen = timeout_at(deadline, self.eyes.look(state, question)).await;
            return seen.map_err(|_| "it took too long".to_owned());
        }
        self.others.one(node, question, deadline).await
    }
}
