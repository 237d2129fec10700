//! Every timer with the rule that it follows from.

use serde::{Deserialize, Serialize};
use stead_core::state::config::Config;
use stead_core::time::Span;
use stead_core::timers::{Timers, UNKNOWN_SLACK};

/// All timers of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimersReport {
    /// Each, in the order in which they follow from one another.
    pub timers: Vec<TimerReport>,
    /// Leases under former timers still run: others wait by the longer of both.
    pub settling: bool,
}

/// One timer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimerReport {
    /// Its name.
    pub name: String,
    /// Its letter in the protocol.
    pub letter: Option<String>,
    /// How long, in milliseconds.
    pub ms: f64,
    /// What it follows from.
    pub rule: String,
    /// What it is for.
    pub meaning: String,
}

/// To what a watchdog counts that takes every number of seconds.
fn whole_seconds(span: Span) -> Span {
    Span::from_millis(span.as_micros().div_ceil(1_000_000) * 1_000)
}

/// The timers in force under a configuration. `slack` is that of the slowest gate that is known.
#[must_use]
pub fn timers(
    config: &Config,
    timers: &Timers,
    former: Option<&Timers>,
    slack: Option<Span>,
) -> TimersReport {
    let known = slack.unwrap_or(UNKNOWN_SLACK);
    let wait = former.map_or(Span::ZERO, |it| it.wait(known)).max(timers.wait(known));
    let slack_rule = match slack {
        Some(_) => "the largest that a guard reports",
        None => "assumed while no guard reports one",
    };
    let Timers { ride_out, round_trip, heartbeat, lease, elect_after, suspect_after } = *timers;
    let mut rows = vec![
        row("ride-out", Some("R"), ride_out, "set", "a stall this long costs nothing"),
        row("round-trip", Some("rtt"), round_trip, "set", "the longest between two members"),
        row("heartbeat", Some("h"), heartbeat, "R / 20, at least 2 ms", "between two heartbeats"),
        row(
            "elect-after",
            None,
            elect_after,
            "R - min(R / 3, 20 ms)",
            "a coordinator silent for this long is replaced",
        ),
        row(
            "suspect-after",
            None,
            suspect_after,
            "R + h + rtt",
            "a node silent for this long is suspected and revoked",
        ),
        row(
            "lease",
            Some("L"),
            lease,
            if lease == timers.ordinary_lease() {
                "R + 4 h + 3 rtt + (R - elect-after)"
            } else {
                "the cluster is disarmed for so long"
            },
            "a node answers for at most this long after its last echoed heartbeat",
        ),
        row("slack", None, known, slack_rule, "how late a kernel may shut its gate"),
        row(
            "wait",
            Some("D"),
            wait,
            "L (1 + 1/1000) / (1 - 1/1000) + slack + 1 ms",
            "others act this long after a node's last sign of life",
        ),
        row(
            "daemon-grace",
            None,
            config.daemon_grace,
            "set",
            "a node whose daemon is away keeps its services this long",
        ),
    ];
    rows.extend(watchdog(timers));
    TimersReport { timers: rows, settling: former.is_some() }
}

/// What follows for watchdogs.
fn watchdog(timers: &Timers) -> [TimerReport; 2] {
    [
        row(
            "watchdog",
            None,
            timers.watchdog(),
            "an ordinary lease + 1 s, at least 2 s",
            "a node's watchdog counts to this at least, in whole seconds",
        ),
        row(
            "reset-within",
            None,
            Timers::reset_within(whole_seconds(timers.watchdog())),
            "2 watchdog (1 + 1/1000) / (1 - 1/1000) + 1 s",
            "after its lease a node with a watchdog has been reset by then",
        ),
    ]
}

fn row(name: &str, letter: Option<&str>, span: Span, rule: &str, meaning: &str) -> TimerReport {
    TimerReport {
        name: name.to_owned(),
        letter: letter.map(str::to_owned),
        ms: span.as_millis_f64(),
        rule: rule.to_owned(),
        meaning: meaning.to_owned(),
    }
}
