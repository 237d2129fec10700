//! TCP connections of this machine: who is connected, and how to tell a client that its connection
//! is gone.
//!
//! # What it is for
//! When an address moves to another node, the connections to it do not. A client that sends learns
//! that at once, since the new kernel answers with a reset; one that only waits would wait for its
//! own keep-alive, two hours by default. So the holder's connections are listed while it holds
//! ([`Connections`]), and whoever gets the address asks each client for a sign of life
//! ([`Tickler`]).
//!
//! # How a client learns of it
//! A bare acknowledgement with a sequence number outside the client's window makes the client
//! answer with the numbers that it expects (RFC 9293, 3.10.7.4; RFC 5961, 5). To that answer the
//! kernel of the new holder, which knows no such connection, sends the reset itself, with just the
//! numbers that the client believes. A kernel that does know the connection takes the answer for
//! what it is and resets nothing: a fresh connection can't be harmed.
//!
//! # Failures
//! Without the kernel's module for lists over netlink (`tcp_diag`) the tables of /proc are read,
//! which takes longer. What can't be read is passed over; no bytes make this panic.
//!
//! # Deliberately absent
//! Ending the connections of the former holder on its own machine: its gate is shut, so nobody
//! hears of them. Guessing numbers and sending resets: only a client's own answer tells them.

mod diag;
#[cfg(test)]
mod fuzz;
mod proc;
mod tickle;

use std::io;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use diag::Diag;
pub use tickle::{Tickler, Turn};

/// Connections can't be listed, or a client not be asked. Nothing was changed.
#[derive(Debug, Error)]
pub enum TcpError {
    /// Neither by netlink nor in /proc.
    #[error("the connections of this machine can't be listed")]
    List(#[source] io::Error),
    /// The socket.
    #[error("no segment can be sent from {from}; CAP_NET_RAW is needed, and the address")]
    Open {
        /// The address that it should come from.
        from: IpAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// One connection, as this machine has it. IPv4 is told as IPv4, whatever socket carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    /// This machine's end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

/// Which connections are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that the other end may believe to be open: established, or closed by one end only.
    Open,
    /// Everything that the kernel knows by its two ends.
    Known,
}

/// The states of `include/net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
const FIN_WAIT1: u8 = 4;
const CLOSE: u8 = 7;
const CLOSE_WAIT: u8 = 8;
const LISTEN: u8 = 10;

impl Which {
    /// Whether a connection in that state is meant.
    fn takes(self, state: u8) -> bool {
        match self {
            Self::Open => matches!(state, ESTABLISHED | FIN_WAIT1 | CLOSE_WAIT),
            Self::Known => state != LISTEN && state != CLOSE,
        }
    }

    /// The same as the set of bits that the kernel asks for.
    fn states(self) -> u32 {
        (0..32).filter(|state| self.takes(*state)).fold(0, |set, state| set | 1 << state)
    }
}

/// Lists connections, in the network namespace of the thread that opened it.
pub struct Connections {
    diag: Option<Diag>,
}

impl Connections {
    /// Never fails: what can't be asked shows in [`Self::list`].
    #[must_use]
    pub fn open() -> Self {
        Self { diag: Diag::open().ok() }
    }

    /// Hands every connection to `take`.
    ///
    /// # Errors
    /// Neither netlink nor /proc told them.
    pub fn list(&mut self, which: Which, mut take: impl FnMut(Connection)) -> Result<(), TcpError> {
        if let Some(diag) = &mut self.diag {
            let mut found = Vec::new();
            match diag.list(which, |connection| found.push(connection)) {
                Ok(()) => {
                    found.into_iter().for_each(take);
                    return Ok(());
                }
                // This kernel has none of it; another error may be gone the next time.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => self.diag = None,
                Err(_) => {}
            }
        }
        proc::list(which, &mut take).map_err(TcpError::List)
    }
}

/// IPv4 as IPv4, also where a socket of IPv6 carries it.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
