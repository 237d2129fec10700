//! Why services are where they are, and what would become of them: by another configuration, or
//! after a failure. Everything is asked of the planner that the coordinator uses, on what this node
//! sees; nothing is changed.

use std::collections::BTreeSet;

use stead_core::id::{Index, NodeId, ServiceId};
use stead_core::placement::{
    self, Able, Decision, Factor, Obstacle, Plan, Sight, Verdict, Why, settled, without,
};
use stead_core::state::config::{Config, Place};
use stead_core::state::{Change, Holder, Outcome, Refusal, State};

use super::expected::of_failure;
use super::message::{
    ExplainAnswer, Failure, GoesOn, LossAnswer, NodeVerdict, PlannedMove, SharedPrefix,
    SimulateAnswer, Standing,
};
use super::outage;
use super::requests::{Answered, config_of};
use super::{links, lower};
use crate::config::Checked;
use crate::driver::times;
use crate::driver::view::View;
use crate::journal::wall;

/// How many nodes times services are planned for each node's failure, beyond which that is left
/// out: it would take seconds.
const MOST_LOSSES: usize = 200_000;

/// Who could take something, as far as this node sees.
pub(super) fn able(view: &View) -> Able {
    let alive = |node: NodeId| {
        let peers = view.report.as_ref().map(|report| &report.peers);
        peers.and_then(|peers| peers.get(&node)).is_some_and(|peer| peer.daemon_alive)
    };
    let own = view.identity.node;
    let nodes = view.state.view.keys().copied();
    let nodes = nodes.filter(|node| *node == own || view.hears(*node) && alive(*node)).collect();
    Able { nodes, quarantined: view.quarantined.keys().copied().collect() }
}

/// Why a service is on its node, and why not on each other one.
pub(super) fn explain(view: &View, service: &str) -> Answered<ExplainAnswer> {
    let state = &view.state;
    let config = config_of(state)?;
    let id = ServiceId::from(service);
    if !config.services.contains_key(&id) {
        return Err(no_such_service(config, service));
    }
    let able = able(view);
    let sight = Sight::new(state, &able, &view.seen);
    let holder = state.assignments.get(&id).map(|it| it.holder.clone()).unwrap_or_default();
    let on = holder.node().map(|node| state.name(node));
    let verdicts = placement::verdicts(sight, &id);
    let best = verdicts.iter().find(|(_, it)| *it == Verdict::Best).map(|(node, _)| *node);
    let why = why_there(state, &id, &holder, best);
    let nodes = verdicts.iter().map(|(node, verdict)| {
        let name = state.name(*node);
        let here = on.as_ref() == Some(&name);
        match verdict {
            Verdict::Best => {
                let why = "nothing speaks against it, and none is better".to_owned();
                NodeVerdict { node: name, standing: Standing::Best, here, why, change: None }
            }
            Verdict::Worse(factor) => {
                let better = best.map(|best| state.name(best)).unwrap_or_default();
                let why = format!("{better} is better: {factor}");
                let change = change_of_factor(*factor, service, &name);
                NodeVerdict { node: name, standing: Standing::Worse, here, why, change }
            }
            Verdict::Barred(obstacle) => {
                let (why, change) = (obstacle.to_string(), change_of(obstacle, service, &name));
                NodeVerdict {
                    node: name,
                    standing: Standing::Barred,
                    here,
                    why,
                    change: Some(change),
                }
            }
        }
    });
    let nodes = nodes.collect();
    let lowered = lower::in_words(state, &id);
    Ok(ExplainAnswer { service: service.to_owned(), on, why, lowered, nodes })
}

pub(super) fn no_such_service(config: &Config, name: &str) -> Failure {
    let names: Vec<_> = config.services.keys().map(ToString::to_string).collect();
    Failure::unchanged(
        format!("there is no service {name}; nothing was changed"),
        format!("the services are: {}", names.join(", ")),
    )
}

/// Why a service is where it is, in a sentence.
fn why_there(state: &State, id: &ServiceId, holder: &Holder, best: Option<NodeId>) -> String {
    if state.is_stopped(id) {
        return format!("an operator stopped it: stead start {id}");
    }
    if state.is_maintained(id) {
        return "it is in maintenance, and left as it is".to_owned();
    }
    match holder {
        Holder::Node(node) if !state.view.contains_key(node) => format!(
            "it stays with {}, which is lost, until that is proven to be off: see `stead status`",
            state.name(*node)
        ),
        Holder::Node(node) if best == Some(*node) => "it is on the best node".to_owned(),
        Holder::Node(_) => {
            let why = "it works there, and what works stays while it may; `failback` alone has it \
                       go to a node that it prefers";
            why.to_owned()
        }
        Holder::Stopping { .. } => "it is being stopped there".to_owned(),
        Holder::Never | Holder::Stopped { .. } if best.is_some() => {
            "it is nowhere at this moment, and about to start".to_owned()
        }
        Holder::Never | Holder::Stopped { .. } => "no node may have it".to_owned(),
    }
}

