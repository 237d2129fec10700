//! The conversation itself: one request, its acknowledgement or its list, in order.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use nix::sys::time::TimeVal;

use super::NetlinkError;

/// The kernel fills at most 32 KiB per datagram of a list; twice that leaves room for growth.
const BUFFER: usize = 64 * 1024;
/// The kernel answers while `send` still runs; a missing answer means a lost one. Seconds.
const ANSWER_WITHIN: i64 = 5;
/// A list interrupted by changes is asked for again this many times.
const LIST_TRIES: u32 = 8;
/// Length of a netlink message header (RFC 3549, section 2.3.2).
pub(super) const HEADER: usize = 16;

/// A conversation with the kernel about the network namespace in which it was opened.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace. It stays there.
    pub fn open() -> Result<Netlink, NetlinkError> {
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(NetlinkError::Open)?;
        socket.bind_auto().map_err(NetlinkError::Open)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(NetlinkError::Open)?;
        // Without them errors are only numbers; a kernel too old for them still answers.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(ANSWER_WITHIN, 0))
            .map_err(|errno| NetlinkError::Open(errno.into()))?;
        Ok(Netlink { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Asks for a change and waits for the kernel's yes or no.
    pub(super) fn change(
        &mut self,
        action: fmt::Arguments<'_>,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), NetlinkError> {
        self.send(action, message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        let mut answered = false;
        while !answered {
            self.receive(action, |frame| {
                answered |= frame.kind == libc::NLMSG_ERROR as u16;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Asks for one object; the answer comes back as the object followed by an acknowledgement.
    pub(super) fn get(
        &mut self,
        action: fmt::Arguments<'_>,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.send(action, message, NLM_F_REQUEST | NLM_F_ACK)?;
        let mut found = Vec::new();
        let mut answered = false;
        while !answered {
            self.receive(action, |frame| {
                if frame.kind == libc::NLMSG_ERROR as u16 {
                    answered = true;
                } else {
                    found.push(frame.decode(action)?);
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Asks for a list; repeats if it changed while the kernel was writing it.
    pub(super) fn list(
        &mut self,
        action: fmt::Arguments<'_>,
        message: &RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        for _ in 0..LIST_TRIES {
            self.send(action, message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            let mut found = Vec::new();
            let mut done = false;
            let mut torn = false;
            while !done {
                self.receive(action, |frame| {
                    torn |= frame.flags & NLM_F_DUMP_INTR != 0;
                    if frame.kind == libc::NLMSG_DONE as u16 {
                        done = true;
                    } else if frame.kind != libc::NLMSG_ERROR as u16 {
                        found.push(frame.decode(action)?);
                    }
                    Ok(())
                })?;
            }
            if !torn {
                return Ok(found);
            }
        }
        Err(NetlinkError::Refused {
            action: action.to_string(),
            errno: Errno::EAGAIN,
            message: Some("the list changed faster than it could be read".to_owned()),
        })
    }

    fn send(
        &mut self,
        action: fmt::Arguments<'_>,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        match self.socket.send(&bytes, 0) {
            Ok(_) => Ok(()),
            Err(source) => Err(NetlinkError::Transport { action: action.to_string(), source }),
        }
    }

    /// Reads one datagram and hands every frame of the current request to `take`. Answers to
    /// earlier requests (one that broke half-way) are passed over. A refusal ends it.
    fn receive(
        &mut self,
        action: fmt::Arguments<'_>,
        mut take: impl FnMut(Frame<'_>) -> Result<(), NetlinkError>,
    ) -> Result<(), NetlinkError> {
        let length = loop {
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_TRUNC) {
                Ok(length) => break length,
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    let source = io::Error::from(errno);
                    return Err(NetlinkError::Transport { action: action.to_string(), source });
                }
            }
        };
        if length > self.buffer.len() {
            return Err(malformed(action, format!("{length} octets in one datagram")));
        }
        for frame in Frames(&self.buffer[..length]) {
            let frame = frame.map_err(|reason| malformed(action, reason))?;
            if frame.sequence != self.sequence {
                continue;
            }
            if let Some((errno, message)) = frame.refusal() {
                return Err(NetlinkError::Refused { action: action.to_string(), errno, message });
            }
            take(frame)?;
        }
        Ok(())
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn malformed(action: fmt::Arguments<'_>, reason: String) -> NetlinkError {
    NetlinkError::Malformed { action: action.to_string(), reason }
}

/// One netlink message inside a datagram.
pub(crate) struct Frame<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    bytes: &'a [u8],
}

impl Frame<'_> {
    fn decode(&self, action: fmt::Arguments<'_>) -> Result<RouteNetlinkMessage, NetlinkError> {
        self.message().map_err(|reason| malformed(action, reason))
    }

    /// The routing message inside.
    pub(super) fn message(&self) -> Result<RouteNetlinkMessage, String> {
        let packet = NetlinkMessage::<RouteNetlinkMessage>::deserialize(self.bytes)
            .map_err(|error| error.to_string())?;
        if let NetlinkPayload::InnerMessage(message) = packet.payload {
            Ok(message)
        } else {
            Err(format!("message of type {}", self.kind))
        }
    }

    /// Its type.
    pub(crate) fn kind(&self) -> u16 {
        self.kind
    }

    /// The request that it answers.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// What is behind its header.
    pub(crate) fn body(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// The errno and sentence of a refusal; `None` for an acknowledgement or any other message.
    pub(crate) fn refusal(&self) -> Option<(Errno, Option<String>)> {
        let fails = self.kind == libc::NLMSG_ERROR as u16 || self.kind == libc::NLMSG_DONE as u16;
        let code = i32::from_ne_bytes(self.bytes.get(HEADER..HEADER + 4)?.try_into().ok()?);
        if !fails || code >= 0 {
            return None;
        }
        Some((Errno::from_raw(code.saturating_neg()), self.sentence()))
    }

    /// The attribute NLMSGERR_ATTR_MSG of an extended acknowledgement.
    fn sentence(&self) -> Option<String> {
        const CAPPED: u16 = 0x100;
        const HAS_ATTRIBUTES: u16 = 0x200;
        const TEXT: u16 = 1;
        if self.flags & HAS_ATTRIBUTES == 0 || self.kind != libc::NLMSG_ERROR as u16 {
            return None;
        }
        let request = u32::from_ne_bytes(self.bytes.get(20..24)?.try_into().ok()?) as usize;
        let quoted = if self.flags & CAPPED == 0 { aligned(request) } else { HEADER };
        let mut rest = self.bytes.get(HEADER + 4 + quoted..)?;
        while rest.len() >= 4 {
            let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
            let kind = u16::from_ne_bytes([rest[2], rest[3]]);
            let value = rest.get(4..length)?;
            if kind == TEXT {
                let text = value.split(|&octet| octet == 0).next()?;
                return Some(String::from_utf8_lossy(text).into_owned());
            }
            rest = rest.get(aligned(length)..)?;
        }
        None
    }
}

fn aligned(length: usize) -> usize {
    length.div_ceil(4) * 4
}

/// Walks the messages of one datagram.
pub(crate) struct Frames<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let all = std::mem::take(&mut self.0);
        let Some(head) = all.first_chunk::<HEADER>() else {
            return Some(Err(format!("{} octets instead of a header", all.len())));
        };
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if length < HEADER || length > all.len() {
            return Some(Err(format!("a message of {length} octets in {}", all.len())));
        }
        self.0 = all.get(aligned(length)..).unwrap_or_default();
        Some(Ok(Frame {
            kind: u16::from_ne_bytes([head[4], head[5]]),
            flags: u16::from_ne_bytes([head[6], head[7]]),
            sequence: u32::from_ne_bytes([head[8], head[9], head[10], head[11]]),
            bytes: &all[..length],
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn refusal_with_the_kernels_sentence() {
        let mut body = (-22_i32).to_ne_bytes().to_vec();
        body.extend([0; HEADER]);
        body.extend([8, 0, 1, 0]);
        body.extend(b"no!\0");
        let bytes = frame(2, 0x300, &body);
        let found = Frames(&bytes).next().expect("one").expect("whole").refusal();
        assert_eq!(found, Some((Errno::EINVAL, Some("no!".to_owned()))));
    }

    #[test]
    fn torn_datagrams_end_in_an_error_and_never_in_a_panic() {
        let whole = frame(2, 0x300, &[0xff; 40]);
        for length in 0..whole.len() {
            for frame in Frames(&whole[..length]) {
                assert!(frame.is_err());
            }
        }
        for first in 0..=255_u8 {
            let mut bytes = whole.clone();
            bytes[0] = first;
            for frame in Frames(&bytes).flatten() {
                let _ = frame.refusal();
                let _ = frame.message();
            }
        }
    }
}
