//! Changing who votes: one node, one entry, one step at a time.
//!
//! A node is first a learner, catches up, and then votes. Each step is one ordinary entry between
//! two memberships that differ by one voter, so there is no joint state that the loss of one more
//! node could wedge. A step that is interrupted leaves a learner, or is done; asking again goes on
//! from there.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::entry::RaftPayload;
use openraft::errors::{ChangeMembershipError, ClientWriteError, Fatal, RaftError};
use openraft::raft::{ClientWriteResponse, Precondition};
use stead_core::id::{Index, NodeId, Term};
use stead_core::quorum::vote::TieVote;
use tokio::time::Instant;

use crate::error::MembershipError;
use crate::log::{Log, end_of};
use crate::rpc::NotRead;
use crate::rpc::server::read_index;
use crate::status::Role;
use crate::types::{Change, LogId, Membership, Payload, Types};

/// The membership as one set of voters and all members.
struct Plan {
    voters: BTreeSet<NodeId>,
    members: BTreeSet<NodeId>,
    based_on: Option<LogId>,
}

impl Log {
    /// Makes `node` a voter: learner first, then, once it has caught up, voter. Does nothing if it
    /// is one. Only on the leader. `under` is a change that is committed in the same entry (rule
    /// G14).
    ///
    /// # Errors
    /// See [`MembershipError`]; after a deadline the node may be a learner.
    pub async fn add_voter(
        &self,
        node: NodeId,
        under: Option<Vec<u8>>,
        deadline: Duration,
    ) -> Result<(), MembershipError> {
        let _one = self.changing.try_lock().map_err(|_| MembershipError::InProgress)?;
        let end = end_of(deadline);
        if !self.learns(node, end, deadline).await? {
            return Ok(());
        }
        let mut plan = self.plan()?;
        plan.members.insert(node);
        plan.voters.insert(node);
        self.step_under(plan, under, end, deadline).await
    }

    /// Gives `node` the log without a vote, and waits until it has caught up. Does nothing if it
    /// votes. Only on the leader.
    ///
    /// # Errors
    /// See [`MembershipError`]; after a deadline the node may be a learner.
    pub async fn add_learner(
        &self,
        node: NodeId,
        deadline: Duration,
    ) -> Result<(), MembershipError> {
        let _one = self.changing.try_lock().map_err(|_| MembershipError::InProgress)?;
        self.learns(node, end_of(deadline), deadline).await.map(drop)
    }

    /// Makes `node` a learner that has caught up. Says whether it is one, or votes already.
    async fn learns(
        &self,
        node: NodeId,
        end: Instant,
        deadline: Duration,
    ) -> Result<bool, MembershipError> {
        self.settled(end).await?;
        let plan = self.plan()?;
        if plan.voters.contains(&node) {
            return Ok(false);
        }
        if !plan.members.contains(&node) {
            let learner = self.raft.add_learner(node, (), false);
            within(end, deadline, learner).await?;
        }
        self.caught_up(node, end, deadline).await?;
        Ok(true)
    }

    /// Removes `node`, voter or learner; one that `stays` loses its vote only, and goes on to be
    /// sent the log. Does nothing if that is so. Only on the leader, which may remove itself.
    ///
    /// A voter goes only while a majority of the present voters answers this leader (rule G10);
    /// this is asked right before the step. (The guard's own count of echoes is the caller's.)
    /// `under` is a change that is committed in the same entry (rule G14).
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn remove_voter(
        &self,
        node: NodeId,
        stays: bool,
        under: Option<Vec<u8>>,
        deadline: Duration,
    ) -> Result<(), MembershipError> {
        let _one = self.changing.try_lock().map_err(|_| MembershipError::InProgress)?;
        let end = end_of(deadline);
        self.settled(end).await?;
        let mut plan = self.plan()?;
        let voted = plan.voters.remove(&node);
        let left = !stays && plan.members.remove(&node);
        if !voted && !left {
            return Ok(());
        }
        if voted {
            if plan.voters.is_empty() {
                return Err(MembershipError::LastVoter(node));
            }
            self.majority_answers(end).await?;
        }
        self.step_under(plan, under, end, deadline).await
    }

