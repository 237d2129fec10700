//! The tables `[fencing.devices.NAME]`: by what nodes are switched off.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use stead_core::state::config::{DeviceConfig, FenceAgent};
use stead_core::time::Span;
use stead_edge::chain;
use stead_edge::http::{Url, UrlError};
use toml::Spanned;

use super::command::Command;
use super::draft::Device;
use super::duration::say;
use super::keys::{self, Key};
use super::problem::{Findings, Severity};
use super::resource::parameter;
use super::section::{Section, shown};
use super::tables::named;
use crate::fence::{self, AgentName, DescribeError, MetaData};

/// How long one run of a device may take, where the file doesn't say.
pub const DEFAULT_FENCE_TIMEOUT: Span = Span::from_millis(20_000);
/// How often a run that failed is repeated, where the file doesn't say.
pub const DEFAULT_FENCE_RETRIES: u32 = 1;

/// The shortest time that a run may be given: agents need a part of it to start.
const SHORTEST: Span = Span::from_millis(1_000);
/// The longest. A service waits that long for a device that does not answer, and more than once.
const LONGEST: Span = Span::from_millis(600_000);
/// The most repetitions.
const MOST_RETRIES: u16 = 10;
/// The most devices: one for each of the most nodes.
const MOST: usize = 256;
/// The most parameters of one device. The richest of Debian's agents have half as many.
const MOST_PARAMETERS: usize = 128;
/// The longest value, in bytes.
const LONGEST_VALUE: usize = 4 * 1024;
/// What a device can be; it is exactly one of these.
const KINDS: [&str; 3] = ["agent", "exec", "webhook"];
/// An agent that switches nothing.
const DUMMY: &str = "fence_dummy";

/// Reads all of them.
pub(super) fn devices(section: &Section<'_, '_>, findings: &mut Findings) -> Vec<Device> {
    let devices = named(section, "devices", keys::DEVICE, findings, device);
    if let Some(device) = devices.get(MOST) {
        let message = format!("{} devices, and {MOST} is the most", devices.len());
        let help = "a device with outlets is one device for many nodes";
        findings.error(&device.name.span(), message, help);
    }
    devices
}

fn device(name: Spanned<String>, section: &Section<'_, '_>, findings: &mut Findings) -> Device {
    let at = KINDS.into_iter().find(|kind| section.get(kind).is_some());
    let at = at.map_or_else(|| section.at.clone(), |kind| section.at(kind));
    let timeout = timeout(section, findings);
    let retries = section.number("retries", (0, MOST_RETRIES), findings);
    let retries = retries.map_or(DEFAULT_FENCE_RETRIES, |it| u32::from(it.into_inner()));
    let (agent, meta) = match kind(section, findings) {
        Some("agent") => agent(section, findings),
        Some("exec") => (exec(section, findings), None),
        Some(_) => (webhook(section, findings), None),
        None => (None, None),
    };
    let config = agent.map(|agent| DeviceConfig { agent, timeout, retries });
    Device { name, at, config, meta }
}

fn timeout(section: &Section<'_, '_>, findings: &mut Findings) -> Span {
    let timeout = section.duration("timeout", DEFAULT_FENCE_TIMEOUT, "s", findings);
    if !(SHORTEST..=LONGEST).contains(&timeout) {
        let message = format!("a `timeout` of {} in {}", say(timeout), section.place);
        let help = format!(
            "it goes from {} to {}: what takes longer counts as failed, and then the next level \
             is tried",
            say(SHORTEST),
            say(LONGEST)
        );
        findings.error(&section.at("timeout"), message, help);
    }
    timeout
}

