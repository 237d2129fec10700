//! From the picture to samples.
//!
//! What `stead status` says is taken from its report, so that screen and graph can't disagree. The
//! rest (the lease, the log's positions) stands in the picture that the report is made of.

use std::time::UNIX_EPOCH;

use stead_core::id::ServiceId;
use stead_core::lease::Report;
use stead_core::state::{Holder, Reached};
use stead_log::Role;

use crate::api::report::{FencingState, Level, NodeReport, NodeState, ServiceReport, StatusReport};
use crate::driver::view::View;
use crate::guard::Rejected;
use crate::journal::parse;

use super::family::{
    ALL, ANSWER, BUILD, CLIENTS, CLIENTS_TOLD, CLOCK, CONCERNS, CONFIGURED, CONTESTED, COORDINATES,
    COORDINATOR, CPU, DAEMON, DISARMED, EPOCH, FAILURES, FENCE_FAILURES, FENCING, FENCING_PROVEN,
    GATE, GATE_ERRORS, GRANT, GUARD, HEARS_US, HERE, INCIDENTS, KEEPER, LEASE, LINK_HEARD,
    LINK_RECEIVED, LINK_SENT, LINK_SILENCE, LINK_UP, LOCKED, LOG_APPLIED, LOG_COMMIT_TIME,
    LOG_COMMITS, LOG_COMMITTED, LOG_LAST, LOG_RUNNING, MAINTENANCE, MEMBERS, MISSED, MOVES, NODE,
    NODE_STATE, NOTICES, OUTAGE, POINT, POINT_BEHIND, PROTECTED, QUARANTINE, QUORUM, READY,
    REALTIME, REJECTED, RESIDENT, REST, REVISION, ROUND_TRIP, SATELLITE, SERVICE_EPOCH,
    SERVICE_MOVES, SERVING, SLACK, STANDBY, STOPPED, TERM, THREADS, TIE_BREAKER, TROUBLES, VOTERS,
    VOTERS_PRESENT, VOTERS_SPARE, WATCHDOG,
};
use super::process;
use super::tally::Tally;
use super::text::Text;

const LEVELS: [(Level, &str); 3] =
    [(Level::Outage, "outage"), (Level::Risk, "risk"), (Level::Note, "note")];
const STATES: [(NodeState, &str); 5] = [
    (NodeState::InView, "in-view"),
    (NodeState::Suspect, "suspect"),
    (NodeState::Coming, "coming"),
    (NodeState::Down, "down"),
    (NodeState::NotJoined, "not-joined"),
];
const REASONS: [(Rejected, &str); 6] = [
    (Rejected::Foreign, "foreign"),
    (Rejected::Version, "version"),
    (Rejected::OtherCluster, "other-cluster"),
    (Rejected::OtherAddressee, "other-addressee"),
    (Rejected::Stranger, "stranger"),
    (Rejected::Seal, "seal"),
];

/// Everything, as text.
pub(super) fn expose(view: &View, status: &StatusReport, tally: &Tally) -> String {
    let mut text = Text::default();
    text.count(&BUILD, &[env!("CARGO_PKG_VERSION")], 1);
    text.count(&NODE, &[&status.cluster.name, &status.seen_by], 1);
    health(&mut text, view, status);
    cluster(&mut text, view, status, tally);
    guard(&mut text, view);
    for node in &status.nodes {
        self::node(&mut text, node, node.name == status.seen_by);
    }
    for point in &status.points {
        for seen in point.nodes.iter().filter(|it| it.sees != "unknown") {
            let labels = [point.network.as_str(), point.point.as_str(), seen.node.as_str()];
            let answers = matches!(seen.sees.as_str(), "answers" | "again");
            text.truth(&POINT, &labels, answers);
            text.truth(&POINT_BEHIND, &labels, seen.sees == "behind");
        }
    }
    for service in &status.services {
        self::service(&mut text, view, service, tally);
    }
    log(&mut text, view);
    processes(&mut text, view);
    text.finish(ALL)
}

