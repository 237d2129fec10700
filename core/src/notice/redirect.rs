//! What there is to tell of redirecting clients.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::Severity;
use crate::redirect::Layer;
use crate::time::Span;

/// What became of leading a service's clients here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedirectNews {
    /// A layer beyond the segment was told: after how long.
    Announced(Layer, Span),
    /// It could not be told, and why.
    Failed(Layer, String),
    /// An observer sees by a layer that the service is here: which, and after how long.
    Converged(Layer, String, Span),
    /// By a layer clients are not led here yet: what is seen instead.
    NotConverged(Layer, String),
    /// The service is about to move: its names are to be kept for a short time only. Or no longer.
    Lowered(bool),
}

impl RedirectNews {
    pub(super) fn severity(&self) -> Severity {
        match self {
            Self::Announced(..) | Self::Converged(..) | Self::Lowered(_) => Severity::Info,
            Self::Failed(..) | Self::NotConverged(..) => Severity::Warning,
        }
    }
}

/// What a layer is about, in words.
const fn place(layer: Layer) -> &'static str {
    match layer {
        Layer::Mac => "the switch port of its MAC",
        Layer::Arp => "the MAC of its address",
        Layer::Route => "its route",
        Layer::Dns => "its name",
        Layer::Knowledge => "what clients are told",
    }
}

impl fmt::Display for RedirectNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Announced(layer, after) => {
                write!(f, "{} leads here, after {}", place(*layer), after.in_words())
            }
            Self::Failed(layer, why) => {
                write!(f, "{} can't be changed, which is tried again: {why}", place(*layer))
            }
            Self::Converged(layer, by, after) => {
                write!(f, "{} leads here, as {by} sees after {}", place(*layer), after.in_words())
            }
            Self::NotConverged(layer, why) => {
                write!(f, "{} does not lead here yet: {why}", place(*layer))
            }
            Self::Lowered(true) => f.write_str(
                "it is about to move, so what name servers say of it is to be kept for a short \
                 time only",
            ),
            Self::Lowered(false) => {
                f.write_str("what name servers say of it may be kept as usual again")
            }
        }
    }
}
