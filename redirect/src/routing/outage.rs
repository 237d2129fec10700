//! How long clients will be without a prefix when the node that announces it falls silent, as far
//! as its timers say.

use std::time::Duration;

use super::{Bfd, Neighbour, Session, Watched};

/// How long both daemons take from the kernel's word to their neighbours, and a router from a
/// neighbour's word to its own table: measured at 1 to 15 ms each, on a busy machine.
const HANDED_ON: Duration = Duration::from_millis(30);
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
    let reason = "from one daemon to the next and into a router's table".to_owned();
    let spread = Part { name: "spread", length: HANDED_ON, reason };
    slowest.into_iter().chain([spread]).collect()
}

/// The whole of it.
#[must_use]
pub fn sum(parts: &[Part]) -> Duration {
    parts.iter().map(|part| part.length).fold(Duration::ZERO, Duration::saturating_add)
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
        (Bfd::Off | Bfd::Down, Some(hold)) => Part {
            name: "detection",
            length: hold,
            reason: format!("no BFD with {name}: its hold time of {} s", hold.as_secs()),
        },
        (Bfd::Off | Bfd::Down, None) => Part {
            name: "detection",
            length: PROPOSED_HOLD,
            reason: format!("no BFD with {name}, and no hold time that is known: 90 s is usual"),
        },
    }
}
