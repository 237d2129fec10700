//! Changes of links and addresses, told by the kernel as they happen.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::socket::Frames;
use super::{Address, Link, NetlinkError};

const BUFFER: usize = 64 * 1024;
/// Room for the burst of a node that sets some hundred addresses at once.
const KERNEL_QUEUE: usize = 1024 * 1024;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An address appeared, or its lifetime or flags were renewed.
    AddressAdded {
        /// The interface.
        index: u32,
        /// The address.
        addr: IpAddr,
        /// Length of its network part, in bits.
        prefix: u8,
    },
    /// An address is gone: removed by someone, or its lifetime ended.
    AddressRemoved {
        /// The interface.
        index: u32,
        /// The address.
        addr: IpAddr,
        /// Length of its network part, in bits.
        prefix: u8,
    },
    /// An interface appeared, changed or vanished.
    Link {
        /// The interface.
        index: u32,
        /// Its name.
        name: String,
        /// Administratively up.
        up: bool,
        /// The cable has a signal.
        carrier: bool,
        /// It no longer exists (or left this namespace).
        gone: bool,
    },
    /// Changes were lost or not understood: list links and addresses anew.
    Overrun,
}

/// A socket that is told of link and address changes in its network namespace. Never blocks; wait
/// for its file descriptor to become readable.
pub struct Monitor {
    socket: Socket,
    buffer: Vec<u8>,
    pending: VecDeque<Event>,
}

impl Monitor {
    /// Subscribes in the calling thread's network namespace.
    pub fn open() -> Result<Monitor, NetlinkError> {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.set_non_blocking(true)?;
            // asking for more than the system allows gives the most that it allows
            socket.set_rx_buf_sz(KERNEL_QUEUE as i32)?;
            socket.bind(&SocketAddr::new(0, 0))?;
            for group in [libc::RTNLGRP_LINK, libc::RTNLGRP_IPV4_IFADDR, libc::RTNLGRP_IPV6_IFADDR]
            {
                socket.add_membership(group)?;
            }
            Ok(socket)
        };
        let socket = open().map_err(NetlinkError::Open)?;
        Ok(Monitor { socket, buffer: vec![0; BUFFER], pending: VecDeque::new() })
    }

    /// The next change; `None` when there is none right now.
    pub fn poll(&mut self) -> Result<Option<Event>, NetlinkError> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(Some(event));
            }
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_TRUNC) {
                Ok(length) if length > self.buffer.len() => return Ok(Some(Event::Overrun)),
                Ok(length) => queue(&mut self.pending, &self.buffer[..length]),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::ENOBUFS) => return Ok(Some(Event::Overrun)),
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    return Err(NetlinkError::Transport {
                        action: "read changes of links and addresses".to_owned(),
                        source: errno.into(),
                    });
                }
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What cannot be read might have been the one change that matters: it counts as lost.
fn queue(pending: &mut VecDeque<Event>, datagram: &[u8]) {
    for frame in Frames(datagram) {
        match frame.and_then(|frame| frame.message()) {
            Ok(message) => pending.extend(event(&message)),
            Err(_) => pending.push_back(Event::Overrun),
        }
    }
}

fn event(message: &RouteNetlinkMessage) -> Option<Event> {
    if let RouteNetlinkMessage::NewAddress(message) = message {
        let Address { index, addr, prefix, .. } = Address::read(message)?;
        Some(Event::AddressAdded { index, addr, prefix })
    } else if let RouteNetlinkMessage::DelAddress(message) = message {
        let Address { index, addr, prefix, .. } = Address::read(message)?;
        Some(Event::AddressRemoved { index, addr, prefix })
    } else if let RouteNetlinkMessage::NewLink(message) = message {
        link(message, false)
    } else if let RouteNetlinkMessage::DelLink(message) = message {
        link(message, true)
    } else {
        None
    }
}

fn link(message: &LinkMessage, gone: bool) -> Option<Event> {
    // a bridge also speaks of its ports in this group, in its own family: not the link itself
    if i32::from(u8::from(message.header.interface_family)) != libc::AF_UNSPEC {
        return None;
    }
    let Link { index, name, up, carrier, .. } = Link::read(message);
    Some(Event::Link { index, name, up, carrier, gone })
}
