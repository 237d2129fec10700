//! The tie vote: one absent voter's answer, for a half that was granted (`docs/protocol.md`,
//! section 7).
//!
//! openraft asks every voter through a [`Peer`](crate::rpc::client::Peer). While there is a tie
//! vote, the one of the absent voter asks nobody: it answers as soon as every member of the half
//! has really answered the same (rule G4). So openraft counts one vote more than there are nodes,
//! and nothing in it is changed.
//!
//! ```text
//!   vote, append to a member of the half ──▶ the real answer, noted here ─┐
//!   vote, append to the absent voter     ──▶ waits until all have it ◀────┘ ──▶ yes
//! ```
//!
//! A majority of V meets every half of V but its exact complement, and the grant shuts that one
//! out. One vote is answered for, never two: a half of four that loses one more node is blocked.
//!
//! **What ends it.** It answers nothing once the log holds a grant that is not older than its own,
//! or another set of voters, or while the voters of the grant are not known to be committed; it is
//! as if nobody were there. Until it is taken back
//! ([`Log::tie_vote`](crate::Log::tie_vote)) the real node is not asked either: the engine believes
//! that it has what was answered for it.
//!
//! **Absent on purpose:** when to ask for a grant, and who (`core/node/tie.rs`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_core::id::{Grant, NodeId};
use stead_core::quorum::vote::TieVote;
use tokio::sync::Notify;

use crate::record;
use crate::store::Store;
use crate::types::LogId;

/// Which grant an encoded change carries, if it carries one; [`NO_GRANTS`] for one after which
/// there may be none at all.
pub type Grants = fn(&[u8]) -> Option<Grant>;

/// The grant of a change that decides whether there are grants: no tie vote counts while it waits
/// to be committed.
pub const NO_GRANTS: Grant = Grant(u64::MAX);

/// The tie vote, and what the others really answered.
pub(crate) struct Tie {
    node: NodeId,
    store: Store,
    grants: Grants,
    answers: Mutex<Answers>,
    news: Notify,
}

#[derive(Default)]
struct Answers {
    vote: Option<TieVote>,
    /// Which vote each node granted last, and whether only beforehand (a pre-vote).
    granted: BTreeMap<NodeId, (record::Vote, Round)>,
    /// Up to where each node has the log of the leader with that vote.
    stored: BTreeMap<NodeId, (record::Vote, Option<LogId>)>,
}

/// The two rounds of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// Would you vote for me?
    Before,
    /// Vote for me.
    Vote,
}

/// What is waited for.
#[derive(Clone, Copy)]
pub(crate) enum Same {
    /// All have granted this.
    Granted(record::Vote, Round),
    /// All have the leader's log up to there.
    Stored(record::Vote, Option<LogId>),
}

impl Tie {
    pub fn new(node: NodeId, store: Store, grants: Grants) -> Arc<Self> {
        Arc::new(Self { node, store, grants, answers: Mutex::default(), news: Notify::new() })
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        // Nothing that holds this lock can panic half way through a change.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vote that was given, whether it counts now or not.
    pub fn vote(&self) -> Option<TieVote> {
        self.answers().vote.clone()
    }

    pub fn set(&self, vote: Option<TieVote>) {
        self.answers().vote = vote;
        self.news.notify_waiters();
    }

    /// Whether that node is answered for instead of being asked.
    pub fn stands_for(&self, node: NodeId) -> bool {
        self.answers().vote.as_ref().is_some_and(|vote| vote.absent == node)
    }

    /// A node granted a vote.
    pub fn granted(&self, node: NodeId, vote: record::Vote, round: Round) {
        self.answers().granted.insert(node, (vote, round));
        self.news.notify_waiters();
    }

    /// A node has the log of the leader with that vote up to there.
    pub fn stored(&self, node: NodeId, vote: record::Vote, upto: Option<LogId>) {
        let mut answers = self.answers();
        let known = answers.stored.entry(node).or_insert((vote, upto));
        *known = if known.0 == vote { (vote, known.1.max(upto)) } else { (vote, upto) };
        drop(answers);
        self.news.notify_waiters();
    }

    /// Whether a change carries a grant that is newer than any in the log.
    pub fn is_newest(&self, change: &[u8]) -> bool {
        let grant_of = |change: &[u8]| (self.grants)(change).filter(|it| *it != NO_GRANTS);
        let newer = |grant| move |change: &[u8], _| grant_of(change).is_some_and(|it| it >= grant);
        grant_of(change).is_some_and(|grant| !self.store.has_change(newer(grant)))
    }

    /// The end of the log.
    pub fn last_log(&self) -> Option<LogId> {
        self.store.last_log()
    }

    /// Whether the vote counts now (rule G4).
    pub fn counts(&self, vote: &TieVote) -> bool {
        let newer = |change: &[u8], open: bool| match (self.grants)(change) {
            Some(NO_GRANTS) => open,
            Some(grant) => grant >= vote.grant,
            None => false,
        };
        vote.half.is_one()
            && vote.half.present.contains(&self.node)
            && vote.half.absent().any(|absent| absent == vote.absent)
            && self.store.settled_voters().as_ref() == Some(&vote.half.voters)
            && !self.store.has_change(newer)
    }

    /// Waits until all of the half have really answered the same, at most that long. Says whether
    /// they have; if not, or if the vote does not count, nobody answers.
    pub async fn wait(&self, same: Same, patience: Duration) -> bool {
        let mut durable = self.store.watch_durable();
        let agreed = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                durable.borrow_and_update();
                if let Some(agreed) = self.agreed(same) {
                    return agreed;
                }
                tokio::select! {
                    () = news => {}
                    changed = durable.changed() => {
                        if changed.is_err() {
                            return false;
                        }
                    }
                }
            }
        };
        tokio::time::timeout(patience, agreed).await.unwrap_or(false)
    }

    /// Whether all of the half have answered the same; nothing while that may still come.
    fn agreed(&self, same: Same) -> Option<bool> {
        let Some(vote) = self.vote() else { return Some(false) };
        if !self.counts(&vote) {
            return Some(false);
        }
        let mine = match same {
            // A candidate's own vote is on disk before it asks anybody.
            Same::Granted(..) => true,
            Same::Stored(_, upto) => self.store.durable_last() >= upto,
        };
        let answers = self.answers();
        let others = vote.half.present.iter().filter(|node| **node != self.node);
        let all = others.into_iter().all(|node| match same {
            Same::Granted(wanted, round) => answers.granted.get(node) == Some(&(wanted, round)),
            Same::Stored(leader, upto) => {
                answers.stored.get(node).is_some_and(|(of, has)| *of == leader && *has >= upto)
            }
        });
        (mine && all).then_some(true)
    }
}
