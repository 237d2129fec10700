//! Why not everything is protected: each reason with what to do about it.
//!
//! Happy path: [`concerns`] asks for each kind of reason in turn (those of nodes and links in
//! [`nodes`], others beside this folder), and sorts: outages first, and before all what explains
//! the rest.
//!
//! Failures: none. What this node can't know is no reason.
//!
//! Deliberately absent: what only deserves a look (`notes`), and anything that is not in the
//! report.

mod nodes;

use stead_core::quorum::Verdict;
use stead_log::Role;

use nodes::{directions, links, membership, node, places, spare};

use super::{
    Concern, Level, MaintenanceReport, NodeReport, NodeState, PointReport, QuorumReport,
    ServiceReport, ServiceState, Sight, fencing, kept, layers, points as reference,
    quorum as voters, watchdog,
};
use crate::journal::stamp;
use crate::redirect::Stranger;

const START: &str = "systemctl start stead-guard stead-daemon";

/// Every reason, worst first.
pub(super) fn concerns(
    sight: &Sight<'_>,
    quorum: &QuorumReport,
    nodes: &[NodeReport],
    services: &[ServiceReport],
    points: &[PointReport],
) -> Vec<Concern> {
    if sight.view.state.config.is_none() {
        return vec![unfounded(sight)];
    }
    let mut concerns = Vec::new();
    concerns.extend(disarmed(sight));
    concerns.extend(kept::all(sight).iter().map(maintenance));
    concerns.extend(stopped(nodes));
    concerns.extend(here(sight));
    concerns.extend(no_quorum(sight, quorum, nodes));
    // Without a quorum nothing is served on this side, and of the other side nothing is known.
    if sight.decides() {
        concerns.extend(services.iter().filter_map(|it| service(sight, it)));
    }
    concerns.extend(strangers(sight));
    concerns.extend(layers::concerns(sight));
    concerns.extend(nodes.iter().filter_map(|it| node(sight, it)));
    concerns.extend(links(nodes));
    concerns.extend(nodes.iter().flat_map(|it| directions(sight, it)));
    concerns.extend(reference::concerns(points).into_iter().filter(|it| it.level != Level::Note));
    concerns.extend(voters::concerns(sight, quorum));
    concerns.extend(voters::left(sight, quorum));
    concerns.extend(spare(quorum, nodes));
    concerns.extend(places(nodes, services));
    concerns.extend(nodes.iter().filter_map(|it| membership(quorum, it)));
    concerns.extend(fencing::concerns(sight, nodes));
    concerns.extend(watchdog::concerns(nodes));
    concerns.sort_by_key(|concern| concern.level);
    // They explain the others.
    let explains = |it: &Concern| {
        let all = [DISARMED, MAINTENANCE, STOPPED];
        all.iter().position(|begins| it.what.starts_with(begins)).unwrap_or(all.len())
    };
    concerns.sort_by_key(explains);
    concerns
}

/// What the first line has while nothing moves.
const DISARMED: &str = "Disarmed until ";

/// Nothing moves until then, by this node's count. The wall clock is for people: the time itself is
/// counted on a clock that nobody sets.
fn disarmed(sight: &Sight<'_>) -> Option<Concern> {
    let it = sight.view.state.more.disarmed.as_ref()?;
    let left = sight.view.at.until(sight.view.disarmed_until?);
    let until = stamp(sight.view.wall + std::time::Duration::from_micros(left.as_micros()));
    let time = until.split_once('T').and_then(|(_, time)| time.get(..5)).unwrap_or(&until);
    let why = if it.reason.is_empty() { String::new() } else { format!(" ({})", it.reason) };
    let what = format!("{DISARMED}{time} UTC by {}: nothing moves{why}", it.by);
    Some(risk(what, None, "when the work is done: stead disarm --off".to_owned()))
}

/// What the first line has while something is left as it is.
const MAINTENANCE: &str = "Maintenance of ";

/// Something is left as it is until an operator says otherwise.
fn maintenance(it: &MaintenanceReport) -> Concern {
    let why = if it.reason.is_empty() { String::new() } else { format!(" ({})", it.reason) };
    let what = format!(
        "{MAINTENANCE}{}, begun on {}: it is held and watched, and nothing of it is started, \
         stopped or moved{why}",
        it.what, it.by
    );
    let which = match it.kind.as_str() {
        "cluster" => "--cluster".to_owned(),
        "node" => format!("--node {}", it.what),
        _ => it.what.clone(),
    };
    let next = format!("when the work is done: stead maintenance {which} --off");
    risk(what, Some(it.since.clone()), next)
}

