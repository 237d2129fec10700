//! One outgoing connection: to one node, for one lane. It is made at the first request and then
//! kept, or made again, for as long as the node is in the table of members.
//!
//! ```text
//! dialling --ok--> connected --broken, silent, or no longer trusted--> dialling
//!     \--failed--> resting (20 ms, doubling to 500 ms; ended at once by a sign of life) -->
//! dialling
//! ```
//!
//! Requests that come while it dials wait for the outcome; while it rests they fail at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::NodeId;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::debug;

use super::Connected;
use super::dial::{DialError, Dialled};
use super::frame::{Frame, Frames};
use super::hello::Purpose;
use super::limits::{BACKOFF, FRAME_EXTRA, IN_LINE, PING, body_bytes, silence};
use super::shared::Shared;
use crate::network::{CallError, Lane};

/// One request on its way.
pub(super) struct Call {
    pub body: Vec<u8>,
    pub ttl: Duration,
    pub reply: oneshot::Sender<Result<Vec<u8>, CallError>>,
}

/// The handle to a link's task.
#[derive(Clone)]
pub(super) struct Link {
    pub calls: mpsc::Sender<Call>,
    /// A sign of life from the node: no more resting.
    pub wake: Arc<Notify>,
}

/// How a link stops being what it was.
enum End {
    /// The connection is lost; try again.
    Lost(&'static str),
    /// The node is not a member any more, or this side closes.
    Over,
}

struct Runner {
    shared: Arc<Shared>,
    node: NodeId,
    lane: Lane,
    calls: mpsc::Receiver<Call>,
    wake: Arc<Notify>,
    last_good: Option<SocketAddr>,
}

impl Link {
    pub fn start(shared: Arc<Shared>, node: NodeId, lane: Lane) -> Self {
        let (calls, queue) = mpsc::channel(IN_LINE);
        let wake = Arc::new(Notify::new());
        let runner =
            Runner { shared, node, lane, calls: queue, wake: wake.clone(), last_good: None };
        tokio::spawn(runner.run());
        Self { calls, wake }
    }
}

impl Runner {
    async fn run(mut self) {
        let mut closing = self.shared.closing.subscribe();
        let shared = self.shared.clone();
        let place = (self.node, self.lane);
        tokio::select! {
            () = self.keep() => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
        shared.left(place);
    }

    async fn keep(&mut self) {
        let mut rest = BACKOFF.0;
        let mut waiting = Vec::new();
        while let Some(member) = self.shared.members.get(self.node) {
            let mut addresses = member.addresses;
            if let Some(good) = self.last_good {
                addresses.sort_by_key(|address| *address != good);
            }
            let purpose = Purpose::Lane(self.lane);
            let shared = self.shared.clone();
            let quiet = silence(self.lane);
            let dialling = shared.dial(Some(self.node), &addresses, member.key, purpose, quiet);
            let dialled = tokio::select! {
                dialled = dialling => dialled,
                () = collect(&mut self.calls, &mut waiting) => return,
            };
            match dialled {
                Ok(dialled) => {
                    let start = Instant::now();
                    match self.serve(dialled, member.key, std::mem::take(&mut waiting)).await {
                        End::Over => return,
                        End::Lost(reason) => debug!(node = %self.node, reason, "connection lost"),
                    }
                    // One that is closed as soon as it is made is no reason to hurry.
                    if start.elapsed() > BACKOFF.1 {
                        rest = BACKOFF.0;
                    }
                }
                Err(error) => {
                    for call in waiting.drain(..) {
                        self.refuse(call, &error);
                    }
                    if !self.rest(rest, &error).await {
                        return;
                    }
                    rest = (rest * 2).min(BACKOFF.1);
                }
            }
        }
    }

    fn refuse(&self, call: Call, error: &DialError) {
        let reason = error.to_string();
        drop(call.reply.send(Err(CallError::Unreachable { node: self.node, reason })));
    }

    /// Waits before the next attempt; whoever calls meanwhile is told why the last one failed.
    async fn rest(&mut self, time: Duration, error: &DialError) -> bool {
        let end = tokio::time::sleep(time);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return true,
                () = self.wake.notified() => return true,
                call = self.calls.recv() => match call {
                    Some(call) => self.refuse(call, error),
                    None => return false,
                },
            }
        }
    }

