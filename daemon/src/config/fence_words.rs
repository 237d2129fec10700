//! How nodes are fenced, as text again: in the file's form, and in words where it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use stead_core::state::config::{
    AfterFence, DeviceConfig, FenceAgent, FencingConfig, NodeFencing, Plug,
};
use stead_core::time::Span;

use super::differences::command;
use super::duration::{say, write, write_long};
use super::render::{list, quoted, write_texts};

/// The tables of all devices.
pub(super) fn write_devices(out: &mut String, config: &FencingConfig) -> fmt::Result {
    for (name, DeviceConfig { agent, timeout, retries }) in &config.devices {
        writeln!(out, "\n[fencing.devices.{name}]")?;
        match agent {
            FenceAgent::Agent { name, parameters, secrets } => {
                writeln!(out, "agent = {}", quoted(name))?;
                write_texts(out, "parameters", parameters)?;
                write_texts(out, "secrets", secrets)?;
            }
            FenceAgent::Exec { command } => writeln!(out, "exec = {}", list(command))?,
            FenceAgent::Webhook { url, secret } => {
                writeln!(out, "webhook = {}", quoted(url))?;
                if let Some(secret) = secret {
                    writeln!(out, "secret = {}", quoted(secret))?;
                }
            }
        }
        writeln!(out, "timeout = \"{}\"", write(*timeout))?;
        writeln!(out, "retries = {retries}")?;
    }
    Ok(())
}

/// The keys of a node.
pub(super) fn write_node(out: &mut String, fencing: &NodeFencing) -> fmt::Result {
    let NodeFencing { levels, after, rehearse, watchdog } = fencing;
    let level = |plugs: &Vec<Plug>| list(&plugs.iter().map(Plug::to_string).collect::<Vec<_>>());
    match levels.as_slice() {
        [] => {}
        [one] => writeln!(out, "fence = {}", level(one))?,
        all => {
            let all: Vec<_> = all.iter().map(level).collect();
            writeln!(out, "fence = [{}]", all.join(", "))?;
        }
    }
    match after {
        AfterFence::On => {}
        AfterFence::StayOff => writeln!(out, "fence-after = \"stay-off\"")?,
    }
    if let Some(span) = rehearse {
        writeln!(out, "fence-rehearse = \"{}\"", write_long(*span))?;
    }
    if *watchdog {
        writeln!(out, "watchdog = true")?;
    }
    Ok(())
}

/// Every change between two, in the operator's words.
pub(super) fn changes(old: &FencingConfig, new: &FencingConfig) -> Vec<String> {
    let mut all = Vec::new();
    let names: BTreeSet<_> = old.devices.keys().chain(new.devices.keys()).collect();
    for name in names {
        match (old.devices.get(name), new.devices.get(name)) {
            (Some(_), None) => all.push(format!("fence device {name}: removed")),
            (None, Some(now)) => {
                all.push(format!("fence device {name}: added, {}", what(&now.agent)));
            }
            (Some(was), Some(now)) => {
                let (is, becomes) = (what(&was.agent), what(&now.agent));
                if is != becomes {
                    all.push(format!("fence device {name}: {is} -> {becomes}"));
                }
                let changed = changed(was, now).join(", ");
                if !changed.is_empty() {
                    all.push(format!("fence device {name}: {changed} changed"));
                }
            }
            (None, None) => {}
        }
    }
    let names: BTreeSet<_> = old.nodes.keys().chain(new.nodes.keys()).collect();
    for name in names {
        let usual = NodeFencing::default();
        let [was, now] = [old, new].map(|it| words(it.nodes.get(name).unwrap_or(&usual)));
        for ((what, was), (_, now)) in was.into_iter().zip(now).filter(|(was, now)| was != now) {
            all.push(format!("node {name}: {what}: {was} -> {now}"));
        }
    }
    all
}

/// How a node is fenced, each part under its name.
fn words(fencing: &NodeFencing) -> [(&'static str, String); 4] {
    let after = match fencing.after {
        AfterFence::On => "it is switched on",
        AfterFence::StayOff => "it stays off",
    };
    let every = |span| format!("every {}", often(span));
    [
        ("fenced by", by(&fencing.levels)),
        ("after it was fenced", after.to_owned()),
        ("fencing rehearsed", fencing.rehearse.map_or_else(|| "never".to_owned(), every)),
        ("its armed watchdog is a proof", if fencing.watchdog { "yes" } else { "no" }.to_owned()),
    ]
}

fn often(span: Span) -> String {
    let text = write_long(span);
    match text.strip_suffix('d') {
        Some("1") => "day".to_owned(),
        Some(days) => format!("{days} days"),
        None => say(span),
    }
}

/// Its levels in a sentence.
fn by(levels: &[Vec<Plug>]) -> String {
    let level =
        |plugs: &Vec<Plug>| plugs.iter().map(Plug::to_string).collect::<Vec<_>>().join(" and ");
    let levels: Vec<_> = levels.iter().map(level).collect();
    if levels.is_empty() { "nothing".to_owned() } else { levels.join(", else ") }
}

/// What a device is, in a word or two.
fn what(agent: &FenceAgent) -> String {
    match agent {
        FenceAgent::Agent { name, .. } => name.clone(),
        FenceAgent::Exec { command: words } => command(words),
        FenceAgent::Webhook { url, .. } => url.clone(),
    }
}

/// Which keys of a device changed, beside what it is. Values are not shown: a parameter may be a
/// secret.
fn changed(old: &DeviceConfig, new: &DeviceConfig) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    match (&old.agent, &new.agent) {
        (
            FenceAgent::Agent { parameters, secrets, .. },
            FenceAgent::Agent { parameters: others, secrets: files, .. },
        ) => {
            keys.extend(unlike("parameter", parameters, others));
            keys.extend(unlike("secret", secrets, files));
        }
        (FenceAgent::Webhook { secret, .. }, FenceAgent::Webhook { secret: file, .. }) => {
            keys.extend((secret != file).then(|| "secret".to_owned()))
        }
        (FenceAgent::Agent { .. } | FenceAgent::Exec { .. } | FenceAgent::Webhook { .. }, _) => {}
    }
    keys.extend((old.timeout != new.timeout).then(|| "timeout".to_owned()));
    keys.extend((old.retries != new.retries).then(|| "retries".to_owned()));
    keys
}

fn unlike(
    what: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Vec<String> {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let other = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    other.map(|name| format!("{what} {name}")).collect()
}
