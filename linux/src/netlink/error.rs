//! What can go wrong between us and the kernel's routing tables.

use std::io;

use nix::errno::Errno;

/// Failure of one netlink call. Says what was tried and whether anything can have changed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No socket: nothing was asked, nothing was changed.
    #[error("cannot open a netlink socket; nothing was changed")]
    Open(#[source] io::Error),
    /// The kernel answered no. Nothing was changed.
    #[error("cannot {action}: {errno}{}; nothing was changed", spoken(.message))]
    Refused {
        /// What was tried, in words that follow "cannot".
        action: String,
        /// The kernel's reason.
        errno: Errno,
        /// The kernel's own sentence (extended acknowledgement), where it gave one.
        message: Option<String>,
    },
    /// The conversation broke. Whether the kernel acted is unknown; read back before going on.
    #[error("cannot {action}: no answer from the kernel; it is unknown whether it was done")]
    Transport {
        /// What was tried, in words that follow "cannot".
        action: String,
        /// The failure of the socket.
        #[source]
        source: io::Error,
    },
    /// The kernel's answer could not be read. A changing call may have been carried out.
    #[error("cannot {action}: the kernel's answer is not understood ({reason})")]
    Malformed {
        /// What was tried, in words that follow "cannot".
        action: String,
        /// What did not fit.
        reason: String,
    },
}

fn spoken(message: &Option<String>) -> String {
    message.as_ref().map(|text| format!(" ({text})")).unwrap_or_default()
}

impl NetlinkError {
    /// The kernel's errno where it refused; `None` for the other failures.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            Self::Open(_) | Self::Transport { .. } | Self::Malformed { .. } => None,
        }
    }

    /// What was to be created exists already.
    pub fn already_there(&self) -> bool {
        self.errno() == Some(Errno::EEXIST)
    }

    /// What was to be changed or removed does not exist: no such link, address, route or neighbour.
    pub fn not_there(&self) -> bool {
        matches!(
            self.errno(),
            Some(
                Errno::ENODEV | Errno::ENXIO | Errno::ENOENT | Errno::ESRCH | Errno::EADDRNOTAVAIL
            )
        )
    }

    /// The kernel has nothing of that kind: no such type of interface, no such feature.
    pub fn unsupported(&self) -> bool {
        self.errno() == Some(Errno::EOPNOTSUPP)
    }

    /// The process lacks the right (CAP_NET_ADMIN in this network namespace).
    pub fn not_permitted(&self) -> bool {
        matches!(self.errno(), Some(Errno::EPERM | Errno::EACCES))
    }
}
