//! What each request does: a look at the picture, or a change that the driver submits.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use stead_core::id::{Index, NodeId};
use stead_core::state::config::Config;
use stead_core::state::{AttributeScope, Change, Outcome, Refusal, State};
use stead_core::time::Span;
use tokio::time::timeout;

use super::message::{
    ApplyAnswer, ChangeAnswer, Changed, Comes, ConfigAnswer, Failure, Memory, MetricsAnswer,
    PlanAnswer, PlannedChange, Request, TextProblem, TokenAnswer,
};
use super::server::LOOK_BACK;
use super::token::Token;
use super::{
    Desk, disarm, enrol, expected, features, fence, halt, lower, moves, overrule, placed, redirect,
    register, report, revised, services,
};
use crate::config::{self, Checked, differences};
use crate::driver::handle::{Handle, SubmitError};
use crate::driver::view::View;
use crate::tools;

/// How long a change may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long this node may take to apply what it submitted itself.
const CATCH_UP: Duration = Duration::from_secs(5);

/// The longest reason, in characters: a line of a screen or two.
const LONGEST_REASON: usize = 200;

pub(super) type Answered<T> = Result<T, Failure>;

/// Carries out a request that has one answer.
pub(super) async fn carry_out(desk: &Desk, request: Request) -> Answered<Value> {
    match request {
        Request::Config => json(&in_force(&state(desk))?),
        Request::Revisions => json(&revised::list(desk).await?),
        Request::Revision { number } => json(&revised::one(desk, number).await?),
        Request::Plan { text } => json(&plan(&desk.handle.view(), &text)?),
        Request::Explain { service } => json(&placed::explain(&desk.handle.view(), &service)?),
        Request::Simulate { fail, text } => {
            let other = text.as_deref().map(read).transpose()?;
            json(&placed::simulate(&desk.handle.view(), &fail, other.as_ref())?)
        }
        Request::Apply { text, base, despite_expectations } => {
            json(&apply(desk, &text, base, despite_expectations).await?)
        }
        Request::Token { node } => json(&token(desk, &node).await?),
        Request::Move { service, node, for_s } => {
            json(&moves::move_service(desk, &service, &node, for_s).await?)
        }
        Request::RedirectAdvise(asked) => json(&redirect::advise::advise(desk, asked).await?),
        Request::RedirectTrace { client, service } => {
            json(&redirect::trace::trace(desk, &client, &service).await?)
        }
        Request::RedirectClient => json(&redirect::client::client(&state(desk))?),
        Request::RedirectRouting => {
            let view = desk.handle.view();
            json(&redirect::routing::routing(&view.state, &view.identity.name)?)
        }
        Request::Lower(request) => lower::carry_out(desk, request).await,
        Request::Register(request) => register::carry_out(desk, request).await,
        Request::Standby { node, on } => json(&standby(desk, &node, on).await?),
        Request::Disarm { seconds, reason } => json(&disarm::disarm(desk, seconds, reason).await?),
        Request::Arm => json(&disarm::arm(desk).await?),
        Request::Enrol { token } => json(&enrol::enrol(desk, &token).await?),
        Request::Unenrol => json(&enrol::unenrol(desk).await?),
        Request::Override { seconds, force, reason } => {
            json(&overrule::overrule(desk, seconds, force, reason).await?)
        }
        Request::Clear { service, resource } => {
            json(&services::clear(desk, service, resource).await?)
        }
        Request::Serve { services, on } => json(&services::serve(desk, &services, on).await?),
        Request::Maintenance { what, node, on, reason } => {
            json(&services::maintenance(desk, what.as_deref(), node, on, reason).await?)
        }
        Request::Halt { site, on } => json(&halt::halt(desk, site.as_deref(), on).await?),
        Request::ConfirmOff { node, reason } => {
            json(&fence::confirm_off(desk, &node, reason).await?)
        }
        Request::FenceHistory { node } => json(&fence_history(desk, node.as_deref())?),
        Request::Steady { node } => json(&steady(desk, node).await?),
        Request::Leave { node } => json(&leave(desk, node).await?),
        Request::Incident { number } => json(&incident(desk, number)?),
        Request::Timers => json(&timers(desk)?),
        Request::Tools => json(&tools::answer(&desk.handle.view())),
        Request::Remember { memory, node, name, value } => {
            json(&remember(desk, memory, node, name, value).await?)
        }
        Request::Metrics => json(&MetricsAnswer { text: desk.metrics.text() }),
        // All are answered with many lines elsewhere; one that is not watched is one picture.
        Request::Status { .. }
        | Request::Events { .. }
        | Request::FenceTest { .. }
        | Request::RedirectProbe(_)
        | Request::FenceRehearse(_) => {
            json(&report::status(&desk.handle.view(), &desk.journal.tail(LOOK_BACK)))
        }
    }
}

