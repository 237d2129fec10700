//! Datagrams, answered from the address that was asked.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use socket2::Socket;

/// Longer questions are cut off.
const LONGEST: usize = 2048;
/// So many questions are answered before connections have their turn.
const TURN: usize = 256;

pub(super) struct Datagrams {
    socket: Socket,
    /// What is put behind the question.
    behind: Vec<u8>,
}

/// Where a question was sent to: where the answer must come from.
enum Asked {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

impl Datagrams {
    pub(super) fn new(socket: Socket, addr: SocketAddr, node: &str) -> io::Result<Datagrams> {
        match addr.ip() {
            IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        Ok(Datagrams { socket, behind: format!(" {node}\n").into_bytes() })
    }

    pub(super) fn answer_all(&self) {
        // an error concerns one datagram or one client; the next one has a fresh chance
        for _ in 0..TURN {
            if self.answer() == Err(Errno::EAGAIN) {
                break;
            }
        }
    }

    fn answer(&self) -> nix::Result<()> {
        let mut question = [0; LONGEST];
        let mut room = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
        let mut slices = [IoSliceMut::new(&mut question)];
        let fd = self.socket.as_raw_fd();
        let got = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut room), MsgFlags::empty())?;
        let (Some(client), length) = (got.address, got.bytes) else { return Ok(()) };
        let asked = got.cmsgs()?.find_map(asked);
        let answer = [IoSlice::new(&question[..length]), IoSlice::new(&self.behind)];
        let control = asked.as_ref().map(|asked| match asked {
            Asked::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Asked::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        });
        let _ = sendmsg(fd, &answer, control.as_slice(), MsgFlags::empty(), Some(&client));
        Ok(())
    }
}

fn asked(message: ControlMessageOwned) -> Option<Asked> {
    if let ControlMessageOwned::Ipv4PacketInfo(mut info) = message {
        // the address counts; the way back may lead through another interface
        info.ipi_ifindex = 0;
        info.ipi_spec_dst = info.ipi_addr;
        Some(Asked::V4(info))
    } else if let ControlMessageOwned::Ipv6PacketInfo(info) = message {
        Some(Asked::V6(info))
    } else {
        None
    }
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
