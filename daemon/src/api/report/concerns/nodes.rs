//! What of nodes and links keeps the cluster from being protected.

use stead_core::quorum::Verdict;

use super::super::{
    Concern, FencingState, LinkReport, NodeReport, NodeState, QuorumReport, ServiceReport, Sight,
};
use super::{START, risk};

/// A node that is not where it should be.
pub(super) fn node(sight: &Sight<'_>, node: &NodeReport) -> Option<Concern> {
    let name = &node.name;
    let since = node.since.clone();
    match node.state {
        NodeState::Suspect => Some(risk(
            format!("{name} is not heard"),
            since,
            format!("wait a second; if it stays so, look at {name}: its power, its links"),
        )),
        NodeState::Down if was_fenced(node) => Some(risk(
            format!("{name} is down: its fence devices switched it off"),
            since,
            if node.fencing.as_ref().is_some_and(|it| it.stays_off) {
                "find out why (`stead fence history`), then switch it on; it comes back by itself"
                    .to_owned()
            } else {
                "it was switched on again; find out why (`stead fence history`)".to_owned()
            },
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

fn was_fenced(node: &NodeReport) -> bool {
    node.fencing.as_ref().is_some_and(|it| it.state == FencingState::Off)
}

/// Links between this node and another that carry one direction only, while the nodes hear each
/// other on others.
pub(super) fn directions(sight: &Sight<'_>, node: &NodeReport) -> Vec<Concern> {
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
pub(super) fn links(nodes: &[NodeReport]) -> Vec<Concern> {
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
pub(super) fn spare(quorum: &QuorumReport, nodes: &[NodeReport]) -> Option<Concern> {
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
pub(super) fn places(nodes: &[NodeReport], services: &[ServiceReport]) -> Option<Concern> {
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

pub(super) fn membership(quorum: &QuorumReport, node: &NodeReport) -> Option<Concern> {
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
