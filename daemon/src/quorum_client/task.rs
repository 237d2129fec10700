//! The task behind a client: connects, asks, waits, connects again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use stead_core::quorum::ask::{Answer, Question};
use stead_log::transport::Tls;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use super::connect::{Connection, SILENCE, connect};
use super::{ClientOptions, Link, NotConnected, WAITING};
use crate::quorum_server::limits::KEEP_ALIVE;
use crate::quorum_server::wire::{Members, Nonce, Refused, Reply, Request, ToServer};

/// The pause between two attempts: from the first to the last, doubling. Each is shortened by up to
/// a half by chance, so that the nodes of many clusters don't come back at one moment.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// A question shortens the pause, but not below this.
const SHORTEST: Duration = Duration::from_millis(100);
/// A connection that was kept for so long was a good one: the next pause is short again.
const GOOD: Duration = Duration::from_secs(10);

/// A question and where its answer goes.
#[derive(Debug)]
pub(super) struct Call {
    pub question: Question,
    pub members: Option<Members>,
    pub reply: oneshot::Sender<Result<Answer, Refused>>,
}

/// What was sent and is not answered yet; without a call it is a keep-alive.
struct Open {
    nonce: Nonce,
    sent: Instant,
    call: Option<Call>,
}

/// Nobody will ask any more.
struct Over;

/// What lasts longer than a connection.
struct Task {
    options: ClientOptions,
    calls: mpsc::Receiver<Call>,
    link: watch::Sender<Link>,
    /// What is to be asked when there is a connection.
    waiting: VecDeque<Call>,
    nonce: Nonce,
}

