//! What the log is told about who leads and who votes, in the order in which the machine says it.
//!
//! A tie vote has to be there before this node stands with it, and a shrink needs both. So these go
//! through one line. A shrink waits for others; it leaves the line and is done beside it, one at a
//! time: the machine asks again soon, and is not heard while one is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stead_core::id::{NodeId, Term};
use stead_core::quorum::vote::TieVote;
use stead_core::state::Change;
use stead_edge::chain;
use stead_log::Log;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::machine::encode;

/// How long a shrink may take. It is tried again.
const SHRINK_DEADLINE: Duration = Duration::from_millis(1_000);

/// One thing that the log is told.
pub(super) enum Word {
    /// That node shall stand.
    Campaign(NodeId),
    /// That node shall lead in this one's place.
    HandOver(NodeId),
    /// That vote counts, or none.
    TieVote(Option<TieVote>),
    /// The absent voter loses its vote.
    Shrink(TieVote, Term, Box<Change>),
}

/// The line. It ends when this is dropped.
pub(super) struct Elections(UnboundedSender<Word>);

impl Elections {
    /// Must be called inside a tokio runtime.
    pub(super) fn start(log: Arc<Log>) -> Self {
        let (words, coming) = unbounded_channel();
        tokio::spawn(tell(log, coming));
        Self(words)
    }

    pub(super) fn say(&self, word: Word) {
        // Nobody listens once the log has ended.
        drop(self.0.send(word));
    }
}

async fn tell(log: Arc<Log>, mut coming: UnboundedReceiver<Word>) {
    let shrinking = Arc::new(AtomicBool::new(false));
    while let Some(word) = coming.recv().await {
        match word {
            Word::Campaign(to) => {
                if let Err(error) = log.campaign(to).await {
                    tracing::debug!("no election called: {}", chain(&error));
                }
            }
            Word::HandOver(to) => {
                if let Err(error) = log.hand_over(to).await {
                    tracing::debug!("not handed over: {}", chain(&error));
                }
            }
            Word::TieVote(vote) => {
                if let Err(error) = log.tie_vote(vote).await {
                    tracing::warn!("the log was not told of the tie vote: {}", chain(&error));
                }
            }
            Word::Shrink(vote, term, change) => {
                if !shrinking.swap(true, Ordering::AcqRel) {
                    let (log, shrinking) = (log.clone(), shrinking.clone());
                    tokio::spawn(async move {
                        shrink(&log, &vote, term, &change).await;
                        shrinking.store(false, Ordering::Release);
                    });
                }
            }
        }
    }
}

async fn shrink(log: &Log, vote: &TieVote, term: Term, change: &Change) {
    let change = match encode(change) {
        Ok(change) => change,
        Err(error) => {
            tracing::error!("the grant can't be written down: {error}");
            return;
        }
    };
    if let Err(error) = log.shrink(vote, term, change, SHRINK_DEADLINE).await {
        tracing::debug!("the voters were not shrunk: {}", chain(&error));
    }
}
