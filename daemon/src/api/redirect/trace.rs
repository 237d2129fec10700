//! What each place between a node and a service says.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::ServiceId;
use stead_core::state::State;
use tokio::time::Instant;

use super::super::Desk;
use super::super::message::Failure;
use super::super::requests::{Answered, config_of, member};
use crate::layers::names;
use crate::layers::trace::{Place, Wanted};

/// How long one node may take to look at everything.
const LOOK: Duration = Duration::from_secs(20);

/// The five translations, as a node sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TraceAnswer {
    /// The service.
    pub service: String,
    /// The node that has it.
    pub holder: Option<String>,
    /// Where it was looked.
    pub client: String,
    /// What each place says.
    pub places: Vec<Place>,
}

/// Has that node look.
///
/// # Errors
/// There is no such service or node, or it does not answer.
pub(in crate::api) async fn trace(
    desk: &Desk,
    client: &str,
    service: &str,
) -> Answered<TraceAnswer> {
    let view = desk.handle.view();
    let state = view.state.clone();
    let config = config_of(&state)?;
    let id = ServiceId(service.to_owned());
    if !config.services.contains_key(&id) {
        return Err(Failure::unchanged(
            format!("there is no service {service}; nothing was asked"),
            "`stead status` lists the services",
        ));
    }
    let node = member(&state, client)?;
    let wanted = wanted(&state, &id);
    let holder = wanted.node.clone();
    let deadline = Instant::now() + LOOK;
    let places = if node == view.identity.node {
        Ok(desk.eyes.trace(&id, &wanted).await)
    } else {
        desk.observers.trace(node, id, wanted, deadline).await
    };
    let places = places.map_err(|why| {
        Failure::unchanged(
            format!("{client} can't look: {why}; nothing was changed"),
            "see whether its daemon runs, and is of this version: `stead status`",
        )
    })?;
    Ok(TraceAnswer { service: service.to_owned(), holder, client: client.to_owned(), places })
}

/// What leads to a service.
fn wanted(state: &State, service: &ServiceId) -> Wanted {
    let holder = state.assignments.get(service).and_then(|it| it.holder.node());
    let names = state.config.as_ref().map_or(&[][..], |config| names::names(config, service));
    Wanted {
        names: names.iter().map(|it| it.name.clone()).collect(),
        addresses: holder.map(|node| state.addresses_on(service, node)).unwrap_or_default(),
        node: holder.map(|node| state.name(node)),
        macs: state.redirect().macs.get(service).map(|it| it.0).into_iter().collect(),
    }
}
