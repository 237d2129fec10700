//! Bodies of answers: a text, or events without end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use crate::knowledge::envelope::Envelope;

/// The time between two lines of comment on a quiet stream, by which its reader knows that it is
/// not cut. Readers wait for three of them.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// What is said in an answer.
#[derive(Debug)]
pub(super) enum Said {
    /// One text, or none (any more).
    Whole(Option<Bytes>),
    /// One after the other, until the sender is gone.
    Stream(mpsc::Receiver<Bytes>),
}

impl Said {
    pub(super) fn is_stream(&self) -> bool {
        match self {
            Self::Whole(_) => false,
            Self::Stream(_) => true,
        }
    }
}

impl Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take()),
            Self::Stream(receiver) => receiver.poll_recv(context),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// Events from now on. One is on its way at most: whoever reads slowly gets the newest when he
/// comes to it, and not all that were between.
pub(super) fn stream(
    mut news: watch::Receiver<Arc<Envelope>>,
    mut ending: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) -> Said {
    let (sender, receiver) = mpsc::channel(1);
    news.mark_changed();
    tokio::spawn(async move {
        let _place = place;
        loop {
            let next = tokio::select! {
                changed = news.changed() => match changed {
                    Ok(()) => event(&news.borrow_and_update()),
                    // The service is no more.
                    Err(_) => return,
                },
                () = tokio::time::sleep(HEARTBEAT) => Bytes::from_static(b":\n\n"),
                () = sender.closed() => return,
                _ = ending.wait_for(|ending| *ending) => return,
            };
            if sender.send(next).await.is_err() {
                return;
            }
        }
    });
    Said::Stream(receiver)
}

/// An envelope as one event: each of its lines is one of the event's.
fn event(envelope: &Envelope) -> Bytes {
    let mut text = format!("id: {}\n", envelope.tag());
    for line in envelope.text().trim_end_matches('\n').split('\n') {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text.into()
}
