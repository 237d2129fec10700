//! What changes between the resources of a service, in the operator's words.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::state::config::{Agent, ResourceConfig};

use super::differences::command;

/// Every change between the resources of a service, which restarts for any of them.
pub(super) fn changes(
    service: &str,
    old: &[ResourceConfig],
    new: &[ResourceConfig],
) -> Vec<String> {
    let mut all = Vec::new();
    let named = |all: &'_ [ResourceConfig], name: &str| all.iter().any(|it| it.name == name);
    for gone in old.iter().filter(|it| !named(new, &it.name)) {
        all.push(format!(
            "service {service}: resource {} removed; the service restarts",
            gone.name
        ));
    }
    for now in new {
        let Some(was) = old.iter().find(|it| it.name == now.name) else {
            let what = agent(&now.agent);
            all.push(format!(
                "service {service}: resource {} added, {what}; the service restarts",
                now.name
            ));
            continue;
        };
        let changed = changed(was, now).join(", ");
        if !changed.is_empty() {
            all.push(format!(
                "service {service}: resource {}: {changed} changed; the service restarts",
                now.name
            ));
        }
    }
    let order = |all: &[ResourceConfig]| all.iter().map(|it| it.name.clone()).collect();
    let (was, now): (Vec<String>, Vec<String>) = (order(old), order(new));
    let moved = was != now && was.iter().collect::<BTreeSet<_>>() == now.iter().collect();
    if moved {
        all.push(format!("service {service}: its resources in another order; it restarts"));
    }
    all
}

/// What a resource is, in a word or two.
fn agent(agent: &Agent) -> String {
    match agent {
        Agent::Process { command: words, .. } => command(words),
        Agent::Ocf { provider, kind, .. } => format!("ocf:{provider}:{kind}"),
        Agent::Unit { unit, .. } => format!("unit:{unit}"),
        Agent::Container { image, .. } => format!("container:{image}"),
    }
}

/// Which of the entries of a table changed, by name.
fn others(
    what: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Vec<String> {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let other = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    other.map(|name| format!("{what} {name}")).collect()
}

/// Which keys of a resource changed. Values are not shown: a parameter may be a secret.
fn changed(old: &ResourceConfig, new: &ResourceConfig) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    match (&old.agent, &new.agent) {
        (
            Agent::Process { command: was, monitor: looked, how },
            Agent::Process { command: now, monitor: looks, how: new },
        ) => {
            keys.extend((was != now).then(|| "program".to_owned()));
            keys.extend((looked != looks).then(|| "monitor".to_owned()));
            let ways = [
                ("ready", how.ready != new.ready),
                ("user", how.user != new.user),
                ("group", how.group != new.group),
                ("stop-signal", how.stop_signal != new.stop_signal),
            ];
            keys.extend(ways.into_iter().filter(|(_, is)| *is).map(|(key, _)| key.to_owned()));
        }
        (Agent::Ocf { parameters: was, .. }, Agent::Ocf { parameters: now, .. })
            if agent(&old.agent) == agent(&new.agent) =>
        {
            keys.extend(others("parameter", was, now));
        }
        (Agent::Unit { unit: was, monitor: looked }, Agent::Unit { unit: now, monitor: looks }) => {
            keys.extend((was != now).then(|| "unit".to_owned()));
            keys.extend((looked != looks).then(|| "monitor".to_owned()));
        }
        (
            Agent::Container { image: was, command, monitor: looked, how },
            Agent::Container { image: now, command: other, monitor: looks, how: new },
        ) => {
            let ways = [
                ("container", was != now),
                ("command", command != other),
                ("monitor", looked != looks),
                ("mounts", how.mounts != new.mounts),
                ("network", how.network != new.network),
                ("socket", how.socket != new.socket),
                ("stop-signal", how.stop_signal != new.stop_signal),
            ];
            keys.extend(ways.into_iter().filter(|(_, is)| *is).map(|(key, _)| key.to_owned()));
            keys.extend(others("environment", &how.environment, &new.environment));
        }
        (
            Agent::Process { .. }
            | Agent::Ocf { .. }
            | Agent::Unit { .. }
            | Agent::Container { .. },
            _,
        ) => keys.push("agent".to_owned()),
    }
    let rest = [
        ("needs", old.needs != new.needs),
        ("start-timeout", old.times.start != new.times.start),
        ("stop-timeout", old.times.stop != new.times.stop),
        ("monitor-timeout", old.times.monitor != new.times.monitor),
        ("monitor-interval", old.times.interval != new.times.interval),
        ("restarts", old.restarts != new.restarts),
        ("forget-after", old.forget_after != new.forget_after),
        ("safety", old.safety != new.safety),
        ("stuck", old.stuck != new.stuck),
    ];
    keys.extend(rest.into_iter().filter(|(_, is)| *is).map(|(key, _)| key.to_owned()));
    keys
}
