//! What an operator wrote for an agent, compared with what the agent says that it takes.
//!
//! What the agent would never read is an error, and so is what it can't do without. A value of the
//! wrong type is a warning only: of Debian's agents some declare a whole number and take a list of
//! hosts (pingd `host_list`), or yes and no and take a path (rabbitmq-server-ha `mnesia_base`). An
//! agent's own action `validate-all` knows better.

use std::collections::BTreeMap;

use serde::Serialize;

use super::duration;
use super::meta::{Kind, MetaData, Parameter};
use super::name::shown;
use crate::alike::nearest;
use crate::config::Severity;

/// What agents compare with, word by word, for yes (`ocf_is_true` of ocf-shellfuncs). Anything else
/// is no to them, `Yes` and `y` as well.
const YES: [&str; 9] = ["true", "yes", "1", "on", "TRUE", "YES", "ON", "True", "ja"];
/// What people write for no.
const NO: [&str; 9] = ["false", "no", "0", "off", "FALSE", "NO", "OFF", "False", "nein"];

/// What the library of all shell agents reads, whatever their meta-data say.
const OF_THE_LIBRARY: [&str; 3] = ["trace_ra", "trace_dir", "OCF_CHECK_LEVEL"];
/// Names that the manager gives values to.
const RESERVED: [&str; 2] = ["CRM_meta_", "crm_feature_set"];

/// Something wrong with what was written for an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The parameter, if it is about one that was written.
    pub parameter: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// Whether the agent can be called at all.
    pub severity: Severity,
}

impl Mistake {
    pub(crate) fn new(
        parameter: Option<&str>,
        severity: Severity,
        message: String,
        help: String,
    ) -> Self {
        Self { parameter: parameter.map(str::to_owned), message, help, severity }
    }
}

/// Everything that is wrong, in the order of the parameters' names; then what is lacking.
#[must_use]
pub fn check(meta: &MetaData, parameters: &BTreeMap<String, String>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (name, value) in parameters {
        if value.contains('\0') {
            let message = format!("the value of `{}` contains a zero byte", shown(name));
            let help = "no environment can hold it: remove it".to_owned();
            mistakes.push(Mistake::new(Some(name), Severity::Error, message, help));
        }
        match meta.parameter(name) {
            Some(parameter) => {
                mistakes.extend(wrong_type(parameter, value));
                mistakes.extend(deprecated(parameter));
            }
            None if OF_THE_LIBRARY.contains(&name.as_str()) => {}
            None if RESERVED.iter().any(|reserved| name.starts_with(reserved)) => {
                let message = format!("`{}` is set by stead itself", shown(name));
                let help = "remove it".to_owned();
                mistakes.push(Mistake::new(Some(name), Severity::Error, message, help));
            }
            None => mistakes.push(unknown(&meta.parameters, name)),
        }
    }
    mistakes.extend(missing(&meta.parameters, parameters));
    mistakes
}

/// A parameter that the agent has not.
pub(crate) fn unknown(parameters: &[Parameter], name: &str) -> Mistake {
    let names = parameters.iter().map(|it| it.name.as_str());
    let known = names.clone().collect::<Vec<_>>().join(", ");
    let word = shown(name);
    let message = format!("the agent has no parameter `{word}`");
    let help = match nearest(name, names) {
        Some(near) => format!("did you mean `{near}`? Its parameters are: {known}"),
        None if known.is_empty() => "remove it; the agent has no parameters".to_owned(),
        None => format!("remove it; the agent's parameters are: {known}"),
    };
    Mistake::new(Some(name), Severity::Error, message, help)
}

/// What should not be used any more.
pub(crate) fn deprecated(parameter: &Parameter) -> Option<Mistake> {
    if !parameter.deprecated {
        return None;
    }
    let name = &parameter.name;
    let message = format!("`{name}` should not be used any more, says the agent");
    let help = match parameter.replaced_with.as_slice() {
        [] => format!("see what it says of `{name}`, and remove it"),
        instead => format!("write `{}` instead", instead.join("` or `")),
    };
    Some(Mistake::new(Some(name), Severity::Warning, message, help))
}

