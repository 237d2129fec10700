//! What a client sees, and who really answers.

use std::net::SocketAddr;
use std::time::Duration;

use stead_lab::prober::{DoubleProber, DoubleReport, Prober, Question, Report, Target, now};
use stead_lab::{Host, Mac};

use super::ms;
use crate::error::BenchError;
use crate::tools::{PATIENCE, PORT, Tools, client_address, shared_address};

/// How often the client asks, and each node is asked whether it answers.
const BEAT: Duration = Duration::from_millis(1);
/// The time within which a holder must have answered to be one.
const RECENT: Duration = Duration::from_millis(50);
/// For so long the same node alone has to answer before a cluster is called steady.
const STEADY: Duration = Duration::from_millis(300);

/// A client that asks the shared address by a datagram every millisecond, and beside it one who
/// asks each node at its own Ethernet address. Ends when dropped.
pub struct Watch {
    client: Prober,
    double: DoubleProber,
}

/// What was seen of one failure.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The longest time without an answer, in milliseconds.
    pub outage_ms: f64,
    /// So much of it the client itself was not scheduled.
    pub stalled_ms: f64,
    /// How long two nodes answered, in milliseconds.
    pub double_ms: f64,
}

impl Watch {
    /// Starts both on the client's host. `port` is where the nodes answer.
    ///
    /// # Errors
    /// One of them can't start.
    pub fn start(client: &Host, macs: &[(String, Mac)]) -> Result<Self, BenchError> {
        Self::start_at(client, macs, PORT)
    }

    /// As [`Watch::start`], where the nodes answer on another port.
    ///
    /// # Errors
    /// One of them can't start.
    pub fn start_at(host: &Host, macs: &[(String, Mac)], port: u16) -> Result<Self, BenchError> {
        Self::beside(host, host, macs, SocketAddr::new(shared_address(), port))
    }

    /// A client of any service, and on another host on the nodes' network the one who asks them
    /// one by one: a client behind a router can't.
    ///
    /// # Errors
    /// One of them can't start.
    pub fn beside(
        client: &Host,
        watcher: &Host,
        macs: &[(String, Mac)],
        service: SocketAddr,
    ) -> Result<Self, BenchError> {
        let target = Target::every_millisecond(service);
        let client = Prober::udp(client, Target { interval: BEAT, ..target })?;
        let (from, service) = (("front", client_address()), service.ip());
        let double = DoubleProber::start(watcher, from, service, macs, BEAT, Question::Echo)?;
        Ok(Self { client, double })
    }

    /// Who answers for the address at the moment, asked at each node's own Ethernet address.
    #[must_use]
    pub fn holders(&self) -> Vec<String> {
        self.double.holders(RECENT)
    }

    /// Who answered the client last.
    #[must_use]
    pub fn answered_by(&self) -> Option<String> {
        self.client.node_now()
    }

    /// Waits until one node alone answers, for some time, and the client is answered by it.
    ///
    /// # Errors
    /// There was none in time.
    pub fn wait_steady(&self, tools: &Tools) -> Result<String, BenchError> {
        let mut holder = String::new();
        let mut since = now();
        tools.wait_until("one node alone answers", PATIENCE, || {
            let [one] = &self.holders()[..] else {
                since = now();
                return Ok(false);
            };
            if *one != holder || self.answered_by().as_ref() != Some(one) {
                (holder, since) = (one.clone(), now());
            }
            Ok(u128::from(now() - since) >= STEADY.as_micros())
        })?;
        Ok(holder)
    }

    /// Waits until a node alone is the one that answers.
    ///
    /// # Errors
    /// It wasn't, in time.
    pub fn wait_held_by(&self, tools: &Tools, node: &str) -> Result<(), BenchError> {
        tools.wait_until(&format!("{node} alone answers"), PATIENCE, || {
            let by = self.answered_by();
            Ok(self.holders() == [node] && by.as_deref() == Some(node))
        })
    }

    /// Waits until a node other than `victim` answers, and the client has been answered by it.
    /// `false`: in vain.
    ///
    /// # Errors
    /// The end was asked for.
    pub fn wait_other(
        &self,
        tools: &Tools,
        victim: &str,
        within: Duration,
    ) -> Result<bool, BenchError> {
        let waited = tools.wait_until("another node answers", within, || {
            Ok(self.holders().iter().any(|node| node != victim))
        });
        match waited {
            Ok(()) => Ok(true),
            Err(BenchError::Late { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How long after `mark` a node last answered for the address, in milliseconds; nothing if it
    /// did not any more.
    #[must_use]
    pub fn answered_until(&self, node: &str, mark: u64) -> Option<f64> {
        let last = self.double.last_answer(node, mark)?;
        Some(ms(Duration::from_micros(last.saturating_sub(mark))))
    }

    /// The times in which a node answered for the address, from `mark` on: a silence of no more
    /// than `apart` ends none of them.
    #[must_use]
    pub fn answered(&self, node: &str, mark: u64, apart: Duration) -> Vec<(u64, u64)> {
        self.double.answered(node, mark, apart)
    }

    /// What was seen from `mark` until now. A gap that was open then counts from its beginning.
    #[must_use]
    pub fn seen_since(&self, mark: u64) -> Seen {
        let open = |gap: &stead_lab::prober::Gap| gap.to_us > mark;
        let gaps = self.client.gaps(Duration::from_millis(3));
        let longest = gaps.iter().filter(|gap| open(gap)).max_by_key(|gap| gap.length());
        let stalled = longest.map_or(0, |gap| gap.stalled_us);
        Seen {
            outage_ms: ms(self.client.longest_gap_since(mark)),
            stalled_ms: ms(Duration::from_micros(stalled)),
            double_ms: super::rounded(self.double.double_ms(mark, now())),
        }
    }

    /// Ends both, and hands out all that they saw.
    ///
    /// # Errors
    /// One of them ended before its time.
    pub fn finish(self) -> Result<(Report, DoubleReport), BenchError> {
        Ok((self.client.finish()?, self.double.finish()?))
    }
}
