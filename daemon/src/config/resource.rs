//! The tables `[[services.NAME.resources]]`: what a service consists of that is more than one
//! program.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::resource::{OrderError, order};
use stead_core::state::config::{Agent, ResourceConfig, ResourceTimes, Safety, Stuck};
use stead_core::time::Span;
use toml::Spanned;
use toml::de::DeValue;

use super::command::Command;
use super::copies;
use super::keys::{self, nearest};
use super::problem::{Findings, Severity};
use super::section::{Section, shown};
use super::{container, how, name, unit};
use crate::ocf::{self, AgentName, NameError};

/// The file NAME.hook.log is that of a service's hooks.
const HOOK: &str = "hook";
/// How often a resource is started again where it is, where the file doesn't say.
pub const DEFAULT_RESTARTS: u32 = 3;
/// After what time a failure counts no more, where the file doesn't say.
pub const DEFAULT_FORGET_AFTER: Span = Span::from_millis(600_000);
/// The most resources of one service.
const MOST: usize = 100;
/// The most restarts in a row that can be asked for.
const MOST_RESTARTS: u16 = 10_000;

/// The resources of a service, and the names of those that can be promoted.
pub(super) type Resources = (Vec<Spanned<ResourceConfig>>, BTreeSet<String>);

/// Reads the list of one service.
pub(super) fn resources(section: &Section<'_, '_>, findings: &mut Findings) -> Resources {
    let mut promotable = BTreeSet::new();
    let Some(list) = section.list("resources", findings) else { return Resources::default() };
    if list.len() > MOST {
        let message = format!("{} resources of {}", list.len(), section.place);
        let help = format!("{MOST} is the most: make several services of them");
        findings.error(&section.at("resources"), message, help);
        return Resources::default();
    }
    let mut all: Vec<Spanned<ResourceConfig>> = Vec::new();
    for entry in list {
        let Some(table) = entry.get_ref().as_table() else {
            section.entry_mismatch("resources", entry, "a table", findings);
            continue;
        };
        let place = format!("a resource of {}", section.place);
        let table = Section::new(table, entry.span(), place, keys::RESOURCE, findings);
        let before = all.last().map(|it| it.get_ref().name.clone());
        let said = table.truth("promotable", findings);
        if let Some(resource) = resource(table, before, findings) {
            if copies::is_promotable(&resource, said.as_ref(), findings) {
                promotable.insert(resource.name.clone());
            }
            all.push(Spanned::new(entry.span(), resource));
        }
    }
    (all, promotable)
}

fn resource(
    mut section: Section<'_, '_>,
    before: Option<String>,
    findings: &mut Findings,
) -> Option<ResourceConfig> {
    let name = section.text("name", findings);
    if section.get("name").is_none() {
        section.missing("name", findings);
    }
    if let Some(name) = &name {
        if name.get_ref() == HOOK {
            let message = "`hook` can't be the name of a resource";
            findings.error(&name.span(), message, "hooks print under it: choose another one");
        }
        if let Some(refusal) = name::refusal(name.get_ref()) {
            let message = format!("the resource's name `{}` {refusal}", shown(name.get_ref()));
            findings.error(&name.span(), message, "write a name such as  name = \"data\"");
        }
        section.place = format!("resource `{}`", shown(name.get_ref()));
    }
    let agent = agent(&section, findings);
    let needs = section.texts("needs", findings);
    let needs: BTreeSet<String> = match needs {
        Some(needs) => needs.into_iter().map(Spanned::into_inner).collect(),
        // The one above it: a list reads as an order.
        None => before.into_iter().collect(),
    };
    let restarts = section.number("restarts", (0, MOST_RESTARTS), findings);
    let forget_after = section.duration("forget-after", DEFAULT_FORGET_AFTER, "min", findings);
    let safety = safety(&section, findings);
    let stuck = stuck(&section, findings);
    let times = times(&section, findings);
    let agent = agent?;
    let default = safety_of(&agent, &section, safety.is_some(), findings);
    Some(ResourceConfig {
        name: name?.into_inner(),
        agent,
        needs,
        times,
        restarts: restarts.map_or(DEFAULT_RESTARTS, |it| u32::from(it.into_inner())),
        forget_after,
        safety: safety.unwrap_or(default),
        stuck,
    })
}

fn times(section: &Section<'_, '_>, findings: &mut Findings) -> ResourceTimes {
    let mut time = |key| {
        section.get(key)?;
        Some(section.duration(key, Span::from_millis(1_000), "s", findings))
    };
    ResourceTimes {
        start: time("start-timeout"),
        stop: time("stop-timeout"),
        monitor: time("monitor-timeout"),
        interval: time("monitor-interval"),
    }
}

/// What a resource can be; it is exactly one of these.
const KINDS: [&str; 4] = ["program", "ocf", "unit", "container"];

