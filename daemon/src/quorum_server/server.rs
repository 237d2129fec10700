//! Connections: each a task of its own, with a deadline for every step.
//!
//! Everything up to the first frame is done for strangers. What a connection asks is answered one
//! by one; nobody waits for another's bytes, and only those that changed something, or rest on a
//! change, wait for the disk.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::ClusterId;
use stead_core::quorum::register::Challenge;
use stead_log::transport::{
    FrameError, KeyHash, ServerStream, Strangers, Tls, prepare, read_bytes, write_bytes,
};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::admission::{Admission, Place};
use super::ledger::{Ledger, Stopped};
use super::limits::{FRAME_BYTES, HANDSHAKE, IDLE, REST, STRANGERS, WRITE};
use super::numbers::{Numbers, Stock};
use super::record::{Moment, TokenState};
use super::registry::{Number, Registry};
use super::table::Outcome;
use super::turns::Turns;
use super::wire::{Refused, Reply, ToServer};
use crate::metrics::listen::Exposed;

/// What all connections have in common.
pub(super) struct Server {
    pub ledger: Ledger,
    pub numbers: Arc<Numbers>,
    pub registry: Registry,
    pub admission: Arc<Admission>,
    strangers: Strangers,
    turns: Turns,
    tls: Tls,
    closing: watch::Receiver<bool>,
}

/// The connection is over.
struct Over;

impl Server {
    pub fn new(
        ledger: Ledger,
        numbers: Arc<Numbers>,
        admission: Arc<Admission>,
        tls: Tls,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let (registry, strangers) = (Registry::default(), Strangers::new(STRANGERS));
        let turns = Turns::default();
        Self { ledger, numbers, registry, admission, strangers, turns, tls, closing }
    }