/// What an operator can do about an obstacle.
fn change_of(obstacle: &Obstacle, service: &str, node: &str) -> String {
    match obstacle {
        Obstacle::Away => format!("bring {node} back"),
        Obstacle::Unable => {
            "wait, or see `stead status`: it is suspected, or its daemon is away".into()
        }
        Obstacle::Withdrawn => {
            format!("stead standby {node} --off, stead start, or stead maintenance {node} --off")
        }
        Obstacle::Unfit => format!("see `stead status`: which copy of {service} is fit"),
        Obstacle::Place => format!("change `only` or `never` of {service} in cluster.toml"),
        Obstacle::Full { quantity, left, needed } => format!(
            "free {} of {quantity} on {node}, or give it more: `capacity` in cluster.toml",
            needed.saturating_sub(*left)
        ),
        Obstacle::Apart(other) => {
            format!("move {other} elsewhere, or change `apart` of the two in cluster.toml")
        }
        Obstacle::Together(other) => {
            format!("move {other} to {node}, or change `together` of the two in cluster.toml")
        }
    }
}

/// What an operator can do about what makes a node the worse one.
fn change_of_factor(factor: Factor, service: &str, node: &str) -> Option<String> {
    match factor {
        Factor::Unharmed | Factor::NotTried => Some(format!("stead clear {service}")),
        Factor::Rules => {
            Some(format!("change `prefer` of {service}, or move it: stead move {service} {node}"))
        }
        Factor::Load | Factor::Number => Some(format!("stead move {service} {node}")),
        Factor::Reach | Factor::SteadyReach | Factor::Steady | Factor::Wish | Factor::Score => None,
    }
}

/// What applying a configuration would move, and what each node's failure would cost then.
///
/// # Errors
/// Every member would refuse it at this moment.
pub(super) fn by_config(
    view: &View,
    new: &Config,
) -> Result<(Vec<PlannedMove>, Vec<LossAnswer>), Refusal> {
    let able = able(view);
    let after = under(&view.state, new)?;
    let plan = placement::plan(Sight::new(&after, &able, &view.seen));
    let before = losses(view, &view.state, &able);
    let then = losses(view, &settled(&after, &plan), &able);
    let differ = before.iter().zip(&then).filter(|(before, then)| before != then);
    let losses = differ.map(|((node, before), (_, then))| LossAnswer {
        node: node.clone(),
        before: before.clone(),
        after: then.clone(),
    });
    Ok((moves(&after, &plan), losses.collect()))
}

/// A state as it would be with another configuration.
pub(super) fn under(state: &State, config: &Config) -> Result<State, Refusal> {
    let mut state = state.clone();
    let change = Change::Configure { base: state.revision, config: config.clone() };
    match state.apply(Index(state.applied.0 + 1), change) {
        Outcome::Refused(refusal) => Err(refusal),
        Outcome::Done | Outcome::Joined(_) => {
            // What the clock would bring a moment later; refused if it brings nothing new.
            let open = times::open(&state, wall());
            let _nothing_new = state.apply(state.applied, Change::Times { open });
            Ok(state)
        }
    }
}

/// For each node in the view, which services would be nowhere if it failed, or wait for it.
fn losses(view: &View, state: &State, able: &Able) -> Vec<(String, Vec<String>)> {
    if state.view.len() * state.assignments.len() > MOST_LOSSES {
        return Vec::new();
    }
    let lost = |node: &NodeId| {
        let (after, waits) = without(state, &[*node].into());
        let mut able = able.clone();
        able.nodes.remove(node);
        let plan = placement::plan(Sight::new(&after, &able, &view.seen));
        let all: BTreeSet<_> = placement::nowhere(&plan).chain(waits.keys()).collect();
        (state.name(*node), all.into_iter().map(ToString::to_string).collect())
    };
    state.view.keys().map(lost).collect()
}

/// What a plan does, a line for each service that it does something about.
fn moves(state: &State, plan: &Plan) -> Vec<PlannedMove> {
    let name = |node: Option<NodeId>| node.map(|node| state.name(node));
    let step = |(service, it): (&ServiceId, &Decision)| {
        let nowhere = it.to.is_none() && it.why == Why::Nowhere;
        (it.is_change() || nowhere).then(|| PlannedMove {
            service: service.to_string(),
            from: name(it.from),
            to: name(it.to),
            why: words(state, it),
            outage_ms: it
                .from
                .and(it.to)
                .and_then(|_| outage::of_planned_move(state, service))
                .map(|took| took.as_micros() / 1_000),
            prefixes: along(state, service),
        })
    };
    plan.decisions.iter().filter_map(step).collect()
}

