//! The requests and answers of the local API, as they stand on the line.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::Problem;

pub use super::plans::{
    Comes, ExpectAnswer, ExplainAnswer, GoesOn, LinksAnswer, LossAnswer, NodeVerdict, PlanAnswer,
    PlannedChange, PlannedMove, SharedPrefix, SimulateAnswer, Standing,
};

/// The version of this form.
pub const VERSION: u32 = 1;
/// The longest request in bytes: a configuration of the largest size, escaped.
pub const LONGEST_REQUEST: usize = 8 << 20;

/// What can be asked. On the line its name stands in `do`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The state of the cluster as this node sees it: a [`super::report::StatusReport`].
    Status {
        /// Go on sending it whenever it changes.
        #[serde(default)]
        watch: bool,
    },
    /// The configuration in force: a [`ConfigAnswer`].
    Config,
    /// The configurations that were in force: a [`RevisionsAnswer`].
    Revisions,
    /// One of them: a [`ConfigAnswer`].
    Revision {
        /// Its number.
        number: u64,
    },
    /// What applying that text would change: a [`PlanAnswer`].
    Plan {
        /// The text of a `cluster.toml`.
        text: String,
    },
    /// Why a service is where it is, and why not elsewhere: an [`ExplainAnswer`].
    Explain {
        /// Which.
        service: String,
    },
    /// What would become of everything after a failure: a [`SimulateAnswer`].
    Simulate {
        /// What fails: nodes, labels (`site=east`), or links.
        fail: Vec<String>,
        /// By another configuration than that in force.
        #[serde(default)]
        text: Option<String>,
    },
    /// Apply that text: an [`ApplyAnswer`].
    Apply {
        /// The text of a `cluster.toml`.
        text: String,
        /// The revision that it was compared with.
        base: u64,
        /// Though something would not come that it expects.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        despite_expectations: bool,
    },
    /// A token for a node that shall join: a [`TokenAnswer`].
    Token {
        /// The node's name in the configuration.
        node: String,
    },
    /// Something about names of a service that is about to move: see there.
    Lower(super::lower::LowerRequest),
    /// Something about the registers: see there.
    Register(super::register::RegisterRequest),
    /// Move a service: a [`super::lower::MoveAnswer`].
    Move {
        /// Which.
        service: String,
        /// Where to.
        node: String,
        /// For how many seconds; for good if not given.
        #[serde(default)]
        for_s: Option<u64>,
    },
    /// Which layers could lead clients there: a [`super::redirect::advise::AdviseAnswer`].
    RedirectAdvise(super::redirect::advise::Advise),
    /// What each place between a node and a service says: a
    /// [`super::redirect::trace::TraceAnswer`].
    RedirectTrace {
        /// The node.
        client: String,
        /// The service.
        service: String,
    },
    /// Try on the real segment whether takeovers are honoured; answered by many
    /// [`super::redirect::probe::ProbeNews`].
    RedirectProbe(super::redirect::probe::Probe),
    /// What agents on clients' machines have to know: a [`super::redirect::client::ClientAnswer`].
    RedirectClient,
    /// What this node's routing daemon needs in its own configuration: a
    /// [`super::redirect::routing::RoutingAnswer`].
    RedirectRouting,
    /// Put a node on or off standby: a [`ChangeAnswer`].
    Standby {
        /// Which.
        node: String,
        /// On or off.
        on: bool,
    },
    /// Stop a site or the whole cluster, or let it serve again: a [`HaltAnswer`].
    Halt {
        /// Which site; all nodes if none.
        #[serde(default)]
        site: Option<String>,
        /// Stop, or start.
        on: bool,
    },
    /// Stop services everywhere, or let them run again: a [`ServicesAnswer`].
    Serve {
        /// Which.
        services: Vec<String>,
        /// Whether they shall run.
        on: bool,
    },
    /// Leave something as it is for work by hand, or no longer: a [`ChangeAnswer`].
    Maintenance {
        /// A service or a node; everything if none.
        #[serde(default)]
        what: Option<String>,
        /// It is a node, and not the service of that name.
        #[serde(default)]
        node: bool,
        /// Begin, or end.
        on: bool,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Let nothing move for a while: a [`ChangeAnswer`].
    Disarm {
        /// For how long.
        seconds: u64,
        /// Why.
        reason: String,
    },
    /// Let services move again: a [`ChangeAnswer`].
    Arm,
    /// Enrol the cluster at a quorum server: a [`ChangeAnswer`].
    Enrol {
        /// What `stead quorum-server enrol` printed there.
        token: String,
    },
    /// Do without a quorum server: a [`ChangeAnswer`].
    Unenrol,
    /// Go on with half of the voters by an operator's word, or say what that would mean: an
    /// [`OverrideAnswer`].
    Override {
        /// For how long the word counts; nothing to ask only.
        seconds: Option<u64>,
        /// The other half may have decided something that this one never heard of.
        force: bool,
        /// Why.
        reason: String,
    },
    /// Forget how often services failed: a [`ChangeAnswer`].
    Clear {
        /// Which; all if none.
        #[serde(default)]
        service: Option<String>,
        /// Only this part of it.
        #[serde(default)]
        resource: Option<String>,
    },
    /// Take an operator's word that a machine is off, or say what waits for that: a
    /// [`super::fence::ConfirmAnswer`].
    ConfirmOff {
        /// Which.
        node: String,
        /// What was looked at; nothing to ask only.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Ask through every way to a node, or through a device, and switch nothing: many
    /// [`super::fence::WayReport`].
    FenceTest {
        /// The node or the device.
        name: String,
    },
    /// What was fenced, and what came of rehearsals: a [`super::report::FenceHistoryReport`].
    FenceHistory {
        /// Which node; all if none.
        #[serde(default)]
        node: Option<String>,
    },
    /// Try the ways to a node, and keep what came of it: many [`super::rehearse::RehearseNews`].
    FenceRehearse(Rehearse),
    /// End a node's quarantine: a [`ChangeAnswer`].
    Steady {
        /// Which.
        node: String,
    },
    /// Let a node leave for good: a [`ChangeAnswer`].
    Leave {
        /// Which; the answering one if none.
        #[serde(default)]
        node: Option<String>,
    },
    /// Lines of the journal, each a [`crate::journal::Entry`].
    Events {
        /// How many of the newest.
        #[serde(default)]
        last: Option<usize>,
        /// None before this time, RFC 3339 in UTC.
        #[serde(default)]
        since: Option<String>,
        /// Go on with every line to come.
        #[serde(default)]
        follow: bool,
    },
    /// One incident, the newest if no number is given: a [`super::report::IncidentReport`].
    Incident {
        /// Its number.
        #[serde(default)]
        number: Option<u64>,
    },
    /// The timers in force: a [`super::report::TimersReport`].
    Timers,
    /// Everything that Prometheus would read: a [`MetricsAnswer`].
    Metrics,
    /// What agents may ask for: a [`crate::tools::ToolsAnswer`].
    Tools,
    /// Remember something for an agent, or forget it: a [`ChangeAnswer`].
    Remember {
        /// For how long, and of what.
        memory: Memory,
        /// Of which node; the answering one if none.
        #[serde(default)]
        node: Option<String>,
        /// Its name.
        name: String,
        /// Its value; nothing to forget it.
        #[serde(default)]
        value: Option<String>,
    },
}

/// A rehearsal of a node's fencing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearse {
    /// Which node.
    pub node: String,
    /// Switch its machine off and on, and not only ask its devices for its status.
    #[serde(default)]
    pub power_cycle: bool,
    /// Of a power cycle: by the devices of this level only.
    #[serde(default)]
    pub level: Option<usize>,
    /// Say what would be done, or why not, and do nothing.
    #[serde(default)]
    pub only_say: bool,
    /// Of a power cycle: for how many seconds to wait until the node is back.
    #[serde(default)]
    pub wait_s: u64,
}

