//! Messages between processes of one machine: Unix sockets that keep them apart and in order.
//!
//! `SOCK_SEQPACKET`: a message arrives whole or not at all, so there is no framing to get wrong.
//! The socket's file is made with mode 0600 from its first moment (the mode is set before it has a
//! name). Nothing here waits. An empty message can't be told from the end, so none is sent.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    UnixAddr, accept4, bind, connect, listen, recv, recvmsg, send, sendmsg, setsockopt, socket,
    socketpair, sockopt,
};
use nix::sys::stat::{Mode, fchmod};
use thiserror::Error;

/// The longest message, in bytes: less than what the kernel lets a socket have in line by default.
pub const LONGEST: usize = 192 * 1024;
/// What a connection may have in line, in bytes, where the kernel lets us say so: some messages of
/// the longest kind.
const IN_LINE: usize = 1024 * 1024;

/// What went wrong on a socket between two processes.
#[derive(Debug, Error)]
pub enum SeqpacketError {
    /// Somebody listens there already.
    #[error("somebody listens on {} already; nothing was changed", .0.display())]
    InUse(PathBuf),
    /// There is something else of that name.
    #[error("{} is no socket; it was left alone; remove it or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The socket could not be made or reached.
    #[error("can't {step} {}; nothing was changed", path.display())]
    Path {
        /// What was being done.
        step: &'static str,
        /// The socket's file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A message was empty or longer than [`LONGEST`], or than the receiver's buffer.
    #[error("a message of {0} bytes; allowed are 1 to {LONGEST}; it was not passed on")]
    Length(usize),
    /// The other end is gone.
    #[error("the other end is gone; nothing was sent; connect again")]
    Closed,
    /// Anything else.
    #[error("can't {step} on a local socket")]
    Io {
        /// What was being done.
        step: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn failed(step: &'static str) -> impl Fn(Errno) -> SeqpacketError {
    move |errno| SeqpacketError::Io { step, source: errno.into() }
}

fn new_socket() -> Result<OwnedFd, SeqpacketError> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).map_err(failed("open a socket"))
}

/// Takes connections at a path.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
}