    /// Lets the log count that vote beside the real ones, or none any more. What it makes possible
    /// happens at once: the absent voter's answer is not waited for any longer.
    ///
    /// A vote that is taken back leaves an engine that believes the absent node to have what was
    /// answered for it; it is told that this may prove wrong before anybody else answers (rule
    /// G6).
    ///
    /// # Errors
    /// The log has stopped.
    pub async fn tie_vote(&self, vote: Option<TieVote>) -> Result<(), MembershipError> {
        let _one = self.voting.lock().await;
        let before = self.tie.vote();
        if before == vote {
            return Ok(());
        }
        if let Some(before) = before {
            // An error says that it is no member here any more, or that somebody else leads: then
            // nothing is believed of it.
            let told = self.raft.trigger().allow_next_revert(&before.absent, true).await;
            drop(told.map_err(|_| MembershipError::Stopped)?);
        }
        let absent = vote.as_ref().map(|vote| vote.absent);
        self.tie.set(vote);
        if let Some(absent) = absent {
            let reset = self.raft.trigger().reset_backoff([absent]).await;
            reset.map_err(|_| MembershipError::Stopped)?;
        }
        Ok(())
    }

    /// Takes the absent voter's vote away, in the same entry in which `change` is committed (rules
    /// G5, G11). Only on the leader, in that term, under this very vote, and only while the voters
    /// are those that were granted.
    ///
    /// The node is no member of the log afterwards: what the engine believed of it goes with it. It
    /// comes back by [`Log::add_voter`] (rule G8).
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn shrink(
        &self,
        vote: &TieVote,
        term: Term,
        change: Vec<u8>,
        deadline: Duration,
    ) -> Result<(), MembershipError> {
        let _one = self.changing.try_lock().map_err(|_| MembershipError::InProgress)?;
        let end = end_of(deadline);
        self.settled(end).await?;
        let mut plan = self.plan()?;
        // What is asked below holds at the append: with another term or vote, the log would have
        // another end.
        let last = self.tie.last_log();
        let current = self.status().borrow().term == term;
        let given = self.tie.vote().as_ref() == Some(vote) && self.tie.counts(vote);
        if !current || !given || plan.voters != vote.half.voters {
            return Err(MembershipError::NoQuorum);
        }
        plan.members.remove(&vote.absent);
        plan.voters.remove(&vote.absent);
        let payload = Payload::blank().with_normal(Change(change));
        self.step(plan, payload, Some(last), end, deadline).await
    }

    /// The step in one entry with that change, if there is one and the log has no grant that is as
    /// new (rule G14): whoever heard of that one could be granted the next, and not know of this.
    async fn step_under(
        &self,
        plan: Plan,
        under: Option<Vec<u8>>,
        end: Instant,
        deadline: Duration,
    ) -> Result<(), MembershipError> {
        let Some(change) = under else {
            return self.step(plan, Payload::blank(), None, end, deadline).await;
        };
        let last = self.tie.last_log();
        if !self.tie.is_newest(&change) {
            return Err(MembershipError::NoQuorum);
        }
        let payload = Payload::blank().with_normal(Change(change));
        self.step(plan, payload, Some(last), end, deadline).await
    }

    /// Asks a majority of the present voters whether this node leads.
    async fn majority_answers(&self, end: Instant) -> Result<Index, MembershipError> {
        let left = end.saturating_duration_since(Instant::now());
        read_index(&self.raft, left).await.map_err(|error| match error {
            NotRead::NotLeader { leader } => MembershipError::NotLeader { leader },
            NotRead::NoQuorum => MembershipError::NoQuorum,
            NotRead::Stopped => MembershipError::Stopped,
        })
    }

    /// Waits until this leader has committed an entry of its own term, without which it may not
    /// judge what the membership is.
    async fn settled(&self, end: Instant) -> Result<(), MembershipError> {
        let own = self.majority_answers(end).await?;
        let mut status = self.status();
        let committed =
            status.wait_for(|status| status.committed >= Some(own) || status.role == Role::Stopped);
        match tokio::time::timeout_at(end, committed).await {
            Ok(Ok(status)) if status.role != Role::Stopped => Ok(()),
            Ok(_) => Err(MembershipError::Stopped),
            Err(_elapsed) => Err(MembershipError::NoQuorum),
        }
    }

