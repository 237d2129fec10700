//! What came of a scenario, whether that is as it should be, and the table of all.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use stead_core::state::config::Config;
use stead_core::timers::{Timers, UNKNOWN_SLACK};

use super::fleet::Seen;
use super::show::{Ink, Show};

/// Room for the program's start and for a machine that is busy with the demo itself.
const NOISE: Duration = Duration::from_millis(500);
/// No machine without real-time priority is quieter than that.
const QUIETEST: Duration = Duration::from_millis(200);

/// How long a client may be without an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The ride-out.
    pub(super) ride_out: Duration,
    /// From a node's last sign of life until others act.
    pub(super) wait: Duration,
    /// A takeover after a failure: twice the wait, and noise. The wait alone is the promise on a
    /// quiet machine; this demo shares its processors with five nodes and four probers.
    pub(super) takeover: Duration,
    /// Where nothing may move: the ride-out, which is what stalls are measured by.
    pub(super) none: Duration,
    /// A move on purpose: the program's stop and start, and noise.
    pub(super) planned: Duration,
}

impl Bounds {
    pub(super) fn of(config: &Config) -> Self {
        let timers = Timers::derive(config.ride_out, config.round_trip).unwrap_or_default();
        let span = |span: stead_core::time::Span| Duration::from_micros(span.as_micros());
        let (ride_out, wait) = (span(timers.ride_out), span(timers.wait(UNKNOWN_SLACK)));
        let none = ride_out.max(QUIETEST);
        Self { ride_out, wait, takeover: 2 * wait + NOISE, none, planned: none + NOISE }
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    /// A name for programs.
    pub(super) scenario: &'static str,
    /// What was done, for people.
    pub(super) what: String,
    /// All is as it should be.
    pub(super) ok: bool,
    /// Why not.
    pub(super) reason: Option<String>,
    /// The longest time without an answer to a new connection.
    pub(super) outage_ms: f64,
    /// The same for datagrams.
    pub(super) udp_outage_ms: f64,
    /// The same for one long connection; a takeover breaks it, and it is opened anew.
    pub(super) long_connection_outage_ms: f64,
    /// How long an outage may be here.
    pub(super) bound_ms: f64,
    /// The time in which two nodes answered for one address.
    pub(super) double_ms: f64,
    /// The longest time without an answer of the other service, which nothing was done to.
    pub(super) other_outage_ms: f64,
    /// Who held the address before.
    pub(super) from: Option<String>,
    /// Who holds it afterwards.
    pub(super) to: Option<String>,
    /// The ride-out.
    pub(super) ride_out_ms: f64,
    /// What was reached when, in milliseconds since the last sign of life of the node that failed.
    pub(super) stages: Vec<StageReached>,
}

/// A stage of the takeover.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StageReached {
    pub(super) reached: String,
    pub(super) ms: f64,
    pub(super) node: String,
}

/// What is judged.
pub(super) struct Evidence {
    pub(super) scenario: &'static str,
    pub(super) what: String,
    /// How long an outage may be.
    pub(super) bound: Duration,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    /// What has gone wrong so far.
    pub(super) complaint: Option<String>,
    pub(super) seen: Seen,
    pub(super) other: Seen,
    /// How long an outage of the other service may be.
    pub(super) other_bound: Duration,
    pub(super) stages: Vec<StageReached>,
}

impl Evidence {
    pub(super) fn judge(self, bounds: &Bounds) -> Outcome {
        let (outage, other) = (self.seen.outage, self.other.outage);
        let double_ms = self.seen.double_ms + self.other.double_ms;
        let reason = if double_ms > 0.0 {
            Some(format!("two nodes answered for {double_ms} ms"))
        } else if self.complaint.is_some() {
            self.complaint
        } else if outage > self.bound {
            Some(format!("the client waited for longer than {} ms", self.bound.as_millis()))
        } else if other > self.other_bound {
            Some("the other service had a gap, though nothing was done to it".to_owned())
        } else {
            None
        };
        Outcome {
            scenario: self.scenario,
            what: self.what,
            ok: reason.is_none(),
            reason,
            outage_ms: ms(outage),
            udp_outage_ms: ms(self.seen.udp_outage),
            long_connection_outage_ms: ms(self.seen.long_outage),
            bound_ms: ms(self.bound),
            double_ms,
            other_outage_ms: ms(other),
            from: self.from,
            to: self.to,
            ride_out_ms: ms(bounds.ride_out),
            stages: self.stages,
        }
    }
}

/// Milliseconds with three places.
fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The stages of one service in `stead incident --json`.
pub(super) fn stages(incident: &Value, service: &str) -> Vec<StageReached> {
    let all = incident["stages"].as_array().cloned().unwrap_or_default();
    let of_service = |stage: &&Value| stage["service"].as_str().is_none_or(|it| it == service);
    let mut stages: Vec<StageReached> = Vec::new();
    for stage in all.iter().filter(of_service) {
        let (reached, ms) = (stage["reached"].as_str(), stage["ms"].as_f64());
        let (Some(reached), Some(ms)) = (reached, ms) else { continue };
        // several nodes tell of the same stage: the first one counts
        if stages.iter().all(|known| known.reached != reached) {
            let node = stage["node"].as_str().unwrap_or_default().to_owned();
            stages.push(StageReached { reached: reached.to_owned(), ms, node });
        }
    }
    stages
}

/// The table at the end.
pub(super) fn table(show: &Show, outcomes: &[Outcome]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<47} {:>7} {:>7} {:>8} {:>7}  {}",
        "what happened", "gap", "allowed", "other", "double", "from -> to"
    )];
    for outcome in outcomes {
        let Outcome { what, outage_ms, bound_ms, other_outage_ms, double_ms, .. } = outcome;
        let (from, to) = (&outcome.from, &outcome.to);
        let name = |node: &Option<String>| node.clone().unwrap_or_else(|| "nobody".to_owned());
        let line = format!(
            "{what:<47} {outage_ms:>7.1} {bound_ms:>7.0} {other_outage_ms:>8.1} {double_ms:>7.0}  \
             {} -> {}",
            name(from),
            name(to)
        );
        let ink = if outcome.ok { Ink::Green } else { Ink::Red };
        lines.push(show.ink(ink, &line));
        if !outcome.stages.is_empty() {
            let stage = |it: &StageReached| format!("{} {:.0}", it.reached, it.ms);
            let stages: Vec<String> = outcome.stages.iter().map(stage).collect();
            lines.push(show.ink(Ink::Dim, &format!("    {}", stages.join(", "))));
        }
        if let Some(reason) = &outcome.reason {
            lines.push(show.ink(Ink::Red, &format!("    NOT AS IT SHOULD BE: {reason}")));
        }
    }
    lines
}
