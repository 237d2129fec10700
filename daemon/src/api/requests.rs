//! What each request does: a look at the picture, or a change that the driver submits.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use stead_core::id::{Index, NodeId, ServiceId};
use stead_core::points::{Seen, View as Seeing};
use stead_core::state::config::Config;
use stead_core::state::{Cause, Change, Holder, Outcome, Scope, State};
use tokio::time::timeout;

use super::message::{
    ApplyAnswer, ChangeAnswer, Changed, ConfigAnswer, Failure, Memory, MetricsAnswer, PlanAnswer,
    PlannedChange, Request, TextProblem, TokenAnswer,
};
use super::server::LOOK_BACK;
use super::token::Token;
use super::{Desk, disarm, enrol, features, halt, overrule, report};
use crate::config::{self, Checked, differences};
use crate::driver::handle::{Handle, SubmitError};
use crate::tools;

/// How long a change may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long this node may take to apply what it submitted itself.
const CATCH_UP: Duration = Duration::from_secs(5);

pub(super) type Answered<T> = Result<T, Failure>;

/// Carries out a request that has one answer.
pub(super) async fn carry_out(desk: &Desk, request: Request) -> Answered<Value> {
    match request {
        Request::Config => json(&in_force(&state(desk))?),
        Request::Plan { text } => json(&plan(&state(desk), &text)?),
        Request::Apply { text, base } => json(&apply(desk, &text, base).await?),
        Request::Token { node } => json(&token(desk, &node).await?),
        Request::Move { service, node } => json(&move_service(desk, &service, &node).await?),
        Request::Standby { node, on } => json(&standby(desk, &node, on).await?),
        Request::Disarm { seconds, reason } => json(&disarm::disarm(desk, seconds, reason).await?),
        Request::Arm => json(&disarm::arm(desk).await?),
        Request::Enrol { token } => json(&enrol::enrol(desk, &token).await?),
        Request::Unenrol => json(&enrol::unenrol(desk).await?),
        Request::Override { seconds, force, reason } => {
            json(&overrule::overrule(desk, seconds, force, reason).await?)
        }
        Request::Clear { service } => json(&clear(desk, service).await?),
        Request::Halt { site, on } => json(&halt::halt(desk, site.as_deref(), on).await?),
        Request::Steady { node } => json(&steady(desk, node).await?),
        Request::Leave { node } => json(&leave(desk, node).await?),
        Request::Incident { number } => json(&incident(desk, number)?),
        Request::Timers => json(&timers(desk)?),
        Request::Tools => json(&tools::answer(&desk.handle.view())),
        Request::Remember { memory, node, name, value } => {
            json(&remember(desk, memory, node, name, value).await?)
        }
        Request::Metrics => json(&MetricsAnswer { text: desk.metrics.text() }),
        // Both are answered with many lines elsewhere; one that is not watched is one picture.
        Request::Status { .. } | Request::Events { .. } => {
            json(&report::status(&desk.handle.view(), &desk.journal.tail(LOOK_BACK)))
        }
    }
}

fn json<T: Serialize>(value: &T) -> Answered<Value> {
    serde_json::to_value(value).map_err(|error| Failure {
        message: format!("the answer can't be written: {error}"),
        changed: Changed::Unknown,
        next: "this is a bug; look at `stead status`".to_owned(),
        problems: Vec::new(),
    })
}

fn state(desk: &Desk) -> std::sync::Arc<State> {
    desk.handle.view().state.clone()
}

pub(super) fn config_of(state: &State) -> Answered<&Config> {
    state.config.as_ref().ok_or_else(|| {
        Failure::unchanged(
            "this node has nothing of the cluster's state yet; nothing was changed",
            "wait a few seconds, then look at `stead status`",
        )
    })
}

fn in_force(state: &State) -> Answered<ConfigAnswer> {
    Ok(ConfigAnswer { revision: state.revision, text: config::render(config_of(state)?) })
}

