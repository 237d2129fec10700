//! The nodes, as this one sees them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::NodeId;
use stead_core::lease::{LinkId, PeerReport, Report};
use stead_core::state::config::{Config, NodeConfig};

use super::Sight;
use super::fencing::{FencingReport, fencing};
use super::watchdog::{WatchdogReport, watchdog};
use crate::journal::stamp;

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Its number; nothing if it has not joined.
    pub number: Option<u64>,
    /// Where it stands.
    pub site: Option<String>,
    /// Where it is with regard to the view.
    pub state: NodeState,
    /// Since when that is so, if it is not in the view and this node knows.
    pub since: Option<String>,
    /// It shall be without services.
    pub standby: bool,
    /// An operator stopped it: it holds nothing until it is started.
    #[serde(default)]
    pub stopped: bool,
    /// It was lost so often that it is given services only as a last resort.
    #[serde(default)]
    pub quarantine: Option<QuarantineReport>,
    /// It is a satellite: it serves and shall have no vote.
    #[serde(default)]
    pub satellite: bool,
    /// It has a vote.
    pub votes: bool,
    /// It coordinates.
    pub coordinates: bool,
    /// Its links, by name.
    pub links: Vec<LinkReport>,
    /// Its daemon works; nothing if that can't be known now.
    pub daemon: Option<bool>,
    /// Its guard works; nothing if that can't be known now.
    pub guard: Option<bool>,
    /// It hears the node that shows this; nothing if that can't be known now.
    pub hears_us: Option<bool>,
    /// The version of its daemon.
    pub version: Option<String>,
    /// The round trip to it in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// How late its kernel may shut its gate, in milliseconds.
    pub slack_ms: Option<f64>,
    /// The form of its gate, if its guard says so.
    pub gate: Option<String>,
    /// How its programs are kept: `namespace`, `group` or `none`; of this node only.
    pub keeper: Option<String>,
    /// Why not better.
    pub keeper_reason: Option<String>,
    /// Why that is not the better form, if nobody asked for it; of this node only.
    #[serde(default)]
    pub gate_reason: Option<String>,
    /// How it can be switched off; nothing if it has no fence device.
    #[serde(default)]
    pub fencing: Option<FencingReport>,
    /// Its watchdog, if one is wanted or armed.
    #[serde(default)]
    pub watchdog: Option<WatchdogReport>,
    /// Whether its guard runs with real-time priority; of this node only.
    pub realtime: Option<bool>,
    /// Why it doesn't.
    pub realtime_reason: Option<String>,
    /// Whether its guard's memory is locked; of this node only.
    pub locked: Option<bool>,
    /// Why it isn't.
    pub locked_reason: Option<String>,
}

/// A node that comes and goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuarantineReport {
    /// How often it was lost.
    pub losses: u32,
    /// When it is over, on the wall clock; nothing while the node is away.
    pub until: Option<String>,
    /// How long that is from now, in seconds.
    pub left_s: Option<f64>,
}

/// Where a node is with regard to the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// In the view and heard.
    InView,
    /// In the view and not heard.
    Suspect,
    /// Heard and not in the view: about to come.
    Coming,
    /// Not in the view, and not heard.
    Down,
    /// Configured, and not a member yet.
    NotJoined,
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::InView => "in view",
            Self::Suspect => "suspect",
            Self::Coming => "coming",
            Self::Down => "down",
            Self::NotJoined => "not joined",
        })
    }
}

/// One link of one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkReport {
    /// The link's name.
    pub name: String,
    /// The node's address there.
    pub address: String,
    /// Whether something arrives from it; of this node's own: from anyone. Nothing if unknown.
    pub up: Option<bool>,
    /// How long ago the last heartbeat arrived, in milliseconds.
    pub heard_ms: Option<f64>,
    /// Whether the node says that this one is heard there; nothing of this node's own links, or if
    /// that can't be known now.
    #[serde(default)]
    pub hears_us: Option<bool>,
}

pub(super) fn nodes(sight: &Sight<'_>) -> Vec<NodeReport> {
    let Some(config) = &sight.view.state.config else { return Vec::new() };
    config.nodes.iter().map(|(name, node)| report(sight, config, name, node)).collect()
}

fn report(sight: &Sight<'_>, config: &Config, name: &str, node: &NodeConfig) -> NodeReport {
    let state = &sight.view.state;
    let number = state.node(name);
    let own = number == Some(sight.me());
    let mut report = NodeReport {
        name: name.to_owned(),
        number: number.map(|it| it.0),
        site: node.site.clone(),
        state: number.map_or(NodeState::NotJoined, |it| place(sight, it)),
        since: None,
        standby: number.is_some_and(|it| state.standby.contains(&it)),
        stopped: number.is_some_and(|it| state.is_halted(it)),
        quarantine: number.and_then(|it| quarantine(sight, it)),
        satellite: config.later.satellites.contains(name),
        votes: number.is_some_and(|it| sight.view.log.membership.voters.contains(&it)),
        coordinates: number.is_some() && number == sight.view.log.leader,
        links: links(sight, config, number, node),
        daemon: None,
        guard: None,
        hears_us: None,
        version: None,
        round_trip_ms: None,
        slack_ms: None,
        gate: None,
        keeper: None,
        keeper_reason: None,
        gate_reason: None,
        fencing: number.and_then(|it| fencing(sight, name, it)),
        watchdog: number.and_then(|it| watchdog(sight, it)),
        realtime: None,
        realtime_reason: None,
        locked: None,
        locked_reason: None,
    };
    if report.state != NodeState::InView {
        report.since = sight.history.node(name);
    }
    if own {
        fill_own(sight, &mut report);
    } else if let Some(number) = number {
        fill_peer(sight, number, &mut report);
    }
    report
}