/// The key that says what it is.
fn kind(section: &Section<'_, '_>, findings: &mut Findings) -> Option<&'static str> {
    let kinds: Vec<_> = KINDS.into_iter().filter(|kind| section.get(kind).is_some()).collect();
    match kinds[..] {
        [kind] => {
            let of_agents = ["parameters", "secrets"].map(|key| (key, "agent"));
            for (key, home) in of_agents.into_iter().chain([("secret", "webhook")]) {
                if kind != home && section.get(key).is_some() {
                    let message = format!("{} has `{key}`, which it can't have", section.place);
                    let help = format!("only a device with `{home}` has that: remove it");
                    findings.error(&section.at(key), message, help);
                }
            }
            Some(kind)
        }
        [] => {
            if !KINDS.iter().any(|kind| section.mistyped(kind)) {
                let message = format!("{} has none of `{}`", section.place, KINDS.join("`, `"));
                let examples = KINDS.map(|kind| section.example(kind)).join("  or  ");
                findings.error(&section.at, message, format!("say what it is:  {examples}"));
            }
            None
        }
        [first, second, ..] => {
            let message = format!("{} has both `{first}` and `{second}`", section.place);
            let help = "make two devices of it, and let the nodes name both";
            findings.error(&section.at(second), message, help);
            None
        }
    }
}