/// What the first line has while an operator keeps nodes from serving.
const STOPPED: &str = "Stopped by an operator: ";

/// A site is stopped, or everything.
fn stopped(nodes: &[NodeReport]) -> Option<Concern> {
    let stopped: Vec<_> = nodes.iter().filter(|it| it.stopped).collect();
    let first = stopped.first()?;
    let joined = nodes.iter().filter(|it| it.number.is_some()).count();
    let one_site = stopped.iter().all(|it| it.site == first.site);
    let site = first.site.as_ref().filter(|_| one_site);
    let (what, next) = match site {
        _ if stopped.len() == joined => {
            (format!("{STOPPED}everything, nothing is served"), "stead start --all".to_owned())
        }
        Some(site) => (
            format!("{STOPPED}the site {site}, nothing is served there"),
            format!("stead start --site {site}"),
        ),
        None => {
            let names: Vec<_> = stopped.iter().map(|it| it.name.as_str()).collect();
            (format!("{STOPPED}{}", names.join(", ")), "stead start --all".to_owned())
        }
    };
    Some(risk(what, None, format!("when it shall serve again: {next}")))
}

fn outage(what: String, since: Option<String>, next: String) -> Concern {
    Concern { level: Level::Outage, what, since, next }
}

fn risk(what: String, since: Option<String>, next: String) -> Concern {
    Concern { level: Level::Risk, what, since, next }
}

fn unfounded(sight: &Sight<'_>) -> Concern {
    let what = "this node has nothing of the cluster's state yet".to_owned();
    let next = if sight.view.identity.members.len() > 1 {
        "wait a few seconds; if it stays so, see that the other members run and can be reached"
    } else {
        "wait a few seconds; if it stays so, see `stead events`"
    };
    outage(what, None, next.to_owned())
}

/// What this node itself suffers from.
fn here(sight: &Sight<'_>) -> Vec<Concern> {
    let view = sight.view;
    let me = &view.identity.name;
    let mut concerns = Vec::new();
    if view.log.role == Role::Stopped {
        concerns.push(risk(
            format!("the disk of {me} can't be written: it gave up its services"),
            sight.history.store(),
            format!(
                "free space or replace the disk, then on {me}: systemctl restart stead-guard \
                 stead-daemon"
            ),
        ));
    }
    match &view.report {
        None => concerns.push(risk(
            format!("the guard of {me} does not answer: nothing can be served there"),
            sight.history.guard(),
            format!("on {me}: systemctl restart stead-guard; journalctl -u stead-guard"),
        )),
        Some(report) if report.clock_distrusted => concerns.push(risk(
            format!("the clock of {me} runs too fast or too slow: it gets no lease"),
            sight.history.clock(),
            format!("on {me}: look at the time daemon (chronyc tracking); the lease comes back"),
        )),
        Some(report) if report.released => concerns.push(risk(
            format!("the guard of {me} has given up its lease and is ending"),
            None,
            format!("on {me}, if it shall serve again: {START}"),
        )),
        Some(_) => {}
    }
    if !view.ready && view.log.role != Role::Stopped {
        concerns.push(risk(
            format!("{me} is still catching up with the others"),
            None,
            "wait a few seconds".to_owned(),
        ));
    }
    concerns
}

fn no_quorum(sight: &Sight<'_>, quorum: &QuorumReport, nodes: &[NodeReport]) -> Option<Concern> {
    let QuorumReport { verdict, voters, present, needed, .. } = quorum;
    if *verdict == Verdict::HaveQuorum.to_string() {
        let silent = sight.view.log.leader.is_none();
        return silent.then(|| {
            let next = "wait a second; if it stays so, see `stead events`".to_owned();
            risk("nobody coordinates at present".to_owned(), sight.history.coordinator(), next)
        });
    }
    let me = &sight.view.identity.name;
    let served = if sight.view.state.is_disarmed() && sight.leased() {
        "what runs here goes on, and nothing can be changed from this side"
    } else {
        "nothing is served on this side"
    };
    let missing = nodes.iter().filter(|it| it.votes && absent(it.state));
    let missing: Vec<&str> = missing.map(|it| it.name.as_str()).collect();
    if let Some((why, next)) = voters::refused(quorum) {
        let what = format!("no quorum: {present} of {voters} voters are here, and {why}: {served}");
        return Some(outage(what, sight.history.coordinator(), next));
    }
    let next = if missing.is_empty() {
        "wait a few seconds; if it stays so, see `stead events`".to_owned()
    } else {
        let missing = missing.join(", ");
        let word = voters::overridable(sight);
        format!("bring back any of {missing}: its power, its links, then there: {START}{word}")
    };
    Some(outage(
        format!(
            "no quorum: {me} hears {present} of {voters} voters and {needed} are needed, so \
             {served}"
        ),
        sight.history.coordinator(),
        next,
    ))
}

