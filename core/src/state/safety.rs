//! What has to be known before something starts elsewhere, and what is done where it can't be
//! stopped.

use serde::{Deserialize, Serialize};

/// What a node does about a resource that not even a kill brings to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stuck {
    /// It tries again and again, and its service goes nowhere.
    #[default]
    Wait,
    /// It boots itself anew, at once, with all else that runs there: nothing is left then.
    Reboot,
}

/// What has to be known of a node before what it ran may be started elsewhere (S3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Safety {
    /// That the former node's lease has ended. It may go on with what it had: nothing is lost by
    /// two of it.
    #[default]
    Lease,
    /// That the former node is fenced: off, or cut from what it could write to.
    Fence,
}
