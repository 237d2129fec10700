//! One end of a virtual cable, for a program that carries frames from one interface to another.
//!
//! Frames come and go with the kernel's offload header (PACKET_VNET_HDR, `struct virtio_net_hdr`).
//! Between namespaces the kernel leaves checksums open and sends segments far larger than the MTU;
//! a frame carried without that header would arrive damaged. The carrier passes frames on as they
//! are and needs to know nothing about the header.
//!
//! Happy path: two [`Wire`]s, wait for either to become readable, [`Wire::receive`] from one,
//! [`Wire::send`] to the other. Failures: a link that is down loses frames, as a cable does; that
//! is no error here. Deliberately absent: looking into frames (see the module `packet`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use socket2::{Domain, Protocol, Socket, Type};

/// A receive buffer of this size holds every frame: the largest segment and both headers.
pub const FRAME_MAX: usize = 65_536 + 256;
/// Room in the kernel for the burst that arrives while the carrier is not scheduled.
const KERNEL_QUEUE: usize = 8 * 1024 * 1024;
/// Option numbers of linux/if_packet.h that the C library's bindings may lack.
const PACKET_VNET_HDR: libc::c_int = 15;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

/// A promiscuous, nonblocking socket for all that an interface receives.
#[derive(Debug)]
pub struct Wire(OwnedFd);

impl Wire {
    /// Opens the interface with that index in the calling thread's network namespace.
    pub fn open(index: u32) -> io::Result<Wire> {
        let kind = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new(Domain::PACKET, kind, Some(Protocol::from(0)))?;
        socket.set_recv_buffer_size(KERNEL_QUEUE)?;
        socket.set_send_buffer_size(KERNEL_QUEUE)?;
        let wire = Wire(socket.into());
        let on: libc::c_int = 1;
        wire.set(PACKET_VNET_HDR, &on)?;
        wire.set(PACKET_IGNORE_OUTGOING, &on)?;
        let index = i32::try_from(index).map_err(io::Error::other)?;
        let promiscuous = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        wire.set(libc::PACKET_ADD_MEMBERSHIP, &promiscuous)?;
        wire.bind(index)?;
        Ok(wire)
    }

    fn set<T>(&self, option: libc::c_int, value: &T) -> io::Result<()> {
        // SAFETY: the pointer and the length describe `value`, which lives through the call.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                (&raw const *value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn bind(&self, index: i32) -> io::Result<()> {
        // SAFETY: `sockaddr_ll` is plain numbers, for which all zero is a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index;
        // SAFETY: the pointer and the length describe a live `sockaddr_ll`.
        let result = unsafe {
            libc::bind(
                self.0.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The next frame with its offload header; `None` when there is none right now.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        loop {
            match recv(self.0.as_raw_fd(), buffer, MsgFlags::empty()) {
                Ok(length) => return Ok(Some(&buffer[..length])),
                Err(Errno::EAGAIN) => return Ok(None),
                // told once when the link goes down; frames come again when it is up
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends a frame as it was received. `false`: it was lost, the link is down or its queue full.
    pub fn send(&self, frame: &[u8]) -> io::Result<bool> {
        loop {
            match send(self.0.as_raw_fd(), frame, MsgFlags::empty()) {
                Ok(_) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(Errno::ENETDOWN | Errno::ENXIO | Errno::ENOBUFS | Errno::EAGAIN) => {
                    return Ok(false);
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