fn agent(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Agent> {
    let kinds: Vec<_> = KINDS.into_iter().filter(|kind| section.get(kind).is_some()).collect();
    let kind = match kinds[..] {
        [kind] => kind,
        [] => {
            if !KINDS.iter().any(|kind| section.mistyped(kind)) {
                let message = format!("{} has none of `{}`", section.place, KINDS.join("`, `"));
                let examples = KINDS.map(|kind| section.example(kind)).join("  or  ");
                findings.error(&section.at, message, format!("say what it is:  {examples}"));
            }
            return None;
        }
        [first, second, ..] => {
            let message = format!("{} has both `{first}` and `{second}`", section.place);
            let help = "make two resources of it, one for each";
            findings.error(&section.at(second), message, help);
            return None;
        }
    };
    if kind != "ocf" {
        no_key(section, "parameters", "only an OCF agent gets parameters", findings);
    }
    if kind != "program" {
        for (key, why) in how::KEYS {
            if !(kind == "container" && key == "stop-signal") {
                no_key(section, key, why, findings);
            }
        }
    }
    if kind != "container" {
        for (key, why) in container::KEYS {
            no_key(section, key, why, findings);
        }
    }
    match kind {
        "program" => {
            let command = words(section, "program", findings)?;
            let monitor = words(section, "monitor", findings);
            Some(Agent::Process { command, monitor, how: how::how(section, findings) })
        }
        "unit" => {
            let monitor = words(section, "monitor", findings);
            let unit = unit::unit(section, findings)?;
            unit::ask(section, &unit, findings);
            Some(Agent::Unit { unit, monitor })
        }
        "container" => container::container(section, findings),
        _ => ocf_agent(section, findings),
    }
}

fn ocf_agent(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Agent> {
    no_key(section, "monitor", "the agent has a monitor of its own", findings);
    let name = section.text("ocf", findings)?;
    let parameters = parameters(section, findings);
    let (provider, kind) = agent_name(&name, findings)?;
    let agent = AgentName { provider: provider.clone(), kind: kind.clone() };
    ask(section, &agent, &parameters, findings);
    Some(Agent::Ocf { provider, kind, parameters })
}

fn no_key(section: &Section<'_, '_>, key: &str, why: &str, findings: &mut Findings) {
    if section.get(key).is_some() {
        let message = format!("{} has `{key}`, which it can't have", section.place);
        findings.error(&section.at(key), message, format!("{why}: remove it"));
    }
}

/// A command that is a list: its times have keys of their own.
pub(super) fn words(
    section: &Section<'_, '_>,
    key: &'static str,
    findings: &mut Findings,
) -> Option<Vec<String>> {
    let value = section.get(key)?;
    if value.get_ref().as_table().is_some() {
        let help = "times are keys of the resource: start-timeout, stop-timeout, monitor-timeout, \
                    monitor-interval";
        let message = format!("`{key}` of {} must be a list, and this is a table", section.place);
        findings.error(&value.span(), message, help);
        return None;
    }
    Some(Command::Short(section, key).command(findings))
}

/// `ocf:heartbeat:nginx`, or without its first part.
fn agent_name(name: &Spanned<String>, findings: &mut Findings) -> Option<(String, String)> {
    let text = name.get_ref();
    let short = text.split(':').count() == 2;
    let parsed = match text.parse::<AgentName>() {
        Err(NameError::Form(_)) if short => format!("ocf:{text}").parse(),
        parsed => parsed,
    };
    match parsed {
        Ok(name) => Some((name.provider, name.kind)),
        Err(wrong) => {
            let message = format!("`{}` is no OCF agent's name: {wrong}", shown(text));
            let help = "write provider and type, for example  ocf = \"heartbeat:nginx\"";
            findings.error(&name.span(), message, help);
            None
        }
    }
}

fn parameters(section: &Section<'_, '_>, findings: &mut Findings) -> BTreeMap<String, String> {
    let Some(value) = section.get("parameters") else { return BTreeMap::new() };
    let Some(table) = value.get_ref().as_table() else {
        section.mismatch("parameters", value, "a table in { }", findings);
        return BTreeMap::new();
    };
    let mut all = BTreeMap::new();
    for (key, value) in table.iter() {
        let name = key.get_ref();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(fits) {
            let message = format!("no parameter can have the name `{}`", shown(name));
            let help = "an agent finds a parameter in a variable of its environment, so letters, \
                        digits and _ are all that it can have";
            findings.error(&key.span(), message, help);
        } else if let Some(text) = parameter(value.get_ref()) {
            all.insert(name.to_string(), text);
        } else {
            let wanted = "a text, a whole number or true or false";
            section.entry_mismatch("parameters", value, wanted, findings);
        }
    }
    all
}

/// Asks the agent, if there is one here to be asked, whether it takes its parameters.
fn ask(
    section: &Section<'_, '_>,
    agent: &AgentName,
    parameters: &BTreeMap<String, String>,
    findings: &mut Findings,
) {
    let Some(asking) = findings.agents else { return };
    let meta = match (asking.ocf)(agent) {
        Ok(meta) => meta,
        Err(error) => {
            let help =
                "its parameters were not checked; it has to be on every node that may run it";
            findings.warning(&section.at("ocf"), stead_edge::chain(&error), help);
            return;
        }
    };
    let written = section.get("parameters").and_then(|value| value.get_ref().as_table());
    for mistake in ocf::check(&meta, parameters) {
        let key = mistake.parameter.as_deref();
        let key = key.and_then(|name| written?.keys().find(|key| key.get_ref() == name));
        let whole = || if written.is_some() { section.at("parameters") } else { section.at("ocf") };
        let at = key.map_or_else(whole, |key| key.span());
        match mistake.severity {
            Severity::Error => drop(findings.error(&at, mistake.message, mistake.help)),
            Severity::Warning | Severity::Advice => {
                findings.warning(&at, mistake.message, mistake.help)
            }
        }
    }
}

/// A value as an agent gets it: a text without zero characters.
pub(super) fn parameter(value: &DeValue<'_>) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned()).filter(|text| !text.contains('\0'));
    }
    if let Some(truth) = value.as_bool() {
        return Some(truth.to_string());
    }
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|it| it.to_string())
}