pub(super) fn json<T: Serialize>(value: &T) -> Answered<Value> {
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

fn planned(state: &State, old: &Config, new: &Checked) -> Vec<PlannedChange> {
    let is_member = |name: &str| state.node(name).is_some();
    let change = |it: config::Difference| PlannedChange {
        refused: it.refusal(is_member).map(str::to_owned),
        what: it.what,
    };
    let changes = differences(old, &new.config).into_iter().map(change);
    changes.chain(register::kept_from(state, new)).collect()
}

fn plan(view: &View, text: &str) -> Answered<PlanAnswer> {
    let state = &view.state;
    let old = config_of(state)?;
    let checked = read(text)?;
    let mut changes = planned(state, old, &checked);
    let (moves, losses) = placed::by_config(view, &checked.config).unwrap_or_else(|refusal| {
        // Said of a change of its own, unless one of them is why.
        if !changes.is_empty() && changes.iter().all(|change| change.refused.is_none()) {
            let (what, refused) = ("applying it now".to_owned(), Some(refusal.to_string()));
            changes.push(PlannedChange { what, refused });
        }
        Default::default()
    });
    Ok(PlanAnswer {
        base: state.revision,
        changes,
        moves,
        losses,
        expected: expected::by_file(view, &checked).unwrap_or_default(),
        warnings: checked.warnings.iter().map(TextProblem::from).collect(),
    })
}

async fn apply(desk: &Desk, text: &str, base: u64, despite: bool) -> Answered<ApplyAnswer> {
    let view = desk.handle.view();
    let state = &view.state;
    let old = config_of(state)?;
    let checked = read(text)?;
    let base = revised::still_holds(desk, base, state).await?;
    let changes = planned(state, old, &checked);
    if let Some((change, reason)) =
        changes.iter().find_map(|it| it.refused.as_ref().map(|reason| (it, reason)))
    {
        let message = format!("{}: {reason}; nothing was changed", change.what);
        return Err(Failure::unchanged(message, "see `stead plan` for everything it would refuse"));
    }
    if changes.is_empty() {
        return Ok(ApplyAnswer { revision: base, changes });
    }
    // What every member would refuse is refused with its own reason below.
    let expected = expected::by_file(&view, &checked).unwrap_or_default();
    if let Some(unmet) = expected.iter().find(|it| it.comes == Comes::Unmet && !despite) {
        return Err(unmet.refusal());
    }
    if let Err(failure) = submit(desk, Change::Configure { base, config: checked.config }).await {
        // Another was faster: that says what changed.
        let now = desk.handle.view().state.clone();
        revised::still_holds(desk, base, &now).await?;
        return Err(failure);
    }
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

pub(super) fn member(state: &State, name: &str) -> Answered<NodeId> {
    state.node(name).ok_or_else(|| {
        let members: Vec<_> = state.members.values().map(|it| it.name.as_str()).collect();
        Failure::unchanged(
            format!("{name} is no member; nothing was changed"),
            format!("the members are: {}", members.join(", ")),
        )
    })
}

async fn standby(desk: &Desk, node: &str, on: bool) -> Answered<ChangeAnswer> {
    let state = state(desk);
    let id = member(&state, node)?;
    let stays = state.held_by(id).find(|(service, _)| state.is_maintained(service));
    let next = if let Some((service, _)) = stays.filter(|_| on) {
        format!("{service} is in maintenance: it moves away when that is over, see `stead status`")
    } else if on && state.is_disarmed() {
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
        Memory::Transient => AttributeScope::Transient(member(&state(desk), &node)?),
        Memory::Permanent => AttributeScope::Permanent(member(&state(desk), &node)?),
        Memory::Cluster => AttributeScope::Cluster,
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

fn fence_history(desk: &Desk, node: Option<&str>) -> Answered<report::FenceHistoryReport> {
    let state = state(desk);
    let only = node.map(|name| member(&state, name)).transpose()?;
    Ok(report::fence_history(&state, only, &desk.journal.tail(LOOK_BACK)))
}

fn timers(desk: &Desk) -> Answered<report::TimersReport> {
    let view = desk.handle.view();
    let state = &view.state;
    let former = state.former_timers.as_ref();
    Ok(report::timers(config_of(state)?, &state.timers, former, slack(&view)))
}

/// That of the slowest gate that this node knows of.
pub(super) fn slack(view: &View) -> Option<Span> {
    let own = view.guard.as_ref().map(|hello| hello.slack);
    let peers = view.report.iter().flat_map(|it| it.peers.values());
    peers.filter(|it| it.heard.is_some()).map(|it| it.slack).chain(own).max()
}

/// Has a change committed, and waits until this node shows it.
pub(super) async fn submit(desk: &Desk, change: Change) -> Answered<Index> {
    commit(&desk.handle, change).await?.map_err(|refusal| {
        Failure::unchanged(format!("refused: {refusal}; nothing was changed"), "")
    })
}

/// The same, for who has something else to try when the state refuses it.
pub(super) async fn commit(handle: &Handle, change: Change) -> Answered<Result<Index, Refusal>> {
    features::check_all(handle, &change).await?;
    let (index, outcome) = match handle.submit(change, DEADLINE).await {
        Ok(fate) => fate,
        Err(error) => return Err(failed(&error)),
    };
    match outcome {
        Outcome::Done | Outcome::Joined(_) => {
            applied(handle.clone(), index).await;
            Ok(Ok(index))
        }
        Outcome::Refused(refusal) => Ok(Err(refusal)),
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

/// A reason that fits into a line or two of a screen. Where one must be given, `next` says what to
/// say.
///
/// # Errors
/// It is longer, no line, or not there. Nothing was changed.
pub(super) fn reason_of(reason: String, next: Option<&str>) -> Answered<String> {
    let fits = reason.chars().count() <= LONGEST_REASON && !reason.chars().any(char::is_control);
    if fits && (next.is_none() || !reason.trim().is_empty()) {
        return Ok(reason);
    }
    let least = if next.is_some() { "1 to" } else { "at most" };
    let message = format!(
        "the reason must be one line of {least} {LONGEST_REASON} characters; nothing was changed"
    );
    Err(Failure::unchanged(message, next.unwrap_or("say it shorter")))
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
