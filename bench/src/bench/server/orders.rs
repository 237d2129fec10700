//! What the bench tells a process full of clients, and what it hears: one line of JSON each.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{BenchError, Step};
use crate::tools::{PATIENCE, Tools};

/// How long an order may take: thousands of handshakes on a busy machine.
const LONG: Duration = Duration::from_secs(600);

/// What can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Order {
    /// Enrol clusters with these tokens and keep both nodes connected. How long each enrolment
    /// took.
    Enrol {
        /// The number of each cluster, and its token.
        invited: Vec<(u32, String)>,
    },
    /// Both halves of the first clusters ask at that moment, in microseconds since 1970. How
    /// long each grant took.
    Ask {
        /// How many.
        clusters: usize,
        /// When.
        at: u64,
    },
    /// One half of one cluster after the other asks. How long each grant took.
    AskInTurn {
        /// How many.
        clusters: usize,
    },
    /// All nodes drop their connections and make new ones, at that moment. How long each took.
    Reconnect {
        /// When.
        at: u64,
    },
    /// How long each node's newest answer took.
    RoundTrips,
    /// How many are connected.
    Count,
    /// Answers when all are connected.
    Connected,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// So long each took, in microseconds.
    pub micros: Vec<u64>,
    /// How many were done, where nothing was timed.
    pub count: usize,
    /// What went wrong: the first few.
    pub wrong: Vec<String>,
}

/// The other end of a process full of clients.
#[derive(Debug)]
pub struct Worker {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Worker {
    /// The next process that connects.
    pub fn next(tools: &Tools, listener: &UnixListener) -> Result<Self, BenchError> {
        let what = || "cannot take in a process of clients".to_owned();
        listener.set_nonblocking(true).step(what)?;
        let mut met = None;
        tools.wait_until("a process of clients begins", PATIENCE, || {
            met = listener.accept().ok();
            Ok(met.is_some())
        })?;
        let stream = met.map(|(stream, _)| stream);
        let stream = stream.ok_or_else(|| std::io::Error::other("it is gone")).step(what)?;
        stream.set_nonblocking(false).step(what)?;
        stream.set_read_timeout(Some(LONG)).step(what)?;
        Ok(Self { reader: BufReader::new(stream.try_clone().step(what)?), writer: stream })
    }

    /// Gives an order; its end is not waited for.
    pub fn tell(&mut self, order: &Order) -> Result<(), BenchError> {
        write_line(&mut self.writer, order).step(|| "cannot give an order".to_owned())
    }

    /// What came of the oldest order.
    pub fn hear(&mut self) -> Result<Done, BenchError> {
        let what = || "a process of clients did not answer".to_owned();
        let done: Option<Done> = read_line(&mut self.reader).step(what)?;
        let done = done.ok_or_else(|| std::io::Error::other("it ended")).step(what)?;
        match done.wrong.first() {
            Some(wrong) => Err(BenchError::Nothing(wrong.clone())),
            None => Ok(done),
        }
    }
}

/// Gives all of them an order at once, and waits for all.
pub fn all(workers: &mut [Worker], order: &Order) -> Result<Vec<Done>, BenchError> {
    for worker in &mut *workers {
        worker.tell(order)?;
    }
    workers.iter_mut().map(Worker::hear).collect()
}

/// Writes one line.
pub fn write_line(writer: &mut impl Write, line: &impl Serialize) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    writer.write_all(&bytes)
}

/// Reads one line; nothing at the end.
pub fn read_line<T: DeserializeOwned>(reader: &mut impl BufRead) -> std::io::Result<Option<T>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}

/// A moment so far from now, in microseconds since 1970.
pub fn in_a_while(span: Duration) -> u64 {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + span;
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}

/// How far away that moment is.
pub fn until(at: u64) -> Duration {
    let at = UNIX_EPOCH + Duration::from_micros(at);
    at.duration_since(SystemTime::now()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_answers_come_over_as_they_were() {
        let mut line = Vec::new();
        let order = Order::Enrol { invited: vec![(7, "steadq1-".to_owned())] };
        write_line(&mut line, &order).expect("written");
        assert_eq!(read_line(&mut &line[..]).expect("read"), Some(order));
        assert_eq!(read_line::<Done>(&mut &b""[..]).expect("an end"), None);
        assert!(read_line::<Done>(&mut &b"{}x\n"[..]).is_err());
    }

    #[test]
    fn a_moment_that_is_over_is_not_waited_for() {
        assert_eq!(until(1), Duration::ZERO);
        assert!(until(in_a_while(Duration::from_secs(60))) > Duration::from_secs(30));
    }
}