fn safety(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Safety> {
    let word = section.text("safety", findings)?;
    match word.get_ref().as_str() {
        "lease" => Some(Safety::Lease),
        "fence" => Some(Safety::Fence),
        other => {
            let message = format!("`{}` is no class of safety", shown(other));
            let help = "it is  safety = \"lease\"  if nothing is lost when it starts elsewhere as \
                        soon as this node's lease is over, else  safety = \"fence\"";
            findings.error(&word.span(), message, help);
            None
        }
    }
}

fn stuck(section: &Section<'_, '_>, findings: &mut Findings) -> Stuck {
    let Some(word) = section.text("stuck", findings) else { return Stuck::default() };
    match word.get_ref().as_str() {
        "wait" => Stuck::Wait,
        "reboot" => Stuck::Reboot,
        other => {
            let message = format!("`{}` is nothing that can be done then", shown(other));
            let help = "when it can't be stopped, not even by a kill, its service waits where it \
                        is:  stuck = \"wait\"  or its node boots itself anew, with all that runs \
                        there:  stuck = \"reboot\"";
            findings.error(&word.span(), message, help);
            Stuck::default()
        }
    }
}

/// The class of what nothing is said of: the safe one for what nobody has looked at.
fn safety_of(
    agent: &Agent,
    section: &Section<'_, '_>,
    said: bool,
    findings: &mut Findings,
) -> Safety {
    let (provider, kind) = match agent {
        Agent::Process { .. } => return Safety::Lease,
        // What these do is not known.
        Agent::Unit { .. } | Agent::Container { .. } => return Safety::Fence,
        Agent::Ocf { provider, kind, .. } => (provider, kind),
    };
    let name = AgentName { provider: provider.clone(), kind: kind.clone() };
    if !said && ocf::adds_address(&name) {
        let help = "write the address into `addresses` of the service: there it falls silent with \
                    the node's lease";
        let message = format!("no lease ends an address that {name} adds");
        findings.error(&section.at("ocf"), message, help);
    }
    ocf::safety(&name)
}

/// Holds the resources of a service against each other.
pub(super) fn check(service: &str, resources: &[Spanned<ResourceConfig>], findings: &mut Findings) {
    container::check(resources, findings);
    let all: Vec<ResourceConfig> = resources.iter().map(|it| it.get_ref().clone()).collect();
    let named = |name: &str| {
        let last = resources.iter().rev().find(|it| it.get_ref().name == name);
        last.map_or(0..0, Spanned::span)
    };
    match order(&all) {
        Ok(_) => {}
        Err(OrderError::Twice(name)) => {
            let message = format!("two resources of service `{service}` have the name `{name}`");
            findings.error(&named(&name), message, "give one of them another name");
        }
        Err(OrderError::Unknown { by, needs }) => {
            let names = || all.iter().map(|it| it.name.as_str()).filter(|name| *name != by);
            let help = match nearest(&needs, names()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!(
                    "it may need resources of its own service only: {}",
                    names().collect::<Vec<_>>().join(", ")
                ),
            };
            let message = format!("resource `{by}` needs `{}`, which is none", shown(&needs));
            findings.error(&named(&by), message, help);
        }
        Err(OrderError::Circle(names)) => {
            let first = names.first().map(String::as_str).unwrap_or_default();
            let way = names.join(" -> ");
            let message = format!("resources need each other in a circle: {way} -> {first}");
            let help = format!("let one of them go: {first} could start without its `needs`");
            findings.error(&named(first), message, help);
        }
    }
}
