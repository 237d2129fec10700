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
//! Happy path: one row for each family and each event. Failures: a trial that fails is a row with
//! its reason. Deliberately absent: layers whose clients ask elsewhere first (routes, names,
//! documents); they need a bed of their own.

mod keepalived;
mod stead;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ::stead::demo::fleet::{Family, service_address};
use stead_lab::Host;
use stead_lab::prober::{Prober, Target, now};

use super::told;
use crate::error::BenchError;
use crate::measure::ms;
use crate::report::{Results, Row, Spread, groups, spread, table};
use crate::subject;
use crate::tools::{PATIENCE, PORT, SHARED, Tools};

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

/// What leads the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Its neighbour cache has another MAC for the address.
    Arp,
    /// The address has a MAC, which is behind another port.
    Mac,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Arp => "arp",
            Self::Mac => "mac",
        })
    }
}

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

/// Who is measured, and how the client is led.
#[derive(Clone, Copy, Debug)]
struct Subject {
    keepalived: bool,
    way: Way,
}

impl Subject {
    fn name(self) -> &'static str {
        if self.keepalived { "keepalived" } else { "stead" }
    }

    fn config(self, family: Family) -> String {
        let tolerates = match (self.keepalived, self.way) {
            (false, _) => "ride-out 300 ms",
            (true, Way::Arp) => "advert 0.1 s",
            (true, Way::Mac) => "advert 0.1 s, use_vmac",
        };
        let family = match family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        format!("{}, {family}, {tolerates}", self.way)
    }

    fn start(self, tools: &Tools) -> Result<Box<dyn Pair>, BenchError> {
        Ok(if self.keepalived {
            Box::new(keepalived::Keepalived::start(tools, self.way)?)
        } else {
            Box::new(stead::Layered::start(tools, self.way)?)
        })
    }
}

/// A cluster that keeps an address of either family. Everything of it ends when it is dropped.
trait Pair {
    /// The host of the client.
    fn client(&self) -> Host;

    /// Waits until it is whole.
    fn whole(&self) -> Result<(), BenchError>;

    /// Makes the addresses go away from that node.
    fn inflict(&mut self, event: Event, node: &str) -> Result<(), BenchError>;

    /// Undoes that.
    fn mend(&mut self, event: Event, node: &str) -> Result<(), BenchError>;
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

/// All subjects in turn, so many times, with both events each.
///
/// # Errors
/// The end was asked for, or results can't be written.
pub fn run(tools: &Tools, peers: bool, runs: u32, results: &mut Results) -> Result<(), BenchError> {
    if peers {
        subject::missing(&[subject::Spec::Keepalived(subject::Advert::Tenth)])?;
    }
    let programs: &[bool] = if peers { &[false, true] } else { &[false] };
    for run in 1..=runs {
        for way in [Way::Arp, Way::Mac] {
            for &keepalived in programs {
                let subject = Subject { keepalived, way };
                let outcome = round(tools, subject, run, results);
                let (bench, name) = (NAME.to_owned(), subject.name().to_owned());
                let row = Row { bench, subject: name, run, ..Row::default() };
                told(results, Row { config: way.to_string(), ..row }, outcome)?;
            }
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
    let target = |family| Target::every_millisecond(SocketAddr::new(address(family), PORT));
    let client = pair.client();
    let probers = FAMILIES.map(|family| Prober::udp(&client, target(family)));
    let [four, six] = probers;
    let probers = [four?, six?];
    for event in [Event::Planned, Event::Dead] {
        pair.whole()?;
        let holder = steady(tools, &probers)?;
        tools.pause_by_chance(PHASE)?;
        let began = now();
        pair.inflict(event, &holder)?;
        let moved = tools.wait_until("another node answers", LIMIT, || {
            Ok(probers.iter().all(|it| it.node_now().is_some_and(|node| node != holder)))
        });
        let late = match moved {
            Ok(()) => None,
            Err(error @ BenchError::Late { .. }) => Some(error.told()),
            Err(error) => return Err(error),
        };
        tools.pause(AFTERWARDS)?;
        for (family, prober) in FAMILIES.into_iter().zip(&probers) {
            let outage = ms(prober.longest_gap_since(began));
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
fn steady(tools: &Tools, probers: &[Prober; 2]) -> Result<String, BenchError> {
    let (mut holder, mut since) = (String::new(), now());
    tools.wait_until("one node answers over both families", PATIENCE, || {
        let [four, six] = probers.each_ref().map(|it| it.node_now().unwrap_or_default());
        if four.is_empty() || four != six || four != holder {
            (holder, since) = (four, now());
            return Ok(false);
        }
        let gap = probers.iter().map(|it| it.longest_gap_since(since)).max();
        if gap.is_some_and(|gap| gap >= STEADY / 2) {
            since = now();
        }
        Ok(u128::from(now() - since) >= STEADY.as_micros())
    })?;
    Ok(holder)
}

/// The table: what the client saw, event by event.
pub(crate) fn tables(rows: &[&Row]) -> String {
    let key = |row: &'_ Row| {
        (row.failure.clone().unwrap_or_default(), row.config.clone(), row.subject.clone())
    };
    let mut groups = groups(rows, key);
    groups.sort_by(|(one, _), (other, _)| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
    let line = |((event, config, subject), rows): ((String, String, String), Vec<&Row>)| {
        let outages = spread(rows.iter().filter_map(|row| row.outage_ms));
        let figures = outages.map_or_else(
            || ["-", "-", "-"].map(str::to_owned),
            |Spread { min, median, max, .. }| [min, median, max].map(|it| format!("{it:.1}")),
        );
        let good = rows.iter().filter(|row| row.error.is_none()).count();
        let [min, median, max] = figures;
        let count = format!("{good} of {}", rows.len());
        vec![event, subject, config, min, median, max, count]
    };
    let head = ["event", "subject", "layer", "outage min ms", "median", "max", "trials"];
    table(&head, groups.into_iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_layer_family_and_event() {
        let subject = Subject { keepalived: false, way: Way::Mac };
        let row = |run, outage_ms, error: Option<&str>| Row {
            bench: NAME.to_owned(),
            subject: subject.name().to_owned(),
            config: subject.config(Family::V6),
            run,
            outage_ms,
            failure: Some(Event::Dead.to_string()),
            error: error.map(str::to_owned),
            ..Row::default()
        };
        let rows = [row(1, Some(400.0), None), row(2, Some(420.0), None), row(3, None, Some("x"))];
        let rows: Vec<&Row> = rows.iter().collect();
        let text = tables(&rows);
        let line =
            "| node dead | stead | mac, IPv6, ride-out 300 ms | 400.0 | 410.0 | 420.0 | 2 of 3 |";
        assert!(text.contains(line), "{text}");
    }
}
