//! The `AF_PACKET` socket: whole frames to and from one interface.

use std::io::{self, Read};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use thiserror::Error;

use super::frame;
use crate::netlink::Mac;

/// Which frames a socket is to see; the kernel throws all others away unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// ARP, neighbour solicitations and advertisements.
    Neighbors,
    /// ICMP and ICMPv6 echo requests and replies, ARP and neighbour discovery.
    Echoes,
    /// The same, and RARP: all by which a takeover is told or seen.
    Takeovers,
}

/// What went wrong with frames on an interface.
#[derive(Debug, Error)]
pub enum PacketError {
    /// No such interface.
    #[error("there is no interface {device}; no socket was opened; open it again when it appears")]
    NoDevice {
        /// Its name.
        device: String,
    },
    /// The kernel refused the socket or one of its settings.
    #[error("can't {step} on {device}; no socket was opened; CAP_NET_RAW is needed")]
    Open {
        /// The interface.
        device: String,
        /// What was being done.
        step: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The interface is down or gone.
    #[error("the interface is down or gone; the frame was not sent; open it again when it is back")]
    Down(#[source] io::Error),
    /// The kernel threw the frame away: a full queue, or the lease gate is shut.
    #[error("the frame was dropped on its way out: the queue is full or the lease gate is shut")]
    Dropped,
    /// Anything else.
    #[error("frame input or output failed")]
    Io(#[source] io::Error),
}

/// A nonblocking socket for whole frames on one interface. It sees what comes in before the lease
/// gate does, and what it sends passes the gate.
pub struct PacketSocket {
    socket: Socket,
    index: u32,
    mac: Mac,
}

const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
/// Traffic control gives it the first band.
const PRIORITY: u32 = 6;

impl PacketSocket {
    /// Opens a socket on `device` in this network namespace.
    ///
    /// # Errors
    /// See [`PacketError`].
    pub fn open(device: &str, wanted: Wanted) -> Result<Self, PacketError> {
        let failed = |step| {
            let device = device.to_owned();
            move |source| PacketError::Open { device, step, source }
        };
        let index = if_nametoindex(device)
            .map_err(|_| PacketError::NoDevice { device: device.to_owned() })?;
        // Without a protocol nothing arrives until the filter is in place and the socket is bound.
        let kind = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new(Domain::PACKET, kind, Some(Protocol::from(0)))
            .map_err(failed("open a packet socket"))?;
        socket.attach_filter(&filter(wanted)).map_err(failed("filter frames"))?;
        ignore_outgoing(&socket).map_err(failed("skip our own frames"))?;
        socket.set_priority(PRIORITY).map_err(failed("set the priority"))?;
        let mac = bind(&socket, index).map_err(failed("bind to the interface"))?;
        Ok(Self { socket, index, mac })
    }

    /// The interface's MAC when the socket was opened.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// The interface's number.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Has the interface take in frames to one more MAC, until this socket is closed. A card that
    /// has no room for it takes in all frames meanwhile.
    ///
    /// # Errors
    /// See [`PacketError`].
    pub fn also_to(&self, mac: Mac) -> Result<(), PacketError> {
        let [a, b, c, d, e, f] = mac.0;
        let wish = libc::packet_mreq {
            mr_ifindex: self.index.cast_signed(),
            mr_type: libc::PACKET_MR_UNICAST as libc::c_ushort,
            mr_alen: 6,
            mr_address: [a, b, c, d, e, f, 0, 0],
        };
        set_option(&self.socket, libc::PACKET_ADD_MEMBERSHIP, &wish).map_err(PacketError::Io)
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// See [`PacketError`].
    pub fn send(&self, frame: &[u8]) -> Result<(), PacketError> {
        loop {
            match self.socket.send(frame) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(classify(error)),
            }
        }
    }

    /// The next frame that came in, if there is one; cut off at the buffer's end.
    ///
    /// # Errors
    /// See [`PacketError`]. That the interface went down is told once, then frames come again as
    /// soon as it is up.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>, PacketError> {
        loop {
            match (&self.socket).read(buffer) {
                Ok(length) => return Ok(buffer.get(..length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(classify(error)),
            }
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn classify(error: io::Error) -> PacketError {
    match error.raw_os_error() {
        Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => PacketError::Down(error),
        Some(libc::ENOBUFS | libc::EAGAIN) => PacketError::Dropped,
        Some(_) | None => PacketError::Io(error),
    }
}

fn ignore_outgoing(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    set_option(socket, PACKET_IGNORE_OUTGOING, &on)
}

fn set_option<T: Copy>(socket: &Socket, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the option's value is alive and its length is told; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            ptr::from_ref(value).cast(),
            mem::size_of_val(value) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Binds for all protocols: such sockets are served before the ingress hooks. The bound socket's
/// own address then tells the MAC.
fn bind(socket: &Socket, index: u32) -> io::Result<Mac> {
    // SAFETY: `sockaddr_ll` is plain numbers, for which all zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = i32::try_from(index).map_err(io::Error::other)?;
    let mut length = mem::size_of_val(&address) as libc::socklen_t;
    let pointer = (&raw mut address).cast::<libc::sockaddr>();
    // SAFETY: the pointer is to a live `sockaddr_ll`, and `length` is its size.
    if unsafe { libc::bind(socket.as_raw_fd(), pointer, length) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above; the kernel writes at most `length` octets and sets it to what it wrote.
    if unsafe { libc::getsockname(socket.as_raw_fd(), pointer, &raw mut length) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Mac::from_slice(&address.sll_addr[..6])
        .filter(|_| address.sll_halen == 6)
        .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "the interface has no MAC"))
}

/// The classic BPF program (linux/filter.h) that takes what is wanted and drops the rest unseen.
fn filter(wanted: Wanted) -> Vec<SockFilter> {
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // SKF_AD_OFF + SKF_AD_VLAN_TAG: the tag that the card or the kernel took off the frame.
    const VLAN_TAG: u32 = 0xffff_f000 + 44;
    // Jump targets beyond any real distance; resolved below.
    const DROP: u8 = 254;
    const TAKE: u8 = 255;
    let mut program = vec![
        (LOAD_WORD, 0, 0, VLAN_TAG),
        (AND, 0, 0, 0xfff),
        // Number 0 is a mere priority tag, and of this segment.
        (IF_EQUAL, 0, DROP, 0),
        (LOAD_HALF, 0, 0, 12),
        (IF_EQUAL, TAKE, 0, u32::from(frame::ARP)),
    ];
    let (echoes, reverse) = match wanted {
        Wanted::Neighbors => (false, false),
        Wanted::Echoes => (true, false),
        Wanted::Takeovers => (true, true),
    };
    if reverse {
        program.push((IF_EQUAL, TAKE, 0, u32::from(frame::RARP)));
    }
    if echoes {
        let ipv4 = u32::from(frame::IPV4);
        program.extend([
            (IF_EQUAL, 0, 2, ipv4),
            (LOAD_BYTE, 0, 0, 14 + 9),
            (IF_EQUAL, TAKE, DROP, 1),
        ]);
    }
    program.extend([
        (IF_EQUAL, 0, DROP, u32::from(frame::IPV6)),
        (LOAD_BYTE, 0, 0, 14 + 6),
        (IF_EQUAL, 0, DROP, 58),
        (LOAD_BYTE, 0, 0, 14 + 40),
        (IF_EQUAL, TAKE, 0, 135),
        (IF_EQUAL, TAKE, 0, 136),
    ]);
    if echoes {
        program.extend([(IF_EQUAL, TAKE, 0, 128), (IF_EQUAL, TAKE, 0, 129)]);
    }
    let end = program.len();
    program.extend([(RETURN, 0, 0, 0), (RETURN, 0, 0, u32::MAX)]);
    let resolve = |at: usize, jump: u8| match jump {
        DROP => (end - at - 1) as u8,
        TAKE => (end - at) as u8,
        near => near,
    };
    let step = |(at, (code, yes, no, value))| {
        if code == IF_EQUAL {
            SockFilter::new(code, resolve(at, yes), resolve(at, no), value)
        } else {
            SockFilter::new(code, 0, 0, value)
        }
    };
    program.into_iter().enumerate().map(step).collect()
}
