//! What shall come of failures, as the operator expects it: `[[expect]]`.
//!
//! Nothing goes anywhere for it. A file by which something else would come is refused when it is
//! applied, and told of when it is planned: so a rule that is changed later can't undo unnoticed
//! what somebody relies on.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::rules::Place;
use crate::id::ServiceId;
use crate::time::Span;

/// If these fail at once, that shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// What fails: all nodes that are meant.
    pub fail: Vec<Place>,
    /// What shall be then.
    pub then: Vec<Expected>,
}

/// What shall become of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Which.
    pub service: ServiceId,
    /// Where it shall be.
    pub fate: Fate,
    /// After what time at most.
    pub within: Option<Span>,
}

/// Where a service shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// Anywhere.
    Runs,
    /// There.
    On(Place),
    /// Nowhere: what counts more has the room.
    Nowhere,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs => f.write_str("runs"),
            Self::On(place) => write!(f, "on {place}"),
            Self::Nowhere => f.write_str("nowhere"),
        }
    }
}
