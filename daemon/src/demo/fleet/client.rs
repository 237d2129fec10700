//! A client of one service: what it sees, and who really answers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stead_lab::prober::{Cell, DoubleProber, LongProber, Prober, Question, Target, now};

use super::error::FleetError;
use super::plan::{self, Family, WEB_PORT};
use super::{Fleet, PATIENCE};

/// The time within which a holder must have answered to be one.
const RECENT: Duration = Duration::from_millis(50);
/// How often each node is asked whether it answers for the address.
const ASK_NODES: Duration = Duration::from_millis(1);

/// Asks one service in every way, every millisecond. Ends when dropped.
pub struct Client {
    http: Prober,
    udp: Prober,
    long: LongProber,
    double: DoubleProber,
}

/// What a client saw between two moments.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The longest time without an answer, fresh TCP connections.
    pub outage: Duration,
    /// The longest time without an answer, datagrams.
    pub udp_outage: Duration,
    /// The longest time without an answer on the long connection, its successors included.
    pub long_outage: Duration,
    /// The time in which two nodes answered, in milliseconds.
    pub double_ms: f64,
}

impl Client {
    /// A client of the small web service behind an address of the first network.
    ///
    /// # Errors
    /// A prober can't start.
    pub fn start(fleet: &Fleet, service: IpAddr) -> Result<Self, FleetError> {
        let family = if service.is_ipv4() { Family::V4 } else { Family::V6 };
        let target = Target::every_millisecond(SocketAddr::new(service, WEB_PORT));
        let host = fleet.client();
        let lan = fleet.plan().lans.first().map_or("front", |lan| lan.name.as_str());
        let from = (lan, plan::client_address(family));
        Ok(Self {
            http: Prober::http(host, target)?,
            udp: Prober::udp(host, target)?,
            long: LongProber::start(host, target.service, 5 * target.interval)?,
            double: DoubleProber::start(
                fleet.watcher(),
                from,
                service,
                &fleet.macs(),
                ASK_NODES,
                Question::Echo,
            )?,
        })
    }

    /// Waits until it is answered in every way.
    ///
    /// # Errors
    /// It wasn't, in time.
    pub fn wait_served(&self, fleet: &Fleet) -> Result<(), FleetError> {
        let (http, udp) = (self.http.answers(), self.udp.answers());
        let long = self.long.answers();
        fleet.wait_until("the client is served", PATIENCE, || {
            let (more_http, more_udp) = (self.http.answers() > http, self.udp.answers() > udp);
            Ok(more_http && more_udp && self.long.answers() > long)
        })
    }

    /// What was seen from `mark` (of [`now`]) until now. Gaps that were open then count.
    #[must_use]
    pub fn seen_since(&self, mark: u64) -> Seen {
        Seen {
            outage: self.http.longest_gap_since(mark),
            udp_outage: self.udp.longest_gap_since(mark),
            long_outage: self.long.longest_gap_since(mark),
            double_ms: self.double.double_ms(mark, now()),
        }
    }

    /// Who answers for the address at the moment, asked at each node's own Ethernet address.
    #[must_use]
    pub fn holders(&self) -> Vec<String> {
        self.double.holders(RECENT)
    }

    /// Who answered the last question.
    #[must_use]
    pub fn answered_by(&self) -> Option<String> {
        self.http.node_now()
    }

    /// The last seconds, in equal cells.
    #[must_use]
    pub fn strip(&self, window: Duration, cells: usize) -> Vec<Cell> {
        self.http.strip(window, cells)
    }

    /// The prober with fresh connections.
    #[must_use]
    pub fn http(&self) -> &Prober {
        &self.http
    }
}