/// For how long something is remembered, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// Of a node, for as long as it is there.
    Transient,
    /// Of a node, for as long as it is a member.
    Permanent,
    /// Of the cluster.
    Cluster,
}

/// The metrics of the answering node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsAnswer {
    /// Them, in the text format of Prometheus, version 0.0.4.
    pub text: String,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigAnswer {
    /// Its number, counted from 1.
    pub revision: u64,
    /// Its text, with every value spelled out.
    pub text: String,
}

/// The configurations that were in force, as the answering node knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionsAnswer {
    /// The revision in force.
    pub revision: u64,
    /// Those that are kept, oldest first.
    pub kept: Vec<RevisionAnswer>,
}

/// A configuration that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionAnswer {
    /// Its number.
    pub number: u64,
    /// When the answering node learned of it: RFC 3339, UTC.
    pub since: String,
    /// What it changed, in words.
    pub changes: Vec<String>,
    /// How many more changes there were.
    pub more: usize,
}

/// A problem of a text, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextProblem {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl From<&Problem> for TextProblem {
    fn from(problem: &Problem) -> Self {
        let Problem { line, column, message, help, .. } = problem;
        Self { line: *line, column: *column, message: message.clone(), help: help.clone() }
    }
}

/// A configuration was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyAnswer {
    /// Its number.
    pub revision: u64,
    /// What changed; nothing if it was in force already.
    pub changes: Vec<PlannedChange>,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The node it is for.
    pub node: String,
    /// The token. It is nowhere else.
    pub token: String,
    /// Where the answering node can be reached, one address per link.
    pub addresses: Vec<String>,
}

