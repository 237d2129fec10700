//! Clients. Of an address they ask every millisecond, whoever has it. Where a name or a document
//! says what the address is, they look that up for each question anew ([`Seeker`]): what they find
//! is used once and never kept.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::stead::demo::fleet::Family;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use stead_lab::Host;
use stead_lab::prober::{Prober, Target, now};
use stead_linux::namespace::NamespaceError;

use crate::error::{BenchError, Step};
use crate::tools::PORT;

/// As the lab's probers have it: above ordinary programs, below all that is measured.
const PRIORITY: i32 = 2;
/// Later answers are none, in microseconds: a client has given up by then.
const LATEST: u64 = 250_000;

/// A client over one family, that asks again and again. Ends when dropped.
pub(super) trait Asker {
    /// The node that answered last.
    fn node_now(&self) -> Option<String>;

    /// The longest time without an answer that was open at or after that moment.
    fn longest_gap_since(&self, mark: u64) -> Duration;
}

impl Asker for Prober {
    fn node_now(&self) -> Option<String> {
        Self::node_now(self)
    }

    fn longest_gap_since(&self, mark: u64) -> Duration {
        Self::longest_gap_since(self, mark)
    }
}

/// A client of an address.
pub(super) fn of(host: &Host, address: IpAddr) -> Result<Box<dyn Asker>, BenchError> {
    let target = Target::every_millisecond(SocketAddr::new(address, PORT));
    Ok(Box::new(Prober::udp(host, target)?))
}

/// Finds out where the service is.
pub(super) trait Seek: Send + 'static {
    /// How often.
    const EVERY: Duration;

    /// It is time to look, once.
    fn begin(&mut self) -> io::Result<()>;

    /// What was found since, one address a call.
    fn found(&mut self) -> Option<IpAddr>;

    /// What tells that there may be something to be found.
    fn socket(&self) -> Option<&UdpSocket> {
        None
    }
}

/// The answers: when they came, and who gave the last one.
struct Record {
    began: u64,
    data: Mutex<(Vec<u64>, Option<String>)>,
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, (Vec<u64>, Option<String>)> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self, at: u64, node: &str) {
        let mut data = self.lock();
        data.0.push(at);
        if data.1.as_deref() != Some(node) {
            data.1 = Some(node.to_owned());
        }
    }

    fn longest_gap(&self, mark: u64, now: u64) -> Duration {
        let times = &self.lock().0;
        let (before, after) = times.split_at(times.partition_point(|at| *at <= mark));
        let mut last = before.last().copied().unwrap_or(self.began);
        let mut longest = 0;
        for &at in after.iter().chain([&now]) {
            longest = longest.max(at.saturating_sub(last));
            last = at;
        }
        Duration::from_micros(longest)
    }
}

/// A client that looks where the service is, and asks there: again and again.
pub(super) struct Seeker {
    record: Arc<Record>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<io::Result<()>, NamespaceError>>>,
}

impl Seeker {
    /// Starts one on a host. `seek` is made there, so that its sockets are that host's.
    pub(super) fn start<S: Seek>(
        host: &Host,
        family: Family,
        seek: impl FnOnce() -> io::Result<S> + Send + 'static,
    ) -> Result<Box<dyn Asker>, BenchError> {
        let record = Arc::new(Record { began: now(), data: Mutex::default() });
        let stop = Arc::new(AtomicBool::new(false));
        let (written, told) = (Arc::clone(&record), Arc::clone(&stop));
        let body = move || {
            // where it is refused, this is an ordinary thread
            let _ = stead_linux::realtime::set_fifo(PRIORITY);
            ask(&written, family, seek()?, &told)
        };
        let thread = host.namespace().spawn_thread("seeker", body).map_err(io::Error::other);
        let thread = thread.step(|| format!("cannot start a client on {}", host.name()))?;
        Ok(Box::new(Self { record, stop, thread: Some(thread) }))
    }
}

impl Asker for Seeker {
    fn node_now(&self) -> Option<String> {
        self.record.lock().1.clone()
    }

    fn longest_gap_since(&self, mark: u64) -> Duration {
        self.record.longest_gap(mark, now())
    }
}

impl Drop for Seeker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // One that ended before its time has left a gap that nobody overlooks; here is why.
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Ok(Err(error)))) => eprintln!("a client ended: {error}"),
            Some(Ok(Err(error))) => eprintln!("a client could not enter its host: {error}"),
            Some(Ok(Ok(Ok(()))) | Err(_)) | None => {}
        }
    }
}

/// Looks at each beat, asks at each finding, and listens in between.
fn ask<S: Seek>(record: &Record, family: Family, mut seek: S, stop: &AtomicBool) -> io::Result<()> {
    let any: IpAddr = match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        wait(&socket, seek.socket(), next)?;
        let time = Instant::now();
        if time >= next {
            seek.begin()?;
            // beats that were missed are not made up for
            next = (next + S::EVERY).max(time);
        }
        while let Some(address) = seek.found() {
            // Where nobody is there is no answer: that is all that a client learns.
            let _ = socket.send_to(now().to_string().as_bytes(), (address, PORT));
        }
        listen(record, &socket);
    }
    Ok(())
}

/// Until something comes, or it is time.
fn wait(socket: &UdpSocket, other: Option<&UdpSocket>, next: Instant) -> io::Result<()> {
    let left = next.saturating_duration_since(Instant::now());
    let mut all: Vec<PollFd<'_>> = [Some(socket), other]
        .into_iter()
        .flatten()
        .map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN))
        .collect();
    match ppoll(&mut all, Some(TimeSpec::from(left)), None) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Writes down all answers that are there.
fn listen(record: &Record, socket: &UdpSocket) {
    let mut answer = [0; 256];
    loop {
        match socket.recv(&mut answer) {
            Ok(length) => {
                let at = now();
                let read = answer.get(..length).and_then(read);
                if let Some((asked, node)) = read
                    && at.saturating_sub(asked) <= LATEST
                {
                    record.answered(at, node);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // an ICMP error for an earlier question
            Err(_) => {}
        }
    }
}

/// The question, which is when it was asked, and the node that answers.
fn read(answer: &[u8]) -> Option<(u64, &str)> {
    let (asked, node) = std::str::from_utf8(answer).ok()?.trim_end().split_once(' ')?;
    Some((asked.parse().ok()?, node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_begins_with_the_last_answer_before_it() {
        let record = Record { began: 0, data: Mutex::default() };
        assert_eq!(record.longest_gap(500, 1_000), Duration::from_micros(1_000), "nobody yet");
        for (at, node) in [(1_000, "node1"), (2_000, "node1"), (402_000, "node2")] {
            record.answered(at, node);
        }
        assert_eq!(record.longest_gap(2_500, 403_000), Duration::from_millis(400));
        assert_eq!(record.longest_gap(402_500, 902_000), Duration::from_millis(500), "open");
        assert_eq!(record.lock().1.as_deref(), Some("node2"));
    }

    #[test]
    fn an_answer_is_the_question_and_a_name() {
        assert_eq!(read(b"1234 node2\n"), Some((1_234, "node2")));
        assert_eq!(read(b"1234"), None);
        assert_eq!(read(b"x node2"), None);
        assert_eq!(read(b"\xff"), None);
    }
}