fn agent(
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> (Option<FenceAgent>, Option<MetaData>) {
    let parameters = texts(section, "parameters", findings);
    let secrets = texts(section, "secrets", findings);
    for (name, (path, at)) in &secrets {
        check_path(name, path, at, findings);
        if let Some((_, at)) = parameters.get(name) {
            let message = format!("`{name}` stands in `parameters` and in `secrets`");
            findings.error(at, message, "remove one of the two: a secret stands in its file only");
        }
    }
    let Some(name) = section.text("agent", findings) else { return (None, None) };
    let parsed = match name.get_ref().parse::<AgentName>() {
        Ok(parsed) => parsed,
        Err(error) => {
            let near = fence::nearest(&fence::folders(), name.get_ref());
            let help = match near.filter(|_| findings.agents.is_some()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`stead fence agents` lists those that are installed".to_owned(),
            };
            findings.error(&name.span(), error.to_string(), help);
            return (None, None);
        }
    };
    if name.get_ref() == DUMMY {
        let help = "it is for trials: it only keeps a file, and no node is off because of that";
        findings.warning(&name.span(), format!("{DUMMY} switches nothing"), help);
    }
    let bare = |all: BTreeMap<String, (String, Range<usize>)>| {
        all.into_iter().map(|(name, (value, _))| (name, value)).collect::<BTreeMap<_, _>>()
    };
    let (parameters, secrets) = (bare(parameters), bare(secrets));
    let meta = ask(section, &parsed, (&parameters, &secrets), findings);
    (Some(FenceAgent::Agent { name: name.into_inner(), parameters, secrets }), meta)
}

/// Texts by name, each with its place.
fn texts(
    section: &Section<'_, '_>,
    key: &'static str,
    findings: &mut Findings,
) -> BTreeMap<String, (String, Range<usize>)> {
    let Some(value) = section.get(key) else { return BTreeMap::new() };
    let Some(table) = value.get_ref().as_table() else {
        section.mismatch(key, value, "a table in { }", findings);
        return BTreeMap::new();
    };
    if table.len() > MOST_PARAMETERS {
        let message = format!("{} entries in `{key}` of {}", table.len(), section.place);
        findings.error(&value.span(), message, format!("{MOST_PARAMETERS} is the most"));
        return BTreeMap::new();
    }
    let mut all = BTreeMap::new();
    for (key_of, value) in table.iter() {
        let name = key_of.get_ref();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 100 || !name.chars().all(fits) {
            let message = format!("no parameter can have the name `{}`", shown(name));
            let help = "letters, digits, _ and - are all that it can have";
            findings.error(&key_of.span(), message, help);
            continue;
        }
        match parameter(value.get_ref()) {
            None => {
                let wanted = "a text, a whole number or true or false";
                section.entry_mismatch(key, value, wanted, findings);
            }
            Some(text) if text.contains(['\n', '\r']) || text.len() > LONGEST_VALUE => {
                let message = format!("the value of `{name}` is more than one line");
                let help = "an agent is told each parameter on a line of its standard input";
                findings.error(&value.span(), message, help);
            }
            Some(text) => drop(all.insert(name.to_string(), (text, value.span()))),
        }
    }
    all
}

fn check_path(name: &str, path: &str, at: &Range<usize>, findings: &mut Findings) {
    if !path.starts_with('/') || path.ends_with('/') {
        let message = format!("the secret `{name}` names no file by its whole path");
        let help = format!(
            "the secret is not written here, but on the first line of a file that root alone may \
             read:  \"/etc/stead/secrets/{}\"",
            name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
        );
        findings.error(at, message, help);
    }
}

fn exec(section: &Section<'_, '_>, findings: &mut Findings) -> Option<FenceAgent> {
    let value = section.get("exec")?;
    if value.get_ref().as_table().is_some() {
        let message = format!("`exec` of {} must be a list, and this is a table", section.place);
        findings.error(&value.span(), message, "its time is `timeout` of the device");
        return None;
    }
    let command = Command::open(section, "exec", &[] as &[Key], findings)?.command(findings);
    Some(FenceAgent::Exec { command })
}

fn webhook(section: &Section<'_, '_>, findings: &mut Findings) -> Option<FenceAgent> {
    let secret = section.text("secret", findings);
    if let Some(secret) = &secret {
        check_path("secret", secret.get_ref(), &secret.span(), findings);
    }
    let url = section.text("webhook", findings)?;
    if let Err(error) = url.get_ref().parse::<Url>() {
        let help = match error {
            UrlError::Form => format!("write it like this:  {}", section.example("webhook")),
            UrlError::Https => format!(
                "https needs a program that knows the certificates: let a script with  curl \
                 --fail {}  be the device:  {}",
                shown(url.get_ref()),
                section.example("exec")
            ),
            UrlError::Name => "write the address in place of the name: names are looked up over \
                               a network that may be down just then"
                .to_owned(),
        };
        let message = format!("`{}` is nothing that can be asked", shown(url.get_ref()));
        findings.error(&url.span(), message, help);
    }
    let secret = secret.map(Spanned::into_inner);
    Some(FenceAgent::Webhook { url: url.into_inner(), secret })
}

/// Asks the agent, if there is one here to be asked, whether it can do this and takes what is
/// written for it.
fn ask(
    section: &Section<'_, '_>,
    agent: &AgentName,
    (parameters, secrets): (&BTreeMap<String, String>, &BTreeMap<String, String>),
    findings: &mut Findings,
) -> Option<MetaData> {
    let asking = findings.agents?;
    let at = section.at("agent");
    let meta = match (asking.fence)(agent) {
        Ok(meta) => meta,
        // A slip of the pen. Without a likely one it may be installed where it is needed.
        Err(DescribeError::Missing { near: Some(near), .. }) => {
            let message = format!("no fence agent {agent} is installed");
            findings.error(&at, message, format!("did you mean `{near}`?"));
            return None;
        }
        Err(error) => {
            let help = "its parameters were not checked; it has to be on every node: any of them \
                        may have to fence another";
            findings.warning(&at, chain(&error), help);
            return None;
        }
    };
    if let Some((message, help)) = fence::unable(&meta) {
        findings.error(&at, format!("{agent} proves nothing: {message}"), help);
        return None;
    }
    let table = |key| section.get(key).and_then(|value| value.get_ref().as_table());
    let mut told = BTreeSet::new();
    for mistake in fence::check(&meta, parameters, secrets.keys().map(String::as_str)) {
        let key = mistake.parameter.as_deref();
        let written = ["parameters", "secrets"].into_iter().filter_map(table);
        let mut keys = written.flat_map(|table| table.keys());
        let key = key.and_then(|name| keys.find(|key| key.get_ref() == name));
        let whole = || match ["parameters", "secrets"].iter().find(|it| table(it).is_some()) {
            Some(there) => section.at(there),
            None => at.clone(),
        };
        let place = key.map_or_else(whole, |key| key.span());
        if !told.insert(mistake.message.clone()) {
            continue;
        }
        match mistake.severity {
            Severity::Error => drop(findings.error(&place, mistake.message, mistake.help)),
            Severity::Warning | Severity::Advice => {
                findings.warning(&place, mistake.message, mistake.help)
            }
        }
    }
    Some(meta)
}
