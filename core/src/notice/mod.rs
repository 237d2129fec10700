//! What an operator is told: the same lines in the journal, in `status` and in the tests.
//!
//! Happy path: the machine says that something happened ([`Notice`]), and this says how much that
//! matters and in which words. Names are in it, no numbers of nodes: who reads it later may know
//! another configuration. What there is to tell of fencing and of redirecting has files of its own.
//!
//! Absent on purpose: the wall clock, and whatever is nobody's business beyond this node.

mod fence;
mod redirect;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub use fence::FenceNews;
pub use redirect::RedirectNews;
use serde::{Deserialize, Serialize};

use crate::id::{Epoch, Grant, ServiceId, Term};
use crate::state::{Cause, ProofRecord};
use crate::time::Span;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As planned.
    Info,
    /// Something is lost that redundancy made up for.
    Warning,
    /// Somebody must look.
    Error,
}

/// One thing that happened, as this node saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// The guard answers.
    GuardConnected,
    /// The guard does not answer.
    GuardLost,
    /// This node's lease began.
    LeaseGained,
    /// This node's lease ended; what stood on it stopped.
    LeaseLost,
    /// The guard refuses leases: the clock's rate left the bound.
    ClockDistrusted,
    /// The coordinator fell silent.
    CoordinatorSilent(String),
    /// A node was asked to lead.
    Campaign(String),
    /// A node coordinates.
    Coordinator(String, Term),
    /// A node was suspected and revoked.
    Suspected(String, Span),
    /// A suspected node was heard before its lease ran out.
    Refuted(String),
    /// A node is out of the view.
    Removed(String, ProofRecord, Cause),
    /// A node is in the view.
    Admitted(String),
    /// A node was elected voter, or is one no longer.
    Voter(String, bool),
    /// A service has a holder.
    Assigned(ServiceId, String, Epoch),
    /// A service has to stop.
    Stopping(ServiceId, Cause),
    /// A service stopped.
    Stopped(ServiceId, String, Cause),
    /// A service could go nowhere.
    Nowhere(ServiceId),
    /// This node answers for the service's addresses.
    Claimed(ServiceId, Epoch),
    /// Somebody else answers for an address.
    Conflict(ServiceId, String),
    /// The program runs.
    Started(ServiceId),
    /// It could not be started.
    StartFailed(ServiceId, String),
    /// This node's copy of a service failed: the service, why.
    CopyFailed(ServiceId, String),
    /// The first monitor was good.
    Verified(ServiceId),
    /// One of its resources failed, and is started again where it is: its name, and what happened.
    Restarting(ServiceId, String, String),
    /// A monitor found it not working.
    MonitorFailed(ServiceId, String),
    /// The program ended by itself.
    Ended(ServiceId, String),
    /// An address vanished behind stead's back and is back.
    AddressRestored(String),
    /// A change was refused, which should not happen.
    Refused(String),
    /// The store failed: this node gives up what it has.
    StoreFailed(String),
    /// This node was asked to end: it stops what it has and gives its lease up.
    Retiring,
    /// The addresses of a service are not there.
    ClaimFailed(ServiceId),
    /// The wanted state changed.
    Configured(u64),
    /// A node went on or off standby.
    Standby(String, bool),
    /// A node joined or left.
    Membership(String, bool),
    /// The round trip is longer than the timers allow for.
    RoundTripExceeded(String, Span),
    /// Clients of a service's former holder learn that their connections are gone.
    ClientsTold(ServiceId, u64),
    /// This node goes away in order, and its services go elsewhere first.
    Departing(String),
    /// The network can't be told that an address is here.
    AnnounceFailed(ServiceId, String),
    /// Clients of a service are led here, or not yet.
    Redirect(ServiceId, RedirectNews),
    /// Something is kept for somebody, in words, or no longer.
    Reserved(String, Option<String>),
    /// A reference point does not answer this node any more.
    PointLost(String),
    /// A reference point that was lost answers this node again.
    PointBack(String),
    /// These times of the week are open now.
    Times(Vec<String>),
    /// A service is to be on a node: where, whether for a while only, and until when at most
    /// (seconds since 1970); or no longer.
    Visit(ServiceId, Option<(String, bool, u64)>),
    /// Nothing moves for a while: on which node that was asked for, for how long, and why.
    Disarmed(String, Span, String),
    /// Exactly half of the voters is here: these, and what this node does about it.
    Tied(Vec<String>, String),
    /// The register granted this half that number: it goes on.
    Granted(Grant),
    /// The register does not grant it, and why.
    NotGranted(String),
    /// An operator says that these are off: why, and until when that counts.
    Vouched(Vec<String>, String, Span),
    /// That word counts no more: its time is over, or a node is heard that was said to be off.
    VouchEnded(bool),
    /// A node was lost that often and is given services only as a last resort, for so long.
    Quarantined(String, u32, Span),
    /// A node's quarantine is over: by an operator's word, or by time.
    QuarantineOver(String, bool),
    /// An operator stopped these nodes, or lets them serve again.
    Halted(Vec<String>, bool),
    /// A half went on under that grant, without these.
    WentOn(Grant, Vec<String>),
    /// A node that lost its vote by a grant is back.
    VotesAgain(String),
    /// The cluster is enrolled at a quorum server, or no longer.
    Enrolled(bool),
    /// The register does not answer: the next tie would stop both halves.
    RegisterLost,
    /// It answers.
    RegisterHere,
    /// It grants nothing, as it does not know what was granted before.
    RegisterDistrusted,
    /// It can be relied upon again.
    RegisterTrusted,
    /// The cluster acts again: on which node that was asked for; the time was over if on none.
    Armed(Option<String>),
    /// A service stays with a node that was lost: only proof that it is off lets it go elsewhere.
    StaysWith(ServiceId, String),
    /// A machine is off, by an operator's word: on which node that was said, and what was looked
    /// at.
    ConfirmedOff(String, String, String),
    /// An operator stopped these services, or started them again.
    ServicesStopped(Vec<String>, bool),
    /// That is left as it is for work by hand: on which node that was asked for, and why; nothing
    /// when it is over.
    Maintenance(String, Option<(String, String)>),
    /// What there is to tell of a node's being switched off.
    Fence(String, FenceNews),
    /// What is run when a service comes or goes failed: which, and why.
    HookFailed(ServiceId, String, String),
    /// A node was certainly reset by its watchdog, or had nothing left.
    WatchdogElapsed(String),
    /// A node is heard that its watchdog should have reset.
    WatchdogFailed(String),
}

