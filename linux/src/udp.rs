//! Heartbeat sockets: one datagram socket for each link, tied to its address and its interface.
//!
//! Tied to both, because a link that is tested must be the link that is used: with the address
//! alone the kernel would send over any interface that has a route. Marked as network control (DSCP
//! CS6, priority 6), so that a full queue holds up everything else first. Never waits. Datagrams
//! longer than the buffer are cut, which their authentication finds out.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

/// Class selector 6, network control (RFC 2474 4.2.2).
const CS6: u32 = 0xc0;
/// Traffic control gives it the first band; the highest that needs no privilege.
const PRIORITY: u32 = 6;
/// Room for a burst while the process is held up; best effort.
const RECEIVE_BYTES: usize = 1024 * 1024;

/// What went wrong with a heartbeat socket.
#[derive(Debug, Error)]
pub enum UdpError {
    /// No such interface.
    #[error("there is no interface {0}; no socket was opened; open it again when it appears")]
    NoDevice(String),
    /// The address is not on this machine, is still being checked, or the port is taken.
    #[error("can't bind {local} on {device}; no socket was opened; try again when it is there")]
    Bind {
        /// Address and port.
        local: SocketAddr,
        /// The interface.
        device: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The kernel refused the socket or a setting.
    #[error("can't {step}; no socket was opened")]
    Open {
        /// What was being done.
        step: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A datagram was not sent.
    #[error("can't send to {to}; nothing was sent; the next heartbeat tries again")]
    Send {
        /// To whom.
        to: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Receiving failed.
    #[error("can't receive; open the socket again if it stays so")]
    Receive(#[source] io::Error),
}

/// A nonblocking datagram socket on one address of one interface.
pub struct Heartbeats {
    socket: UdpSocket,
    local: SocketAddr,
}

impl Heartbeats {
    /// Opens the socket. An IPv6 link-local address without a scope gets the interface's.
    ///
    /// # Errors
    /// See [`UdpError`]; no socket was opened.
    pub fn open(local: SocketAddr, device: &str) -> Result<Self, UdpError> {
        let failed = |step| move |source| UdpError::Open { step, source };
        let index = if_nametoindex(device).map_err(|_| UdpError::NoDevice(device.to_owned()))?;
        let local = scoped(local, index);
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(local), kind, Some(Protocol::UDP))
            .map_err(failed("open a datagram socket"))?;
        socket.bind_device(Some(device.as_bytes())).map_err(failed("bind to the interface"))?;
        if local.is_ipv6() {
            socket.set_only_v6(true).map_err(failed("keep to IPv6"))?;
            socket.set_tclass_v6(CS6).map_err(failed("set the traffic class"))?;
        } else {
            socket.set_tos_v4(CS6).map_err(failed("set the type of service"))?;
        }
        // After the type of service, which sets a priority of its own.
        socket.set_priority(PRIORITY).map_err(failed("set the priority"))?;
        let _ = socket.set_recv_buffer_size(RECEIVE_BYTES);
        socket.bind(&local.into()).map_err(|source| UdpError::Bind {
            local,
            device: device.to_owned(),
            source,
        })?;
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr().map_err(failed("read the socket's address"))?;
        Ok(Self { socket, local })
    }

    /// The address and port it is bound to.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Hands one datagram to the kernel; `false` if its queue is full and it was not taken.
    ///
    /// # Errors
    /// [`UdpError::Send`]: nothing was sent.
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) -> Result<bool, UdpError> {
        loop {
            match self.socket.send_to(bytes, to) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(UdpError::Send { to, source }),
            }
        }
    }

    /// The next datagram's length and sender, if one is there.
    ///
    /// # Errors
    /// [`UdpError::Receive`].
    pub fn recv_from(&self, buffer: &mut [u8]) -> Result<Option<(usize, SocketAddr)>, UdpError> {
        loop {
            match self.socket.recv_from(buffer) {
                Ok(received) => return Ok(Some(received)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(UdpError::Receive(error)),
            }
        }
    }
}

impl AsFd for Heartbeats {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A link-local address means nothing without its interface.
fn scoped(local: SocketAddr, index: u32) -> SocketAddr {
    let link_local = |ip: &Ipv6Addr| ip.segments()[0] & 0xffc0 == 0xfe80;
    match local {
        SocketAddr::V6(mut v6) if link_local(v6.ip()) && v6.scope_id() == 0 => {
            v6.set_scope_id(index);
            SocketAddr::V6(v6)
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => local,
    }
}