    /// Accepts on one address until the server ends.
    pub async fn listen(self: Arc<Self>, listener: TcpListener) {
        let mut closing = self.closing.clone();
        loop {
            let next = async {
                self.turns.room().await;
                listener.accept().await
            };
            let accepted = tokio::select! {
                accepted = next => accepted,
                _ = closing.wait_for(|closing| *closing) => return,
            };
            match accepted {
                Ok((tcp, from)) => match self.admission.enter(from.ip()) {
                    Ok(place) => self.meet(tcp, from, place),
                    // Closed without a word: words cost more than the connection did.
                    Err(why) => self.numbers.turned_away(why),
                },
                Err(error) => {
                    // Out of descriptors, most likely; connections that end give some back.
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn meet(self: &Arc<Self>, tcp: TcpStream, from: SocketAddr, place: Place) {
        let server = self.clone();
        let mut closing = self.closing.clone();
        let number = self.strangers.number();
        let end = self.strangers.add(number);
        tokio::spawn(async move {
            let mut who = None;
            tokio::select! {
                _over = server.attend(tcp, from, &place, number, &end, &mut who) => {}
                () = end.notified() => {
                    if who.is_none() {
                        server.numbers.closed("gave-way");
                    }
                }
                _ = closing.wait_for(|closing| *closing) => {}
            }
            server.strangers.met(number);
            if let Some((key, cluster)) = who {
                server.registry.left(number, key, cluster);
            }
        });
    }

    /// From the first byte to the last. `who` is set once that is known.
    async fn attend(
        &self,
        tcp: TcpStream,
        from: SocketAddr,
        place: &Place,
        number: Number,
        end: &Arc<Notify>,
        who: &mut Option<(KeyHash, ClusterId)>,
    ) -> Result<(), Over> {
        // Boxed: what a handshake needs is not kept for as long as the connection is.
        let introduced = Box::pin(self.introduced(tcp, from)).await;
        let (mut stream, key, mut frame) = introduced?;
        self.strangers.met(number);
        self.numbers.accepted();
        loop {
            let (reply, goes_on) = match ToServer::read(&frame) {
                Err((nonce, refused)) => (Reply { nonce, answer: Err(refused) }, false),
                Ok(asked) if !(place.may_ask() && self.registry.may_ask(key)) => {
                    // Whoever does not wait between its questions is made to.
                    tokio::time::sleep(REST).await;
                    (Reply { nonce: asked.nonce(), answer: Err(Refused::TooFast) }, true)
                }
                Ok(asked) => {
                    self.numbers.asked(&asked);
                    let cluster = cluster_of(&asked);
                    let (_, bound) = *who.get_or_insert_with(|| {
                        self.registry.bind(number, key, cluster, end);
                        (key, cluster)
                    });
                    let answer = if bound == cluster {
                        self.answer(key, &asked).await.map_err(|_stopped| Over)?
                    } else {
                        Err(Refused::OtherCluster)
                    };
                    let goes_on = answer.as_ref().err().is_none_or(may_go_on);
                    (Reply { nonce: asked.nonce(), answer }, goes_on)
                }
            };
            if let Err(refused) = &reply.answer {
                self.numbers.refused(refused);
                tracing::debug!(%from, %key, %refused, "refused");
            }
            let written = timeout(WRITE, write_bytes(&mut stream, &reply.write())).await;
            if !goes_on || !matches!(written, Ok(Ok(()))) {
                return Err(Over);
            }
            frame = match timeout(IDLE, read_bytes(&mut stream, FRAME_BYTES)).await {
                Ok(Ok(frame)) => frame,
                Ok(Err(_)) | Err(_) => return Err(Over),
            };
        }
    }

    /// The handshake and the first frame; a reason why not is counted.
    async fn introduced(
        &self,
        tcp: TcpStream,
        from: SocketAddr,
    ) -> Result<(ServerStream, KeyHash, Vec<u8>), Over> {
        let first = timeout(HANDSHAKE, async {
            // Whoever only sees whether somebody listens is no cause for concern.
            if matches!(tcp.peek(&mut [0]).await, Ok(0)) {
                return Ok(None);
            }
            prepare(&tcp, WRITE).map_err(|_| "tls")?;
            let shaken = self.turns.take(async {
                // One that gave up while it waited for its turn is not computed for.
                if is_gone(&tcp).await { Ok(None) } else { self.tls.accept(tcp).await.map(Some) }
            });
            let shaken = shaken.await.map_err(|error| {
                tracing::debug!(%from, %error, "no handshake");
                "tls"
            })?;
            let (mut stream, key) = shaken.ok_or("gave-up")?;
            match read_bytes(&mut stream, FRAME_BYTES).await {
                Ok(frame) => Ok(Some((stream, key, frame))),
                Err(FrameError::Io(_)) => Ok(None),
                Err(
                    FrameError::TooLong { .. } | FrameError::Decode(_) | FrameError::Unexpected,
                ) => Err("garbage"),
            }
        });
        match first.await {
            Ok(Ok(Some(met))) => Ok(met),
            Ok(Ok(None)) => Err(Over),
            Ok(Err(why)) => {
                self.numbers.closed(why);
                Err(Over)
            }
            Err(_elapsed) => {
                self.numbers.closed("too-slow");
                Err(Over)
            }
        }
    }

    /// Answers one question, when that may be answered.
    async fn answer(
        &self,
        key: KeyHash,
        asked: &ToServer,
    ) -> Result<Result<stead_core::quorum::ask::Answer, Refused>, Stopped> {
        let now = Moment::now();
        let Outcome { answer, after, members } = match asked {
            ToServer::KeepAlive { cluster, .. } => {
                self.ledger.with(|table| table.look(*cluster, key, now))
            }
            ToServer::Request(request) => {
                let challenge = challenge()?;
                self.ledger.with(|table| table.ask(key, request, now, challenge))
            }
            ToServer::Enrol(wish) => {
                let challenge = challenge()?;
                let outcome = self.ledger.with(|table| table.enrol(key, wish, now, challenge));
                if outcome.answer.is_ok() {
                    let (cluster, name) = (wish.cluster, &wish.name);
                    tracing::info!(%cluster, name, "enrolled");
                }
                outcome
            }
        };
        if let Some(keys) = members {
            self.registry.end_others(cluster_of(asked), &keys);
        }
        self.ledger.on_disk(after).await?;
        match answer.as_ref().map(|answer| answer.grant.as_ref()) {
            Ok(Some(Ok(grant))) => {
                self.numbers.granted();
                tracing::info!(cluster = %cluster_of(asked), %grant, "granted");
            }
            Ok(Some(Err(refusal))) => self.numbers.refused_by_register(refusal),
            Ok(None) | Err(_) => {}
        }
        Ok(answer)
    }

    /// What is there, for the metrics.
    fn stock(&self) -> Stock {
        let now = Moment::now();
        let mut stock = Stock { connections: self.admission.open() as u64, ..Stock::default() };
        self.ledger.with(|table| {
            for (_, entry) in table.clusters() {
                let distrusted = entry.record.register.distrusted().is_some();
                match (entry.record.revoked, distrusted) {
                    (true, _) => stock.revoked += 1,
                    (false, true) => stock.distrusted += 1,
                    (false, false) => stock.trusted += 1,
                }
            }
            let open = table
                .tokens()
                .filter(|(_, token)| token.state == TokenState::Open && token.expires > now);
            stock.tokens = open.count() as u64;
        });
        stock
    }
}

impl Exposed for Arc<Server> {
    fn text(&self) -> String {
        self.numbers.expose(self.stock())
    }
}

/// Whether the peer has closed its side, whatever it had sent before.
async fn is_gone(tcp: &TcpStream) -> bool {
    tcp.ready(Interest::READABLE).await.is_ok_and(|ready| ready.is_read_closed())
}

fn cluster_of(asked: &ToServer) -> ClusterId {
    match asked {
        ToServer::Enrol(wish) => wish.cluster,
        ToServer::Request(request) => request.cluster,
        ToServer::KeepAlive { cluster, .. } => *cluster,
    }
}

/// Whether a connection is of any further use after that refusal.
fn may_go_on(refused: &Refused) -> bool {
    match refused {
        Refused::TooFast | Refused::Unfit(_) | Refused::OtherCluster => true,
        Refused::Version(_)
        | Refused::Unreadable
        | Refused::NotEnrolled
        | Refused::NotAMember
        | Refused::Revoked
        | Refused::TokenUnknown
        | Refused::TokenUsed
        | Refused::TokenExpired
        | Refused::TokenRevoked
        | Refused::Full => false,
    }
}

/// A number that nobody can guess.
pub(super) fn challenge() -> Result<Challenge, Stopped> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| Stopped::no_randomness())?;
    Ok(Challenge(u64::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn who_gave_up_is_known_though_what_it_sent_is_still_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(at).await.expect("connected");
        let (served, _) = listener.accept().await.expect("accepted");
        client.write_all(b"hello").await.expect("sent");
        assert_eq!(served.peek(&mut [0; 9]).await.expect("it is there"), 5);
        assert!(!is_gone(&served).await);
        drop(client);
        while !is_gone(&served).await {
            tokio::task::yield_now().await;
        }
        assert_eq!(served.peek(&mut [0; 9]).await.expect("it is there"), 5);
    }
}