impl Notice {
    /// How much it matters.
    #[expect(clippy::too_many_lines, reason = "a line for each: split, one could be forgotten")]
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Fence(_, news) => news.severity(),
            Self::Redirect(_, news) => news.severity(),
            Self::GuardLost
            | Self::LeaseLost
            | Self::ClockDistrusted
            | Self::Nowhere(_)
            | Self::NotGranted(_)
            | Self::StaysWith(..)
            | Self::Conflict(..)
            | Self::AnnounceFailed(..)
            | Self::StartFailed(..)
            | Self::CopyFailed(..)
            | Self::WatchdogFailed(_)
            | Self::StoreFailed(_) => Severity::Error,
            Self::CoordinatorSilent(_)
            | Self::ClaimFailed(_)
            | Self::Suspected(..)
            | Self::Removed(..)
            | Self::Restarting(..)
            | Self::MonitorFailed(..)
            | Self::Ended(..)
            | Self::AddressRestored(_)
            | Self::RoundTripExceeded(..)
            | Self::PointLost(_)
            | Self::Disarmed(..)
            | Self::Tied(..)
            | Self::Vouched(..)
            | Self::VouchEnded(_)
            | Self::Quarantined(..)
            | Self::Halted(_, true)
            | Self::ServicesStopped(_, true)
            | Self::Maintenance(_, Some(_))
            | Self::HookFailed(..)
            | Self::WentOn(..)
            | Self::ConfirmedOff(..)
            | Self::WatchdogElapsed(_)
            | Self::RegisterLost
            | Self::RegisterDistrusted
            | Self::Refused(_) => Severity::Warning,
            Self::GuardConnected
            | Self::LeaseGained
            | Self::Retiring
            | Self::Campaign(_)
            | Self::Coordinator(..)
            | Self::Refuted(_)
            | Self::Admitted(_)
            | Self::Voter(..)
            | Self::Assigned(..)
            | Self::Stopping(..)
            | Self::Stopped(..)
            | Self::Claimed(..)
            | Self::Started(_)
            | Self::Verified(_)
            | Self::Configured(_)
            | Self::Times(_)
            | Self::Visit(..)
            | Self::Reserved(..)
            | Self::Standby(..)
            | Self::Membership(..)
            | Self::ClientsTold(..)
            | Self::PointBack(_)
            | Self::Armed(_)
            | Self::QuarantineOver(..)
            | Self::Halted(_, false)
            | Self::ServicesStopped(_, false)
            | Self::Maintenance(_, None)
            | Self::Granted(_)
            | Self::VotesAgain(_)
            | Self::Enrolled(_)
            | Self::RegisterHere
            | Self::RegisterTrusted
            | Self::Departing(_) => Severity::Info,
        }
    }
}