fn health(text: &mut Text, view: &View, status: &StatusReport) {
    text.truth(&PROTECTED, &[], status.protected);
    for (level, name) in LEVELS {
        let concerns = status.problems.iter().chain(&status.warnings);
        text.put(&CONCERNS, &[name], small(concerns.filter(|it| it.level == level).count()));
    }
    text.truth(&DISARMED, &[], view.state.is_disarmed());
    text.truth(&READY, &[], view.ready);
    let quorum = &status.quorum;
    let have = quorum.verdict == stead_core::quorum::Verdict::HaveQuorum.to_string();
    text.truth(&QUORUM, &[], have);
    text.put(&VOTERS, &[], small(quorum.voters));
    text.put(&VOTERS_PRESENT, &[], small(quorum.present));
    text.put(&VOTERS_SPARE, &[], small(quorum.spare));
    text.count(&GRANT, &[], quorum.grant);
    if let Some(breaker) = &quorum.breaker
        && let Some(answers) = breaker.answers
    {
        text.truth(&TIE_BREAKER, &[&breaker.module], answers);
    }
}

fn cluster(text: &mut Text, view: &View, status: &StatusReport, tally: &Tally) {
    let cluster = &status.cluster;
    text.truth(&COORDINATES, &[], view.coordinating);
    text.truth(&COORDINATOR, &[], cluster.coordinator.is_some());
    text.count(&TERM, &[], cluster.term);
    text.count(&EPOCH, &[], cluster.epoch);
    text.put(&MEMBERS, &[], small(view.state.view.len()));
    text.put(&CONFIGURED, &[], small(status.nodes.len()));
    text.count(&REVISION, &[], cluster.revision);
    text.count(&INCIDENTS, &[], cluster.incidents);
    for (cause, count) in tally.causes() {
        text.count(&MOVES, &[cause], count);
    }
    for (notice, count) in tally.notices() {
        text.count(&NOTICES, &[notice], count);
    }
    text.count(&MISSED, &[], tally.uncounted());
}

fn guard(text: &mut Text, view: &View) {
    let report = view.report.as_ref();
    text.truth(&GUARD, &[], report.is_some());
    text.truth(&LEASE, &[], report.is_some_and(|it| it.lease_until > it.at));
    text.put(&TROUBLES, &[], small(view.guard_troubles.len()));
    if let Some(report) = report {
        text.truth(&CLOCK, &[], report.clock_distrusted);
        text.count(&GATE_ERRORS, &[], report.more.gate_errors);
        traffic(text, view, report);
    }
    if let Some(hello) = &view.guard {
        text.truth(&REALTIME, &[], hello.realtime.is_ok());
        text.truth(&LOCKED, &[], hello.locked.is_ok());
        text.count(&GATE, &[&hello.gate], 1);
        let keeping = view.keeping.as_ref();
        let form = keeping.and_then(|it| it.form).map_or("none".to_owned(), |it| it.to_string());
        text.count(&KEEPER, &[&form], 1);
        text.put(&SLACK, &[], hello.slack.as_millis_f64() / 1_000.0);
    }
    for (reason, name) in REASONS {
        let counts = view.rejected.iter().filter(|((_, of), _)| *of == reason);
        let sum = counts.fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        text.count(&REJECTED, &[name], sum);
    }
}

fn node(text: &mut Text, node: &NodeReport, own: bool) {
    let name = node.name.as_str();
    for (state, label) in STATES {
        text.truth(&NODE_STATE, &[name, label], node.state == state);
    }
    text.truth(&STANDBY, &[name], node.standby);
    text.truth(&SATELLITE, &[name], node.satellite);
    text.truth(&STOPPED, &[name], node.stopped);
    text.truth(&QUARANTINE, &[name], node.quarantine.is_some());
    if let Some(fencing) = &node.fencing {
        for state in FencingState::ALL {
            text.truth(&FENCING, &[name, &state.to_string()], fencing.state == state);
        }
        text.put(&FENCE_FAILURES, &[name], f64::from(fencing.failures));
        if let Some(proven) = fencing.proven.as_deref().and_then(parse) {
            let since = proven.duration_since(UNIX_EPOCH).unwrap_or_default();
            text.put(&FENCING_PROVEN, &[name], since.as_secs_f64());
        }
    }
    if let Some(watchdog) = &node.watchdog {
        text.truth(&WATCHDOG, &[name], watchdog.relied_on);
    }
    if own {
        return;
    }
    if let Some(ms) = node.round_trip_ms {
        text.put(&ROUND_TRIP, &[name], ms / 1_000.0);
    }
    if let Some(hears) = node.hears_us {
        text.truth(&HEARS_US, &[name], hears);
    }
    if let Some(daemon) = node.daemon {
        text.truth(&DAEMON, &[name], daemon);
    }
    for link in &node.links {
        if let Some(up) = link.up {
            text.truth(&LINK_UP, &[name, &link.name], up);
        }
        if let Some(ms) = link.heard_ms {
            text.put(&LINK_SILENCE, &[name, &link.name], ms / 1_000.0);
        }
        if let Some(heard) = link.hears_us {
            text.truth(&LINK_HEARD, &[name, &link.name], heard);
        }
    }
}