    /// The newest membership in the log. One that is still joint is another change's.
    fn plan(&self) -> Result<Plan, MembershipError> {
        let stored = self.raft.server_metrics().borrow_watched().membership_config.clone();
        let membership = stored.membership();
        let [voters] = membership.get_joint_config().as_slice() else {
            return Err(MembershipError::InProgress);
        };
        // A leader that has taken its own vote away leads until that is known to all; the engine
        // does not bear that it changes the membership once more.
        if !voters.contains(&self.node) {
            return Err(MembershipError::NotLeader { leader: None });
        }
        Ok(Plan {
            voters: voters.clone(),
            members: membership.nodes().map(|(node, ())| *node).collect(),
            based_on: *stored.log_id(),
        })
    }

    /// Waits until the leader knows that `node` has all that was in the log when this was called.
    async fn caught_up(
        &self,
        node: NodeId,
        end: Instant,
        waited: Duration,
    ) -> Result<(), MembershipError> {
        let mut data = self.raft.data_metrics();
        let goal = data.borrow_watched().last_log;
        loop {
            let there = {
                let now = data.borrow_watched();
                let Some(replication) = &now.replication else {
                    return Err(MembershipError::NotLeader { leader: None });
                };
                replication.get(&node).copied().flatten() >= goal
            };
            if there {
                return Ok(());
            }
            match tokio::time::timeout_at(end, data.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(MembershipError::Stopped),
                Err(_) => return Err(MembershipError::NotCaughtUp { node, waited }),
            }
        }
    }

    /// Appends exactly this membership, with what else stands in the entry, provided that nobody
    /// changed it meanwhile, and that the log ends there, if that is said.
    async fn step(
        &self,
        plan: Plan,
        payload: Payload,
        last: Option<Option<LogId>>,
        end: Instant,
        deadline: Duration,
    ) -> Result<(), MembershipError> {
        let members: BTreeMap<_, _> = plan.members.into_iter().map(|node| (node, ())).collect();
        let membership = Membership::new(vec![plan.voters], members)
            .map_err(|error| MembershipError::Refused(error.to_string()))?;
        let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: plan.based_on };
        let end_of_log = last.map(|last_log_id| Precondition::LastLogId { last_log_id });
        let conditions = [unchanged].into_iter().chain(end_of_log);
        let appended = self.raft.append_membership(membership, payload, conditions);
        within(end, deadline, appended).await
    }
}

type Written = Result<ClientWriteResponse<Types>, RaftError<Types, ClientWriteError<Types>>>;

/// Waits for a step until `end`, and says in our words what became of it.
async fn within(
    end: Instant,
    waited: Duration,
    step: impl Future<Output = Written>,
) -> Result<(), MembershipError> {
    let error = match tokio::time::timeout_at(end, step).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error,
        Err(_elapsed) => return Err(MembershipError::Deadline { waited }),
    };
    Err(match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            MembershipError::NotLeader { leader: forward.leader_id }
        }
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(forward)) => {
            MembershipError::Superseded { leader: forward.leader_id }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
            ChangeMembershipError::InProgress(_)
            | ChangeMembershipError::UncommittedLeaderLog(_) => MembershipError::InProgress,
            ChangeMembershipError::EmptyMembership(_)
            | ChangeMembershipError::LearnerNotFound(_)
            | ChangeMembershipError::UnsupportedMembershipTransition(_)
            | ChangeMembershipError::NodeMetadataChanged(_) => {
                MembershipError::Refused(error.to_string())
            }
        },
        RaftError::APIError(ClientWriteError::PreconditionFailed(_)) => MembershipError::InProgress,
        RaftError::Fatal(Fatal::StorageError(_) | Fatal::Panicked | Fatal::Stopped) => {
            MembershipError::Stopped
        }
    })
}