/// The parameters that are required, that nothing stands in for, and that are not given. An empty
/// value is none: agents test with `-z`.
pub(crate) fn missing(parameters: &[Parameter], given: &BTreeMap<String, String>) -> Vec<Mistake> {
    parameters.iter().filter_map(|it| missing_one(parameters, it, given)).collect()
}

fn missing_one(
    parameters: &[Parameter],
    parameter: &Parameter,
    given: &BTreeMap<String, String>,
) -> Option<Mistake> {
    let has = |name: &String| given.get(name).is_some_and(|value| !value.is_empty());
    // The agent falls back on its default, whatever it calls required (AoEtarget `nic`).
    let fallback = parameter.default.as_ref().is_some_and(|it| !it.is_empty());
    let is_new_name_of = |old: &&Parameter| old.replaced_with.contains(&parameter.name);
    let under_old_name = || parameters.iter().filter(is_new_name_of).any(|it| has(&it.name));
    if !parameter.required
        || fallback
        || has(&parameter.name)
        || !parameter.replaced_with.is_empty()
        || under_old_name()
    {
        return None;
    }
    let name = &parameter.name;
    let message = format!("the agent needs the parameter `{name}`");
    let help = if parameter.shortdesc.is_empty() {
        format!("give `{name}` a value")
    } else {
        format!("give `{name}` a value: {}", shown(&parameter.shortdesc))
    };
    let written = given.contains_key(name).then_some(name.as_str());
    Some(Mistake::new(written, Severity::Error, message, help))
}

/// A value that is none of those that the agent says that it takes.
pub(crate) fn wrong_type(parameter: &Parameter, value: &str) -> Option<Mistake> {
    if parameter.default.as_deref() == Some(value) || fits(&parameter.kind, value) {
        return None;
    }
    // A declaration that the agent's own default breaks is worth nothing.
    let default = parameter.default.as_deref().filter(|it| !it.is_empty());
    if default.is_some_and(|it| !fits(&parameter.kind, it)) {
        return None;
    }
    let help = match &parameter.kind {
        Kind::Integer => "write a whole number, such as 10".to_owned(),
        Kind::Boolean => match value.trim().to_lowercase().as_str() {
            "y" | "yes" | "true" | "on" => "write `true`: agents take this word for no".to_owned(),
            "n" | "no" | "false" | "off" => "write `false`".to_owned(),
            _ => "write `true` or `false`".to_owned(),
        },
        Kind::Time => "write a number and a unit, such as `20s` or `2min`".to_owned(),
        Kind::Seconds => "write a whole number of seconds without a unit, such as 10".to_owned(),
        Kind::Select(values) => match nearest(value, values.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`? It takes: {}", values.join(", ")),
            None => format!("it takes: {}", values.join(", ")),
        },
        Kind::String | Kind::Other(_) => return None,
    };
    let wanted = match &parameter.kind {
        Kind::Integer => "a whole number",
        Kind::Boolean => "yes or no",
        Kind::Time => "a length of time",
        Kind::Seconds => "a number of seconds",
        Kind::Select(_) | Kind::String | Kind::Other(_) => "one of a list",
    };
    let name = &parameter.name;
    let message = format!("`{name}` should be {wanted}, says the agent, not `{}`", shown(value));
    Some(Mistake::new(Some(name), Severity::Warning, message, help))
}

fn fits(kind: &Kind, value: &str) -> bool {
    match kind {
        Kind::String | Kind::Other(_) => true,
        Kind::Integer => {
            let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        }
        Kind::Boolean => YES.contains(&value) || NO.contains(&value),
        Kind::Time => duration::parse(value).is_some(),
        // The library of fence agents takes no fraction.
        Kind::Seconds => !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()),
        Kind::Select(values) => values.is_empty() || values.iter().any(|it| it == value),
    }
}
