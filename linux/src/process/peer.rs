//! Who is at the other end of a Unix socket.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// The process that connected (or listens), as the kernel recorded it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number; zero if it lives in a process namespace that we can't see into.
    pub pid: i32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// The peer of a connected Unix socket (`SO_PEERCRED`).
///
/// # Errors
/// The kernel's, for what is no such socket.
pub fn peer_of(socket: &impl AsFd) -> io::Result<Peer> {
    let found = getsockopt(socket, PeerCredentials)?;
    Ok(Peer { pid: found.pid(), uid: found.uid(), gid: found.gid() })
}
