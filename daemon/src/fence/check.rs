//! What an operator wrote for a fence agent, compared with what the agent says that it takes.
//!
//! What the library of fence agents would refuse or pass over is an error: a device that fails for
//! that is found out when it is needed. What agents declare of their parameters is what their
//! library checks, so a value of another type is one as well.

use std::collections::BTreeMap;

use super::agent::is_secret;
use super::meta::{MetaData, Outlet};
use super::step::Action;
use crate::config::Severity;
use crate::ocf::check::{deprecated, missing, unknown, wrong_type};
use crate::ocf::{Kind, Mistake, Parameter};

/// What the library takes for yes and for no, whatever their case. Anything else it passes over.
const TRUTHS: [&str; 8] = ["1", "yes", "on", "true", "0", "no", "off", "false"];
/// What stead tells itself.
const OF_STEAD: [&str; 3] = ["action", "plug", "port"];
/// How many of these are for yes.
const YES: usize = 4;
/// The parameter by which an outlet is an address.
const PORT_AS_IP: &str = "port_as_ip";
/// Agents that say so and take outlets all the same, read out of their text (4.12).
const OUTLETS_ALL_THE_SAME: [&str; 2] = ["fence_powerman", "fence_vmware"];
/// How the names of Pacemaker's own settings of a device begin.
const OF_PACEMAKER: &str = "pcmk_";
/// What stands for a secret where only counts that there is one.
const PRESENT: &str = "1";

/// Everything that is wrong, in the order of the parameters' names; then what is lacking. `secrets`
/// are the names of those parameters whose values stand in files.
#[must_use]
pub fn check<'a>(
    meta: &MetaData,
    parameters: &BTreeMap<String, String>,
    secrets: impl Iterator<Item = &'a str>,
) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (name, value) in parameters {
        match of_stead(meta, name).or_else(|| not_known(meta, name)) {
            Some(mistake) => mistakes.push(mistake),
            None => {
                let parameter = meta.parameter(name);
                mistakes.extend(parameter.and_then(|it| wrong(it, value)));
                mistakes.extend(parameter.and_then(deprecated));
                mistakes.extend(doubtful(name, value));
            }
        }
    }
    let mut given = parameters.clone();
    for name in secrets {
        match of_stead(meta, name).or_else(|| not_known(meta, name)) {
            Some(mistake) => mistakes.push(mistake),
            None => mistakes.extend(meta.parameter(name).and_then(deprecated)),
        }
        given.insert(name.to_owned(), PRESENT.to_owned());
    }
    // The outlet is not the device's: see [`outlet_mistake`].
    if let Outlet::Required(name) = meta.outlet() {
        given.insert(name.to_owned(), PRESENT.to_owned());
    }
    mistakes.extend(missing(&meta.parameters, &given));
    mistakes
}

/// Why a device of this agent could never prove that a node is off; nothing if it can.
#[must_use]
pub fn unable(meta: &MetaData) -> Option<(String, String)> {
    let help = "choose another agent: a node counts as off only if the agent has switched it off \
                and says then that it is";
    match (meta.action(Action::Off.name()), meta.action(Action::Status.name())) {
        (None, _) => Some(("it can't switch anything off".to_owned(), help.to_owned())),
        (_, None) => Some(("it can't say whether something is off".to_owned(), help.to_owned())),
        (Some(off), Some(_)) if off.on_target => {
            let message = "it has to run on the node itself that it switches off";
            let help = "a lost node runs nothing: choose an agent that reaches it from outside";
            Some((message.to_owned(), help.to_owned()))
        }
        (Some(_), Some(_)) => None,
    }
}

