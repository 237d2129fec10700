//! What this machine brings along for a node, and what it lacks: `stead doctor`.
//!
//! # What it is for
//! Most trouble with a cluster is there before it begins: a filter in the way, a clock that jumps,
//! a disk that takes a second for a write. This looks at the machine as it is, before it joins and
//! at any time after, and says for each thing what was seen, whether that is good, and what to do.
//!
//! # How it works
//! [`examine`] asks each of the parts ([`machine`], [`kernel`], [`disk`], [`shutdown`],
//! [`watchdog`], [`network`], [`layers`], [`quorum`]) for its [`Finding`]s. Nothing is changed;
//! what is tried leaves nothing behind (a file that is removed, a connection that is closed, a
//! priority that is given back).
//!
//! # Failures
//! What can't be found out is a finding of its own ([`Verdict::Unknown`]) with the reason; no part
//! keeps another from being asked.
//!
//! # Deliberately absent
//! Repairs: this machine's other users may have their reasons. What the cluster knows of itself is
//! shown by `stead status`.

mod disk;
mod fencing;
mod kernel;
mod layers;
mod machine;
mod network;
mod points;
mod quorum;
mod services;
mod shutdown;
mod watchdog;

use serde::{Deserialize, Serialize};
use stead_core::id::ClusterId;
use stead_core::state::config::Config;

use crate::api::report::BreakerReport;
use crate::paths::Paths;

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It could not be found out.
    Unknown,
    /// A node works here, and something is less safe or less fast than it could be.
    Warning,
    /// A node does not work here like this.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at, in one or two words. Stable: scripts may look for it.
    pub check: String,
    /// How it is to be taken.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do; empty if nothing is to be done.
    pub advice: String,
}

impl Finding {
    fn good(check: &str, seen: impl Into<String>) -> Self {
        Self::new(check, Verdict::Good, seen, "")
    }

    fn warning(check: &str, seen: impl Into<String>, advice: &str) -> Self {
        Self::new(check, Verdict::Warning, seen, advice)
    }

    fn bad(check: &str, seen: impl Into<String>, advice: &str) -> Self {
        Self::new(check, Verdict::Bad, seen, advice)
    }

    fn unknown(check: &str, seen: impl Into<String>) -> Self {
        Self::new(check, Verdict::Unknown, seen, "")
    }

    fn new(check: &str, verdict: Verdict, seen: impl Into<String>, advice: &str) -> Self {
        Self { check: check.into(), verdict, seen: seen.into(), advice: advice.into() }
    }
}

/// Who this machine is, and what it is examined for.
#[derive(Debug)]
pub struct Patient<'a> {
    /// Its folders.
    pub paths: &'a Paths,
    /// The cluster, if a configuration is there.
    pub config: Option<&'a Config>,
    /// Its name in that configuration, if it is known.
    pub node: Option<&'a str>,
    /// The other nodes that are to be reached; all if empty.
    pub others: &'a [String],
    /// The cluster that it has joined, if it has.
    pub cluster: Option<ClusterId>,
    /// What breaks ties, as the daemon here says it, if one answers.
    pub breaker: Option<&'a BreakerReport>,
}

/// Looks at everything. Takes some seconds if other nodes do not answer.
#[must_use]
pub fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let mut findings = machine::examine();
    findings.extend(kernel::examine());
    findings.extend(disk::examine(patient));
    findings.extend(shutdown::examine(patient));
    findings.extend(watchdog::examine(patient));
    findings.extend(fencing::examine(patient));
    findings.extend(network::examine(patient));
    findings.extend(layers::examine(patient));
    findings.extend(quorum::examine(patient));
    findings
}

/// The worst verdict of all; good if there is none.
#[must_use]
pub fn worst(findings: &[Finding]) -> Verdict {
    findings.iter().map(|it| it.verdict).max().unwrap_or(Verdict::Good)
}