fn read(text: &str) -> Answered<Checked> {
    config::read("cluster.toml", text).map_err(|rejected| Failure {
        message: rejected.to_string(),
        changed: Changed::No,
        next: "mend the lines that are named, then try again".to_owned(),
        problems: rejected.problems().iter().map(TextProblem::from).collect(),
    })
}

fn planned(state: &State, old: &Config, new: &Config) -> Vec<PlannedChange> {
    let is_member = |name: &str| state.node(name).is_some();
    let change = |it: config::Difference| PlannedChange {
        refused: it.refusal(is_member).map(str::to_owned),
        what: it.what,
    };
    differences(old, new).into_iter().map(change).collect()
}

fn plan(state: &State, text: &str) -> Answered<PlanAnswer> {
    let old = config_of(state)?;
    let checked = read(text)?;
    Ok(PlanAnswer {
        base: state.revision,
        changes: planned(state, old, &checked.config),
        warnings: checked.warnings.iter().map(TextProblem::from).collect(),
    })
}

async fn apply(desk: &Desk, text: &str, base: u64) -> Answered<ApplyAnswer> {
    let state = state(desk);
    let old = config_of(&state)?;
    let checked = read(text)?;
    if base != state.revision {
        let message = format!(
            "the configuration is at revision {} now, the plan was made for {base}; nothing was \
             changed",
            state.revision
        );
        return Err(Failure::unchanged(message, "look at `stead plan` again"));
    }
    let changes = planned(&state, old, &checked.config);
    if let Some((change, reason)) =
        changes.iter().find_map(|it| it.refused.as_ref().map(|reason| (it, reason)))
    {
        let message = format!("{}: {reason}; nothing was changed", change.what);
        return Err(Failure::unchanged(message, "see `stead plan` for everything it would refuse"));
    }
    if changes.is_empty() {
        return Ok(ApplyAnswer { revision: base, changes });
    }
    submit(desk, Change::Configure { base, config: checked.config }).await?;
    Ok(ApplyAnswer { revision: base + 1, changes })
}

async fn token(desk: &Desk, node: &str) -> Answered<TokenAnswer> {
    let state = state(desk);
    let config = config_of(&state)?;
    if !config.nodes.contains_key(node) {
        return Err(Failure::unchanged(
            format!("{node} is not in the configuration; nothing was changed"),
            "add it to cluster.toml, `stead apply`, then try again",
        ));
    }
    if state.node(node).is_some() {
        return Err(Failure::unchanged(
            format!("{node} has joined already; nothing was changed"),
            format!("if it lost its disk: `stead leave {node}`, then try again"),
        ));
    }
    let token = Token::new(desk.own_key())
        .map_err(|error| Failure::unchanged(error.to_string(), "try again"))?;
    submit(desk, Change::AddToken { token: token.digest(), node: node.to_owned() }).await?;
    let own = desk.handle.view().identity.name.clone();
    let addresses = addresses_of(config, &own).iter().map(ToString::to_string).collect();
    Ok(TokenAnswer { node: node.to_owned(), token: token.to_string(), addresses })
}

/// Where a node's daemon listens, one address per link.
#[must_use]
pub fn addresses_of(config: &Config, node: &str) -> Vec<SocketAddr> {
    let Some(node) = config.nodes.get(node) else { return Vec::new() };
    let at = |(link, ip): (&String, &std::net::IpAddr)| {
        config.links.get(link).map(|link| SocketAddr::new(*ip, link.port))
    };
    node.addresses.iter().filter_map(at).collect()
}

fn member(state: &State, name: &str) -> Answered<NodeId> {
    state.node(name).ok_or_else(|| {
        let members: Vec<_> = state.members.values().map(|it| it.name.as_str()).collect();
        Failure::unchanged(
            format!("{name} is no member; nothing was changed"),
            format!("the members are: {}", members.join(", ")),
        )
    })
}

