//! The kernel's list over netlink (`linux/inet_diag.h`, sock_diag(7)).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as Port};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use nix::sys::time::TimeVal;

use super::{Connection, Which, canonical};
use crate::netlink::Frames;

/// As for other lists: the kernel fills at most 32 KiB per datagram.
const BUFFER: usize = 64 * 1024;
/// The kernel answers while `send` still runs; a missing answer means a lost one. Seconds.
const ANSWER_WITHIN: i64 = 2;
/// SOCK_DIAG_BY_FAMILY.
const BY_FAMILY: u16 = 20;
/// `struct nlmsghdr`, and `struct inet_diag_req_v2` behind it.
const HEADER: usize = 16;
const REQUEST: usize = 56;
/// Where `struct inet_diag_msg` has what is read of it.
const STATE: usize = 1;
const PORTS: usize = 4;
const SOURCE: usize = 8;
const DESTINATION: usize = 24;

/// A conversation about connections.
pub(super) struct Diag {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Diag {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&Port::new(0, 0))?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(ANSWER_WITHIN, 0))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    pub(super) fn list(
        &mut self,
        which: Which,
        mut take: impl FnMut(Connection),
    ) -> io::Result<()> {
        for family in [libc::AF_INET, libc::AF_INET6] {
            self.sequence = self.sequence.wrapping_add(1);
            self.socket.send(&request(family as u8, which, self.sequence), 0)?;
            while !self.receive(which, &mut take)? {}
        }
        Ok(())
    }

    /// Reads one datagram; says whether the list is over.
    fn receive(&mut self, which: Which, take: &mut impl FnMut(Connection)) -> io::Result<bool> {
        let length = loop {
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_TRUNC) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        };
        let datagram = self.buffer.get(..length);
        let datagram = datagram.ok_or_else(|| io::Error::other("a datagram that is too long"))?;
        let mut over = false;
        for frame in Frames(datagram) {
            let frame = frame.map_err(io::Error::other)?;
            // An answer to an earlier request, one that broke half-way.
            if frame.sequence() != self.sequence {
                continue;
            }
            if let Some((errno, _)) = frame.refusal() {
                return Err(errno.into());
            }
            over |= frame.kind() == libc::NLMSG_DONE as u16;
            if let Some((state, connection)) = told(frame.kind(), frame.body())
                && which.takes(state)
            {
                take(connection);
            }
        }
        Ok(over)
    }
}

fn request(family: u8, which: Which, sequence: u32) -> Vec<u8> {
    const DUMP: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    bytes.extend(((HEADER + REQUEST) as u32).to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend([family, libc::IPPROTO_TCP as u8, 0, 0]);
    bytes.extend(which.states().to_ne_bytes());
    // Every socket, whatever its ends.
    bytes.resize(HEADER + REQUEST, 0);
    bytes
}

/// One connection with its state, if the message tells one.
pub(super) fn told(kind: u16, body: &[u8]) -> Option<(u8, Connection)> {
    if kind != BY_FAMILY {
        return None;
    }
    let address = |at: usize| -> Option<IpAddr> {
        let bytes = body.get(at..at + 16)?;
        match i32::from(*body.first()?) {
            libc::AF_INET => Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()),
            libc::AF_INET6 => Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()),
            _ => None,
        }
    };
    let port = |at: usize| -> Option<u16> {
        Some(u16::from_be_bytes(*body.get(at..)?.first_chunk::<2>()?))
    };
    let local = SocketAddr::new(address(SOURCE)?, port(PORTS)?);
    let remote = SocketAddr::new(address(DESTINATION)?, port(PORTS + 2)?);
    let connection = Connection { local: canonical(local), remote: canonical(remote) };
    Some((*body.get(STATE)?, connection))
}
