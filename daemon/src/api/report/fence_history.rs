//! What was fenced, what is being fenced, and what came of trials: names in place of numbers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stead_core::id::NodeId;
use stead_core::notice::{FenceNews, Notice};
use stead_core::state::{FenceEnd, FenceSaid, State};

use super::VERSION;
use crate::journal::{Entry, stamp_of};

/// What is known of fencing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FenceHistoryReport {
    /// The version of this form.
    pub v: u32,
    /// What is under way, by the nodes' numbers.
    pub under_way: Vec<FenceUnderWay>,
    /// The last attempts to fence a node, oldest first.
    pub attempts: Vec<FenceRecord>,
    /// The last trial of the way to each node, and its last power cycle for a trial, by the nodes'
    /// numbers.
    pub rehearsals: Vec<FenceRecord>,
}

/// Devices are being asked to switch a node off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceUnderWay {
    /// Which.
    pub node: String,
    /// On which node they are asked.
    pub by: String,
    /// What for: [`FenceKind::Fencing`], or [`FenceKind::PowerCycle`].
    pub kind: FenceKind,
    /// When it began, RFC 3339 in UTC; nothing if the answering node does not know.
    pub since: Option<String>,
}

/// What came of asking the devices of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FenceRecord {
    /// Which node.
    pub node: String,
    /// On which node they were asked.
    pub by: String,
    /// What for.
    pub kind: FenceKind,
    /// When it ended, by the clock of the asking node: RFC 3339 in UTC; nothing if nobody knows.
    pub at: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// It succeeded.
    pub ok: bool,
    /// Nobody went on with it; that says nothing about the devices.
    pub given_up: bool,
    /// How, or why not.
    pub outcome: String,
    /// What each device was asked and said, in order, a line each; what it printed where it failed
    /// follows, indented.
    pub steps: Vec<String>,
    /// Of a trial that failed: when one last succeeded, RFC 3339 in UTC.
    pub last_good: Option<String>,
}

/// What devices were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FenceKind {
    /// To switch off what was lost.
    Fencing,
    /// The same, before a half of the voters went on.
    Tie,
    /// To say whether it is on, for a trial.
    Status,
    /// To switch it off and on, for a trial.
    PowerCycle,
}

/// The report, of one node or of all. `entries` are the journal's newest lines, oldest first.
#[must_use]
pub fn fence_history(
    state: &State,
    only: Option<NodeId>,
    entries: &[Arc<Entry>],
) -> FenceHistoryReport {
    let fencing = &state.later.fencing;
    let meant = |node: NodeId| only.is_none_or(|only| only == node);
    let fenced = fencing.under_way.iter().map(|(node, begun)| (*node, begun.by, None));
    let cycles = fencing.cycles.under_way.iter();
    let cycled = cycles.map(|(node, cycle)| (*node, cycle.by, Some(cycle.wall)));
    let under_way =
        fenced.chain(cycled).filter(|(node, ..)| meant(*node)).map(|(node, by, wall)| {
            let name = state.name(node);
            FenceUnderWay {
                by: state.name(by),
                kind: if wall.is_some() { FenceKind::PowerCycle } else { FenceKind::Fencing },
                since: wall.map_or_else(|| begun(entries, &name), at),
                node: name,
            }
        });
    let mut rehearsals = Vec::new();
    for node in state.members.keys().copied().filter(|node| meant(*node)) {
        let last = fencing.rehearsed.get(&node);
        let good = last.and_then(|it| it.good);
        let looked = last.filter(|it| !it.cycled).map(|it| (it.by, FenceKind::Status, &it.said));
        rehearsals.extend(looked.map(|of| rehearsed(state, node, of, good)));
        if let Some(end) = fencing.cycles.last.get(&node) {
            let of = (end.by, FenceKind::PowerCycle, &end.said);
            let given_up = end.given_up;
            rehearsals.push(FenceRecord { given_up, ..rehearsed(state, node, of, good) });
        }
    }
    let attempts = fencing.records.iter().filter(|end| meant(end.node));
    FenceHistoryReport {
        v: VERSION,
        under_way: under_way.collect(),
        attempts: attempts.map(|end| attempt(state, end)).collect(),
        rehearsals,
    }
}

/// When the attempt under way began, if that was here.
fn begun(entries: &[Arc<Entry>], name: &str) -> Option<String> {
    let begins = |entry: &&Arc<Entry>| {
        let notice = entry.notice.as_ref();
        matches!(notice, Some(Notice::Fence(node, FenceNews::Begins)) if node == name)
    };
    entries.iter().rev().find(begins).map(|entry| entry.time.clone())
}

fn attempt(state: &State, end: &FenceEnd) -> FenceRecord {
    let kind = if end.number.is_some() { FenceKind::Fencing } else { FenceKind::Tie };
    let given_up = end.given_up;
    FenceRecord { given_up, ..record(state, (end.node, end.by), kind, &end.said) }
}

fn rehearsed(
    state: &State,
    node: NodeId,
    (by, kind, said): (NodeId, FenceKind, &FenceSaid),
    good: Option<u64>,
) -> FenceRecord {
    let record = record(state, (node, by), kind, said);
    let last_good = good.filter(|_| !record.ok).and_then(at);
    FenceRecord { last_good, ..record }
}

fn record(
    state: &State,
    (node, by): (NodeId, NodeId),
    kind: FenceKind,
    said: &FenceSaid,
) -> FenceRecord {
    let (Ok(outcome) | Err(outcome)) = said.outcome.clone();
    FenceRecord {
        node: state.name(node),
        by: state.name(by),
        kind,
        at: at(said.wall),
        took_ms: said.took.as_millis_f64(),
        ok: said.outcome.is_ok(),
        given_up: false,
        outcome,
        steps: said.steps.clone(),
        last_good: None,
    }
}

/// Nobody's clock said zero.
fn at(wall: u64) -> Option<String> {
    (wall > 0).then(|| stamp_of(wall))
}
