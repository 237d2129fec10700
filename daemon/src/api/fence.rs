//! `stead fence confirm-off`: a machine is off by an operator's word, and what waits for that goes
//! on elsewhere.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use stead_core::state::{Change, Confirmation};

use super::Desk;
use super::message::Failure;
use super::requests::{Answered, member, reason_of, submit};

/// What the word is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmAnswer {
    /// The machine.
    pub node: String,
    /// The services that wait for it to be off.
    pub services: Vec<String>,
    /// The word was given: they go elsewhere.
    pub done: bool,
}

/// Says what waits for a machine to be off; with a reason, takes the operator's word that it is.
pub(super) async fn confirm_off(
    desk: &Desk,
    node: &str,
    reason: Option<String>,
) -> Answered<ConfirmAnswer> {
    let view = desk.handle.view();
    let id = member(&view.state, node)?;
    let services: Vec<_> = view.state.waiting_for(id).map(|it| it.0.clone()).collect();
    let refusal = if view.state.view.contains_key(&id) {
        Some((
            format!("{node} is in the view: it is not off; nothing was changed"),
            format!("to have its services moved: stead standby {node}"),
        ))
    } else if view.hears(id) {
        Some((
            format!("{node} is heard: it is not off; nothing was changed"),
            "wait a few seconds: it stops what it had, and then that goes on".to_owned(),
        ))
    } else if services.is_empty() {
        let next = "what waits for what stands in `stead status`".to_owned();
        Some((format!("nothing waits for {node} to be off; nothing was changed"), next))
    } else {
        None
    };
    if let Some((message, next)) = refusal {
        return Err(Failure::unchanged(message, next));
    }
    let Some(reason) = reason else {
        return Ok(ConfirmAnswer { node: node.to_owned(), services, done: false });
    };
    let reason = reason_of(reason, Some("say with --reason what you looked at"))?;
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).map(|it| it.as_secs()).unwrap_or(0);
    let by = view.identity.name.clone();
    submit(desk, Change::ConfirmOff(Confirmation { node: id, reason, by, wall })).await?;
    Ok(ConfirmAnswer { node: node.to_owned(), services, done: true })
}
