//! A packet socket that tokio waits for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use stead_linux::packet::PacketSocket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How many frames are read in one go before timers get their turn.
const AT_ONCE: usize = 64;
/// Larger than any frame that means anything here: an echo with all the data it may have.
const FRAME: usize = 2_048;

/// The socket, waited for until something is to be read.
pub(super) struct Polled {
    socket: PacketSocket,
    /// A copy of the descriptor, so that what is registered stays open whatever `socket` does.
    waits: AsyncFd<OwnedFd>,
}

/// Where a frame is read into.
pub(super) type Buffer = [u8; FRAME];

impl Polled {
    /// Registers it with the runtime in whose context this is called.
    pub(super) fn new(socket: PacketSocket) -> io::Result<Self> {
        let copy = socket.as_fd().try_clone_to_owned()?;
        #[expect(
            deprecated,
            reason = "unsound only for what may close its descriptor; an owned one is not closed \
                      before it is dropped, and the successor is unsafe"
        )]
        let waits = AsyncFd::with_interest(copy, Interest::READABLE)?;
        Ok(Self { socket, waits })
    }

    /// A buffer of the right size.
    pub(super) const fn buffer() -> Buffer {
        [0; FRAME]
    }

    /// The socket itself.
    pub(super) fn get(&self) -> &PacketSocket {
        &self.socket
    }

    /// Waits until something is there, and hands on what is, some of it at once.
    pub(super) async fn read(
        &self,
        buffer: &mut Buffer,
        mut take: impl FnMut(Result<&[u8], stead_linux::packet::PacketError>),
    ) -> io::Result<()> {
        let mut ready = self.waits.readable().await?;
        for _ in 0..AT_ONCE {
            match self.socket.receive(buffer) {
                Ok(Some(frame)) => take(Ok(frame)),
                Ok(None) => {
                    // Clears only what was known when it became ready: what came since wakes us.
                    ready.clear_ready();
                    return Ok(());
                }
                Err(error) => take(Err(error)),
            }
        }
        Ok(())
    }
}