impl fmt::Display for Notice {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest stands below")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GuardConnected => f.write_str("the guard answers"),
            Self::GuardLost => f.write_str("the guard does not answer: nothing can be served here"),
            Self::LeaseGained => f.write_str("this node has a lease"),
            Self::LeaseLost => f.write_str("this node lost its lease: everything here stops"),
            Self::ClockDistrusted => f.write_str(
                "the clock's rate is off by more than 1/1000: no lease (is a time daemon slewing?)",
            ),
            Self::CoordinatorSilent(node) => write!(f, "the coordinator {node} fell silent"),
            Self::Campaign(node) => write!(f, "{node} is asked to coordinate"),
            Self::Coordinator(node, term) => write!(f, "{node} coordinates (term {term})"),
            Self::Suspected(node, silent) => {
                write!(f, "{node} is suspected: not heard for {silent}")
            }
            Self::Refuted(node) => write!(f, "{node} is heard again before its lease ran out"),
            Self::Removed(node, proof, cause) => {
                write!(f, "{node} is out of the view: {cause}; {proof}")
            }
            Self::Admitted(node) => write!(f, "{node} is in the view"),
            Self::Voter(node, true) => write!(f, "{node} votes"),
            Self::Voter(node, false) => write!(f, "{node} votes no longer"),
            Self::Assigned(service, node, epoch) => {
                write!(f, "{service} is assigned to {node} (epoch {epoch})")
            }
            Self::Stopping(service, cause) => write!(f, "{service} has to stop here: {cause}"),
            Self::Stopped(service, node, cause) => {
                write!(f, "{service} stopped on {node}: {cause}")
            }
            Self::Nowhere(service) => write!(f, "{service} can go nowhere: no node is able"),
            Self::Claimed(service, epoch) => {
                write!(f, "{service}: this node answers for its addresses (epoch {epoch})")
            }
            Self::Conflict(service, detail) => write!(f, "{service}: {detail}"),
            Self::Started(service) => write!(f, "{service} was started"),
            Self::StartFailed(service, detail) => write!(f, "{service} did not start: {detail}"),
            Self::CopyFailed(service, detail) => {
                write!(f, "the copy of {service} here failed: {detail}")
            }
            Self::Verified(service) => write!(f, "{service} works"),
            Self::Restarting(service, resource, reason) => {
                write!(f, "{service}: {resource} failed and is started again: {reason}")
            }
            Self::MonitorFailed(service, detail) => write!(f, "{service} does not work: {detail}"),
            Self::Ended(service, detail) => write!(f, "{service} ended by itself: {detail}"),
            Self::AddressRestored(address) => {
                write!(f, "{address} had been removed behind stead's back and is there again")
            }
            Self::Refused(detail) => write!(f, "a change was refused: {detail}"),
            Self::StoreFailed(detail) => {
                write!(f, "the store failed, this node gives up its services: {detail}")
            }
            Self::Retiring => f.write_str("this node is ending: what runs here stops first"),
            Self::ClaimFailed(service) => {
                write!(f, "{service}: its addresses can't be used on this node")
            }
            Self::Configured(revision) => write!(f, "the configuration is at revision {revision}"),
            Self::RoundTripExceeded(node, span) => round_trip_exceeded(f, node, *span),
            Self::Departing(why) => {
                write!(f, "{why}: this node goes on standby, its services move to others")
            }
            Self::ClientsTold(service, count) => clients_told(f, service, *count),
            Self::AnnounceFailed(service, detail) => write!(f, "{service}: {detail}"),
            Self::Redirect(service, news) => write!(f, "{service}: {news}"),
            Self::Reserved(what, Some(why)) => write!(f, "{what} is reserved, {why}"),
            Self::Reserved(what, None) => write!(f, "{what} is reserved no longer"),
            _ => members(f, self),
        }
    }
}

