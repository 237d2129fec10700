//! What comes in through the first door.

use alloc::collections::BTreeSet;
use alloc::string::String;

use super::vouch::Word;
use crate::id::{Epoch, Index, NodeId, ServiceId, Term};
use crate::lease::{LogTail, Report, VoterSets};
use crate::quorum::ask::Answer;
use crate::redirect::{Layer, Seen, Verb};
use crate::state::{Change, FenceSaid, Outcome, State};
use crate::time::Span;

/// What happened.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "made one at a time and taken at once, never kept")]
pub enum Event {
    /// Nothing but time.
    Tick,
    /// The guard's state.
    Report(Report),
    /// The guard's connection ended.
    GuardLost,
    /// The log's state.
    Log(LogView),
    /// A read of this run: all that was committed before it is applied once this index is.
    Current(Index),
    /// An entry was committed; nothing in it if it is the log's own.
    Applied {
        /// Its position.
        index: Index,
        /// Its term.
        term: Term,
        /// The change.
        change: Option<Change>,
    },
    /// The state was replaced by a snapshot of it.
    Restored(State),
    /// The fate of a proposal, as far as it is known.
    Proposed {
        /// Which.
        ticket: u64,
        /// What became of it.
        fate: Fate,
    },
    /// The register answered, or did not in time.
    Answered {
        /// The number of the question.
        number: u64,
        /// What it said.
        answer: Option<Answer>,
        /// How long that took.
        round_trip: Span,
    },
    /// An operator says that the absent half of the voters is off.
    Vouched(Word),
    /// A node's devices have spoken.
    Fenced {
        /// The node.
        node: NodeId,
        /// The number of the attempt.
        number: u64,
        /// What they said.
        said: FenceSaid,
    },
    /// A probe for conflicts ended.
    Probed {
        /// For which service.
        service: ServiceId,
        /// Under which assignment; the present one's if it was asked for ahead.
        epoch: Epoch,
        /// Who else answers, in words.
        conflict: Option<String>,
    },
    /// The first announcements left.
    Announced {
        /// Of which service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
    },
    /// A step by one layer is done, or was not.
    Redirected {
        /// Of which service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
        /// By which layer.
        layer: Layer,
        /// What.
        verb: Verb,
        /// What came of it.
        seen: Seen,
    },
    /// The program runs, or could not be started.
    Started {
        /// Of which service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
        /// Why it could not.
        failed: Option<String>,
    },
    /// One of its resources failed, and is started again where it is.
    Restarting {
        /// Of which service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
        /// The resource.
        resource: String,
        /// What happened to it.
        reason: String,
    },
    /// One of its resources fails, and nothing is done about it for now.
    Unwell {
        /// Of which service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
        /// The resource, and what its monitor said.
        detail: String,
    },
    /// What is run when a service comes or goes failed, or took too long.
    HookFailed {
        /// Of which service.
        service: ServiceId,
        /// Which.
        hook: super::Hook,
        /// Why.
        reason: String,
    },
    /// The program ended by itself.
    Ended {
        /// Of which service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
        /// How.
        detail: String,
    },
    /// The program, and everything that it started, is gone.
    Stopped {
        /// Of which service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
    },
    /// A monitor's answer.
    Monitored {
        /// Of which service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
        /// Why it does not work.
        failed: Option<String>,
    },
    /// A former run of the daemon left this running, or may have left something of it.
    Found {
        /// Which service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
    },
    /// A copy runs, or could not be started.
    CopyStarted {
        /// Of which service.
        service: ServiceId,
        /// Under which epoch.
        epoch: Epoch,
        /// Why it could not.
        failed: Option<String>,
    },
    /// A copy ended, or was given up.
    CopyFailed {
        /// Of which service.
        service: ServiceId,
        /// Under which epoch.
        epoch: Epoch,
        /// How.
        detail: String,
    },
    /// Nothing is left of a copy.
    CopyEnded {
        /// Of which service.
        service: ServiceId,
        /// Under which epoch.
        epoch: Epoch,
    },
    /// A former run of the daemon left this copy running.
    CopyFound {
        /// Of which service.
        service: ServiceId,
        /// Under which epoch.
        epoch: Epoch,
    },
    /// This node was asked to end: it stops what it runs and gives its lease up. It is over when
    /// another guard has started.
    Retire,
    /// The store failed: nothing that this node says can be relied upon from now on.
    StoreFailed(String),
}

/// What is known of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the log at that position, with that outcome.
    Committed(Index, Outcome),
    /// It may be there or not, now or later.
    Unknown,
    /// It is not and won't be.
    Lost,
}

/// The log, as this node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogView {
    /// The newest term.
    pub term: Term,
    /// Who leads in it.
    pub leader: Option<NodeId>,
    /// The voters.
    pub voters: VoterSets,
    /// Who is sent the log without a vote.
    pub learners: BTreeSet<NodeId>,
    /// The end of this node's log.
    pub tail: LogTail,
}
