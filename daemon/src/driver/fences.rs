//! Having nodes switched off: what the machine asks for goes to devices, what they said comes back.
//!
//! An attempt is a task of its own. Whoever ends it has everything killed that still runs of it;
//! nothing of it comes back then. A machine that is proven to be off is switched on again, if that
//! is wanted: its boot takes longer than the commit of the proof, and a start of its guard that the
//! proof calls over is not admitted whenever it comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use stead_core::id::NodeId;
use stead_core::node::Event;
use stead_core::state::config::{AfterFence, FencingConfig};
use stead_core::state::{FenceSaid, State};
use stead_core::time::Span;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::fence::{Attempt, Devices, Said, Step};
use crate::journal::wall;

/// How many lines of an attempt are kept with the cluster.
const MOST_LINES: usize = 40;
/// How long each may be, in characters.
const LONGEST_LINE: usize = 200;

/// The attempts that are under way on this node.
pub(super) struct Fences {
    devices: Arc<Devices>,
    results: UnboundedSender<Event>,
    running: BTreeMap<u64, JoinHandle<()>>,
}

impl Fences {
    /// None yet. `devices` are those that the whole daemon uses.
    pub(super) fn new(devices: Arc<Devices>, results: UnboundedSender<Event>) -> Self {
        Self { devices, results, running: BTreeMap::new() }
    }

    /// Has a node's devices switch it off, and tells what they said; with `power`, no device
    /// counts that leaves its machine on.
    pub(super) fn begin(&mut self, state: &State, node: NodeId, number: u64, power: bool) {
        self.running.retain(|_, task| !task.is_finished());
        let name = state.name(node);
        let config = state.config.as_ref().map(|config| config.later.fencing.clone());
        let (config, devices) = (config.unwrap_or_default(), self.devices.clone());
        let results = self.results.clone();
        let task = tokio::spawn(async move {
            let config = if power { devices.of_power(config, &name).await } else { config };
            let (attempt, said) = attempt(&devices, &config, &name).await;
            drop(results.send(Event::Fenced { node, number, said }));
            if wants_on(&config, &attempt) {
                for step in devices.switch_on(&config, &attempt).await {
                    if let Said::Failed(reason) = &step.said {
                        tracing::warn!("{name} stays off: {} says: {reason}", step.device);
                    }
                }
            }
        });
        self.running.insert(number, task);
    }

    /// That attempt is not this node's to make any more.
    pub(super) fn stop(&mut self, number: u64) {
        if let Some(task) = self.running.remove(&number) {
            task.abort();
        }
    }
}

/// Switches a node off and says how that went, for the machine and for the record.
async fn attempt(devices: &Devices, config: &FencingConfig, name: &str) -> (Attempt, FenceSaid) {
    let began = Instant::now();
    let attempt = devices.fence(config, name).await;
    let by = |level: usize| {
        let plugs = config.nodes.get(name).and_then(|it| it.levels.get(level.saturating_sub(1)));
        let names = plugs.into_iter().flatten().map(|plug| plug.device.as_str());
        let how = if attempt.cut_off { "cut off" } else { "off" };
        format!("{} says that it is {how}", names.collect::<Vec<_>>().join(" and "))
    };
    let outcome = attempt.outcome.clone().map(by).map_err(|why| shorten(&why));
    let said = FenceSaid { cut_off: attempt.cut_off, ..said(outcome, &attempt.steps, began) };
    (attempt, said)
}

/// What devices said, as it is kept with the cluster.
pub(crate) fn said(outcome: Result<String, String>, steps: &[Step], began: Instant) -> FenceSaid {
    let wall = wall();
    let took = Span::from_micros(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    let steps = shortened(steps.iter().flat_map(lines).collect());
    FenceSaid { outcome, cut_off: false, steps, took, wall }
}

/// The first lines and the last, where there are too many.
fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let surplus = lines.len().saturating_sub(MOST_LINES);
    if surplus > 0 {
        let half = MOST_LINES / 2;
        let left_out = format!("({} lines are left out)", surplus + 1);
        lines.splice(half..=half + surplus, [left_out]);
    }
    lines
}

/// A step in words, with what the device printed where it failed.
fn lines(step: &Step) -> Vec<String> {
    let level = step.level.map(|level| format!("level {level}, ")).unwrap_or_default();
    let (plug, action) = (step.asked_at(), step.action);
    let took = step.took.as_millis_f64() / 1_000.0;
    let told = format!("{level}{plug}: {action}: {} ({took:.1} s)", step.said);
    let failed = matches!(step.said, Said::Failed(_));
    let printed = step.output.iter().filter(|_| failed).map(|line| format!("  {line}"));
    [told].into_iter().chain(printed).map(|line| shorten(&line)).collect()
}

fn shorten(line: &str) -> String {
    line.chars().take(LONGEST_LINE).collect()
}

fn wants_on(config: &FencingConfig, attempt: &Attempt) -> bool {
    let after = config.nodes.get(&attempt.node).map(|it| it.after);
    attempt.outcome.is_ok() && after == Some(AfterFence::On)
}
