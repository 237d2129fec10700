//! What people are told of nodes that are switched off.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::Severity;

/// What there is to tell of a node's being switched off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FenceNews {
    /// Its devices are asked.
    Begins,
    /// It is off, by that.
    Off(String),
    /// It could not be had off, and why.
    Failed(String),
    /// It goes on though its devices called it off: what was seen.
    Doubted(String),
    /// It was cut off, and goes on: it says so itself.
    HasToBoot,
    /// The way to it was tried; why it does not work, if it does not.
    Rehearsed(Option<String>),
    /// Its machine is being switched off and on for a trial, from that node.
    Cycling(String),
    /// What came of that.
    Cycled(Result<String, String>),
}

impl FenceNews {
    pub(super) fn severity(&self) -> Severity {
        match self {
            Self::Failed(_)
            | Self::Doubted(_)
            | Self::HasToBoot
            | Self::Rehearsed(Some(_))
            | Self::Cycled(Err(_)) => Severity::Error,
            Self::Begins | Self::Off(_) | Self::Cycling(_) => Severity::Warning,
            Self::Rehearsed(None) | Self::Cycled(Ok(_)) => Severity::Info,
        }
    }
}

pub(super) fn tell(f: &mut fmt::Formatter<'_>, node: &str, news: &FenceNews) -> fmt::Result {
    match news {
        FenceNews::Begins => write!(f, "{node} is being fenced"),
        FenceNews::Off(how) => write!(f, "{node} was fenced: {how}"),
        FenceNews::Failed(why) => write!(f, "{node} could not be fenced: {why}"),
        FenceNews::Doubted(why) => write!(
            f,
            "{node}: {why}; what its devices say is no proof until `stead fence rehearse {node} \
             --power-cycle` has seen it go off"
        ),
        FenceNews::HasToBoot => write!(
            f,
            "{node} was cut off by its fence devices, and is let in again when it has booted: \
             boot it"
        ),
        FenceNews::Rehearsed(None) => write!(f, "the way to fence {node} works"),
        FenceNews::Rehearsed(Some(why)) => {
            write!(f, "{node} could not be fenced if it had to be: {why}")
        }
        FenceNews::Cycling(by) => {
            write!(f, "{node} is switched off and on from {by}, to rehearse its fencing")
        }
        FenceNews::Cycled(Ok(how)) => write!(f, "the fencing of {node} was rehearsed: {how}"),
        FenceNews::Cycled(Err(why)) => {
            write!(f, "the fencing of {node} was rehearsed, and failed: {why}")
        }
    }
}
