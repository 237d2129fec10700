//! What goes out through the second door.

use alloc::string::String;

use crate::id::{Epoch, NodeId, ServiceId, Term};
use crate::lease::Order;
use crate::notice::Notice;
use crate::quorum::ask::Question;
use crate::quorum::vote::TieVote;
use crate::redirect::{Layer, Probing, Verb};
use crate::resource::Care;
use crate::state::{Cause, Change};

/// What to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Tell the guard.
    Guard(Order),
    /// Read the log's present end ([`super::Event::Current`]).
    ReadIndex,
    /// Propose a change to whoever leads the log; its fate comes back by a deadline.
    Propose {
        /// The number under which the fate comes back.
        ticket: u64,
        /// The change.
        change: Change,
    },
    /// Make that node campaign for leadership now.
    Campaign(NodeId),
    /// Have that voter lead the log in this node's place.
    HandOver(NodeId),
    /// Have a member get the log, without a vote.
    AddLearner(NodeId),
    /// Make a member vote.
    AddVoter {
        /// Which.
        node: NodeId,
        /// What is committed in the same entry, for an even set of voters (rule G14).
        under: Option<Change>,
    },
    /// Make a node vote no longer, or send the log no longer to one that has no vote.
    RemoveVoter {
        /// Which.
        node: NodeId,
        /// It is a member that goes on to be sent the log.
        stays: bool,
        /// What is committed in the same entry, for an even set of voters (rule G14).
        under: Option<Change>,
    },
    /// Ask the register. The answer comes back under that number by a deadline, or none.
    Ask {
        /// The number.
        number: u64,
        /// What.
        question: Question,
    },
    /// Let the log count that vote beside the real ones, or none any more (rule G4).
    TieVote(Option<TieVote>),
    /// Take the vote of the absent voter away, in one entry with the change (rules G5, G11).
    Shrink {
        /// The vote by which this goes on.
        vote: TieVote,
        /// The term in which it was decided; in a later one it must not be appended.
        term: Term,
        /// What is committed with it.
        change: Change,
    },
    /// Ask whether anybody else answers for the service's addresses.
    Probe {
        /// The service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
        /// How thoroughly.
        probing: Probing,
    },
    /// Announce the service's addresses until told to be quiet.
    Announce {
        /// The service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
    },
    /// Do a step by one layer: announce beyond the segment, announce on it anew, or have another
    /// node look ([`super::Event::Redirected`]).
    Redirect {
        /// The service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
        /// By which layer.
        layer: Layer,
        /// What.
        verb: Verb,
    },
    /// Announce the service's addresses no longer.
    Quiet {
        /// The service.
        service: ServiceId,
    },
    /// Start the program, if there is one, and watch it. Of a service with copies: promote the one
    /// that runs here, and start what belongs to that.
    Start {
        /// The service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
    },
    /// Stop the program, if it runs, and everything that it started. Of a service with copies:
    /// demote the one that runs here; it is over when its agents say so.
    Stop {
        /// The service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
    },
    /// What may be done about its parts that fail, and whether what its monitor says is acted upon.
    Care {
        /// The service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
        /// That.
        care: Care,
    },
    /// Forget how often parts of it failed, and try again what waits.
    Forget {
        /// The service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
        /// Which part; all if none.
        resource: Option<String>,
    },
    /// Run what the service has for that moment. It delays what follows for no longer than its
    /// time.
    Hook {
        /// The service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
        /// Which.
        hook: Hook,
        /// Why it came or goes; nothing if it never ran before.
        cause: Option<Cause>,
    },
    /// Start this node's copy of a service, with nothing promoted; or go on with it.
    Copy {
        /// The service.
        service: ServiceId,
        /// Under which epoch.
        epoch: Epoch,
    },
    /// Stop this node's copy, and everything of it.
    EndCopy {
        /// The service.
        service: ServiceId,
        /// Under which epoch.
        epoch: Epoch,
    },
    /// Have a node's devices switch it off, level by level, and say what they said
    /// ([`super::Event::Fenced`]).
    Fence {
        /// The node.
        node: NodeId,
        /// The number under which the answer comes back.
        number: u64,
        /// Only devices count that take its machine's power, not those that leave it on and cut it
        /// off.
        power: bool,
    },
    /// That attempt is not this node's to make any more: what runs of it is killed, and nothing of
    /// it comes back.
    StopFence {
        /// Its number.
        number: u64,
    },
    /// Tell people.
    Notice(Notice),
}

/// A moment at which something is run beside a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// It works here.
    Takeover,
    /// It is about to be stopped here.
    Release,
}

impl Hook {
    /// The word for it in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Takeover => "takeover",
            Self::Release => "release",
        }
    }
}
