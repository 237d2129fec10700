//! Sending and waiting.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::Fault;
use super::wire::{LONGEST_DATAGRAM, Request, Unfit};

/// Until a question is sent again by UDP. Doubled each time, so that a slow path is waited for.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// How many answers to other questions a connection may bring before it is given up.
const MOST_STRAYS: usize = 64;

/// Asks by UDP, again and again until there is an answer or the deadline is over; by TCP if the
/// answer is too long for a datagram. `make` is called for each attempt: each is another question,
/// from another port.
pub(super) async fn ask(
    server: SocketAddr,
    deadline: Instant,
    make: impl Fn() -> Result<Request, Fault>,
) -> Result<Message, Fault> {
    let mut wait = FIRST_WAIT;
    let mut reason = Fault::NoAnswer;
    while Instant::now() < deadline {
        let until = deadline.min(Instant::now() + wait);
        match once(server, until, make()?, &mut reason).await? {
            Some(answer) if answer.metadata.truncation => {
                let mut connection = Connection::open(server, deadline).await?;
                let answers = connection.ask_all(vec![make()?]).await?;
                return answers.into_iter().next().ok_or(Fault::NoAnswer);
            }
            Some(answer) => return Ok(answer),
            None => wait *= 2,
        }
    }
    Err(reason)
}

/// One datagram. `None`: no answer that can be believed came, for the reason that is left behind.
async fn once(
    server: SocketAddr,
    until: Instant,
    mut request: Request,
    reason: &mut Fault,
) -> Result<Option<Message>, Fault> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // The kernel chooses a random port, and lets nobody but the server answer.
    let socket = UdpSocket::bind(any).await.map_err(Fault::Unreachable)?;
    socket.connect(server).await.map_err(Fault::Unreachable)?;
    socket.send(request.bytes()).await.map_err(Fault::Unreachable)?;
    let mut buffer = [0; LONGEST_DATAGRAM as usize];
    loop {
        let Ok(received) = timeout_at(until, socket.recv(&mut buffer)).await else {
            return Ok(None);
        };
        let length = received.map_err(Fault::Unreachable)?;
        match request.read(buffer.get(..length).unwrap_or_default()) {
            Ok(answer) => return Ok(Some(answer)),
            // Somebody else's attempt to answer for the server: it goes on listening.
            Err(Unfit::Stray) => {}
            Err(Unfit::Wrong(fault)) => *reason = fault,
        }
    }
}

/// A connection to a server, for several requests.
pub(super) struct Connection {
    stream: TcpStream,
    deadline: Instant,
}

impl Connection {
    /// Also its requests have to be answered by that deadline.
    pub(super) async fn open(server: SocketAddr, deadline: Instant) -> Result<Self, Fault> {
        let opened = timeout_at(deadline, TcpStream::connect(server)).await;
        let stream = opened.map_err(|_| Fault::NoAnswer)?.map_err(Fault::Unreachable)?;
        // Each batch is one write, which shall leave at once.
        stream.set_nodelay(true).map_err(Fault::Unreachable)?;
        Ok(Self { stream, deadline })
    }

    /// Sends all at once, and gives the answers in the order of the requests.
    pub(super) async fn ask_all(
        &mut self,
        mut requests: Vec<Request>,
    ) -> Result<Vec<Message>, Fault> {
        let mut batch = Vec::new();
        for request in &requests {
            let length = u16::try_from(request.bytes().len());
            let length = length.map_err(|_| Fault::Unwritable("too long".to_owned()))?;
            batch.extend_from_slice(&length.to_be_bytes());
            batch.extend_from_slice(request.bytes());
        }
        in_time(self.deadline, self.stream.write_all(&batch)).await?;
        let mut answers: Vec<Option<Message>> = requests.iter().map(|_| None).collect();
        let mut strays = 0;
        while answers.iter().any(Option::is_none) {
            let bytes = self.receive().await?;
            let mut open = requests.iter_mut().zip(&mut answers).filter(|(_, it)| it.is_none());
            let found = open.find(|(request, _)| request.is_answered_by(&bytes));
            match found.map(|(request, answer)| (request.read(&bytes), answer)) {
                Some((Ok(read), answer)) => *answer = Some(read),
                Some((Err(Unfit::Wrong(fault)), _)) => return Err(fault),
                Some((Err(Unfit::Stray), _)) | None => strays += 1,
            }
            if strays > MOST_STRAYS {
                return Err(Fault::Garbled);
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// One message: its length in two bytes, then itself.
    async fn receive(&mut self) -> Result<Vec<u8>, Fault> {
        let mut length = [0; 2];
        in_time(self.deadline, self.stream.read_exact(&mut length)).await?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        in_time(self.deadline, self.stream.read_exact(&mut bytes)).await?;
        Ok(bytes)
    }
}

async fn in_time<T>(
    deadline: Instant,
    act: impl Future<Output = io::Result<T>>,
) -> Result<T, Fault> {
    timeout_at(deadline, act).await.map_err(|_| Fault::NoAnswer)?.map_err(Fault::Unreachable)
}
