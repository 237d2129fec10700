//! Fencing: by what each node can be switched off, whether that was seen to work, and what waits.

use std::fmt;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use stead_core::id::NodeId;
use stead_core::state::config::{AfterFence, NodeFencing, Safety};
use stead_core::time::Span;

use super::{Concern, Level, NodeReport, NodeState, Sight};
use crate::journal::stamp_of;

/// For how long a proof is fresh where nothing is tried by itself.
const FRESH: Span = Span::from_millis(30 * 86_400_000);

/// Why nodes are of no use to each other while one of them has what must never be on two.
pub const UNPROVABLE: &str = "no fence device and no watchdog can prove it";

/// How a node can be switched off, as far as the cluster knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FencingReport {
    /// Its levels in order: the devices of each that are needed together, with their outlets.
    pub levels: Vec<Vec<String>>,
    /// Whether that works.
    pub state: FencingState,
    /// Which node asks the devices at this moment.
    pub asked_by: Option<String>,
    /// When its devices last did what they were asked, in a trial or for real: RFC 3339 in UTC.
    pub proven: Option<String>,
    /// Why not, if that failed since, or is not believed.
    pub why: Option<String>,
    /// How many attempts in a row failed since it was lost.
    pub failures: u32,
    /// Switched off, it stays off until somebody switches it on.
    pub stays_off: bool,
}

/// Whether a node can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FencingState {
    /// It was seen to work, not long ago.
    Proven,
    /// It never was, or too long ago.
    Unproven,
    /// The last attempt or trial failed.
    Failed,
    /// The node went on after its devices had called it off: they prove nothing any more.
    Doubted,
    /// Its devices are being asked to switch it off, as it was lost or for a trial.
    UnderWay,
    /// It is proven to be off, and was not admitted since.
    Off,
    /// It is proven to be cut off, is on, and has to boot.
    CutOff,
}

impl FencingState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Proven,
        Self::Unproven,
        Self::Failed,
        Self::Doubted,
        Self::UnderWay,
        Self::Off,
        Self::CutOff,
    ];
}

impl fmt::Display for FencingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Proven => "proven",
            Self::Unproven => "unproven",
            Self::Failed => "failed",
            Self::Doubted => "doubted",
            Self::UnderWay => "under-way",
            Self::Off => "off",
            Self::CutOff => "cut-off",
        })
    }
}

/// What was last asked of a node's devices.
struct Last {
    /// When, in seconds since 1970.
    wall: u64,
    outcome: Result<(), String>,
}

/// A node's fence devices; nothing where it has none.
pub(super) fn fencing(sight: &Sight<'_>, name: &str, node: NodeId) -> Option<FencingReport> {
    let state = &sight.view.state;
    let config = state.config.as_ref()?.fencing(name)?;
    if config.levels.is_empty() {
        return None;
    }
    let known = &state.later.fencing;
    let attempts = known.records.iter().filter(|it| it.node == node && !it.given_up);
    let tried = known.rehearsed.get(&node);
    let said = attempts.clone().map(|it| &it.said).chain(tried.map(|it| &it.said));
    let mut all: Vec<_> = said
        .map(|said| Last { wall: said.wall, outcome: said.outcome.clone().map(drop) })
        .collect();
    all.sort_by_key(|it| it.wall);
    let good = all.iter().rev().find(|it| it.outcome.is_ok()).map(|it| it.wall);
    let proven = good.max(tried.and_then(|it| it.good));
    let doubted = known.doubted.get(&node);
    let tried_now = state.cycle(node).map(|cycle| cycle.by);
    let under_way = known.under_way.get(&node).map(|begun| begun.by).or(tried_now);
    // Devices that answer do not take back that they did not switch it off.
    let cycle = known.cycles.last.get(&node).filter(|it| !it.given_up).map(|it| &it.said);
    let since =
        |wall: u64| attempts.clone().any(|it| it.said.outcome.is_ok() && it.said.wall > wall);
    let cycle = cycle.filter(|said| !since(said.wall));
    let failed = cycle.and_then(|said| said.outcome.clone().err());
    let failed = failed.or_else(|| all.last().and_then(|it| it.outcome.clone().err()));
    let off = known.fenced.contains_key(&node) && !state.view.contains_key(&node);
    let it = if under_way.is_some() {
        FencingState::UnderWay
    } else if doubted.is_some() {
        FencingState::Doubted
    } else if off && state.is_cut_off(node) {
        FencingState::CutOff
    } else if off {
        FencingState::Off
    } else if failed.is_some() {
        FencingState::Failed
    } else if proven.is_some_and(|proven| is_fresh(sight, config, proven)) {
        FencingState::Proven
    } else {
        FencingState::Unproven
    };
    Some(FencingReport {
        levels: levels(config),
        state: it,
        asked_by: under_way.map(|by| state.name(by)),
        proven: proven.map(stamp_of),
        why: doubted.cloned().or(failed),
        failures: known.failures.get(&node).copied().unwrap_or_default(),
        stays_off: config.after == AfterFence::StayOff,
    })
}