fn quarantine(sight: &Sight<'_>, node: NodeId) -> Option<QuarantineReport> {
    let it = sight.view.quarantined.get(&node)?;
    let left = it.until.map(|until| sight.view.at.until(until));
    let until = left.map(|left| sight.view.wall + Duration::from_micros(left.as_micros()));
    Some(QuarantineReport {
        losses: it.losses,
        until: until.map(stamp),
        left_s: left.map(|left| left.as_millis_f64() / 1_000.0),
    })
}

fn place(sight: &Sight<'_>, node: NodeId) -> NodeState {
    match (sight.view.state.view.contains_key(&node), sight.hears(node)) {
        (true, true) => NodeState::InView,
        (true, false) => NodeState::Suspect,
        (false, true) => NodeState::Coming,
        (false, false) => NodeState::Down,
    }
}

fn fill_own(sight: &Sight<'_>, report: &mut NodeReport) {
    report.daemon = Some(true);
    report.guard = Some(sight.view.report.is_some());
    report.version = Some(env!("CARGO_PKG_VERSION").to_owned());
    let Some(hello) = &sight.view.guard else { return };
    report.slack_ms = Some(hello.slack.as_millis_f64());
    report.gate = Some(hello.gate.clone());
    if let Some(keeping) = &sight.view.keeping {
        report.keeper = Some(keeping.form.map_or("none".to_owned(), |form| form.to_string()));
        report.keeper_reason = keeping.reason.clone();
    }
    report.gate_reason = hello.more.gate_reason.clone();
    report.realtime = Some(hello.realtime.is_ok());
    report.realtime_reason = hello.realtime.clone().err();
    report.locked = Some(hello.locked.is_ok());
    report.locked_reason = hello.locked.clone().err();
}

fn fill_peer(sight: &Sight<'_>, node: NodeId, report: &mut NodeReport) {
    let connected = sight.view.connected.iter().find(|it| it.node == node);
    report.version = connected.map(|it| {
        let software = it.software.as_str();
        software.strip_prefix("stead ").unwrap_or(software).to_owned()
    });
    let Some(peer) = peer(sight, node) else { return };
    let heard = sight.hears(node);
    report.guard = heard.then_some(true);
    report.hears_us = peer.acknowledged.filter(|_| heard).zip(sight.view.report.as_ref()).map(
        |(acknowledged, report)| {
            let usual = sight.view.state.timers.suspect_after;
            report.at.since(acknowledged) <= report.patience(node, usual)
        },
    );
    report.daemon = heard.then_some(peer.daemon_alive);
    report.slack_ms = Some(peer.slack.as_millis_f64());
    report.gate = peer.more.gate.name().filter(|_| heard).map(str::to_owned);
    report.round_trip_ms =
        (peer.round_trip.as_micros() > 0).then(|| peer.round_trip.as_millis_f64());
}

fn peer<'a>(sight: &Sight<'a>, node: NodeId) -> Option<&'a PeerReport> {
    sight.view.report.as_ref()?.peers.get(&node)
}

/// The links of a node. Guards number them by their names' order.
fn links(
    sight: &Sight<'_>,
    config: &Config,
    node: Option<NodeId>,
    its: &NodeConfig,
) -> Vec<LinkReport> {
    let usual = sight.view.state.timers.suspect_after;
    let patience = node.zip(sight.view.report.as_ref());
    let patience = patience.map_or(usual, |(node, report)| report.patience(node, usual));
    let numbered = config.links.keys().zip(0..=LinkId::MAX);
    numbered
        .filter_map(|(name, link)| {
            let address = its.addresses.get(name)?.to_string();
            let report = sight.view.report.as_ref();
            let heard =
                node.zip(report).and_then(|(node, report)| heard(sight, report, node, link));
            let since = heard.zip(report).map(|(heard, report)| report.at.since(heard));
            Some(LinkReport {
                name: name.clone(),
                address,
                up: if node.is_some() && expected(sight, node) {
                    Some(since.is_some_and(|since| since <= patience))
                } else {
                    None
                },
                heard_ms: since.map(|since| since.as_millis_f64()),
                hears_us: node.filter(|node| sight.hears(*node)).and_then(|node| {
                    // Of what is rarely said one word may be lost.
                    let near = report.is_some_and(|report| !report.is_far(node));
                    let set = peer(sight, node)?.more.hears_on?;
                    near.then_some(set >> link & 1 == 1)
                }),
            })
        })
        .collect()
}

/// Whether silence on a link says something: there is a guard that listens, and somebody to hear.
fn expected(sight: &Sight<'_>, node: Option<NodeId>) -> bool {
    let Some(report) = &sight.view.report else { return false };
    if let Some(other) = node.filter(|node| *node != sight.me()) {
        // Of two satellites neither listens for the other.
        return report.peers.contains_key(&other);
    }
    report.peers.keys().any(|peer| sight.hears(*peer))
}

/// When something last arrived on a link: from that node, or from anyone if it is this one.
fn heard(
    sight: &Sight<'_>,
    report: &Report,
    node: NodeId,
    link: LinkId,
) -> Option<stead_core::time::Instant> {
    if node == sight.me() {
        return report.peers.values().filter_map(|peer| peer.links.get(&link)).max().copied();
    }
    report.peers.get(&node)?.links.get(&link).copied()
}