    async fn serve(&mut self, dialled: Dialled, key: super::KeyHash, waiting: Vec<Call>) -> End {
        let Dialled { stream, address, software, version } = dialled;
        self.last_good = Some(address);
        let (node, lane) = (self.node, self.lane);
        self.shared.arrived(Connected { node, lane, address, software, version });
        let most = body_bytes(self.lane) + FRAME_EXTRA;
        let mut pending = Pending {
            node: self.node,
            frames: Frames::start(stream, most),
            next: 0,
            replies: HashMap::new(),
        };
        for call in waiting {
            pending.ask(call);
        }
        let mut members = self.shared.members.watch();
        let mut ping = tokio::time::interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let end = loop {
            tokio::select! {
                biased;
                frame = pending.frames.incoming.recv() => {
                    heard = Instant::now();
                    if let Err(reason) = pending.heard(frame) {
                        break End::Lost(reason);
                    }
                }
                call = self.calls.recv() => match call {
                    Some(call) => pending.ask(call),
                    None => break End::Over,
                },
                _ = ping.tick() => {
                    if heard.elapsed() > silence(self.lane) {
                        break End::Lost("nothing came back");
                    }
                    pending.replies.retain(|_, reply| !reply.is_closed());
                    // A full queue is being written, which asks for signs of life as well.
                    drop(pending.frames.outgoing.try_send(Frame::Ping));
                }
                changed = members.changed() => {
                    if changed.is_err() || !self.shared.members.trusts(self.node, key) {
                        break End::Lost("no longer a member with this key");
                    }
                }
            }
        };
        pending.fail();
        self.shared.left((self.node, self.lane));
        end
    }
}

/// Takes requests into `waiting` until there are none to come any more.
async fn collect(calls: &mut mpsc::Receiver<Call>, waiting: &mut Vec<Call>) {
    while let Some(call) = calls.recv().await {
        waiting.retain(|call: &Call| !call.reply.is_closed());
        waiting.push(call);
    }
}

/// The requests on one connection that have no answer yet.
struct Pending {
    node: NodeId,
    frames: Frames,
    next: u64,
    replies: HashMap<u64, oneshot::Sender<Result<Vec<u8>, CallError>>>,
}

impl Pending {
    fn ask(&mut self, call: Call) {
        let Call { body, ttl, reply } = call;
        if reply.is_closed() {
            return;
        }
        let id = self.next;
        self.next += 1;
        let ttl_millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        match self.frames.outgoing.try_send(Frame::Request { id, ttl_millis, body }) {
            Ok(()) => drop(self.replies.insert(id, reply)),
            Err(_full_or_closed) => {
                let reason = "it does not take what is sent to it".to_string();
                drop(reply.send(Err(CallError::Unreachable { node: self.node, reason })));
            }
        }
    }

    fn heard(
        &mut self,
        frame: Option<Result<Frame, super::frame::FrameError>>,
    ) -> Result<(), &'static str> {
        match frame {
            Some(Ok(Frame::Answer { id, body })) => {
                // No reply waiting: its time was over.
                if let Some(reply) = self.replies.remove(&id) {
                    let node = self.node;
                    let answer = body.map_err(|reason| CallError::Refused { node, reason });
                    drop(reply.send(answer));
                }
                Ok(())
            }
            Some(Ok(Frame::Pong)) => Ok(()),
            Some(Ok(Frame::Request { .. } | Frame::Ping)) => Err("it asked on the wrong side"),
            Some(Err(error)) => {
                debug!(node = %self.node, %error, "connection broke");
                Err("it broke")
            }
            None => Err("it was closed"),
        }
    }

    fn fail(self) {
        for (_, reply) in self.replies {
            drop(reply.send(Err(CallError::Broken { node: self.node })));
        }
    }
}