async fn move_service(desk: &Desk, service: &str, node: &str) -> Answered<ChangeAnswer> {
    let state = state(desk);
    let to = member(&state, node)?;
    let id = ServiceId::from(service);
    let Some(assignment) = state.assignments.get(&id) else {
        let services: Vec<_> = state.assignments.keys().map(|it| it.0.as_str()).collect();
        return Err(Failure::unchanged(
            format!("there is no service {service}; nothing was changed"),
            format!("the services are: {}", services.join(", ")),
        ));
    };
    if state.standby.contains(&to) {
        return Err(Failure::unchanged(
            format!("{node} is on standby; nothing was changed"),
            format!("`stead standby {node} --off` first"),
        ));
    }
    if state.is_halted(to) {
        return Err(Failure::unchanged(
            format!("{node} is stopped by an operator; nothing was changed"),
            "`stead start --all` or `stead start --site SITE` first",
        ));
    }
    let quarantined = desk.handle.view().quarantined.get(&to).copied();
    if let Some(it) = quarantined.filter(|_| !state.is_disarmed()) {
        return Err(Failure::unchanged(
            format!(
                "{node} was lost {} times and is in quarantine (see `stead status`); nothing was \
                 changed",
                it.losses
            ),
            format!("if you know that it stays: `stead clear --node {node}` first"),
        ));
    }
    if let Some(point) = out_of_reach(&desk.handle.view().seen, &state, to, &id) {
        return Err(Failure::unchanged(
            format!(
                "{node} has no answers from {point}, which others have: clients would not reach \
                 {service} there; nothing was changed"
            ),
            format!("mend {node}'s network (see `stead status`), or choose another node"),
        ));
    }
    let base = assignment.epoch;
    let change = match assignment.holder {
        Holder::Node(holder) if holder == to => {
            return Err(Failure::unchanged(
                format!("{service} is on {node} already; nothing was changed"),
                "",
            ));
        }
        Holder::Node(_) => {
            Change::Stop { service: id, base, cause: Cause::Planned, wish: Some(to) }
        }
        Holder::Never | Holder::Stopped { .. } => Change::Assign { service: id, base, node: to },
        Holder::Stopping { .. } => {
            return Err(Failure::unchanged(
                format!("{service} is being stopped just now; nothing was changed"),
                "wait a moment, then try again",
            ));
        }
    };
    let index = submit(desk, change).await?;
    Ok(ChangeAnswer { index: Some(index.0), node: Some(node.to_owned()), next: None })
}

/// The reference point at which a node is behind, if placement would send the service elsewhere for
/// that (rule P3 of the protocol). While nothing moves the operator's word is all that counts.
fn out_of_reach(seen: &Seen, state: &State, to: NodeId, service: &ServiceId) -> Option<String> {
    let behind = |number: &usize| seen.view(to, *number) == Seeing::Behind;
    let number = seen.points_of(service).find(behind).filter(|_| !state.is_disarmed())?;
    seen.points().get(number).map(ToString::to_string)
}

async fn standby(desk: &Desk, node: &str, on: bool) -> Answered<ChangeAnswer> {
    let state = state(desk);
    let id = member(&state, node)?;
    let next = if on && state.is_disarmed() {
        "the cluster is disarmed: its services move away when that is over, see `stead status`"
            .to_owned()
    } else if on {
        format!("its services move away; when it may serve again: stead standby {node} --off")
    } else {
        "services come to it when they have a reason to".to_owned()
    };
    if state.standby.contains(&id) == on {
        return Ok(ChangeAnswer { index: None, node: Some(node.to_owned()), next: None });
    }
    let index = submit(desk, Change::Standby { node: id, on }).await?;
    Ok(ChangeAnswer { index: Some(index.0), node: Some(node.to_owned()), next: Some(next) })
}

async fn clear(desk: &Desk, service: Option<String>) -> Answered<ChangeAnswer> {
    let service = service.map(ServiceId);
    let index = submit(desk, Change::Clear { service }).await?;
    Ok(ChangeAnswer { index: Some(index.0), node: None, next: None })
}

async fn steady(desk: &Desk, node: String) -> Answered<ChangeAnswer> {
    let id = member(&state(desk), &node)?;
    let index = submit(desk, Change::Steady { node: id }).await?;
    Ok(ChangeAnswer { index: Some(index.0), node: Some(node), next: None })
}

