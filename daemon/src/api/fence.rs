//! `stead fence`: a machine is off by an operator's word, and what waits for that goes on
//! elsewhere; and the ways by which machines are switched off are tried.

use serde::{Deserialize, Serialize};
use stead_core::state::config::{Config, FencingConfig};
use stead_core::state::{Change, Confirmation};

use super::Desk;
use super::message::Failure;
use super::requests::{Answered, config_of, member, reason_of, submit};
use crate::alike::nearest;
use crate::fence::{Said, Trial, Way, ways_through, ways_to};
use crate::journal::wall;

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

/// What came of one way by which a machine is switched off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WayReport {
    /// Whose it is; nothing for a device that no node has.
    pub node: Option<String>,
    /// Of which level, from 1.
    pub level: Option<usize>,
    /// The device's name.
    pub device: String,
    /// The outlet.
    pub plug: Option<String>,
    /// What was asked: `status` or `monitor`.
    pub action: String,
    /// The device answered.
    pub answered: bool,
    /// `on`, `off` or `done`; or why there was no answer.
    pub said: String,
    /// How long it took.
    pub took_ms: f64,
    /// The last lines that were printed, without secrets.
    pub output: Vec<String>,
    /// What that means, and what to do about it.
    pub hints: Vec<String>,
}

impl From<Trial> for WayReport {
    fn from(trial: Trial) -> Self {
        let answered = trial.answered();
        let Trial { node, step, hints } = trial;
        Self {
            node,
            level: step.level,
            device: step.device,
            plug: step.plug,
            action: step.action.to_string(),
            answered,
            said: match step.said {
                Said::Failed(reason) => reason,
                said @ (Said::Done | Said::On | Said::Off) => said.to_string(),
            },
            took_ms: step.took.as_millis_f64(),
            output: step.output,
            hints,
        }
    }
}

/// The ways to a node, or through a device.
///
/// # Errors
/// There is no such node or device, or no way to it; says what there is.
pub fn ways<'c>(config: &'c Config, name: &'c str) -> Answered<Vec<Way<'c>>> {
    let fencing = &config.later.fencing;
    if config.nodes.contains_key(name) {
        let ways = ways_to(fencing, name);
        if ways.is_empty() && !fencing.devices.contains_key(name) {
            return Err(Failure::unchanged(
                format!("{name} is fenced by no device; nothing was asked"),
                "say by which in its table, and apply that:  fence = [\"DEVICE\"]",
            ));
        }
        if !ways.is_empty() {
            return Ok(ways);
        }
    }
    if fencing.devices.contains_key(name) {
        return Ok(ways_through(fencing, name));
    }
    Err(unknown(config, fencing, name))
}

fn unknown(config: &Config, fencing: &FencingConfig, name: &str) -> Failure {
    let (nodes, devices) = (config.nodes.keys(), fencing.devices.keys());
    let next = match nearest(name, nodes.clone().chain(devices.clone()).map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => {
            let list = |names: Vec<&str>| {
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            };
            let nodes = list(nodes.map(String::as_str).collect());
            format!("nodes: {nodes}; devices: {}", list(devices.map(String::as_str).collect()))
        }
    };
    let message = format!("there is no node and no fence device {name}; nothing was asked");
    Failure::unchanged(message, next)
}

/// The configuration in force.
pub(super) fn in_force(desk: &Desk) -> Answered<Config> {
    config_of(&desk.handle.view().state).cloned()
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
    let wall = wall();
    let by = view.identity.name.clone();
    submit(desk, Change::ConfirmOff(Confirmation { node: id, reason, by, wall })).await?;
    Ok(ConfirmAnswer { node: node.to_owned(), services, done: true })
}