/// What goes along with a service since it is announced as one.
fn along(state: &State, service: &ServiceId) -> Vec<SharedPrefix> {
    let Some(config) = &state.config else { return Vec::new() };
    let prefixes = config.announced_prefixes(service).into_iter();
    let shared = prefixes.map(|prefix| {
        let mut shared =
            SharedPrefix { prefix: prefix.to_string(), addresses: 0, services: vec![] };
        for (service, its) in &config.services {
            let within = its.addresses.iter().map(|it| config.announced_as(it.ip));
            let count = within.filter(|it| *it == Some(prefix)).count();
            shared.addresses += count;
            shared.services.extend((count > 0).then(|| service.to_string()));
        }
        shared
    });
    shared.collect()
}

/// Why a plan does that, in words.
pub(super) fn words(state: &State, decision: &Decision) -> String {
    let there = match &decision.why {
        Why::Left => String::new(),
        Why::Stays => "nothing speaks against where it is".to_owned(),
        Why::Only => "no other node may have it".to_owned(),
        Why::Better { than, by } => format!("better than {}: {by}", state.name(*than)),
        Why::RoomMade => "others make room for it".to_owned(),
        Why::NowhereElse => "no other node may have it".to_owned(),
        Why::Nowhere => "no node may have it".to_owned(),
    };
    match &decision.leaves {
        Some(leaves) if there.is_empty() => leaves.to_string(),
        Some(leaves) => format!("{leaves}; {there}"),
        None => there,
    }
}

/// What would become of everything if those failed, by the configuration in force or another.
pub(super) fn simulate(
    view: &View,
    fail: &[String],
    other: Option<&Checked>,
) -> Answered<SimulateAnswer> {
    let mut state = (*view.state).clone();
    config_of(&state)?;
    let able = able(view);
    if let Some(checked) = other {
        state = under(&state, &checked.config).map_err(|refusal| {
            let message = format!("that file would be refused: {refusal}; nothing was changed");
            Failure::unchanged(message, "see what `stead plan` says of it")
        })?;
        let plan = placement::plan(Sight::new(&state, &able, &view.seen));
        state = settled(&state, &plan);
    }
    let (mut gone, cut) = failing(&state, fail)?;
    let fails = gone.iter().map(|node| state.name(*node)).collect();
    let voters: Vec<NodeId> = view.log.membership.voters.iter().copied().collect();
    let here = voters.iter().filter(|node| !gone.contains(node) && state.view.contains_key(node));
    let voters_left = here.count();
    let config = config_of(&state)?;
    let links = (!cut.is_empty()).then(|| links::without(view, &state, config, &cut, &gone));
    let voters = voters.len();
    let alone = links.as_ref().map_or(&GoesOn::All, |it| &it.goes_on);
    if *alone == GoesOn::Nobody {
        let (moves, waits) = (links::all_stop(&state), Vec::new());
        let expected = Vec::new();
        return Ok(SimulateAnswer { fails, links, voters, voters_left, moves, waits, expected });
    }
    if let GoesOn::Node(name) = alone {
        // Whoever is alone and does not go on gives up what it has, as if it had failed.
        gone.extend(state.members.keys().filter(|node| state.name(**node) != *name));
    }
    let lines = other.map_or(&[][..], |it| &it.expect_lines);
    let expected = match cut.is_empty() {
        true => of_failure(view, &state, &able, &gone, lines),
        false => Vec::new(),
    };
    let (after, waits) = without(&state, &gone);
    let mut left = able;
    left.nodes.retain(|node| !gone.contains(node));
    let plan = placement::plan(Sight::new(&after, &left, &view.seen));
    let waits = waits
        .iter()
        .map(|(service, node)| format!("{service} (waits for {})", state.name(*node)))
        .collect();
    let moves = moves(&after, &plan);
    Ok(SimulateAnswer { fails, links, voters, voters_left, moves, waits, expected })
}

/// The nodes and links that words name: a node, all with a label, or a link.
fn failing(state: &State, fail: &[String]) -> Answered<(BTreeSet<NodeId>, BTreeSet<String>)> {
    let config = config_of(state)?;
    let (mut gone, mut cut) = (BTreeSet::new(), BTreeSet::new());
    for text in fail {
        let place = Place::of(text);
        let meant = |node: &&NodeId| config.is_there(&state.name(**node), &place);
        let nodes: Vec<NodeId> = state.members.keys().filter(meant).copied().collect();
        if let Some(link) = links::named(config, text, !nodes.is_empty())? {
            cut.insert(link.to_owned());
        } else if nodes.is_empty() {
            let names: Vec<_> = state.members.values().map(|it| it.name.as_str()).collect();
            let links: Vec<_> = config.links.keys().map(String::as_str).collect();
            let (names, links) = (names.join(", "), links.join(", "));
            return Err(Failure::unchanged(
                format!("nothing is called {text}; nothing was changed"),
                format!("name a node ({names}), a link ({links}), or a label as in  site=east"),
            ));
        }
        gone.extend(nodes);
    }
    Ok((gone, cut))
}
