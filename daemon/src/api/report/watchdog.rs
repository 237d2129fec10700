//! Watchdogs: which node has one armed, what rests on it, and why one has none.

use serde::{Deserialize, Serialize};
use stead_core::id::NodeId;

use super::{Concern, Level, NodeReport, NodeState, Sight};

/// A node's watchdog, as far as the node that shows it knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WatchdogReport {
    /// The configuration relies on it.
    pub wanted: bool,
    /// It is armed, with that timeout in seconds; nothing if it is not, or that can't be known now.
    pub timeout_s: Option<f64>,
    /// Which device it is, if its node ever said so.
    pub device: Option<String>,
    /// Should the node be lost, what is bound to it may go elsewhere once its watchdog has
    /// certainly reset it: its word is committed.
    pub relied_on: bool,
    /// It did not reset its machine when it should have.
    pub failed: bool,
    /// It stands still when a hypervisor stops its machine.
    pub stands_still: bool,
    /// Why it is not armed, or not as it should be; of this node only.
    pub reason: Option<String>,
}

/// A node's watchdog; nothing where none is wanted and none is armed.
pub(super) fn watchdog(sight: &Sight<'_>, node: NodeId) -> Option<WatchdogReport> {
    let state = &sight.view.state;
    let report = sight.view.report.as_ref();
    let known = state.watchdog(node);
    let mut it = WatchdogReport {
        wanted: state.wants_watchdog(node),
        device: known.map(|known| known.device.clone()).filter(|device| !device.is_empty()),
        relied_on: state.relied_on(node).is_some(),
        failed: known.is_some_and(|known| known.failed),
        stands_still: known.is_some_and(|known| known.stands_still),
        ..WatchdogReport::default()
    };
    let timeout = if node == sight.me() {
        let own = report.and_then(|report| report.later.watch.own.as_ref());
        if let Some(own) = own {
            it.reason.clone_from(&own.trouble);
            it.stands_still = own.stands_still;
        } else if report.is_some() {
            it.reason = Some("its guard is of a version that knows nothing of watchdogs".into());
        }
        own.and_then(|own| own.armed)
    } else {
        let said = report.and_then(|report| report.later.watch.peers.get(&node));
        said.filter(|_| sight.hears(node)).map(|said| said.timeout)
    };
    it.timeout_s = timeout.map(|timeout| timeout.as_millis_f64() / 1_000.0);
    (it.wanted || it.timeout_s.is_some()).then_some(it)
}

/// Nodes whose watchdog is relied on by the configuration, and by nobody else.
pub(super) fn concerns(nodes: &[NodeReport]) -> Vec<Concern> {
    nodes.iter().filter_map(concern).collect()
}

fn concern(node: &NodeReport) -> Option<Concern> {
    let it = node.watchdog.as_ref().filter(|it| it.wanted && !it.relied_on)?;
    // Of one that is away its own concern says what to do.
    if node.state != NodeState::InView {
        return None;
    }
    let name = &node.name;
    let (what, next) = if it.failed {
        (
            format!("the watchdog of {name} did not reset it when it should have"),
            format!(
                "look whether it resets its machine at all; then on {name}: systemctl restart \
                 stead-guard"
            ),
        )
    } else if it.timeout_s.is_some() {
        (
            format!("the watchdog of {name} is armed, and that is not yet known to all"),
            "wait a second; if it stays so, see `stead events`".to_owned(),
        )
    } else {
        let why = it.reason.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
        (
            format!(
                "the watchdog of {name} is not armed{why}: should {name} be lost, what is bound \
                 to it waits for another proof that it is off"
            ),
            format!(
                "on {name}: load the driver of its watchdog, or softdog (`stead doctor`, \
                 journalctl -u stead-guard)"
            ),
        )
    };
    Some(Concern { level: Level::Risk, what, since: None, next })
}

/// What a watchdog that is relied on does not protect from.
pub(super) fn notes(nodes: &[NodeReport]) -> Vec<Concern> {
    let still = |node: &&NodeReport| {
        node.watchdog.as_ref().is_some_and(|it| it.wanted && it.relied_on && it.stands_still)
    };
    let still: Vec<_> = nodes.iter().filter(still).map(|node| node.name.as_str()).collect();
    if still.is_empty() {
        return Vec::new();
    }
    let what = format!(
        "{} may stand still as virtual machines do, and their watchdogs with them: one that is \
         paused for longer than others wait goes on with what they have taken over",
        still.join(", ")
    );
    let next = "fence them by a device that reaches their hypervisor, or see to it that nobody \
                pauses them";
    vec![Concern { level: Level::Note, what, since: None, next: next.to_owned() }]
}