impl Listener {
    /// Listens at `path`; only our own user (and root) may connect. A socket that a dead process
    /// left there is replaced.
    ///
    /// # Errors
    /// See [`SeqpacketError`].
    pub fn bind(path: &Path) -> Result<Self, SeqpacketError> {
        let refused = |step| {
            move |errno: Errno| SeqpacketError::Path {
                step,
                path: path.to_owned(),
                source: errno.into(),
            }
        };
        remove_leftover(path)?;
        let fd = new_socket()?;
        // unix(7): the new file takes the mode of the socket, less the umask.
        fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR).map_err(failed("set the mode"))?;
        let address = UnixAddr::new(path).map_err(refused("use the path"))?;
        bind(fd.as_raw_fd(), &address).map_err(refused("bind"))?;
        let backlog = Backlog::new(64).map_err(failed("listen"))?;
        listen(&fd, backlog).map_err(refused("listen at"))?;
        Ok(Self { fd })
    }

    /// The next connection, if somebody waits.
    ///
    /// # Errors
    /// See [`SeqpacketError`].
    pub fn accept(&self) -> Result<Option<Connection>, SeqpacketError> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        loop {
            match accept4(self.fd.as_raw_fd(), flags) {
                Ok(raw) => {
                    // SAFETY: the kernel has just made this descriptor for us alone.
                    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
                    return Ok(Some(Connection::new(fd)));
                }
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR | Errno::ECONNABORTED) => {}
                Err(errno) => return Err(failed("accept")(errno)),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Removes a socket on which nobody listens. Between two that start at once a lock must decide.
fn remove_leftover(path: &Path) -> Result<(), SeqpacketError> {
    let refused = |step| move |source| SeqpacketError::Path { step, path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused("look at")(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SeqpacketError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    let address = UnixAddr::new(path).map_err(|errno| refused("use the path")(errno.into()))?;
    let fd = new_socket()?;
    match connect(fd.as_raw_fd(), &address) {
        Err(Errno::ECONNREFUSED) => fs::remove_file(path).map_err(refused("remove")),
        Err(Errno::ENOENT) => Ok(()),
        // Also where its queue is full or it is of another type: somebody lives there.
        Ok(()) | Err(_) => Err(SeqpacketError::InUse(path.to_owned())),
    }
}

/// What there was to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message of that many bytes, at the buffer's beginning.
    Message(usize),
    /// Nothing at this moment.
    Nothing,
    /// The other end is gone and all it sent was received.
    Closed,
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    fd: OwnedFd,
}

impl Connection {
    fn new(fd: OwnedFd) -> Self {
        // Beyond the kernel's own bound takes CAP_NET_ADMIN. Without it fewer wait in line.
        let forced = setsockopt(&fd, sockopt::SndBufForce, &IN_LINE);
        if forced.is_err() {
            let _ = setsockopt(&fd, sockopt::SndBuf, &IN_LINE);
        }
        Self { fd }
    }

    /// Connects to whoever listens at `path`, without waiting.
    ///
    /// # Errors
    /// [`SeqpacketError::Path`] if nobody listens, or too many wait there already.
    pub fn connect(path: &Path) -> Result<Self, SeqpacketError> {
        let refused = |step| {
            move |errno: Errno| SeqpacketError::Path {
                step,
                path: path.to_owned(),
                source: errno.into(),
            }
        };
        let address = UnixAddr::new(path).map_err(refused("use the path"))?;
        let fd = new_socket()?;
        connect(fd.as_raw_fd(), &address).map_err(refused("connect to"))?;
        Ok(Self::new(fd))
    }

    /// Two ends of a connection without a name.
    ///
    /// # Errors
    /// See [`SeqpacketError`].
    pub fn pair() -> Result<(Self, Self), SeqpacketError> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .map_err(failed("make a pair"))?;
        Ok((Self::new(one), Self::new(other)))
    }

    /// Sends one message; `false` if the other end's queue is full and it was not taken.
    ///
    /// # Errors
    /// See [`SeqpacketError`]; nothing was sent.
    pub fn send(&self, message: &[u8]) -> Result<bool, SeqpacketError> {
        if message.is_empty() || message.len() > LONGEST {
            return Err(SeqpacketError::Length(message.len()));
        }
        let raw = self.fd.as_raw_fd();
        loop {
            match send(raw, message, MsgFlags::MSG_NOSIGNAL) {
                Ok(_) => return Ok(true),
                Err(Errno::EAGAIN | Errno::ENOBUFS) => return Ok(false),
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(SeqpacketError::Closed),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed("send")(errno)),
            }
        }
    }

    /// Sends one message and a descriptor with it; `false` if it was not taken. A receiver that
    /// does not ask for descriptors never sees it.
    ///
    /// # Errors
    /// See [`SeqpacketError`]; nothing was sent.
    pub fn send_with(&self, message: &[u8], fd: &impl AsFd) -> Result<bool, SeqpacketError> {
        if message.is_empty() || message.len() > LONGEST {
            return Err(SeqpacketError::Length(message.len()));
        }
        let parts = [IoSlice::new(message)];
        let fds = [fd.as_fd().as_raw_fd()];
        let with = [ControlMessage::ScmRights(&fds)];
        let (raw, flags) = (self.fd.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
        loop {
            match sendmsg::<UnixAddr>(raw, &parts, &with, flags, None) {
                Ok(_) => return Ok(true),
                Err(Errno::EAGAIN | Errno::ENOBUFS) => return Ok(false),
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(SeqpacketError::Closed),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed("send a descriptor")(errno)),
            }
        }
    }

    /// Receives one message, and the descriptor that came with it, if one did.
    ///
    /// # Errors
    /// See [`Connection::receive`].
    pub fn receive_with(
        &self,
        buffer: &mut [u8],
        with: &mut Option<OwnedFd>,
    ) -> Result<Received, SeqpacketError> {
        let (raw, room) = (self.fd.as_raw_fd(), buffer.len());
        let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CMSG_CLOEXEC;
        loop {
            let mut control = nix::cmsg_space!([i32; 1]);
            let mut parts = [IoSliceMut::new(buffer)];
            let received = match recvmsg::<()>(raw, &mut parts, Some(&mut control), flags) {
                Ok(received) => received,
                Err(Errno::EAGAIN) => return Ok(Received::Nothing),
                Err(Errno::ECONNRESET) => return Ok(Received::Closed),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(failed("receive")(errno)),
            };
            let length = received.bytes;
            for message in received.cmsgs().map_err(failed("receive a descriptor"))? {
                if let ControlMessageOwned::ScmRights(fds) = message {
                    // SAFETY: the kernel has just made these descriptors for us alone.
                    let mut owned = fds.iter().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) });
                    *with = owned.next();
                    owned.for_each(drop);
                }
            }
            return match length {
                0 => Ok(Received::Closed),
                length if length > room => Err(SeqpacketError::Length(length)),
                length => Ok(Received::Message(length)),
            };
        }
    }

    /// Receives one message. Descriptors that came with it are closed unseen.
    ///
    /// # Errors
    /// [`SeqpacketError::Length`]: it did not fit, and is lost. See [`SeqpacketError`] for others.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Received, SeqpacketError> {
        let raw = self.fd.as_raw_fd();
        loop {
            match recv(raw, buffer, MsgFlags::MSG_TRUNC) {
                Ok(0) => return Ok(Received::Closed),
                Ok(length) if length > buffer.len() => return Err(SeqpacketError::Length(length)),
                Ok(length) => return Ok(Received::Message(length)),
                Err(Errno::EAGAIN) => return Ok(Received::Nothing),
                Err(Errno::ECONNRESET) => return Ok(Received::Closed),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed("receive")(errno)),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
