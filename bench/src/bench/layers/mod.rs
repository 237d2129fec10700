//! `layers`: for how long clients are without a service, by the layer that leads them to it.
//!
//! ```text
//!  client ── front ──┬── node1          asked every millisecond over IPv4, and over IPv6
//!                    ├── node2
//!                    └── node3 (stead)
//! ```
//! Each subject has an address of either family, which both go to another node on purpose (a move;
//! of keepalived an end in order, which tells the other node), and when the node that has them
//! loses power. It is the client that says where they are: with a MAC of their own they can't be
//! asked for at a node's.
//!
//! [`Way::Arp`] and [`Way::Mac`] are the segment alone. For [`Way::Route`] the client is behind a
//! router ([`routes`]), and ExaBGP is beside stead ([`exabgp`]). For [`Way::Name`] and
//! [`Way::Document`] each node has addresses of its own, and the client looks up which one to ask
//! before each question ([`names`], [`documents`]); they have no peer.
//!
//! Happy path: one row for each family and each event. Failures: a trial that fails is a row with
//! its reason. Deliberately absent: caches of names between client and server, which may keep an
//! answer for as long as it says.

mod documents;
mod exabgp;
mod keepalived;
mod names;
mod routes;
mod stead;
mod subject;
mod table;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ::stead::demo::fleet::{Family, service_address};
use stead_lab::Host;
use stead_lab::prober::{Prober, Seek, Target, now};

use super::told;
use crate::error::BenchError;
use crate::measure::ms;
use crate::report::{Results, Row};
use crate::tools::{PATIENCE, PORT, SHARED, Tools};

pub use subject::{Subject, Way, subjects};
pub(crate) use table::tables;

/// The bench's name.
pub const NAME: &str = "layers";

/// Events come at any moment of so long a time, which no timer of a subject divides.
const PHASE: Duration = Duration::from_millis(1_117);
/// How long a takeover is waited for before it counts as none.
const LIMIT: Duration = Duration::from_secs(20);
/// What is watched after a takeover: a second gap counts too.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// For so long the same node has to answer over both families before a subject is at rest.
const STEADY: Duration = Duration::from_millis(500);
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
/// Later answers are none: a client has given up by then, as the lab's other clients have.
const GIVES_UP: Duration = Duration::from_millis(250);
/// How many nodes stead has.
const NODES: u8 = 3;

/// Why the addresses go to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants it.
    Planned,
    /// The node that has them loses power.
    Dead,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Planned => "planned",
            Self::Dead => "node dead",
        })
    }
}

/// A cluster that keeps a service alive for clients of either family. Everything of it ends when it
/// is dropped.
trait Pair {
    /// A client over that family.
    fn ask(&self, family: Family) -> Result<Prober, BenchError>;

    /// Waits until it is whole.
    fn whole(&self) -> Result<(), BenchError>;

    /// Makes the service go away from that node.
    fn inflict(&mut self, event: Event, node: &str) -> Result<(), BenchError>;

    /// Undoes that.
    fn mend(&mut self, event: Event, node: &str) -> Result<(), BenchError>;
}

/// A client of an address, that asks every millisecond whoever has it.
fn client(host: &Host, address: IpAddr) -> Result<Prober, BenchError> {
    let target = Target::every_millisecond(SocketAddr::new(address, PORT));
    Ok(Prober::udp(host, target)?)
}

/// A client that looks up where the service is before each question.
fn seeker<S: Seek>(
    host: &Host,
    family: Family,
    seek: impl FnOnce() -> std::io::Result<S> + Send + 'static,
) -> Result<Prober, BenchError> {
    Ok(Prober::seeking(host, family == Family::V4, GIVES_UP, seek)?)
}

/// The address of that family.
fn address(family: Family) -> IpAddr {
    service_address(family, SHARED)
}

/// The length of the prefix that it is in.
fn prefix(family: Family) -> u8 {
    match family {
        Family::V4 => 24,
        Family::V6 => 64,
    }
}

/// The number of a node by its name.
fn number(node: &str) -> Result<u8, BenchError> {
    let number = node.strip_prefix("node").and_then(|it| it.parse().ok());
    number.ok_or_else(|| BenchError::Nothing(format!("{node} has no number")))
}

/// All subjects in turn, so many times, with both events each.
///
/// # Errors
/// The end was asked for, results can't be written, or a program is missing.
pub fn run(
    tools: &Tools,
    subjects: &[Subject],
    runs: u32,
    results: &mut Results,
) -> Result<(), BenchError> {
    subject::look(subjects)?;
    for run in 1..=runs {
        for &subject in subjects {
            let outcome = round(tools, subject, run, results);
            let (bench, name) = (NAME.to_owned(), subject.name().to_owned());
            let row = Row { bench, subject: name, run, ..Row::default() };
            told(results, Row { config: subject.settings(), ..row }, outcome)?;
        }
    }
    Ok(())
}

/// One cluster, brought up for this, and one trial of each event.
fn round(
    tools: &Tools,
    subject: Subject,
    run: u32,
    results: &mut Results,
) -> Result<(), BenchError> {
    let mut pair = subject.start(tools)?;
    let [four, six] = FAMILIES.map(|family| pair.ask(family));
    let askers = [four?, six?];
    for event in [Event::Planned, Event::Dead] {
        pair.whole()?;
        let holder = steady(tools, &askers)?;
        tools.pause_by_chance(PHASE)?;
        let began = now();
        pair.inflict(event, &holder)?;
        let moved = tools.wait_until("another node answers", LIMIT, || {
            Ok(askers.iter().all(|it| it.node_now().is_some_and(|node| node != holder)))
        });
        let late = match moved {
            Ok(()) => None,
            Err(error @ BenchError::Late { .. }) => Some(error.told()),
            Err(error) => return Err(error),
        };
        tools.pause(AFTERWARDS)?;
        for (family, asker) in FAMILIES.into_iter().zip(&askers) {
            let outage = ms(asker.longest_gap_since(began));
            results.add(Row {
                bench: NAME.to_owned(),
                subject: subject.name().to_owned(),
                config: subject.config(family),
                run,
                // a lower bound is no figure
                outage_ms: late.is_none().then_some(outage),
                failure: Some(event.to_string()),
                error: late.clone(),
                ..Row::default()
            })?;
        }
        if late.is_some() {
            break;
        }
        pair.mend(event, &holder)?;
    }
    Ok(())
}

/// Waits until one node answers over both families, for some time. Which.
fn steady(tools: &Tools, askers: &[Prober; 2]) -> Result<String, BenchError> {
    let (mut holder, mut since) = (String::new(), now());
    tools.wait_until("one node answers over both families", PATIENCE, || {
        let [four, six] = askers.each_ref().map(|it| it.node_now().unwrap_or_default());
        if four.is_empty() || four != six || four != holder {
            (holder, since) = (four, now());
            return Ok(false);
        }
        let gap = askers.iter().map(|it| it.longest_gap_since(since)).max();
        if gap.is_some_and(|gap| gap >= STEADY / 2) {
            since = now();
        }
        Ok(u128::from(now() - since) >= STEADY.as_micros())
    })?;
    Ok(holder)
}
