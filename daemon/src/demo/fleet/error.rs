//! What can go wrong with a fleet.

use std::io;
use std::time::Duration;

use stead_lab::LabError;

/// Failure of a step. What was built before it still stands.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The network underneath.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A file, thread or process.
    #[error("{what}")]
    Io {
        /// The step.
        what: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A command of stead refused.
    #[error("`stead {command}` on {node} ended with {status}: {stderr}")]
    Command {
        /// What was typed.
        command: String,
        /// Where.
        node: String,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// A command of stead printed something that is not what it promises.
    #[error("`stead {command}` on {node} printed no usable JSON: {detail}")]
    Answer {
        /// What was typed.
        command: String,
        /// Where.
        node: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Something did not come about in time.
    #[error("in vain for {} s: {what}", within.as_secs())]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
        /// Why it could not be seen, at last.
        #[source]
        last: Option<Box<FleetError>>,
    },
    /// There is no node of that name.
    #[error("there is no node {0} in this fleet")]
    NoSuchNode(String),
    /// There is no site of that name, or none with routers.
    #[error("there is no site {0} with a router in this fleet")]
    NoSuchSite(String),
    /// Somebody asked for the end.
    #[error("ended on request")]
    Interrupted,
}

impl FleetError {
    /// With the name of the node that was asked and what it complained of.
    pub(super) fn explained(self, node: &str, complaint: &str) -> Self {
        match self {
            Self::Late { what, within, last } => {
                let what = format!("{what} on {node} ({complaint})");
                Self::Late { what, within, last }
            }
            Self::Lab(_)
            | Self::Io { .. }
            | Self::Command { .. }
            | Self::Answer { .. }
            | Self::NoSuchNode(_)
            | Self::NoSuchSite(_)
            | Self::Interrupted => self,
        }
    }
}

/// Names the step that failed.
pub(super) trait Step<T> {
    /// The same result; an error tells what was being done.
    fn step(self, what: impl FnOnce() -> String) -> Result<T, FleetError>;
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, FleetError> {
        self.map_err(|source| FleetError::Io { what: what(), source })
    }
}

impl<T> Step<T> for nix::Result<T> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, FleetError> {
        self.map_err(|errno| FleetError::Io { what: what(), source: errno.into() })
    }
}
