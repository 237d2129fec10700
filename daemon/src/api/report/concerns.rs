//! Why not everything is protected: each reason with what to do about it.

use stead_core::quorum::Verdict;
use stead_log::Role;

use super::{
    Concern, Level, LinkReport, MaintenanceReport, NodeReport, NodeState, PointReport,
    QuorumReport, ServiceReport, ServiceState, Sight,
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
    concerns.extend(super::kept::all(sight).iter().map(maintenance));
    concerns.extend(stopped(nodes));
    concerns.extend(here(sight));
    concerns.extend(no_quorum(sight, quorum, nodes));
    // Without a quorum nothing is served on this side, and of the other side nothing is known.
    if sight.decides() {
        concerns.extend(services.iter().filter_map(|it| service(sight, it)));
    }
    concerns.extend(strangers(sight));
    concerns.extend(nodes.iter().filter_map(|it| node(sight, it)));
    concerns.extend(links(nodes));
    concerns.extend(nodes.iter().flat_map(|it| directions(sight, it)));
    concerns
        .extend(super::points::concerns(points).into_iter().filter(|it| it.level != Level::Note));
    concerns.extend(super::quorum::concerns(sight, quorum));
    concerns.extend(super::quorum::left(sight, quorum));
    concerns.extend(spare(quorum, nodes));
    concerns.extend(places(nodes, services));
    concerns.extend(nodes.iter().filter_map(|it| membership(quorum, it)));
    concerns.extend(super::watchdog::concerns(nodes));
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
    if let Some((why, next)) = super::quorum::refused(quorum) {
        let what = format!("no quorum: {present} of {voters} voters are here, and {why}: {served}");
        return Some(outage(what, sight.history.coordinator(), next));
    }
    let next = if missing.is_empty() {
        "wait a few seconds; if it stays so, see `stead events`".to_owned()
    } else {
        let missing = missing.join(", ");
        let word = super::quorum::overridable(sight);
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
            what_frees(sight, node),
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

/// What lets go elsewhere what stays with a lost node.
fn what_frees(sight: &Sight<'_>, node: &str) -> String {
    let state = &sight.view.state;
    if state.node(node).is_some_and(|node| state.relied_on(node).is_some()) {
        return "wait a few seconds: by then its watchdog has certainly reset it".to_owned();
    }
    format!(
        "bring {node} back; or make sure that it is off and say so: stead fence confirm-off {node} \
         --reason \"what you looked at\""
    )
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

fn node(sight: &Sight<'_>, node: &NodeReport) -> Option<Concern> {
    let name = &node.name;
    let since = node.since.clone();
    match node.state {
        NodeState::Suspect => Some(risk(
            format!("{name} is not heard"),
            since,
            format!("wait a second; if it stays so, look at {name}: its power, its links"),
        )),
        NodeState::Down => Some(risk(
            format!("{name} is down"),
            since,
            format!("find out why, then on {name}: {START}; it comes back by itself"),
        )),
        NodeState::Coming => Some(risk(
            format!("{name} is heard, and not yet in the view"),
            since,
            format!("wait a few seconds; if it stays so, on {name}: systemctl status stead-daemon"),
        )),
        NodeState::InView if node.daemon == Some(false) => {
            let config = sight.view.state.config.as_ref();
            let grace = config.map_or(0.0, |it| it.daemon_grace.as_millis_f64() / 1_000.0);
            Some(risk(
                format!("the daemon of {name} is away; it keeps its services for {grace} s"),
                None,
                format!("on {name}: systemctl restart stead-daemon; journalctl -u stead-daemon"),
            ))
        }
        NodeState::InView if node.hears_us == Some(false) => {
            let me = &sight.view.identity.name;
            Some(risk(
                format!("{name} is heard and does not hear {me}: one direction is cut"),
                None,
                format!("look at the links between {me} and {name}, and at their packet filters"),
            ))
        }
        NodeState::InView | NodeState::NotJoined => None,
    }
}

/// Links between this node and another that carry one direction only, while the nodes hear each
/// other on others.
fn directions(sight: &Sight<'_>, node: &NodeReport) -> Vec<Concern> {
    let fine = node.state == NodeState::InView && node.hears_us == Some(true);
    let me = &sight.view.identity.name;
    let links = node.links.iter().filter(|_| fine).filter_map(|link| {
        let (hearing, deaf) = match (link.up?, link.hears_us?) {
            (true, false) => (me, &node.name),
            (false, true) => (&node.name, me),
            (true, true) | (false, false) => return None,
        };
        Some(risk(
            format!("{}: {hearing} hears {deaf}, {deaf} does not hear {hearing}", link.name),
            None,
            format!(
                "on the link {}, look for what is lost from {hearing} to {deaf}: packet filters, \
                 the address of {deaf} in cluster.toml, the switch",
                link.name
            ),
        ))
    });
    links.collect()
}

/// Links that are silent while their nodes are heard on others.
fn links(nodes: &[NodeReport]) -> Vec<Concern> {
    let mut concerns = Vec::new();
    let heard: Vec<&NodeReport> =
        nodes.iter().filter(|it| it.state == NodeState::InView && it.guard == Some(true)).collect();
    let mut names: Vec<&str> =
        heard.iter().flat_map(|it| it.links.iter().map(|link| link.name.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    for link in names {
        let on = |up: bool| {
            let of = |node: &&&NodeReport| {
                // One direction that works is named with its own words.
                let whole = |it: &&LinkReport| up || it.hears_us != Some(true);
                node.links.iter().filter(whole).any(|it| it.name == link && it.up == Some(up))
            };
            heard.iter().filter(of).map(|it| it.name.as_str()).collect::<Vec<_>>()
        };
        let (up, silent) = (on(true), on(false));
        let next = "look at the cables, ports and addresses of that link; the next fault of a \
                    link is a fault of a node";
        if silent.is_empty() {
            continue;
        }
        let what = if up.is_empty() {
            format!("nothing is heard on the link {link}")
        } else {
            format!("nothing is heard on the link {link} from {}", silent.join(", "))
        };
        concerns.push(risk(what, None, next.to_owned()));
    }
    concerns
}

/// Whether one more voter may fail.
fn spare(quorum: &QuorumReport, nodes: &[NodeReport]) -> Option<Concern> {
    if quorum.spare > 0 || quorum.verdict != Verdict::HaveQuorum.to_string() {
        return None;
    }
    let (present, voters) = (quorum.present, quorum.voters);
    let what = match voters {
        1 => "there is one voter only: if it fails, everything stops".to_owned(),
        2 => "of two voters the survivor of a failure stops".to_owned(),
        _ => format!("one more failure stops the cluster: {present} of {voters} voters are here"),
    };
    let next = if present < voters {
        "bring the missing voters back before anything else".to_owned()
    } else if nodes.iter().any(|it| it.state == NodeState::NotJoined) {
        "let the nodes below join that have not".to_owned()
    } else {
        "add a third node (to cluster.toml, `stead apply`, `stead token NODE`), or a quorum server \
         on any other machine: there `stead quorum-server enrol`, here what that prints"
            .to_owned()
    };
    Some(risk(what, None, next))
}

/// Whether another node could take the services of one that fails.
fn places(nodes: &[NodeReport], services: &[ServiceReport]) -> Option<Concern> {
    let able = |it: &&NodeReport| it.state == NodeState::InView && !it.standby && !it.stopped;
    let able: Vec<&str> = nodes.iter().filter(able).map(|it| it.name.as_str()).collect();
    let standby = nodes.iter().find(|it| it.state == NodeState::InView && it.standby)?;
    if services.is_empty() || able.len() > 1 {
        return None;
    }
    let what = match able.first() {
        Some(able) => format!("only {able} may serve: if it fails, its services have no place"),
        None => "every node that is here is on standby: none may serve".to_owned(),
    };
    let next = format!("stead standby {} --off", standby.name);
    Some(risk(what, standby.since.clone(), next))
}

fn membership(quorum: &QuorumReport, node: &NodeReport) -> Option<Concern> {
    let name = &node.name;
    match node.state {
        NodeState::NotJoined => Some(risk(
            format!("{name} is in the configuration and has not joined"),
            None,
            format!("stead token {name}, and on {name} what that prints"),
        )),
        NodeState::InView if !node.votes && !node.satellite => Some(risk(
            format!("{name} has no vote yet"),
            None,
            if quorum.waits_for_breaker() {
                "an even number of voters changes with a number of the tie-breaker's, which does \
                 not answer, or does not know yet what it granted: see what `stead quorum` says"
            } else {
                "wait a few seconds: it gets its vote when its log is complete"
            }
            .to_owned(),
        )),
        NodeState::InView | NodeState::Suspect | NodeState::Coming | NodeState::Down => None,
    }
}
