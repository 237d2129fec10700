//! Why a change is refused, in words for whoever asked for it.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::attributes::{ATTRIBUTES_KEPT, LONGEST_ATTRIBUTE, LONGEST_ATTRIBUTE_NAME};
use super::register::RESERVATIONS_KEPT;
use super::registered::Registered;
use crate::id::{NodeId, ServiceId};
use crate::time::Span;

/// Why a change changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The cluster has begun already.
    AlreadyFounded,
    /// The cluster has not begun.
    NotFounded,
    /// It was decided upon something that is no longer so.
    Stale,
    /// There is no such node.
    NoSuchNode,
    /// There is no such service.
    NoSuchService,
    /// The token is unknown, or was used.
    BadToken,
    /// The configuration names no such node, or it has joined already.
    NotAwaited(String),
    /// The node can't take the service now.
    NotEligible(NodeId),
    /// The service is there already.
    AlreadyThere,
    /// The last member can't leave.
    LastMember,
    /// The configuration lacks a node that is a member: it must leave first.
    MemberMissing(String),
    /// The node still serves something: put it on standby first.
    StillServes(ServiceId),
    /// Former timers have not run out yet.
    Unsettled,
    /// The ride-out stays as it is while the cluster is disarmed.
    Disarmed,
    /// The cluster is armed already.
    Armed,
    /// No cluster can be disarmed for so long, or for so short a time.
    SpanUnusable(Span),
    /// Nobody would be left that votes.
    LastVoter,
    /// The node is in the view: it is not off.
    StillHere,
    /// No service waits for that node.
    NothingWaits,
    /// That service is in maintenance, and so left as it is.
    InMaintenance(ServiceId),
    /// The service has no such part.
    NoSuchResource(String),
    /// The node has no copy of the service that could be promoted now.
    NoCopy(NodeId),
    /// The name or the value of an attribute is too long, or the name is empty.
    AttributeTooLong,
    /// No more attributes are kept.
    TooManyAttributes,
    /// The node is being switched off, or was, and this start of it counts no more.
    Fenced(NodeId),
    /// The node is being switched off and on for a trial.
    BeingCycled(NodeId),
    /// It, or a part of it, is somebody else's: what, and whose.
    Claimed(Registered, String),
    /// It is not reserved.
    NotReserved,
    /// A name or a note is too long.
    TextTooLong,
    /// No more reservations are kept.
    TooManyReservations,
}

impl fmt::Display for Refusal {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest stands below")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyFounded => f.write_str("the cluster exists already"),
            Self::NotFounded => f.write_str("there is no cluster yet; begin one with `stead init`"),
            Self::Stale => {
                f.write_str("the cluster has changed in the meantime; look and try again")
            }
            Self::NoSuchNode => f.write_str("no such node"),
            Self::NoSuchService => f.write_str("no such service"),
            Self::BadToken => f.write_str(
                "the token is unknown or was used; make a new one with `stead token NODE`",
            ),
            Self::NotAwaited(name) => write!(
                f,
                "{name} is not in the configuration or has joined already; see `stead status`"
            ),
            Self::NotEligible(_) => f.write_str(
                "that node can't take it: it is away, on standby, stopped or without its \
                             daemon",
            ),
            Self::NoCopy(_) => {
                f.write_str("no copy of it there can be promoted: see its score in `stead status`")
            }
            Self::Fenced(_) => {
                f.write_str("that node is being fenced, or was and has not started anew")
            }
            Self::AlreadyThere => f.write_str("it is there already"),
            Self::LastMember => f.write_str("the last member can't leave its own cluster"),
            Self::MemberMissing(name) => write!(
                f,
                "{name} is a member and missing from the configuration; let it leave first with \
                 `stead leave {name}`"
            ),
            Self::StillServes(service) => write!(
                f,
                "it still serves {service}; put it on standby first with `stead standby NODE`; if \
                 the machine is off for good: `stead fence confirm-off NODE --reason TEXT`"
            ),
            Self::StillHere => f.write_str(
                "that node is heard and in the view: it is not off. `stead standby NODE` has its \
                 services moved",
            ),
            Self::NothingWaits => f.write_str("no service waits for that node to be off"),
            Self::Disarmed => f.write_str(
                "ride-out and round trip can't change while the cluster is disarmed; arm it first \
                 with `stead disarm --off`",
            ),
            Self::Armed => f.write_str("the cluster is armed already"),
            Self::SpanUnusable(span) => write!(
                f,
                "a cluster can't be disarmed for {}: it must be longer than its lease, and 24 h at \
                 the most",
                span.in_words()
            ),
            Self::LastVoter => f.write_str(
                "nobody would be left that votes: satellites do not, nor does who lost its vote in \
                 a tie before it is back; let another member vote first",
            ),
            Self::InMaintenance(service) => write!(
                f,
                "{service} is in maintenance and left as it is; `stead status` says what to end \
                 first"
            ),
            Self::NoSuchResource(name) => write!(f, "the service has no resource {name}"),
            Self::Unsettled => f.write_str(
                "leases under the timers before these have not all run out; try again in a second",
            ),
            _ => limits(f, self),
        }
    }
}

/// What is refused by a register, and what is too long or too much.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest stands above")]
fn limits(f: &mut fmt::Formatter<'_>, refusal: &Refusal) -> fmt::Result {
    match refusal {
        Refusal::Claimed(what, whose) => {
            write!(f, "{what} is taken ({whose}); `stead register` lists what is whose")
        }
        Refusal::NotReserved => f.write_str(
            "it is not reserved; `stead register` lists what is. What a service uses is taken out \
             of the configuration",
        ),
        Refusal::TextTooLong => f.write_str("a name or a note has up to 255 bytes"),
        Refusal::TooManyReservations => {
            write!(f, "{RESERVATIONS_KEPT} are the most; release some")
        }
        Refusal::TooManyAttributes => write!(f, "{ATTRIBUTES_KEPT} are the most; delete some"),
        Refusal::AttributeTooLong => write!(
            f,
            "a name has 1 to {LONGEST_ATTRIBUTE_NAME} bytes, a value up to {LONGEST_ATTRIBUTE}"
        ),
        Refusal::BeingCycled(_) => f.write_str(
            "that node's machine is being switched off and on to rehearse its fencing; when that \
             is over stands in `stead fence history`",
        ),
        _ => Ok(()),
    }
}
