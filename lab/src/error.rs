//! What can go wrong while a network is built or broken.

use std::io;

use stead_linux::namespace::{NamespaceError, UserNamespaceRefused};
use stead_linux::netlink::NetlinkError;

/// Failure of one step. What was built before it still stands.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A namespace could not be made or entered.
    #[error("{what}")]
    Namespace {
        /// The step.
        what: String,
        /// The reason.
        #[source]
        source: NamespaceError,
    },
    /// The kernel refused a link, address or route.
    #[error("{what}")]
    Netlink {
        /// The step.
        what: String,
        /// The reason.
        #[source]
        source: NetlinkError,
    },
    /// A file, socket, thread or process failed.
    #[error("{what}")]
    Io {
        /// The step.
        what: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// Something did not come about in time.
    #[error("{what} did not happen within {seconds} s")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// This user may not make networks here.
    #[error("an ordinary user can't build networks here; run it as root")]
    NotRoot(#[source] UserNamespaceRefused),
}

/// Names the step that failed.
pub(crate) trait Step<T> {
    /// The same result; an error tells what was being done.
    fn step(self, what: impl FnOnce() -> String) -> Result<T, LabError>;
}

impl<T> Step<T> for Result<T, NamespaceError> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|source| LabError::Namespace { what: what(), source })
    }
}

impl<T> Step<T> for Result<T, NetlinkError> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|source| LabError::Netlink { what: what(), source })
    }
}

impl<T> Step<T> for Result<T, io::Error> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|source| LabError::Io { what: what(), source })
    }
}

impl<T> Step<T> for nix::Result<T> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|errno| LabError::Io { what: what(), source: errno.into() })
    }
}