/// What went over the links, as the guard counted it.
fn traffic(text: &mut Text, view: &View, report: &Report) {
    let links = view.state.config.iter().flat_map(|config| config.links.keys());
    let links: Vec<&str> = links.map(String::as_str).collect();
    for (node, peer) in report.peers.iter() {
        let name = view.state.name(*node);
        for (link, traffic) in peer.more.traffic.iter() {
            // A link that the configuration has no more: guards open theirs when they start.
            let Some(link) = links.get(usize::from(*link)) else { continue };
            text.count(&LINK_SENT, &[&name, link], traffic.sent);
            text.count(&LINK_RECEIVED, &[&name, link], traffic.received);
        }
    }
}

fn service(text: &mut Text, view: &View, service: &ServiceReport, tally: &Tally) {
    let labels = [service.name.as_str()];
    let id = ServiceId(service.name.clone());
    let holder = view.state.assignments.get(&id).map(|it| &it.holder);
    let here = matches!(holder, Some(Holder::Node(node)) if *node == view.identity.node);
    text.truth(&HERE, &labels, here);
    text.truth(&SERVING, &labels, service.state.serves());
    text.count(&SERVICE_EPOCH, &labels, service.epoch);
    let failures = service.failures.values().map(|count| u64::from(*count)).sum();
    text.count(&FAILURES, &labels, failures);
    text.count(&SERVICE_MOVES, &labels, tally.moves(&service.name));
    text.truth(&CONTESTED, &labels, view.strangers.iter().any(|it| it.service == id));
    if let Some(took) = service.answer_ms {
        text.put(&ANSWER, &labels, took / 1_000.0);
    }
    text.truth(&REST, &labels, service.stopped);
    text.truth(&MAINTENANCE, &labels, service.maintenance.is_some());
    text.put(&CLIENTS, &labels, small(view.clients.get(&id).copied().unwrap_or(0)));
    text.count(&CLIENTS_TOLD, &labels, tally.clients(&service.name));
    if let Some(seconds) = last_outage(view, &id) {
        text.put(&OUTAGE, &labels, seconds);
    }
}

/// How long the newest move of a service took, as far as its stages are committed.
fn last_outage(view: &View, service: &ServiceId) -> Option<f64> {
    let incidents = view.state.incidents.iter().rev();
    let mut about = incidents.filter(|it| it.moved.iter().any(|moved| moved.service == *service));
    let stages = about.next()?.stages.iter();
    let its_own = stages.filter(|it| it.service.as_ref() == Some(service) && serves(it.reached));
    let last = its_own.map(|it| it.after).max()?;
    Some(last.as_millis_f64() / 1_000.0)
}

/// Whether a stage brings the service nearer to its clients.
fn serves(reached: Reached) -> bool {
    match reached {
        Reached::Claimed | Reached::Announced | Reached::Started | Reached::Verified => true,
        Reached::Suspected
        | Reached::Elected
        | Reached::Proven
        | Reached::Decided
        | Reached::Stopped
        | Reached::Learned
        // For clients beyond the segment, who may be none: they have a metric of their own.
        | Reached::Redirected
        | Reached::Converged => false,
    }
}

fn log(text: &mut Text, view: &View) {
    let log = &view.log;
    text.truth(&LOG_RUNNING, &[], log.role != Role::Stopped);
    if let Some((_, index)) = log.last_log {
        text.count(&LOG_LAST, &[], index.0);
    }
    if let Some(index) = log.committed {
        text.count(&LOG_COMMITTED, &[], index.0);
    }
    if let Some(index) = log.applied {
        text.count(&LOG_APPLIED, &[], index.0);
    }
    text.count(&LOG_COMMITS, &[], view.commits.count);
    text.put(&LOG_COMMIT_TIME, &[], view.commits.time.as_secs_f64());
}

fn processes(text: &mut Text, view: &View) {
    let guard = view.guard.as_ref().map(|it| it.pid);
    for (name, pid) in [("daemon", Some(std::process::id())), ("guard", guard)] {
        let Some(usage) = pid.and_then(process::usage) else { continue };
        text.put(&CPU, &[name], usage.cpu);
        text.count(&RESIDENT, &[name], usage.resident);
        text.count(&THREADS, &[name], usage.threads);
    }
}

/// A number of things that are all in memory.
fn small(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