/// What is told of members, and of what people want of them.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest stands above and below")]
fn members(f: &mut fmt::Formatter<'_>, notice: &Notice) -> fmt::Result {
    match notice {
        Notice::PointLost(point) => {
            write!(f, "the reference point {point} does not answer this node")
        }
        Notice::PointBack(point) => {
            write!(f, "the reference point {point} answers this node again")
        }
        Notice::Standby(node, true) => write!(f, "{node} is on standby"),
        Notice::Standby(node, false) => write!(f, "{node} is off standby"),
        Notice::Membership(node, true) => write!(f, "{node} joined"),
        Notice::Membership(node, false) => write!(f, "{node} left"),
        Notice::Quarantined(node, losses, span) => quarantined(f, node, *losses, *span),
        Notice::QuarantineOver(node, by_word) => steady(f, node, *by_word),
        Notice::Halted(nodes, true) => {
            write!(f, "stopped by an operator: {}; nothing is served there", nodes.join(", "))
        }
        Notice::Halted(nodes, false) => {
            write!(f, "started by an operator: {}", nodes.join(", "))
        }
        Notice::StaysWith(service, node) => write!(
            f,
            "{service} stays with {node}, which is lost: only proof that {node} is off lets it \
             start elsewhere"
        ),
        Notice::ConfirmedOff(node, by, reason) => {
            write!(f, "{node} is off, by an operator's word on {by}: {reason}")
        }
        Notice::Fence(node, news) => fence::tell(f, node, news),
        Notice::WatchdogElapsed(node) => write!(
            f,
            "what stayed with {node} may start elsewhere: by now its watchdog has reset it, unless \
             it had stopped all that itself"
        ),
        Notice::WatchdogFailed(node) => write!(
            f,
            "{node} is heard, and its watchdog should have reset it: that is not relied on any more"
        ),
        Notice::ServicesStopped(services, true) => {
            write!(f, "stopped by an operator, and to run nowhere: {}", services.join(", "))
        }
        Notice::ServicesStopped(services, false) => {
            write!(f, "started by an operator, and to run again: {}", services.join(", "))
        }
        Notice::Maintenance(what, Some((by, reason))) => maintenance(f, what, by, reason),
        Notice::Maintenance(what, None) => write!(f, "maintenance of {what} is over"),
        Notice::HookFailed(service, hook, reason) => {
            write!(f, "{service}: its {hook} hook failed, which changes nothing else: {reason}")
        }
        Notice::Disarmed(by, span, reason) => disarmed(f, by, *span, reason),
        Notice::Times(open) if open.is_empty() => {
            f.write_str("no time of the configuration is open")
        }
        Notice::Times(open) => write!(f, "open by the clock: {}", open.join(", ")),
        Notice::Visit(service, Some((node, back, _))) => {
            let then = if *back { "for a while" } else { "and stays there" };
            write!(f, "{service} is to be on {node}, {then}")
        }
        Notice::Visit(service, None) => write!(f, "{service} goes by its rules again"),
        Notice::Armed(by) => armed(f, by.as_deref()),
        _ => ties(f, notice),
    }
}

