//! The accepting side: who is it, and may it ask?
//!
//! Everything up to the hello is done for strangers: in a task per connection, under a deadline,
//! and when there are too many the oldest gives way. After it, a member's requests are answered
//! each in a task of its own, and a stranger that wants to join is heard once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::NodeId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::dial::prepare;
use super::frame::{Frame, FrameError, Frames, read_bytes, write_bytes};
use super::hello::{self, Hello, HelloAnswer, HelloRefusal, Purpose, agree};
use super::identity::KeyHash;
use super::limits::{
    FRAME_EXTRA, HANDSHAKE, HELLO_BYTES, INCOMING_SILENCE, UNDER_WAY, body_bytes, silence,
};
use super::refusals::RefusalReason;
use super::shared::Shared;
use super::tls::ServerStream;
use crate::listener::Boxed;
use crate::network::{Lane, Refused};

/// Accepts on one address until the transport closes.
pub(super) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    let mut closing = shared.closing.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        match accepted {
            Ok((tcp, from)) => shared.meet(tcp, from),
            Err(error) => {
                // Out of descriptors, most likely; connections that end give some back.
                warn!(%error, "can't accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Someone who has said who it is.
struct Met {
    stream: ServerStream,
    key: KeyHash,
    purpose: Purpose,
    node: NodeId,
}

impl Shared {
    /// Hears a stranger out, in a task of its own.
    fn meet(self: &Arc<Self>, tcp: TcpStream, from: SocketAddr) {
        let shared = self.clone();
        let mut closing = self.closing.subscribe();
        let number = self.strangers.number();
        let give_way = self.strangers.add(number);
        tokio::spawn(async move {
            tokio::select! {
                () = shared.clone().hear(tcp, from, number) => {}
                () = give_way.notified() => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
            shared.strangers.met(number);
        });
    }

    async fn hear(self: Arc<Self>, tcp: TcpStream, from: SocketAddr, number: u64) {
        let introduced = tokio::time::timeout(HANDSHAKE, async {
            // Whoever only sees whether somebody listens (`stead doctor`) is no cause for concern.
            match tcp.peek(&mut [0]).await {
                Ok(0) => None,
                Ok(_) | Err(_) => Some(self.introduce(tcp, from).await),
            }
        });
        let met = match introduced.await {
            Ok(None) => return,
            Ok(Some(Ok(met))) => met,
            Ok(Some(Err((key, reason)))) => {
                let node = key.and_then(|key| self.members.owner(key));
                self.refusals.note(node, from, reason);
                return;
            }
            Err(_elapsed) => {
                self.refusals.note(None, from, RefusalReason::TooSlow);
                return;
            }
        };
        self.strangers.met(number);
        match met.purpose {
            Purpose::Join => self.let_join(met.stream, met.key, from).await,
            Purpose::Lane(lane) => {
                self.refusals.forget(met.node);
                self.wake(met.node);
                let place = (met.node, lane);
                let connection = self.clone().answer(met, lane);
                self.incoming(place, connection).await;
            }
        }
    }

    /// The handshake and the hello, with our verdict on it.
    async fn introduce(
        &self,
        tcp: TcpStream,
        from: SocketAddr,
    ) -> Result<Met, (Option<KeyHash>, RefusalReason)> {
        let tls = |error: std::io::Error| (None, RefusalReason::Tls(error.to_string()));
        prepare(&tcp, silence(Lane::Bulk)).map_err(tls)?;
        let (mut stream, key) = self.tls.accept(tcp).await.map_err(tls)?;
        let garbage = |text: String| (Some(key), RefusalReason::Garbage(text));
        let bytes = read_bytes(&mut stream, HELLO_BYTES)
            .await
            .map_err(|error| garbage(error.to_string()))?;
        let hello: Hello = hello::decode(&bytes).ok_or_else(|| garbage("no hello".to_string()))?;
        debug!(%from, node = %hello.node, software = hello.software, "hello");
        let verdict = self.judge(&hello, key);
        let answer = HelloAnswer {
            node: self.node,
            software: self.software.clone(),
            verdict: verdict.clone(),
        };
        let sent = write_bytes(&mut stream, &hello::encode(&answer)).await;
        verdict.map_err(|reason| (Some(key), RefusalReason::ByUs(reason)))?;
        sent.map_err(|error| garbage(error.to_string()))?;
        Ok(Met { stream, key, purpose: hello.purpose, node: hello.node })
    }

    fn judge(&self, hello: &Hello, key: KeyHash) -> Result<u16, HelloRefusal> {
        let (oldest, newest) = self.versions();
        let version = agree((oldest, newest), (hello.oldest, hello.newest))
            .ok_or(HelloRefusal::Version { oldest, newest })?;
        match hello.purpose {
            Purpose::Join => self.door.open().map(|()| version),
            Purpose::Lane(_) if hello.cluster != self.cluster => {
                Err(HelloRefusal::ForeignCluster(self.cluster))
            }
            Purpose::Lane(_) => match self.members.owner(key) {
                None => Err(HelloRefusal::UnknownKey),
                Some(node) if node != hello.node => Err(HelloRefusal::OtherNode(node)),
                Some(_) => Ok(version),
            },
        }
    }

    /// Answers a member's requests until the connection ends or the member is not trusted any more.
    async fn answer(self: Arc<Self>, met: Met, lane: Lane) {
        let Met { stream, key, node, .. } = met;
        let mut frames = Frames::start(stream, body_bytes(lane) + FRAME_EXTRA);
        let mut members = self.members.watch();
        let mut under_way = JoinSet::new();
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                frame = frames.incoming.recv() => {
                    heard = Instant::now();
                    if !self.take(frame, node, lane, &frames, &mut under_way) {
                        return;
                    }
                }
                Some(_ended) = under_way.join_next() => {}
                () = tokio::time::sleep_until(heard + INCOMING_SILENCE) => return,
                changed = members.changed() => {
                    if changed.is_err() || !self.members.trusts(node, key) {
                        return;
                    }
                }
            }
        }
    }

    /// Starts what a frame asks for; whether the connection goes on.
    fn take(
        &self,
        frame: Option<Result<Frame, FrameError>>,
        node: NodeId,
        lane: Lane,
        frames: &Frames,
        under_way: &mut JoinSet<()>,
    ) -> bool {
        let outgoing = frames.outgoing.clone();
        match frame {
            Some(Ok(Frame::Request { id, ttl_millis, body })) => {
                let refusal = match self.service(lane) {
                    Some(_) if under_way.len() >= UNDER_WAY => Refused::Busy,
                    Some(service) => {
                        let ttl = Duration::from_millis(ttl_millis);
                        let handled = service.handle(node, body);
                        under_way.spawn(reply(id, handled, ttl, lane, outgoing));
                        return true;
                    }
                    None => Refused::NotServing,
                };
                // Whoever asks without reading the answers is cut off.
                outgoing.try_send(Frame::Answer { id, body: Err(refusal) }).is_ok()
            }
            // A full queue is being written: a sign of life without a pong.
            Some(Ok(Frame::Ping)) => {
                drop(outgoing.try_send(Frame::Pong));
                true
            }
            Some(Ok(Frame::Answer { .. } | Frame::Pong)) => {
                debug!(%node, error = %FrameError::Unexpected, "connection closed");
                false
            }
            Some(Err(error)) => {
                debug!(%node, %error, "connection closed");
                false
            }
            None => false,
        }
    }
}

/// Waits for an answer as long as the caller does, and sends it.
async fn reply(
    id: u64,
    handled: Boxed<'static, Vec<u8>>,
    ttl: Duration,
    lane: Lane,
    outgoing: mpsc::Sender<Frame>,
) {
    let body = match tokio::time::timeout(ttl, handled).await {
        Ok(answer) if answer.len() > body_bytes(lane) => Err(Refused::AnswerTooLong),
        Ok(answer) => Ok(answer),
        // The caller has given up by now.
        Err(_elapsed) => return,
    };
    // An error means that the connection is closed.
    drop(outgoing.send(Frame::Answer { id, body }).await);
}