/// Runs until the client is dropped.
pub(super) async fn run(
    options: ClientOptions,
    tls: Tls,
    calls: mpsc::Receiver<Call>,
    link: watch::Sender<Link>,
) {
    let mut task = Task { options, calls, link, waiting: VecDeque::new(), nonce: 0 };
    let (mut first, mut pause) = (0, PAUSE.0);
    loop {
        let begun = Instant::now();
        let server = task.options.server.clone();
        let connected = {
            let attempt = connect(&tls, &server, first);
            tokio::pin!(attempt);
            loop {
                tokio::select! {
                    connected = &mut attempt => break connected,
                    call = task.calls.recv(), if task.waiting.len() < WAITING => match call {
                        Some(call) => task.waiting.push_back(call),
                        None => return,
                    },
                }
            }
        };
        let why = match connected {
            Ok((number, connection)) => {
                first = number;
                match task.talk(connection).await {
                    Ok(why) => why,
                    Err(Over) => return,
                }
            }
            Err(why) => why,
        };
        if begun.elapsed() >= GOOD {
            pause = PAUSE.0;
        } else if server.addresses.len() > 1 {
            // Somebody answers there and is of no use: the others get a turn.
            first = (first + 1) % server.addresses.len();
        }
        task.lost(why);
        if task.rest(begun, shortened(pause)).await.is_err() {
            return;
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// By up to a half, by chance; not at all if the system has no chance to offer.
fn shortened(pause: Duration) -> Duration {
    let mut byte = [0];
    let chance = getrandom::fill(&mut byte).map_or(0, |()| u32::from(byte[0]));
    pause - pause / 2 * chance / 255
}

impl Task {
    /// Says why there is no connection. Who was refused is told so at once.
    fn lost(&mut self, why: NotConnected) {
        if let NotConnected::Refused(refused) = &why {
            for call in self.waiting.drain(..) {
                // An error means that nobody waits any more.
                drop(call.reply.send(Err(refused.clone())));
            }
        }
        self.link.send_if_modified(|link| match link {
            Link::Down { why: known, .. } if *known == why => false,
            Link::Down { since, .. } => {
                *link = Link::Down { why, since: *since };
                true
            }
            Link::Up { .. } => {
                *link = Link::Down { why, since: Instant::now() };
                true
            }
        });
    }

    /// Waits before the next attempt; less if there is something to ask.
    async fn rest(&mut self, begun: Instant, pause: Duration) -> Result<(), Over> {
        let now = Instant::now();
        let (usual, soonest) = (now + pause, (begun + SHORTEST).max(now + SHORTEST));
        loop {
            self.waiting.retain(|call| !call.reply.is_closed());
            let until = if self.waiting.is_empty() { usual } else { usual.min(soonest) };
            tokio::select! {
                () = sleep_until(until.into()) => return Ok(()),
                call = self.calls.recv(), if self.waiting.len() < WAITING => {
                    self.waiting.push_back(call.ok_or(Over)?);
                }
            }
        }
    }

    /// Asks over a connection until that is of no more use, and says why it is not.
    async fn talk(&mut self, mut connection: Connection) -> Result<NotConnected, Over> {
        let mut open = VecDeque::new();
        let ended = self.converse(&mut connection, &mut open).await;
        // What was not answered is asked again.
        for unanswered in open.into_iter().rev() {
            self.waiting.extend(unanswered.call);
        }
        ended
    }

    async fn converse(
        &mut self,
        connection: &mut Connection,
        open: &mut VecDeque<Open>,
    ) -> Result<NotConnected, Over> {
        let since = Instant::now();
        // The first answer says whether this node is a member there.
        let mut next = since;
        loop {
            let now = Instant::now();
            if now >= next {
                next = now + KEEP_ALIVE;
                if let Err(why) = self.send(connection, open, None).await {
                    return Ok(why);
                }
            }
            while let Some(call) = self.waiting.pop_front() {
                if !call.reply.is_closed()
                    && let Err(why) = self.send(connection, open, Some(call)).await
                {
                    return Ok(why);
                }
            }
            let silent = open.front().map(|it: &Open| it.sent + SILENCE);
            let until = silent.map_or(next, |silent| silent.min(next));
            tokio::select! {
                reply = connection.next() => {
                    let heard = reply.and_then(|reply| self.hear(connection, open, reply, since));
                    if let Err(why) = heard {
                        return Ok(why);
                    }
                }
                call = self.calls.recv(), if open.len() < WAITING => {
                    self.waiting.push_back(call.ok_or(Over)?);
                }
                () = sleep_until(until.into()) => {
                    if silent.is_some_and(|silent| Instant::now() >= silent) {
                        return Ok(NotConnected::TooSlow(connection.address));
                    }
                }
            }
        }
    }

    async fn send(
        &mut self,
        connection: &mut Connection,
        open: &mut VecDeque<Open>,
        call: Option<Call>,
    ) -> Result<(), NotConnected> {
        self.nonce += 1;
        let (nonce, cluster) = (self.nonce, self.options.cluster);
        let asked = match &call {
            None => ToServer::KeepAlive { nonce, cluster },
            Some(Call { question, members, .. }) => ToServer::Request(Request {
                nonce,
                cluster,
                members: members.clone(),
                question: question.clone(),
            }),
        };
        open.push_back(Open { nonce, sent: Instant::now(), call });
        connection.send(&asked).await
    }

    /// Takes an answer, which must be that to the oldest question.
    fn hear(
        &self,
        connection: &Connection,
        open: &mut VecDeque<Open>,
        reply: Reply,
        since: Instant,
    ) -> Result<(), NotConnected> {
        let address = connection.address;
        let asked = open.pop_front_if(|asked| asked.nonce == reply.nonce);
        // What can't even be read there has no number.
        let asked = match (asked, &reply.answer) {
            (Some(asked), _) => Some(asked),
            (None, Err(Refused::Version(_) | Refused::Unreadable)) => open.pop_front(),
            (None, _) => None,
        };
        let Some(Open { sent, call, .. }) = asked else {
            let detail = "an answer to what was not asked".to_owned();
            return Err(NotConnected::NoServer { address, detail });
        };
        let ends = match &reply.answer {
            Ok(answer) => {
                let (round_trip, standing) = (sent.elapsed(), answer.standing);
                self.up(Link::Up { address, since, round_trip, standing });
                None
            }
            Err(Refused::TooFast | Refused::Unfit(_)) => None,
            Err(refused) => Some(refused.clone()),
        };
        if let Some(call) = call {
            // An error means that nobody waits any more.
            drop(call.reply.send(reply.answer));
        }
        ends.map_or(Ok(()), |refused| Err(NotConnected::Refused(refused)))
    }

    /// There is an answer. A round trip alone is no news.
    fn up(&self, up: Link) {
        self.link.send_if_modified(|link| {
            let news = match (&*link, &up) {
                (
                    Link::Up { since: before, standing: stood, .. },
                    Link::Up { since, standing, .. },
                ) => before != since || stood != standing,
                (Link::Down { .. }, _) | (_, Link::Down { .. }) => true,
            };
            *link = up;
            news
        });
    }
}