/// What is told of halves, and of what breaks ties.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest stands above")]
fn ties(f: &mut fmt::Formatter<'_>, notice: &Notice) -> fmt::Result {
    match notice {
        Notice::Tied(here, what) => {
            write!(f, "QUORUMTIE: only {} here, half of the voters; {what}", here.join(", "))
        }
        Notice::Granted(number) => {
            write!(f, "HAVEQUORUM: this half was granted ({number}) and goes on")
        }
        Notice::NotGranted(why) => write!(f, "NOQUORUM: {why}"),
        Notice::Vouched(absent, reason, span) => write!(
            f,
            "an operator says that {} off, which counts for {}: {reason}",
            if let [one] = &absent[..] {
                alloc::format!("{one} is")
            } else {
                alloc::format!("{} are", absent.join(", "))
            },
            span.in_words()
        ),
        Notice::VouchEnded(true) => f.write_str("the override counts no more: its time is over"),
        Notice::VouchEnded(false) => {
            f.write_str("the override counts no more: a node is heard that was said to be off")
        }
        Notice::WentOn(number, out) => write!(
            f,
            "half of the voters goes on under grant {number}; without a vote until back: {}",
            out.join(", ")
        ),
        Notice::VotesAgain(node) => write!(f, "{node} is back and is to vote again"),
        Notice::Enrolled(true) => f.write_str("the cluster is enrolled at a quorum server"),
        Notice::Enrolled(false) => {
            f.write_str("the cluster is enrolled at no quorum server any more")
        }
        Notice::RegisterLost => f.write_str(
            "what breaks ties does not answer: if exactly half of the voters is lost now, \
             everything stops",
        ),
        Notice::RegisterHere => f.write_str("what breaks ties answers"),
        Notice::RegisterDistrusted => f.write_str(
            "what breaks ties does not know what it granted before: it grants nothing until a \
             majority has told it",
        ),
        Notice::RegisterTrusted => f.write_str("what breaks ties can be relied upon"),
        _ => Ok(()),
    }
}

fn clients_told(f: &mut fmt::Formatter<'_>, service: &ServiceId, count: u64) -> fmt::Result {
    match count {
        1 => write!(f, "{service}: one client is told that its connection is gone"),
        _ => write!(f, "{service}: {count} clients are told that their connections are gone"),
    }
}

fn disarmed(f: &mut fmt::Formatter<'_>, by: &str, span: Span, reason: &str) -> fmt::Result {
    write!(f, "disarmed for {} by {by}: nothing moves", span.in_words())?;
    if reason.is_empty() { Ok(()) } else { write!(f, " ({reason})") }
}

fn maintenance(f: &mut fmt::Formatter<'_>, what: &str, by: &str, reason: &str) -> fmt::Result {
    write!(f, "maintenance of {what}, asked for on {by}: it is left as it is")?;
    if reason.is_empty() { Ok(()) } else { write!(f, " ({reason})") }
}

fn quarantined(f: &mut fmt::Formatter<'_>, node: &str, losses: u32, span: Span) -> fmt::Result {
    write!(
        f,
        "{node} was lost {losses} times: for {} it is given services only where no other node \
         could take them",
        span.in_words()
    )
}

fn steady(f: &mut fmt::Formatter<'_>, node: &str, by_word: bool) -> fmt::Result {
    write!(f, "{node} is given services as before")?;
    if by_word { f.write_str(", by an operator's word") } else { Ok(()) }
}

fn armed(f: &mut fmt::Formatter<'_>, by: Option<&str>) -> fmt::Result {
    match by {
        Some(by) => write!(f, "armed again by {by}: services move as usual"),
        None => f.write_str("armed again, as the time is over: services move as usual"),
    }
}

fn round_trip_exceeded(f: &mut fmt::Formatter<'_>, node: &str, span: Span) -> fmt::Result {
    write!(
        f,
        "the round trip to {node} takes {span}: more than the configured round-trip, so stalls \
         shorter than the ride-out may cost a lease"
    )
}
