//! How long clients will be without a prefix when the node that announces it falls silent, as far
//! as its timers say.

use std::time::Duration;

use super::{Bfd, Neighbour, Session, Watched};

/// From a neighbour's word to the own table and the next neighbour, in BIRD: measured at 1 to 5 ms.
const BIRDS_HOP: Duration = Duration::from_millis(5);
/// The same in FRR, whose bgpd lets updates wait for others for 50 ms; measured at 55 to 58 ms.
const FRRS_HOP: Duration = Duration::from_millis(60);
/// So many daemons in a row are reckoned with: the node's, the router next to it, and the one
/// behind that which knows both nodes.
const HOPS: u32 = 3;
/// The hold time that RFC 4271 (10) proposes, where none is agreed yet.
const PROPOSED_HOLD: Duration = Duration::from_secs(90);

/// A piece of an expected outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What takes the time, in one word.
    pub name: &'static str,
    /// How long, at most.
    pub length: Duration,
    /// Where the figure comes from.
    pub reason: String,
}

/// What a silent node costs beyond stead's own takeover: until the routers next to it notice, and
/// until the routers behind them have learnt. Of several neighbours the slowest counts.
///
/// What routers further away wait on purpose (an advertisement interval, a hold-down) can't be seen
/// from here. A planned move has the second part only.
#[must_use]
pub fn expected_outage(watched: &Watched) -> Vec<Part> {
    let up = watched.neighbours.iter().filter(|it| it.session == Session::Established);
    let slowest = up.map(notices).max_by_key(|part| part.length);
    let spread = spread(&watched.version);
    slowest.into_iter().chain([spread]).collect()
}

/// The whole of it.
#[must_use]
pub fn sum(parts: &[Part]) -> Duration {
    parts.iter().map(|part| part.length).fold(Duration::ZERO, Duration::saturating_add)
}

/// Routers are taken to run what the node runs; others can't be known from here.
fn spread(version: &str) -> Part {
    let (hop, name) =
        if version.starts_with("FRR") { (FRRS_HOP, "FRR") } else { (BIRDS_HOP, "BIRD") };
    let reason = format!("{HOPS} daemons in a row, {} ms each if all are {name}", hop.as_millis());
    Part { name: "spread", length: hop * HOPS, reason }
}

/// When a neighbour notices our silence. Timers of BFD are agreed for each direction; ours is taken
/// for both, since both ends are configured alike nearly always.
fn notices(neighbour: &Neighbour) -> Part {
    let name = &neighbour.name;
    match (neighbour.bfd, neighbour.hold) {
        (Bfd::Up { interval, detection }, _) => Part {
            name: "detection",
            length: detection,
            reason: format!(
                "BFD with {name}: {} ms between packets, gone after {} ms",
                interval.as_millis(),
                detection.as_millis()
            ),
        },
        (Bfd::Off | Bfd::Down, hold) => {
            let (hold, reason) = match hold {
                Some(hold) => {
                    (hold, format!("no BFD with {name}: its hold time of {} s", hold.as_secs()))
                }
                None => {
                    let why = "no hold time that is known: 90 s is usual";
                    (PROPOSED_HOLD, format!("no BFD with {name}, and {why}"))
                }
            };
            let retained = neighbour.retained.unwrap_or_default();
            let reason = if retained.is_zero() {
                reason
            } else {
                format!("{reason}, and {} s of graceful restart", retained.as_secs())
            };
            Part { name: "detection", length: hold.saturating_add(retained), reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbour(session: Session, hold: u64, bfd: Bfd) -> Neighbour {
        let (name, address) = ("up".to_owned(), "10.1.0.1".to_owned());
        let hold = Some(Duration::from_secs(hold));
        Neighbour {
            name,
            address,
            session,
            since: String::new(),
            last_error: None,
            hold,
            retained: None,
            bfd,
        }
    }

    #[test]
    fn the_slowest_neighbour_that_is_there_counts() {
        let (interval, detection) = (Duration::from_millis(50), Duration::from_millis(150));
        let fast = neighbour(Session::Established, 9, Bfd::Up { interval, detection });
        let gone = neighbour(Session::Active, 90, Bfd::Off);
        let version = "BIRD 2.0.12".to_owned();
        let neighbours = vec![fast, gone];
        let mut watched = Watched { version, neighbours, ..Watched::default() };
        assert_eq!(sum(&expected_outage(&watched)), detection + BIRDS_HOP * HOPS);
        watched.neighbours.push(neighbour(Session::Established, 30, Bfd::Down));
        let parts = expected_outage(&watched);
        assert_eq!(parts[0].length, Duration::from_secs(30));
        assert!(parts[0].reason.contains("no BFD"), "{parts:?}");
        watched.neighbours[2].retained = Some(Duration::from_secs(120));
        let parts = expected_outage(&watched);
        assert_eq!(parts[0].length, Duration::from_secs(150));
        assert!(parts[0].reason.contains("120 s of graceful restart"), "{parts:?}");
    }
}