/// A change is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeAnswer {
    /// Its position in the log; nothing if nothing had to be changed.
    pub index: Option<u64>,
    /// The node that it is about, if it is about one.
    pub node: Option<String>,
    /// What the operator should know or do now, if anything.
    pub next: Option<String>,
}

/// Services were stopped or started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicesAnswer {
    /// They.
    pub services: Vec<String>,
    /// It was so already: nothing was changed.
    pub already: bool,
}

/// What an override means, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideAnswer {
    /// The nodes that have to be off.
    pub absent: Vec<String>,
    /// Why a second word is needed; nothing if it is not.
    pub refused: Option<String>,
    /// The number under which this half went on; nothing if it has not.
    pub grant: Option<u64>,
    /// What the operator should know or do now, if anything.
    pub next: Option<String>,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What failed.
    pub message: String,
    /// Whether something changed all the same.
    pub changed: Changed,
    /// What to do next; empty if the message says it.
    pub next: String,
    /// The problems of a text, if that is the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<TextProblem>,
}

/// Whether something changed although a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Changed {
    /// Nothing.
    No,
    /// It may have, now or later.
    Unknown,
}

impl Failure {
    /// Nothing was changed.
    pub fn unchanged(message: impl Into<String>, next: impl Into<String>) -> Self {
        let (message, next) = (message.into(), next.into());
        Self { message, changed: Changed::No, next, problems: Vec::new() }
    }
}

/// One line of an answer. Fields are only ever added.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The version of this form.
    pub v: u32,
    /// The whole answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<serde_json::Value>,
    /// One of many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<serde_json::Value>,
    /// Lines that this client was too slow to get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
    /// There are no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end: bool,
    /// It was not carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

impl Answer {
    /// An empty line, to be filled.
    #[must_use]
    pub fn new() -> Self {
        Self { v: VERSION, ok: None, item: None, skipped: None, end: false, error: None }
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Result<serde_json::Value, Failure>> for Answer {
    fn from(result: Result<serde_json::Value, Failure>) -> Self {
        match result {
            Ok(value) => Self { ok: Some(value), ..Self::new() },
            Err(failure) => Self { error: Some(failure), ..Self::new() },
        }
    }
}

/// Writes a request, of the daemon's API or another of its form, as its line, without the end of
/// line.
///
/// # Errors
/// It can't be written as JSON, which only a bug explains.
pub fn encode(request: &impl Serialize) -> serde_json::Result<String> {
    let mut value = serde_json::to_value(request)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("v".to_owned(), VERSION.into());
    }
    serde_json::to_string(&value)
}

/// Reads a request from its line.
///
/// # Errors
/// Says what is wrong with it. Nothing was changed.
pub fn decode<R: DeserializeOwned>(line: &[u8]) -> Result<R, Failure> {
    let wrong = |message: String| {
        Failure::unchanged(message, "send one object a line, such as {\"v\":1,\"do\":\"status\"}")
    };
    let mut value: serde_json::Value =
        serde_json::from_slice(line).map_err(|error| wrong(format!("no JSON: {error}")))?;
    let object = value.as_object_mut().ok_or_else(|| wrong("no object".to_owned()))?;
    let version = object.remove("v").and_then(|it| it.as_u64());
    if version != Some(u64::from(VERSION)) {
        let asked = version.map_or("no version".to_owned(), |it| format!("version {it}"));
        return Err(Failure::unchanged(
            format!("the request names {asked} of the API, this process speaks {VERSION}"),
            "use the command line of its version: restart it after an upgrade",
        ));
    }
    serde_json::from_value(value).map_err(|error| wrong(format!("no request: {error}")))
}
