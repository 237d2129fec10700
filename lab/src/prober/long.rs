//! One TCP connection for as long as it lives: what a database client or an SSH session sees.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};

use super::beat::Beat;
use super::record::{Record, Report};
use super::{Task, now};
use crate::error::LabError;
use crate::host::Host;
use crate::launcher::lock;

/// An attempt to connect that takes longer is begun anew, in microseconds.
const CONNECT_WITHIN: u64 = 250_000;
/// A connection without answers for that long is given up, in microseconds.
const GIVE_UP: u64 = 60_000_000;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The other side said that it knows nothing of it (RST).
    Reset,
    /// The other side closed it.
    Closed,
    /// Our own kernel gave up.
    TimedOut,
    /// The prober gave up after a minute without an answer.
    GivenUp,
}

/// The end of a connection. Times in microseconds of CLOCK_BOOTTIME.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ConnectionEnd {
    /// The last answer on it, or when it was opened.
    pub last_answer_us: u64,
    /// When the client was told.
    pub told_us: u64,
    /// How.
    pub how: How,
}

/// What the long connection saw.
#[derive(Debug, Clone, Serialize)]
pub struct LongReport {
    /// Answers and gaps, over all connections.
    pub answers: Report,
    /// Connections that ended.
    pub ends: Vec<ConnectionEnd>,
}

/// A client with one long connection, which it opens anew when it breaks. Ends when dropped.
pub struct LongProber {
    record: Arc<Record>,
    ends: Arc<Mutex<Vec<ConnectionEnd>>>,
    task: Task<()>,
}

impl LongProber {
    /// Pings the service every `interval` over one connection.
    pub fn start(
        host: &Host,
        service: SocketAddr,
        interval: Duration,
    ) -> Result<LongProber, LabError> {
        let record = Arc::new(Record::new(now()));
        let ends = Arc::new(Mutex::new(Vec::new()));
        let mut client = Client {
            service,
            connection: None,
            record: Arc::clone(&record),
            ends: Arc::clone(&ends),
        };
        let task = Task::start(host, "probe-long", move |stop| client.ask(interval, stop))?;
        Ok(LongProber { record, ends, task })
    }

    /// Answers so far.
    pub fn answers(&self) -> usize {
        self.record.count()
    }

    /// Connections that ended so far.
    pub fn ends(&self) -> Vec<ConnectionEnd> {
        lock(&self.ends).clone()
    }

    /// The longest gap that was open at or after `mark`.
    pub fn longest_gap_since(&self, mark: u64) -> Duration {
        self.record.longest_gap(mark, now())
    }

    /// Ends the prober.
    pub fn finish(mut self) -> Result<LongReport, LabError> {
        let ended = now();
        let realtime = self.task.realtime();
        self.task.end()?;
        let ends = self.ends();
        Ok(LongReport { answers: self.record.report(ended, realtime), ends })
    }
}

struct Connection {
    socket: Socket,
    opened: u64,
    answered: Option<u64>,
    heard: Vec<u8>,
}

struct Client {
    service: SocketAddr,
    connection: Option<Connection>,
    record: Arc<Record>,
    ends: Arc<Mutex<Vec<ConnectionEnd>>>,
}

impl Client {
    fn ask(&mut self, interval: Duration, stop: &AtomicBool) -> io::Result<()> {
        let mut beat = Beat::every(interval)?;
        let mut keys = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let time_to_ask = beat.wait(&mut keys)?;
            self.listen();
            if !time_to_ask {
                continue;
            }
            self.record.asked(now());
            if self.connection.is_none() {
                self.connection = open(self.service).ok();
                if let Some(connection) = &self.connection {
                    beat.watch(&connection.socket, 0)?;
                }
            }
            self.ping();
        }
        Ok(())
    }

    fn ping(&mut self) {
        let Some(connection) = &mut self.connection else { return self.record.refused() };
        let now = now();
        let waits_since = connection.answered.unwrap_or(connection.opened);
        let patience = if connection.answered.is_some() { GIVE_UP } else { CONNECT_WITHIN };
        if now.saturating_sub(waits_since) > patience {
            return self.lose(How::GivenUp);
        }
        match connection.socket.write(format!("{now}\n").as_bytes()) {
            Ok(_) => {}
            Err(error) if waits(&error) => {}
            Err(error) => self.lose(how(&error)),
        }
    }

    fn listen(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let mut piece = [0; 1024];
        loop {
            match connection.socket.read(&mut piece) {
                Ok(0) => return self.lose(How::Closed),
                Ok(length) => connection.heard.extend_from_slice(&piece[..length]),
                Err(error) if waits(&error) => return,
                Err(error) => {
                    let how = how(&error);
                    return self.lose(how);
                }
            }
            while let Some(end) = connection.heard.iter().position(|&octet| octet == b'\n') {
                let line: Vec<u8> = connection.heard.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                let Some((asked, node)) = line.trim_end().split_once(' ') else { continue };
                let now = now();
                connection.answered = Some(now);
                self.record.answered(asked.parse().unwrap_or(now), now, node);
            }
        }
    }

    /// A connection that never answered is only an attempt that failed.
    fn lose(&mut self, how: How) {
        let Some(connection) = self.connection.take() else { return };
        self.record.refused();
        if let Some(last_answer_us) = connection.answered {
            lock(&self.ends).push(ConnectionEnd { last_answer_us, told_us: now(), how });
        }
    }
}

fn open(service: SocketAddr) -> io::Result<Connection> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(service), kind, Some(Protocol::TCP))?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&service.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    Ok(Connection { socket, opened: now(), answered: None, heard: Vec::new() })
}

/// Nothing to read or write now, or the handshake still runs.
fn waits(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::NotConnected, io::ErrorKind::Interrupted]
        .contains(&error.kind())
}

fn how(error: &io::Error) -> How {
    match error.raw_os_error() {
        Some(libc::ETIMEDOUT | libc::EHOSTUNREACH | libc::ENETUNREACH) => How::TimedOut,
        Some(_) | None => How::Reset,
    }
}