fn levels(config: &NodeFencing) -> Vec<Vec<String>> {
    config.levels.iter().map(|level| level.iter().map(ToString::to_string).collect()).collect()
}

/// Two trials in a row were missed, or a month went by.
fn is_fresh(sight: &Sight<'_>, config: &NodeFencing, proven: u64) -> bool {
    let now = sight.view.wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let span = config.rehearse.map_or(FRESH, |every| every + every);
    now.saturating_sub(proven) <= span.as_micros() / 1_000_000
}

/// What keeps the cluster from being sure that it could switch a lost node off.
pub(super) fn concerns(sight: &Sight<'_>, nodes: &[NodeReport]) -> Vec<Concern> {
    let own = nodes.iter().filter_map(concern);
    own.chain(without(sight, nodes)).collect()
}

fn concern(node: &NodeReport) -> Option<Concern> {
    let it = node.fencing.as_ref()?;
    let name = &node.name;
    let why = it.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let (what, next) = match it.state {
        FencingState::Proven | FencingState::UnderWay | FencingState::Off => return None,
        FencingState::Unproven if it.proven.is_some() => (
            format!("that {name} can be switched off was not tried for long"),
            format!(
                "stead fence rehearse {name}; `fence-rehearse` in cluster.toml has it done by \
                 itself"
            ),
        ),
        FencingState::Unproven => (
            format!("that {name} can be switched off was never tried"),
            format!("stead fence rehearse {name}"),
        ),
        FencingState::Failed => (
            format!("{name} can't be switched off{why}"),
            format!(
                "see `stead fence history`; when it is mended, what failed once more: stead fence \
                 rehearse {name}, with --power-cycle if that did"
            ),
        ),
        FencingState::CutOff => (
            format!("{name} was cut off by its fence devices, and is let in when it has booted"),
            format!("boot {name}"),
        ),
        FencingState::Doubted => (
            format!("the fence devices of {name} are not believed any more{why}"),
            format!(
                "look what they switch off, then prove it: stead fence rehearse {name} \
                 --power-cycle"
            ),
        ),
    };
    let since = it.proven.clone().filter(|_| it.state == FencingState::Unproven);
    Some(Concern { level: Level::Risk, what, since, next })
}

/// Nodes of which nothing could prove that they are off, though a service may need that.
fn without(sight: &Sight<'_>, nodes: &[NodeReport]) -> Option<Concern> {
    let state = &sight.view.state;
    let config = state.config.as_ref()?;
    let bound: Vec<_> = config
        .services
        .keys()
        .filter(|service| config.safety(service) == Safety::Fence)
        .map(ToString::to_string)
        .collect();
    let serves = |it: &&NodeReport| it.number.is_some() && !it.standby && !it.stopped;
    let serving: Vec<_> = nodes.iter().filter(serves).collect();
    let bare = |it: &&&NodeReport| {
        let watched = it.watchdog.as_ref().is_some_and(|it| it.wanted);
        it.fencing.is_none() && !watched && it.state == NodeState::InView
    };
    let bare: Vec<_> = serving.iter().filter(bare).map(|it| it.name.as_str()).collect();
    if bound.is_empty() || bare.is_empty() || serving.len() < 2 {
        return None;
    }
    let what = format!(
        "should {} be lost, {} would wait for an operator's word that it is off: {UNPROVABLE}",
        bare.join(" or "),
        bound.join(", ")
    );
    let next = "name fence devices in cluster.toml (`fence` in [nodes.NAME]), or rely on watchdogs \
                (`watchdog = true`)";
    Some(Concern { level: Level::Risk, what, since: None, next: next.to_owned() })
}

/// What lets go elsewhere what stays with a lost node.
pub(super) fn what_frees(sight: &Sight<'_>, name: &str) -> String {
    let state = &sight.view.state;
    let by_hand = format!(
        "bring {name} back; or make sure that it is off and say so: stead fence confirm-off {name} \
         --reason \"what you looked at\""
    );
    let Some(node) = state.node(name) else { return by_hand };
    let it = fencing(sight, name, node);
    match it {
        Some(FencingReport {
            state: FencingState::UnderWay, asked_by: Some(by), levels, ..
        }) => {
            let names: Vec<_> = levels.into_iter().flatten().collect();
            format!(
                "wait: {by} has it switched off ({}); see `stead fence history`",
                names.join(", ")
            )
        }
        _ if state.relied_on(node).is_some() => {
            "wait a few seconds: by then its watchdog has certainly reset it".to_owned()
        }
        Some(FencingReport { state: FencingState::Doubted, .. }) | None => by_hand,
        Some(FencingReport { failures, why: Some(why), .. }) if failures > 0 => {
            let times = if failures == 1 { "once" } else { &format!("{failures} times") };
            format!("its fence devices failed {times} ({why}) and are asked again; {by_hand}")
        }
        Some(_) => format!(
            "wait a second: its fence devices are asked where another node could take it; if it \
             stays so, {by_hand}"
        ),
    }
}
