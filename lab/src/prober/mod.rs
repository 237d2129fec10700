//! Clients that never stop asking, and write down when they were answered and by whom.
//!
//! Each prober is a thread in a host's namespace, real-time where that is permitted, that asks at a
//! fixed beat (a millisecond) whatever became of the questions before. [`Prober::http`] is a client
//! that opens a fresh TCP connection to a small web service for every question, [`Prober::udp`]
//! sends a datagram, [`Prober::seeking`] looks up before each where to send it, [`LongProber`]
//! keeps one TCP connection as long as it lives, and [`DoubleProber`] asks every node by its own
//! Ethernet address, to find two that hold the same address.
//!
//! All of them can be read while they run: [`Prober::longest_gap_since`], [`Prober::strip`],
//! [`Prober::node_now`]; [`Prober::finish`] ends them with a [`Report`] that serialises to JSON.
//! Times are microseconds of CLOCK_BOOTTIME ([`now`]), comparable between processes of one machine.
//!
//! A gap is the time between two answers as they *arrived*, so a gap shorter than a beat plus a
//! round trip does not exist. When the prober itself was not scheduled it saw nothing either:
//! [`Gap::stalled_us`] says how much of a gap is that.
//!
//! Failures: what goes wrong with one question is counted, not raised. A prober that cannot start
//! says so; one whose thread ends early leaves an open gap behind, which nobody can overlook.

mod beat;
mod double;
mod http;
mod long;
mod record;
mod seek;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use stead_linux::namespace::NamespaceError;

use crate::error::{LabError, Step};
use crate::host::Host;

pub use double::{DoubleProber, DoubleReport, DoubleSpan, Question};
pub use long::{ConnectionEnd, How, LongProber, LongReport};
use record::Record;
pub use record::{Answer, Cell, Gap, Report};
pub use seek::Seek;

/// Microseconds of CLOCK_BOOTTIME.
pub fn now() -> u64 {
    stead_linux::clock::boottime()
}

/// Priority of probers: above ordinary programs, below everything that is measured.
const PRIORITY: i32 = 2;

/// What is asked, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Address and port of the service.
    pub service: SocketAddr,
    /// Time between questions.
    pub interval: Duration,
    /// A question without an answer is given up after that.
    pub timeout: Duration,
}

impl Target {
    /// Every millisecond, each question given up after 250 ms.
    pub fn every_millisecond(service: SocketAddr) -> Target {
        let millisecond = Duration::from_millis(1);
        Target { service, interval: millisecond, timeout: 250 * millisecond }
    }
}

/// A thread on a host that can be told to stop.
struct Task<T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<io::Result<T>, NamespaceError>>>,
    realtime: Arc<AtomicBool>,
}

impl<T: Send + 'static> Task<T> {
    fn start(
        host: &Host,
        name: &str,
        act: impl FnOnce(&AtomicBool) -> io::Result<T> + Send + 'static,
    ) -> Result<Task<T>, LabError> {
        let stop = Arc::new(AtomicBool::new(false));
        let realtime = Arc::new(AtomicBool::new(false));
        let (told, got) = (Arc::clone(&stop), Arc::clone(&realtime));
        let body = move || {
            // where it is refused the prober is an ordinary thread, and its report says so
            let fifo = stead_linux::realtime::set_fifo(PRIORITY).is_ok();
            got.store(fifo, Ordering::Relaxed);
            act(&told)
        };
        let started = host.namespace().spawn_thread(name, body);
        let thread = started.step(|| format!("cannot start a prober on {}", host.name()))?;
        Ok(Task { stop, thread: Some(thread), realtime })
    }

    fn realtime(&self) -> bool {
        self.realtime.load(Ordering::Relaxed)
    }

    fn end(&mut self) -> Result<Option<T>, LabError> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Ok(None) };
        let ended = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let ended = ended.step(|| "a prober could not enter its host".to_owned())?;
        ended.map(Some).step(|| "a prober ended before its time".to_owned())
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A client that asks a service again and again. Ends when dropped.
pub struct Prober {
    record: Arc<Record>,
    task: Task<()>,
}

impl Prober {
    /// A client of the small web service: for each question a TCP connection of its own, `GET /`,
    /// the body's first line is the node that answered. Nothing lingers behind.
    pub fn http(host: &Host, target: Target) -> Result<Prober, LabError> {
        let record = Arc::new(Record::new(now()));
        let shared = Arc::clone(&record);
        let task = Task::start(host, "probe-http", move |stop| http::ask(&shared, target, stop))?;
        Ok(Prober { record, task })
    }

    /// A client that sends datagrams; the answer is the question with the node's name behind it.
    pub fn udp(host: &Host, target: Target) -> Result<Prober, LabError> {
        let record = Arc::new(Record::new(now()));
        let shared = Arc::clone(&record);
        let task = Task::start(host, "probe-udp", move |stop| udp::ask(&shared, target, stop))?;
        Ok(Prober { record, task })
    }

    /// A client that sends datagrams to wherever [`Seek`] finds the service, by IPv4 or else by
    /// IPv6. `seek` is made in the client's host, so that its sockets are that host's.
    pub fn seeking<S: Seek>(
        host: &Host,
        v4: bool,
        timeout: Duration,
        seek: impl FnOnce() -> io::Result<S> + Send + 'static,
    ) -> Result<Prober, LabError> {
        let record = Arc::new(Record::new(now()));
        let shared = Arc::clone(&record);
        let body = move |stop: &AtomicBool| seek::ask(&shared, v4, timeout, seek()?, stop);
        let task = Task::start(host, "probe-seek", body)?;
        Ok(Prober { record, task })
    }

    /// Answers so far.
    pub fn answers(&self) -> usize {
        self.record.count()
    }

    /// The node that answered last.
    pub fn node_now(&self) -> Option<String> {
        self.record.node_now()
    }

    /// The time up to now in equal cells, the oldest first: a strip to draw.
    pub fn strip(&self, window: Duration, cells: usize) -> Vec<Cell> {
        self.record.strip(now(), window, cells)
    }

    /// The longest gap that was open at or after `mark`, the one that is open now included. It is
    /// measured from its true beginning: the last answer before a fault comes before the fault.
    pub fn longest_gap_since(&self, mark: u64) -> Duration {
        self.record.longest_gap(mark, now())
    }

    /// The gaps longer than `at_least`, so far; one that is open now included.
    pub fn gaps(&self, at_least: Duration) -> Vec<Gap> {
        self.record.gaps(at_least, now())
    }

    /// Ends the prober.
    pub fn finish(mut self) -> Result<Report, LabError> {
        let ended = now();
        let realtime = self.task.realtime();
        self.task.end()?;
        Ok(self.record.report(ended, realtime))
    }
}