fn absent(state: NodeState) -> bool {
    match state {
        NodeState::Suspect | NodeState::Down => true,
        NodeState::InView | NodeState::Coming | NodeState::NotJoined => false,
    }
}

fn service(sight: &Sight<'_>, service: &ServiceReport) -> Option<Concern> {
    let ServiceReport { name, state, .. } = service;
    let node = service.node.as_deref().unwrap_or("no node");
    let detail = service.detail.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
    let (what, next) = match state {
        ServiceState::Runs | ServiceState::Held | ServiceState::Unknown => return None,
        ServiceState::Starting if !service.lacks.is_empty() => (
            format!("{name} waits on {node} for {}, which it needs", service.lacks.join(", ")),
            format!("see what keeps {} from running", service.lacks.join(", ")),
        ),
        ServiceState::Starting => (
            format!("{name} is starting on {node}{detail}"),
            "wait; if it takes long, see `stead events`".to_owned(),
        ),
        ServiceState::Stopping => (
            format!("{name} is stopping on {node}{detail}"),
            "wait; it goes on elsewhere once it has stopped".to_owned(),
        ),
        ServiceState::Conflict => (
            format!("{name} waits: another machine answers at its address{detail}"),
            "find the machine with that hardware address and take the address from it".to_owned(),
        ),
        ServiceState::Lost if service.stays_with.is_some() => (
            format!(
                "{name} is not served: it stays with {node}, which is lost, until that is proven \
                 to be off"
            ),
            fencing::what_frees(sight, node),
        ),
        ServiceState::Lost => {
            let own = node == sight.view.identity.name;
            let why = if own { "has no lease" } else { "is not heard" };
            (
                format!("{name} is not served: its node {node} {why}"),
                if sight.view.state.is_disarmed() {
                    waits(node)
                } else {
                    "wait a second; it goes to another node".to_owned()
                },
            )
        }
        // Its own note says so.
        ServiceState::Stopped if service.stopped => return None,
        ServiceState::Stopped if service.maintenance.is_some() => (
            format!("{name} runs nowhere, and is not started while it is in maintenance"),
            "end the maintenance: see above".to_owned(),
        ),
        ServiceState::Stopped => {
            (format!("{name} runs nowhere{detail}"), next_of_nowhere(sight, service))
        }
    };
    Some(outage(what, service.since.clone(), next))
}

/// What to do about a service that nobody has, and nobody keeps from running.
fn next_of_nowhere(sight: &Sight<'_>, service: &ServiceReport) -> String {
    let (state, name) = (&sight.view.state, &service.name);
    if state.is_disarmed() {
        waits("its node")
    } else if state.members.keys().all(|it| state.is_halted(*it)) {
        "when it shall run again: stead start --all".to_owned()
    } else if !service.failures.is_empty() {
        format!("mend why it failed (`stead events`), then: stead clear {name}")
    } else if !service.copies.is_empty() {
        "see the copies below; `stead status` on their nodes shows why one does not start"
            .to_owned()
    } else {
        "bring a node back that can take it: see the nodes below".to_owned()
    }
}

/// Machines that use an address which this node answers for: some clients may reach them instead.
fn strangers(sight: &Sight<'_>) -> Vec<Concern> {
    let concern = |it: &Stranger| {
        let Stranger { address, service, interface, mac } = it;
        let me = &sight.view.identity.name;
        risk(
            format!("{address} of {service} is also used by {mac} on {interface}; {me} defends it"),
            None,
            "find the machine with that hardware address and take the address from it".to_owned(),
        )
    };
    sight.view.strangers.iter().map(concern).collect()
}

/// What becomes of a service whose node is away while nothing moves.
fn waits(node: &str) -> String {
    format!(
        "disarmed: it waits for {node}, or for the end of that; to move it all the same: stead \
         disarm --off"
    )
}
