//! What is told of plans: what applying a file would change, why services are where they are, and
//! what would become of them after a failure.

use serde::{Deserialize, Serialize};

use super::message::{Failure, TextProblem};

/// What applying would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanAnswer {
    /// The revision that it was compared with.
    pub base: u64,
    /// The changes; none if the text says what is in force.
    pub changes: Vec<PlannedChange>,
    /// What services would do for that: start, stop or move.
    #[serde(default)]
    pub moves: Vec<PlannedMove>,
    /// What the loss of one node would leave without a place, where that changes.
    #[serde(default)]
    pub losses: Vec<LossAnswer>,
    /// What would come of what the text expects of failures.
    #[serde(default)]
    pub expected: Vec<ExpectAnswer>,
    /// What in the text deserves a second look.
    pub warnings: Vec<TextProblem>,
}

/// What would come of one word of an expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectAnswer {
    /// Its line, where a text was given.
    pub line: Option<usize>,
    /// What fails.
    pub fail: String,
    /// What shall be then.
    pub then: String,
    /// Whether it would.
    pub comes: Comes,
    /// What would be instead.
    pub instead: Option<String>,
    /// Why, or why that can't be told.
    pub why: Option<String>,
    /// What is not counted in a time.
    pub note: Option<String>,
}

/// Whether what is expected would come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comes {
    /// It would.
    Met,
    /// It would not.
    Unmet,
    /// As things are it can't be told.
    Unclear,
}

/// What becomes of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMove {
    /// Which.
    pub service: String,
    /// Where it is.
    pub from: Option<String>,
    /// Where it would be; nothing if nowhere.
    pub to: Option<String>,
    /// Why.
    pub why: String,
    /// For how long it would be out, in milliseconds, by its last planned move; nothing if that is
    /// not known, or if it is out already, or would stay so.
    #[serde(default)]
    pub outage_ms: Option<u64>,
    /// The prefixes that are announced as a whole where it is.
    #[serde(default)]
    pub prefixes: Vec<SharedPrefix>,
}

/// A prefix that is announced as a whole, so that all who have addresses in it are in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPrefix {
    /// Which.
    pub prefix: String,
    /// How many addresses in it are those of services.
    pub addresses: usize,
    /// Which services these are.
    pub services: Vec<String>,
}

/// What the loss of a node would leave without a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossAnswer {
    /// The node.
    pub node: String,
    /// Which services now.
    pub before: Vec<String>,
    /// Which services then.
    pub after: Vec<String>,
}

/// Why a service is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainAnswer {
    /// Which.
    pub service: String,
    /// Which node has it, or may have it.
    pub on: Option<String>,
    /// Why, in a sentence.
    pub why: String,
    /// How its names may be kept, in words, if it is about to move.
    #[serde(default)]
    pub lowered: Option<String>,
    /// What speaks for or against each node.
    pub nodes: Vec<NodeVerdict>,
}

/// What speaks for or against a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeVerdict {
    /// Which.
    pub node: String,
    /// Whether it could have the service.
    pub standing: Standing,
    /// It has it.
    pub here: bool,
    /// Why.
    pub why: String,
    /// What would change that.
    pub change: Option<String>,
}

/// Whether a node could have a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It would be taken first.
    Best,
    /// It could, and another one is better.
    Worse,
    /// It may not.
    Barred,
}

/// What would become of everything after a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulateAnswer {
    /// The nodes that fail.
    pub fails: Vec<String>,
    /// What the links that fail do, if any fail.
    pub links: Option<LinksAnswer>,
    /// How many nodes vote.
    pub voters: usize,
    /// How many of them would be left.
    pub voters_left: usize,
    /// What services would do.
    pub moves: Vec<PlannedMove>,
    /// What would wait for a lost node, since nothing can prove that it is off.
    pub waits: Vec<String>,
    /// What is expected of just that failure, and whether it would come.
    #[serde(default)]
    pub expected: Vec<ExpectAnswer>,
}

impl ExpectAnswer {
    /// What would be, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { line, fail, then, comes, instead, why, note } = self;
        let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let what = match (comes, instead) {
            (Comes::Met, _) => then.clone(),
            (Comes::Unmet, Some(instead)) => format!("not {then}, but {instead}"),
            (Comes::Unmet, None) => format!("not {then}"),
            (Comes::Unclear, Some(instead)) => format!("now not {then}, but {instead}"),
            (Comes::Unclear, None) => format!("perhaps {then}"),
        };
        let why = why.as_ref().or(note.as_ref());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let fails = if fail.contains(',') { "fail" } else { "fails" };
        format!("{line}if {fail} {fails}, {what}{why}")
    }

    /// Why a file that expects this is not applied.
    pub(super) fn refusal(&self) -> Failure {
        Failure::unchanged(
            format!("{}; nothing was changed", self.sentence()),
            "see `stead plan`; change the rules or what is expected, or apply it as it is with \
             --despite-expectations",
        )
    }
}

/// What the loss of links would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinksAnswer {
    /// The links that fail.
    pub fail: Vec<String>,
    /// Those by which the nodes still hear each other.
    pub left: Vec<String>,
    /// Who goes on.
    pub goes_on: GoesOn,
    /// Services whose addresses lie in the networks of these links.
    pub unreached: Vec<String>,
}

/// Who goes on when links fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GoesOn {
    /// All that have not failed themselves.
    All,
    /// This node alone: its vote is the only one.
    Node(String),
    /// One of these: which one is decided by whoever breaks ties.
    OneOf(Vec<String>),
    /// Nobody: each node is alone, and none has a majority.
    Nobody,
}

impl PlanAnswer {
    /// Whether applying would be refused.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.changes.iter().any(|change| change.refused.is_some())
    }

    /// Whether something that is expected would not come.
    #[must_use]
    pub fn disappoints(&self) -> bool {
        self.expected.iter().any(|it| it.comes == Comes::Unmet)
    }
}

/// One change of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// What would change.
    pub what: String,
    /// Why it would be refused, if so.
    pub refused: Option<String>,
}
