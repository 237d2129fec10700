//! Frames: four bytes of length, a version byte, postcard. And the two tasks that move them.

use std::io;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::limits::FRAMES_IN_LINE;
use crate::codec::{DecodeError, decode, encode};
use crate::network::Refused;

/// What goes over a connection after the hello. The one who connected asks, the other answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Frame {
    Request { id: u64, ttl_millis: u64, body: Vec<u8> },
    Answer { id: u64, body: Result<Vec<u8>, Refused> },
    Ping,
    Pong,
}

/// A frame could not be had. The connection is of no further use.
#[derive(Debug, Error)]
pub enum FrameError {
    /// It ended, or was never whole.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// It says that it is longer than agreed; nothing of it was read.
    #[error("a frame of {bytes} bytes, at most {most} are allowed")]
    TooLong {
        /// How long it says it is.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// It is not what is expected here.
    #[error("a frame that can't be read")]
    Decode(#[from] DecodeError),
    /// It is something that nobody says here.
    #[error("a frame that has no place here")]
    Unexpected,
}

/// Reads length and bytes. The bound is checked before anything is allocated, and what is allocated
/// grows with what has arrived. Has no deadline of its own, and must not be taken up again once it
/// was dropped: what it had read is gone.
///
/// # Errors
/// The connection broke, or the other announces more than `most` bytes.
pub async fn read_bytes(
    stream: &mut (impl AsyncRead + Unpin),
    most: usize,
) -> Result<Vec<u8>, FrameError> {
    let bytes = stream.read_u32().await? as usize;
    if bytes > most {
        return Err(FrameError::TooLong { bytes, most });
    }
    let mut buffer = Vec::with_capacity(bytes.min(64 << 10));
    let read = stream.take(bytes as u64).read_to_end(&mut buffer).await?;
    if read < bytes {
        return Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(buffer)
}

/// Writes length and bytes, and flushes. Has no deadline of its own.
///
/// # Errors
/// The connection broke.
pub async fn write_bytes(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    // One write, one TLS record, one packet where it fits.
    let mut whole = Vec::with_capacity(bytes.len() + 4);
    whole.extend_from_slice(&length.to_be_bytes());
    whole.extend_from_slice(bytes);
    stream.write_all(&whole).await?;
    stream.flush().await
}

/// A connection as two queues. Dropping it closes the connection.
pub(super) struct Frames {
    pub incoming: mpsc::Receiver<Result<Frame, FrameError>>,
    pub outgoing: mpsc::Sender<Frame>,
    /// Aborts both tasks when dropped.
    _tasks: JoinSet<()>,
}

impl Frames {
    pub fn start<S>(stream: S, most: usize) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (arrived, incoming) = mpsc::channel(FRAMES_IN_LINE);
        let (outgoing, mut leaving) = mpsc::channel::<Frame>(FRAMES_IN_LINE);
        let mut tasks = JoinSet::new();
        let failed = arrived.clone();
        tasks.spawn(async move {
            loop {
                let frame = async { Ok(decode(&read_bytes(&mut reader, most).await?)?) }.await;
                let last = frame.is_err();
                if arrived.send(frame).await.is_err() || last {
                    return;
                }
            }
        });
        tasks.spawn(async move {
            while let Some(frame) = leaving.recv().await {
                if let Err(error) = write_bytes(&mut writer, &encode(&frame)).await {
                    // Nobody listening means that the connection is being closed anyway.
                    drop(failed.send(Err(error.into())).await);
                    return;
                }
            }
        });
        Self { incoming, outgoing, _tasks: tasks }
    }
}
