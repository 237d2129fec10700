//! A packet socket that tokio waits for.

use std::io;

use stead_edge::polled::Polled;
use stead_linux::packet::{PacketError, PacketSocket};

/// How many frames are read in one go before timers get their turn.
const AT_ONCE: usize = 64;
/// Larger than any frame that means anything here: an echo with all the data it may have.
const FRAME: usize = 2_048;

/// Where a frame is read into.
pub(super) type Buffer = [u8; FRAME];

/// A buffer of the right size.
pub(super) const fn buffer() -> Buffer {
    [0; FRAME]
}

/// Waits until something is there, and hands on what is, some of it at once.
pub(super) async fn read(
    socket: &Polled<PacketSocket>,
    buffer: &mut Buffer,
    mut take: impl FnMut(Result<&[u8], PacketError>),
) -> io::Result<()> {
    let some = |socket: &PacketSocket| {
        let mut any = None;
        for _ in 0..AT_ONCE {
            match socket.receive(buffer) {
                Ok(Some(frame)) => take(Ok(frame)),
                Ok(None) => break,
                Err(error) => take(Err(error)),
            }
            any = Some(());
        }
        any
    };
    socket.next(some).await
}