/// What is wrong with the outlet that is named, or is not; nothing if it is right.
#[must_use]
pub fn outlet_mistake(
    meta: &MetaData,
    parameters: &BTreeMap<String, String>,
    (device, plug): (&str, Option<&str>),
) -> Option<(String, String)> {
    // To the agents of a board an outlet is the address of another board, if they are told so, and
    // nothing otherwise: two nodes with outlets of one board would be one machine.
    let of_board = meta.parameter(PORT_AS_IP).is_some()
        && !OUTLETS_ALL_THE_SAME.contains(&meta.name.as_str())
        && !parameters.get(PORT_AS_IP).is_some_and(|it| is_yes(it));
    match (meta.outlet(), plug) {
        (Outlet::Required(_), None) => {
            let message = format!("device `{device}` has to be told which outlet is the node's");
            let help = format!(
                "write it behind the device's name:  \"{device}:OUTLET\"  (stead fence test \
                 {device} lists them, if the device does)"
            );
            Some((message, help))
        }
        (Outlet::Optional(_), Some(plug)) if of_board => {
            let message = format!("device `{device}` is one board, and `{plug}` no outlet of it");
            let help = format!(
                "write  \"{device}\"  alone, and give each node a device of its own; {plug} means \
                 something to this agent only as an address, with  {PORT_AS_IP} = true"
            );
            Some((message, help))
        }
        (Outlet::None, Some(plug)) => {
            let message = format!("device `{device}` has no outlets, and `{plug}` is one");
            Some((message, format!("write  \"{device}\"  alone")))
        }
        (Outlet::None | Outlet::Optional(_), _) | (Outlet::Required(_), Some(_)) => None,
    }
}

fn is_yes(value: &str) -> bool {
    TRUTHS.iter().take(YES).any(|it| it.eq_ignore_ascii_case(value))
}

/// A parameter that stead sets, or that means nothing to agents.
fn of_stead(meta: &MetaData, name: &str) -> Option<Mistake> {
    let is_outlet = match meta.outlet() {
        Outlet::None => false,
        Outlet::Optional(_) | Outlet::Required(_) => name == "plug" || name == "port",
    };
    let (message, help) = if name == "action" {
        ("`action` is set by stead itself".to_owned(), "remove it")
    } else if is_outlet {
        let help = "write the outlet in the node's table, behind the device's name:  \
                    fence = [\"DEVICE:OUTLET\"]";
        (format!("`{name}` is not set for the whole device"), help)
    } else if name.starts_with(OF_PACEMAKER) {
        let help = "remove it: outlets stand in the nodes' tables, times are `timeout` and \
                    `retries` of the device";
        (format!("`{name}` is a setting of Pacemaker's, not of the agent"), help)
    } else {
        return None;
    };
    Some(Mistake::new(Some(name), Severity::Error, message, help.to_owned()))
}

fn not_known(meta: &MetaData, name: &str) -> Option<Mistake> {
    if meta.parameter(name).is_some() {
        return None;
    }
    let proposed = |it: &&Parameter| !it.deprecated && !OF_STEAD.contains(&it.name.as_str());
    let proposed: Vec<Parameter> = meta.parameters.iter().filter(proposed).cloned().collect();
    Some(unknown(&proposed, name))
}

fn wrong(parameter: &Parameter, value: &str) -> Option<Mistake> {
    let fits = match &parameter.kind {
        Kind::Boolean => TRUTHS.contains(&value.to_lowercase().as_str()),
        Kind::Select(values) => values.iter().any(|it| it.eq_ignore_ascii_case(value)),
        Kind::String | Kind::Integer | Kind::Time | Kind::Seconds | Kind::Other(_) => false,
    };
    if fits {
        return None;
    }
    let mistake = wrong_type(parameter, value)?;
    let help = match parameter.kind {
        Kind::Boolean => "write  true  or  false".to_owned(),
        Kind::String
        | Kind::Integer
        | Kind::Time
        | Kind::Seconds
        | Kind::Select(_)
        | Kind::Other(_) => mistake.help,
    };
    Some(Mistake { severity: Severity::Error, help, ..mistake })
}

/// What the agent takes, and an operator should not want.
fn doubtful(name: &str, value: &str) -> Option<Mistake> {
    let (message, help) = if is_secret(name) && !value.is_empty() {
        let message = format!("`{name}` stands in the configuration, which every node shows");
        let help = format!(
            "write it into a file that root alone may read, on each node, and here  secrets = {{ \
             {name} = \"/etc/stead/secrets/NAME\" }}"
        );
        (message, help)
    } else if name == "delay" && value != "0" {
        let help = "remove it: who may fence is decided before, and no two nodes fence each other";
        (format!("`delay` only makes every takeover {value} s longer"), help.to_owned())
    } else {
        return None;
    };
    Some(Mistake::new(Some(name), Severity::Warning, message, help))
}
