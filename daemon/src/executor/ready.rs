//! A program that says itself when it is ready (sd_notify(3)).

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials,
    bind, recvmsg, setsockopt, socket,
};
use nix::unistd::close;
use stead_edge::polled::Polled;

/// No message is longer. Bytes.
const LONGEST: usize = 4096;
/// With no message more of them are taken.
const MOST_DESCRIPTORS: usize = 16;

/// Where such a program says it.
pub(super) struct Notices {
    socket: Polled<OwnedFd>,
    /// The name, as the program finds it in its environment.
    pub(super) name: String,
    /// Whose word counts, beside root's.
    user: u32,
}

/// What a program said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) ready: bool,
    /// How it is, in its own words.
    pub(super) status: Option<String>,
}

impl Notices {
    /// A name that nobody has, since whoever runs the program may not open files of ours.
    pub(super) fn open(user: u32) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        let chance = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let name = format!("stead-ready-{chance:016x}");
        bind(socket.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
        setsockopt(&socket, PassCred, &true)?;
        Ok(Self { socket: Polled::new(socket)?, name: format!("@{name}"), user })
    }

    /// The next thing that is said by somebody whose word counts.
    pub(super) async fn next(&self) -> io::Result<Said> {
        self.socket.next(|socket| self.receive(socket).transpose()).await?
    }

    fn receive(&self, socket: &OwnedFd) -> io::Result<Option<Said>> {
        let mut buffer = [0; LONGEST];
        let mut space = nix::cmsg_space!(UnixCredentials, [RawFd; MOST_DESCRIPTORS]);
        loop {
            let (length, user) = {
                let mut parts = [IoSliceMut::new(&mut buffer)];
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
                let fd = socket.as_fd().as_raw_fd();
                let message = match recvmsg::<()>(fd, &mut parts, Some(&mut space), flags) {
                    Ok(message) => message,
                    Err(Errno::EAGAIN) => return Ok(None),
                    Err(Errno::EINTR) => continue,
                    Err(errno) => return Err(errno.into()),
                };
                let mut user = None;
                // Of one that has more than fits nobody knows who sent it.
                for part in message.cmsgs().into_iter().flatten() {
                    if let ControlMessageOwned::ScmCredentials(who) = part {
                        user = Some(who.uid());
                    } else if let ControlMessageOwned::ScmRights(handed) = part {
                        // Whoever waits for us to have read this waits for that (`BARRIER=1`).
                        for fd in handed {
                            let _ = close(fd);
                        }
                    }
                }
                (message.bytes, user)
            };
            if user.is_some_and(|user| user == 0 || user == self.user) {
                return Ok(Some(read(&buffer[..length])));
            }
        }
    }
}

/// What is not understood is passed over, as systemd does.
pub(super) fn read(message: &[u8]) -> Said {
    let mut said = Said::default();
    for line in message.split(|byte| *byte == b'\n') {
        if line == b"READY=1" {
            said.ready = true;
        } else if let Some(status) = line.strip_prefix(b"STATUS=") {
            said.status = Some(String::from_utf8_lossy(status).into_owned());
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    use super::*;

    #[test]
    fn what_is_said_is_read_line_by_line() {
        let said = |ready, status: Option<&str>| Said { ready, status: status.map(str::to_owned) };
        for (message, expected) in [
            (&b"READY=1"[..], said(true, None)),
            (b"STATUS=almost\nMAINPID=7\n", said(false, Some("almost"))),
            (b"READY=1\nSTATUS=a\nSTATUS=b", said(true, Some("b"))),
            (b"READY=11\nREADY=\nready=1\n READY=1", said(false, None)),
            (b"STATUS=\xff", said(false, Some("\u{fffd}"))),
            (b"", said(false, None)),
        ] {
            assert_eq!(read(message), expected, "{message:?}");
        }
    }

    #[tokio::test]
    async fn what_a_program_says_arrives_and_what_nobody_may_say_does_not() {
        let own = nix::unistd::getuid().as_raw();
        let notices = Notices::open(own).expect("a socket");
        let sender = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        let name = notices.name.strip_prefix('@').expect("abstract");
        let address = SocketAddr::from_abstract_name(name).expect("a name");
        sender.send_to_addr(b"READY=1", &address).expect("sent");
        let said = notices.next().await.expect("heard");
        assert!(said.ready);
        // Of somebody else's user, which this one is now taken for.
        let deaf = Notices { user: own + 1, ..notices };
        sender.send_to_addr(b"READY=1", &address).expect("sent");
        let heard = deaf.socket.get();
        let heard = deaf.receive(heard).expect("read");
        assert_eq!(heard.is_some(), own == 0, "root may say it for all");
    }
}