async fn remember(
    desk: &Desk,
    memory: Memory,
    node: Option<String>,
    name: String,
    value: Option<String>,
) -> Answered<ChangeAnswer> {
    let own = desk.handle.view().identity.name.clone();
    let node = node.unwrap_or(own);
    let scope = match memory {
        Memory::Transient => Scope::Transient(member(&state(desk), &node)?),
        Memory::Permanent => Scope::Permanent(member(&state(desk), &node)?),
        Memory::Cluster => Scope::Cluster,
    };
    let index = submit(desk, Change::Attribute { scope, name, value }).await?;
    Ok(ChangeAnswer { index: Some(index.0), node: Some(node), next: None })
}

async fn leave(desk: &Desk, node: Option<String>) -> Answered<ChangeAnswer> {
    let view = desk.handle.view();
    let name = node.unwrap_or_else(|| view.identity.name.clone());
    let id = member(&view.state, &name)?;
    let index = submit(desk, Change::Leave { node: id }).await?;
    let next = format!(
        "on {name}: systemctl disable --now stead-guard stead-daemon, then `stead leave --forget`; \
         and take {name} out of cluster.toml"
    );
    Ok(ChangeAnswer { index: Some(index.0), node: Some(name), next: Some(next) })
}

fn incident(desk: &Desk, number: Option<u64>) -> Answered<report::IncidentReport> {
    let state = state(desk);
    let entries = desk.journal.tail(LOOK_BACK);
    report::incident(&state, number, &entries).ok_or_else(|| {
        let (first, last) = (state.incidents.front(), state.incidents.back());
        match (number, first, last) {
            (Some(number), Some(first), Some(last)) => Failure::unchanged(
                format!("incident {number} is not kept"),
                format!("those from {} to {} are", first.number, last.number),
            ),
            (_, _, _) => Failure::unchanged("there was no incident yet", ""),
        }
    })
}

fn timers(desk: &Desk) -> Answered<report::TimersReport> {
    let view = desk.handle.view();
    let state = &view.state;
    let own = view.guard.as_ref().map(|hello| hello.slack);
    let peers = view.report.iter().flat_map(|it| it.peers.values());
    let slack = peers.filter(|it| it.heard.is_some()).map(|it| it.slack).chain(own).max();
    Ok(report::timers(config_of(state)?, &state.timers, state.former_timers.as_ref(), slack))
}

/// Has a change committed, and waits until this node shows it.
pub(super) async fn submit(desk: &Desk, change: Change) -> Answered<Index> {
    features::check_all(&desk.handle, &change).await?;
    let (index, outcome) = match desk.handle.submit(change, DEADLINE).await {
        Ok(fate) => fate,
        Err(error) => return Err(failed(&error)),
    };
    match outcome {
        Outcome::Done | Outcome::Joined(_) => {
            applied(desk.handle.clone(), index).await;
            Ok(index)
        }
        Outcome::Refused(refusal) => {
            Err(Failure::unchanged(format!("refused: {refusal}; nothing was changed"), ""))
        }
    }
}

fn failed(error: &SubmitError) -> Failure {
    let (changed, next) = match error {
        SubmitError::NoCoordinator => (Changed::No, "try again when somebody does"),
        SubmitError::Lost(_) => (Changed::No, "try again"),
        SubmitError::Unknown(_) => (Changed::Unknown, "look before you repeat it"),
        SubmitError::Ending => (Changed::Unknown, "look at `stead status` on another node"),
    };
    Failure { message: error.to_string(), changed, next: next.to_owned(), problems: Vec::new() }
}

/// Waits until this node has applied an entry, so that what is shown next has it; not for ever.
pub(super) async fn applied(mut handle: Handle, index: Index) {
    let there = async {
        while handle.view().state.applied < index {
            if !handle.changed().await {
                break;
            }
        }
    };
    // Late is no error: the change is committed, and only its picture is missing.
    let _late = timeout(CATCH_UP, there).await;
}
