//! One attempt to connect, and the frames of one connection.

use std::net::SocketAddr;
use std::time::Duration;

use stead_core::state::QuorumServer;
use stead_log::transport::{
    ClientStream, FrameError, HandshakeError, Identity, KeyHash, Tls, prepare, read_bytes,
    write_bytes,
};
use tokio::io::WriteHalf;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{KeyUnusable, NotConnected};
use crate::quorum_server::limits::FRAME_BYTES;
use crate::quorum_server::wire::{Reply, ToServer};

/// One attempt to reach one address.
const CONNECT: Duration = Duration::from_secs(2);
/// The handshake that follows: a server to which thousands come back at once lets them wait.
const HANDSHAKE: Duration = Duration::from_secs(4);
/// How long an answer may take before the connection is taken for dead: a server on a slow disk
/// needs a second at worst.
pub(super) const SILENCE: Duration = Duration::from_secs(4);
/// Answers that wait to be looked at. There are never more than questions.
const ANSWERS: usize = 64;

pub(super) fn tls(identity: &Identity) -> Result<Tls, KeyUnusable> {
    Tls::new(identity).map_err(|error| KeyUnusable(error.to_string()))
}

/// A connection to the server, on which nothing was said yet.
pub(super) struct Connection {
    pub address: SocketAddr,
    writer: WriteHalf<ClientStream>,
    answers: mpsc::Receiver<Result<Reply, NotConnected>>,
    /// Aborts the task that reads when dropped.
    _reader: JoinSet<()>,
}

/// Connects to the first address that answers as the server, the one numbered `first` before all
/// others. Returns its number as well.
pub(super) async fn connect(
    tls: &Tls,
    server: &QuorumServer,
    first: usize,
) -> Result<(usize, Connection), NotConnected> {
    let mut worst = NotConnected::NoAddress;
    let numbers = (0..server.addresses.len()).cycle().skip(first).take(server.addresses.len());
    for number in numbers {
        let Some(&address) = server.addresses.get(number) else { continue };
        match one(tls, address, KeyHash(server.key)).await {
            Ok(stream) => return Ok((number, Connection::new(address, stream))),
            // What somebody there said tells more than that nobody is elsewhere.
            Err(why @ NotConnected::WrongKey { .. }) => worst = why,
            Err(why) if !matches!(worst, NotConnected::WrongKey { .. }) => worst = why,
            Err(_) => {}
        }
    }
    Err(worst)
}

async fn one(tls: &Tls, address: SocketAddr, key: KeyHash) -> Result<ClientStream, NotConnected> {
    let unreachable =
        |error: std::io::Error| NotConnected::Unreachable { address, detail: error.to_string() };
    let too_slow = |_elapsed| NotConnected::TooSlow(address);
    let tcp = timeout(CONNECT, TcpStream::connect(address)).await.map_err(too_slow)?;
    let tcp = tcp.map_err(unreachable)?;
    prepare(&tcp, SILENCE).map_err(unreachable)?;
    let shaken = timeout(HANDSHAKE, tls.connect(tcp, address.ip(), key)).await;
    shaken.map_err(too_slow)?.map_err(|error| match error {
        HandshakeError::WrongKey(found) => NotConnected::WrongKey { address, found },
        HandshakeError::Tls(detail) => NotConnected::NoServer { address, detail },
        HandshakeError::Io(error) => unreachable(error),
    })
}

impl Connection {
    fn new(address: SocketAddr, stream: ClientStream) -> Self {
        let (mut reader, writer) = tokio::io::split(stream);
        let (arrived, answers) = mpsc::channel(ANSWERS);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let frame = read_bytes(&mut reader, FRAME_BYTES).await;
                let answer = match frame {
                    Ok(bytes) => Reply::read(&bytes).map_err(|error| no_server(address, &error)),
                    Err(FrameError::Io(error)) => Err(broken(address, &error)),
                    Err(error) => Err(no_server(address, &error)),
                };
                let last = answer.is_err();
                if arrived.send(answer).await.is_err() || last {
                    return;
                }
            }
        });
        Self { address, writer, answers, _reader: tasks }
    }

    /// Sends a question; it is not waited for its answer.
    pub async fn send(&mut self, asked: &ToServer) -> Result<(), NotConnected> {
        let written = timeout(SILENCE, write_bytes(&mut self.writer, &asked.write())).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(broken(self.address, &error)),
            Err(_elapsed) => Err(NotConnected::TooSlow(self.address)),
        }
    }

    /// The next answer. May be dropped and called again.
    pub async fn next(&mut self) -> Result<Reply, NotConnected> {
        let ended = || broken(self.address, &std::io::ErrorKind::UnexpectedEof.into());
        self.answers.recv().await.unwrap_or_else(|| Err(ended()))
    }
}

fn broken(address: SocketAddr, error: &std::io::Error) -> NotConnected {
    // What TLS says of an end without a farewell is for those who write servers.
    let detail = if error.kind() == std::io::ErrorKind::UnexpectedEof {
        "it closed the connection".to_owned()
    } else {
        format!("the connection broke: {error}")
    };
    NotConnected::Unreachable { address, detail }
}

fn no_server(address: SocketAddr, error: &dyn std::error::Error) -> NotConnected {
    NotConnected::NoServer { address, detail: stead_edge::chain(error) }
}
