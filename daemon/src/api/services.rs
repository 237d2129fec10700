//! Stopping and starting services, leaving things as they are, and forgetting failures.

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use stead_core::id::ServiceId;
use stead_core::state::{Change, Maintenance, Scope, State};

use super::Desk;
use super::message::{ChangeAnswer, Failure, ServicesAnswer};
use super::requests::{Answered, config_of, member, reason_of, submit};
use crate::alike::nearest;

/// Stops services everywhere, or lets them run again.
pub(super) async fn serve(desk: &Desk, names: &[String], on: bool) -> Answered<ServicesAnswer> {
    let view = desk.handle.view();
    let state = &view.state;
    let mut services = BTreeSet::new();
    for name in names {
        services.insert(known(state, name)?);
    }
    if services.is_empty() {
        return Err(Failure::unchanged("no service is named; nothing was changed", "name one"));
    }
    let answer = ServicesAnswer {
        services: services.iter().map(ToString::to_string).collect(),
        already: services.iter().all(|it| state.is_stopped(it) != on),
    };
    if answer.already {
        return Ok(answer);
    }
    untouched(state, &services)?;
    if !on && state.is_disarmed() {
        return Err(Failure::unchanged(
            "the cluster is disarmed, so nothing moves or stops; nothing was changed",
            "`stead disarm --off` first",
        ));
    }
    together(state, &services, on)?;
    let changed = services.into_iter().filter(|it| state.is_stopped(it) == on).collect();
    submit(desk, Change::StopServices { services: changed, on: !on }).await?;
    Ok(answer)
}

/// Nobody is left without what it needs, and nobody started that could not begin.
fn together(state: &State, services: &BTreeSet<ServiceId>, on: bool) -> Answered<()> {
    let config = config_of(state)?;
    for service in services {
        let others: Vec<&ServiceId> = if on {
            config.needs(service).filter(|it| state.is_stopped(it)).collect()
        } else {
            config.needed_by(service).filter(|it| !state.is_stopped(it)).collect()
        };
        let missing: Vec<String> =
            others.into_iter().filter(|it| !services.contains(it)).map(|it| it.0.clone()).collect();
        if missing.is_empty() {
            continue;
        }
        let all: Vec<&str> = services.iter().map(|it| it.0.as_str()).collect();
        let all = format!("{} {}", all.join(" "), missing.join(" "));
        let missing = missing.join(", ");
        return Err(if on {
            Failure::unchanged(
                format!("{service} needs {missing}, which is stopped; nothing was changed"),
                format!("start them together: stead start {all}"),
            )
        } else {
            Failure::unchanged(
                format!("{missing} needs {service}; nothing was changed"),
                format!("stop them together, in order: stead stop {all}"),
            )
        });
    }
    Ok(())
}

/// None of them is in maintenance.
pub(super) fn untouched<'a>(
    state: &State,
    services: impl IntoIterator<Item = &'a ServiceId>,
) -> Answered<()> {
    match services.into_iter().find(|it| state.is_maintained(it)) {
        None => Ok(()),
        Some(service) => Err(Failure::unchanged(
            format!("{service} is in maintenance and left as it is; nothing was changed"),
            "`stead status` says what ends that: `stead maintenance ... --off`",
        )),
    }
}

/// Leaves something as it is, or no longer.
pub(super) async fn maintenance(
    desk: &Desk,
    what: Option<&str>,
    node: bool,
    on: bool,
    reason: String,
) -> Answered<ChangeAnswer> {
    let view = desk.handle.view();
    let scope = scope(&view.state, what, node)?;
    let reason = reason_of(reason, None)?;
    let it = &view.state.later.next.maintenance;
    let known = match &scope {
        Scope::Cluster => it.cluster.is_some(),
        Scope::Node(node) => it.nodes.contains_key(node),
        Scope::Service(service) => it.services.contains_key(service),
    };
    if !on && !known {
        return Ok(ChangeAnswer { index: None, node: None, next: None });
    }
    let since = view.wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let maintenance =
        on.then(|| Maintenance { reason, by: view.identity.name.clone(), wall: since });
    let index = submit(desk, Change::Maintain { scope, maintenance }).await?;
    let next = if on {
        "leases are held as ever: a node that loses its lease ends what it has, and nothing of \
         that is started before the maintenance is over"
    } else {
        "everything is looked at anew: stead status"
    };
    Ok(ChangeAnswer { index: Some(index.0), node: None, next: Some(next.to_owned()) })
}

/// What is meant by a name.
fn scope(state: &State, what: Option<&str>, node: bool) -> Answered<Scope> {
    let Some(name) = what else { return Ok(Scope::Cluster) };
    let service = ServiceId::from(name);
    let is_service = config_of(state)?.services.contains_key(&service);
    match (is_service, state.node(name)) {
        (_, Some(id)) if node => Ok(Scope::Node(id)),
        (true, Some(_)) => Err(Failure::unchanged(
            format!("{name} is a service and a node; nothing was changed"),
            format!("for the node: stead maintenance --node {name}"),
        )),
        (true, None) if !node => Ok(Scope::Service(service)),
        (false, Some(id)) => Ok(Scope::Node(id)),
        (true, None) => Ok(Scope::Node(member(state, name)?)),
        (false, None) => {
            let services = state.assignments.keys().map(|it| it.0.as_str());
            let members = state.members.values().map(|it| it.name.as_str());
            let all: Vec<&str> = members.chain(services).collect();
            Err(Failure::unchanged(
                format!("there is no node and no service {name}; nothing was changed"),
                match nearest(name, all.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("there are: {}", all.join(", ")),
                },
            ))
        }
    }
}

/// Forgets failures: of all services, of one, or of one part of it.
pub(super) async fn clear(
    desk: &Desk,
    service: Option<String>,
    resource: Option<String>,
) -> Answered<ChangeAnswer> {
    let view = desk.handle.view();
    let service = service.map(|name| known(&view.state, &name)).transpose()?;
    let change = match (service, resource) {
        (Some(service), Some(resource)) => {
            let parts = config_of(&view.state)?.resources(&service);
            if !parts.iter().any(|it| it.name == resource) {
                let names: Vec<_> = parts.iter().map(|it| it.name.as_str()).collect();
                let next = match (nearest(&resource, names.iter().copied()), names.is_empty()) {
                    (Some(near), _) => format!("did you mean {near}?"),
                    (None, true) => format!("{service} is one program: stead clear {service}"),
                    (None, false) => format!("it has: {}", names.join(", ")),
                };
                let message = format!("{service} has no resource {resource}; nothing was changed");
                return Err(Failure::unchanged(message, next));
            }
            Change::ClearResource { service, resource }
        }
        (service, _) => Change::Clear { service },
    };
    let index = submit(desk, change).await?;
    Ok(ChangeAnswer { index: Some(index.0), node: None, next: None })
}

/// The service of that name.
pub(super) fn known(state: &State, name: &str) -> Answered<ServiceId> {
    let service = ServiceId::from(name);
    if state.assignments.contains_key(&service) {
        return Ok(service);
    }
    let services: Vec<_> = state.assignments.keys().map(|it| it.0.as_str()).collect();
    Err(Failure::unchanged(
        format!("there is no service {name}; nothing was changed"),
        match nearest(name, services.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the services are: {}", services.join(", ")),
        },
    ))
}
